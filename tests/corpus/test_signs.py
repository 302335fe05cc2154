"""Characters that nobody sees, or that look like others."""

from __future__ import annotations

import unicodedata

import pytest

from tagger.corpus.conll import read_sentences, write_sentence
from tagger.corpus.dataset import load_training
from tagger.corpus.layout import Layout
from tagger.corpus.signs import decomposed_marks, named, seems_blank, signs_in_tag, signs_in_token, unseen_blanks
from tagger.errors import DataError


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("\u041e", "U+041E CYRILLIC CAPITAL LETTER O"),
        ("\u039f", "U+039F GREEK CAPITAL LETTER OMICRON"),
        ("\uff2f", "U+FF2F FULLWIDTH LATIN CAPITAL LETTER O"),
        ("\u0412-PER", "U+0412 CYRILLIC CAPITAL LETTER VE"),
        ("\u0406-PER", "U+0406 CYRILLIC CAPITAL LETTER BYELORUSSIAN-UKRAINIAN I"),
        ("B-P\u0415R", "U+0415 CYRILLIC CAPITAL LETTER IE"),
        ("P\u0415R", "U+0415 CYRILLIC CAPITAL LETTER IE"),
        ("B\u2010PER", "U+2010 HYPHEN"),
        ("B\u2011PER", "U+2011 NON-BREAKING HYPHEN"),
        ("B\u2013PER", "U+2013 EN DASH"),
        ("B\u2014PER", "U+2014 EM DASH"),
        ("B\u2015PER", "U+2015 HORIZONTAL BAR"),
        ("B\u2212PER", "U+2212 MINUS SIGN"),
        ("B-PER\u200b", "U+200B ZERO WIDTH SPACE"),
        ("B-\u200dPER", "U+200D ZERO WIDTH JOINER"),
        ("\ufeffO", "U+FEFF ZERO WIDTH NO-BREAK SPACE"),
        ("O\u00a0", "U+00A0 NO-BREAK SPACE"),
        ("B-PER\x07", "U+0007 CONTROL CHARACTER"),
        (
            "\u0412\u2013P\u0415R",
            "U+0412 CYRILLIC CAPITAL LETTER VE, U+2013 EN DASH, U+0415 CYRILLIC CAPITAL LETTER IE",
        ),
    ],
)
def test_a_sign_of_a_tag_is_named_by_code_point(tag: str, expected: str) -> None:
    assert named(signs_in_tag(tag)) == expected


@pytest.mark.parametrize(
    "tag",
    [
        "O",
        "B-PER",
        "I_LOC",
        "0",
        "",
        "B-ОРГ",
        "I-ΠΡΟ",
        "ИМЯ",
        "B-地名",
        "名詞",
        "B-Straße",
        "Ñ",
        "B-İL",
        "PER-B",
        "$.",
        "B-a b",
    ],
)
def test_a_tag_in_any_language_has_no_odd_sign(tag: str) -> None:
    assert signs_in_tag(tag) == []


def test_signs_of_a_token() -> None:
    assert named(signs_in_token("a\ufeffb\u200bc\u200b")) == "U+FEFF ZERO WIDTH NO-BREAK SPACE, U+200B ZERO WIDTH SPACE"
    for token in ("می\u200cخواهم", "👩\u200d👩\u200d👧", "❤\ufe0f", "10\u00a0000", "naïve", "क\u094dष"):
        assert signs_in_token(token) == []


def test_letters_are_decomposed_if_a_composed_one_exists() -> None:
    assert named(decomposed_marks("Zu\u0308rich")) == "U+0308 COMBINING DIAERESIS"
    assert named(decomposed_marks("e\u0301te\u0301")) == "U+0301 COMBINING ACUTE ACCENT"
    for token in ("Zürich", "नमस्ते", "שָׁלוֹם", "กรุงเทพ", "q\u0308", unicodedata.normalize("NFC", "Łódź")):
        assert decomposed_marks(token) == []


def test_a_line_that_seems_blank() -> None:
    assert all(map(seems_blank, ["\u00a0", " \u3000\t", "\u200b", "\ufeff", "\u200b \u00a0"]))
    assert not any(map(seems_blank, ["", " \t", "a", "\u00a0a", "\u3000\tO"]))
    assert unseen_blanks("a\u00a0O b\u200b") == ["\u00a0", "\u200b"]
    assert unseen_blanks("👩\u200d👧 O") == []


