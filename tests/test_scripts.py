"""The scripts in scripts/ still work with the package; the fuzzer, which usually runs for an hour, runs briefly."""

from __future__ import annotations

import json
import subprocess
import sys

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
    "scripts/results/kinds.py", "scripts/results/one_run.py", "scripts/results/resuming.py", "scripts/results/train_stock.py", "scripts/results/train_intnet.py", "scripts/results/train_gradually.py",
    "scripts/results/train_averaged.py", "scripts/results/train_bucketed.py", "scripts/checks/hostile_files.py",
    "scripts/checks/hostile_graphs.py", "scripts/checks/hostile_models.py", "scripts/checks/switches.py",
    "scripts/chromium.py",
}  # fmt: skip


HELP = {script: [script, "--help"] for script in SCRIPTS if script not in SILENT}
FORMATS = {"all": [], "webanno": ["--formats", "webanno-tsv"]}
FUZZERS = {
    "inputs": ["scripts/checks/fuzz_conll.py", "--inputs", "600", "--seed", "7"],
    "models": ["scripts/checks/fuzz.py", "--inputs", "400", "--seed", "7"],
    **{name: ["scripts/checks/fuzz_formats.py", "--rounds", "500", *more] for name, more in FORMATS.items()},
    **{
        f"lossy {name}": ["scripts/checks/fuzz_formats.py", "--rounds", "50", "--lose", *more]
        for name, more in FORMATS.items()
    },
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """Return the exit status and the output of each command, by its name."""
    commands = HELP | FUZZERS
    return dict(zip(commands, run_scripts(list(commands.values()), tmp_path_factory.mktemp("done")), strict=True))


@pytest.mark.parametrize("script", HELP)
def test_a_script_starts(done: dict[str, tuple[int, str]], script: str) -> None:
    status, output = done[script]
    assert status == 0, output
    assert output.startswith("usage: ")


def test_the_fuzzer_of_inputs_runs_and_finds_nothing(done: dict[str, tuple[int, str]]) -> None:
    status, output = done["inputs"]
    assert status == 0, output
    assert "600 inputs" in output
    assert "command line: " in output


def test_the_fuzzer_of_models_runs_and_finds_nothing(done: dict[str, tuple[int, str]]) -> None:
    status, output = done["models"]
    assert status == 0, output
    found = json.loads(output.splitlines()[-1])
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


@pytest.mark.parametrize("formats", FORMATS)
def test_the_fuzzer_of_formats_finds_nothing_and_notices_a_silent_loss(
    done: dict[str, tuple[int, str]], formats: str
) -> None:
    status, output = done[formats]
    assert status == 0, output
    assert output.startswith("500 rounds, ")
    assert output.endswith(" in files that were converted), 0 tracebacks, 0 silent losses\n")
    status, output = done[f"lossy {formats}"]
    assert status == 1
    assert "is lost; said:" in output


@pytest.mark.parametrize("check", ["checksums", "graph", "weights", "links", "text", "bytes"])
def test_a_fuzzer_notices_when_a_check_is_switched_off(check: str) -> None:
    command = [sys.executable, "scripts/checks/switch_off.py", "--checks", check, "--inputs", "5000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{check}: noticed at input " in done.stdout
