from __future__ import annotations

import dataclasses
import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus import layout as layout_module
from tagger.corpus.layout import Layout, looks_like_tag
from tagger.errors import DataError


def error_of(**settings: object) -> str:
    """Return the message of the error that a Layout with these settings raises."""
    with pytest.raises(DataError) as caught:
        Layout(**settings)  # type: ignore[arg-type]
    return caught.value.message


def test_the_docstring_examples_hold() -> None:
    results = doctest.testmod(layout_module)
    assert results.attempted > 0
    assert results.failed == 0


# --- Cutting a line into columns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("delimiter", "line", "fields"),
    [
        ("auto", "EU NNP B-ORG", ["EU", "NNP", "B-ORG"]),
        ("auto", "  EU   NNP  ", ["EU", "NNP"]),  # runs of blanks, also at the ends
        ("auto", "New York\tB-LOC", ["New York", "B-LOC"]),  # only TAB separates if the line has one
        ("auto", " a \t b ", [" a ", " b "]),  # then blanks are text
        ("auto", "a\t\tO", ["a", "", "O"]),
        ("auto", "\tO", ["", "O"]),
        ("auto", " \tO", [" ", "O"]),
        ("auto", "a\tO\t", ["a", "O"]),  # a trailing delimiter does not begin a column
        ("auto", "a\tO\t\t", ["a", "O"]),
        ("auto", "a", ["a"]),
        ("auto", "\u3000 O", ["\u3000", "O"]),
        ("auto", "a\u00a0b\u2003c O", ["a\u00a0b\u2003c", "O"]),
        ("auto", "\x0b\x0c\x1e O", ["\x0b\x0c\x1e", "O"]),
        ("tab", "a b\tO", ["a b", "O"]),
        ("tab", "a b", ["a b"]),
        ("tab", "a\tO\t", ["a", "O"]),
        ("space", "a  O", ["a", "", "O"]),
        ("space", "a\tb O ", ["a\tb", "O"]),
        ("space", " O", ["", "O"]),
        (",", "a,b,,O", ["a", "b", "", "O"]),
        (",", "a\tb O", ["a\tb O"]),
        ("|||", "a|b|||O|||", ["a|b", "O"]),
    ],
)
def test_a_line_is_split_at_the_delimiter(delimiter: str, line: str, fields: list[str]) -> None:
    assert Layout(delimiter=delimiter).splitter()(line) == fields


@pytest.mark.parametrize("delimiter", ["auto", "tab", "space", ",", "|||"])
@given(line=st.text(" \t", max_size=5))
def test_a_line_of_tabs_and_spaces_has_no_columns_whatever_the_delimiter(delimiter: str, line: str) -> None:
    assert Layout(delimiter=delimiter).splitter()(line) == []


@pytest.mark.parametrize("line", ["\u3000", "\u00a0", "\x0b", "\u2028", "\ufeff", "\x00"])
def test_other_space_characters_are_not_blanks(line: str) -> None:
    assert Layout().splitter()(line) == [line]


@given(st.lists(st.text(st.characters(exclude_characters=" \t\r\n"), min_size=1), min_size=1), st.data())
def test_joined_columns_are_split_into_the_same_columns(fields: list[str], data: st.DataObject) -> None:
    delimiter, text = data.draw(st.sampled_from([("auto", "\t"), ("auto", " "), ("tab", "\t"), ("space", " ")]))
    assert Layout(delimiter=delimiter).splitter()(text.join(fields)) == fields


@pytest.mark.parametrize(("delimiter", "text"), [("auto", None), ("tab", "\t"), ("space", " "), (";", ";")])
def test_the_separator_of_a_delimiter(delimiter: str, text: str | None) -> None:
    assert Layout(delimiter=delimiter).separator == text


# --- Comments ------------------------------------------------------------------------------------------------------


def comment(line: str, layout: Layout) -> bool:
    return layout.is_comment(line, layout.splitter()(line))


def test_without_a_prefix_nothing_is_a_comment() -> None:
    assert not comment("# text = a", Layout(comments=None))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("# text = a b c", True),
        ("#", True),
        ("# # B-NP", False),  # three columns and a tag that occurs in the training file
        ("# # I-NP", False),  # three columns and a string that looks like a tag
        ("# # NN", True),
        ("# B-NP", True),  # two columns
        ("# a b B-NP", True),
        ("a # B-NP", False),
        (" # # x", False),  # does not begin with the prefix
    ],
)
def test_a_line_with_the_prefix_is_a_comment_unless_it_has_all_columns_and_a_valid_tag(
    line: str, expected: bool
) -> None:
    assert (
        comment(line, Layout(comments="#", n_columns=3, known_tags=frozenset({"O", "B-NP"}), written_delimiter=" "))
        == expected
    )


