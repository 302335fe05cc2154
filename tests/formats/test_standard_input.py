"""Standard input in formats that are read more than once."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import run_tagger

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
