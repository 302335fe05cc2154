"""The lines of a text file that lists words or phrases."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from tagger.corpus.lines import open_corpus, read_lines, require_regular
from tagger.errors import DataError

_BOM = b"\xef\xbb\xbf"
_MOST_BYTES = 512 << 20  # unpacked; a small .gz file could fill the memory, even with a single line


def numbered_lines(path: str, *, most: int, what: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1, without line ends (LF, CRLF or CR).

    The file is UTF-8, with or without a byte-order mark, and may be compressed with gzip.

    Args:
        most: the largest number of these lines.
        what: what a line holds, in the plural.

    Raises:
        DataError: the file is missing, damaged, too long, not a regular file, or is not such text.
    """
    require_regular(path)
    n = 0
    with open_corpus(path) as stream:
        for number, raw in enumerate(read_lines(io.BufferedReader(_Limited(stream, path)), path=path), 1):
            content = raw.removeprefix(_BOM) if number == 1 else raw
            try:
                text = content.rstrip(b"\r\n").decode()
            except UnicodeDecodeError as error:
                byte = content[error.start]
                raise DataError(
                    f"found the byte 0x{byte:02X}, expected UTF-8; convert the file to utf-8 first (for instance with"
                    " iconv)",
                    path=path,
                    line=number,
                ) from None
            if not text.strip(" \t"):
                continue
            n += 1
            if n > most:
                raise DataError(f"found more than {most:,} {what}, expected at most that many; leave the rarest out",
                                path=path, line=number)  # fmt: skip
            yield number, text


class _Limited(io.RawIOBase):
    """A stream of at most `_MOST_BYTES` bytes."""

    def __init__(self, stream: Any, path: str) -> None:
        self._stream, self._path, self._n_read = stream, path, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        block: bytes = self._stream.read1(len(buffer))
        buffer[: len(block)] = block
        self._n_read += len(block)
        if self._n_read > _MOST_BYTES:
            raise DataError(
                f"unpacks to more than {_MOST_BYTES >> 20} MiB, expected less; is this a list?", path=self._path
            )
        return len(block)
