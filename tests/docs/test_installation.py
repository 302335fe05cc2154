"""The documented ways to install tagger work."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from documented import DOCUMENTS, commands
from helpers import ROOT


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("make ")])
def test_documented_make_target_exists_and_is_run_by_ci(command: str) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)
    run_by_ci = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert command in run_by_ci or (command == "make quick" and "make test" in run_by_ci)  # `make test` includes it


def test_documented_installation_matches_the_makefile() -> None:
    installing = [command for command in commands() if "venv" in command or "pip" in command]
    assert installing == [
        "python3 -m venv .venv",
        ".venv/bin/python -m pip install .",
        "source .venv/bin/activate",
        "python3 -m venv .venv-predict",
        ".venv-predict/bin/python -m pip install --requirement requirements/predict.txt",
        ".venv-predict/bin/python -m pip install --no-deps .",
    ]
    recipe = subprocess.run(
        ["make", "--dry-run", "--always-make", "demo"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "python3 -m venv .venv\n" in recipe
    assert ".venv/bin/python -m pip install --quiet --editable .\n" in recipe
    recipe = subprocess.run(
        ["make", "--dry-run", "--always-make", "predict-only"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "python3 -m venv .venv-predict\n" in recipe
    assert ".venv-predict/bin/python -m pip install --quiet --requirement requirements/predict.txt\n" in recipe
    assert ".venv-predict/bin/python -m pip install --quiet --no-deps --editable .\n" in recipe
    assert "make predict-only\n" in (ROOT / ".ci/run").read_text("utf-8")


def documented_installations() -> list[str]:
    """Return the arguments of `pip install` in code blocks, in running text and in comments."""
    texts = [
        path.read_text("utf-8") for path in [*DOCUMENTS, *ROOT.glob("configs/**/*.yaml"), *ROOT.glob("scripts/**/*.py")]
    ]
    return sorted({found for text in texts for found in re.findall(r"pip install(?: --no-deps)? '?([^\s'`\"]+)", text)})


def test_every_documented_installation_is_from_a_clone() -> None:
    assert set(documented_installations()) == {
        ".",
        ".[bench]",
        ".[clusters]",
        ".[glove]",
        ".[gpu]",
        ".[mlflow]",
        ".[parquet]",
        ".[ray]",
        ".[report]",
        ".[serve,text]",
        ".[sklearn]",
        ".[spacy]",
        ".[sweep]",
        ".[tensorboard]",
        ".[text]",
        ".[vectors]",
        "--requirement",
    }


def test_nothing_tells_users_to_install_the_package_from_an_index() -> None:
    name = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    for path in [
        *DOCUMENTS,
        *ROOT.glob("configs/**/*.yaml"),
        *ROOT.glob("scripts/**/*.py"),
        *ROOT.glob("tagger/**/*.py"),
    ]:
        assert not re.search(rf"install\b[^\n]*{name}", path.read_text("utf-8")), path


@pytest.mark.index
def test_documented_installations_can_be_resolved() -> None:
    # All at once, because what satisfies all of them satisfies each of them, and pip takes seconds to begin.
    extras = [what[2:-1] for what in documented_installations() if what.startswith(".[")]
    assert len(extras) > 10
    install = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", f".[{','.join(extras)}]"]
    done = subprocess.run(install, cwd=ROOT, capture_output=True, text=True, check=False)
    if "Temporary failure in name resolution" in done.stderr or "Network is unreachable" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr


def test_the_requirements_of_prediction_are_requirements_of_the_package() -> None:
    lines = (ROOT / "requirements/predict.txt").read_text("utf-8").splitlines()
    required = {line for line in lines if not line.startswith("#")}
    assert "onnxruntime>=1.21" in required
    assert required <= set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"])
