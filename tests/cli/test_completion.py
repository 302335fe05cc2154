"""Completion of config keys, in a real bash and for the other shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.config.loading import config_keys
from tagger.config.meanings import MEANINGS, PRETRAINING_KEYS
from tagger.config.pretraining import PretrainingConfig

MAIN = "from tagger.cli.commands import main; main()"


def completed(line: str, shell: str = "bash") -> list[str]:
    """Return the completions of the last word of a command line, each as its value and, in fish, its meaning."""
    words = line.split(" ")
    cword = words[-1] if shell == "fish" else str(len(words) - 1)
    variables = {"COMP_WORDS": line, "COMP_CWORD": cword, "_TAGGER_COMPLETE": f"{shell}_complete"}
    done = subprocess.run(
        [sys.executable, "-c", MAIN], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    return [found.removeprefix("plain,") for found in done.stdout.splitlines() if found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tagger train --set model.unit", ["model.units="]),
        ("tagger train --set model.character_", ["model.character_dim=", "model.character_units="]),
        ("tagger train c.yaml --set=training.ep", ["training.epochs="]),
        ("tagger config show --set output.quantize", ["output.quantize=", "output.quantize_loss="]),
        ("tagger train --set epochs", ["training.epochs="]),
        ("tagger train --set dropout", ["model.dropout="]),
        ("tagger train --set scheme", []),  # data.scheme or model.scheme
        ("tagger train --set nothing", []),
        ("tagger pretrain --set training.s", ["training.streams=", "training.steps=", "training.samples=", "training.seed="]),
        ("tagger train --set ", [f"{key}=" for key in config_keys()]),
        ("tagger config s", ["show"]),
    ],
)  # fmt: skip
def test_keys_are_completed(line: str, expected: list[str]) -> None:
    assert completed(line) == expected


def test_fish_shows_the_meaning() -> None:
    (found,) = [line for line in completed("tagger train --set model.layers", "fish") if "layers" in line]
    assert found == f"model.layers=\t{MEANINGS['model']['layers']}" or MEANINGS["model"]["layers"] in found


def test_the_keys_of_pretraining_are_its_settings() -> None:
    named = [f"{section}.{key}" for section, keys in PRETRAINING_KEYS.items() for key in keys]
    assert named == list(PretrainingConfig().settings())


def test_completion_imports_nothing_heavy() -> None:
    code = (
        "import sys; from tagger.cli.commands import cli\n"
        "try: cli.main([], prog_name='tagger')\n"
        "except SystemExit: pass\n"
        "print(sorted({'tensorflow', 'numpy', 'pydantic', 'yaml', 'rich'} & set(sys.modules)))"
    )
    variables = {"COMP_WORDS": "tagger train --set model.unit", "COMP_CWORD": "3", "_TAGGER_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["plain,model.units=", "[]"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_adds_a_space_after_a_command_and_none_after_a_key(tmp_path: Path) -> None:
    program = tmp_path / "tagger"
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{MAIN}'\n")
    program.chmod(0o755)
    script = """
    compopt() { echo compopt "$@"; }
    source /dev/stdin <<< "$(_TAGGER_COMPLETE=bash_source tagger)"
    for words in "tagger train --set model.unit" "tagger predi"; do
        read -ra COMP_WORDS <<< "$words"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()
        _tagger_completion tagger
        echo "${COMPREPLY[@]}"
    done
    """
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["compopt -o nospace", "model.units=", "predict"]
