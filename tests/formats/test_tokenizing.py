"""Documents without tokens are cut into tokens where the format that is written, or training, needs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.config.keys import DataConfig
from tagger.formats.document import Document, DocumentSpan
from tagger.formats.tokenizing import tokenized
from tagger.text.tokenizer import is_installed, load_tokenizer
from tagger.training.corpora import load_corpora

pytestmark = pytest.mark.skipif(not is_installed(), reason="the extra text is not installed")


def test_a_document_gets_sentences_and_keeps_the_rest() -> None:
    document = Document(text="Ann can't. Bob can.", spans=(DocumentSpan("PER", 0, 3),), id="7", is_piece=True, offset=5)
    found = tokenized(document, load_tokenizer("en"))
    assert [[document.covered(token) for token in tokens] for tokens in found.sentences or ()] == [
        ["Ann", "ca", "n't", "."], ["Bob", "can", "."],
    ]  # fmt: skip
    assert (found.text, found.spans, found.id, found.offset, found.is_piece) == (
        document.text,
        document.spans,
        "7",
        5,
        True,
    )


def test_convert_cuts_raw_text_and_says_how(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Ann left Bonn, as I said. She didn't\ncome back.\n")
    done = run_tagger("convert", str(tmp_path / "notes.txt"), str(tmp_path / "notes.conll"))
    assert done.exit_code == 0, done.errors
    tokens = [line.split("\t")[0] for line in (tmp_path / "notes.conll").read_text().splitlines()]
    assert tokens == [
        "-DOCSTART-",
        "",
        *["Ann", "left", "Bonn", ",", "as", "I", "said", "."],
        "",
        *["She", "did", "n't", "come", "back", "."],
        "",
    ]
    assert "cut into sentences and tokens by spaCy en" in done.errors
    assert "as no language is named; --language names another" in done.errors
    done = run_tagger("convert", str(tmp_path / "notes.txt"), str(tmp_path / "de.conll"), "--language", "de")
    assert "tokens by spaCy de" in done.errors
    assert "no language" not in done.errors


def test_spans_that_cut_tokens_are_listed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"text": "Ann-Marie left.", "label": [[0, 3, "PER"]]}))
    done = run_tagger("convert", str(path), str(tmp_path / "a.conll"))
    assert done.exit_code == 1
    assert "set --align to expand" in done.errors
    assert run_tagger("convert", str(path), str(tmp_path / "a.conll"), "--align", "expand").exit_code == 0
    assert (tmp_path / "a.conll").read_text().splitlines()[0] == "Ann-Marie\tB-PER"


def test_an_unknown_language_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Ann left Bonn, as I said.\n")
    done = run_tagger("convert", str(tmp_path / "a.txt"), str(tmp_path / "a.conll"), "--language", "enn")
    assert done.exit_code == 1
    assert "--language: found 'enn', expected one of af, " in done.errors


def test_training_reads_texts_with_spans_directly(tmp_path: Path) -> None:
    names = [f"{first} {last}" for first in ("Ann", "Bob", "Eva", "Jan") for last in ("Berg", "Holm", "Lind", "Ek")]
    cities = ("Bonn", "Rome", "Oslo", "Kyiv")
    lines = [
        {"text": f"{name} didn't like {city} on day {i}.", "label": [[0, len(name), "PER"]]}
        for i, name in enumerate(names)
        for city in cities
    ]
    path = tmp_path / "export.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    notes: list[str] = []
    data = DataConfig(train=str(path), dev=None, language="en", trust=True)
    train = load_corpora(data, 1, notes.append, notes.append).train
    assert train.sentences[0].tokens == ["Ann", "Berg", "did", "n't", "like", "Bonn", "on", "day", "0", "."]
    assert train.tags[0] == ["B-PER", "I-PER", *["O"] * 8]
    assert any("tokens by spaCy en" in note for note in notes)
