"""Thresholds: the lowest probability from which on the predicted spans of a type have the precision that is wanted."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable

import numpy as np

from tagger.corpus.schemes import spans_from_tags
from tagger.evaluation.calibration import threshold_for
from tagger.evaluation.evaluate import GoldSentence

FEWEST = 20  # predicted spans of a type below which the threshold is that of all types together


@dataclasses.dataclass(frozen=True, kw_only=True)
class Threshold:
    """The threshold of an entity type, or of all types together.

    Attributes:
        threshold: the lowest probability of the spans that are kept; None if no threshold has the precision.
        precision: the share of right spans among the kept ones; 0 if none is kept.
        recall: the share of gold spans that are kept and right.
        recall_of_all: the recall without a threshold.
        n: the number of predicted spans.
        of_all: whether there are too few spans, so that the threshold is that of all types together.
    """

    threshold: float | None
    precision: float
    recall: float
    recall_of_all: float
    n: int
    of_all: bool = False


class _Outcomes:
    """The predicted spans of a type: their probabilities and whether they are right; and the number of gold spans."""

    def __init__(self) -> None:
        self.probabilities: list[float] = []
        self.correct: list[bool] = []
        self.n_gold = 0

    def at(self, threshold: float | None, *, of_all: bool = False) -> Threshold:
        correct = np.array(self.correct, bool)
        kept = np.array(self.probabilities) >= (np.inf if threshold is None else threshold)
        right = int(correct[kept].sum())
        return Threshold(
            threshold=threshold,
            precision=right / int(kept.sum()) if kept.any() else 0.0,
            recall=right / self.n_gold if self.n_gold else 0.0,
            recall_of_all=int(correct.sum()) / self.n_gold if self.n_gold else 0.0,
            n=len(correct),
            of_all=of_all,
        )


def thresholds_for(sentences: Iterable[GoldSentence], precision: float) -> tuple[Threshold, dict[str, Threshold]]:
    """Return the threshold of all types together, and that of each type that is gold or predicted.

    Args:
        sentences: sentences that were tagged with the probabilities of their spans.
        precision: the share of right spans that is wanted, from 0 to 1.
    """
    by_type: dict[str, _Outcomes] = collections.defaultdict(_Outcomes)
    every = _Outcomes()
    for sentence in sentences:
        gold = set(spans_from_tags(sentence.gold))
        for span in gold:
            by_type[span.type].n_gold += 1
            every.n_gold += 1
        found = spans_from_tags(sentence.pred)
        for span, probability in zip(found, sentence.tagged.span_probabilities, strict=True):
            for outcomes in (by_type[span.type], every):
                outcomes.probabilities.append(probability)
                outcomes.correct.append(span in gold)
    general = threshold_for(every.probabilities, every.correct, precision)
    types = {}
    for name, outcomes in sorted(by_type.items()):
        if len(outcomes.correct) < FEWEST:
            types[name] = outcomes.at(general, of_all=True)
        else:
            types[name] = outcomes.at(threshold_for(outcomes.probabilities, outcomes.correct, precision))
    return every.at(general), types
