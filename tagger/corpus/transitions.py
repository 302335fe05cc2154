"""Transitions between tags: the rules of a scheme, or the weights that a CRF has learned within these rules."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, is_legal, legal_transitions

# Finite, so that a sentence without a legal path still gets the best of the paths that break the fewest rules. In
# double precision, a sum over a long sentence still distinguishes log-probabilities.
ILLEGAL = -1e6
MOST_TAGS = 2000  # the transitions of K tags are a table [K, K]; a column with more distinct values is not a tag column
_LOWEST = -500.0  # the logarithm of the smallest factor in a product; that of the smallest double is -708
_MOST_STEPS = 16  # for larger d, the allowed spread per step is too small for any network


@dataclasses.dataclass(frozen=True, eq=False)
class Transitions:
    """Additive weights of tags that follow each other; the weight of an illegal transition is large and negative.

    Attributes:
        transition: [K, K], the weights from the tag of a row to the tag of a column.
        start: [K], the weights of the first tag of a sentence.
        end: [K], the weights of the last tag of a sentence.
        learned: true if a CRF learned the weights; its logits are then meaningless without them. If false, the weights
            are penalties: 0 for legal transitions and `ILLEGAL` for others.
    """

    transition: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    learned: bool = False

    def of_chunk(self, after_tag: int | None, *, continues: bool) -> Transitions:
        """Return the transitions of a chunk: a part of a sentence that is read in parts.

        Args:
            after_tag: the tag before the chunk; None if it is the first chunk.
            continues: whether another chunk follows.
        """
        return dataclasses.replace(
            self,
            start=self.start if after_tag is None else self.transition[after_tag],
            end=np.zeros_like(self.end) if continues else self.end,
        )

    def is_close(self, other: Transitions, tolerance: float) -> bool:
        """Return whether no weight differs from that of the other transitions by more than a tolerance."""
        pairs = (self.transition, other.transition), (self.start, other.start), (self.end, other.end)
        return all(bool((np.abs(a - b) <= tolerance).all()) for a, b in pairs)

    @property
    def legal(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Masks of the legal transitions [K, K], first tags [K] and last tags [K]."""
        return self.transition > ILLEGAL / 2, self.start > ILLEGAL / 2, self.end > ILLEGAL / 2

    @classmethod
    def free(cls, n_tags: int) -> Transitions:
        """Return transitions of which all are legal and none is preferred."""
        nothing = np.zeros(n_tags)
        return cls(np.zeros((n_tags, n_tags)), nothing, nothing)

    def scaled(self, factor: float) -> Transitions:
        """Return the transitions with other weights of the legal ones: those of all logits times a factor."""
        if factor == 1.0 or not self.learned:
            return self
        weights = zip((self.transition, self.start, self.end), self.legal, strict=True)
        transition, start, end = (np.where(legal, array * factor, ILLEGAL) for array, legal in weights)
        return dataclasses.replace(self, transition=transition, start=start, end=end)

    @functools.cached_property
    def spread(self) -> Spread:
        """The conditions under which sums over paths with these transitions may be computed as products.

        A spread is the range of the values of one step. Suppose that any used tag can follow any other after exactly d
        steps. Then the best paths to two tags at a step differ in at most their last d steps. Their totals, and the
        sums over all paths, therefore lie at most d spreads apart.
        """
        legal, may_start, may_end = (which.astype(np.float64) for which in self.legal)
        reached = np.eye(len(legal)) + legal
        for _ in range(len(legal).bit_length()):  # repeated squaring covers paths of any length
            reached = np.minimum(reached @ reached, 1.0)
        used: npt.NDArray[np.bool_] = (may_start @ reached > 0) & (reached @ may_end > 0)
        power = np.eye(len(legal))
        shortest = 1
        for d in range(1, _MOST_STEPS + 1):
            if not may_start @ power @ may_end:
                shortest = d + 1  # no legal path has d tags
            power = np.minimum(power @ legal, 1.0)
            if used.any() and power[np.ix_(used, used)].all():  # then also after more than d steps
                return Spread(-_LOWEST / d, shortest, used)
        return Spread(-1.0, shortest, used)


@dataclasses.dataclass(frozen=True, eq=False)
class Spread:
    """The conditions under which sums over paths may be computed as products of probabilities.

    Otherwise they must be computed from logarithms, which is slower.

    Attributes:
        widest: the largest allowed range of the values of one step (logits and legal transition weights). If it is
            negative, products must not be used.
        shortest: the smallest length in tokens such that every sentence of at least that length has a legal path.
        used: [K], whether some legal path goes through each tag. The other tags must be left out of the products,
            because a path that cannot be completed might dominate the others.
    """

    widest: float
    shortest: int
    used: npt.NDArray[np.bool_]


def constraints_of(tags: Sequence[str], scheme: str) -> Transitions | None:
    """Return the penalties of canonical tags; None for plain tags, where every transition is legal."""
    if scheme == NO_SCHEME:
        return None
    legal = legal_transitions(scheme)

    def penalty(tag: str, next_tag: str) -> float:
        return 0.0 if is_legal(tag, next_tag, legal) else ILLEGAL

    return Transitions(
        transition=np.array([[penalty(a, b) for b in tags] for a in tags]),
        start=np.array([penalty(OUTSIDE, tag) for tag in tags]),
        end=np.array([penalty(tag, OUTSIDE) for tag in tags]),
    )


def learned_within(
    constraints: Transitions | None,
    transition: npt.NDArray[np.floating],
    start: npt.NDArray[np.floating],
    end: npt.NDArray[np.floating],
) -> Transitions:
    """Return the transitions of a CRF.

    Args:
        constraints: the legal transitions; the weights of all others are ignored. None: every transition is legal.
        transition: [K, K], the weights from the tag of a row to the tag of a column.
        start: [K], the weights of the first tag.
        end: [K], the weights of the last tag.
    """
    weights = [array.astype(np.float64) for array in (transition, start, end)]
    if constraints is not None:
        weights = [np.where(legal, array, ILLEGAL) for legal, array in zip(constraints.legal, weights, strict=True)]
    return Transitions(weights[0], weights[1], weights[2], learned=True)
