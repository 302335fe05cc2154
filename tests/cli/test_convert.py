"""`tagger convert` on the command line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from helpers import run_tagger

KAGGLE = "Sentence #,Word,POS,Tag\r\nSentence: 1,Núñez,NNP,B-per\r\n,paid,VBD,O\r\nSentence: 2,Bonn,NNP,B-geo\r\n"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ner.csv").write_bytes(KAGGLE.encode("latin-1"))


def test_a_conversion_writes_data_to_out_and_words_to_standard_error() -> None:
    result = run_tagger("convert", "ner.csv", "train.conll", "--encoding", "latin-1", "--scheme", "IOBES")
    assert result.exit_code == 0
    assert result.output == b""
    assert result.errors.splitlines() == [
        "reading ner.csv as csv because of its name and content",
        "writing train.conll as conll because of its name",
        "note: columns: token 1 Word, tag 3 Tag, sentence 0 Sentence #; not kept: 2 POS",
        "note: scheme of the tags: IOB2",
        "2 documents, 2 sentences, 3 tokens, 2 spans: per 1, geo 1",
    ]
    assert Path("train.conll").read_text("utf-8") == "Núñez\tS-per\npaid\tO\n\nBonn\tS-geo\n\n"


def test_the_result_can_be_checked_as_it_is() -> None:
    assert run_tagger("convert", "ner.csv", "train.conll", "--encoding", "latin-1").exit_code == 0
    assert run_tagger("check", "train.conll").exit_code == 0


def test_standard_output_is_written_and_may_not_be_the_source() -> None:
    result = run_tagger("convert", "ner.csv", "-", "--to", "slashed", "--encoding", "latin-1", "--type", "geo")
    assert result.output.decode() == "Núñez/O paid/O\nBonn/B-geo\n"
    assert "1 span left out: each has another type" in result.errors


def test_errors_name_the_options_of_the_command() -> None:
    result = run_tagger("convert", "ner.csv", "out.conll")
    assert result.exit_code == 1
    assert result.first_error.startswith(
        "error: ner.csv:2: byte 0xFA at offset 13 of the line is not valid utf-8; name"
    )
    assert "  --encoding cp1252 reads " in result.errors
    Path("io.conll").write_text("a PER\nb O\n")
    assert "set --from-scheme to IO" in run_tagger("convert", "io.conll", "out.conll").first_error
    assert run_tagger("convert", "io.conll", "out.conll", "--from-scheme", "IO").exit_code == 0
    Path("n.conll").write_text("a 1\nb 0\nc 2\n")
    assert "; set --names to the names in their order" in run_tagger("convert", "n.conll", "out2.conll").first_error
    result = run_tagger("convert", "n.conll", "out2.conll", "--names", "O,B-PER,I-PER")
    assert result.exit_code == 0
    Path("names").write_text("O\nB-PER\nI-PER\n")
    assert run_tagger("convert", "n.conll", "out3.conll", "--names", "names").exit_code == 0
    assert Path("out2.conll").read_text() == Path("out3.conll").read_text() == "a\tB-PER\nb\tO\nc\tB-PER\n\n"
    assert run_tagger("convert", "n.conll", "o", "--names", "x").first_error.startswith(
        "error: --names x: cannot be read"
    )


def test_columns_can_be_named_by_a_header_or_an_index() -> None:
    for columns in ("token=Word,tag=POS", "token=1,tag=2", "token=1,tag=-2"):
        arguments = ("--columns", columns, "--encoding", "latin-1", "--from-scheme", "none", "--force")
        assert run_tagger("convert", "ner.csv", "out.conll", *arguments).exit_code == 0
        assert Path("out.conll").read_text("utf-8") == "Núñez\tNNP\npaid\tVBD\n\nBonn\tNNP\n\n"
    for columns in ("token", "token=1,token=2", "=1", "token="):
        result = run_tagger("convert", "ner.csv", "out.conll", "--columns", columns)
        assert result.exit_code == 2
        assert "expected NAME=INDEX or NAME=HEADER" in result.errors


def test_out_needs_force_and_is_never_in() -> None:
    arguments = ("convert", "ner.csv", "out.conll.gz", "--encoding", "latin-1")
    assert run_tagger(*arguments).exit_code == 0
    assert run_tagger(*arguments).first_error == (
        "error: out.conll.gz: already exists, expected a new name; choose another, or replace it with --force"
    )
    assert run_tagger(*arguments, "--force").exit_code == 0
    assert gzip.decompress(Path("out.conll.gz").read_bytes()).startswith("Núñez\tB-per\n".encode())
    result = run_tagger("convert", "out.conll.gz", "out.conll.gz", "--force")
    assert (
        result.first_error
        == "error: out.conll.gz: is what is read, expected another name; the original is never replaced"
    )


def test_wrong_names_of_formats_are_errors() -> None:
    assert run_tagger("convert", "ner.csv", "x", "--to", "conl").first_error.startswith(
        "error: --to: found 'conl', expected"
    )
    assert run_tagger("convert", "ner.csv", "x", "--from", "y").first_error.startswith(
        "error: --from: found 'y', expected"
    )
    assert run_tagger("convert", "missing", "x.conll").first_error.startswith("error: missing: no such file")


def test_what_is_no_corpus_is_named() -> None:
    Path("m").mkdir()
    for name in ("manifest.json", "tokens.txt", "tags.txt"):  # the last two could be a corpus of two files
        Path("m", name).write_text("a\n")
    for arguments, message in {
        ("", "o.conll"): "IN: found an empty name, expected a corpus; name it (is a variable of the shell empty?)",
        ("ner.csv", ""): "OUT: found an empty name, expected a file or a folder; name it",
        ("m", "o.conll"): "m: found a model directory, expected a corpus; name the corpus itself",
    }.items():
        result = run_tagger("convert", *arguments)
        assert (result.exit_code, result.first_error) == (1, f"error: {message}")
    assert not Path("o.conll").exists()
