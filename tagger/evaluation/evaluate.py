"""Score a model on a file, or compare two models on it."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from tagger.corpus.dataset import Corpus, compare_columns, load_gold, note_on_notation
from tagger.corpus.layout import Layout, looks_like_tag
from tagger.corpus.lines import Files, files_of, names_of, require_regular
from tagger.corpus.notation import Notation
from tagger.corpus.partial import without_unknown
from tagger.corpus.schemes import NO_SCHEME, UNKNOWN, spans_from_tags
from tagger.errors import DataError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.evaluation.significance import Comparison, compare, span_counts
from tagger.filesystem import relative_path
from tagger.formats.convert import Settings
from tagger.formats.reading import CONVERTED, reading, settings_of
from tagger.model_dir.store import Model
from tagger.prediction.document_tagging import require_no_features
from tagger.prediction.doubts import InputDoubts
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.prediction.scored_spans import extend
from tagger.prediction.stream import CHUNK_LINES, Tagged, tag_stream
from tagger.wording import counted

Tell = Callable[[str], None]


def _nothing(*_: str) -> None:
    """Do nothing, in the place of whoever wants to be told."""


def gold_files(model: Model[object], given: str | None) -> list[str]:
    """Return the files to score: the given one, or else the config's test files, relative to the working directory.

    Raises:
        DataError: there is no such file.
    """
    if given is not None:
        return [given]
    if model.manifest.test is None:
        raise DataError("FILE: found none, and the model's config does not set data.test; pass the file to score")
    for path in files_of(model.manifest.test):
        if not (model.directory / path).is_file():  # a model from elsewhere could name a pipe or an endless device
            raise DataError(
                f"{model.directory / path}: the config's test file is no longer there, or is not a file; pass FILE"
            )
    return _configured(model)


def _configured(model: Model[object]) -> list[str]:
    """Return the config's test files, as messages and tables show them, whether they are there or not."""
    return [relative_path((model.directory / path).resolve()) for path in files_of(model.manifest.test or [])]


def evaluate_file(
    predictor: Predictor,
    paths: Files,
    layout: Layout,
    look: Callable[[], None] = _nothing,
    note: Tell = _nothing,
    warn: Tell = _nothing,
) -> Evaluation:
    """Score a model on one or more files, with exactly the tags that `tagger predict` would write.

    Args:
        look: called after each sentence; an exception that it raises ends the evaluation.
        note: called with how the files were read.
        warn: called with what may be wrong with them.

    Raises:
        DataError: the file has no gold tags, or its tags do not fit the model.
    """
    with tagged_gold(predictor, paths, layout, note, warn) as tagged:
        for _ in tagged:
            look()
        return tagged.evaluation()


def compare_on_file(
    first: Predictor,
    second: Predictor,
    paths: Files,
    layouts: tuple[Layout, Layout],
    *,
    samples: int,
    seed: int,
    note: Tell = _nothing,
) -> Comparison:
    """Compare two models on the sentences of one or more files, which each model reads by its own layout.

    Raises:
        DataError: the file is a pipe, has fewer than two sentences, or has no gold tags that fit the models; or the
            models read different sentences or spans in it.
    """
    for file in files_of(paths):
        require_regular(file)
    path = names_of(paths)
    counts = []
    for predictor, layout in zip((first, second), layouts, strict=True):
        with tagged_gold(predictor, paths, layout, note) as tagged:
            pairs = [(sentence.gold, sentence.pred) for sentence in tagged]
        gold, pred = [of_gold for of_gold, _ in pairs], [of_pred for _, of_pred in pairs]
        counts.append((gold, span_counts(gold, pred, predictor.model.manifest.notation.scheme)))
    (gold, ours), (other_gold, theirs) = counts
    check_same_gold((first, second), (gold, other_gold), path)
    return compare(ours, theirs, samples=samples, seed=seed)


def check_same_gold(
    predictors: tuple[Predictor, Predictor], gold: tuple[list[list[str]], list[list[str]]], path: str
) -> None:
    """Raise DataError if two models cannot be compared by what they read in the same files.

    Args:
        predictors: the models.
        gold: the gold tags that each of them has read.
        path: the names of the files, for the message.
    """
    manifests = [predictor.model.manifest for predictor in predictors]
    ours, theirs = gold
    meanings = [_meaning(tags, manifest.notation.scheme) for tags, manifest in zip(gold, manifests, strict=True)]
    if list(map(len, ours)) != list(map(len, theirs)) or meanings[0] != meanings[1]:
        differ = "; they were trained with different data.labels" if manifests[0].labels != manifests[1].labels else ""
        raise DataError(
            f"{path}: the two models read different sentences or spans in it, expected the same{differ}; compare models"
            " for the same kind of file, or name its columns with --columns"
        )
    if len(ours) < 2:
        raise DataError(
            f"{path}: found {counted(len(ours), 'sentence')}, expected at least two; compare on a larger file"
        )


