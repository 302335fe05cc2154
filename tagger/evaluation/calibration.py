"""Calibration: whether spans that are predicted with probability p are right in a share p of the cases.

The error and the diagram are those of Naeini et al. (2015) and Guo et al. (2017, sections 2 and 4.2): predictions are
put into bins of equal width by their probability. A temperature divides all logits, with a CRF its transitions too, so
that the tags stay the same and their probabilities become less extreme, or more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.corpus.dataset import Corpus
from tagger.corpus.partial import without_unknown
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.model_dir.manifest import Calibration
from tagger.prediction.predictor import Predictor

N_BINS = 15
_FEWEST = 50  # spans that a temperature is fitted on
_MOST_FOR_TEMPERATURE, _MOST_FOR_CURVE = 1000, 5000  # sentences; more only cost time
_FEWEST_FOR_CURVE = 300  # spans
_KNOTS, _PENALTY = 8, 1.0  # of a curve, chosen on sentences of NerKor that are in no table
_POINTS = 60  # of a curve as it is stored
_SLOPE = 1e-4
_RANGE = (0.1, 20.0)  # of temperatures
_TOLERANCE = 0.04  # of the logarithm of the temperature
_LEAST = 1e-6  # probabilities are kept this far from 0 and 1, so that one mistake does not decide


@dataclasses.dataclass(frozen=True)
class Bin:
    """The predictions whose probability lies in an interval.

    Attributes:
        low, high: the interval; the high end belongs to it.
        n: the number of predictions.
        probability: their mean probability.
        precision: the share of them that is right.
    """

    low: float
    high: float
    n: int
    probability: float
    precision: float


Fractions = npt.NDArray[np.float64]


def reliability(probabilities: Fractions, correct: npt.NDArray[np.bool_], n_bins: int = N_BINS) -> list[Bin]:
    """Return the bins that hold predictions, in order.

    Args:
        probabilities: [N], the probabilities of the predictions.
        correct: [N], whether each of them is right.
        n_bins: the number of intervals between 0 and 1.
    """
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    at = np.clip(np.searchsorted(edges, probabilities, side="left") - 1, 0, n_bins - 1)
    bins = []
    for i in range(n_bins):
        inside = at == i
        n = int(inside.sum())
        if n:
            mean, precision = float(probabilities[inside].mean()), float(correct[inside].mean())
            bins.append(Bin(float(edges[i]), float(edges[i + 1]), n, mean, precision))
    return bins


def calibration_error(probabilities: Fractions, correct: npt.NDArray[np.bool_], n_bins: int = N_BINS) -> float:
    """Return the expected calibration error, from 0 to 1: the mean of |precision - probability| over all predictions.

    It is 0 without predictions. The arguments are those of `reliability`.
    """
    bins = reliability(probabilities, correct, n_bins)
    total = sum(one.n for one in bins)
    return sum(one.n * abs(one.precision - one.probability) for one in bins) / total if total else 0.0


def span_outcomes(
    predictor: Predictor, corpus: Corpus, temperature: float | None = None
) -> tuple[Fractions, npt.NDArray[np.bool_]]:
    """Return the probability of each predicted span of a corpus, and whether it is a gold span, [N] and [N].

    Args:
        predictor: the predictor.
        corpus: sentences with gold tags.
        temperature: the temperature to use instead of the model's.
    """
    sentences = corpus.sentences
    tagged = predictor.tag(
        [sentence.tokens for sentence in sentences],
        [sentence.features for sentence in sentences],
        spans=True,
        temperature=temperature,
    )
    probabilities, correct = [], []
    for gold_tags, sentence in zip(corpus.tags, tagged, strict=True):
        known, _, kept = without_unknown(gold_tags, sentence.tags)
        gold, spans = set(spans_from_tags(known)), spans_from_tags(sentence.tags)
        for span, probability, is_kept in zip(spans, sentence.span_probabilities, kept, strict=True):
            if not is_kept:
                continue
            probabilities.append(probability)
            correct.append(span in gold)
    return np.array(probabilities), np.array(correct, bool)


def fit_calibration(predictor: Predictor, corpus: Corpus) -> Calibration | None:
    """Return the calibration with which the predicted spans of a corpus are as right as their probabilities say.

    First the temperature that minimizes the cross-entropy between the probability of each predicted span and whether it
    is right; then a curve, because the precision of the surest spans often stays below their probability.

    Args:
        predictor: the predictor.
        corpus: sentences with gold tags. Of many, evenly spaced ones are used.

    Returns:
        The calibration; None if there are too few spans, or plain tags.
    """
    if predictor.model.manifest.notation.scheme == NO_SCHEME:
        return None
    some = _evenly(corpus, _MOST_FOR_CURVE)
    before, correct = span_outcomes(predictor, some, 1.0)
    if len(before) < _FEWEST:
        return None
    temperature = _temperature(predictor, _evenly(some, _MOST_FOR_TEMPERATURE))
    found, _ = span_outcomes(predictor, some, temperature)
    curve = _curve(found, correct)
    after = np.interp(found, *np.array(curve).T) if curve else found
    return Calibration(
        temperature=temperature,
        curve=curve,
        error_before=calibration_error(before, correct),
        error_after=calibration_error(after, correct),
        n_spans=len(before),
    )


def _temperature(predictor: Predictor, corpus: Corpus) -> float:
    from scipy.optimize import minimize_scalar

    def loss(logarithm: float) -> float:
        found, correct = span_outcomes(predictor, corpus, float(np.exp(logarithm)))
        p = np.clip(found, _LEAST, 1 - _LEAST)
        return float(-np.where(correct, np.log(p), np.log1p(-p)).mean()) if len(p) else 0.0

    options = {"xatol": _TOLERANCE, "maxiter": 20}
    best = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded", options=options)
    return round(float(np.exp(best.x)), 4)


def _curve(probabilities: Fractions, correct: npt.NDArray[np.bool_]) -> tuple[tuple[float, float], ...]:
    """Return points between which the precision of spans is interpolated; none if there are too few spans.

    The curve is a logistic regression on the logit of the probability, in which the slope may change at some knots: a
    linear spline, with a penalty on each change (Ruppert, Wand and Carroll 2003, section 3.5). Without changes it would
    be Platt's scaling. It never falls, and a small slope keeps the order of the spans.
    """
    from scipy.special import expit

    if len(probabilities) < _FEWEST_FOR_CURVE:
        return ()
    logits = _logit(probabilities)
    knots = np.quantile(logits, np.linspace(0, 1, _KNOTS + 2)[1:-1])
    weights = _spline(_basis(logits, knots), correct)
    grid = np.linspace(logits.min(), logits.max(), _POINTS)
    places = np.concatenate([[0.0], 1 / (1 + np.exp(-grid)), [1.0]])
    fitted = expit(_basis(_logit(places), knots) @ weights)
    inner: dict[float, float] = {}  # places that are equal when rounded are one point
    for x, y in zip(places.tolist(), np.maximum.accumulate(fitted).tolist(), strict=True):
        inner[round(x, 6)] = y
    return tuple((x, round((1 - _SLOPE) * y + _SLOPE * x, 8)) for x, y in inner.items())


def _logit(probabilities: Fractions) -> Fractions:
    inside = np.clip(probabilities, _LEAST, 1 - _LEAST)
    result: Fractions = np.log(inside) - np.log1p(-inside)
    return result


def _basis(logits: Fractions, knots: Fractions) -> Fractions:
    """Return the columns of a linear spline, [N, 2 + knots]: 1, and the part of the logit between each two knots.

    The part below the first knot is negative.
    """
    below = np.minimum(logits[:, None], knots) - np.append(knots[0], knots[:-1])
    inner: Fractions = np.maximum(below[:, 1:], 0.0)
    return np.column_stack([np.ones_like(logits), below[:, 0], inner, np.maximum(logits - knots[-1], 0.0)])


def _spline(basis: Fractions, correct: npt.NDArray[np.bool_]) -> Fractions:
    """Return the weights of a logistic regression with slopes from 0, whose changes have a penalty."""
    from scipy.optimize import minimize
    from scipy.special import expit

    n_slopes = basis.shape[1] - 1

    def loss(weights: Fractions) -> tuple[float, Fractions]:
        sums, changes = basis @ weights, np.diff(weights[1:])
        value = np.logaddexp(0.0, sums).sum() - sums[correct].sum() + _PENALTY * (changes**2).sum()
        gradient = basis.T @ (expit(sums) - correct)
        gradient[1:-1] -= 2 * _PENALTY * changes
        gradient[2:] += 2 * _PENALTY * changes
        return float(value), gradient

    begin = np.append(0.0, np.ones(n_slopes))
    bounds = [(None, None)] + [(0.0, None)] * n_slopes
    options = {"ftol": 1e-12}
    found: Fractions = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    return found


def _evenly(corpus: Corpus, most: int) -> Corpus:
    """Return at most a number of sentences of a corpus."""
    step = max(1, -(-len(corpus) // most))
    return dataclasses.replace(corpus, sentences=corpus.sentences[::step], tags=corpus.tags[::step])


def threshold_for(
    probabilities: Sequence[float] | Fractions, correct: Sequence[bool] | npt.NDArray[np.bool_], precision: float
) -> float | None:
    """Return the lowest probability from which on all predictions together have a precision; None if there is none.

    Args:
        probabilities: [N], the probabilities of the predictions.
        correct: [N], whether each of them is right.
        precision: the wanted share of right predictions.
    """
    order = np.argsort(-np.asarray(probabilities), kind="stable")
    ranked, right = np.asarray(probabilities)[order], np.cumsum(np.asarray(correct, bool)[order])
    shares = right / np.arange(1, len(order) + 1)
    is_last = np.append(ranked[1:] < ranked[:-1], True) if len(order) else np.zeros(0, bool)  # of equal probabilities
    reached = np.flatnonzero((shares >= precision) & is_last)
    return float(ranked[reached[-1]]) if len(reached) else None
