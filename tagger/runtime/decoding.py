"""From the network's scores to tag ids: argmax, or Viterbi over legal transitions only."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, is_legal, legal_transitions

Scores = npt.NDArray[np.float32]
# Finite, so that a sentence whose every path is illegal still gets the best of those with the fewest breaks; in
# double precision, so that the sum over a long sentence still tells log-probabilities apart.
_ILLEGAL = -1e6
_VITERBI_NUMBERS = 1 << 22  # held at once: K² for each sentence


@dataclasses.dataclass(frozen=True)
class Constraints:
    """Additive penalties, 0 for legal and a large negative number for illegal.

    Attributes:
        transition: [K, K], from the tag of a row to the tag of a column.
        start: [K], for the first tag of a sentence.
        end: [K], for the last.
    """

    transition: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]

    def of_piece(self, after_tag: int | None, *, goes_on: bool) -> Constraints:
        """Those of a piece of a sentence.

        Args:
            after_tag: the tag before it; None if it is the first piece.
            goes_on: it is not the last.
        """
        return Constraints(
            transition=self.transition,
            start=self.start if after_tag is None else self.transition[after_tag],
            end=np.zeros_like(self.end) if goes_on else self.end,
        )


def constraints_of(tags: Sequence[str], scheme: str) -> Constraints | None:
    """The constraints of canonical tags; None for plain tags, where everything is legal."""
    if scheme == NO_SCHEME:
        return None
    legal = legal_transitions(scheme)

    def penalty(tag: str, next_tag: str) -> float:
        return 0.0 if is_legal(tag, next_tag, legal) else _ILLEGAL

    return Constraints(
        transition=np.array([[penalty(a, b) for b in tags] for a in tags]),
        start=np.array([penalty(OUTSIDE, tag) for tag in tags]),
        end=np.array([penalty(tag, OUTSIDE) for tag in tags]),
    )


def log_softmax(logits: Scores) -> Scores:
    """Log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def viterbi(
    log_probabilities: Scores,
    lengths: npt.NDArray[np.int32],
    constraints: Constraints,
) -> npt.NDArray[np.intp]:
    """The best legal path of every sentence.

    Args:
        log_probabilities: [B, T, K].
        lengths: [B], 1 to T; what lies beyond is ignored.
        constraints: which transitions are legal.

    Returns:
        Tag ids [B, T], zeros beyond each sentence's length.
    """
    n_sentences, n_steps, n_tags = log_probabilities.shape
    best = log_probabilities[:, 0] + constraints.start  # [B, K]: score of the best path that ends in each tag
    came_from = np.empty((n_sentences, n_steps, n_tags), np.int16 if n_tags < 1 << 15 else np.int32)
    final = best.copy()
    for t in range(1, n_steps):
        candidates = best[:, :, None] + constraints.transition  # [B, from, to]
        came_from[:, t] = candidates.argmax(axis=1)
        best = candidates.max(axis=1) + log_probabilities[:, t]
        np.copyto(final, best, where=(t < lengths)[:, None])
    path = np.zeros((n_sentences, n_steps), np.intp)
    sentences = np.arange(n_sentences)
    tag = (final + constraints.end).argmax(axis=1)
    for t in range(n_steps - 1, -1, -1):
        # Sentences that have not begun (reading backwards) keep their final tag waiting.
        inside = t < lengths
        path[inside, t] = tag[inside]
        if t:
            tag = np.where(inside, came_from[sentences, t, tag], tag)
    return path


def are_legal(
    tag_ids: npt.NDArray[np.intp],
    lengths: npt.NDArray[np.int32],
    constraints: Constraints,
) -> npt.NDArray[np.bool_]:
    """Which of the paths [B, T] break no rule; arguments as of `viterbi`."""
    last = tag_ids[np.arange(len(tag_ids)), lengths - 1]
    broken = (constraints.transition[tag_ids[:, :-1], tag_ids[:, 1:]] < 0) & (
        np.arange(1, tag_ids.shape[1]) < lengths[:, None]
    )
    legal: npt.NDArray[np.bool_] = (
        ~broken.any(axis=1) & (constraints.start[tag_ids[:, 0]] == 0) & (constraints.end[last] == 0)
    )
    return legal


def decode(
    logits: Scores,
    lengths: npt.NDArray[np.int32],
    constraints: Constraints | None,
) -> tuple[npt.NDArray[np.intp], Scores]:
    """Tag ids [B, T] and the softmax probability of each chosen tag [B, T].

    Args:
        logits: [B, T, K].
        lengths: [B].
        constraints: legal transitions for Viterbi; None for argmax.
    """
    log_probabilities = log_softmax(logits)
    tag_ids: npt.NDArray[np.intp] = logits.argmax(axis=-1)
    if constraints is not None:
        # Each token's best tag together are the best path wherever that is legal, which it mostly is.
        illegal = np.flatnonzero(~are_legal(tag_ids, lengths, constraints))
        most = max(1, _VITERBI_NUMBERS // logits.shape[-1] ** 2)
        for start in range(0, len(illegal), most):
            rows = illegal[start : start + most]
            n_steps = lengths[rows].max()
            tag_ids[rows, :n_steps] = viterbi(log_probabilities[rows, :n_steps], lengths[rows], constraints)
    chosen = np.take_along_axis(log_probabilities, tag_ids[..., None], axis=-1)[..., 0]
    return tag_ids, np.exp(chosen)
