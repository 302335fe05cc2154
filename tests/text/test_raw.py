"""Reading of raw text: every token once, in order, in constant memory."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tagger.errors import DataError
from tagger.text import raw
from tagger.text.raw import read_sentences
from tagger.text.tokenizer import is_installed, load_tokenizer


def test_tokenised_lines_are_sentences(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt.gz"
    first.write_bytes("\ufeffEin Satz .\r\n\n  \t \nnoch\t einer\u3000x  !".encode())
    second.write_bytes(gzip.compress(b"the last one\n"))
    read = list[int]()
    sentences = list(read_sentences([first, second], None, on_line=read.append))
    assert sentences == [["Ein", "Satz", "."], ["noch", "einer\u3000x", "!"], ["the", "last", "one"]]
    assert sum(read) == first.stat().st_size + len("the last one\n")


@pytest.mark.parametrize("limit", [4, 5, 7, 16, 1 << 20])
def test_a_long_line_is_cut_at_blanks_or_between_characters(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "_LONGEST", limit)
    path = tmp_path / "long.txt"
    path.write_text("añb ccc €€€€€ d\ne 𝄞𝄞\n", "utf-8")
    sentences = list(read_sentences([path], None))
    assert "".join(token for tokens in sentences for token in tokens) == "añbccc€€€€€de𝄞𝄞"
    if limit > 16:
        assert sentences == [["añb", "ccc", "€€€€€", "d"], ["e", "𝄞𝄞"]]


def test_the_tokenizer_cuts_lines_into_sentences(tmp_path: Path) -> None:
    if not is_installed():
        pytest.skip("the libraries of the extra `text` are not installed")
    path = tmp_path / "raw.txt"
    path.write_text("He came (late). She left.\nNo end\n", "utf-8")
    assert list(read_sentences([path], load_tokenizer("en"))) == [
        ["He", "came", "(", "late", ")", "."],
        ["She", "left", "."],
        ["No", "end"],
    ]


def test_bytes_that_are_not_utf8_are_an_error_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(b"good\nb\xe4d\n")
    with pytest.raises(DataError, match=r"latin\.txt:2: byte 0xE4 at offset 1"):
        list(read_sentences([path], None))
