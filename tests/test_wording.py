"""Text in messages: what a terminal would obey is shown as an escape, and what is too long is cut."""

from __future__ import annotations

import pytest

from tagger.errors import DataError, TaggerError
from tagger.wording import abridged, as_text, cell, counted, visible


def test_counted_nouns_agree_with_their_number() -> None:
    assert [counted(n, "sentence") for n in (0, 1, 2)] == ["0 sentences", "1 sentence", "2 sentences"]
    assert [counted(n, "entity", "entities") for n in (0, 1, 2)] == ["0 entities", "1 entity", "2 entities"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("B-\x1b]0;title\x07X", r"B-\x1b]0;title\x07X"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\0b\r\nc\x0b\x7f", r"a\x00b\x0d\x0ac\x0b\x7f"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("a\u202etxt\u2066\u200f", r"a\u202etxt\u2066\u200f"),
        ("\u2028\ufeff\u200b\U000e0041", r"\u2028\ufeff\u200b\U000e0041"),
        ("caf\udce9", r"caf\xe9"),  # a path in latin-1
        ("\ud800", r"\ud800"),
        (r"\x1b", r"\x1b"),
        (
            "Zürich 日本 שלום 👩\u200d👩\u200d👧 می\u200cخواهم e\u0301",
            "Zürich 日本 שלום 👩\u200d👩\u200d👧 می\u200cخواهم e\u0301",
        ),
    ],
)
def test_only_what_a_terminal_would_obey_or_hide_is_escaped(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(shown) == shown
    shown.encode()  # no surrogate is left


def test_a_long_text_keeps_its_beginning_its_end_and_says_its_length() -> None:
    text = "path:3: found " + "x" * 5_000_000 + ", expected a tag; fix it"
    short = abridged(text, 90)
    assert short == "path:3: found " + "x" * 46 + " … (5000038 characters) … xxxxxx, expected a tag; fix it"
    assert abridged(short, len(short)) == short


def test_a_cell_of_a_table_has_at_most_its_width() -> None:
    assert cell("PER", 5) == "PER"
    assert cell("PERSON", 5) == "PERS…"
    assert cell("A\x1bBCDEF", 8) == r"A\x1bBC…"
    assert cell("x" * 5_000_000, 8) == "xxxxxxx…"


def test_rows_become_lines_whatever_they_hold() -> None:
    assert as_text(["a\nb", "c"]) == "a\\x0ab\nc\n"


def test_an_error_is_one_safe_line_of_bounded_length() -> None:
    error = DataError(
        "found 'B-\x1b[2J" + "x" * 5_000_000 + "'; fix it", path="a\nb", line=7, detail=["\x9b" * 3, "y" * 9999]
    )
    assert error.message.startswith(r"a\x0ab:7: found 'B-\x1b[2Jxxx")
    assert error.message.endswith("xxx'; fix it")
    assert len(error.message) < 1100
    assert "\x1b" not in error.text
    assert len(error.text) < 1100
    assert error.detail[0] == r"\x9b\x9b\x9b"
    assert len(error.detail[1]) < 1100
    assert str(error).split("\n")[0] == error.message


def test_an_error_lists_at_most_fifty_details() -> None:
    assert TaggerError("x", detail=["a"] * 50).detail == ("a",) * 50
    assert TaggerError("x", detail=["a"] * 51).detail == (*["a"] * 50, "and 1 more line")
    assert TaggerError("x", detail=["a"] * 1000).detail[-1] == "and 950 more lines"
