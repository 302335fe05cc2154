"""Read files of word vectors and the errors that they cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger.errors import DataError
from tagger.vectors.table import Vectors, read_vectors


def as_dict(vectors: Vectors) -> dict[str, list[float]]:
    """Return the row of each token."""
    assert list(vectors.rows.values()) == list(range(len(vectors.table)))
    return dict(zip(vectors.rows, vectors.table.tolist(), strict=True))


def error_of(path: Path, max_rows: int | None = None) -> str:
    """Return the error that reading a file raises, as one line without the folder of the path."""
    with pytest.raises(DataError) as caught:
        read_vectors(path, max_rows=max_rows)
    assert not caught.value.detail
    return caught.value.message.replace(f"{path.parent}/", "")
