"""Tagged CoNLL streams as documents, which `tagger.formats` writes in other forms."""

from __future__ import annotations

import bisect
import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tagger.corpus.conll import Sentence
from tagger.corpus.schemes import NO_SCHEME
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Place
from tagger.formats.tokens import Tokens, joined
from tagger.model_dir.manifest import Manifest
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.prediction.scored_spans import extend, scored_spans
from tagger.prediction.stream import Tagged
from tagger.wording import counted

N_BEST = "nbest"  # the field of a document for the likeliest sequences of each of its sentences


@dataclasses.dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The lowest probabilities of the spans that are kept.

    Attributes:
        general: that of the types that are not in `by_type`.
        by_type: those of single types.
        source: where they come from, for messages.

    None stands for more than 1: no span is kept.
    """

    general: float | None = 0.0
    by_type: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    source: str = "--min-probability"

    @classmethod
    def of_model(cls, manifest: Manifest) -> Thresholds | None:
        """Return the thresholds that `tagger threshold --save` stored with a model, or None if there are none."""
        if not manifest.thresholds:
            return None
        by_type = dict(manifest.thresholds)
        general = by_type.pop("", 0.0)
        return cls(general=general, by_type=by_type, source="the model's thresholds (--min-probability 0: none)")

    def keeps(self, span: DocumentSpan) -> bool:
        """Return whether the probability of a span is high enough."""
        least = self.by_type.get(span.type, self.general)
        return span.probability is None or (least is not None and span.probability >= least)


class Found:
    """Turns the tags of sentences into the tokens and spans of documents, and counts the spans that are not kept.

    Args:
        predictor: the predictor that tags the sentences.
        thresholds: which spans are kept.

    Attributes:
        left_out: the number of spans of each type that were not kept.
    """

    def __init__(self, predictor: Predictor, thresholds: Thresholds) -> None:
        self.left_out: collections.Counter[str] = collections.Counter()
        self._thresholds, self._spell = thresholds, predictor.spell
        self._is_plain = predictor.model.manifest.notation.scheme == NO_SCHEME

    def place(
        self, tagged: TaggedSentence, tokens: Tokens, kept: Sequence[int] | None = None
    ) -> tuple[Tokens, list[DocumentSpan]]:
        """Return the tokens of a sentence, which get a tag if the model predicts plain tags, and its spans otherwise.

        Args:
            tagged: the tags of the sentence.
            tokens: those of its tokens that are in the document.
            kept: their indices in the sentence, or None if all of its tokens are in the document.
        """
        if self._is_plain:
            tags = tagged.tags if kept is None else [tagged.tags[i] for i in kept]
            pairs = zip(tokens, map(self._spell, tags), strict=True)
            return tuple(DocumentToken(token.start, token.end, tag) for token, tag in pairs), []
        return tokens, list(self._spans(tagged, tokens, kept))

    def n_best(self, tagged: TaggedSentence, kept: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Return the likeliest sequences of a sentence as a document's field `nbest` holds them."""
        return [
            {
                "tags": [self._spell(one.tags[i]) for i in (range(len(one.tags)) if kept is None else kept)],
                "probability": one.probability,
            }
            for one in tagged.alternatives
        ]

    def _spans(self, tagged: TaggedSentence, tokens: Tokens, kept: Sequence[int] | None) -> Iterator[DocumentSpan]:
        for span in scored_spans(tagged):
            start, end = span.start, span.end
            if kept is not None:
                start, end = bisect.bisect_left(kept, start), bisect.bisect_left(kept, end)
            if start == end:
                continue
            found = DocumentSpan(span.type, tokens[start].start, tokens[end - 1].end, span.score)
            if self._thresholds.keeps(found):
                yield found
            else:
                self.left_out[found.type] += 1

    def left_out_text(self) -> str:
        """Return how many spans were not kept, by type."""
        by_type = ", ".join(f"{name} {n}" for name, n in sorted(self.left_out.items()))
        return f"{counted(self.left_out.total(), 'span')} below {self._thresholds.source} left out" + (
            f": {by_type}" if by_type else ""
        )


class TaggedDocuments:
    """The documents of a tagged CoNLL stream.

    A document goes from one `-DOCSTART-` line to the next. Sentences before the first of these lines are documents of
    their own. Its text is that of the tokens, joined by spaces, and of the sentences, joined by line ends.

    Args:
        path: the name of the stream in messages.
        found: turns tags into spans.
        n_best: whether the documents have the field `nbest`.

    Attributes:
        n_empty: the number of tokens without a character, which are not part of the documents.
    """

    def __init__(self, path: str, found: Found, *, n_best: bool = False) -> None:
        self.n_empty, self._n_best = 0, n_best
        self._path, self._found = path, found
        self._sentences: list[tuple[list[str], TaggedSentence]] = []
        self._inside, self._line = False, 0  # whether a -DOCSTART- line has been read, and where the document begins
        self._cut: tuple[list[str], TaggedSentence] | None = None  # the part of a sentence that has been read

    def add(self, group: Iterable[Tagged]) -> Iterator[Document]:
        """Yield the documents that end before or in a group of sentences."""
        for sentence, tagged in group:
            for row in sentence.docstart_rows:
                self._end_sentence()
                if self._inside or self._sentences:
                    yield self._document()
                self._inside, self._line = True, sentence.first_line + row
            if sentence.tokens:
                self._extend(sentence, tagged)
            if not sentence.continues:
                self._end_sentence()
                if not self._inside and self._sentences:
                    yield self._document()

    def end(self) -> Iterator[Document]:
        """Yield the last document, if it has not been yielded."""
        self._end_sentence()
        if self._inside or self._sentences:
            yield self._document()
        self._inside = False

    def _extend(self, sentence: Sentence, tagged: TaggedSentence) -> None:
        if self._cut is None:
            if not self._inside:
                self._line = sentence.line_number(0)
            self._cut = [], TaggedSentence([], [])
        tokens, whole = self._cut
        tokens += sentence.tokens
        extend(whole, tagged)

    def _end_sentence(self) -> None:
        if self._cut is not None:
            self._sentences.append(self._cut)
            self._cut = None

    def _document(self) -> Document:
        sentences = [(tokens, tagged) for tokens, tagged in self._sentences if any(tokens)]
        self.n_empty += sum(len(tokens) for tokens, _ in self._sentences if not any(tokens))
        self._sentences = []
        text, rows = joined([[token for token in tokens if token] for tokens, _ in sentences])
        spans: list[DocumentSpan] = []
        placed = []
        n_best = []
        for (tokens, tagged), row in zip(sentences, rows, strict=True):
            kept = None if all(tokens) else [i for i, token in enumerate(tokens) if token]
            self.n_empty += len(tokens) - len(row)
            row, of_it = self._found.place(tagged, row, kept)
            placed.append(row)
            spans += of_it
            n_best.append(self._found.n_best(tagged, kept))
        return Document(
            text=text,
            spans=tuple(spans),
            sentences=tuple(placed),
            fields={N_BEST: n_best} if self._n_best else {},
            place=Place(self._path, self._line),
        )
