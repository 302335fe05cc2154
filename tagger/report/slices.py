"""Scores of parts of the spans: by the length of the entity, that of the sentence, and the frequency of the tokens.

Gold and predicted spans are divided in the same way, by what they are themselves, so that a right span is in the same
part on both sides.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from tagger.corpus.schemes import Span
from tagger.evaluation.scores import Score

Measure = Callable[[Sequence[str], Span], int]  # takes the tokens of a sentence and one of its spans


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the spans with its score, and the number of predicted spans."""

    name: str
    score: Score
    n_predicted: int


class Slices:
    """The scores of the spans whose measure lies between two edges, of sentences that are added one by one.

    Args:
        title: what the spans are divided by.
        starts: the least measure of each part, in order; each part ends where the next one begins.
        measure: returns the number that decides which part a span is in; one below the first start is in the first.
    """

    def __init__(self, title: str, starts: Sequence[int], measure: Measure) -> None:
        self.title, self._starts, self._measure = title, starts, measure
        self._gold, self._predicted, self._right = (collections.Counter[int]() for _ in range(3))

    def add(self, tokens: Sequence[str], gold: Sequence[Span], predicted: Sequence[Span]) -> None:
        """Count the spans of a sentence."""

        def parts(spans: Iterable[Span]) -> Iterable[int]:
            for span in spans:
                value = self._measure(tokens, span)
                yield max(0, sum(value >= start for start in self._starts) - 1)

        self._gold.update(parts(gold))
        self._predicted.update(parts(predicted))
        self._right.update(parts(set(gold) & set(predicted)))

    @property
    def parts(self) -> list[Part]:
        """The parts that have spans, in order."""
        return [
            Part(
                self._name(i),
                Score.of_counts(self._right[i], self._predicted[i], self._gold[i]),
                self._predicted[i],
            )
            for i in range(len(self._starts))
            if self._gold[i] or self._predicted[i]
        ]

    def _name(self, i: int) -> str:
        start = self._starts[i]
        if i + 1 == len(self._starts):
            return f"{start} or more"
        last = self._starts[i + 1] - 1
        return f"{start}" if last == start else f"{start}–{last}"


def slices_of(counts: Mapping[str, int] | None, normalize: Callable[[str], str]) -> list[Slices]:
    """Return the ways in which a report divides the spans.

    Args:
        counts: the number of times that the training data have each normalized token; None if they are not there.
        normalize: returns the form in which the model looks a token up.
    """
    found = [
        Slices("Entity length in tokens", (1, 2, 3, 4, 5), lambda _, span: span.end - span.start),
        Slices("Sentence length in tokens", (1, 11, 21, 31, 51), lambda tokens, _: len(tokens)),
    ]
    if counts is not None:

        def rarest(tokens: Sequence[str], span: Span) -> int:
            return min(counts.get(normalize(token), 0) for token in tokens[span.start : span.end])

        found.append(
            Slices("Times that the training data have the entity's rarest token", (0, 1, 2, 6, 21, 101), rarest)
        )
    return found
