"""A copy of a clone, in which the tests of the documentation run commands."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import blocks, page
from helpers import ROOT


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the files of a clone that the commands need, and write the config file from the tutorial.

    The sample is a fifth as long as that of a clone, which is enough to show that a command works.
    """
    clone = tmp_path_factory.mktemp("work") / "tagger"
    for name in ("configs", "data", "docs", "scripts"):
        shutil.copytree(ROOT / name, clone / name)
    for path in (clone / "data/sample").glob("*.conll"):
        _keep_first_sentences(path, 300 if path.stem == "train" else 60)
    (config,) = blocks(page("tutorial"), "yaml")
    assert config.startswith("# my.yaml\n")
    (clone / "my.yaml").write_text(config, "utf-8")
    return clone


@pytest.fixture
def in_clone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(clone)
    monkeypatch.delenv("TAGGER_MODEL", raising=False)
    yield clone


@pytest.fixture(scope="module")
def corpora_beside(clone: Path, corpora: Path) -> None:
    """Put the corpora where the scripts expect them, with the beginning of CoNLL-2000 instead of all of it."""
    shared = clone.parent / "shared/data"
    shared.mkdir(parents=True)
    for path in corpora.iterdir():
        if path.name != "conll2000":
            (shared / path.name).symlink_to(path)
    (shared / "conll2000").mkdir()
    for name in ("train.txt", "test.txt"):
        shutil.copyfile(corpora / "conll2000" / name, shared / "conll2000" / name)
        _keep_first_sentences(shared / "conll2000" / name, 1000)


def _keep_first_sentences(path: Path, n: int) -> None:
    path.write_text("\n\n".join(path.read_text("utf-8").split("\n\n")[:n]) + "\n\n", "utf-8")
