"""Which tags may follow each other, and how well: the rules of a scheme, or what a CRF has learned within them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, is_legal, legal_transitions

# Finite, so that a sentence whose every path is illegal still gets the best of those with the fewest breaks; in
# double precision, so that the sum over a long sentence still tells log-probabilities apart.
ILLEGAL = -1e6
MOST_TAGS = 2000  # whose transitions are a table of [K, K]; more are no tags but something else's column
_LOWEST = -500.0  # the logarithm of what may still be multiplied with others: that of the least double is -708
_MOST_STEPS = 16  # beyond, the widest spread is so small that no network keeps within it


@dataclasses.dataclass(frozen=True, eq=False)
class Transitions:
    """Additive scores of tags that follow each other; whatever is illegal has a large negative one.

    Attributes:
        transition: [K, K], from the tag of a row to the tag of a column.
        start: [K], for the first tag of a sentence.
        end: [K], for the last.
        learned: a CRF's, beside logits that mean nothing on their own; otherwise they are penalties, 0 if legal.
    """

    transition: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    end: npt.NDArray[np.float64]
    learned: bool = False

    def of_chunk(self, after_tag: int | None, *, continues: bool) -> Transitions:
        """Return the transitions of a chunk: a part of a sentence that is read in parts.

        Args:
            after_tag: the tag before it; None if it is the first chunk.
            continues: it is not the last chunk.
        """
        return dataclasses.replace(
            self,
            start=self.start if after_tag is None else self.transition[after_tag],
            end=np.zeros_like(self.end) if continues else self.end,
        )

    def is_close(self, other: Transitions, tolerance: float) -> bool:
        """Whether no score differs by more than a tolerance."""
        pairs = (self.transition, other.transition), (self.start, other.start), (self.end, other.end)
        return all(bool((np.abs(a - b) <= tolerance).all()) for a, b in pairs)

    @property
    def legal(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which transitions [K, K], first tags [K] and last tags [K] are legal."""
        return self.transition > ILLEGAL / 2, self.start > ILLEGAL / 2, self.end > ILLEGAL / 2

    @functools.cached_property
    def spread(self) -> Spread:
        """How far apart scores may lie beside these transitions.

        If any used tag can follow any other after exactly d steps, then the best paths to two tags at a step differ in
        their last d steps at most; so their scores, and the sums over all paths, lie no more than d spreads apart.
        """
        legal, may_start, may_end = (which.astype(np.float64) for which in self.legal)
        reached = np.eye(len(legal)) + legal
        for _ in range(len(legal).bit_length()):  # squared so often, paths of any number of steps are counted
            reached = np.minimum(reached @ reached, 1.0)
        used: npt.NDArray[np.bool_] = (may_start @ reached > 0) & (reached @ may_end > 0)
        power = np.eye(len(legal))
        shortest = 1
        for d in range(1, _MOST_STEPS + 1):
            if not may_start @ power @ may_end:
                shortest = d + 1  # no path of d tags
            power = np.minimum(power @ legal, 1.0)
            if used.any() and power[np.ix_(used, used)].all():  # and so after any number of steps from d on
                return Spread(-_LOWEST / d, shortest, used)
        return Spread(-1.0, shortest, used)


@dataclasses.dataclass(frozen=True, eq=False)
class Spread:
    """When sums over paths may be computed as products of probabilities, and not of logarithms, which are slower.

    Attributes:
        widest: how far apart the scores of one step, of its logits and of its legal transitions, may lie; negative:
            nothing is known of the products.
        shortest: sentences from this length on have a legal path.
        used: [K], the tags that some legal path goes through. The others must be left out of the products: what leads
            nowhere might outgrow all the rest.
    """

    widest: float
    shortest: int
    used: npt.NDArray[np.bool_]


def constraints_of(tags: Sequence[str], scheme: str) -> Transitions | None:
    """The penalties of canonical tags; None for plain tags, where everything is legal."""
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
    """A CRF's scores, from its weights [K, K], [K] and [K].

    Args:
        constraints: what is legal, whatever the weights of the rest are; None: everything.
    """
    weights = [array.astype(np.float64) for array in (transition, start, end)]
    if constraints is not None:
        weights = [np.where(legal, array, ILLEGAL) for legal, array in zip(constraints.legal, weights, strict=True)]
    return Transitions(weights[0], weights[1], weights[2], learned=True)
