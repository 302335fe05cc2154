"""Read CoNLL files sentence by sentence, keeping every byte, and write them back with more columns.

A `Sentence` owns the raw lines from the end of the one before to its own closing blank line: comments, blank
lines and `-DOCSTART-` lines included. So the sentences of a file, written one after the other, are the file.
"""

from __future__ import annotations

import codecs
import dataclasses
import gzip
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, BinaryIO

from tagger.corpus.layout import BLANKS, DOCSTART, Layout
from tagger.errors import DataError

_BLOCK_BYTES = 1 << 16


@dataclasses.dataclass(slots=True)
class Sentence:
    """The tokens of one sentence and the raw lines that they came from.

    Attributes:
        tokens: the token column, exactly as it stands.
        tags: the tag column; empty unless the file was read with its gold tags.
        lines: all raw lines, line ends included, in file order.
        token_rows: `lines[token_rows[i]]` holds `tokens[i]`.
        docstart_rows: the rows of `-DOCSTART-` lines, which are no tokens.
        first_line: the number of `lines[0]` in the file, from 1.

    The last sentence of a file may have no tokens: it then carries what follows the last real one.
    """

    tokens: list[str]
    tags: list[str]
    lines: list[bytes]
    token_rows: list[int]
    docstart_rows: list[int]
    first_line: int

    def line_number(self, index: int) -> int:
        """The line of the file (from 1) that holds token `index`."""
        return self.first_line + self.token_rows[index]


