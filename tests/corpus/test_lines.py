"""The lines of plain, compressed and damaged files and streams."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

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
        ".": ".: is a directory, expected a CoNLL file; name the file in it",
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


@pytest.mark.parametrize("damage", ["cut", "flipped", "not gzip"])
def test_the_error_of_a_damaged_gz_file_names_it(tmp_path: Path, damage: str) -> None:
    data = gzip.compress("".join(f"t{i * i}\tO\n" for i in range(5000)).encode(), mtime=0)
    path = tmp_path / "corpus.gz"
    broken = {"cut": data[: len(data) // 2], "flipped": data[:5000] + b"\xff" * 40 + data[5040:], "not gzip": b"a\tO\n"}
    path.write_bytes(broken[damage])
    with pytest.raises(DataError) as caught, open_corpus(path) as stream:
        list(read_sentences(stream, Layout(), path=path))
    assert caught.value.message.startswith(f"{path}: cannot be read to its end: ")
    assert caught.value.message.endswith("; check the disk, or get the file again")


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
