"""The four schemas of SemEval-2013 task 9.1, which give partly right spans a place of their own.

Each schema pairs predicted spans with gold spans that they overlap, and calls a pair correct, or else incorrect
(`partial` in the schema partial). Spans without a partner are missed or spurious. Segura-Bedmar et al. (2013) define
the schemas but no pairing where a span overlaps several others. That is nervaluate's, as of version 1.2:

- Predicted spans choose in the order of the sentence, and a gold span is paired once. A wrong span may thus take the
  partner of a better one that comes after it: nervaluate's issues 39 and 40. Spans from tags are in order and do not
  overlap each other, so the result does not depend on anything else.
- A predicted span chooses the gold span that makes the pair correct; of several, the one whose boundaries are closest,
  and the first of equals. If there is none, it chooses the first gold span that it overlaps.
- The counts of a type are those of its spans alone, so a span of the wrong type is missed under its gold type and
  spurious under the predicted one. The counts of the types do not add up to those of all spans.

In one point this is not nervaluate's count: one common token is an overlap. For nervaluate, it must be a hundredth of
the gold span, which makes a difference in spans of more than a hundred tokens.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tagger.corpus.schemes import Span, spans_from_tags

Pair = tuple[Span | None, Span | None]  # gold and predicted; None in the place of a missing partner
IsCorrect = Callable[[Span, Span], bool]


def same_bounds(gold: Span, predicted: Span) -> bool:
    """Return whether two spans cover the same tokens."""
    return (gold.start, gold.end) == (predicted.start, predicted.end)


def same_type(gold: Span, predicted: Span) -> bool:
    """Return whether two spans have the same type."""
    return gold.type == predicted.type


# The pairs that are correct in each schema, in nervaluate's names.
SCHEMAS: dict[str, IsCorrect] = {
    "strict": lambda gold, predicted: gold == predicted,
    "exact": same_bounds,
    "partial": same_bounds,
    "ent_type": same_type,
}
_HALF_RIGHT = "partial"  # the schema in which a pair that is not correct counts as half of a correct one


def pairs(gold: Sequence[Span], predicted: Sequence[Span], is_correct: IsCorrect) -> list[Pair]:
    """Pair the spans of a sentence, each with at most one other; the order is that of the sentence.

    Args:
        gold, predicted: spans in order, of which no two overlap.
        is_correct: whether a gold span and a predicted span would be a correct pair.

    >>> gold, predicted = [Span("PER", 0, 2), Span("LOC", 3, 4)], [Span("PER", 1, 4)]
    >>> pairs(gold, predicted, same_type)
    [(Span(type='PER', start=0, end=2), Span(type='PER', start=1, end=4)), (Span(type='LOC', start=3, end=4), None)]
    """
    found: list[Pair] = []
    taken: set[int] = set()
    first = 0  # of the gold spans that end after the beginning of the predicted span
    for span in predicted:
        while first < len(gold) and gold[first].end <= span.start:
            first += 1
        overlapping = [i for i in _overlapping(gold, first, span) if i not in taken]
        correct = [i for i in overlapping if is_correct(gold[i], span)]
        chosen = min(correct, key=lambda i: _distance(gold[i], span)) if correct else next(iter(overlapping), None)
        if chosen is not None:
            taken.add(chosen)
        found.append((None if chosen is None else gold[chosen], span))
    found += [(span, None) for i, span in enumerate(gold) if i not in taken]
    return sorted(found, key=_place)


def _overlapping(gold: Sequence[Span], first: int, span: Span) -> Iterator[int]:
    for i in range(first, len(gold)):
        if gold[i].start >= span.end:
            return
        yield i


def _distance(gold: Span, predicted: Span) -> int:
    return abs(gold.start - predicted.start) + abs(gold.end - predicted.end)


def _place(pair: Pair) -> tuple[int, int]:
    return min([(span.start, span.end) for span in pair if span is not None])


@dataclasses.dataclass(frozen=True)
class SchemaScore:
    """The counts of one schema, and the scores that follow from them as fractions from 0 to 1."""

    correct: int = 0
    incorrect: int = 0
    partial: int = 0
    missed: int = 0
    spurious: int = 0

    @property
    def possible(self) -> int:
        """The number of gold spans."""
        return self.correct + self.incorrect + self.partial + self.missed

    @property
    def actual(self) -> int:
        """The number of predicted spans."""
        return self.correct + self.incorrect + self.partial + self.spurious

    @property
    def precision(self) -> float:
        return self._right / self.actual if self.actual else 0.0

    @property
    def recall(self) -> float:
        return self._right / self.possible if self.possible else 0.0

    @property
    def f1(self) -> float:
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def _right(self) -> float:
        return self.correct + 0.5 * self.partial

    def to_json(self) -> dict[str, float]:
        """Return the counts and scores by name."""
        names = ("possible", "actual", "precision", "recall", "f1")
        return dataclasses.asdict(self) | {name: getattr(self, name) for name in names}


class SchemaScores:
    """The scores of all four schemas, for all spans and by type, of sentences that are added one by one."""

    def __init__(self) -> None:
        self._overall: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        self._types: dict[str, dict[str, collections.Counter[str]]] = {}

    def add(self, gold_tags: Sequence[str], pred_tags: Sequence[str]) -> None:
        """Count the spans of a sentence, which conlleval would read in its canonical tags."""
        gold, predicted = spans_from_tags(gold_tags), spans_from_tags(pred_tags)
        _count(self._overall, gold, predicted)
        for name in {span.type for span in (*gold, *predicted)}:
            of_type = self._types.setdefault(name, collections.defaultdict(collections.Counter))
            _count(of_type, *([span for span in spans if span.type == name] for spans in (gold, predicted)))

    @property
    def overall(self) -> dict[str, SchemaScore]:
        """The score of each schema."""
        return _scores(self._overall)

    @property
    def types(self) -> dict[str, dict[str, SchemaScore]]:
        """The score of each schema by type."""
        return {name: _scores(self._types[name]) for name in sorted(self._types)}

    def to_json(self) -> dict[str, Any]:
        """Return the scores of each schema by name, and those of each type under `types`."""

        def shown(scores: dict[str, SchemaScore]) -> dict[str, Any]:
            return {schema: score.to_json() for schema, score in scores.items()}

        return shown(self.overall) | {"types": {name: shown(scores) for name, scores in self.types.items()}}


def _count(counts: dict[str, collections.Counter[str]], gold: list[Span], predicted: list[Span]) -> None:
    paired = {is_correct: pairs(gold, predicted, is_correct) for is_correct in set(SCHEMAS.values())}
    for schema, is_correct in SCHEMAS.items():
        wrong = "partial" if schema == _HALF_RIGHT else "incorrect"
        for of_gold, of_predicted in paired[is_correct]:
            if of_predicted is None:
                outcome = "missed"
            elif of_gold is None:
                outcome = "spurious"
            else:
                outcome = "correct" if is_correct(of_gold, of_predicted) else wrong
            counts[schema][outcome] += 1


def _scores(counts: dict[str, collections.Counter[str]]) -> dict[str, SchemaScore]:
    return {schema: SchemaScore(**counts.get(schema, collections.Counter())) for schema in SCHEMAS}
