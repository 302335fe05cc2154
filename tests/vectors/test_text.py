"""Word vectors in text files: the vectors that are read, the notes and the errors."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from vector_files import as_dict, error_of

from tagger.errors import DataError
from tagger.vectors.table import read_vectors


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes, name: str = "v.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a 1 2\nb 3 -4.5e1\n", {"a": [1, 2], "b": [3, -45]}),
        ("a 1 2\nb 3 4", {"a": [1, 2], "b": [3, 4]}),  # without a line end on the last line
        ("a 1 2\r\nb 3 4\r\n", {"a": [1, 2], "b": [3, 4]}),
        ("2 2\na 1 2\nb 3 4\n", {"a": [1, 2], "b": [3, 4]}),  # a header
        ("2 2 \na 1 2 \nb 3 4 \n", {"a": [1, 2], "b": [3, 4]}),  # fastText ends each line with a space
        ("\ufeffa 1 2\nb 3 4\n", {"a": [1, 2], "b": [3, 4]}),
        ("\ufeff1 2\na 1 2\n", {"a": [1, 2]}),
        ("a\t1\t2\nNew York\t3 4\n", {"a": [1, 2], "New York": [3, 4]}),
        ("a\tb\t1\t2\nc\t3\t4\n", {"a\tb": [1, 2], "c": [3, 4]}),  # a TAB inside a token is kept
        (". . . 1 2\na 3 4\n", {". . .": [1, 2], "a": [3, 4]}),
        (". . . 1 2\n", {". . .": [1, 2]}),
        ("1 2\n. . . 1 2\n", {". . .": [1, 2]}),
        ("a  b 1 2\nc 3 4\n", {"a  b": [1, 2], "c": [3, 4]}),  # both blanks of the token are kept
        ("\u00a0 1 2\n\u3000 3 4\nx\u00a0y\u2028z\x85 5 6\n", {"\u00a0": [1, 2], "\u3000": [3, 4], "x\u00a0y\u2028z\x85": [5, 6]}),
        ("3.14 1 2\n2 3 4\n-1 5 6\n", {"3.14": [1, 2], "2": [3, 4], "-1": [5, 6]}),
        ("nan 1 2\n# 3 4\n\" 5 6\n", {"nan": [1, 2], "#": [3, 4], '"': [5, 6]}),
        ("2 3\n3 4\n4 5\n", {"2": [3], "3": [4], "4": [5]}),  # one number on each line, so `2 3` cannot be a header
        ("2 3\nfoo 4\n", {"2": [3], "foo": [4]}),
        ("2 1\n3 4\n4 5\n", {"3": [4], "4": [5]}),  # `2 1` can be a header
        ("2.0 3\n3 4\n", {"2.0": [3], "3": [4]}),
        ("2 0\n3 4\n", {"2": [0], "3": [4]}),
        ("+1 .5 1.\n", {"+1": [0.5, 1]}),
        ("a 1e-400 0\n", {"a": [0, 0]}),
        ("a\x0bb 1 2\n", {"a\x0bb": [1, 2]}),
    ],
)  # fmt: skip
def test_each_line_is_a_token_and_its_numbers(text: str, expected: dict[str, list[float]], write) -> None:
    for name, data in (("v.txt", text.encode()), ("v.vec.gz", gzip.compress(text.encode())), ("v", gzip.compress(text.encode()))):  # fmt: skip
        vectors = read_vectors(write(data, name))
        assert as_dict(vectors) == expected
        assert list(vectors.rows) == list(expected)
        assert vectors.table.dtype == np.float32
        assert vectors.dim == len(next(iter(expected.values())))


token_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0 \t\r\n\ufeff"), min_size=1)


tokens_of_any_form = (
    token_text
    | st.sampled_from(["3.14", "1", "2", "-0", "1e5", "nan", "\u00a0", "\u3000", "\u2028", "\x85", '"', "#", "\x1c"])
    | st.lists(token_text.filter(lambda part: not re.fullmatch("[-+.0-9eE]+", part)), min_size=2, max_size=3).map(" ".join)
)  # fmt: skip


@given(
    st.lists(tokens_of_any_form, min_size=1, max_size=6, unique=True),
    st.integers(1, 4),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["\n", "\r\n", " \n"]),
    st.data(),
)
def test_written_vectors_are_read_back(
    tokens: list[str], dim: int, header: bool, packed: bool, end: str, data: st.DataObject
) -> None:
    numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
    table = np.array(data.draw(st.lists(st.lists(numbers, min_size=dim, max_size=dim), min_size=len(tokens), max_size=len(tokens))), np.float32)  # fmt: skip
    lines = [f"{token} {' '.join(map(repr, row.tolist()))}" for token, row in zip(tokens, table, strict=True)]
    text = end.join([*[f"{len(tokens)} {dim}"] * header, *lines, ""]).encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "v.txt")
        path.write_bytes(gzip.compress(text) if packed else text)
        vectors = read_vectors(path)
    assert list(vectors.rows) == tokens
    np.testing.assert_array_equal(vectors.table, table)


def test_a_file_of_many_blocks_is_read_in_order_up_to_max_rows(write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagger.vectors.text._LEAST_GROWTH", 1000)
    table = np.random.default_rng(1).normal(size=(9000, 7)).astype(np.float32)
    lines = [f"w{i} {' '.join(map(repr, row))}\n" for i, row in enumerate(table.tolist())]
    for header in ("", "9000 7\n"):
        path = write(header + "".join(lines))
        vectors = read_vectors(path)
        assert list(vectors.rows) == [f"w{i}" for i in range(9000)]
        np.testing.assert_array_equal(vectors.table, table)
        for n in (1, 142, 143, 144, 5000, 9000, 9001):
            cut = read_vectors(path, max_rows=n)
            assert list(cut.rows) == list(vectors.rows)[:n]
            np.testing.assert_array_equal(cut.table, table[:n])


def test_errors_name_the_line_in_any_block(write) -> None:
    lines = [f"w{i} {i} {i}\n" for i in range(30000)]
    lines[100] = lines[20000] = "\n"
    lines[25000] = "w 1 x\n"
    path = write("".join(lines))
    assert error_of(path).startswith("v.txt:25001: found 'x' as number 2, expected a token and 2 finite numbers")
    assert len(read_vectors(path, max_rows=24998)) == 24998
    assert list(read_vectors(path, max_rows=24998).rows)[-1] == "w24999"
    assert read_vectors(path, max_rows=24998).notes == ("blank lines skipped: 2 (first: line 101)",)


TEXT_ERRORS = [
    ("a 1 2\nb 3 x\n", "v.txt:2: found 'x' as number 2, expected a token and 2 finite numbers, separated by single spaces; fix or remove the line"),
    ("a 1 2\nb nan 3\n", "v.txt:2: found 'nan' as number 1, expected a token and 2 finite"),
    ("a 1 nan\n", "v.txt:1: found 'nan' as number 2,"),
    ("a 1 2\nb 3 -Inf\n", "v.txt:2: found '-Inf' as number 2,"),
    ("a 1 2\nb 1e39 2\n", "v.txt:2: found '1e39' as number 1, which is too large for 32 bits, expected"),
    ("a 1 2\nb 1e999 2\n", "v.txt:2: found '1e999' as number 1, which is too large for 32 bits, expected"),
    ("a 1 2\nb 1_0 2\n", "v.txt:2: found '1_0' as number 1,"),
    ("a 1 2\nb 0x1 2\n", "v.txt:2: found '0x1' as number 1,"),
    ("a 1 2\nb 1 ٣\n", "v.txt:2: found '٣' as number 2,"),
    ("a 1 2\nb 1,5 2\n", "v.txt:2: found '1,5' as number 1,"),
    ("a 1 2\nb 3\n", "v.txt:2: found 2 columns, expected a token and 2 finite numbers"),
    ("a 1 2\nb\n", "v.txt:2: found 1 columns, expected"),
    ("a 1 2\n1 2\nc 1 2\n", "v.txt:2: found 2 columns, expected"),
    ("a 1 2\nc 1 2\nb 1 2 3\n", "v.txt:3: found 4 columns, expected a token and 2"),
    ("a 1 2\nc 1 2\nb 1  2\n", "v.txt:3: found 4 columns (two separators in a row?), expected a token and 2"),
    ("a 1 2\nc 1 2\nb  1 2\n", "v.txt:3: found 4 columns (two separators in a row?), expected a token and 2"),
    ("a 1 2 3\nc 1 2 3\nb 1  2\n", "v.txt:3: found '' as number 2 (two separators in a row?), expected"),
    ("a 1 2\nb \u00a01 2\n", "v.txt:2: found '\\xa01' as number 1,"),
    ("a 1 2\nb 1 2#3\n", "v.txt:2: found '2#3' as number 2,"),
    ("5 0\na 1 2\nb 1 2\n", "v.txt:1: found 2 columns, expected a token and 2"),
    ("3 2\na 1 2\nb 3 4\n", "v.txt: is truncated: its first line promises 3 vectors, found 2; get the file again or fix its first line"),
    ("1 2\na 1 2\nb 3 4\n", "v.txt: does not match its header: its first line promises 1 vectors, found 2;"),
    ("2 2\na 1 2\nb 3", "v.txt:3: found 2 columns, expected a token and 2"),
    ("2 3\na 1 2\nb 3 4\n", "v.txt:2: found 3 columns, expected a token and 3"),
    ("2 2\na 1 2 3\nb 3 4 5\n", "v.txt:2: found 4 columns, expected a token and 2"),
    ("400000 1000000000000\na 1 2\n", "v.txt:2: found 3 columns, expected a token and 1000000000000"),
    ("400000 300\n", "v.txt: is truncated: its first line promises 400000 vectors, found 0"),
    ("0 300\n", "v.txt: holds no vectors,"),
    ("", "v.txt: is empty, expected word vectors: a token and its numbers on each line; check the path"),
    (b"\xef\xbb\xbf", "v.txt: is empty,"),
    ("\n \n\r\n", "v.txt: is empty,"),
    ("\nthe quick brown\nfox\n", "v.txt:2: found 'the quick brown', expected a token and its numbers, separated by spaces; name a file of word vectors"),
    ('{"a": 1}\n', "v.txt:1: found '{\"a\": 1}', expected a token"),
    (b"\x1b[2J" + b"x" * 99 + b"\n", "v.txt:1: found '\\x1b[2J" + "x" * 36 + "'…, expected a token"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), TEXT_ERRORS)
def test_a_damaged_text_file_is_refused_with_a_remedy(text: str | bytes, message: str, write) -> None:
    assert error_of(write(text)).startswith(message)


def test_an_error_within_max_rows_is_reported(write) -> None:
    path = write("a 1 2\nb x 2\nc 1 2\nd 1 2\n")
    assert error_of(path, max_rows=2).startswith("v.txt:2: found 'x' as number 1,")
    assert as_dict(read_vectors(path, max_rows=1)) == {"a": [1, 2]}


def test_an_array_that_is_named_as_text_is_refused(write) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.eye(2))
    assert error_of(write(buffer.getvalue())).startswith(
        "v.txt: is a NumPy array, expected word vectors as text; rename"
    )


def binary_files() -> list[tuple[str, bytes, str]]:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("v.txt", "a 1 2\n")
    word2vec = b"2 3\n" + b"".join(token + b" " + np.ones(3, np.float32).tobytes() + b"\n" for token in (b"a", b"b"))
    return [
        ("v.bin", word2vec, "is binary word2vec, expected word vectors as text; convert it to text first"),
        ("v.bin.gz", gzip.compress(word2vec, mtime=0), "is binary word2vec, expected"),
        ("v.bin", b"\xba\x16\x4f\x2f" + b"\1" * 99, "is a fastText binary model, expected"),
        ("v.vec.zip", zipped.getvalue(), "is a zip archive, expected word vectors as text; unpack it first"),
        ("v.h5", b"\x89HDF\r\n\x1a\n", "is an HDF5 file, expected"),
        *(("v.pkl", pickle.dumps({"a": [1.0]}, i), "is a pickle, which could run any code, expected") for i in (2, 3, 4, 5)),
        ("v.txt", "a 1 2\n".encode("utf-16"), "is UTF-16, expected word vectors as text; convert it to utf-8 first"),
        ("v.txt", "a 1 2\n".encode("utf-16-le"), "is binary, expected"),
        ("v.txt.bz2", b"BZh91AY", "is a bzip2 archive, expected"),
        ("v.txt.xz", b"\xfd7zXZ\x00", "is an xz archive, expected"),
        ("v.txt.zst", b"\x28\xb5\x2f\xfd", "is a zstd archive, expected"),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "data", "message"), binary_files())
def test_a_binary_file_is_refused_with_a_remedy(name: str, data: bytes, message: str, write) -> None:
    assert error_of(write(data, name)).startswith(f"{name}: {message}")


def test_damaged_gzip_is_refused(write) -> None:
    whole = gzip.compress("".join(f"w{i} {i} {i}\n" for i in range(50000)).encode())
    assert error_of(write(b"a 1 2\n", "v.gz")).startswith(
        "v.gz: is not a gzip file, expected one because of its name; rename"
    )
    assert error_of(write(b"", "v.gz")).startswith("v.gz: is not a gzip file")
    for n in (2, 9, 20, 5000):
        assert error_of(write(whole[:n], "v.gz")).startswith("v.gz: is damaged gzip: ")
    assert error_of(write(whole[:-1000], "v.gz")).startswith("v.gz: cannot be read to its end: ")
    assert len(read_vectors(write(whole[:-1000], "v.gz"), max_rows=10)) == 10
    assert error_of(write(whole[:10] + b"\xff" * 50 + whole[60:], "v.gz")).startswith("v.gz: is damaged gzip: ")


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "v.gz", "wb", compresslevel=1) as file:
        for _ in range(120):
            file.write(b"0 " * (1 << 19))
    assert error_of(tmp_path / "v.gz").startswith(
        "v.gz: unpacks to more than 100 times its size, expected word vectors"
    )


def test_an_endless_line_is_refused(write) -> None:
    assert error_of(write(b"0 " * (9 << 20))).startswith("v.txt: found a line of 18874367 bytes, expected a token and")


@pytest.mark.parametrize(
    ("text", "expected", "notes"),
    [
        (b"a 1 2\nb\xff 3 4\nc 5 6\n\xc3 7 8\n", {"a": [1, 2], "c": [5, 6]}, ("lines left out because their token is not valid UTF-8: 2 (first: line 2: 'b\\\\xff')",)),
        (b"a 1 2\n\xed\xa0\x80 3 4\n", {"a": [1, 2]}, ("lines left out because their token is not valid UTF-8: 1 (first: line 2: '\\\\xed\\\\xa0\\\\x80')",)),
        (b"2 2\n\xff 1 2\nb 3 4\n", {"b": [3, 4]}, ("lines left out because their token is not valid UTF-8: 1 (first: line 2: '\\\\xff')",)),
        (b"a 1 2\nb 3 4\na 5 6\na 7 8\nc 9 1\n", {"a": [1, 2], "b": [3, 4], "c": [9, 1]}, ("repeated tokens, of which only the first vector is used: 2 (first: 'a')",)),
        (b"a 1 2\n 3 4\nc 5 6\n", {"a": [1, 2], "c": [5, 6]}, ("lines left out because they have no token: 1 (first: line 2)",)),
        (b"a 1 2\n\n \nc 5 6\n\n", {"a": [1, 2], "c": [5, 6]}, ("blank lines skipped: 3 (first: line 2)",)),
        (b"2 2\n\na 1 2\nc 5 6\n", {"a": [1, 2], "c": [5, 6]}, ("blank lines skipped: 1 (first: line 2)",)),
        (b"a 1 2\n. . 3 4\nx y z 5 6\n", {"a": [1, 2], ". .": [3, 4], "x y z": [5, 6]}, ("tokens with spaces in them: 2 (first: line 2: '. .')",)),
        (b"2 2\na 1 2\nb 3 4\n", {"a": [1, 2], "b": [3, 4]}, ()),
    ],
)  # fmt: skip
def test_skipped_lines_and_unusual_tokens_are_noted(text: bytes, expected: dict[str, list[float]], notes: tuple[str, ...], write) -> None:  # fmt: skip
    vectors = read_vectors(write(text))
    assert as_dict(vectors) == expected
    assert vectors.notes == notes


def test_a_file_without_usable_lines_is_an_error(write) -> None:
    with pytest.raises(
        DataError,
        match=r"v\.txt: found no usable token, expected tokens in UTF-8; convert the file\n  lines left out .*: 1 \(first",
    ):
        read_vectors(write(b"\xff 1 2\n"))
