"""Splitting of byte streams into raw lines, and of lines into groups that end with a blank line.

Nothing is decoded, and nothing is lost.
"""

from __future__ import annotations

import dataclasses
import gzip
import io
import os
import select
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

from tagger.corpus.content import GZIP, SAMPLE_BYTES, recognize
from tagger.errors import DataError

Files = str | Path | Sequence[str]  # one file, or several that are one corpus
_BLOCK_BYTES = 1 << 16
# Long enough that a producer slightly slower than the reader does not count as a pause.
_PAUSE_SECONDS = 0.05
_BLANKS_AND_ENDS = b" \t\r\n"
_MOST_BLANK = 1024  # lines in a group of blank lines
_SPACE = 0x20  # the largest byte that can begin a blank line


def open_corpus(path: str | Path) -> BinaryIO:
    """Open a file for reading bytes; a `.gz` file is decompressed as it is read, and `-` is standard input.

    Reading raises DataError if the content is not text, or is damaged.

    Raises:
        DataError: the file is missing or cannot be opened, or is not gzip although its name ends in `.gz`.
    """
    if str(path) == "-":
        if sys.stdin is None:
            raise DataError("<standard input>: is closed, expected a corpus; name a file or redirect one")
        return _corpus(sys.stdin.buffer, path)
    try:
        if Path(path).is_dir():
            raise DataError(f"{path}: is a directory, expected a file; name the file in it")
        file = Path(path).open("rb")  # noqa: SIM115 (the stream that is returned closes it)
        if not str(path).endswith(".gz"):
            return _corpus(file, path, file)
        start = file.peek(len(GZIP))[: len(GZIP)]
        if start != GZIP:
            file.close()
            raise DataError(_not_gzip(start), path=path)
        unpacked = gzip.GzipFile(fileobj=file)
        return _corpus(unpacked, path, unpacked, file)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; check the path (the working directory is {_working_directory()})"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}; check its permissions") from None
    except ValueError as error:  # a NUL byte in the name
        raise DataError(f"{path!r}: cannot be opened: {error}; check the path") from None


def _working_directory() -> str:
    try:
        return f"{Path.cwd().name}/"
    except FileNotFoundError:
        return "deleted"


def _not_gzip(start: bytes) -> str:
    if not start:
        return "is empty (0 bytes), expected gzip, as its name ends in .gz; get the file again"
    return "is not gzip, expected it, as its name ends in .gz; remove .gz from the name, or get the file again"


def _corpus(stream: Any, path: str | Path, *owned: BinaryIO | gzip.GzipFile) -> BinaryIO:
    return io.BufferedReader(_Content(stream, shown_name(path), owned))


class _Content(io.RawIOBase):
    """The bytes of a stream, which are refused as soon as they turn out not to be text.

    Args:
        stream: the stream, decompressed.
        path: the name for messages.
        owned: what to close together with this stream.
    """

    def __init__(self, stream: Any, path: str, owned: Sequence[BinaryIO | gzip.GzipFile]) -> None:
        self._stream, self._path, self._owned = stream, path, owned
        self._sample, self._next_look = bytearray(), 1

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        block = self._read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def close(self) -> None:
        if not self.closed:
            for stream in self._owned:
                stream.close()
        super().close()

    def _read(self, size: int) -> bytes:
        try:
            block: bytes = self._stream.read1(size)
        except EOFError:
            raise DataError("is truncated gzip: its end is missing; get the file again", path=self._path) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise DataError(self._damage(error), path=self._path) from None
        except OSError as error:
            raise DataError(unreadable(error), path=self._path) from None
        if self._next_look <= SAMPLE_BYTES:
            self._look_at(block)
        return block

    def _look_at(self, block: bytes) -> None:
        """Refuse foreign content; a stream that delivers few bytes at a time is looked at each time they double."""
        self._sample += block[: SAMPLE_BYTES - len(self._sample)]
        if len(self._sample) < self._next_look and block:
            return
        self._next_look = 2 * len(self._sample) + 1 if block else SAMPLE_BYTES + 1
        foreign = recognize(bytes(self._sample))
        if foreign is not None:
            remedy = foreign.remedy
            if self._path == shown_name("-"):
                remedy = remedy.partition(", or rename")[0]
            raise DataError(f"is {foreign.name}, expected a corpus as text; {remedy}", path=self._path)

    @staticmethod
    def _damage(error: Exception) -> str:
        if "Not a gzipped file" in str(error):
            return "holds other bytes after its gzip data, expected nothing there; get the file again"
        if "CRC" in str(error) or "length" in str(error):
            return "is damaged gzip: its checksum does not match its content; get the file again"
        return f"is damaged gzip: {error}; get the file again"


def unreadable(error: Exception) -> str:
    """Return the text of the error for a stream that breaks off."""
    return f"cannot be read to its end: {error}; check the disk, or get the file again"


def shown_name(path: str | Path) -> str:
    """Return a path as messages show it."""
    return "<standard input>" if str(path) == "-" else str(path)


def file_stamp(path: str | Path) -> tuple[int, ...] | None:
    """Return numbers that change when a file is replaced or written to; None if there is no such file."""
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def names_of(paths: Files) -> str:
    """Return the name of one or more files for messages."""
    first, *others = files_of(paths)
    more = f" and {len(others)} more file{'s' if len(others) > 1 else ''}" if others else ""
    return f"{shown_name(first)}{more}"


def files_of(paths: Files) -> list[str]:
    """Return the paths of one or more files."""
    return [str(paths)] if isinstance(paths, str | Path) else [str(path) for path in paths]


