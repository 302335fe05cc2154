"""Exact probabilities of spans and of whole sequences, summed over all tag sequences of a sentence.

The distribution is that of the decoder: with a CRF, its own; with a constrained softmax, the product of the softmax
distributions of the tokens, restricted to the legal sequences and divided by their sum; with a plain softmax, the
product itself. The sums are those of the forward-backward algorithm (Rabiner 1989, section III.A); the sum over the
sequences that have a given span is that of constrained forward-backward (Culotta and McCallum 2004, section 3).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.corpus.schemes import spans_from_tags, split_tag
from tagger.corpus.transitions import Transitions
from tagger.prediction.decoding import Logits

_Doubles = npt.NDArray[np.float64]
_LEAST = 1e-290  # smaller sums of scaled exponentials may have lost what matters, and are computed from logarithms
_NOTHING = -np.inf


@dataclasses.dataclass(frozen=True, eq=False)
class SpanRules:
    """Where spans begin and end in sequences of K tags, as conlleval reads them: each pair of neighbors decides.

    Attributes:
        type_of: entity type → [K], whether a tag belongs to it.
        begins: [K, K], whether the tag of a column begins a span after the tag of a row.
        continues: [K, K], whether the tag of a column continues the span of the tag of a row.
        begins_first: [K], whether a tag begins a span at the beginning of a sentence.
    """

    type_of: dict[str, npt.NDArray[np.bool_]]
    begins: npt.NDArray[np.bool_]
    continues: npt.NDArray[np.bool_]
    begins_first: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, tags: Sequence[str]) -> SpanRules:
        """Return the rules of canonical tags.

        Args:
            tags: the tags, as a file reads them: where spans of a scheme are read in another one, those of that.
        """
        types = [split_tag(tag)[1] or None for tag in tags]
        is_inside = np.array([bool(spans_from_tags([tag])) for tag in tags])
        begins = np.zeros((len(tags), len(tags)), bool)
        for i, first in enumerate(tags):
            for j, second in enumerate(tags):
                begins[i, j] = is_inside[j] and any(span.start == 1 for span in spans_from_tags([first, second]))
        names = {span.type for tag in tags for span in spans_from_tags([tag])}
        return cls(
            type_of={name: np.array([kind == name for kind in types]) & is_inside for name in sorted(names)},
            begins=begins,
            continues=is_inside[:, None] & is_inside & ~begins,
            begins_first=is_inside,
        )


class Lattice:
    """All tag sequences of B sentences, with the logarithms of sums over them.

    Args:
        logits: [B, T, K].
        lengths: [B], 1 to T; values beyond a sentence's length are ignored.
        transitions: the transitions of a CRF or of a scheme; None if every transition is legal.

    Attributes:
        log_total: [B], the logarithm of the summed exponentials of all sequences.
    """

    def __init__(self, logits: Logits, lengths: npt.NDArray[np.int32], transitions: Transitions | None) -> None:
        n_rows, n_steps, n_tags = logits.shape
        transitions = transitions or Transitions.free(n_tags)
        self._transitions, self._lengths = transitions, lengths
        self._factors = np.exp(transitions.transition)
        inside = np.arange(n_steps) < lengths[:, None]
        # Values at padding may be anything, even NaN.
        self._emissions = np.where(inside[..., None], logits, 0.0).astype(np.float64).swapaxes(0, 1)  # [T, B, K]
        self._before, self._after = self._sums()
        last = self._before[lengths - 1, np.arange(n_rows)]  # [B, K]
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
        """Return the probability of each tag at each step, [B, T, K]; zeros beyond a sentence's length."""
        inside = np.arange(len(self._emissions))[:, None] < self._lengths  # [T, B]
        through = self._before + self._after
        through -= through.max(axis=-1, keepdims=True)
        result = np.exp(through)
        result /= result.sum(axis=-1, keepdims=True)
        marginals: _Doubles = np.where(inside[..., None], result, 0.0).swapaxes(0, 1)
        return marginals

    def log_probabilities(self, tag_ids: npt.NDArray[np.intp]) -> _Doubles:
        """Return the log-probability of one sequence of each sentence, [B].

        Args:
            tag_ids: [B, T]; values beyond a sentence's length are ignored.
        """
        rows, moves = np.arange(len(tag_ids)), self._transitions
        inside = np.arange(tag_ids.shape[1]) < self._lengths[:, None]
        ids = np.where(inside, tag_ids, 0)
        chosen = np.take_along_axis(self._emissions.swapaxes(0, 1), ids[..., None], axis=-1)[..., 0]
        total = np.where(inside, chosen, 0.0).sum(axis=1)
        total += np.where(inside[:, 1:], moves.transition[ids[:, :-1], ids[:, 1:]], 0.0).sum(axis=1)
        total += moves.start[ids[:, 0]] + moves.end[ids[rows, self._lengths - 1]]
        result: _Doubles = np.minimum(total - self.log_total, 0.0)
        return result

    def span_probabilities(
        self,
        rules: SpanRules,
        rows: Sequence[int],
        starts: Sequence[int],
        ends: Sequence[int],
        types: Sequence[str],
    ) -> _Doubles:
        """Return the probability of each of S spans: that the tokens form exactly this span, [S].

        Args:
            rules: where spans begin and end.
            rows: the sentence of each span.
            starts, ends: its first token, and the token after its last one.
            types: its entity type.
        """
        sentence, first, end = np.asarray(rows, np.intp), np.asarray(starts, np.intp), np.asarray(ends, np.intp)
        if not len(sentence):
            return np.zeros(0)
        of_type = np.stack([rules.type_of[name] for name in types])  # [S, K]
        arrived = self._at_first(rules, sentence, first)
        arrived = np.where(of_type, arrived + self._emissions[first, sentence], _NOTHING)
        inner, inner_factors = self._only(rules.continues)
        # The longest spans come first, so that at each step the spans that have not ended come first.
        order = np.argsort(first - end, kind="stable")
        length = (end - first)[order]
        arrived = arrived[order]
        for step in range(1, int(length[0])):
            n = int(np.searchsorted(-length, -step, side="left"))
            at = first[order[:n]] + step
            moved = _moved(arrived[:n], inner, inner_factors)
            arrived[:n] = moved + self._emissions[at, sentence[order[:n]]]
        total = self._at_end(rules, arrived, sentence[order], end[order])
        result = np.empty(len(order))
        result[order] = np.exp(np.minimum(total - self.log_total[sentence[order]], 0.0))
        return result

    def _only(self, which: npt.NDArray[np.bool_]) -> tuple[_Doubles, _Doubles]:
        """Return the transitions of which only some are allowed, and their exponentials."""
        return np.where(which, self._transitions.transition, _NOTHING), np.where(which, self._factors, 0.0)

    def _at_first(self, rules: SpanRules, sentence: npt.NDArray[np.intp], first: npt.NDArray[np.intp]) -> _Doubles:
        """Return the log-sums of the sequences up to the first token of each span, without its logit, [S, K]."""
        arrived = np.empty((len(first), len(rules.begins_first)))
        at_start = first == 0
        arrived[at_start] = np.where(rules.begins_first, self._transitions.start, _NOTHING)
        inner = np.flatnonzero(~at_start)
        if len(inner):
            arrived[inner] = _moved(self._before[first[inner] - 1, sentence[inner]], *self._only(rules.begins))
        return arrived

    def _at_end(
        self, rules: SpanRules, arrived: _Doubles, sentence: npt.NDArray[np.intp], end: npt.NDArray[np.intp]
    ) -> _Doubles:
        """Return the log-sums of the sequences with each span, [S]; `arrived` are those up to its last token."""
        total = np.empty(len(end))
        at_end = end == self._lengths[sentence]
        total[at_end] = _log_sum(arrived[at_end] + self._transitions.end)
        inner = np.flatnonzero(~at_end)
        if len(inner):
            rest = self._emissions[end[inner], sentence[inner]] + self._after[end[inner], sentence[inner]]
            total[inner] = _log_sum(_moved(arrived[inner], *self._only(~rules.continues)) + rest)
        return total


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
