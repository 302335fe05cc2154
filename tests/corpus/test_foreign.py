"""Files in other formats are named for what they are."""

from __future__ import annotations

import gzip
import shlex
from pathlib import Path

import pytest
from helpers import run_tagger

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
        ("Bruno,B-PER", "the file is CSV with 2 columns, expected CoNLL; run tagger convert"),
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
    ("name", "command"),
    [
        ("ner.csv", "tagger convert ner.csv ner.conll"),
        ("ner.csv.gz", "tagger convert ner.csv.gz ner.conll"),
        ("a b/ner", "tagger convert 'a b/ner' 'a b/ner.conll'"),
        ("ner.conll", "tagger convert ner.conll ner.iob2"),
    ],
)
def test_the_remedy_is_a_command_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).parent.mkdir(exist_ok=True)
    text = b"Anna,B-PER\n" * 6
    Path(name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    (doubt,) = detect_layout(name, Requested()).doubts
    assert doubt == f"the file is CSV with 2 columns, expected CoNLL; run {command}"
    assert run_tagger(*shlex.split(command)[1:]).exit_code == 0


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
