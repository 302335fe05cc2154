"""Brown clusters of words, and the beginnings of their paths as features."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tagger.inputs.vocabulary import lookup_variants

NO_CLUSTER = "-"
MOST_BITS = 64  # of a path
MOST_CLUSTERED = 4_000_000  # words


@dataclasses.dataclass(frozen=True, eq=False)
class Clusters:
    """The paths of words in a binary tree of clusters: words with a longer common beginning are more alike.

    The tree is that of Brown et al. (1992), "Class-based n-gram models of natural language". Beginnings of several
    lengths as features are from Miller et al. (2004), "Name tagging with word clusters and discriminative training";
    the usual lengths are 4, 6, 10 and 20 bits.

    Attributes:
        paths: word → its path, a text of 0 and 1.
        bits: the lengths of the beginnings, one for each feature. A path that is shorter is taken whole.

    Raises:
        ValueError: a path or a length is not one of these, or there are too many words.
    """

    paths: Mapping[str, str]
    bits: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.paths) > MOST_CLUSTERED:
            raise ValueError(f"found {len(self.paths)} words, expected at most {MOST_CLUSTERED}")
        for path in set(self.paths.values()):
            if not is_path(path):
                raise ValueError(f"found the path {path[:80]!r}, expected 1 to {MOST_BITS} bits")
        check_bits(self.bits)

    def path(self, token: str) -> str | None:
        """Return the path of a token, or of its first variant that has one (`lookup_variants`), or None."""
        return next((self.paths[word] for _, word in lookup_variants(token) if word in self.paths), None)

    def columns(self, distinct: Sequence[str]) -> list[list[str]]:
        """Return, for each length, the beginning of the path of each token, or `NO_CLUSTER`."""
        paths = [self.path(token) for token in distinct]
        return [[NO_CLUSTER if path is None else path[:n] for path in paths] for n in self.bits]


def is_path(text: str) -> bool:
    """Return whether a text is the path of a cluster."""
    return 0 < len(text) <= MOST_BITS and not text.strip("01")


def check_bits(bits: Sequence[int]) -> None:
    """Raise ValueError unless the lengths are distinct, in order, and at most `MOST_BITS`."""
    if not bits or list(bits) != sorted(set(bits)) or bits[0] < 1 or bits[-1] > MOST_BITS:
        raise ValueError(f"found {list(bits)}, expected different numbers from 1 to {MOST_BITS} in order")
