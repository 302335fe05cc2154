"""The scripts in scripts/ still work with the package; the fuzzer, which usually runs for an hour, runs briefly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from forked_scripts import run_scripts
from helpers import ROOT

SCRIPTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "scripts").rglob("*.py"))
# These scripts import TensorFlow, PyTorch or python-crfsuite when they start, have no options, or
# are parts of other scripts.
SILENT = {
    "scripts/bench/racing.py", "scripts/bench/prediction_contenders.py", "scripts/bench/training_contenders.py",
    "scripts/bench/full_contenders.py", "scripts/bench/full_prediction_contenders.py", "scripts/bench/profile_full.py",
    "scripts/bench/pretraining_contenders.py",
    "scripts/bench/tag_with_crfsuite.py", "scripts/bench/profile_step.py", "scripts/checks/build_twice.py", "scripts/checks/check_prediction_only.py",
    "scripts/results/kinds.py", "scripts/results/one_run.py", "scripts/results/resuming.py", "scripts/results/train_stock.py", "scripts/checks/hostile_files.py",
    "scripts/checks/hostile_graphs.py", "scripts/checks/hostile_models.py", "scripts/checks/switches.py",
    "scripts/chromium.py",
}  # fmt: skip


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_each_script_starts(tmp_path: Path) -> None:
    scripts = [script for script in SCRIPTS if script not in SILENT]
    done = run_scripts([[script, "--help"] for script in scripts], tmp_path)
    for script, (status, shown) in zip(scripts, done, strict=True):
        assert status == 0, f"{script}: {shown}"
        assert shown.startswith("usage: "), f"{script}: {shown}"


def test_the_fuzzer_of_inputs_runs_and_finds_nothing() -> None:
    done = run("scripts/checks/fuzz_conll.py", "--inputs", "600", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "600 inputs" in done.stdout
    assert "command line: " in done.stdout


def test_the_fuzzer_of_models_runs_and_finds_nothing() -> None:
    done = run("scripts/checks/fuzz.py", "--inputs", "400", "--seed", "7")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["inputs"], found["wrong"]) == (400, 0)
    kinds = (
        "configs",
        "damaged models",
        "signed files",
        "signed manifests",
        "signed graphs",
        "odd files",
        "vectors",
        "corpora",
    )
    assert all(found[f"{kind} refused"] > 0 for kind in kinds)
    assert found["signed files read"] > 0


@pytest.mark.parametrize("options", [[], ["--formats", "webanno-tsv"]])
def test_the_fuzzer_of_formats_finds_nothing_and_notices_a_silent_loss(options: list[str]) -> None:
    done = run("scripts/checks/fuzz_formats.py", "--rounds", "500", *options)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("500 rounds, ")
    assert done.stdout.endswith(" in files that were converted), 0 tracebacks, 0 silent losses\n")
    lossy = run("scripts/checks/fuzz_formats.py", "--rounds", "50", "--lose", *options)
    assert lossy.returncode == 1
    assert "is lost; said:" in lossy.stdout


@pytest.mark.parametrize("check", ["checksums", "graph", "weights", "links", "text", "bytes"])
def test_a_fuzzer_notices_when_a_check_is_switched_off(check: str) -> None:
    done = run("scripts/checks/switch_off.py", "--checks", check, "--inputs", "5000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{check}: noticed at input " in done.stdout
