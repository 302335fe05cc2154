"""Check the tokenised text on disk: its numbers, when it is used again, and what it refuses."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tagger.errors import ConfigError, DataError, ModelError
from tagger.formats.document import ReadOptions
from tagger.formats.raw_sentences import RawSettings
from tagger.pretraining import text_file
from tagger.pretraining.described_text import describe
from tagger.pretraining.text_file import BOUNDARY, OTHER, TextFile, place_of, remove

TOKENS = RawSettings(source="text", tokenized=True)


def tokenise(paths: list[str], settings: RawSettings, place: Path, **options: Any) -> TextFile | None:
    return text_file.tokenise(paths, settings, place, describe(paths, settings), **options)


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("raw.txt").write_text("a b a\nb c\u2028d\n\nd\n")
    return "raw.txt"


def test_numbers_forms_and_counts(raw: str) -> None:
    text = tokenise([raw], TOKENS, Path("out.text"))
    assert text is not None
    assert text.numbers.tolist() == [2, 3, 2, BOUNDARY, 3, 4, BOUNDARY, 5, BOUNDARY]
    assert text.forms == ("a", "b", "c\u2028d", "d")
    assert text.counts.tolist() == [3, 0, 2, 2, 1, 1]
    assert text.n_tokens == 6
    assert place_of(Path("x/out")) == Path.cwd() / "x/out.text"


def test_tokens_that_come_too_late_share_a_number(raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "_MOST_FORMS", 2)
    text = tokenise([raw], TOKENS, Path("out.text"))
    assert text is not None
    assert text.numbers.tolist() == [2, 3, 2, BOUNDARY, 3, OTHER, BOUNDARY, OTHER, BOUNDARY]


def test_the_text_is_tokenised_again_only_if_it_differs_or_is_damaged(raw: str) -> None:
    read = list[int]()
    for content, damage, n in [
        (None, False, 1), (None, False, 1), ("a b a\n", False, 2), (None, True, 3), (None, False, 3),
    ]:  # fmt: skip
        if content is not None:
            Path(raw).write_text(content)
        if damage:
            Path("out.text/numbers.bin").write_bytes(b"\5\0\0\0" * 4)
        text = tokenise([raw], TOKENS, Path("out.text"), on_tokens=read.append)
        assert text is not None
        assert len(read) == n
    assert text.numbers.tolist() == [2, 3, 2, BOUNDARY]
    remove(Path("out.text"))
    assert not Path("out.text").exists()


def test_the_format_and_the_reading_decide_whether_the_text_is_used_again(raw: str) -> None:
    said = list[str]()
    settings = RawSettings(source="conll", read=ReadOptions(columns={"token": 0, "tag": -1}, delimiter="tab"))
    Path("a.conll").write_text("New York\tB-LOC\nis\tO\n\nhere\tO\n")
    for _ in range(2):
        text = tokenise(["a.conll"], settings, Path("out.text"), say=said.append)
    assert text is not None
    assert text.forms == ("New York", "is", "here")
    assert [line for line in said if line.startswith("reading ")] == ["reading a.conll as conll"]
    assert said[-1] == "the tokens of RAW are in out.text already"
    assert text.description["tokenizer"] is None
    other = dataclasses.replace(settings, read=dataclasses.replace(settings.read, columns={"token": 1, "tag": 0}))
    text = tokenise(["a.conll"], other, Path("out.text"))
    assert text is not None
    assert text.forms == ("B-LOC", "O")
    descriptions = [
        describe([raw], RawSettings(source="text", **how))  # type: ignore[arg-type]
        for how in (
            {},
            {"tokenized": True},
            {"lines": True},
            {"language": "de"},
            {"read": ReadOptions(encoding="cp1252")},
        )
    ]
    assert all(a != b for a, b in itertools.combinations(descriptions, 2))
    assert describe([raw], RawSettings(source="text", language="en")) == descriptions[0]


def test_the_files_of_a_folder_decide_too(raw: str) -> None:
    Path("corpus").mkdir()
    for name, content in (("seq.in", "a b\nc\n"), ("seq.out", "O O\nO\n")):
        Path("corpus", name).write_text(content)
    text = tokenise(["corpus"], RawSettings(), Path("out.text"))
    assert text is not None
    assert text.numbers.tolist() == [2, 3, BOUNDARY, 4, BOUNDARY]
    before = text.description
    Path("corpus/seq.in").write_text("a b\nd\n")
    assert describe(["corpus"], RawSettings()) != before


def test_tokens_that_a_line_cannot_hold_and_endless_ones_get_no_number(raw: str) -> None:
    tokens = ["a\nb", "x" * 1001, "x" * 1000, "a"]
    Path("a.jsonl").write_text(json.dumps({"tokens": tokens, "tags": ["O"] * 4}) + "\n")
    text = tokenise(["a.jsonl"], RawSettings(), Path("out.text"))
    assert text is not None
    assert text.numbers.tolist() == [OTHER, OTHER, 2, 3, BOUNDARY]
    assert text.forms == ("x" * 1000, "a")


def test_a_request_to_stop_leaves_nothing(raw: str) -> None:
    assert tokenise([raw], TOKENS, Path("out.text"), should_stop=lambda: True) is None
    assert not Path("out.text").exists()


def test_what_cannot_be_read_or_written_is_refused(raw: str) -> None:
    with pytest.raises(ConfigError, match="RAW: found -, expected files"):
        tokenise(["-"], TOKENS, Path("out.text"))
    with pytest.raises(DataError, match=r"missing\.txt: cannot be opened"):
        tokenise(["missing.txt"], TOKENS, Path("out.text"))
    Path("empty.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"empty\.txt: found no token"):
        tokenise(["empty.txt"], TOKENS, Path("out.text"))
    assert not Path("out.text").exists()
    Path("out.text").mkdir()
    Path("out.text/.numbers.bin.123.new").touch()  # of a killed process
    assert tokenise([raw], TOKENS, Path("out.text")) is not None
    assert not list(Path("out.text").glob(".*"))
    remove(Path("out.text"))
    Path("out.text").mkdir()
    Path("out.text/notes").write_text("mine")
    with pytest.raises(ModelError, match=r"found notes in it, expected the place for the tokenised text"):
        tokenise([raw], TOKENS, Path("out.text"))
    assert Path("out.text/notes").read_text() == "mine"
