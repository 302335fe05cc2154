"""Sentences longer than the network should see at once, scored in overlapping windows.

A window of 512 tokens that is not the first or last of its sentence counts only in its middle: its first and last 64
tokens are context. So every seam lies 64 tokens or more from the edges of both windows that meet there.

    window 1  |=============····|
    window 2              |····=========····|           = counted, · context
    window 3                        |····=============|
"""

from __future__ import annotations

import dataclasses

DEFAULT_MAX_LENGTH = 512
_CONTEXT_SHARE = 8  # of a window's tokens, on each side


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Tokens `start` to `end` are scored together; those from `first` to `last` count."""

    start: int
    end: int
    first: int
    last: int


def context_of(max_length: int) -> int:
    """How many tokens on each side of a window are context."""
    return max_length // _CONTEXT_SHARE


def windows(n_tokens: int, max_length: int) -> list[Window]:
    """Windows whose counted parts are all tokens, each once, in order.

    >>> windows(5, 8)
    [Window(start=0, end=5, first=0, last=5)]
    >>> windows(11, 8)
    [Window(start=0, end=8, first=0, last=7), Window(start=6, end=11, first=7, last=11)]
    """
    context = context_of(max_length)
    found, start = [], 0
    while start + max_length < n_tokens:
        first = start + context if start else 0
        found.append(Window(start, start + max_length, first, start + max_length - context))
        start += max_length - 2 * context
    found.append(Window(start, n_tokens, start + context if start else 0, n_tokens))
    return found
