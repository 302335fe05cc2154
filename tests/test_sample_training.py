"""Training on the bundled corpora shows the effects that they were made to show."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from helpers import ROOT, SHORT_GRAPH, run_tagger

pytestmark = pytest.mark.tensorflow


def scores_after_training(config: Path, folder: Path, *settings: str) -> dict[str, float]:
    """Train a config with settings, and return the `eval --json` scores of its test file."""
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    trained = run_tagger("train", config, "--model", folder / "model", *arguments)
    assert trained.exit_code == 0, trained.errors
    scores: dict[str, float] = json.loads(run_tagger("eval", "--model", folder / "model", "--json").output)
    return scores


def test_a_forward_network_scores_clearly_lower_on_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = ROOT / "configs/sample.yaml"
    quick = ("training.pretraining_epochs=0", "training.epochs=8", *SHORT_GRAPH[:3], "model.units=80")
    both = scores_after_training(config, tmp_path, *quick)["f1"]
    forward = scores_after_training(config, tmp_path, *quick, "model.direction=forward")["f1"]
    assert both > 0.8
    assert forward < both - 0.15


def test_the_running_sum_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = ROOT / "scripts/make_cumulative_sum_corpus.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--out", str(tmp_path / "data")])
    runpy.run_path(str(script), run_name="__main__")
    files = [f"data.{name}={tmp_path}/data/{name}.conll" for name in ("train", "dev", "test")]
    scores = scores_after_training(ROOT / "configs/cumulative_sum.yaml", tmp_path, *files, "training.epochs=12")
    assert scores["accuracy"] >= 0.97
    assert (scores["sentences"], scores["tokens"]) == (1000, 10000)
