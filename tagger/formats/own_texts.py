"""Offsets of spans that also hold their own texts, read in the unit in which they cover these texts.

Label Studio and brat do not say in which unit they count, and it depends on their versions: characters, UTF-16 units,
and with or without the CR of a CRLF.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from tagger.errors import DataError
from tagger.formats.document import Offsets, Place
from tagger.formats.json_fields import error_at, shown
from tagger.formats.offsets import TextOffsets


class Piece(NamedTuple):
    """A part of a text as a file describes it: its offsets, its own text if the file holds it, and where it stands."""

    start: int
    end: int
    text: str | None
    place: Place


def edges_by_text(pieces: Sequence[Piece], text: str, unit: Offsets) -> tuple[list[tuple[int, int]], str | None]:
    """Return the offsets of pieces in characters, and a note if they are not in the unit that was expected.

    Args:
        pieces: the pieces of one text.
        text: the text.
        unit: the unit that is tried first.

    Raises:
        DataError: there is no unit in which all pieces cover their own texts.
    """
    if not pieces:
        return [], None
    first: DataError | None = None
    ways: tuple[tuple[Offsets, bool], ...] = ((unit, False), ("utf-16", False), ("characters", True), ("utf-16", True))
    for way, crlf_is_one in ways:
        if crlf_is_one and "\r\n" not in text:
            continue
        try:
            edges = _edges(pieces, text, way, crlf_is_one)
        except DataError as error:
            first = first or error
            continue
        name = "UTF-16 units" if way == "utf-16" else way
        note = f"some offsets count {name}{', with CRLF as one' if crlf_is_one else ''}, as their texts show"
        return edges, None if first is None else note
    assert first is not None  # noqa: S101 (each way that is tried returns, or raises the first time)
    raise first


def _edges(pieces: Sequence[Piece], text: str, unit: Offsets, crlf_is_one: bool) -> list[tuple[int, int]]:
    counted = text.replace("\r\n", "\n") if crlf_is_one else text
    offsets = TextOffsets(counted, unit)
    places = [match.start() for match in re.finditer(r"(?s)\r\n|.", text)] + [len(text)] if crlf_is_one else None
    edges = []
    for piece in pieces:
        start, end = offsets.characters(piece.start, piece.place), offsets.characters(piece.end, piece.place)
        if end < start:
            raise error_at(piece.place, f"found a span from {start} to {end}, expected start ≤ end; fix its offsets")
        covered = counted[start:end]
        if piece.text is not None and _plain(piece.text) != _plain(covered):
            raise error_at(
                piece.place,
                f"found {shown(piece.text)} as the text of the span from {piece.start} to {piece.end}, which covers"
                f" {shown(covered)}, expected the same text; was the text changed later? fix the offsets",
            )
        edges.append((start, end) if places is None else (places[start], places[end]))
    return edges


def _plain(text: str) -> list[str]:
    """Return the words of a piece's own text, in which some programs write line ends as a backslash and an n."""
    return text.replace("\\n", "\n").split()
