"""Opening a text file of word vectors, gzip or plain; what is no such file is refused with what to do about it."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

from tagger.corpus.lines import require_regular
from tagger.errors import DataError

_PEEKED_BYTES = 1 << 16
_ALWAYS_UNPACKED, _MOST_RATIO = 100 << 20, 100  # bytes, and times as many; numbers as text shrink to a third
_GZIP = b"\x1f\x8b"
_HEADER = re.compile(rb"[0-9]+ [0-9]+")
_AS_TEXT = "convert it to text first (word2vec: -binary 0; fastText: take its .vec; else the tool that wrote it)"
_AS_UTF8 = "convert it to utf-8 first (for instance with iconv)"
_BINARY = (
    (b"PK\x03\x04", "a zip archive", "unpack it first"),
    (b"BZh", "a bzip2 archive", "unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive", "unpack it first"),
    (b"\x93NUMPY", "a NumPy array", "give it a name in .npy, and its tokens one a line in a .txt beside it"),
    (b"\x89HDF\r\n", "an HDF5 file", _AS_TEXT),
    (b"\xba\x16\x4f\x2f", "a fastText binary model", _AS_TEXT),
    *((b"\x80" + bytes([protocol]), "a pickle, which could run any code", _AS_TEXT) for protocol in (2, 3, 4, 5)),
    (b"\xff\xfe", "UTF-16", _AS_UTF8),
    (b"\xfe\xff", "UTF-16", _AS_UTF8),
)


def open_vector_text(path: Path) -> BinaryIO:
    """The bytes of a text file, uncompressed if its content is gzip, whatever its name.

    Raises:
        DataError: it is missing, damaged, or no text.
    """
    require_regular(path)
    try:
        if path.is_dir():
            raise DataError("is a directory, expected a file of word vectors; name the file in it", path=path)
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
        if path.suffix == ".gz" and not packed:
            raise DataError("is no gzip file, expected one by its name; rename it or get it again", path=path)
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
    """What a gzip file holds, unless that is out of all proportion: a few kilobytes could fill the memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        self._most = max(_ALWAYS_UNPACKED, _MOST_RATIO * path.stat().st_size)

    def readinto(self, buffer: Any) -> int:
        n = super().readinto(buffer)
        if self.tell() > self._most:
            raise DataError(
                f"unpacks to more than {_MOST_RATIO} times its size, expected word vectors; unpack it first if it is"
                " what you mean",
                path=self._path,
            )
        return n


def _refuse_binary(sample: bytes, path: Path) -> None:
    for magic, name, remedy in _BINARY:
        if sample.startswith(magic):
            raise DataError(f"is {name}, expected word vectors as text; {remedy}", path=path)
    # Floats in binary are never long without a zero byte, and text has none.
    if b"\0" in sample:
        name = "binary word2vec" if _HEADER.fullmatch(sample.split(b"\n", 1)[0]) else "binary"
        raise DataError(f"is {name}, expected word vectors as text; {_AS_TEXT}", path=path)
