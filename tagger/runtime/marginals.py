"""How sure the network is of each tag: its softmax probability, or under a CRF its marginal probability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tagger.runtime.decoding import Scores, log_softmax
from tagger.runtime.transitions import Transitions

_Doubles = npt.NDArray[np.float64]
_NUMBERS = 1 << 22  # held at once: a few for each tag of each step, or by logarithms K² for each sentence


def tag_scores(
    logits: Scores,
    lengths: npt.NDArray[np.int32],
    tag_ids: npt.NDArray[np.intp],
    transitions: Transitions | None,
) -> Scores:
    """The probability of each chosen tag [B, T]: under a CRF the marginal one, otherwise that of the softmax.

    Args:
        logits: [B, T, K].
        lengths: [B], 1 to T; what lies beyond means nothing.
        tag_ids: [B, T].
        transitions: those that the tags were decoded with.
    """
    if transitions is not None and transitions.learned:
        probabilities = marginals(logits, lengths, transitions)
        return np.take_along_axis(probabilities, tag_ids[..., None], axis=-1)[..., 0].astype(np.float32)
    chosen: Scores = np.take_along_axis(log_softmax(logits), tag_ids[..., None], axis=-1)[..., 0]
    return np.exp(chosen)


def marginals(logits: Scores, lengths: npt.NDArray[np.int32], transitions: Transitions) -> _Doubles:
    """The probability of each tag at each step, summed over all that the others may be (forward-backward).

    Args:
        logits: [B, T, K].
        lengths: [B], 1 to T; what lies beyond is ignored.
        transitions: a sentence that has no legal path is judged by those with the fewest breaks.

    Returns:
        [B, T, K], zeros beyond each sentence's length.
    """
    n_steps, n_tags = logits.shape[1:]
    mask = np.arange(n_steps) < lengths[:, None]
    emissions = np.where(mask[..., None], logits, 0.0).astype(np.float64)  # at padding there may be anything, even NaN
    emissions -= emissions.max(axis=-1, keepdims=True)
    arrays = (transitions.transition, transitions.start, transitions.end)
    largest = max(np.abs(a[legal]).max(initial=0.0) for a, legal in zip(arrays, transitions.legal, strict=True))
    spread = transitions.spread
    narrow = (2.0 * largest - emissions.min(axis=(1, 2)) <= spread.widest) & (lengths >= spread.shortest)
    result = np.zeros(logits.shape)
    for rows, compute, numbers in (
        (np.flatnonzero(narrow), _by_products, 8 * n_steps * n_tags),
        (np.flatnonzero(~narrow), _by_logarithms, 8 * n_steps * n_tags + 2 * n_tags**2),
    ):
        most = max(1, _NUMBERS // numbers)
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            width = lengths[some].max()
            result[some, :width] = compute(emissions[some, :width], lengths[some], transitions).swapaxes(0, 1)
    result[~mask] = 0.0
    return result


def _by_products(emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> _Doubles:
    """Marginals [T, B, K] of emissions [B, T, K], where nothing can underflow."""
    both, order = _both_ways(emissions, lengths)
    likely = np.exp(both) * transitions.spread.used
    factors = np.exp([transitions.transition, transitions.transition.T])  # [2, K, K]
    arrived = np.empty_like(likely)  # [T, 2, B, K]: at each step, what comes from all steps before it
    arrived[0] = np.exp([transitions.start, transitions.end])[:, None]
    for t in range(len(likely) - 1):
        here = arrived[t] * likely[t]
        here /= here.max(axis=-1, keepdims=True)
        np.matmul(here, factors, out=arrived[t + 1])
    through = arrived[:, 0] * likely[:, 0] * arrived[order, 1, np.arange(len(lengths))]
    result: _Doubles = through / through.sum(axis=-1, keepdims=True)
    return result


def _by_logarithms(emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> _Doubles:
    """The same for any scores."""
    both, order = _both_ways(emissions, lengths)
    scores = np.array([transitions.transition, transitions.transition.T])[:, None]  # [2, 1, K, K]
    arrived = np.empty_like(both)
    arrived[0] = np.array([transitions.start, transitions.end])[:, None]
    for t in range(len(both) - 1):
        here = arrived[t] + both[t]
        here -= here.max(axis=-1, keepdims=True)
        moved = here[..., None] + scores  # [2, B, from, to]
        best = moved.max(axis=-2)
        arrived[t + 1] = best + np.log(np.exp(moved - best[..., None, :]).sum(axis=-2))
    through = arrived[:, 0] + both[:, 0] + arrived[order, 1, np.arange(len(lengths))]
    through = np.exp(through - through.max(axis=-1, keepdims=True))
    result: _Doubles = through / through.sum(axis=-1, keepdims=True)
    return result


def _both_ways(emissions: _Doubles, lengths: npt.NDArray[np.int32]) -> tuple[_Doubles, npt.NDArray[np.intp]]:
    """Sentences [B, T, K] and their reversed copies [T, 2, B, K], and where each step of a copy comes from, [T, B].

    What comes from all steps behind a step is what comes from all before it in the reversed copy, moving backwards.
    """
    steps = np.arange(emissions.shape[1])[:, None]
    order = np.where(steps < lengths, lengths - 1 - steps, steps)
    return np.stack([emissions.swapaxes(0, 1), emissions[np.arange(len(lengths)), order]], axis=1), order
