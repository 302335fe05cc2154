"""The lines of plain, compressed and damaged files and streams."""

from __future__ import annotations

import gzip
import io
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from streams import FailingStream, ReadOnlyStream, TricklingStream

from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus, read_lines
from tagger.errors import DataError


@given(st.binary(max_size=60) | st.text("a\r\n", max_size=30).map(str.encode))
@example(b"a\r")
@example(b"a\r\r\n\n\r")
def test_lines_end_at_lf_crlf_and_lone_cr_wherever_the_stream_is_cut(data: bytes) -> None:
    lines = re.findall(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", data)  # the definition of a line, applied to the whole file
    assert list(read_lines(io.BytesIO(data))) == lines
    assert list(read_lines(TricklingStream(data))) == lines
    assert list(read_lines(ReadOnlyStream(data))) == lines  # type: ignore[arg-type]


def test_the_error_of_a_file_that_cannot_be_opened_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, message in {
        "absent.conll": f"absent.conll: no such file; check the path (the working directory is {tmp_path.name}/)",
        "absent.gz": f"absent.gz: no such file; check the path (the working directory is {tmp_path.name}/)",
        ".": ".: is a directory, expected a file; name the file in it",
    }.items():
        with pytest.raises(DataError) as caught:
            open_corpus(name)
        assert caught.value.message == message


def test_a_gz_file_is_unpacked(tmp_path: Path) -> None:
    data = "".join(f"tökén{i}\tO\r\n" for i in range(30_000)).encode()
    path = tmp_path / "corpus.conll.gz"
    path.write_bytes(gzip.compress(data))
    with open_corpus(path) as stream:
        (sentence,) = read_sentences(stream, Layout())
    assert b"".join(sentence.lines) == data
    assert sentence.tokens == [f"tökén{i}" for i in range(30_000)]


_TEXT = "".join(f"t{i * i}\tO\n" for i in range(5000)).encode()
_PACKED = gzip.compress(_TEXT, mtime=0)
_AGAIN = "get the file again"
_DAMAGED = {
    "cut": (_PACKED[: len(_PACKED) // 2], f"is truncated gzip: its end is missing; {_AGAIN}"),
    "cut in the header": (_PACKED[:5], f"is truncated gzip: its end is missing; {_AGAIN}"),
    "one byte": (
        _PACKED[:1],
        f"is not gzip, expected it, as its name ends in .gz; remove .gz from the name, or {_AGAIN}",
    ),
    "without its checksum": (_PACKED[:-8], f"is truncated gzip: its end is missing; {_AGAIN}"),
    "wrong checksum": (
        _PACKED[:-8] + bytes([_PACKED[-8] ^ 1]) + _PACKED[-7:],
        f"is damaged gzip: its checksum does not match its content; {_AGAIN}",
    ),
    "wrong length": (
        _PACKED[:-1] + bytes([_PACKED[-1] ^ 1]),
        f"is damaged gzip: its checksum does not match its content; {_AGAIN}",
    ),
    "trailing": (_PACKED + b"more", f"holds other bytes after its gzip data, expected nothing there; {_AGAIN}"),
    "not gzip": (
        b"a\tO\n",
        f"is not gzip, expected it, as its name ends in .gz; remove .gz from the name, or {_AGAIN}",
    ),
    "empty": (b"", f"is empty (0 bytes), expected gzip, as its name ends in .gz; {_AGAIN}"),
}


@pytest.mark.parametrize("damage", _DAMAGED)
@pytest.mark.parametrize("read", [lambda stream: list(read_sentences(stream, Layout())), lambda stream: stream.read()])
def test_a_damaged_gz_file_is_one_error_that_says_what_is_wrong(tmp_path: Path, damage: str, read: Any) -> None:
    data, message = _DAMAGED[damage]
    path = tmp_path / "corpus.gz"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught, open_corpus(path) as stream:
        read(stream)
    assert caught.value.message == f"{path}: {message}"


def test_flipped_bits_in_a_gz_file_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "corpus.gz"
    path.write_bytes(_PACKED[:5000] + b"\xff" * 40 + _PACKED[5040:])
    with pytest.raises(DataError, match=r"is damaged gzip: .*; get the file again"), open_corpus(path) as stream:
        list(read_sentences(stream, Layout(), path=path))


def test_gz_members_and_padding_are_read(tmp_path: Path) -> None:
    path = tmp_path / "corpus.gz"
    path.write_bytes(_PACKED + gzip.compress(b"end\tO\n") + bytes(512))
    with open_corpus(path) as stream:
        assert stream.read() == _TEXT + b"end\tO\n"


def test_content_that_is_not_text_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "corpus.conll"
    for data, message in (
        (_PACKED, "is gzip, expected a corpus as text; unpack it with gunzip, or rename it so that its name ends in .gz"),
        (_TEXT.decode().encode("utf-16-le"), "is UTF-16, expected a corpus as text; convert it with iconv -f UTF-16LE -t UTF-8"),
    ):  # fmt: skip
        path.write_bytes(data)
        for size in (-1, 1):
            with pytest.raises(DataError) as caught, open_corpus(path) as stream:
                while stream.read1(size) if size > 0 else stream.read():  # type: ignore[attr-defined]
                    pass
            assert caught.value.message == f"{path}: {message}"
    path.rename(packed := tmp_path / "corpus.gz")
    packed.write_bytes(gzip.compress(b"PK\x03\x04" + bytes(100)))  # a packed file in a packed file
    with pytest.raises(DataError, match="is a zip archive"), open_corpus(packed) as stream:
        stream.read()


def test_standard_input_is_refused_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.write(writer, _PACKED[:100])
    with os.fdopen(reader, "rb") as pipe, os.fdopen(writer, "wb"):  # the pipe stays open
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(pipe))
        with pytest.raises(DataError) as caught:
            next(read_sentences(open_corpus("-"), Layout(), path="<standard input>", pauses=True))
    assert caught.value.message == ("<standard input>: is gzip, expected a corpus as text; unpack it with gunzip")


def test_a_large_packed_file_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "corpus"
    with path.open("wb") as file:
        file.write(_PACKED)
        file.truncate(1 << 40)  # a terabyte, of which the file system stores next to nothing
    with pytest.raises(DataError, match="is gzip"), open_corpus(path) as stream:
        stream.read()


def test_a_stream_that_fails_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        list(read_sentences(FailingStream(b"a O\n"), Layout(), path="-"))
    assert (
        caught.value.message
        == "-: cannot be read to its end: Input/output error; check the disk, or get the file again"
    )


def test_a_dash_means_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\tO\n")))
    assert [s.tokens for s in read_sentences(open_corpus("-"), Layout())] == [["a"]]
