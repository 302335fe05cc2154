"""Sums over all tag sequences of sentences as products of probabilities, which are scaled again at each step.

The scaling is that of Rabiner (1989, section V.A). It needs no logarithm inside a sentence, so a step is a product of
matrices, but it only fits sentences for which no product can underflow; `are_narrow` says which these are.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from tagger.corpus.transitions import Transitions

_Doubles = npt.NDArray[np.float64]
_Places = npt.NDArray[np.intp]
# OpenBLAS takes several threads for more multiplications than this. They wait in a loop, which takes the cores from the
# network.
_MOST_MULTIPLICATIONS = 1 << 18


def are_narrow(emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> npt.NDArray[np.bool_]:
    """Return for which sentences no product of probabilities can underflow, [B]; see `Transitions.spread`.

    Args:
        emissions: [B, T, K], logits of which the largest of each step is 0; zeros beyond a sentence's length.
        lengths: [B], 1 to T.
        transitions: the transitions of a CRF or of a scheme.
    """
    arrays = (transitions.transition, transitions.start, transitions.end)
    largest = max(np.abs(a[legal]).max(initial=0.0) for a, legal in zip(arrays, transitions.legal, strict=True))
    spread = transitions.spread
    narrow: npt.NDArray[np.bool_] = (2.0 * largest - emissions.min(axis=(1, 2)) <= spread.widest) & (
        lengths >= spread.shortest
    )
    return narrow


class Products:
    """All tag sequences of narrow sentences, with scaled sums over them; the arguments are those of `are_narrow`.

    The sum over the sequences after a step equals the sum over those before it in the reversed sentence with reversed
    transitions, so the two directions run side by side.
    """

    def __init__(self, emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> None:
        n_rows, n_steps = emissions.shape[:2]
        self._lengths, self._rows = lengths, np.arange(n_rows)
        steps = np.arange(n_steps)[:, None]
        self._order = np.where(steps < lengths, lengths - 1 - steps, steps)  # [T, B]
        self._factors = np.exp(transitions.transition)  # forbidden transitions become 0
        self._start, self._end = np.exp(transitions.start), np.exp(transitions.end)
        once = np.exp(emissions)
        once *= transitions.spread.used
        self._likely = np.stack([once.swapaxes(0, 1), once[self._rows, self._order]], axis=1)  # [T, 2, B, K]
        self._arrived = np.empty_like(self._likely)  # at each step, the sum over the sequences of the steps before it
        self._arrived[0] = np.stack([self._start, self._end])[:, None]
        self._most = np.ones((n_steps, 2, n_rows, 1))  # what the sums of each step are divided by
        factors = np.stack([self._factors, self._factors.T])
        for t in range(n_steps - 1):
            here = self._arrived[t] * self._likely[t]
            here.max(axis=-1, keepdims=True, out=self._most[t])
            here /= self._most[t]
            np.matmul(here, factors, out=self._arrived[t + 1])

    def marginals(self) -> _Doubles:
        """Return the probability of each tag at each step, [T, B, K]; anything beyond a sentence's length."""
        through: _Doubles = self._arrived[:, 0] * self._likely[:, 0] * self._arrived[self._order, 1, self._rows]
        through /= through.sum(axis=-1, keepdims=True)
        return through

    @functools.cached_property
    def _scales(self) -> _Doubles:
        """The logarithm of what the sums before each step have been divided by, [T, 2, B]."""
        scales = np.zeros(self._most.shape[:3])
        np.log(self._most[:-1, ..., 0]).cumsum(axis=0, out=scales[1:])
        return scales

    @functools.cached_property
    def log_total(self) -> _Doubles:
        """The logarithm of the summed exponentials of all sequences of each sentence, [B]."""
        at = self._lengths - 1, 0, self._rows
        total: _Doubles = np.log((self._arrived[at] * self._likely[at]) @ self._end) + self._scales[at]
        return total

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
        """Return the logarithm of the summed exponentials of the sequences that have each of S spans, [S].

        Args:
            sentence, first, end: [S], the sentence of each span, its first token and the token after its last one, with
                the longest spans first.
            of_type: [S, K], the tags of each span's type.
            begins, continues, begins_first: those of `SpanRules`.
        """
        before = np.maximum(first - 1, 0), 0, sentence
        arrived = self._arrived[before] * self._likely[before] / self._most[before]
        arrived = _multiplied(arrived, self._factors * begins)
        arrived[first == 0] = self._start * begins_first
        arrived *= self._likely[first, 0, sentence]
        arrived *= of_type
        total: _Doubles = self._scales[first, 0, sentence]
        inner = self._factors * continues
        length = end - first
        for step in range(1, int(length.max(initial=0))):
            n = int(np.searchsorted(-length, -step, side="left"))
            arrived[:n] = _multiplied(arrived[:n], inner) * self._likely[first[:n] + step, 0, sentence[:n]]
            most = arrived[:n].max(axis=-1)
            most[most == 0.0] = 1.0  # no sequence has the span
            arrived[:n] /= most[:, None]
            total[:n] += np.log(most)
        n_tokens = self._lengths[sentence]
        rest = np.maximum(n_tokens - 1 - end, 0), 1, sentence  # the token after the span, in the reversed sentence
        at_end = end == n_tokens
        after = _multiplied(arrived, self._factors * ~continues) * self._likely[rest] * self._arrived[rest]
        sums = np.where(at_end, arrived @ self._end, after.sum(axis=-1))
        total += np.where(at_end, 0.0, self._scales[rest])
        with np.errstate(divide="ignore"):
            total += np.log(sums)
        return total


def _multiplied(sums: _Doubles, factors: _Doubles) -> _Doubles:
    """Return sums [S, K] times factors [K, K], computed without further threads."""
    most = max(16, _MOST_MULTIPLICATIONS // factors.size)
    result = np.empty_like(sums)
    for start in range(0, len(sums), most):
        np.matmul(sums[start : start + most], factors, out=result[start : start + most])
    return result
