"""Check a sweep of trainings that take a moment: the best config gives the best model once more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import run_tagger

pytest.importorskip("optuna", reason="optuna is not installed: pip install '.[sweep]'")
pytestmark = pytest.mark.tensorflow

CORPUS = "".join(
    f"{name} B-{kind}\n{verb} O\n\n" for name, kind, verb in [("anna", "PER", "sleeps"), ("rome", "LOC", "is")] * 20
)


def test_the_best_config_gives_the_model_of_the_best_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text(CORPUS)
    Path("c.yaml").write_text(
        "data: {train: train, dev: 0.2}\nmodel: {layers: 1, embedding_dim: 8, characters: none, decoder: constrained}\n"
        "training: {epochs: 3, patience: null, batch_size: 4}\n"
    )
    Path("s.yaml").write_text("model.units: [4, 8]\ntraining.learning_rate: [0.0001]\n")
    found = run_tagger("sweep", "c.yaml", "--space", "s.yaml", "--study", "out", "--json")
    assert found.exit_code == 0, found.errors
    first, second = json.loads(found.output)["trials"]
    assert {first["values"]["model.units"], second["values"]["model.units"]} == {4, 8}
    assert "the space has 2 combinations, so each is tried once" in found.errors
    assert "the test set was not read" in found.errors
    trained = run_tagger("train", "out/best.yaml")
    assert trained.exit_code == 0, trained.errors
    manifests = [
        json.loads(Path(where, "manifest.json").read_text()) for where in ("models/best", f"out/trial-{first['trial']}")
    ]
    assert manifests[0]["dev"] == manifests[1]["dev"]
    assert manifests[0]["dev"]["f1"] == first["dev"]
    weights = [
        Path(where, "weights.safetensors").read_bytes() for where in ("models/best", f"out/trial-{first['trial']}")
    ]
    assert weights[0] == weights[1]
