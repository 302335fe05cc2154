"""Windows: overlapping slices of a sentence that is longer than what the network reads at once."""

from __future__ import annotations

import dataclasses

_CONTEXT_SHARE = 8  # on each side, an eighth of a window's tokens are context


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """An overlapping slice of one long sentence; the ends of both ranges are excluded.

    Attributes:
        start, end: the range of tokens that the network reads together.
        first, last: the range of tokens whose logits are used; the other tokens are context.
    """

    start: int
    end: int
    first: int
    last: int


def context_of(max_length: int) -> int:
    """Return the number of context tokens on each side of a window."""
    return max_length // _CONTEXT_SHARE


def windows(n_tokens: int, max_length: int) -> list[Window]:
    """Return windows whose ranges from `first` to `last` cover each token exactly once, in order.

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
