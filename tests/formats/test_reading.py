"""Files of other formats in the place of CoNLL files, for `check`, `train` and `eval`. Does not need TensorFlow."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.corpus.lines import files_of
from tagger.errors import DataError
from tagger.formats.convert import Settings
from tagger.formats.reading import Readers, reading

TOKENS = [["Hanna", "Berg", "left", "Kiel"], ["No", "one", "stayed"]]
TAGS = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O", "O"]]
CONLL = "Hanna\tB-PER\nBerg\tI-PER\nleft\tO\nKiel\tB-LOC\n\nNo\tO\none\tO\nstayed\tO\n\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"tokens": tokens, "ner_tags": tags}) for tokens, tags in zip(TOKENS, TAGS, strict=True)]
    Path("a.jsonl").write_text("\n".join(rows) + "\n")
    Path("a.conll").write_text(CONLL)


def content(readers: Readers, *paths: str) -> list[str]:
    return [Path(path).read_text() for path in files_of(readers.readable(list(paths)).paths)]


def test_another_format_is_converted_while_it_is_read_and_conll_is_not() -> None:
    notes: list[str] = []
    with reading(note=notes.append) as readers:
        assert readers.readable("a.conll").paths == "a.conll"
        converted = readers.readable("a.jsonl")
        (path,) = files_of(converted.paths)
        assert (converted.converted, Path(path).read_text()) == (True, CONLL)
        assert readers.original(f"{path}:3: x") == "a.jsonl (as CoNLL):3: x"
    assert not Path(path).exists()
    (note,) = notes
    assert note.startswith("a.jsonl is jsonl, read by way of CoNLL: ")
    assert note.endswith("2 documents, 2 sentences, 7 tokens, 2 spans: PER 1, LOC 1")


def test_only_another_format_needs_a_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_options: object) -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", none)
    with reading() as readers:
        assert not readers.readable("a.conll").converted
        with pytest.raises(DataError, match=r"^a\.jsonl: is jsonl, and there is no temporary folder .*; set TMPDIR"):
            readers.readable("a.jsonl")


def test_the_format_can_be_named_and_must_be_one_for_a_corpus() -> None:
    Path("a.jsonl").rename("unnamed")
    with reading(Settings(source="jsonl")) as readers:
        assert content(readers, "unnamed") == [CONLL]
    with reading() as readers, pytest.raises(DataError, match=r"^unnamed: found jsonl, expected CoNLL as in a\.conll:"):
        readers.readable(["a.conll", "unnamed"])
    with (
        reading(Settings(source="jsn")) as readers,
        pytest.raises(DataError, match=r"^data\.format: found 'jsn', expected one of"),
    ):
        readers.readable("unnamed")


def test_spans_that_do_not_fit_are_listed_and_errors_name_the_file_of_the_user() -> None:
    text = {
        "text": "Hanna left",
        "tokens": [{"text": "Hanna", "start": 0, "end": 5}, {"text": "left", "start": 6, "end": 10}],
    }
    Path("b.jsonl").write_text(json.dumps({**text, "spans": [{"start": 0, "end": 3, "label": "PER"}]}) + "\n")
    with pytest.raises(DataError) as caught, reading() as readers:
        readers.readable("b.jsonl")
    assert caught.value.message.startswith("b.jsonl: found 1 span that conll cannot hold")
    assert any("b.jsonl:1: " in line and "Han" in line for line in caught.value.detail)
    wrong = {**text, "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    Path("many.jsonl").write_text(f"{json.dumps(wrong)}\n" * 60)
    with pytest.raises(DataError) as caught, reading() as readers:
        readers.readable("many.jsonl")
    assert "tagger convert many.jsonl OUT.conll shows all of them" in caught.value.detail
    with pytest.raises(DataError, match=r"^a\.jsonl \(as CoNLL\):2: wrong$"), reading() as readers:
        (path,) = files_of(readers.readable("a.jsonl").paths)
        raise DataError("wrong", path=path, line=2)


def test_check_reads_another_format_as_training_does() -> None:
    result = run_tagger("check", "a.jsonl", "--json")
    (report,) = json.loads(result.output)["files"]
    assert report["path"] == "a.jsonl (as CoNLL)"
    assert (report["counts"]["tokens"], report["counts"]["types"]) == (7, {"PER": 1, "LOC": 1})
    assert report["notes"][0].startswith("a.jsonl is jsonl, read by way of CoNLL: ")
    result = run_tagger("check", "a.jsonl", "--fix", "out")
    assert result.exit_code == 1
    assert result.first_error == (
        "error: a.jsonl (as CoNLL): --fix: found another format, expected CoNLL; convert the file first"
    )


def test_check_reads_conll_beside_a_training_file_of_another_format_in_its_own_layout() -> None:
    Path("dev.conll").write_text("".join(f"{line.replace(chr(9), ' x ')}\n" for line in CONLL.split("\n")))
    Path("c.yaml").write_text("data: {train: a.jsonl, dev: dev.conll}\n")
    result = run_tagger("check", "--config", "c.yaml", "--json")
    train, dev = json.loads(result.output)["files"]
    assert (train["format"]["n_columns"], dev["format"]["n_columns"]) == (2, 3)
    assert dev["counts"]["types"] == {"PER": 1, "LOC": 1}
    assert result.exit_code == 0
