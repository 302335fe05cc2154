"""Check the fitted learning curve against curves that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.evaluation.learning_curve import Point, fit, noise_of

SIZES = (100, 200, 300, 500, 700, 1000)


def power_law(n: float, a: float = 0.95, b: float = 1.2, c: float = 0.4) -> float:
    return a - b * n**-c


def points(noise: float, seed: int, *, sizes: tuple[int, ...] = SIZES, repeats: int = 3) -> list[Point]:
    rng = np.random.default_rng(seed)
    return [Point(n, tuple(power_law(n) + rng.normal(0, noise, repeats))) for n in sizes]


def test_a_curve_without_noise_is_found() -> None:
    curve = fit([Point(n, (power_law(n),) * 20) for n in SIZES])
    for n in (*SIZES, 2000):
        assert curve.at(n).value == pytest.approx(power_law(n), abs=0.006)
        assert curve.at(n).low < power_law(n) < curve.at(n).high
    gain = curve.gain(1000, 2000)
    assert gain.low < power_law(2000) - power_law(1000) < gain.high
    assert gain.value == pytest.approx(curve.at(2000).value - curve.at(1000).value)


def test_intervals_hold_what_they_promise() -> None:
    """Fit 10 to 50 % and predict the mean of three trainings at 100 %: 95 % of the intervals have it."""
    inside, widths = 0, []
    for seed in range(200):
        curve = fit(points(0.008, seed, sizes=(100, 200, 300, 500)))
        estimate = curve.at(1000, n_trainings=3)
        truth = power_law(1000) + np.random.default_rng([seed, 1]).normal(0, 0.008, 3).mean()
        inside += estimate.low <= truth <= estimate.high
        widths.append(estimate.margin)
    assert 185 <= inside <= 200
    assert np.median(widths) < 0.06


def test_fewer_points_and_longer_ways_are_less_certain() -> None:
    many, few = fit(points(0.01, 1)), fit(points(0.01, 1)[:3])
    assert few.at(2000).margin > many.at(2000).margin
    assert many.at(4000).margin > many.at(1500).margin > 0


def test_what_no_power_law_fits_is_less_certain() -> None:
    straight = [Point(n, (power_law(n),) * 3) for n in SIZES]
    bent = [Point(one.n, tuple(s + (-1) ** i * 0.03 for s in one.scores)) for i, one in enumerate(straight)]
    assert fit(bent).at(2000).margin > 2 * fit(straight).at(2000).margin


@pytest.mark.parametrize("scores", [[0.5, 0.5, 0.5], [0.9, 0.6, 0.3], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
def test_flat_and_falling_scores_give_a_curve_all_the_same(scores: list[float]) -> None:
    curve = fit([Point(n, (score,)) for n, score in zip(SIZES, scores, strict=False)])
    assert curve.at(2000).high <= 1
    assert curve.gain(300, 600).value >= 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=3, max_size=6))
def test_any_scores_give_finite_estimates(scores: list[float]) -> None:
    curve = fit([Point(n, (score,)) for n, score in zip(SIZES, scores, strict=False)])
    estimate = curve.at(5000, n_trainings=2)
    assert all(map(np.isfinite, (estimate.value, estimate.low, estimate.high)))
    assert estimate.low <= estimate.value <= estimate.high


def test_the_noise_is_pooled_over_the_points() -> None:
    found = noise_of([Point(1, (0.5, 0.6)), Point(2, (0.7, 0.7)), Point(3, (0.1,))])
    assert found == pytest.approx(((0.005 + 2 * 0.01**2) / 4) ** 0.5)
    assert noise_of([Point(1, (0.5,))]) == 0.01


def test_few_or_equal_points_are_refused() -> None:
    with pytest.raises(ValueError, match="found 2 points, expected at least three"):
        fit([Point(1, (0.1,)), Point(2, (0.2,))])
    with pytest.raises(ValueError, match="found 3 points, expected at least three of different sizes"):
        fit([Point(1, (0.1,)), Point(2, (0.2,)), Point(2, (0.2,))])


def test_the_same_points_give_the_same_estimates() -> None:
    assert fit(points(0.01, 3)).at(2000) == fit(points(0.01, 3)).at(2000)


def test_falling_scores_are_not_certain_of_a_flat_curve() -> None:
    points = [Point(11, (0.30,)), Point(27, (0.15,)), Point(54, (0.0,))]
    curve = fit(points)
    assert not curve.grows
    assert curve.at(27).value == pytest.approx(0.15, abs=0.01)
    # Three means with a standard deviation of 0.15: 1.96 * 0.15 / sqrt(3).
    assert curve.at(108).margin == pytest.approx(0.17, abs=0.02)
    assert fit([Point(11, (0.1,)), Point(27, (0.2,)), Point(54, (0.3,))]).grows
