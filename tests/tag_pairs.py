"""Random pairs of gold and predicted tags, and how seqscore reads them."""

from __future__ import annotations

import random
from typing import Any

from seqscore.encoding import get_encoding
from seqscore.validation import validate_labels

Tags = list[list[str]]
TYPES = ("PER", "LOC", "ORG")


def random_pair(rng: random.Random, types: tuple[str, ...] = TYPES, n_outside: int = 3) -> tuple[Tags, Tags]:
    """Draw a few sentences of different lengths; gold and prediction agree in some places, and may be ill-formed.

    Args:
        n_outside: how often `O` is drawn in comparison with each other tag.
    """
    choices = ["O"] * n_outside + [f"{prefix}-{name}" for prefix in "BI" for name in types]
    gold = [[rng.choice(choices) for _ in range(rng.randint(0, 14))] for _ in range(rng.randint(1, 3))]
    kept = rng.random()
    return gold, [[tag if rng.random() < kept else rng.choice(choices) for tag in tags] for tags in gold]


def words(tags: list[str]) -> list[str]:
    """Return a token for each tag: `w0`, `w1`, …"""
    return [f"w{i}" for i in range(len(tags))]


def mentions(tags: list[str]) -> Any:
    """Read tags with seqscore, which repairs ill-formed ones as conlleval reads them."""
    encoding = get_encoding("BIO")
    found = validate_labels(tags, encoding, repair="conlleval")
    return encoding.decode_labels(tags if found.is_valid() else found.repaired_labels)