def _meaning(tags: list[list[str]], scheme: str) -> list[Any]:
    return [some if scheme == NO_SCHEME else spans_from_tags(some) for some in tags]


def _doubts_of_gold(corpus: Corpus, layout: Layout, trained: Notation) -> list[str]:
    """Return a note on which column is gold if the one before or after it holds tags of the model too.

    In the output of `tagger predict` on a gold file, the last column is the model's own prediction.
    """
    if layout.tag_key is not None or trained.scheme == NO_SCHEME:
        return []
    split = layout.splitter()
    sides: dict[int, set[str]] = {-1: set(), 1: set()}  # the tags in the column before and after the gold column
    differing = set[int]()
    for sentence in corpus.sentences:
        for gold, row in zip(sentence.tags, sentence.token_rows, strict=True):
            fields = split(sentence.lines[row].decode(layout.encoding, "replace").strip("\ufeff\r\n"))
            for side in list(sides):
                place = layout.columns["tag"] % len(fields) + side
                tag = fields[place] if place != layout.columns["token"] and 0 <= place < len(fields) else ""
                if tag not in layout.known_tags or not looks_like_tag(tag):
                    del sides[side]  # one such value proves that the column holds something else
                    continue
                sides[side].add(tag)
                if tag != gold:
                    differing.add(side)
        if not sides:
            return []
    notes = []
    for side, tags in sides.items():
        if len(tags) > 1:
            where = "before" if side < 0 else "after"
            text = f"the tag column (tag: {layout.columns['tag']}) is taken as gold; the column {where} it also holds"
            text += " tags of the model"
            if side not in differing:
                text += ", and the two are equal on every line: is one of them a prediction?"
            notes.append(f"{text}; pass --columns to choose the gold column, as in token=0,tag=1")
    return notes


@dataclasses.dataclass(frozen=True, slots=True)
class GoldSentence:
    """A sentence of a gold file that was tagged; it has at least one token.

    Attributes:
        path: the file, as messages name it.
        lines: the number of the line of each token.
        tokens: the tokens.
        gold: their gold tags, canonical, in the file's scheme.
        tagged: what the model predicts, in the scheme of its training file.
    """

    path: str
    lines: list[int]
    tokens: list[str]
    gold: list[str]
    tagged: TaggedSentence

    @property
    def pred(self) -> list[str]:
        """The predicted tags, canonical."""
        return self.tagged.tags


class TaggedGold:
    """The sentences of gold files, which are tagged while they are iterated over, once.

    Spans that cannot be scored, because tokens are not annotated, are left out of both sides.

    Args:
        corpus: the sentences and their gold tags.
        tagged: the same sentences with what the model predicts; those that are cut are in parts.
        name: returns the name that messages have for a path.
        scheme: the scheme of the predicted tags.
    """

    def __init__(self, corpus: Corpus, tagged: Iterator[Tagged], name: Callable[[str], str], scheme: str) -> None:
        self._corpus, self._tagged, self._name, self._scheme = corpus, tagged, name, scheme
        self._gold: list[list[str]] = []
        self._pred: list[list[str]] = []

    def __iter__(self) -> Iterator[GoldSentence]:
        whole: GoldSentence | None = None
        continues = False
        for tags, (sentence, tagged) in zip(self._corpus.tags, self._tagged, strict=True):
            if whole is None or not continues or sentence.follows_docstart:
                yield from self._ended(whole)
                whole = GoldSentence(self._name(sentence.path), [], [], [], TaggedSentence([], []))
            whole.lines.extend(sentence.line_number(i) for i in range(len(sentence.tokens)))
            whole.tokens.extend(sentence.tokens)
            whole.gold.extend(tags)
            extend(whole.tagged, tagged)
            continues = sentence.continues
        yield from self._ended(whole)

    def _ended(self, sentence: GoldSentence | None) -> Iterator[GoldSentence]:
        if sentence is not None and sentence.tokens:
            self._gold.append(sentence.gold)
            self._pred.append(sentence.pred)
            yield self._without_unknown(sentence) if UNKNOWN in sentence.gold else sentence

    def _without_unknown(self, sentence: GoldSentence) -> GoldSentence:
        """Return a sentence without the spans that cannot be scored."""
        gold, pred, kept = without_unknown(sentence.gold, sentence.pred, plain=self._scheme == NO_SCHEME)
        of_spans = sentence.tagged.span_probabilities
        kept_of_spans = list(itertools.compress(of_spans, kept)) if of_spans else []
        tagged = dataclasses.replace(sentence.tagged, tags=pred, span_probabilities=kept_of_spans)
        return dataclasses.replace(sentence, gold=gold, tagged=tagged)

    def evaluation(self) -> Evaluation:
        """Return the scores of the sentences that have been iterated over."""
        return evaluate(self._gold, self._pred, self._scheme, self._corpus.notation.scheme)


