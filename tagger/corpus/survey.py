"""One pass over a corpus that counts everything from which its layout is decided: lines, columns and their values."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from tagger.corpus.encodings import wrong_byte
from tagger.corpus.layout import BLANKS, DOCSTART, SUBTOKEN_NUMBER, Layout
from tagger.corpus.lines import open_corpus, read_lines

COMMENT_PREFIX = "#"
_ROWS_AT_ONCE = 4096
_FIRST_LINES = 50
_MOST_NUMBERED = 3  # the number of a token is looked for in the first columns only
_LINES_OF_PROOF = 1000  # after so many lines, a column that does not number the tokens is given up
_CONFORMING = 0.98  # the smallest share of lines that continue the count of an index column


@dataclasses.dataclass
class Shape:
    """The token lines of a file that have the same number of columns.

    Attributes:
        n_lines: the number of these lines.
        values: for each column, its values and how often each of them occurs.
        first_line: the number of the first of these lines.
    """

    values: list[collections.Counter[str]]
    first_line: int
    n_lines: int = 0


@dataclasses.dataclass
class Survey:
    """The counts of a file. Lines that begin with the comment prefix are kept apart, because they may be comments.

    Attributes:
        shapes: the token lines by their number of columns.
        delimiters: how many token lines have columns separated by TAB, by spaces, or by the layout's own delimiter.
        prefixed: the number, text and columns of each line that begins with the comment prefix.
        first_fields: the columns of the first token line.
        first_lines: the first lines of the file that are not blank, as text.
        n_blank: the number of blank lines.
        starts: the numbers of the prefixed lines that begin a sentence.
        numbered: the columns that number the tokens of each sentence.
    """

    shapes: dict[int, Shape] = dataclasses.field(default_factory=dict)
    delimiters: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    prefixed: list[tuple[int, str, list[str]]] = dataclasses.field(default_factory=list)
    first_fields: list[str] = dataclasses.field(default_factory=list)
    first_lines: list[str] = dataclasses.field(default_factory=list)
    n_blank: int = 0
    starts: set[int] = dataclasses.field(default_factory=set)
    numbered: list[int] = dataclasses.field(default_factory=list)

    @property
    def n_lines(self) -> int:
        """The number of token lines."""
        return sum(shape.n_lines for shape in self.shapes.values())

    @property
    def usual(self) -> int | None:
        """The number of columns of most token lines, or None if there is no token line."""
        return max(self.shapes, key=lambda n: (self.shapes[n].n_lines, n)) if self.shapes else None

    @property
    def columns(self) -> list[collections.Counter[str]]:
        """The values of each column, in the lines that have the usual number of columns."""
        return self.shapes[self.usual].values if self.usual is not None else []


def survey(path: str | Path, layout: Layout, prefix: str | None) -> Survey:
    """Read a whole file once and count what its token lines consist of.

    Args:
        path: the file.
        layout: how to decode the file and split its lines.
        prefix: the prefix of lines that may be comments, or None if there are no comments.

    Raises:
        DataError: a byte is not valid in the encoding.
    """
    found = Survey()
    split = layout.splitter()
    waiting: dict[int, list[list[str]]] = {}
    count, begins = _TokenCount(), True
    for number, line in decoded_lines(path, layout.encoding):
        fields = split(line)
        if fields and len(found.first_lines) < _FIRST_LINES:
            found.first_lines.append(line)
        if prefix is not None and line.startswith(prefix):
            found.prefixed.append((number, line, fields))
            if begins:
                found.starts.add(number)
            continue
        begins = not fields
        if not fields:
            found.n_blank += 1
            count.end_sentence()
            continue
        if fields[0] == DOCSTART:
            count.end_sentence()
            continue
        count.add(fields)
        found.first_fields = found.first_fields or fields
        found.delimiters[layout.separator or ("\t" if "\t" in line else " " if len(fields) > 1 else "")] += 1
        if len(fields) not in found.shapes:
            found.shapes[len(fields)] = Shape([collections.Counter() for _ in fields], number)
            waiting[len(fields)] = []
        rows = waiting[len(fields)]
        rows.append(fields)
        if len(rows) == _ROWS_AT_ONCE:
            count_rows(found, rows)
            rows.clear()
    for rows in waiting.values():
        count_rows(found, rows)
    del found.delimiters[""]
    found.numbered = count.numbered_columns()
    return found


def count_rows(found: Survey, rows: Sequence[Sequence[str]]) -> None:
    """Count the values of rows that have the same number of columns, the shape of which is there."""
    if rows:
        shape = found.shapes[len(rows[0])]
        shape.n_lines += len(rows)
        for values, column in zip(shape.values, zip(*rows, strict=True), strict=True):
            values.update(map(_without_blanks, column))


def _without_blanks(value: str) -> str:
    return value.strip(BLANKS)


class _TokenCount:
    """The test for columns that number the tokens of each sentence: 1, 2, 3, … or 0, 1, 2, …

    A range (`2-3`) or an empty node (`3.1`) of CoNLL-U does not count as a token.
    """

    def __init__(self) -> None:
        self._n_lines = 0
        self._columns = list(range(_MOST_NUMBERED))  # those that may still number the tokens
        self._n_conforming = [0] * _MOST_NUMBERED
        self._n_whole = [0] * _MOST_NUMBERED  # whole numbers, not ranges or empty nodes
        self._previous = [-1] * _MOST_NUMBERED
        self._starts = [True] * _MOST_NUMBERED
        self._smallest = [1] * _MOST_NUMBERED
        self._largest = [0] * _MOST_NUMBERED

    def add(self, fields: list[str]) -> None:
        self._n_lines += 1
        if self._n_lines % _LINES_OF_PROOF == 0:
            self._columns = self.numbered_columns()
        for i in self._columns:
            if i >= len(fields):
                break
            value = fields[i]
            if value.isdecimal() and value.isascii() and len(value) <= 6:
                number = int(value)
                self._n_conforming[i] += number == self._previous[i] + 1 or (self._starts[i] and number in (0, 1))
                self._n_whole[i] += 1
                self._previous[i] = number
                self._starts[i] = False
                self._smallest[i] = min(self._smallest[i], number)
                self._largest[i] = max(self._largest[i], number)
            elif SUBTOKEN_NUMBER.fullmatch(value):
                self._n_conforming[i] += 1
                self._largest[i] = max(self._largest[i], 2)

    def end_sentence(self) -> None:
        self._starts = [True] * _MOST_NUMBERED

    def numbered_columns(self) -> list[int]:
        """Return the columns in which (nearly) every line continues the count of its sentence."""
        least = self._n_lines * _CONFORMING
        return [
            i
            for i in self._columns
            if self._n_lines
            and self._n_conforming[i] >= least
            and self._largest[i] > self._smallest[i]
            and 2 * self._n_whole[i] >= self._n_lines
        ]


def decoded_lines(path: str | Path, encoding: str) -> Iterator[tuple[int, str]]:
    """Yield the number and the text of each line of a file.

    Raises:
        DataError: a byte is not valid in the encoding.
    """
    with open_corpus(path) as stream:
        for number, raw in enumerate(read_lines(stream, path=path), start=1):
            try:
                line = raw.rstrip(b"\r\n").decode(encoding)
            except UnicodeDecodeError as error:
                raise wrong_byte(path, number, error) from None
            yield number, line.removeprefix("\ufeff")
