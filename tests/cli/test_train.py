"""What `tagger train` shows and logs: `--quiet`, `--log-json`, and the end of a training."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers import run_tagger

pytestmark = pytest.mark.tensorflow
QUICK = [
    f"--set={setting}"
    for setting in (
        "model.units=4", "model.embedding_dim=4", "model.layers=1", "model.characters=none", "model.decoder=constrained", "training.epochs=2",
        "training.batch_size=2", "training.patience=1",
    )
]  # fmt: skip
TEXT = "Ada\tB-PER\nsaw\tO\nNew\tB-LOC\nYork\tI-LOC\n\n" * 4


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.conll").write_text(TEXT)
    (tmp_path / "c.yaml").write_text("data: {train: train.conll, dev: dev.conll, test: test.conll}\n")
    return tmp_path


def test_a_quiet_training_shows_the_model_and_its_score_and_a_log_on_standard_output_is_data(folder: Path) -> None:
    result = run_tagger("train", "c.yaml", *QUICK, "--quiet", "--log-json", "-")
    assert result.exit_code == 0, result.errors
    model, test = result.errors.splitlines()
    assert re.fullmatch(r"model of epoch \d \(dev [\d.]+\) is in models/c", model)
    found = [json.loads(line) for line in result.output.splitlines()]
    start, *epochs, end = found
    assert [one["event"] for one in found] == ["start", *["epoch"] * len(epochs), "end"]
    assert [one["epoch"] for one in epochs] == list(range(1, 1 + len(epochs)))
    assert start["data"]["train"] == {"sentences": 4, "tokens": 16, "types": {"LOC": 4, "PER": 4}, "entities": 8}
    assert start["data"]["unseen"] == 0
    best = max(epochs, key=lambda one: (one["best"], one["epoch"]))
    assert (end["best_epoch"], end["dev"], end["model"]) == (best["epoch"], best["dev"], "models/c")
    assert test == f"test F1 {100 * end['test']['f1']:.2f}"
    assert {path.name for path in folder.iterdir()} >= {"models", ".tagger-model"}


def test_a_training_shows_the_data_the_network_the_confusions_and_the_log(folder: Path) -> None:
    (folder / "dev.conll").write_text(TEXT.replace("B-PER", "B-ORG") + "Bob\tB-PER\n")
    result = run_tagger("train", "c.yaml", *QUICK, "--log-json", "log.jsonl")
    assert result.exit_code == 0, result.errors
    lines = result.errors.splitlines()
    at = lines.index("data                  train        dev")
    assert lines[at + 1 : at + 7] == [
        "sentences                 4          5",
        "tokens                   16         17",
        "entities                  8          9",
        "  LOC                     4          4",
        "  ORG                     0          4",
        "  PER                     4          1",
    ]
    assert lines[at + 7] == "56 % of the entities in dev do not occur in train"
    assert re.fullmatch(r"network +in → out +weights", lines[at + 8])
    confusions = next(line for line in lines if line.startswith("commonest confusions on dev: "))
    (end,) = (
        found for line in Path("log.jsonl").read_text().splitlines() if (found := json.loads(line))["event"] == "end"
    )
    assert confusions.count(": ") == 1 + len(end["confusions"]) <= 4
    assert sum(found["n"] for found in end["confusions"]) > 0
    assert "the log is in log.jsonl" in lines
    assert lines[-1] == "next: tagger predict FILE --model models/c"


def test_a_log_that_cannot_be_written_is_an_error_before_the_data_are_read(folder: Path) -> None:
    result = run_tagger("train", "c.yaml", "--quiet", "--log-json", "train.conll")
    assert result.exit_code == 1
    assert result.errors == (
        "error: --log-json: train.conll:1: found a line that is not part of a log, expected a new file or a log of"
        " tagger train; choose another name\n"
    )
    assert (folder / "train.conll").read_text() == TEXT
