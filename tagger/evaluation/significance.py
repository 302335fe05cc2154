"""Test whether one model is better than another on the same sentences, or only luckier."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.corpus.schemes import NO_SCHEME, UNKNOWN, spans_from_tags

Counts = npt.NDArray[np.int64]  # [S, 3]: the numbers of right, predicted and gold spans of each of S sentences
_INDICES_AT_ONCE = 1 << 21


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison of two models on the same sentences, in fractions.

    Attributes:
        f1: the F1 of each model.
        difference: the F1 of the first model minus the F1 of the second.
        interval: the 95 % interval of the difference, by the bootstrap over sentences (Efron 1979; percentiles).
        p_value: the p-value of paired approximate randomization (two-sided; Noreen 1989; for F1: Yeh 2000): the share
            of samples whose difference is at least as large when the two predictions of each sentence are swapped at
            random.
        samples: the number of samples of each method.
    """

    f1: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    p_value: float
    samples: int

    def to_json(self) -> dict[str, Any]:
        """Return the object that `tagger compare --json` prints."""
        return dataclasses.asdict(self)


def span_counts(gold: Sequence[Sequence[str]], pred: Sequence[Sequence[str]], scheme: str) -> Counts:
    """Count right, predicted and gold spans of each sentence by conlleval's reading, or tokens if tags are plain."""
    rows = []
    for gold_tags, pred_tags in zip(gold, pred, strict=True):
        if scheme == NO_SCHEME:
            known = [(a, b) for a, b in zip(gold_tags, pred_tags, strict=True) if a != UNKNOWN]
            rows.append((sum(a == b for a, b in known), len(known), len(known)))
        else:
            gold_spans, pred_spans = set(spans_from_tags(gold_tags)), set(spans_from_tags(pred_tags))
            rows.append((len(gold_spans & pred_spans), len(pred_spans), len(gold_spans)))
    return np.array(rows, np.int64).reshape(-1, 3)


def f1_of(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return F1 from sums of counts [..., 3]; F1 is 0 where no span is right."""
    right, n_spans = counts[..., 0], counts[..., 1] + counts[..., 2]
    f1: npt.NDArray[np.float64] = np.divide(2.0 * right, n_spans, out=np.zeros(right.shape), where=n_spans > 0)
    return f1


def compare(first: Counts, second: Counts, *, samples: int = 10_000, seed: int = 1) -> Comparison:
    """Compare two models by their counts on the same sentences.

    Raises:
        ValueError: the counts come from different sentences, or from fewer than two.
    """
    from scipy import stats

    n = len(first)
    if len(second) != n or n < 2 or (first[:, 2] != second[:, 2]).any():
        raise ValueError("expected the counts of the same sentences, at least two")
    both = np.concatenate([first, second])  # sentence i is row i of the first model and row n + i of the second

    def difference(rows: Any, others: Any, axis: int = -1) -> Any:
        del axis  # always the last one
        return f1_of(both[rows].sum(axis=-2)) - f1_of(both[others].sum(axis=-2))

    sentences = np.arange(n)
    options: dict[str, Any] = {
        "n_resamples": samples, "vectorized": True, "batch": max(1, _INDICES_AT_ONCE // n), "axis": -1,
    }  # fmt: skip
    exchanged = stats.permutation_test(
        (sentences, sentences + n),
        difference,
        permutation_type="samples",
        rng=np.random.default_rng([seed, 0]),
        **options,
    )
    drawn = stats.bootstrap(
        (sentences,),
        lambda rows, axis=-1: difference(rows, rows + n, axis),
        method="percentile",
        rng=np.random.default_rng([seed, 1]),
        **options,
    )
    interval = drawn.confidence_interval
    return Comparison(
        f1=(float(f1_of(first.sum(axis=0))), float(f1_of(second.sum(axis=0)))),
        difference=float(exchanged.statistic),
        interval=(float(interval.low), float(interval.high)),
        p_value=float(exchanged.pvalue),
        samples=samples,
    )
