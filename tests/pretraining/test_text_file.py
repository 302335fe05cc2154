"""Check the tokenised text on disk: its numbers, when it is used again, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger.errors import ConfigError, DataError, ModelError
from tagger.pretraining import text_file
from tagger.pretraining.text_file import BOUNDARY, OTHER, place_of, remove, tokenise


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("raw.txt").write_text("a b a\nb c\u2028d\n\nd\n")
    return "raw.txt"


def test_numbers_forms_and_counts(raw: str) -> None:
    text = tokenise([raw], None, Path("out.text"))
    assert text is not None
    assert text.numbers.tolist() == [2, 3, 2, BOUNDARY, 3, 4, BOUNDARY, 5, BOUNDARY]
    assert text.forms == ("a", "b", "c\u2028d", "d")
    assert text.counts.tolist() == [3, 0, 2, 2, 1, 1]
    assert text.n_tokens == 6
    assert place_of(Path("x/out")) == Path.cwd() / "x/out.text"


def test_tokens_that_come_too_late_share_a_number(raw: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "_MOST_FORMS", 2)
    text = tokenise([raw], None, Path("out.text"))
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
        text = tokenise([raw], None, Path("out.text"), on_tokens=read.append)
        assert text is not None
        assert len(read) == n
    assert text.numbers.tolist() == [2, 3, 2, BOUNDARY]
    remove(Path("out.text"))
    assert not Path("out.text").exists()


def test_a_request_to_stop_leaves_nothing(raw: str) -> None:
    assert tokenise([raw], None, Path("out.text"), should_stop=lambda: True) is None
    assert not Path("out.text").exists()


def test_what_cannot_be_read_or_written_is_refused(raw: str) -> None:
    with pytest.raises(ConfigError, match="RAW: found -, expected files"):
        tokenise(["-"], None, Path("out.text"))
    with pytest.raises(DataError, match=r"missing\.txt: cannot be opened"):
        tokenise(["missing.txt"], None, Path("out.text"))
    Path("empty.txt").write_text("\n \n")
    with pytest.raises(DataError, match=r"empty\.txt: found no token"):
        tokenise(["empty.txt"], None, Path("out.text"))
    assert not Path("out.text").exists()
    Path("out.text").mkdir()
    Path("out.text/.numbers.bin.123.new").touch()  # of a killed process
    assert tokenise([raw], None, Path("out.text")) is not None
    assert not list(Path("out.text").glob(".*"))
    remove(Path("out.text"))
    Path("out.text").mkdir()
    Path("out.text/notes").write_text("mine")
    with pytest.raises(ModelError, match=r"found notes in it, expected the place for the tokenised text"):
        tokenise([raw], None, Path("out.text"))
    assert Path("out.text/notes").read_text() == "mine"
