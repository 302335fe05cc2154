"""The errors of predicted spans by kind, and the types that are taken for each other.

Spans are paired as in the schema `ent_type` (see `evaluation.schemas`), so that a span with its right type is a
boundary error rather than a missed one. The numbers of the kinds then follow from nervaluate's counts:

    boundary  correct in ent_type, but not in strict: the right type, other tokens
    type      correct in exact, but not in strict: the same tokens, another type
    both      incorrect in ent_type, but not correct in exact: some common tokens, another type
    missed    missed in ent_type: a gold span without a partner
    made up   spurious in ent_type: a predicted span without a partner
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tagger.corpus.partial import without_unknown
from tagger.corpus.schemes import Span, spans_from_tags
from tagger.evaluation.evaluate import GoldSentence
from tagger.evaluation.schemas import pairs, same_bounds, same_type
from tagger.prediction.scored_spans import scored_spans

BOUNDARY, TYPE, BOTH, MISSED, MADE_UP = KINDS = ("boundary", "type", "both", "missed", "made up")
MOST_AROUND = 100  # tokens that are shown on each side of an error in a long sentence


@dataclasses.dataclass(frozen=True, slots=True)
class Entity:
    """A span of a sentence.

    Attributes:
        type: the entity type.
        text: its tokens with single blanks between them.
        start, end: the indices of its first token and of the token after its last one.
        probability: the probability of a predicted span; None for a gold span, or if it was not computed.
    """

    type: str
    text: str
    start: int
    end: int
    probability: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class SpanError:
    """A gold span, a predicted span, or a pair of both that is wrong.

    Attributes:
        kind: one of `KINDS`.
        sentence: the number of the sentence among those with tokens, from 1.
        path, line: the file and the line of the first token that either span has.
        gold, predicted: the spans; None in the place of one that is missing.
        text: the tokens of the sentence with single blanks between them. Of a sentence of more than 200 tokens, the 100
            before and the 100 after the spans are shown, with `…` where tokens are left out.
    """

    kind: str
    sentence: int
    path: str
    line: int
    gold: Entity | None
    predicted: Entity | None
    text: str


def kind_of(gold: Span | None, predicted: Span | None) -> str | None:
    """Return the kind of error that a pair of spans is, or None if it is right."""
    if gold is None or predicted is None:
        return MISSED if predicted is None else MADE_UP
    if same_type(gold, predicted):
        return None if same_bounds(gold, predicted) else BOUNDARY
    return TYPE if same_bounds(gold, predicted) else BOTH


def span_errors(sentences: Iterable[GoldSentence]) -> Iterator[SpanError]:
    """Yield the errors of tagged sentences as they come, in order."""
    for number, sentence in enumerate(sentences, start=1):
        yield from errors_in(sentence, number)


def errors_in(sentence: GoldSentence, number: int) -> Iterator[SpanError]:
    """Yield the errors of one tagged sentence, in order.

    Args:
        sentence: the sentence.
        number: its number among those with tokens, from 1.
    """
    gold, predicted = spans_from_tags(sentence.gold), spans_from_tags(sentence.pred)
    if gold == predicted:
        return
    scored = scored_spans(sentence.tagged) if sentence.tagged.span_probabilities else []
    probabilities = {(span.start, span.end): span.score for span in scored}
    for of_gold, of_predicted in pairs(gold, predicted, same_type):
        kind = kind_of(of_gold, of_predicted)
        if kind is None:
            continue
        both = [span for span in (of_gold, of_predicted) if span is not None]
        first, end = min(span.start for span in both), max(span.end for span in both)
        yield SpanError(
            kind,
            number,
            sentence.path,
            sentence.lines[first],
            _entity(sentence, of_gold, {}),
            _entity(sentence, of_predicted, probabilities),
            _text_around(sentence.tokens, first, end),
        )


def _text_around(tokens: Sequence[str], first: int, end: int) -> str:
    if len(tokens) <= 2 * MOST_AROUND:
        return " ".join(tokens)
    start, stop = max(0, first - MOST_AROUND), end + MOST_AROUND
    return " ".join([*["…"] * (start > 0), *tokens[start:stop], *["…"] * (stop < len(tokens))])


def _entity(sentence: GoldSentence, span: Span | None, probabilities: Mapping[tuple[int, int], float]) -> Entity | None:
    if span is None:
        return None
    place = span.start, span.end
    return Entity(span.type, " ".join(sentence.tokens[slice(*place)]), *place, probabilities.get(place))


@dataclasses.dataclass(frozen=True, order=True)
class Confusion:
    """A number of spans of one type that were predicted as another; None stands for no span.

    Attributes:
        gold: the gold type, or None for spans that were made up.
        predicted: the predicted type, or None for spans that were missed.
        n: the number of spans.
    """

    gold: str | None
    predicted: str | None
    n: int

    def __str__(self) -> str:
        if self.predicted is None:
            return f"{self.gold} missed: {self.n}"
        if self.gold is None:
            return f"{self.predicted} made up: {self.n}"
        return f"{self.gold} taken for {self.predicted}: {self.n}"


class ConfusionMatrix:
    """The number of spans of each gold type with each predicted type, of sentences that are added one by one.

    Attributes:
        counts: the numbers by gold and predicted type. The gold type None stands for spans that were made up, the
            predicted type None for those that were missed. Right spans and boundary errors are on the diagonal.
    """

    def __init__(self) -> None:
        self._counts: collections.Counter[tuple[str | None, str | None]] = collections.Counter()

    @property
    def counts(self) -> Mapping[tuple[str | None, str | None], int]:
        return self._counts

    @property
    def types(self) -> list[str]:
        """All types, in order."""
        return sorted({name for pair in self._counts for name in pair if name is not None})

    def add(self, gold_tags: Sequence[str], pred_tags: Sequence[str]) -> None:
        """Count the spans of a sentence, which conlleval would read in its canonical tags."""
        self._counts.update(
            (None if gold is None else gold.type, None if predicted is None else predicted.type)
            for gold, predicted in pairs(spans_from_tags(gold_tags), spans_from_tags(pred_tags), same_type)
        )

    def commonest(self, n: int = 3) -> list[Confusion]:
        """Return the n commonest confusions, missed and made up spans among them; equal ones by their names."""
        found = [Confusion(*types, count) for types, count in self._counts.items() if types[0] != types[1]]
        return sorted(found, key=lambda one: (-one.n, one.gold or "", one.predicted or ""))[:n]


def commonest_confusions(
    gold_tags: Iterable[Sequence[str]], pred_tags: Iterable[Sequence[str]], n: int = 3
) -> list[Confusion]:
    """Return the n commonest confusions of sentences with canonical tags of span schemes, the commonest one first."""
    matrix = ConfusionMatrix()
    for gold, predicted in zip(gold_tags, pred_tags, strict=True):
        known, scored, _ = without_unknown(gold, predicted)
        matrix.add(known, scored)
    return matrix.commonest(n)
