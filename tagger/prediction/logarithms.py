"""Sums over all tag sequences of sentences, computed from logarithms, which any logits and any transitions allow.

They are some ten times as slow as `prediction.products`, and serve the sentences that those do not fit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tagger.corpus.transitions import Transitions

_Doubles = npt.NDArray[np.float64]
_Places = npt.NDArray[np.intp]
_LEAST = 1e-290  # smaller sums of scaled exponentials may have lost what matters, and are computed from logarithms
_NOTHING = -np.inf


class Logarithms:
    """All tag sequences of B sentences, with the logarithms of sums over them.

    Args:
        emissions: [B, T, K], logits; zeros beyond a sentence's length.
        lengths: [B], 1 to T.
        transitions: the transitions of a CRF or of a scheme.

    Attributes:
        log_total: [B], the logarithm of the summed exponentials of all sequences.
    """

    def __init__(self, emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> None:
        self._transitions, self._lengths = transitions, lengths
        self._factors = np.exp(transitions.transition)
        self._emissions = emissions.swapaxes(0, 1)  # [T, B, K]
        self._before, self._after = self._sums()
        last = self._before[lengths - 1, np.arange(len(lengths))]  # [B, K]
        self.log_total: _Doubles = _log_sum(last + transitions.end)

    def _sums(self) -> tuple[_Doubles, _Doubles]:
        """Return the log-sums of the sequences up to each step, its own logit included, and after it: [T, B, K] twice.

        The sequences after a step are those before it in the reversed sentence, with reversed transitions.
        """
        n_steps, n_rows = self._emissions.shape[:2]
        steps, rows = np.arange(n_steps)[:, None], np.arange(n_rows)
        order = np.where(steps < self._lengths, self._lengths - 1 - steps, steps)  # [T, B]
        both = np.stack([self._emissions, self._emissions[order, rows]], axis=1)  # [T, 2, B, K]
        weights = np.stack([self._transitions.transition, self._transitions.transition.T])
        factors = np.stack([self._factors, self._factors.T])
        arrived = np.empty_like(both)  # sums up to each step, without its own logit
        arrived[0] = np.stack([self._transitions.start, self._transitions.end])[:, None]
        for t in range(n_steps - 1):
            arrived[t + 1] = _moved(arrived[t] + both[t], weights, factors)
        before = arrived[:, 0] + both[:, 0]
        return before, arrived[order, 1, rows]

    def marginals(self) -> _Doubles:
        """Return the probability of each tag at each step, [T, B, K]; anything beyond a sentence's length."""
        through = self._before + self._after
        through -= through.max(axis=-1, keepdims=True)
        result: _Doubles = np.exp(through)
        result /= result.sum(axis=-1, keepdims=True)
        return result

    def log_of_spans(
        self,
        sentence: _Places,
        first: _Places,
        end: _Places,
        of_type: npt.NDArray[np.bool_],
        *,
        begins: npt.NDArray[np.bool_],
        continues: npt.NDArray[np.bool_],
        begins_first: npt.NDArray[np.bool_],
    ) -> _Doubles:
        """Return the logarithm of the summed exponentials of the sequences that have each span, as `Products` does."""
        arrived = self._at_first(begins, begins_first, sentence, first)
        arrived = np.where(of_type, arrived + self._emissions[first, sentence], _NOTHING)
        inner, inner_factors = self._only(continues)
        length = end - first
        for step in range(1, int(length.max(initial=0))):
            n = int(np.searchsorted(-length, -step, side="left"))
            moved = _moved(arrived[:n], inner, inner_factors)
            arrived[:n] = moved + self._emissions[first[:n] + step, sentence[:n]]
        return self._at_end(continues, arrived, sentence, end)

    def _only(self, which: npt.NDArray[np.bool_]) -> tuple[_Doubles, _Doubles]:
        """Return the transitions of which only some are allowed, and their exponentials."""
        return np.where(which, self._transitions.transition, _NOTHING), np.where(which, self._factors, 0.0)

    def _at_first(
        self, begins: npt.NDArray[np.bool_], begins_first: npt.NDArray[np.bool_], sentence: _Places, first: _Places
    ) -> _Doubles:
        """Return the log-sums of the sequences up to the first token of each span, without its logit, [S, K]."""
        arrived = np.empty((len(first), len(begins_first)))
        at_start = first == 0
        arrived[at_start] = np.where(begins_first, self._transitions.start, _NOTHING)
        inner = np.flatnonzero(~at_start)
        if len(inner):
            arrived[inner] = _moved(self._before[first[inner] - 1, sentence[inner]], *self._only(begins))
        return arrived

    def _at_end(self, continues: npt.NDArray[np.bool_], arrived: _Doubles, sentence: _Places, end: _Places) -> _Doubles:
        """Return the log-sums of the sequences with each span, [S]; `arrived` are those up to its last token."""
        total = np.empty(len(end))
        at_end = end == self._lengths[sentence]
        total[at_end] = _log_sum(arrived[at_end] + self._transitions.end)
        inner = np.flatnonzero(~at_end)
        if len(inner):
            rest = self._emissions[end[inner], sentence[inner]] + self._after[end[inner], sentence[inner]]
            total[inner] = _log_sum(_moved(arrived[inner], *self._only(~continues)) + rest)
        return total