def require_regular(path: str | Path) -> None:
    """Raise DataError for a pipe or a device, because input that is read more than once must be a regular file."""
    if str(path) == "-":
        raise DataError(
            "<standard input>: found a stream, expected a file because it is read twice; write it to a file first"
        )
    try:
        special = Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir()
    except (OSError, ValueError):
        return  # `open_corpus` says what is wrong with the name
    if special:
        raise DataError(
            f"{path}: is not a regular file, expected one because it is read twice; write it to a file first"
        )


def read_line_blocks(
    stream: IO[bytes], *, path: str | Path = "<stream>", pauses: bool = False, max_bytes: int | None = None
) -> Iterator[list[bytes]]:
    """Yield lists of raw lines with their line ends (LF, CRLF or a lone CR); joined together, they are the stream.

    Args:
        stream: a binary stream.
        path: the file name for error messages.
        pauses: whether to yield an empty list before waiting for a pipe or a terminal that has nothing to read for the
            moment.
        max_bytes: the size from which the beginning of a line is given before its end was read, in a list of its own.

    Raises:
        DataError: the stream breaks off (a damaged .gz, a disk error).
    """
    # read1 returns whatever a pipe holds now, so that output can begin before the input ends.
    read = stream.read1 if hasattr(stream, "read1") else stream.read
    pending: list[bytes] = []  # parts of a line whose end has not been read yet
    n_pending = 0
    while True:
        if pauses and not _is_ready(stream, _PAUSE_SECONDS):
            yield []
            _is_ready(stream, None)
        try:
            block = read(_BLOCK_BYTES)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(unreadable(error), path=path) from None
        if not block:
            break
        if pending and pending[-1].endswith(b"\r") and not block.startswith(b"\n"):
            yield [b"".join(pending)]
            pending = []
        lines = block.splitlines(keepends=True)  # bytes are split at LF, CRLF and CR only
        # A last line without LF may continue in the next block, and a last CR may be half of a CRLF.
        unfinished = None if lines[-1].endswith(b"\n") else lines.pop()
        if lines:
            if pending:
                pending.append(lines[0])
                lines[0] = b"".join(pending)
                pending = []
            yield lines
            n_pending = 0
        if unfinished is not None:
            pending.append(unfinished)
            n_pending += len(unfinished)
        if max_bytes is not None and n_pending >= max_bytes and not pending[-1].endswith(b"\r"):
            yield [b"".join(pending)]
            pending, n_pending = [], 0
    if pending:
        yield [b"".join(pending)]


def _is_ready(stream: IO[bytes], seconds: float | None) -> bool:
    """Return whether the stream has something to read, or ends, within `seconds`; None waits without limit.

    Of a pipe or a terminal that cannot be asked, as on Windows, every moment counts as a pause.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):  # there is none
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    except (OSError, ValueError):
        return stat.S_ISREG(os.fstat(descriptor).st_mode)


def read_lines(stream: IO[bytes], *, path: str | Path = "<stream>", max_bytes: int | None = None) -> Iterator[bytes]:
    """Yield the raw lines of `read_line_blocks` one by one."""
    for lines in read_line_blocks(stream, path=path, max_bytes=max_bytes):
        yield from lines


def is_blank(line: bytes) -> bool:
    """Return whether a raw line holds nothing but TABs and spaces."""
    return line[0] <= _SPACE and not line.strip(_BLANKS_AND_ENDS)


@dataclasses.dataclass(slots=True)
class LineGroup:
    """Raw lines up to and including a blank line.

    Attributes:
        first_line: the number of `lines[0]` in the stream, from 1.
        closed: whether the last line is blank, which it is not if the stream ended or the group was cut before a blank
            line.
        continues: whether the group was cut because of its length and the next one continues it.
        is_blank: whether the group is a run of blank lines that do not belong to any sentence.
    """

    lines: list[bytes]
    first_line: int
    closed: bool
    continues: bool = False
    is_blank: bool = False

    @property
    def n_filled(self) -> int:
        """The number of lines before the blank ones."""
        return 0 if self.is_blank else len(self.lines) - self.closed


def group_lines(blocks: Iterable[list[bytes]], max_lines: int | None = None) -> Iterator[list[LineGroup]]:
    """Yield the groups that each block of lines completes; a group of more than `max_lines` lines is cut.

    An empty block gives an empty list.
    """
    number, pending = 1, list[bytes]()
    for lines in blocks:
        groups, start = list[LineGroup](), 0
        for blank in [i for i, line in enumerate(lines) if line[0] <= _SPACE and is_blank(line)]:
            if blank == start and not pending:
                # A run of blank lines is one group where possible, because each group costs as much as a sentence.
                if groups and groups[-1].is_blank and len(groups[-1].lines) < _MOST_BLANK:
                    groups[-1].lines.append(lines[blank])
                else:
                    groups.append(LineGroup([lines[blank]], number, closed=True, is_blank=True))
                number, start = number + 1, blank + 1
                continue
            pending += lines[start : blank + 1]
            start = blank + 1
            groups.append(LineGroup(pending, number, True))
            number += len(pending)
            pending = []
        pending += lines[start:]
        if max_lines is not None:
            groups = [chunk for group in groups for chunk in _cut(group, max_lines)]
            while len(pending) > max_lines:
                groups.append(LineGroup(pending[:max_lines], number, closed=False, continues=True))
                number, pending = number + max_lines, pending[max_lines:]
        if groups or not lines:
            yield groups
    if pending:
        yield [LineGroup(pending, number, closed=False)]


def _cut(group: LineGroup, max_lines: int) -> list[LineGroup]:
    if len(group.lines) <= max_lines or group.is_blank:
        return [group]
    starts = range(0, len(group.lines), max_lines)
    chunks = [
        LineGroup(group.lines[i : i + max_lines], group.first_line + i, closed=False, continues=True) for i in starts
    ]
    chunks[-1].closed, chunks[-1].continues = group.closed, False
    return chunks
