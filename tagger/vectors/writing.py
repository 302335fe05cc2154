"""Vectors in files as `tagger.vectors.table` reads them: an array, and a vocabulary beside it."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tagger.atomic import replace_together
from tagger.errors import DataError
from tagger.locks import FileLock
from tagger.vectors.table import VOCABULARY_SUFFIXES, Vectors

SUFFIX = ".npy"


@contextlib.contextmanager
def reserved(out: str, sources: Sequence[str], *, force: bool) -> Iterator[Path]:
    """Yield the path of the array to write, while no other command can write there; the arguments are `check_place`'s.

    Raises:
        DataError: as `check_place`, or another command is writing there, or the folder cannot be written to.
    """
    path = check_place(out, sources, force=force)
    lock = _locked(path.with_name(f".{path.name}.lock"), out)
    try:
        yield check_place(out, sources, force=force)  # another command may have just finished
    finally:
        lock.release(remove=True)


def _locked(file: Path, out: str) -> FileLock:
    try:
        lock = FileLock.take(file)
    except OSError as error:
        raise _not_written(out, error.strerror or str(error)) from None
    if lock is None:
        raise DataError(
            f"{out}: another command is writing vectors there, expected none; wait for it, or choose another -o"
        )
    return lock


def check_place(out: str, sources: Sequence[str], *, force: bool) -> Path:
    """Return the path of the array to write; links are followed.

    Args:
        out: the name that was given.
        sources: the files and folders that are read, in which nothing is ever written.
        force: whether to replace vectors that are there.

    Raises:
        DataError: the name is not that of an array, or writing there would replace something.
    """
    if Path(out).suffix != SUFFIX or "\0" in out:
        raise DataError(
            f"-o: found {out!r}, expected a name that ends in {SUFFIX}; the vocabulary gets the same name with"
            f" {VOCABULARY_SUFFIXES[0]}"
        )
    path = Path(out).resolve()  # a link stays a link: what it leads to is written
    if not path.parent.is_dir():
        raise _not_written(out, os.strerror(errno.ENOTDIR if path.parent.exists() else errno.ENOENT))
    if path.suffix != SUFFIX:
        raise DataError(
            f"{out}: is a link to {path.name}, expected one to a name that ends in {SUFFIX}; choose another"
        )
    folder = next((source for source in sources if path.is_relative_to(Path(source).resolve())), None)
    if folder is not None and Path(folder).is_dir():
        raise DataError(f"{out}: is inside {folder}, which is read, expected another folder; choose another -o")
    for place in (path, vocabulary_of(path)):
        name = Path(out).with_name(place.name)
        if not place.exists():
            continue
        if any(read.exists() and place.samefile(read) for source in sources for read in _read_with(Path(source))):
            raise DataError(f"{name}: is what is read, and would be replaced, expected another name; choose another -o")
        if not place.is_file():
            raise DataError(f"{name}: is there and is not a file, expected a new name; choose another -o")
        if not force:
            raise DataError(
                f"{name}: already exists, expected a new name; choose another -o, or replace it with --force"
            )
    return path


def _read_with(source: Path) -> list[Path]:
    """Return the files that are read if this one is named: brat has the text of `a.ann` in `a.txt`."""
    return [source, source.with_suffix(VOCABULARY_SUFFIXES[0])] if source.suffix == ".ann" else [source]


def vocabulary_of(array: Path) -> Path:
    """Return the place of the tokens of an array."""
    return array.with_suffix(VOCABULARY_SUFFIXES[0])


def write_vectors(vectors: Vectors, path: Path) -> None:
    """Write a table [N, E] of float32 or float16 to a `.npy` file, and its tokens to a `.txt` file beside it.

    Nobody ever reads an array with another array's tokens: see `atomic.replace_together`.

    Raises:
        DataError: the files cannot be written.
        ValueError: a token is not one line of text.
    """
    tokens = [token for token, _ in sorted(vectors.rows.items(), key=lambda item: item[1])]
    if any({"\n", "\r"} & set(token) for token in tokens):
        raise ValueError("found a token with a line end, expected tokens that can be lines")
    header = io.BytesIO()
    table = np.ascontiguousarray(vectors.table)
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(table))
    try:
        replace_together(
            {
                vocabulary_of(path): ["".join(f"{token}\n" for token in tokens).encode()],
                path: [header.getvalue(), table.data.cast("B")],
            }
        )
    except OSError as error:
        raise _not_written(path, error.strerror or str(error)) from None


def _not_written(path: str | Path, why: str) -> DataError:
    return DataError(f"{path}: cannot be written: {why}; choose another place with -o")
