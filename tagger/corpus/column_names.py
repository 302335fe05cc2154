"""Columns as messages describe them: by their index, their name and their typical values."""

from __future__ import annotations

import collections
from collections.abc import Sequence

Values = collections.Counter[str]
_MOST_DESCRIBED = 6  # columns in a note


class Names:
    """Descriptions of columns for messages: their index, their name, and the values that are typical of them."""

    def __init__(self, columns: Sequence[Values], header: Sequence[str]) -> None:
        self._columns, self._header = columns, header

    def notes(self, token: int, tag: int, tags: Sequence[int], index: int | None) -> tuple[str, ...]:
        """Return notes on the columns that look like tags, and on those that are not used."""
        notes = []
        others = [i for i in tags if i not in (token, tag)]
        if others:
            both = self.listed(sorted([*others, tag]))
            notes.append(f"{both} look like tags; using {tag}; set data.columns.tag to use another")
        rest = [i for i in range(len(self._columns)) if i not in (token, tag, *others)]
        if rest:
            shown = [
                f"{self.name(i)} ({'numbers of the tokens' if i == index else self._values(i)})"
                for i in rest[:_MOST_DESCRIBED]
            ]
            more = f" and {len(rest) - _MOST_DESCRIBED} more" if len(rest) > _MOST_DESCRIBED else ""
            notes.append(f"not used: column{'s' if len(rest) > 1 else ''} {', '.join(shown)}{more}")
        elif others:
            notes.append(f"not used: column{'s' if len(others) > 1 else ''} {', '.join(map(self.name, others))}")
        return tuple(notes)

    def listed(self, indexes: Sequence[int]) -> str:
        """Return `columns 2 and 3`, with their names if there are any."""
        named = [self.name(i) for i in indexes]
        return f"columns {', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else f"column {named[0]}"

    def name(self, i: int) -> str:
        return f"{i} {self._header[i]}" if self._header else str(i)

    def _values(self, i: int) -> str:
        values = [value if len(value) <= 20 else f"{value[:20]}…" for value, _ in self._columns[i].most_common(3)]
        return ", ".join(values) + (", …" if len(self._columns[i]) > 3 else "")