def test_a_line_with_the_prefix_and_a_known_plain_tag_is_a_token() -> None:
    layout = Layout(columns={"token": 0, "tag": 1}, comments="#", n_columns=2, known_tags=frozenset({"SYM"}))
    assert not comment("#\tSYM", layout)
    assert not comment("#\tSYM ", layout), "blanks around a tag are not part of it"
    assert comment("#\tNN", layout)


def test_any_prefix_can_mark_comments() -> None:
    layout = Layout(comments="%%", n_columns=2, known_tags=frozenset({"O"}))
    assert comment("%% x y z", layout)
    assert not comment("% x", layout)
    assert not comment("# x y", layout)
    assert not comment("%%\tO", layout)


def test_a_line_that_has_no_tag_column_is_a_comment() -> None:
    assert comment("#\tO", Layout(columns={"token": 0, "tag": 2}, comments="#", n_columns=2))
    assert comment("#\tO", Layout(columns={"token": 0, "tag": -3}, comments="#", n_columns=2))
    assert comment("#\tO", Layout(columns={"token": 0}, comments="#", n_columns=2))
    assert not comment("#\tO", Layout(columns={"token": 0, "tag": -1}, comments="#", n_columns=2))
    reversed_columns = {"token": 1, "tag": -2}
    assert not comment("#\tx", Layout(columns=reversed_columns, comments="#", n_columns=2, known_tags=frozenset("#")))


@pytest.mark.parametrize("tag", ["O", "0", "o", "B", "b", "S", "B-PER", "I_LOC", "e.org", "U-x", "L-1", "M-語"])
def test_these_look_like_tags(tag: str) -> None:
    assert looks_like_tag(tag)


@pytest.mark.parametrize("tag", ["", "X", "NN", "#", "-", "B-", "B:PER", "O-PER", "X-PER", "1", "=", "BPER", "B-PER\n"])
def test_these_do_not_look_like_tags(tag: str) -> None:
    assert not looks_like_tag(tag)


# --- Validation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"tag": 1}}, "columns: found {'tag': 1}, expected a `token` column, as in {token: 0, tag: -1}"),
        (
            {"columns": {"token": -1, "tag": 0}},
            "columns.token: found -1, expected 0 or more; only tag may be counted from the end",
        ),
        (
            {"columns": {"token": 0, "pos": -2, "tag": -1}},
            "columns.pos: found -2, expected 0 or more; only tag may be counted from the end",
        ),
        (
            {"columns": {"token": 1, "tag": 1}},
            "columns: found {'token': 1, 'tag': 1}, expected a different index for each name",
        ),
        ({"delimiter": ""}, "delimiter: found '', expected some text without line ends"),
        (
            {"encoding": "utf-9"},
            "encoding: 'utf-9' is unknown, expected one that Python knows, such as utf-8, latin-1, euc_jp",
        ),
        (
            {"encoding": "utf-16"},
            "encoding: 'utf-16' is not compatible with ASCII; convert the file to utf-8 first (for instance with iconv)",
        ),
    ],
)
def test_an_unusable_setting_is_refused(settings: dict[str, object], message: str) -> None:
    assert error_of(**settings) == message


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "UTF8", "utf-8-sig", "ascii", "latin-1", "cp1252", "koi8-r", "euc_jp", "shift_jis", "gb18030", "big5"],
)
def test_encodings_that_contain_ascii_are_accepted(encoding: str) -> None:
    assert Layout(encoding=encoding).encoding == {"utf-8-sig": "utf-8"}.get(encoding, encoding)


@pytest.mark.parametrize(
    "encoding",
    [
        *["utf-16-le", "utf-32", "utf-7", "hz", "cp037", "shift_jisx0213", "unicode_escape", "raw_unicode_escape"],
        *["punycode", "idna", "rot13", "hex", "base64", "zip", "bz2", "uu", "quopri", "undefined"],
    ],
)
@pytest.mark.filterwarnings("ignore:.*invalid escape sequence:DeprecationWarning")  # unicode_escape itself emits it
def test_codecs_that_are_not_compatible_with_ascii_are_refused(encoding: str) -> None:
    assert error_of(encoding=encoding).startswith(f"encoding: {encoding!r} is not compatible with ASCII")


def test_the_delimiter_of_the_training_file_must_fit_the_encoding_of_another_file() -> None:
    layout = Layout(delimiter="é", written_delimiter="é")
    with pytest.raises(DataError, match="written_delimiter: found 'é', which ascii cannot encode; choose another"):
        dataclasses.replace(layout, delimiter="auto", encoding="ascii")
