"""The component of a spaCy pipeline that tags texts; `integrations.spacy_factory` makes it."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import srsly
from spacy.pipeline import Sentencizer
from spacy.scorer import Scorer, get_ner_prf
from spacy.tokens import Doc, Span, SpanGroup
from spacy.util import minibatch

from tagger.atomic import check_replaceable, publish_directory
from tagger.errors import ConfigError, ModelError, TaggerError
from tagger.formats.document import Document, DocumentToken
from tagger.integrations.packed import PackedModel, checksum, load_packed, pack
from tagger.model_dir.files import MANIFEST, MODEL_FILES
from tagger.prediction.entities import Entity, EntityFinder, is_probability
from tagger.prediction.onnx_session import load_predictor
from tagger.wording import abridged, visible

_TOKENS, _ALIGNMENTS = ("spacy", "model"), ("expand", "contract", "strict")
_MODEL = "model"  # the folder of the model in that of the component


class TaggerComponent:
    """A component that finds entities, and sets `Doc.ents` and a group of `Doc.spans` that has their scores.

    A model of plain tags sets `Token.tag_` instead.

    Args:
        language: the language of the pipeline.
        name: the name of the component in its pipeline.
        model: the model directory. It is loaded for the first text, because a pipeline that was saved has a copy of its
            own and is loaded where this directory may be missing, or hold another model.
        tokens: `spacy` to tag spaCy's tokens; `model` to cut the text as `tagger predict` does, and to align entities
            with spaCy's tokens by their characters.
        alignment: what becomes of an entity that does not begin or end at the edge of one of spaCy's tokens: `expand`
            and `contract` take the tokens that are partly and wholly in it, `strict` leaves it out.
        overwrite: whether an entity takes the place of those that the text has before and that it overlaps, and of
            tokens that are blocked; otherwise these stay, and it is only part of the group.
        spans_key: the name of the group in `Doc.spans`, whose `attrs["scores"]` are the scores; None for `name`.
        min_probability: the lowest score of an entity, or None for the thresholds that the model has.
        threads: the number of batches that are computed side by side, or None for all cores.

    Raises:
        ConfigError: a setting is not one of these values.
    """

    def __init__(
        self,
        language: str,
        name: str,
        *,
        model: str,
        tokens: str,
        alignment: str,
        overwrite: bool,
        spans_key: str | None,
        min_probability: float | None,
        threads: int | None,
    ) -> None:
        for key, value, allowed in (("tokens", tokens, _TOKENS), ("alignment", alignment, _ALIGNMENTS)):
            if value not in allowed:
                raise ConfigError(f"{name}: {key}: found {value!r}, expected one of {', '.join(allowed)}")
        if not model:
            raise ConfigError(f"{name}: model: found an empty path, expected that of a model directory")
        # spaCy's check of a config also lets texts through that look like numbers.
        if min_probability is not None and not is_probability(min_probability):
            raise ConfigError(f"{name}: min_probability: found {min_probability!r}, expected a number from 0 to 1")
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ConfigError(f"{name}: threads: found {threads!r}, expected a whole number from 1")
        self.name, self._language, self._model = name, language, Path(model).absolute()
        self._tokens, self._alignment, self._overwrite = tokens, alignment, overwrite
        self._spans_key, self._min_probability, self._threads = spans_key or name, min_probability, threads
        self._packed: PackedModel | None = None  # takes the place of the directory
        self._finder: EntityFinder | None = None
        self._checksum = ""  # of the model in the directory, once it is loaded
        self._warned = set[str]()

    def initialize(self, get_examples: Any = None, *, nlp: Any = None) -> None:
        """Load the model, so that `nlp.initialize` says what is wrong with it; there is nothing to train."""
        self._loaded()

    def __call__(self, doc: Doc) -> Doc:
        """Find the entities of one text."""
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Find the entities of texts, of which `batch_size` at a time are tagged together."""
        for docs in minibatch(stream, size=batch_size):
            self._annotate(docs)
            yield from docs

    def score(self, examples: Iterable[Any], **_: Any) -> dict[str, Any]:
        """Return the scores of `nlp.evaluate`."""
        if self._loaded().is_plain:
            return dict(Scorer.score_token_attr(examples, "tag"))
        return dict(get_ner_prf(examples))

    # --- The model --------------------------------------------------------------------------------------------------

    def _loaded(self) -> EntityFinder:
        """Return the loaded model.

        Raises:
            ModelError: it cannot be loaded.
            DataError: it reads feature columns, which texts do not have.
        """
        if self._finder is None:
            try:
                if self._packed is not None:
                    predictor = load_packed(self._packed, threads=self._threads)
                else:
                    self._checksum = checksum(self._model)
                    predictor = load_predictor(self._model, threads=self._threads)
                self._finder = EntityFinder(predictor)
            except TaggerError as error:  # it may come long after the model was named, and from one of several models
                raise type(error)(f"{self.name}: {error.message}", detail=error.detail) from None
        return self._finder

    def _files(self) -> PackedModel:
        if self._packed is not None:
            return self._packed
        if self._finder is not None and self._checksum != checksum(self._model):
            raise ModelError(
                f"{self.name}: found another model in {self._model} than the one that was loaded from it, expected the"
                " same, so that the saved pipeline has it; add the component again"
            )
        return pack(self._model)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the loaded model, which cannot be pickled; the directory is read again."""
        return {**self.__dict__, "_finder": None}

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Copy the model into a directory, so that the saved pipeline is complete.

        Raises:
            ModelError: the model cannot be read or is not the one that was loaded, or the directory cannot be written.
        """
        target = Path(path, _MODEL)
        check_replaceable(target, MODEL_FILES, marker=MANIFEST)
        publish_directory(target, self._files())

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Self:
        """Load the model that `to_disk` has copied.

        Raises:
            ModelError: it is missing, or was altered.
        """
        self._model, self._packed, self._finder = Path(path).absolute() / _MODEL, None, None
        self._loaded()
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Return the files of the model."""
        return bytes(srsly.msgpack_dumps(dict(self._files())))

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> Self:
        """Load the model that `to_bytes` has returned; it stays in memory.

        Raises:
            ModelError: these are other bytes.
        """
        try:
            packed = srsly.msgpack_loads(data)
        except Exception:  # msgpack raises errors of many types for what it cannot read
            packed = None
        if not isinstance(packed, dict) or not all(isinstance(content, bytes) for content in packed.values()):
            raise ModelError(
                f"{self.name}: found other bytes, expected those that to_bytes has returned; save it again"
            )
        self._packed, self._finder = packed, None
        self._loaded()
        return self

    # --- Texts ------------------------------------------------------------------------------------------------------

    def _annotate(self, docs: Sequence[Doc]) -> None:
        finder = self._loaded()
        if self._tokens == "model":
            documents = finder.documents((doc.text for doc in docs), self._language_of(finder))
        else:
            documents = [_document(doc) for doc in docs]
        for doc, found in zip(docs, finder.find(documents, min_probability=self._min_probability), strict=True):
            if finder.is_plain:
                self._set_tags(doc, found)
            else:
                self._set_entities(doc, found)

    def _language_of(self, finder: EntityFinder) -> str | None:
        """Return the language of the pipeline, unless the model knows its own or the pipeline has none (`xx`)."""
        return None if finder.model_language is not None or self._language == "xx" else self._language

    def _set_entities(self, doc: Doc, found: Sequence[Entity]) -> None:
        spans, scores = list[Span](), list[float]()
        for entity in found:
            span = doc.char_span(
                entity["start"], entity["end"], label=entity["entity_group"], alignment_mode=self._alignment
            )
            if span is None:
                self._warn("aligned", f"the entity {_shown(entity)} does not fit spaCy's tokens and is left out")
                continue
            spans.append(span)
            scores.append(entity["score"])
        doc.spans[self._spans_key] = SpanGroup(doc, name=self._spans_key, attrs={"scores": scores}, spans=spans)
        blocked = [] if self._overwrite else _blocked(doc)
        doc.set_ents(self._without_overlaps(doc, spans, blocked), blocked=blocked)

    def _without_overlaps(self, doc: Doc, spans: Sequence[Span], blocked: Sequence[Span]) -> list[Span]:
        """Return the entities of a text: those that it had and those that were found, none of which overlap.

        Args:
            doc: the text, with the entities that it had.
            spans: the entities that were found.
            blocked: where there can be none.
        """
        found = _disjoint(spans)
        if len(found) < len(spans):
            lost = next(span for span in spans if all(span is not one for one in found))  # equal spans are two
            self._warn(
                "overlap",
                f"the entity {visible(abridged(lost.text))!r} ({lost.label_}) overlaps another one in spaCy's tokens,"
                f" so it is only part of doc.spans[{self._spans_key!r}]",
            )
        if self._overwrite:
            return _disjoint([*found, *doc.ents])
        return _disjoint([*blocked, *doc.ents, *found])[len(blocked) :]

    def _set_tags(self, doc: Doc, found: Sequence[Entity]) -> None:
        for entity in found:
            span = doc.char_span(entity["start"], entity["end"], alignment_mode="strict")
            if span is None or len(span) != 1:
                self._warn("aligned", f"the token {_shown(entity)} is not a token of spaCy, so its tag is left out")
            elif self._overwrite or not span[0].tag_:
                span[0].tag_ = entity["entity_group"]

    def _warn(self, kind: str, text: str) -> None:
        """Warn once of each kind of loss."""
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(f"{self.name}: {text}; further ones are not reported", UserWarning, stacklevel=2)


def _disjoint(spans: Iterable[Span]) -> list[Span]:
    """Return the spans that do not overlap one before them."""
    taken, kept = set[int](), list[Span]()
    for span in spans:
        places = range(span.start, span.end)
        if taken.isdisjoint(places):
            taken.update(places)
            kept.append(span)
    return kept


def _blocked(doc: Doc) -> list[Span]:
    """Return the tokens of which an earlier component has said that they are in no entity, as spans."""
    return [doc[token.i : token.i + 1] for token in doc if token.ent_iob_ == "B" and not token.ent_type]


def _shown(entity: Entity) -> str:
    return f"{visible(abridged(entity['word']))!r} ({entity['entity_group']})"


def _document(doc: Doc) -> Document:
    """Return a text with spaCy's tokens, except those of blanks, and its sentences.

    If no component has set sentences, they end after `.`, `!` and `?`, as spaCy's sentencizer ends them, and at empty
    lines. The text itself gets no sentences from this.
    """
    has_sentences = doc.has_annotation("SENT_START")
    starts = [token.is_sent_start for token in doc] if has_sentences else _sentencizer().predict([doc])[0]
    sentences, begins = list[list[DocumentToken]](), True
    for token, starts_here in zip(doc, starts, strict=True):
        begins = begins or bool(starts_here)  # spaCy's are True, False or None
        if not token.text or token.text.isspace():
            begins = begins or (not has_sentences and token.text.count("\n") > 1)
            continue
        if begins:
            sentences.append([])
        begins = False
        sentences[-1].append(DocumentToken(token.idx, token.idx + len(token)))
    return Document(text=doc.text, sentences=tuple(map(tuple, sentences)))


@functools.cache
def _sentencizer() -> Any:
    return Sentencizer()
