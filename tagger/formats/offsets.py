"""Offsets into a text in other units than Unicode code points: UTF-16 units (JavaScript, Java, .NET) and UTF-8 bytes.

Python and most tools for machine learning count code points. Tools that run in a browser often count UTF-16 units, of
which an emoji has two, and tools that work on files sometimes count bytes.
"""

from __future__ import annotations

import array
import bisect
import functools
import itertools

from tagger.errors import DataError, shortened
from tagger.formats.document import Offsets, Place

_UNITS = {"characters": "character", "utf-16": "UTF-16 unit", "bytes": "byte"}


class TextOffsets:
    """The offsets of one text in a unit.

    >>> TextOffsets("😀 Ann", "utf-16").characters(3)
    2
    >>> TextOffsets("😀 Ann", "bytes").units(2)
    5

    Args:
        text: the text.
        unit: the unit in which a file counts.
        place: where the text stands, for messages.
    """

    def __init__(self, text: str, unit: Offsets, place: Place = Place("")) -> None:  # noqa: B008 (it is frozen)
        self._text, self._unit, self._place = text, unit, place

    @property
    def counts_characters(self) -> bool:
        """Whether the unit is a character."""
        return self._unit == "characters"

    @functools.cached_property
    def is_plain(self) -> bool:
        """Whether each character of the text is one unit, so that no offset changes."""
        if self._unit == "characters" or self._text.isascii():
            return True
        return self._unit == "utf-16" and max(self._text) <= "\uffff"

    def characters(self, offset: int, place: Place | None = None) -> int:
        """Return the number of characters before an offset of the file.

        Args:
            offset: the offset.
            place: where it stands, if not where the text does.

        Raises:
            DataError: the offset is outside the text, or inside a character.
        """
        if self.is_plain:
            if not 0 <= offset <= len(self._text):
                raise self._outside(offset, len(self._text), place or self._place)
            return offset
        edges = self._edges
        if not 0 <= offset <= edges[-1]:
            raise self._outside(offset, edges[-1], place or self._place)
        found = bisect.bisect_left(edges, offset)
        if edges[found] != offset:
            character = self._text[found - 1]
            place = place or self._place
            raise DataError(
                f"found an offset of {offset} {_UNITS[self._unit]}s, which is inside the character {character}"
                f" (U+{ord(character):04X}, from {edges[found - 1]} to {edges[found]}), expected one between"
                f" characters; {self._remedy()}",
                path=place.path,
                line=place.line,
            )
        return found

    def units(self, offset: int) -> int:
        """Return an offset for the file, given the number of characters before it."""
        return offset if self.is_plain else self._edges[offset]

    @functools.cached_property
    def _edges(self) -> array.array[int]:
        """The offset of each character, and of the end, in the unit."""
        if self._unit == "utf-16":
            lengths = (1 + (character > "\uffff") for character in self._text)
        else:
            lengths = (
                1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff") for character in self._text
            )
        return array.array("q", itertools.accumulate(lengths, initial=0))

    def _outside(self, offset: int, end: int, place: Place) -> DataError:
        return DataError(
            f"found an offset of {shortened(offset)} {_UNITS[self._unit]}s, expected 0 to {end}, the length of the"
            f" text; {self._remedy()}",
            path=place.path,
            line=place.line,
        )

    def _remedy(self) -> str:
        others = " or ".join(unit for unit in _UNITS if unit != self._unit)
        return f"if the file counts in another unit, set data.offsets to {others}, otherwise fix the offset"
