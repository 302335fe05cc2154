"""Files in other formats are named for what they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger.corpus.detection import Requested, detect_layout

SENTENCE = ["Bruno", "Lund", "went", "to", "Lindau", "."]
TAGS = ["B-PER", "I-PER", "O", "O", "B-LOC", "O"]


def doubts(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "f"
    path.write_text(text, "utf-8")
    return detect_layout(path, Requested()).doubts


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"tokens": ["a", "b"], "ner_tags": [0, 1]}', "the lines are JSON objects"),
        ('[{"text": "a b", "label": [[0, 1, "PER"]]}]', "the file is JSON"),
        ("\t".join(f"{a}\t{b}" for a, b in zip(SENTENCE, TAGS, strict=True)), "tokens and tags in turn"),
        (" ".join(f"{a}/{b}" for a, b in zip(SENTENCE, TAGS, strict=True)), "token/TAG pairs"),
        (" ".join(f"{a}|NN|{b}" for a, b in zip(SENTENCE, TAGS, strict=True)), "token/TAG pairs"),
        ("Bruno,B-PER", "the file is CSV with 2 columns, expected CoNLL; set data.delimiter to a comma"),
        ('"Bruno, Jr.",NN,B-PER', "the file is CSV with 3 columns"),
        ("<?xml version='1.0'?>", "the file is XML or HTML"),
        ("T1\tPER 0 5\tBruno", "brat standoff"),
        ("#FORMAT=WebAnno TSV 3.3\n1-1\t0-5\tBruno\tPER", "the file is WebAnno TSV"),
    ],
)
def test_other_formats_are_named(tmp_path: Path, line: str, expected: str) -> None:
    (doubt,) = doubts(tmp_path, f"{line}\n" * 6)
    assert expected in doubt
    assert "expected" in doubt


def test_brackets_of_conll_2012_are_named_with_their_column(tmp_path: Path) -> None:
    text = "d 0 0 Anna NNP (PERSON* -\nd 0 1 Berg NNP *) -\nd 0 2 paid VB * -\n\n"
    (doubt,) = doubts(tmp_path, text * 3)
    assert doubt.startswith("column 5 holds spans in brackets, as CoNLL-2012 (OntoNotes) writes them")


def test_parallel_files_and_raw_text_are_named(tmp_path: Path) -> None:
    rows = ["O O B-a I-a O O O", "O B-b O O O O", "O O O O O O O B-a", "O O O B-b I-b O O O O"]
    assert "as in parallel files" in doubts(tmp_path, "\n".join(rows))[0]
    text = [
        "The first sentence of the text is here .",
        "Another one follows it now .",
        "It ends with a third , even longer one .",
    ]
    assert "a whole sentence of text" in doubts(tmp_path, "\n".join(text))[0]


@pytest.mark.parametrize(
    "text",
    [
        "{ O\n} O\n[ B-X\n",
        "a,b O\nc,d B-X\n, O\n",
        "and/or CC O\n1/2 CD O\nBonn NNP B-LOC\n",
        "a 0 x 0 y O\nb 0 x 0 y B-X\n\nc 0 x 1 y O\n",  # single digits are not the tags of a second token
        "http://a/b O\nx/y B-X\n",
        "T1\tB-X\nR2\tO\n",
    ],
)
def test_conll_is_not_taken_for_another_format(tmp_path: Path, text: str) -> None:
    assert not doubts(tmp_path, text)
