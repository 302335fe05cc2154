"""Reports of what cannot be kept: all are counted, and the first few of each kind are shown as they come."""

from __future__ import annotations

import collections
from collections.abc import Callable

from tagger.errors import DataError
from tagger.wording import counted

SHOWN = 3  # equal messages that are shown one by one


class Reports:
    """Things that cannot be kept.

    Args:
        say: shows a message.

    Attributes:
        counts: their number, by what they are.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self._say = say
        self._texts: dict[str, str] = {}  # kind → its first text

    def add(self, error: DataError) -> None:
        """Count something that cannot be kept, and show the first few of its kind."""
        text = self._texts.setdefault(error.kind or error.text, error.text)
        self.counts[text] += 1
        if self.counts[text] <= SHOWN:
            self._say(error.message)

    def lines(self) -> list[str]:
        """Return a line for each kind, with its number."""
        return [f"{text} ({counted(n, 'time')})" for text, n in self.counts.items()]
