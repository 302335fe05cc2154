"""The documented benchmarks run."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documented import commands
from helpers import SHORT_GRAPH


@pytest.mark.tensorflow
@pytest.mark.parametrize("command", [command for command in commands() if "bench_training" in command])
def test_documented_training_benchmark_runs(in_clone: Path, command: str, tmp_path: Path) -> None:
    # Use the sample corpus, one round of two steps and no rivals, because PyTorch is an extra.
    quick = ["--only", "speed", "step", "--rivals", "--rounds", "1", "--steps", "2", "--json", str(tmp_path / "found")]
    script, _, *options = shlex.split(command)[1:]
    quick += [f"--set={setting}" for setting in (*SHORT_GRAPH, "training.pretraining_epochs=0")]
    arguments = [sys.executable, script, "configs/sample.yaml", *options, *quick]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found").read_text())
    speeds = found["speed"]["tokens_per_second"]
    assert list(speeds) == ["tagger", "tagger, not deterministic", "`tagger train` itself"]
    assert all(len(values) == 1 and values[0] > 100 for values in speeds.values())
    assert sum(found["step"]["parts"].values()) == pytest.approx(found["step"]["step"])


@pytest.mark.tensorflow
@pytest.mark.parametrize("command", [command for command in commands() if "bench_prediction" in command])
def test_documented_prediction_benchmark_runs(in_clone: Path, command: str, tmp_path: Path) -> None:
    # Use the sample corpus, one round and no rivals, because the rivals are extras.
    script, _, *options = shlex.split(command)[1:]
    quick = ["--rivals", "--rounds", "1", "--calls", "20", "--millions", "0.02", "--json", str(tmp_path / "found")]
    arguments = [sys.executable, script, "data/sample/train.conll", *options, *quick]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found").read_text())
    assert set(found) == {"machine", "rounds", "start", "file", "engine", "latency", "memory"}
    assert 20 < found["memory"]["0.02"] < 400, "the memory in MB must not include the benchmark itself"
    for part in ("start", "file"):
        assert all(0.01 < cost["seconds"][0] < 60 for cost in found[part].values())
    assert found["engine"]["last"]["tagger"]["differs_by"] == 0.0
    assert 0 < found["latency"]["p50"] <= found["latency"]["p99"]
