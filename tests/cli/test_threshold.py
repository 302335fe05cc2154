"""`tagger threshold`, and the thresholds that it stores."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from helpers import run_tagger
from stored_model import save
from stub_model import span_probability, stub_manifest, stub_model

from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME
from tagger.model_dir.store import load_model, save_thresholds

# 30 sentences in which EU is an ORG, 10 in which it is none, and German, which is always wrong
GOLD = "EU B-ORG\nleft O\n\n" * 30 + "a O\nEU O\n\n" * 10 + "German O\n\n" * 25


def test_table_and_json(tmp_path: Path) -> None:
    path = tmp_path / "gold.conll"
    path.write_text(GOLD)
    with stub_model():
        table = run_tagger("threshold", "--precision", "0.75", path)
        values = run_tagger("threshold", "--precision", "0.75", "--json", path)
    assert table.exit_code == 0, table.errors
    org = min(span_probability(["a", "EU"], 1, 2), span_probability(["EU", "left"], 0, 1))
    lines = table.output.decode().splitlines()
    assert lines[0].split() == ["threshold", "precision", "recall", "(without)", "spans"]
    assert lines[1].split() == ["MISC", "–", "0.00", "0.00", "0.00", "25"]
    assert lines[2].split()[:4] == ["ORG", f"{org:.4f}", "75.00", "100.00"]
    assert "warning: MISC: no threshold has a precision of 75" in table.errors
    found = json.loads(values.output)
    assert found["types"]["MISC"]["threshold"] is None
    assert found["types"]["ORG"]["precision"] == 0.75
    assert found["precision"] == 0.75


def test_stored_thresholds_are_used_by_predict() -> None:
    text = b"EU\nleft\n\nGerman\n\nPeter\n"
    with stub_model(stub_manifest(thresholds={"": 0.99, "ORG": 0.1, "MISC": None})):
        result = run_tagger("predict", "--format", "text", stdin=text)
        assert result.output == b"[EU ORG] left\nGerman\nPeter\n"
        assert result.errors == (
            "2 spans below the model's thresholds (--min-probability 0: none) left out: MISC 1, PER 1\n"
        )
        everything = b"[EU ORG] left\n[German MISC]\n[Peter PER]\n"
        assert run_tagger("predict", "--format", "text", "--min-probability", "0", stdin=text).output == everything
        assert run_tagger("predict", stdin=text).output.count(b"B-") == 3


def test_thresholds_are_stored_with_a_model_that_stays_valid(tmp_path: Path) -> None:
    directory = tmp_path / "m"
    save(directory)
    before = load_model(directory, lambda *_: None).manifest
    save_thresholds(directory, {"": 0.5, "PER": None})
    save_thresholds(directory, {"": 0.25, "PER": None})
    after = load_model(directory, lambda *_: None).manifest
    assert after.thresholds == {"": 0.25, "PER": None}
    assert dataclasses.replace(after, thresholds={}) == before


def test_stored_thresholds_are_removed(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    save(directory)
    before = load_model(directory, lambda *_: None).manifest
    save_thresholds(directory, {"": 0.5, "PER": None})
    result = run_tagger("threshold", "--remove", "--model", directory)
    assert (result.exit_code, result.output) == (0, b"")
    assert result.errors.splitlines()[-1] == "the model has no thresholds now: tagger predict shows all spans"
    assert load_model(directory, lambda *_: None).manifest == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--remove", "gold.conll"], "--remove: found it with a FILE, expected one of the two; delete the other"),
        (["--remove", "--save"], "--remove: found it with --save, expected one of the two; delete the other"),
        ([], "FILE: found none, expected a gold file; name one that the model was not trained on"),
    ],
)
def test_thresholds_are_found_in_a_file_or_removed(arguments: list[str], message: str) -> None:
    result = run_tagger("threshold", *arguments)
    assert (result.exit_code, result.output) == (2, b"")
    assert message in result.errors


def test_models_of_plain_tags_have_no_spans(tmp_path: Path) -> None:
    path = tmp_path / "gold.conll"
    path.write_text(GOLD)
    with stub_model(stub_manifest(notation=Notation(scheme=NO_SCHEME), scheme=NO_SCHEME)):
        result = run_tagger("threshold", "--precision", "0.9", path)
    assert result.first_error == (
        "error: --model: found a model of plain tags (scheme none), expected one of spans, whose probabilities have"
        " thresholds; choose another"
    )


def test_a_precision_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "gold.conll"
    path.write_text(GOLD)
    with stub_model():
        result = run_tagger("threshold", "--precision", "nan", "--json", path)
    assert result.exit_code == 2
    assert "Invalid value for '--precision': nan is not in the range 0<x<=1" in result.errors
    assert result.output == b""


def test_without_predicted_spans_nothing_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thresholds from such a file would leave out every span that the model ever finds."""
    path = tmp_path / "gold.conll"
    path.write_text("a O\n\nb B-PER\n")
    monkeypatch.setattr("tagger.model_dir.store.save_thresholds", lambda *_: pytest.fail("stored"))
    with stub_model():
        result = run_tagger("threshold", "--save", path)
    assert result.exit_code == 1
    assert result.first_error == (
        f"error: {path}: found no predicted span, expected some to find a threshold among; use a larger file or a"
        " better model"
    )
    assert result.output == b""


def test_a_precision_that_no_threshold_has_for_all_types_together(tmp_path: Path) -> None:
    path = tmp_path / "gold.conll"
    path.write_text("German O\n\n" * 25)
    with stub_model():
        result = run_tagger("threshold", path)
    assert result.exit_code == 0
    assert result.errors.splitlines() == [
        "warning: MISC: no threshold has a precision of 95; none of its spans would be kept",
        "warning: all types: no threshold has a precision of 95; no spans of types that are not in the table would be"
        " kept",
    ]
