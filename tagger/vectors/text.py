"""Word vectors as text: GloVe (one line `token v1 … vE` per token), word2vec and fastText (after a header `N E`).

A token may contain no-break, ideographic and even plain spaces (`. . .` in GloVe 840B). The numbers are therefore
counted from the end of the line, and the rest of the line is the token.
"""

from __future__ import annotations

import collections
import contextlib
import gzip
import io
import itertools
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from tagger.corpus.lines import read_line_blocks, require_regular
from tagger.errors import DataError

_PEEKED_BYTES = 1 << 16
# A gzip file may unpack to this number of bytes, or to this multiple of its size. Numbers as text shrink to a third.
_ALWAYS_UNPACKED, _MOST_RATIO = 100 << 20, 100
_GZIP = b"\x1f\x8b"
_WORD2VEC_HEADER = re.compile(rb"[0-9]+ [0-9]+")
_AS_TEXT = (
    "convert it to text first (word2vec: -binary 0; fastText: its .vec file; for other formats, use the tool that wrote"
    " the file)"
)
_AS_UTF8 = "convert it to utf-8 first (for instance with iconv)"
_BINARY = (
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (
        b"\x93NUMPY",
        "a NumPy array",
        "rename it to .npy, and write its tokens, one per line, to a .txt beside it",
    ),
    (b"\x89HDF\r\n", "an HDF5 file", _AS_TEXT),
    (b"\xba\x16\x4f\x2f", "a fastText binary model", _AS_TEXT),
    *((b"\x80" + bytes([protocol]), "a pickle, which could run any code", _AS_TEXT) for protocol in (2, 3, 4, 5)),
    (b"\xff\xfe", "UTF-16", _AS_UTF8),
    (b"\xfe\xff", "UTF-16", _AS_UTF8),
)
Floats = npt.NDArray[np.float32]
_SAMPLED_LINES = 100  # the shape of a file is found from this number of lines
_LONGEST_LINE = 16 << 20  # bytes; vectors of a million numbers fit
_UTF8_MARK = b"\xef\xbb\xbf"
_BLANKS_AND_ENDS = b" \t\r\n"
_LEAST_GROWTH = 1 << 18  # numbers
_HEADER = re.compile(rb"([0-9]{1,18})[ \t]([0-9]{1,18})")
_NUMBER = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_NUMERIC = re.compile(_NUMBER.pattern + rb"|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


def open_vector_text(path: Path) -> BinaryIO:
    """Open a text file for reading bytes; gzip content is decompressed, whatever the name of the file.

    Raises:
        DataError: the file is missing or damaged, or is not text.
    """
    require_regular(path)
    try:
        if path.is_dir():
            raise DataError("is a directory, expected a file of word vectors; name the file in it", path=path)
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        if path.suffix == ".gz" and not packed:
            raise DataError(
                "is not a gzip file, expected one because of its name; rename it or get it again", path=path
            )
        with _opened(path, packed=packed) as stream:
            _refuse_binary(stream.read(_PEEKED_BYTES), path)
        return _opened(path, packed=packed)
    except FileNotFoundError:
        raise DataError("no such file; check the path", path=path) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"is damaged gzip: {error}; get the file again", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}; check its permissions", path=path) from None
    except ValueError as error:  # a NUL byte in the name
        raise DataError(f"{str(path)!r}: cannot be opened: {error}; check the path") from None


def _opened(path: Path, *, packed: bool) -> BinaryIO:
    return io.BufferedReader(_Unpacked(path)) if packed else path.open("rb")


