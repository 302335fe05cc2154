"""Sentences without their labels, of files of any format."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from tagger.errors import DataError
from tagger.formats.raw_sentences import RawSettings, raw_sentences
from tagger.text.tokenizer import is_installed

needs_libraries = pytest.mark.skipif(not is_installed(), reason="the extra text is not installed")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(*paths: str, **settings: object) -> tuple[list[list[str]], list[str]]:
    said: list[str] = []
    return list(raw_sentences(paths, RawSettings(**settings), said.append)), said  # type: ignore[arg-type]


def test_tokens_that_a_format_has_stay_as_they_are_and_files_follow_each_other() -> None:
    Path("a.conll").write_text("New York\tB-LOC\n\u3000\tO\n\nMr.\tO\n", "utf-8")
    Path("b.jsonl").write_text('{"tokens": ["do", "n\'t", "."], "ner_tags": ["O", "O", "O"]}\n', "utf-8")
    sentences, said = read("a.conll", "b.jsonl")
    assert sentences == [["New York", "\u3000"], ["Mr."], ["do", "n't", "."]]
    assert said[0] == "reading a.conll as conll because of its name and content"
    assert not any("cut into" in text for text in said)


def test_tokenized_lines_are_sentences_and_blanks_alone_separate_tokens() -> None:
    Path("a.txt").write_bytes("\ufeffEin Satz .\r\n\n  \t \nnoch\t einer\u3000x  !\rlast\u2028one".encode())
    sentences, said = read("a.txt", source="text", tokenized=True)
    assert sentences == [["Ein", "Satz", "."], ["noch", "einer\u3000x", "!"], ["last\u2028one"]]
    assert said == ["reading a.txt as text"]


def test_standard_input_is_read_if_its_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a O\nb O\n\nc O\n")))
    assert read("-", source="conll")[0] == [["a", "b"], ["c"]]
    with pytest.raises(DataError, match="has no name to guess its format from"):
        read("-")


@needs_libraries
def test_raw_text_is_cut_and_a_line_is_a_text_of_its_own_if_that_is_wanted() -> None:
    tweets = "I love #Bonn so much right now\n@user they don't know it at all\n\nWe were in Rome. It was hot.\n"
    with gzip.open("raw.txt.gz", "wt", encoding="utf-8") as file:
        file.write(tweets)
    lines, said = read("raw.txt.gz", source="text", lines=True, language="en")
    assert lines == [
        ["I", "love", "#", "Bonn", "so", "much", "right", "now"],
        ["@user", "they", "do", "n't", "know", "it", "at", "all"],
        ["We", "were", "in", "Rome", "."],
        ["It", "was", "hot", "."],
    ]
    assert said[0] == "reading raw.txt.gz as text"
    assert said[1].startswith("note: the text is cut into sentences and tokens by spaCy en ")
    assert len(said) == 2
    Path("old.txt").write_bytes(b"one line here\rand here another\r")
    assert read("old.txt", source="text", lines=True)[0] == [["one", "line", "here"], ["and", "here", "another"]]
    joined, said = read("raw.txt.gz", source="text")
    assert joined == [lines[0] + lines[1], *lines[2:]]
    assert said[1].endswith(", as no language is named; data.language names another")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("tags.conll", "a\tO\nb\tV\n\nc\tB-X\nd\tO\n\n"),
        ("tags.csv", "sentence,token,tag\n1,a,O\n1,b,V\n2,c,B-X\n2,d,O\n"),
        ("tags.jsonl", '{"tokens": ["a", "b"], "tags": ["O", "V"]}\n{"tokens": ["c", "d"], "tags": ["B-X", "O"]}\n'),
    ],
)
def test_tags_need_not_fit_a_scheme(name: str, content: str) -> None:
    Path(name).write_text(content)
    assert read(name)[0] == [["a", "b"], ["c", "d"]]
