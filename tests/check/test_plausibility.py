"""Data that look misread: each sign, what it says, and data on which it must be silent."""

from __future__ import annotations

import pytest
from checked_files import check

WORDS = [f"w{i}" for i in range(150)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def signs(data: str, **settings: object) -> list[str]:
    """Return the warnings about the whole file."""
    return [p.message for p in check(data, **settings).problems if p.line == 0 and p.severity == "warning"]


def test_numbers_that_count_up_are_not_words() -> None:
    data = "1\tB-X\n2\tO\n3\tO\n\n1\tO\n2\tB-X\n\n"
    (sign,) = signs(data)
    assert sign == (
        "the tokens in column 0 are numbers that count up in each sentence (1, 2, 3 …), expected words; set"
        " token in --columns to the column of the words, such as 1"
    )
    assert not signs("1\tB-X\n7\tO\n3\tO\n\n1\tO\n3\tB-X\n\n")


def test_few_distinct_tokens_among_thousands_are_doubted() -> None:
    rows = [f"{'ACGT'[i % 4]}\t{'B-X' if i % 7 == 0 else 'O'}\n" + ("\n" if i % 20 == 0 else "") for i in range(2000)]
    (sign,) = signs("".join(rows))
    assert sign.startswith("found 4 distinct tokens among 2,000 in column 0 (A, C, G, T, …), expected at least 100;")
    assert not signs("".join(rows[:1999]))
    varied = [row.replace("A", WORDS[i % 97]) for i, row in enumerate(rows)]
    assert not signs("".join(varied)), "100 distinct tokens are enough"


@pytest.mark.parametrize(
    ("data", "sign"),
    [
        ("a\tO\nb\tO\n", "found only the tag O, expected several"),
        ("a\tB-X\nb\tB-X\n", "found only the tag B-X, expected several"),
        ("a\ta\nb\tb\nc\tc\n", "the tag column holds the tokens, expected tags"),
        ("a\t0\nb\t1\nc\t5\n", "the tags are the numbers 0 to 5, as data sets of Hugging Face have them"),
        ("a\tB-PER|B-LOC\nb\tO\n", "1 token has several tags, such as B-PER|B-LOC, expected one each; set"),
        ("".join(f"{w}\tN{i}\n" for i, w in enumerate(WORDS)), "found 150 distinct tags for 150 tokens"),
        ("".join(f"\t{w}\tB-X\n\tb\tO\n" for w in WORDS[:9]), "18 of 18 tokens in column 0 are empty or blank"),
    ],
)
def test_each_sign_says_what_was_seen(data: str, sign: str) -> None:
    assert any(sign in found for found in signs(data)), signs(data)


@pytest.mark.parametrize("joint", [" ", "/", "|", "_"])
def test_two_columns_that_are_joined_are_doubted(joint: str) -> None:
    def data(n_endings: int) -> str:
        return "".join(f"{w}{joint}N{i % n_endings}\t{'O' if i % 3 else 'B-X'}\n" for i, w in enumerate(WORDS))

    name = "a blank" if joint == " " else joint
    (sign,) = signs(data(7))
    assert sign.startswith(f"nearly all tokens in column 0 hold {name} and one of 7 endings (")
    assert not signs(data(100)), "the second parts are words too"
    assert not signs(data(7).replace(f"{joint}N3", "")), "one token in seven is a word"


def test_brackets_are_no_tags() -> None:
    data = "a\tB-X\t(PER*\nb\tI-X\t*)\nc\tO\t*\n"
    (sign,) = signs(data, columns={"token": 0, "tag": 2})
    assert sign.startswith("the tags are spans in brackets ((PER*, *), *), as CoNLL-2012 writes them, expected one tag")
    assert not signs(data, columns={"token": 0, "tag": 1})


def test_one_long_sentence_without_a_blank_line_is_doubted() -> None:
    rows = [f"{w}{i}\t{'B-X' if i % 5 == 0 else 'O'}\n" for i in range(21) for w in WORDS[:100]]
    (sign,) = signs("".join(rows))
    assert sign.startswith("found one sentence of 2,100 tokens and no blank line, expected a blank line")
    assert not signs("".join(rows[:1000]) + "\n" + "".join(rows[1000:]))


def test_the_first_or_the_last_of_several_tags_can_be_read() -> None:
    data = "a\tB-PER|B-LOC\nb\tO\nc\tI-X\nd\tI-X\n"
    for which, tag in (("first", "B-PER"), ("last", "B-LOC")):
        report = check(data, several_tags=which)
        assert report.sentences[0].tags == [tag, "O", "I-X", "I-X"]
        assert not [p for p in report.problems if "several tags" in p.message]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("".join(f"s{i}\tEU\tB-ORG\ns{i}\tfell\tO\ns{i}\t.\tO\n\n" for i in range(30)), "the same in each sentence"),
        ("".join(f"{10 * i}\tEU\tB-ORG\n{10 * i + 3}\tfell\tO\n\n" for i in range(30)), "numbers"),
        ("".join(f"s{i}.1\tEU\tB-ORG\ns{i}.2\tfell\tO\n\n" for i in range(120)), "nearly all different"),
    ],
)
def test_identifiers_are_not_words(data: str, what: str) -> None:
    (sign,) = [sign for sign in signs(data) if "expected words" in sign]
    assert sign.startswith(f"the tokens in column 0 are {what} (")


def test_one_plain_tag_for_each_whole_sentence_is_doubted() -> None:
    data = "".join(f"w{i}\tNN\td{i}\nv{i}\tVB\td{i}\n.\tPU\td{i}\n\n" for i in range(20))
    assert any(sign.startswith("the tags are the same for each whole sentence (d0, …)") for sign in signs(data))


def test_numbered_expressions_of_parseme_are_named() -> None:
    (sign,) = signs("He\t*\ntook\t1:VID\nthe\t*\nbull\t1\n\nI\t*\nsaw\t*\n")
    assert sign.startswith("the tags are numbered expressions (1:VID, 1, *), as PARSEME (.cupt) writes them")
