"""The comparison of two models, checked against seqeval, all exchanges and a separate bootstrap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.evaluation.scores import evaluate
from tagger.evaluation.significance import Counts, compare, f1_of, span_counts

TAG = st.sampled_from(["O", "B-X", "I-X", "B-Y", "I-Y"])
PAIRS = st.lists(st.lists(st.tuples(TAG, TAG), max_size=6), min_size=1, max_size=8)  # gold and predicted tags


def f1(n_right: int, n_pred: int, n_gold: int) -> float:
    return 2 * n_right / (n_pred + n_gold) if n_pred + n_gold else 0.0


def random_counts(n: int, seed: int, better_by: float = 0.0) -> tuple[Counts, Counts]:
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, 5, n)
    models = []
    for chance in (0.6 + better_by, 0.6):
        right = rng.binomial(gold, chance)
        models.append(np.stack([right, right + rng.integers(0, 2, n), gold], axis=1))
    return models[0], models[1]


@given(PAIRS)
def test_the_counts_yield_the_f1_of_seqeval(sentences: list[list[tuple[str, str]]]) -> None:
    gold, pred = ([[pair[side] for pair in sentence] for sentence in sentences] for side in (0, 1))
    overall = evaluate(gold, pred, "IOB2").overall
    assert overall is not None
    assert float(f1_of(span_counts(gold, pred, "IOB2").sum(axis=0))) == pytest.approx(overall.f1)


def test_counts_by_hand() -> None:
    gold = [["B-X", "I-X", "O"], ["O", "O"], ["B-Y"]]
    pred = [["B-X", "I-X", "B-Y"], ["I-X", "O"], ["O"]]
    assert span_counts(gold, pred, "IOB2").tolist() == [[1, 2, 1], [0, 1, 0], [0, 0, 1]]
    assert span_counts([["a", "b"], ["c"]], [["a", "c"], ["c"]], "none").tolist() == [[1, 2, 2], [1, 1, 1]]
    assert float(f1_of(span_counts([], [], "IOB2").sum(axis=0))) == 0.0


def exact_p_value(first: Counts, second: Counts) -> float:
    """Compute the p-value from all 2^S exchanges of S sentences."""
    observed = f1(*first.sum(axis=0)) - f1(*second.sum(axis=0))
    found = []
    for exchanged in itertools.product([False, True], repeat=len(first)):
        flags = np.array(exchanged)[:, None]
        a, b = np.where(flags, second, first).sum(axis=0), np.where(flags, first, second).sum(axis=0)
        found.append(f1(*a) - f1(*b))
    return float(np.mean(np.abs(found) >= abs(observed) - 1e-12))


@pytest.mark.parametrize("seed", range(6))
def test_the_p_value_agrees_with_all_exchanges(seed: int) -> None:
    first, second = random_counts(9, seed, better_by=0.3)
    exact = exact_p_value(first, second)
    assert compare(first, second, samples=600).p_value == pytest.approx(exact, abs=1e-9), (
        "all 512 exchanges must be tried"
    )
    first, second = random_counts(12, seed, better_by=0.2)
    assert compare(first, second, samples=3000).p_value == pytest.approx(exact_p_value(first, second), abs=0.04)


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_agrees_with_a_separate_bootstrap(seed: int) -> None:
    first, second = random_counts(60, seed, better_by=0.1)
    rng = np.random.default_rng(5)
    differences = []
    for _ in range(4000):
        rows = rng.integers(0, 60, 60)
        differences.append(f1(*first[rows].sum(axis=0)) - f1(*second[rows].sum(axis=0)))
    low, high = np.percentile(differences, [2.5, 97.5])
    found = compare(first, second, samples=4000)
    assert found.interval == pytest.approx((low, high), abs=0.15 * (high - low))
    assert found.difference == pytest.approx(f1(*first.sum(axis=0)) - f1(*second.sum(axis=0)))
    assert found.f1 == pytest.approx((f1(*first.sum(axis=0)), f1(*second.sum(axis=0))))


def test_equal_models_do_not_differ_and_a_much_better_one_does() -> None:
    first, second = random_counts(300, 1, better_by=0.3)
    same = compare(first, first, samples=500)
    assert (same.difference, same.p_value, same.interval) == (0.0, 1.0, (0.0, 0.0))
    better = compare(first, second, samples=2000)
    assert better.p_value < 0.01
    assert better.interval[0] > 0
    worse = compare(second, first, samples=2000)
    assert worse.difference == -better.difference
    assert worse.interval[1] < 0


def test_the_same_seed_gives_the_same_numbers() -> None:
    first, second = random_counts(50, 2, better_by=0.05)
    once = compare(first, second, samples=500)
    assert compare(first, second, samples=500) == once
    assert compare(first, second, samples=500, seed=2) != once


def test_counts_of_other_sentences_are_refused() -> None:
    first, second = random_counts(10, 1)
    for other in (second[:9], second[::-1], random_counts(10, 5)[1]):
        with pytest.raises(ValueError, match="expected the counts of the same sentences"):
            compare(first, other)
    with pytest.raises(ValueError, match="at least two"):
        compare(first[:1], second[:1])
