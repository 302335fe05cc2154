"""The score as a function of the number of labelled sentences, fitted so that it can be continued beyond them.

The curve is a power law with an asymptote, score(n) = a - b n^-c, the form that learning curves of most learners have
(Viering and Loog 2022, "The Shape of Learning Curves", section 4). Its uncertainty is that of the posterior
distribution of (a, b, c) under flat priors on a up to 1, b from 0, and c from 0.05 to 1.5: for each c on a grid, (a, b)
is a linear regression, whose posterior is known.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_EXPONENTS = np.linspace(0.05, 1.5, 59)
_N_SAMPLES = 20_000
# What a mean of many trainings still differs from any smooth curve by, as a fraction; also for a single training.
_LEAST_NOISE, _USUAL_NOISE = 0.003, 0.01
_LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Point:
    """The scores of some trainings on the same number of sentences, as fractions."""

    n: int
    scores: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.scores) / len(self.scores)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A score, or a difference of scores, with the interval that has it with a probability of 95 %."""

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half of the interval."""
        return (self.high - self.low) / 2


@dataclasses.dataclass(frozen=True, eq=False)
class LearningCurve:
    """A fitted curve.

    Attributes:
        samples: [S, 3], draws of (a, b, c) from the posterior distribution; n counts in units of `unit`.
        unit: the largest number of sentences of a point.
        noise: the standard deviation of a single training's score.
        grows: whether a growing curve fits; if the scores fall instead, the curve is flat, and says nothing of a gain.
    """

    samples: npt.NDArray[np.float64]
    unit: int
    noise: float
    grows: bool = True

    def at(self, n: float, *, n_trainings: int | None = None) -> Estimate:
        """Return the expected score on n sentences.

        Args:
            n_trainings: if given, the estimate is that of the mean score of so many trainings, which varies by itself.
        """
        values = self._values(n)
        if n_trainings is not None:
            noise = math.hypot(self.noise / math.sqrt(n_trainings), _LEAST_NOISE)
            values = values + np.random.default_rng(1).normal(0.0, noise, len(values))
        return _estimate(values)

    def gain(self, n: float, more: float) -> Estimate:
        """Return the expected gain of `more` sentences over n sentences."""
        return _estimate(self._values(more) - self._values(n))

    def _values(self, n: float) -> npt.NDArray[np.float64]:
        a, b, c = self.samples.T
        values: npt.NDArray[np.float64] = a - b * (n / self.unit) ** -c
        return values


def _estimate(values: npt.NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(values, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Estimate(float(values.mean()), float(low), float(high))


def fit(points: Sequence[Point]) -> LearningCurve:
    """Fit a curve to at least three points.

    Raises:
        ValueError: there are fewer, or two have the same number of sentences.
    """
    sizes = np.array([point.n for point in points], np.float64)
    if len(points) < 3 or len(set(sizes)) < len(points):
        raise ValueError(f"found {len(points)} points, expected at least three of different sizes")
    means, unit = np.array([point.mean for point in points]), int(sizes.max())
    noise = noise_of(points)
    of_mean = np.array([math.hypot(noise / math.sqrt(len(point.scores)), _LEAST_NOISE) for point in points])
    rng, relative = np.random.default_rng(0), sizes / unit
    centres, covariances, log_volumes, squares = _regressions(relative ** -_EXPONENTS[:, None], means, of_mean)
    # If no power law fits the points within their noise, they are less certain than their noise says.
    misfit = float(squares.min()) / max(1, len(points) - 3)
    widened = max(1.0, misfit)
    logs = log_volumes - squares / (2 * widened)
    weights = np.exp(logs - logs.max())
    counts = rng.multinomial(_N_SAMPLES, weights / weights.sum())
    parts = []
    for c, n, centre, covariance in zip(_EXPONENTS, counts, centres, covariances, strict=True):
        if n:  # the inverse of what X'X is needs no check
            drawn = rng.multivariate_normal(centre, covariance * widened, n, check_valid="ignore")
            drawn = drawn[(drawn[:, 0] <= 1) & (drawn[:, 1] >= 0)]
            parts.append(np.column_stack([drawn, np.full(len(drawn), c)]))
    samples = np.concatenate(parts)
    if not len(samples):  # the scores fall with more sentences, so no allowed curve is near: a flat one is the closest
        spread = max(float(means.std(ddof=1)), noise) / math.sqrt(len(means))
        level = np.clip(rng.normal(means.mean(), spread, _N_SAMPLES), 0.0, 1.0)
        samples = np.column_stack([level, np.zeros(_N_SAMPLES), np.ones(_N_SAMPLES)])
        return LearningCurve(samples, unit, noise, grows=False)
    return LearningCurve(samples, unit, noise)


def _regressions(
    powers: npt.NDArray[np.float64], means: npt.NDArray[np.float64], noise: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.floating], ...]:
    """Return the regressions of the means on 1 and -n^-c for all c: centres, covariances, log-volumes, squares.

    Args:
        powers: [C, N], n^-c.
        means, noise: [N].
    """
    designs = np.stack([np.ones_like(powers), -powers], axis=-1) / noise[:, None]
    across = designs.transpose(0, 2, 1)
    information = across @ designs
    covariances = np.linalg.inv(information)
    centres = (covariances @ (across @ (means / noise))[..., None])[..., 0]
    squares = ((means / noise - (designs @ centres[..., None])[..., 0]) ** 2).sum(axis=1)
    return centres, covariances, -0.5 * np.linalg.slogdet(information)[1], squares


def noise_of(points: Sequence[Point]) -> float:
    """Return the standard deviation of a training's score, pooled over the points with several trainings."""
    squares = sum((score - point.mean) ** 2 for point in points for score in point.scores)
    freedom = sum(len(point.scores) - 1 for point in points)
    if not freedom:
        return _USUAL_NOISE
    # A few trainings may agree by chance, so the usual noise counts like two more.
    return math.sqrt((squares + 2 * _USUAL_NOISE**2) / (freedom + 2))
