"""The lines of a text file that lists words or phrases."""

from __future__ import annotations

from collections.abc import Iterator

from tagger.corpus.lines import open_corpus, read_lines
from tagger.errors import DataError

_BOM = b"\xef\xbb\xbf"


def numbered_lines(path: str, *, most: int, what: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, with their numbers from 1, without line ends (LF, CRLF or CR).

    The file is UTF-8, with or without a byte-order mark, and may be compressed with gzip.

    Args:
        most: the largest number of these lines.
        what: what a line holds, in the plural.

    Raises:
        DataError: the file is missing, damaged, too long, or is not such text.
    """
    n = 0
    with open_corpus(path) as stream:
        for number, raw in enumerate(read_lines(stream, path=path), 1):
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