# --- Reading ----------------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_at_the_start_of_any_line_is_not_part_of_the_token(tmp_path) -> None:
    path = tmp_path / "joined"
    data = "\ufeffa\tO\nb\tB-X\n\n\ufeffc\tO\nd\u00a0\tO\n\ufeffe\tO\n\n\ufeff# x\n\ufeff-DOCSTART-\tO\nf\ufeffg\tO\n".encode()
    path.write_bytes(data)
    layout = Layout(comments="#", n_columns=2, known_tags=frozenset({"O", "B-X"}))
    with path.open("rb") as stream:
        sentences = list(read_sentences(stream, layout, gold=True))
    assert [s.tokens for s in sentences if s.tokens] == [["a", "b"], ["c", "d\u00a0", "e"], ["f\ufeffg"]]
    assert b"".join(line for sentence in sentences for line in sentence.lines) == data
    written = b"".join(write_sentence(s, [s.tags], layout, docstart_columns=["O"]) for s in sentences)
    assert (
        b"".join(line[: line.rfind(b"\t")] + b"\n" if b"\t" in line else line for line in written.splitlines(True))
        == data
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("\u00a0", "the line holds only U+00A0 NO-BREAK SPACE, which is not a blank, expected a blank line, or a token with its columns; delete the sign"),
        (" \u3000", "the line holds only U+3000 IDEOGRAPHIC SPACE, which is not a blank, expected a blank line, or a token with its columns; delete the sign"),
        ("\u200b", "the line holds only U+200B ZERO WIDTH SPACE, which is not a blank, expected a blank line, or a token with its columns; delete the sign"),
    ],
)  # fmt: skip
def test_a_line_that_only_seems_blank_is_refused_with_the_name_of_its_sign(tmp_path, line: str, message: str) -> None:
    path = tmp_path / "f"
    path.write_text(f"a\tO\nb\tB-X\n{line}\nc\tO\n", "utf-8")
    with pytest.raises(DataError) as error:
        load_training(path, Layout(n_columns=2), "auto")
    assert error.value.message == f"{path}:3: {message}"


def test_a_no_break_space_between_columns_is_named(tmp_path) -> None:
    path = tmp_path / "f"
    path.write_text("a O\nb\u00a0B-X\nc O\n", "utf-8")
    with pytest.raises(DataError) as error:
        load_training(path, Layout(n_columns=2), "auto")
    assert error.value.message.startswith(f"{path}:2: found 1 column, expected 2 ")
    assert error.value.message.endswith("; the line holds U+00A0 NO-BREAK SPACE, which does not separate columns")


@pytest.mark.parametrize(
    ("tag", "line"),
    [("\u041e", 3), ("B-X\u200b", None), ("\u0412-X", 3), ("B\u2013X", 3)],
)
def test_the_error_of_training_about_a_tag_names_its_sign(tmp_path, tag: str, line: int | None) -> None:
    path = tmp_path / "f"
    path.write_text("a\tO\nb\tB-X\nc\tI-X\n" * 20 + "\n", "utf-8")
    path.write_text(f"a\tO\nb\tB-X\nc\t{tag}\n" + "a\tO\nb\tB-X\nc\tI-X\n" * 20, "utf-8")
    if line is None:  # it fits the scheme as another type; `tagger check` warns
        load_training(path, Layout(n_columns=2), "auto")
        return
    with pytest.raises(DataError) as error:
        load_training(path, Layout(n_columns=2), "auto")
    assert str(error.value).startswith(f"{path}:{line}: tag {tag!r} does not fit the scheme IOB2 (it holds U+")
    assert named(signs_in_tag(tag)) in str(error.value)


def test_dashes_throughout_are_named_although_no_scheme_is_found(tmp_path) -> None:
    path = tmp_path / "f"
    path.write_text("a\tO\nb\tB\u2013X\nc\tI\u2013X\n" * 20, "utf-8")
    with pytest.raises(DataError) as error:
        load_training(path, Layout(n_columns=2), "auto")
    assert "line 2: tag 'B–X' holds U+2013 EN DASH" in str(error.value)
