"""The intervals agree with scipy's bootstrap, and with what can be computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.evaluation.significance import f1_of
from tagger.report.intervals import f1_intervals


def random_counts(n_sentences: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    gold = rng.integers(0, 4, (n_sentences, 2))
    predicted = rng.integers(0, 4, (n_sentences, 2))
    right = rng.integers(0, np.minimum(gold, predicted) + 1)
    return np.stack([right, predicted, gold], axis=-1)


def test_intervals_are_those_of_scipy_up_to_the_noise_of_the_samples() -> None:
    from scipy import stats

    counts = random_counts(300)
    found = f1_intervals(counts, 300, samples=8000)
    for column, (low, high) in enumerate(found):
        of_type = counts[:, column]
        expected = stats.bootstrap(
            (np.arange(300),),
            lambda rows, axis=-1, of_type=of_type: f1_of(of_type[rows].sum(axis=-2)),
            method="percentile",
            n_resamples=8000,
            vectorized=True,
            rng=np.random.default_rng(0),
        ).confidence_interval
        assert (low, high) == pytest.approx(tuple(expected), abs=0.004)


def test_sentences_without_spans_may_be_left_out() -> None:
    counts = random_counts(100)
    empty = np.zeros((200, 2, 3), np.int64)
    with_them = f1_intervals(np.concatenate([counts, empty]), 300, samples=8000)
    assert f1_intervals(counts, 300, samples=8000) == pytest.approx(with_them, abs=0.006)


def test_equal_sentences_have_no_spread_and_the_seed_decides() -> None:
    counts = np.tile([[[1, 2, 2]]], (50, 1, 1))
    assert f1_intervals(counts, 50).tolist() == [[0.5, 0.5]]
    some = random_counts(40)
    assert (f1_intervals(some, 40, seed=3) == f1_intervals(some, 40, seed=3)).all()
    assert (f1_intervals(some, 40, seed=3) != f1_intervals(some, 40, seed=4)).any()
    assert f1_intervals(np.zeros((0, 1, 3), np.int64), 0).tolist() == [[0.0, 0.0]]
