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

from tagger.corpus.schemes import Span, spans_from_tags, split_tag
from tagger.corpus.transitions import Transitions
from tagger.prediction.decoding import Logits
from tagger.prediction.logarithms import Logarithms, log_of_moves
from tagger.prediction.products import Products, are_narrow

_Doubles = npt.NDArray[np.float64]


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
        self._transitions = transitions or Transitions.free(n_tags)
        self._lengths, self._inside = lengths, np.arange(n_steps) < lengths[:, None]
        # Values at padding may be anything, even NaN.
        emissions = np.where(self._inside[..., None], logits, 0.0).astype(np.float64)
        most = emissions.max(axis=-1, keepdims=True)
        emissions -= most
        narrow = are_narrow(emissions, lengths, self._transitions)
        self._emissions, self._log_total = emissions, np.empty(n_rows)  # both without the largest logit of each step
        self._parts = list[tuple[npt.NDArray[np.intp], Products | Logarithms]]()
        for is_of_part, kind in ((narrow, Products), (~narrow, Logarithms)):
            rows = np.flatnonzero(is_of_part)
            if len(rows):
                part = kind(emissions if len(rows) == n_rows else emissions[rows], lengths[rows], self._transitions)
                self._log_total[rows] = part.log_total
                self._parts.append((rows, part))
        self.log_total: _Doubles = self._log_total + most.sum(axis=(1, 2))

    def marginals(self) -> _Doubles:
        """Return the probability of each tag at each step, [B, T, K]; zeros beyond a sentence's length."""
        marginals = np.zeros_like(self._emissions)
        for rows, part in self._parts:
            marginals[rows] = part.marginals().swapaxes(0, 1)
        marginals[~self._inside] = 0.0
        return marginals

    def log_probabilities(self, tag_ids: npt.NDArray[np.intp]) -> _Doubles:
        """Return the log-probability of one sequence of each sentence, [B].

        Args:
            tag_ids: [B, T]; values beyond a sentence's length are ignored.
        """
        rows, moves, inside = np.arange(len(tag_ids)), self._transitions, self._inside
        ids = np.where(inside, tag_ids, 0)
        total = np.take_along_axis(self._emissions, ids[..., None], axis=-1)[..., 0].sum(axis=1, where=inside)
        total += np.where(inside[:, 1:], moves.transition[ids[:, :-1], ids[:, 1:]], 0.0).sum(axis=1)
        total += moves.start[ids[:, 0]] + moves.end[ids[rows, self._lengths - 1]]
        result: _Doubles = np.minimum(total - self._log_total, 0.0)
        return result

    def log_probabilities_of_readings(
        self, rules: SpanRules, rows: Sequence[int], readings: Sequence[Sequence[Span]]
    ) -> _Doubles:
        """Return the log-probability that a sentence has exactly some spans, and no others, [S].

        Args:
            rules: where spans begin and end.
            rows: the sentence of each of S readings.
            readings: the spans of each of them, in order.
        """
        sentences = np.asarray(rows, np.intp)
        inside = [of_type for of_type in rules.type_of.values() for _ in range(2)]
        firsts = np.array(
            [~rules.begins_first, *inside]
        )  # outside; then for each type, to begin and to continue a span
        ways = [np.ones_like(rules.begins), *[rules.begins, rules.continues] * len(rules.type_of)]
        number = {name: 1 + 2 * i for i, name in enumerate(rules.type_of)}
        moves = np.zeros((len(sentences), self._emissions.shape[1]), np.intp)
        for row, spans in zip(moves, readings, strict=True):
            for span in spans:
                row[span.start : span.end] = number[span.type] + 1
                row[span.start] -= 1
        total = log_of_moves(
            self._emissions[sentences], self._lengths[sentences], self._transitions, moves,
            firsts=firsts, others=np.array(ways) & firsts[:, None],
        )  # fmt: skip
        result: _Doubles = np.minimum(total - self._log_total[sentences], 0.0)
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
        result = np.empty(len(sentence))
        if not len(sentence):
            return result
        number = {name: i for i, name in enumerate(rules.type_of)}
        of_type = np.stack(list(rules.type_of.values()))[[number[name] for name in types]]  # [S, K]
        # The longest spans come first, so that at each step the spans that have not ended come first.
        order = np.argsort(first - end, kind="stable")
        at = np.empty(len(self._lengths), np.intp)
        for of_part, part in self._parts:
            at[:] = -1
            at[of_part] = np.arange(len(of_part))
            some = order[at[sentence[order]] >= 0]
            total = part.log_of_spans(
                at[sentence[some]], first[some], end[some], of_type[some],
                begins=rules.begins, continues=rules.continues, begins_first=rules.begins_first,
            )  # fmt: skip
            result[some] = np.exp(np.minimum(total - self._log_total[sentence[some]], 0.0))
        return result
