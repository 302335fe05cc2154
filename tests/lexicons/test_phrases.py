"""Files of phrases: how each kind of line is read, and what is refused."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tagger.errors import DataError
from tagger.lexicons import lines
from tagger.lexicons.phrases import cut_otherwise, read_lists, read_phrases


@pytest.fixture
def phrases(tmp_path: Path):
    def phrases(content: bytes) -> tuple[str, ...]:
        (tmp_path / "list.txt").write_bytes(content)
        return read_phrases(str(tmp_path / "list.txt")).phrases

    return phrases


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"New York\nParis\n", ("New York", "Paris")),
        (b"New York\r\nParis\rRome", ("New York", "Paris", "Rome")),  # every line end, and none at the end
        (b"\xef\xbb\xbfParis\n", ("Paris",)),  # a byte-order mark
        (b"\xef\xbb\xbf# cities\nParis\n", ("Paris",)),
        (b"\n  \n\t\nParis\n\n", ("Paris",)),  # blank lines
        (b"  New \t York  \n", ("New York",)),  # runs of blanks, also around the phrase
        (b"# a comment\n#\n#\tx\n#nlp\n#1 fan\n", ("#nlp", "#1 fan")),  # hashtags are phrases
        (b"Paris # in France\n", ("Paris # in France",)),  # a comment is a whole line
        (b"b\na\nb\n", ("b", "a")),  # the order of the file, without repetitions
        ("北\u3000京\n\u3000\nS\u00e3o\u00a0Paulo\n\u2028x\n".encode(), ("北\u3000京", "\u3000", "S\u00e3o\u00a0Paulo", "\u2028x")),
    ],
)  # fmt: skip
def test_lines_become_phrases(phrases, content: bytes, expected: tuple[str, ...]) -> None:
    assert phrases(content) == expected


def test_a_compressed_list_is_read_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress(b"# x\na b\na  b\nc\n"))
    assert read_phrases(str(path)).description == "2 phrases, 1 repeated line left out, 1 comment left out"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "list.txt: found no phrases, expected one on each line"),
        (b"\n\n# x\n", "list.txt: found no phrases, expected one on each line"),
        (b"Paris\nM\xfcnchen\n", "list.txt:2: found the byte 0xFC, expected UTF-8; convert the file to utf-8 first"),
        (b"a " * 101, "list.txt:1: found a phrase of 101 tokens, expected at most 100"),
        ("Paris\n".encode("utf-16"), "list.txt: is UTF-16"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "list.txt: is "),
    ],
)
def test_a_file_that_is_no_list_is_refused(phrases, content: bytes, message: str) -> None:
    with pytest.raises(DataError) as error:
        phrases(content)
    assert message in error.value.message


def test_a_missing_file_or_a_directory_is_named_with_its_key(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "no.txt", "no such file"), (tmp_path, "is a directory, expected a file")):
        with pytest.raises(DataError, match=message) as error:
            read_lists({"city": str(path)}, ignore_case=False)
        assert error.value.message.startswith(f"features.lists.city: {path}: ")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (str(tmp_path / "pipe"), "-"):
        with pytest.raises(DataError, match=r"expected (a file|one) because it is read twice"):
            read_phrases(path)


@pytest.mark.parametrize("block", [b"a" * 1000, b"a\n" * 500, b"\n" * 1000])
def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: bytes
) -> None:
    monkeypatch.setattr(lines, "_MOST_BYTES", 3 << 20)
    path = tmp_path / "list.txt.gz"
    path.write_bytes(gzip.compress(block * 4000))
    with pytest.raises(DataError) as caught:
        read_phrases(str(path))
    assert caught.value.message == f"{path}: unpacks to more than 3 MiB, expected less; is this a list?"


def test_tokens_that_the_corpus_seems_to_cut_are_named() -> None:
    known = {"New", "York", "'s", ".", "(", "U.S.", "Co"}
    phrases = ["New York's", "U.S.", "St. Louis", "(Paris", "Coca-Cola", "New York 's", "Co."]
    assert cut_otherwise(phrases, known) == ["(Paris (( Paris)", "Co. (Co .)", "St. (St .)", "York's (York 's)"]
    assert cut_otherwise(phrases, {"York's", "St.", "Co."}) == []