def open_corpus(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes; `.gz` is uncompressed on the way, `-` is standard input.

    Raises:
        DataError: the file is missing or cannot be opened.
    """
    if str(path) == "-":
        return sys.stdin.buffer
    try:
        if Path(path).is_dir():
            raise DataError(f"{path}: is a directory, expected a CoNLL file; name the file in it")
        if str(path).endswith(".gz"):
            return io.BufferedReader(gzip.open(path))
        return Path(path).open("rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path (now in {Path.cwd().name}/)") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}; check its permissions") from None


def read_lines(stream: IO[bytes], *, path: str | Path = "<stream>") -> Iterator[bytes]:
    """Raw lines with their ends (LF, CRLF or a lone CR); their concatenation is the stream.

    Raises:
        DataError: the stream breaks off (a damaged .gz, a disk error).
    """
    # read1 returns what a pipe holds now, so that output can begin before the input ends.
    read = stream.read1 if hasattr(stream, "read1") else stream.read
    pending: list[bytes] = []  # pieces of a line whose end has not been seen
    while True:
        try:
            block = read(_BLOCK_BYTES)
        except (OSError, EOFError, gzip.zlib.error) as error:  # type: ignore[attr-defined]
            raise DataError(f"{path}: cannot be read to its end: {error}; is the file damaged?") from None
        if not block:
            break
        if pending and pending[-1].endswith(b"\r") and not block.startswith(b"\n"):
            yield b"".join(pending)
            pending = []
        lines = block.splitlines(keepends=True)  # on bytes: LF, CRLF and CR, nothing else
        # A last line without LF may go on in the next block, a CR may be half of a CRLF.
        unfinished = None if lines[-1].endswith(b"\n") else lines.pop()
        if lines:
            pending.append(lines[0])
            yield b"".join(pending)
            pending = []
            yield from lines[1:]
        if unfinished is not None:
            pending.append(unfinished)
    if pending:
        yield b"".join(pending)


def read_sentences(
    stream: IO[bytes], layout: Layout, *, path: str | Path = "<stream>", gold: bool = False
) -> Iterator[Sentence]:
    """Read sentences one by one.

    Args:
        stream: a binary stream.
        layout: columns, delimiter, comments, encoding.
        path: the name that errors use.
        gold: whether to read the tag column too, which every token line must then have.

    Raises:
        DataError: a wrong byte, or a line without a column that is needed; names `path:line`.
    """
    split = layout.splitter()
    token_index = layout.columns["token"]
    columns = _GoldColumns(layout, path) if gold else None
    decode = codecs.getdecoder(layout.encoding)
    sentence = Sentence([], [], [], [], [], 1)
    number = 0
    for number, raw in enumerate(read_lines(stream, path=path), start=1):
        try:
            line = decode(raw.rstrip(b"\r\n"))[0]
        except UnicodeDecodeError as error:
            raise wrong_byte(path, number, error) from None
        if number == 1:
            line = line.removeprefix("\ufeff")
        fields = split(line)
        if fields and DOCSTART in line and (fields[0] == DOCSTART or fields[token_index:][:1] == [DOCSTART]):
            if sentence.tokens:
                yield sentence
                sentence = Sentence([], [], [], [], [], number)
            sentence.docstart_rows.append(len(sentence.lines))
        elif not fields:
            if sentence.tokens:
                sentence.lines.append(raw)
                yield sentence
                sentence = Sentence([], [], [], [], [], number + 1)
                continue
        elif layout.comments is None or not layout.is_comment(line, fields):
            if len(fields) <= token_index:
                raise _missing_column(path, number, "token", token_index, fields)
            if columns is not None:
                sentence.tags.append(columns.tag(fields, number))
            sentence.tokens.append(fields[token_index])
            sentence.token_rows.append(len(sentence.lines))
        sentence.lines.append(raw)
    if sentence.lines:
        yield sentence


class _GoldColumns:
    """Finds the gold tag of a line; with `tag: -1` every line must have as many columns as the first."""

    def __init__(self, layout: Layout, path: str | Path) -> None:
        if "tag" not in layout.columns:
            raise DataError(
                f"{path}: columns: found {dict(layout.columns)}, expected a tag column to read gold tags from;"
                " add one, as in token=0,tag=-1"
            )
        self._index = layout.columns["tag"]
        self._others = [index for name, index in layout.columns.items() if name != "tag"]
        self._path = path
        self._n_columns = 0
        self._first_line = 0

    def tag(self, fields: list[str], number: int) -> str:
        n_columns = len(fields)
        if self._index < 0 and n_columns != self._n_columns:
            if self._n_columns:
                raise DataError(
                    f"{self._path}:{number}: found {_count(n_columns)}, expected {self._n_columns} as on line"
                    f" {self._first_line}: a tag counted from the end (tag: {self._index}) needs the same number"
                    " on every line; mend the line, or give the tag column a fixed index",
                    detail=[_show(number, fields)],
                )
            self._n_columns, self._first_line = n_columns, number
        index = self._index if self._index >= 0 else n_columns + self._index
        if not 0 <= index < n_columns or index in self._others:
            raise _missing_column(self._path, number, "tag", self._index, fields)
        tag = fields[index].strip(BLANKS)
        if not tag:
            raise DataError(
                f"{self._path}:{number}: column {self._index} (tag) is empty, expected a tag; mend the line",
                detail=[_show(number, fields)],
            )
        return tag


def _missing_column(path: str | Path, number: int, name: str, index: int, fields: list[str]) -> DataError:
    needed = index + 1 if index >= 0 else 1 - index
    return DataError(
        f"{path}:{number}: found {_count(len(fields))}, expected at least {needed}: column {index} ({name}) is missing;"
        " mend the line, or set columns and delimiter to what the file has",
        detail=[_show(number, fields)],
    )


def _count(n_columns: int) -> str:
    return f"{n_columns} column{'s' if n_columns != 1 else ''}"


def _show(number: int, fields: list[str]) -> str:
    return f"line {number}: {' | '.join(fields)[:200]}"


def wrong_byte(path: str | Path, number: int, error: UnicodeDecodeError) -> DataError:
    """The error for bytes that are not valid in the encoding."""
    return DataError(
        f"{path}:{number}: byte 0x{error.object[error.start]:02X} at offset {error.start} of the line is not valid"
        f" {error.encoding}; name the file's encoding with --encoding or data.encoding"
    )


def write_sentence(
    sentence: Sentence,
    columns: Sequence[Sequence[str]],
    layout: Layout,
    *,
    docstart_columns: Sequence[str] = ("O",),
) -> bytes:
    """The sentence's bytes with further columns on each token line.

    Args:
        sentence: as read.
        columns: the added columns, each with one value a token.
        layout: as it was read with.
        docstart_columns: what `-DOCSTART-` lines get.

    The delimiter is the line's own last one, else `layout.written_delimiter`; blank lines and comments stay as
    they are.
    """
    lines = list(sentence.lines)
    rows: Iterable[tuple[int, Sequence[str]]]
    rows = zip(sentence.token_rows, zip(*columns, strict=True), strict=True)
    if sentence.docstart_rows:
        rows = [*rows, *((row, docstart_columns) for row in sentence.docstart_rows)]
    separator = layout.separator
    for row, values in rows:
        raw = lines[row]
        body = raw.rstrip(b"\r\n")
        delimiter = separator or own_delimiter(body) or layout.written_delimiter
        lines[row] = body + "".join(delimiter + value for value in values).encode(layout.encoding) + raw[len(body) :]
    return b"".join(lines)


def own_delimiter(body: bytes) -> str | None:
    """What separates the columns of a line read by the `auto` rule; None where it has but one column."""
    if b"\t" in body:
        return "\t"
    return " " if b" " in body else None