class _Unpacked(gzip.GzipFile):
    """The content of a gzip file, up to a limit. Without a limit, a small file could fill the memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        self._most = max(_ALWAYS_UNPACKED, _MOST_RATIO * path.stat().st_size)

    def readinto(self, buffer: Any) -> int:
        n = super().readinto(buffer)
        if self.tell() > self._most:
            raise DataError(
                f"unpacks to more than {_MOST_RATIO} times its size, expected word vectors; unpack it first if it"
                " really holds them",
                path=self._path,
            )
        return n


def _refuse_binary(sample: bytes, path: Path) -> None:
    for magic, name, remedy in _BINARY:
        if sample.startswith(magic):
            raise DataError(f"is {name}, expected word vectors as text; {remedy}", path=path)
    # Binary floats soon contain a zero byte, and text has none.
    if b"\0" in sample:
        name = "binary word2vec" if _WORD2VEC_HEADER.fullmatch(sample.split(b"\n", 1)[0]) else "binary"
        raise DataError(f"is {name}, expected word vectors as text; {_AS_TEXT}", path=path)


def read_vector_text(path: Path, max_rows: int | None) -> tuple[list[str | None], Floats, list[str]]:
    """Read the vectors of a text file.

    Returns:
        The tokens (None for an unusable token), their vectors [N, E], and notes for the user.

    Raises:
        DataError: as in `table.read_vectors`.
    """
    with open_vector_text(path) as stream:
        blocks = read_line_blocks(stream, path=path)
        first: list[bytes] = []
        while len(first) < _SAMPLED_LINES and (block := next(blocks, None)):
            first += block
        if first:
            first[0] = first[0].removeprefix(_UTF8_MARK)
        n_promised, n_numbers = _find_shape(first, path)
        parser, table, tokens = _Parser(path, n_numbers), _GrowingTable(n_numbers), list[str | None]()
        if n_promised is not None:
            first[0] = b""
        number = 1
        for block in itertools.chain([first], blocks):
            left = None if max_rows is None else max_rows - len(tokens)
            block_tokens, values = parser.parse(block, number, left)
            tokens += block_tokens
            table.append(values)
            number += len(block)
            if len(tokens) == max_rows:
                break
    _check_promise(path, len(tokens), n_promised, complete=len(tokens) != max_rows)
    return tokens, table.complete(), parser.notes()


def _find_shape(lines: Sequence[bytes], path: Path) -> tuple[int | None, int]:
    """Find N and E from the first lines of a file.

    N comes from the header. E comes from the header too, or else is the count of numbers at the end of most lines. The
    first field of a line never counts, because it is the token or its beginning.

    Two whole numbers on the first line are a header. They are a token and its vector instead if most of the following
    lines have one number and the second number on the first line is not 1.

    Returns:
        N, or None without a header; and E.
    """
    rows = [line.rstrip(_BLANKS_AND_ENDS) for line in lines]
    counts = [_count_numbers(row, path) for row in rows if row]
    header = _HEADER.fullmatch(rows[0]) if rows else None
    if header and int(header[2]) and (int(header[2]) == 1 or _commonest(counts[1:]) != 1):
        return int(header[1]), int(header[2])
    if not counts:
        raise DataError(
            "is empty, expected word vectors: a token and its numbers on each line; check the path", path=path
        )
    if not _commonest(counts):
        number = next(i for i, row in enumerate(rows, start=1) if row)
        raise DataError(
            f"found {_shown(rows[number - 1])}, expected a token and its numbers, separated by spaces; name a file of"
            " word vectors",
            path=path,
            line=number,
        )
    return None, _commonest(counts)


def _count_numbers(row: bytes, path: Path) -> int:
    if len(row) > _LONGEST_LINE:
        raise DataError(
            f"found a line of {len(row)} bytes, expected a token and its numbers in at most {_LONGEST_LINE}; name a"
            " file of word vectors",
            path=path,
        )
    fields = row.replace(b"\t", b" ").split(b" ")[1:]
    return next((i for i, field in enumerate(reversed(fields)) if not _NUMERIC.fullmatch(field)), len(fields))


def _commonest(counts: Sequence[int]) -> int:
    by_count = collections.Counter(counts)
    return max(by_count, key=lambda count: (by_count[count], count)) if by_count else 0


def _check_promise(path: Path, n_found: int, n_promised: int | None, *, complete: bool) -> None:
    if n_promised is not None and (n_found > n_promised or (n_found < n_promised and complete)):
        kind = "is truncated" if n_found < n_promised else "does not match its header"
        raise DataError(
            f"{kind}: its first line promises {n_promised} vectors, found {n_found}{'' if complete else ' or more'};"
            " get the file again or fix its first line",
            path=path,
        )
    if not n_found:
        raise DataError("holds no vectors, expected a token and its numbers on each line; check the file", path=path)


class _GrowingTable:
    """A table [N, E] that grows in place by a sixteenth, so that there is never a second copy of it."""

    def __init__(self, n_columns: int) -> None:
        self._table = np.empty((0, n_columns), np.float32)
        self._n_rows = 0

    def append(self, values: Floats) -> None:
        end = self._n_rows + len(values)
        if end > len(self._table):
            self._resize(end + max(_LEAST_GROWTH // self._table.shape[1], end // 16))
        self._table[self._n_rows : end] = values
        self._n_rows = end

    def _resize(self, n_rows: int) -> None:
        # Nothing else refers to the array, so it may move. The system moves large memory without copying it.
        self._table.resize((n_rows, self._table.shape[1]), refcheck=False)

    def complete(self) -> Floats:
        """Return the table [N, E]."""
        self._resize(self._n_rows)
        return self._table


class _Parser:
    """A parser of blocks of lines into tokens and numbers.

    For the notes, it counts the lines that are odd or left out."""

    def __init__(self, path: Path, n_numbers: int) -> None:
        self._path, self._n_numbers = path, n_numbers
        self._counts: dict[str, tuple[int, str]] = {}  # kind of line → how often it occurred, and the first case

    def parse(self, lines: Sequence[bytes], number: int, limit: int | None) -> tuple[list[str | None], Floats]:
        """Return tokens (None for an unusable token) and values [N, E] of the first `limit` lines that are not blank.

        Args:
            lines: raw lines; an empty bytes object, which stands for a removed header, is skipped.
            number: the number of the first line in the file.
            limit: the largest number of lines to parse; None: all.

        Raises:
            DataError: a line has too few or too many numbers, or a field that is not a finite number.
        """
        rows = [line.rstrip(_BLANKS_AND_ENDS) for line in lines]
        numbers: Sequence[int] = range(number, number + len(rows))
        if not all(rows):
            for i, line, row in zip(numbers, lines, rows, strict=True):
                if line and not row:
                    self._count("blank lines skipped", f"line {i}")
            numbers = [i for i, row in zip(numbers, rows, strict=True) if row]
            rows = [row for row in rows if row]
        rows = rows[:limit]
        numbers = numbers[:limit]
        if not rows:
            return [], np.empty((0, self._n_numbers), np.float32)
        plain = [row.replace(b"\t", b" ") if b"\t" in row else row for row in rows]
        cuts = list(map(self._find_cut, plain, numbers))
        values = self._convert([row[cut + 1 :] for row, cut in zip(plain, cuts, strict=True)], numbers)
        return self._decode([row[:cut] for row, cut in zip(rows, cuts, strict=True)], numbers), values

    def _find_cut(self, row: bytes, number: int) -> int:
        """Return the index of the separator between the token and the numbers of a line."""
        n_separators = row.count(b" ")
        if n_separators == self._n_numbers:
            return row.index(b" ")
        if n_separators < self._n_numbers:
            raise self._error(f"found {n_separators + 1} columns", row, number)
        token = row.rsplit(b" ", self._n_numbers)[0]
        if token.strip(b" "):
            # If everything after the first part of the token is a number, the line has too many numbers.
            if token.endswith(b" ") or all(map(_NUMBER.fullmatch, token.split(b" ")[1:])):
                raise self._error(f"found {n_separators + 1} columns", row, number)
            self._count("tokens with spaces in them", f"line {number}: {_shown(token)}")
        return len(token)

    def _convert(self, texts: Sequence[bytes], numbers: Sequence[int]) -> Floats:
        # loadtxt parses in C: 400,000 × 50 numbers take 1.6 s, where float() on each number takes 3 s.
        with contextlib.suppress(ValueError), np.errstate(over="ignore"):
            decoded = b"\n".join(texts).decode("ascii", "replace").split("\n")
            values = np.loadtxt(decoded, np.float32, comments=None, delimiter=" ", ndmin=2)
            if values.shape == (len(texts), self._n_numbers) and np.isfinite(values).all():
                return values
        for text, number in zip(texts, numbers, strict=True):
            self._check_numbers(text, number)
        raise DataError(f"lines {numbers[0]} to {numbers[-1]} cannot be parsed; fix them", path=self._path)

    def _check_numbers(self, text: bytes, number: int) -> None:
        for i, field in enumerate(text.split(b" "), start=1):
            if not _NUMBER.fullmatch(field):
                raise self._error(f"found {_shown(field)} as number {i}", text, number)
            with np.errstate(over="ignore"):
                if not np.isfinite(np.float32(float(field))):
                    raise self._error(
                        f"found {_shown(field)} as number {i}, which is too large for 32 bits", text, number
                    )

    def _error(self, found: str, row: bytes, number: int) -> DataError:
        hint = " (two separators in a row?)" if b"  " in row else ""
        return DataError(
            f"{found}{hint}, expected a token and {self._n_numbers} finite numbers, separated by single spaces; fix or"
            " remove the line",
            path=self._path,
            line=number,
        )

    def _decode(self, tokens: list[bytes], numbers: Sequence[int]) -> list[str | None]:
        try:
            decoded: list[str | None] = [*b"\n".join(tokens).decode().split("\n")]
        except UnicodeDecodeError:
            decoded = list(map(self._decode_one, tokens, numbers))
        if not all(decoded):
            for i, token in enumerate(tokens):
                if not token.strip(b" \t"):
                    self._count("lines left out because they have no token", f"line {numbers[i]}")
                    decoded[i] = None
        return decoded

    def _decode_one(self, token: bytes, number: int) -> str | None:
        try:
            return token.decode()
        except UnicodeDecodeError:
            self._count("lines left out because their token is not valid UTF-8", f"line {number}: {_shown(token)}")
            return None

    def _count(self, what: str, example: str) -> None:
        before, first = self._counts.get(what, (0, example))
        self._counts[what] = before + 1, first

    def notes(self) -> list[str]:
        return [f"{what}: {n:,} (first: {first})" for what, (n, first) in self._counts.items()]


def _shown(text: bytes) -> str:
    """Return bytes as a message shows them: shortened, and without characters that could move the cursor."""
    shown = repr(text[:40].decode("utf-8", "backslashreplace"))
    return f"{shown}…" if len(text) > 40 else shown
