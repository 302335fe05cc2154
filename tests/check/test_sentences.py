"""`tagger check` names what changes where sentences end, and the characters that nobody sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked_files import check
from helpers import run_tagger

from tagger.check.sentences import notes_on_sentences

ROWS = ["a\tB-X", "b\tI-X", "c\tO"]


def found(data: str | bytes, kind: str) -> list[tuple[int, str, str]]:
    return [(p.line, p.severity, p.message) for p in check(data).problems if p.kind == kind]


def test_doubled_carriage_returns_are_named_with_their_effect_and_the_remedy(folder: Path) -> None:
    data = "".join(f"{row}\r\r\n" for row in ROWS * 10).encode()
    text = (
        "30 lines end in \\r\\r\\n, which is a line end and a blank line: all 30 sentences have one token; write each"
        " line end once (tr -d '\\r' < FILE > COPY)"
    )
    assert found(data, "sentences") == [(1, "warning", text)]
    assert found(data.replace(b"\r", b""), "sentences") == []
    assert found(data.replace(b"\r\r", b"\r"), "sentences") == []


def test_one_doubled_carriage_return_is_named_with_its_line(folder: Path) -> None:
    data = "a\tB-X\nb\tI-X\n\nc\tO\r\r\nd\tO\n"
    ((line, severity, text),) = found(data, "sentences")
    assert (line, severity) == (4, "warning")
    assert text.startswith("1 line ends in \\r\\r\\n, which is a line end and a blank line: ")


def test_one_token_a_sentence_is_named(folder: Path) -> None:
    text = "all 30 sentences have one token: a blank line follows each token line; keep only the blank lines between sentences"
    assert found("".join(f"{row}\n\n" for row in ROWS * 10), "sentences") == [(1, "warning", text)]
    assert found("".join(f"{row}\n\n" for row in ROWS), "sentences") == [], "a few short sentences are no evidence"
    assert found("".join(f"{row}\n\n" for row in ROWS * 10) + "a\tO\nb\tO\n", "sentences") == []


def test_a_file_without_blank_lines_is_named(folder: Path) -> None:
    text = "the file has no blank line, and 300 tokens are one sentence; put a blank line after each sentence"
    data = "".join(f"{row}\n" for row in ROWS * 100)
    assert found(data, "sentences") == [(1, "warning", text)]
    assert found(data + "\na\tO\n", "sentences") == [], "one long sentence"
    assert found("".join(f"{row}\n" for row in ROWS * 20), "sentences") == []


@pytest.mark.parametrize("sign", ["\u00a0", "\u3000", "\u200b"])
def test_lines_that_only_seem_blank_are_one_line_of_the_report(folder: Path, sign: str) -> None:
    report = check("".join(f"{row}\n" for row in [*ROWS, sign] * 10))
    problems = [p for p in report.problems if p.kind == "not-blank"]
    assert [p.line for p in problems] == list(range(4, 41, 4))
    assert {p.severity for p in problems} == {"error"}
    output = run_tagger("check", "f.conll").output.decode().splitlines()
    assert output[0].startswith(f"f.conll:4: error: 10 × the line holds only U+{ord(sign):04X} ")
    assert output[0].endswith("; delete the sign (lines 4, 8, 12, …)")


def test_byte_order_marks_inside_a_file_are_named(folder: Path) -> None:
    data = "\ufeffa\tB-X\n\n\ufeffa\tB-X\nb\tO\n\ufeff\nc\tO\n"
    report = check(data)
    assert [sentence.tokens for sentence in report.sentences] == [["a"], ["a", "b", "c"]]
    name = "U+FEFF ZERO WIDTH NO-BREAK SPACE"
    assert found(data, "byte-order-mark") == [
        (3, "warning", f"the line begins with {name}, a byte-order mark, as where files were joined; it is not part of the token"),
        (5, "warning", f"the line holds only {name}, which does not end a sentence; delete the sign"),
    ]  # fmt: skip
    assert found("\ufeffa\tB-X\n", "byte-order-mark") == []


def test_training_says_the_same(folder: Path) -> None:
    sentences = check("".join(f"{row}\r\r\n" for row in ROWS * 10).encode()).sentences
    (note,) = notes_on_sentences(sentences, "utf-8")
    assert note.startswith("line 1: 30 lines end in \\r\\r\\n, ")
    sentences = check("\ufeffa\tB-X\nb\tO\n" * 5).sentences
    (note,) = notes_on_sentences(sentences, "utf-8")
    assert note.startswith("4 × the line begins with U+FEFF ZERO WIDTH NO-BREAK SPACE")
    assert note.endswith("(lines 3, 5, 7, …)")
    assert notes_on_sentences(sentences, "latin-1") == []


def test_signs_in_tags_are_warnings_if_the_tag_fits_and_part_of_the_error_if_not(folder: Path) -> None:
    usual = "a\tB-X\nb\tI-X\nc\tO\n\n" * 20
    report = check(usual + "a\tB-X\u200b\nb\tO\n\nc\t\u041e\nd\t\u0412-X\n")
    problems = {p.line: (p.severity, p.message) for p in report.problems if p.kind in ("sign-in-tag", "bad-tag")}
    assert problems == {
        81: ("warning", "the tag 'B-X\\u200b' holds U+200B ZERO WIDTH SPACE"),
        84: (
            "error",
            "tag '\u041e' of 'c' does not fit the scheme IOB2 (it holds U+041E CYRILLIC CAPITAL LETTER O); fix it",
        ),
        85: (
            "error",
            "tag '\u0412-X' of 'd' does not fit the scheme IOB2 (it holds U+0412 CYRILLIC CAPITAL LETTER VE); fix it",
        ),
    }


def test_signs_in_tokens_and_decomposed_letters_are_named(folder: Path) -> None:
    data = "a\tB-X\nb\u200b\tO\nZu\u0308rich\tB-X\nKo\u0308ln\tB-X\n"
    assert found(data, "sign-in-token") == [(2, "warning", "the token 'b\\u200b' holds U+200B ZERO WIDTH SPACE")]
    first, second = found(data, "decomposed")
    assert first == (
        3,
        "warning",
        "the token 'Zu\u0308rich' holds decomposed letters, with U+0308 COMBINING DIAERESIS; most texts and vectors have"
        " the composed ones",
    )
    assert second[0] == 4
    assert (
        "f.conll:3: warning: 2 × the token holds decomposed letters" in run_tagger("check", "f.conll").output.decode()
    )


def test_a_no_break_space_between_columns_is_part_of_the_error(folder: Path) -> None:
    report = check("a O\nb B-X\n" * 10 + "c\u00a0O\n")
    (problem,) = report.problems
    assert (problem.line, problem.kind) == (21, "column-count")
    assert problem.message.endswith("; the line holds U+00A0 NO-BREAK SPACE, which does not separate columns")


# --- The shared cases -------------------------------------------------------------------------------------------------


@pytest.mark.corpora
def test_the_case_of_doubled_carriage_returns(corpora: Path) -> None:
    output = run_tagger("check", corpora / "cases" / "27-crcrlf" / "train.conll").output.decode()
    assert (
        "802 lines end in \\r\\r\\n, which is a line end and a blank line: all 802 sentences have one token" in output
    )


@pytest.mark.corpora
def test_the_case_of_byte_order_marks_inside(corpora: Path) -> None:
    path = corpora / "cases" / "28-bom-inside" / "train.conll"
    output = run_tagger("check", path).output.decode()
    assert "begins with U+FEFF ZERO WIDTH NO-BREAK SPACE" in output
    assert "802 tokens (52 distinct)" in output