def log_of_moves(
    emissions: _Doubles,
    lengths: npt.NDArray[np.int32],
    transitions: Transitions,
    moves: _Places,
    *,
    firsts: npt.NDArray[np.bool_],
    others: npt.NDArray[np.bool_],
) -> _Doubles:
    """Return the logarithm of the summed exponentials of the sequences that make some moves only, [S].

    Args:
        emissions: [S, T, K], logits.
        lengths: [S], 1 to T; values beyond a sentence's length are ignored.
        transitions: the transitions of a CRF or of a scheme.
        moves: [S, T], the move that leads to each step.
        firsts: [M, K], the tags to which each of M moves leads at the first step.
        others: [M, K, K], the transitions that each move allows at the other steps.
    """
    factors = np.exp(transitions.transition)
    arrived = np.where(firsts[moves[:, 0]], transitions.start + emissions[:, 0], _NOTHING)
    for t in range(1, emissions.shape[1]):
        for move in np.unique(moves[lengths > t, t]):
            some = np.flatnonzero((lengths > t) & (moves[:, t] == move))
            weights = np.where(others[move], transitions.transition, _NOTHING)
            arrived[some] = _moved(arrived[some], weights, np.where(others[move], factors, 0.0)) + emissions[some, t]
    return _log_sum(arrived + transitions.end)


def _log_sum(values: _Doubles) -> _Doubles:
    """Return the logarithm of the summed exponentials along the last axis."""
    most = values.max(axis=-1, initial=_NOTHING)
    safe = np.where(np.isfinite(most), most, 0.0)
    with np.errstate(divide="ignore"):
        result: _Doubles = safe + np.log(np.exp(values - safe[..., None]).sum(axis=-1))
    return result


def _moved(arrived: _Doubles, weights: _Doubles, factors: _Doubles) -> _Doubles:
    """Return the log-sums at the next step, without its logits.

    Args:
        arrived: [..., N, K], the log-sums at a step.
        weights: [..., K, K], the transitions.
        factors: their exponentials.
    """
    most = arrived.max(axis=-1, keepdims=True)
    most = np.where(np.isfinite(most), most, 0.0)
    scaled = np.exp(arrived - most)
    sums = scaled @ factors
    with np.errstate(divide="ignore"):
        result: _Doubles = most + np.log(sums)
    # A sum is 0 for a tag that cannot follow; it has lost something only if a tag leads there, or none leads anywhere.
    small = sums < _LEAST
    lost = small.all(axis=-1) & np.isfinite(arrived).any(axis=-1)
    at_risk = small.any(axis=-1) & (np.isfinite(arrived) & (scaled < _LEAST**0.5)).any(axis=-1)
    if at_risk.any():
        leads = (np.isfinite(arrived).astype(np.float32) @ (factors > 0).astype(np.float32)) > 0
        lost |= at_risk & (small & leads).any(axis=-1)
    doubtful = np.argwhere(lost)
    if len(doubtful):
        at = tuple(doubtful.T)
        table = weights[at[:-1]] if weights.ndim > 2 else weights  # [M, K, K] or [K, K]
        result[at] = _log_sum((arrived[at][:, :, None] + table).swapaxes(-1, -2))
    return result
