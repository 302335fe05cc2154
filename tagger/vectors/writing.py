"""Vectors in files as `tagger.vectors.table` reads them: an array, and a vocabulary beside it."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tagger.atomic import replace_together
from tagger.errors import DataError
from tagger.vectors.table import VOCABULARY_SUFFIXES, Vectors

SUFFIX = ".npy"


def check_place(out: str, sources: Sequence[str], *, force: bool) -> Path:
    """Return the path of the array to write; links are followed.

    Args:
        out: the name that was given.
        sources: the files that are read, which are never replaced.
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
    for place in (path, vocabulary_of(path)):
        name = Path(out).with_name(place.name)
        if not place.exists():
            continue
        if any(Path(source).exists() and place.samefile(source) for source in sources):
            raise DataError(f"{name}: is what is read, and would be replaced, expected another name; choose another -o")
        if not place.is_file():
            raise DataError(f"{name}: is there and is not a file, expected a new name; choose another -o")
        if not force:
            raise DataError(
                f"{name}: already exists, expected a new name; choose another -o, or replace it with --force"
            )
    return path


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
