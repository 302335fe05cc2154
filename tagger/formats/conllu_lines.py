"""Lines of CoNLL-U: their columns, the kinds of their numbers, and the blanks that MISC says come after a word."""

from __future__ import annotations

import re
from typing import NamedTuple

from tagger.formats.document import Place
from tagger.formats.json_fields import error_at

FIELD = "conllu"  # the field of a document that keeps its lines
_COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
_RANGE, _EMPTY = re.compile(r"[1-9][0-9]*-[1-9][0-9]*"), re.compile(r"[0-9]+\.[1-9][0-9]*")
_COMMENT = re.compile(r"#\s*(\S+?)\s*=\s?(.*)")
_NEWDOC = re.compile(r"#\s*newdoc(?:\s+id\s*=\s?(.*))?\s*")
_ESCAPES = {"s": " ", "t": "\t", "r": "\r", "n": "\n", "p": "|", "\\": "\\"}  # UDPipe's, of SpacesAfter
_ESCAPED = {blank: f"\\{letter}" for letter, blank in _ESCAPES.items()}


class Columns(NamedTuple):
    """The names of the columns of a file."""

    names: tuple[str, ...] = _COLUMNS

    def place(self, name: str) -> int | None:
        """Return the index of a column, or None if there is no such column."""
        return self.names.index(name) if name in self.names else None


class Word(NamedTuple):
    """A word of a sentence: the index of its line, and its columns."""

    row: int
    cells: list[str]


class Sentence(NamedTuple):
    """A sentence.

    Attributes:
        lines: all lines, without their ends.
        place: the place of the first line.
        columns: the names of the columns.
        words: the words.
        ranges: for the index of the first word of a multiword token, the index after its last word, and its columns.
    """

    lines: list[str]
    place: Place
    columns: Columns
    words: list[Word]
    ranges: dict[int, tuple[int, list[str]]]

    def cells(self, name: str) -> list[str]:
        """Return a column of the words; `_` if the file does not have it."""
        at = self.columns.place(name)
        return ["_" if at is None else word.cells[at] for word in self.words]

    def comment(self, key: str) -> str | None:
        """Return the value of a comment, or None if it is not there."""
        found = (_COMMENT.fullmatch(line) for line in self.lines if line.startswith("#"))
        return next((match[2] for match in found if match is not None and match[1] == key), None)

    @property
    def newdoc(self) -> tuple[bool, str | None]:
        """Whether a document begins with this sentence, and its name."""
        found = (_NEWDOC.fullmatch(line) for line in self.lines if line.startswith("#"))
        match = next((match for match in found if match is not None), None)
        return match is not None, None if match is None else match[1]


def parse_sentence(lines: list[str], place: Place, columns: Columns) -> Sentence:
    """Return the sentence of some lines; it has no words if they are all comments.

    Raises:
        DataError: a line has another number of columns, or its number is wrong.
    """
    words: list[Word] = []
    ranges: dict[int, tuple[int, list[str]]] = {}
    id_at, n_columns = columns.place("ID"), len(columns.names)
    for row, line in enumerate(lines):
        if line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != n_columns:
            raise _wrong_columns(len(cells), n_columns, place, row)
        number = str(len(words) + 1) if id_at is None else cells[id_at]
        if number.isdecimal() and number.isascii():
            words.append(Word(row, cells))
        elif _RANGE.fullmatch(number):
            first, last = map(_number, number.split("-"))
            if last < first:
                raise _wrong_number(number, place, row)
            ranges[len(words)] = len(words) + last - first + 1, cells
        elif not _EMPTY.fullmatch(number):
            raise _wrong_number(number, place, row)
    return Sentence(lines, place, columns, words, ranges)


def is_number(text: str) -> bool:
    """Return whether a text can be in column ID."""
    return bool(re.fullmatch("[0-9]+", text) or _RANGE.fullmatch(text) or _EMPTY.fullmatch(text))


def _number(text: str) -> int:
    return int(text[:9])  # no sentence has more words, and Python reads no number of thousands of digits


def _wrong_columns(found: int, expected: int, place: Place, row: int) -> Exception:
    return error_at(
        Place(place.path, place.line + row),
        f"found {found} column{'s' if found > 1 else ''}, expected {expected}, separated by TABs, as in CoNLL-U; fix"
        " the line, or read the file as CoNLL: set data.format to conll",
    )


def _wrong_number(number: str, place: Place, row: int) -> Exception:
    return error_at(
        Place(place.path, place.line + row),
        f"found {number[:40]!r} as the ID of a line, expected a number, a range (1-2) or that of an empty node (8.1);"
        " fix it",
    )


def misc_of(cell: str) -> dict[str, str]:
    """Return the keys and values of a MISC cell; of equal keys the first.

    >>> misc_of("SpaceAfter=No|name=B-PER")
    {'SpaceAfter': 'No', 'name': 'B-PER'}
    """
    if cell == "_":
        return {}
    found: dict[str, str] = {}
    for item in cell.split("|"):
        key, _, value = item.partition("=")
        found.setdefault(key, value)
    return found


def with_misc(cell: str, key: str, value: str | None) -> str:
    """Return a MISC cell with another value of a key, or without it.

    >>> with_misc("name=O|SpaceAfter=No", "name", "B-PER"), with_misc("name=O", "name", None)
    ('name=B-PER|SpaceAfter=No', '_')
    """
    items = [] if cell == "_" else cell.split("|")
    at = next((i for i, item in enumerate(items) if item.partition("=")[0] == key), len(items))
    items[at : at + 1] = [] if value is None else [f"{key}={value}"]
    return "|".join(items) or "_"


def spaces_of(misc: dict[str, str], key: str = "SpacesAfter") -> str | None:
    """Return the blanks that a key of MISC spells, or None if the key is not there or spells anything else.

    >>> spaces_of({"SpacesAfter": r"\\s\\n"})
    ' \\n'
    """
    value = misc.get(key)
    if value is None:
        return None
    blanks = re.sub(r"\\([strnp\\])", lambda match: _ESCAPES[match[1]], value)
    return None if blanks.strip() else blanks


def spelled(blanks: str) -> str:
    """Return blanks as SpacesAfter spells them."""
    return "".join(_ESCAPED.get(blank, blank) for blank in blanks)