@contextlib.contextmanager
def tagged_gold(
    predictor: Predictor,
    paths: Files,
    layout: Layout,
    note: Tell = _nothing,
    warn: Tell = _nothing,
    *,
    spans: bool = False,
) -> Iterator[TaggedGold]:
    """Read gold files, which are converted if they are not CoNLL, to tag them with a model.

    Args:
        note: called with how the files were read.
        warn: called with what may be wrong with them.
        spans: whether to compute the probabilities of the predicted spans as well.

    Raises:
        DataError: the file has no gold tags, or its tags do not fit the model.
    """
    trained = predictor.model.manifest.layout
    # CoNLL-U has other columns than most CoNLL files; whoever names columns has looked at them.
    conllu_as_it_is = trained.index_column is not None or layout.columns != trained.columns
    settings = _settings(predictor.model, paths, layout)
    stored = settings.read.columns == predictor.model.manifest.conversion.get("columns")
    with reading(settings, note, conllu_as_it_is=conllu_as_it_is, stored=stored) as readers:
        readable = readers.readable(paths)
        if readable.converted:
            require_no_features(predictor)
        corpus = _load(
            predictor,
            readable.paths,
            CONVERTED if readable.converted else layout,
            lambda text: note(readers.original(text)),
            lambda text: warn(readers.original(text)),
        )
        tagged = tag_stream(predictor, corpus.sentences, probabilities=False, spans=spans)
        yield TaggedGold(corpus, tagged, readers.original, predictor.model.manifest.notation.scheme)


def _settings(model: Model[object], paths: Files, layout: Layout) -> Settings:
    """Return the settings for converting files: those of the training, except for what the user has changed.

    The name of the format is that of the config's files.
    """
    manifest = model.manifest
    given = {**manifest.conversion, "language": manifest.language}
    for name in ("columns", "delimiter", "encoding"):
        trained = getattr(manifest.layout, name)
        if getattr(layout, name) != trained:
            given[name] = getattr(layout, name)
        elif given.get(name) == trained or (name == "columns" and given.get(name, {}).items() <= trained.items()):
            given.pop(name, None)  # it says how the CoNLL files of the training are read
    if files_of(paths) != _configured(model):
        given.pop("format", None)
    return settings_of(given, manifest.labels)


def _load(predictor: Predictor, paths: Files, layout: Layout, note: Tell, warn: Tell) -> Corpus:
    """Read gold files with the labels of the model, and say what is odd about them."""
    manifest = predictor.model.manifest
    corpus = load_gold(paths, layout, manifest.notation, max_lines=CHUNK_LINES)
    if (text := note_on_notation(corpus, manifest.notation)) is not None:
        note(f"{corpus.path}: {text}")
    if layout.columns == manifest.layout.columns:  # otherwise the user has chosen them
        _, doubt = compare_columns(corpus.sentences, layout)
        if doubt is not None:
            warn(f"{corpus.path}: {doubt}")
    for doubt in _doubts_of_gold(corpus, layout, manifest.notation):
        warn(f"{corpus.path}: {doubt}")
    for _ in InputDoubts(predictor.model.encoder, layout, corpus.path, warn).watch(corpus.sentences):
        pass
    known = set(predictor.model.tags.tags)
    if manifest.notation.scheme == NO_SCHEME and known.isdisjoint(tag for tags in corpus.tags for tag in tags):
        shown = ", ".join(sorted({tag for tags in corpus.tags for tag in tags})[:3])
        warn(
            f"{corpus.path}: none of its tags ({shown}) is one of the model's, such as {min(known)}: every"
            " prediction will count as wrong; check that --columns names the tag column"
        )
    tags, notes = manifest.labels.apply(corpus.tags, corpus.notation.scheme)
    for text in notes:
        note(f"{corpus.path}: {text}, as in training")
    return dataclasses.replace(corpus, tags=tags)
