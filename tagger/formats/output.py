"""The place where documents are written: a file or folder that is there as a whole, or not at all."""

from __future__ import annotations

import errno
import gzip
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tagger.atomic import replace_directory, replace_file, write_blocks_atomically
from tagger.errors import DataError
from tagger.formats.document import Document, Format, WriteOptions


def check_target(source: str, target: str, read: Format, written: Format, *, force: bool) -> Path:
    """Return the path to write to; links are followed.

    Raises:
        DataError: writing there would replace the source, or something else without being asked to.
    """
    if not target or "\0" in target:
        raise DataError(f"{target!r}: found no name, expected the file or folder to write; choose one")
    path = Path(target).resolve()  # a link stays a link: what it leads to is written
    if _is_standard_input(path) if source == "-" else _is_part_of(path, Path(source).resolve(), read):
        raise DataError(f"{target}: is what is read, expected another name; the original is never replaced")
    if not path.exists():
        if not written.folder and not path.parent.is_dir():  # said now, not after everything has been read
            raise _not_written(path, os.strerror(errno.ENOTDIR if path.parent.exists() else errno.ENOENT))
        return path
    is_right = path.is_dir() if written.folder else path.is_file()
    if not is_right:
        what = "a folder" if written.folder else "a file"
        raise DataError(f"{target}: is there and is not {what}, expected a new name for {what}; choose another")
    if written.folder:
        _check_folder(path, target, written)
    if not force and not (written.folder and not any(path.iterdir())):
        raise DataError(f"{target}: already exists, expected a new name; choose another, or replace it with --force")
    return path


def _is_standard_input(path: Path) -> bool:
    """Return whether a file is the one that standard input was redirected from."""
    try:
        return path.is_file() and os.path.samestat(path.stat(), os.fstat(sys.stdin.fileno()))
    except (OSError, ValueError, AttributeError):  # closed, or without a descriptor
        return False


def _is_part_of(path: Path, origin: Path, read: Format) -> bool:
    """Return whether a path is the source, holds it, or is one of its files."""
    if path == origin or (path.exists() and origin.exists() and path.samefile(origin)):  # a hard link, too
        return True
    if path.is_dir() and path in origin.parents:
        return True
    folder = origin if origin.is_dir() else origin.parent
    return read.folder and path.is_file() and folder in path.parents and path.name.endswith(read.suffixes + read.beside)


def _check_folder(path: Path, target: str, written: Format) -> None:
    """Raise DataError if a folder holds anything but files of a format, which would be lost."""
    own = written.suffixes + written.beside
    foreign = sorted(entry.name for entry in path.iterdir() if entry.is_dir() or not entry.name.endswith(own))
    if foreign:
        raise DataError(
            f"{target}: holds {foreign[0]}, which is not {written.name} and would be lost, expected a new or an empty"
            " folder; choose another",
            detail=[f"also {name}" for name in foreign[1:4]],
        )


def write_documents(documents: Iterable[Document], path: Path, written: Format, options: WriteOptions) -> None:
    """Write documents beside a path, and exchange the two at the end.

    Raises:
        DataError: the path cannot be written.
    """
    try:
        if written.blocks is not None:
            blocks = written.blocks(documents, options)
            write_blocks_atomically(path, gzipped(blocks) if path.name.endswith(".gz") else blocks)
        elif (write := written.write) is not None:
            _write_beside(path, written, lambda fresh: write(documents, fresh, options))
    except OSError as error:
        raise _not_written(path, error.strerror) from None


def _not_written(path: Path, why: str | None) -> DataError:
    return DataError(f"{path}: cannot be written: {why}; choose another place")


def _write_beside(path: Path, written: Format, write: Callable[[Path], None]) -> None:
    """Write a folder, or a file that is not written piece by piece, and exchange it with what is there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    fresh = beside / path.name  # so that its name is the final one
    try:
        beside.mkdir()
        write(fresh)
        if written.folder:
            replace_directory(fresh, path)
        else:
            replace_file(fresh, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def gzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks as gzip; the same blocks always give the same bytes."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:
        for block in blocks:
            stream.write(block)
            yield packed.getvalue()
            packed.seek(0)
            packed.truncate()
    yield packed.getvalue()
