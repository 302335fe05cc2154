"""Standard input in formats that are read more than once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.errors import DataError
from tagger.formats.conll import FORMAT as CONLL_FORMAT
from tagger.formats.json_text import read_values
from tagger.formats.output import check_target

CONLL = "Anna\tB-PER\nBerg\tI-PER\n\nin\tO\nBonn\tB-LOC\n\n"


@pytest.mark.parametrize("name", ["conll", "conllu", "csv", "brackets", "slashed", "jsonl", "parquet", "docbin"])
def test_formats_with_tags_are_read_from_standard_input(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pytest.importorskip({"parquet": "pyarrow", "docbin": "spacy"}.get(name, "json"))
    Path("a.conll").write_text(CONLL)
    assert run_tagger("convert", "a.conll", "made", "--to", name).exit_code == 0
    result = run_tagger(
        "convert", "-", "out.slashed", "--from", name, "--to", "slashed", stdin=Path("made").read_bytes()
    )
    assert (result.exit_code, Path("out.slashed").read_text()) == (0, "Anna/B-PER Berg/I-PER\nin/O Bonn/B-LOC\n")


def test_errors_name_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_tagger("convert", "-", "o", "--from", "csv", "--to", "conll", stdin=b"word,tag\na,O\nb,O\nc\n")
    assert result.first_error.startswith("error: <standard input>:4: found 1 columns, expected 2")


def test_a_json_document_in_a_pipe_does_not_wait_for_the_next_one() -> None:
    readable, writable = os.pipe()
    is_late = threading.Event()

    def finish() -> None:
        is_late.set()
        os.write(writable, b": 2}\n")
        os.close(writable)

    os.write(writable, b'{"a": 1}\n{"b"')
    timer = threading.Timer(1.0, finish)
    timer.start()
    values = read_values(f"/dev/fd/{readable}")
    assert next(values)[0] == {"a": 1}
    assert not is_late.is_set()
    assert [value for value, _ in values] == [{"b": 2}]
    timer.join()
    os.close(readable)


def test_the_file_that_standard_input_comes_from_is_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, link, other = tmp_path / "a.conll", tmp_path / "link.conll", tmp_path / "b.conll"
    source.write_text(CONLL)
    link.symlink_to(source)
    other.write_text(CONLL)
    with source.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        for path in (source, link):
            with pytest.raises(DataError, match=r"is what is read, expected another name; the original is never"):
                check_target("-", str(path), CONLL_FORMAT, CONLL_FORMAT, force=True)
        assert check_target("-", str(other), CONLL_FORMAT, CONLL_FORMAT, force=True) == other
