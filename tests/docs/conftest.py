"""What the tests of the documentation share: a copy of a clone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from documented import blocks, page
from helpers import ROOT


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the files of a clone that the commands need, and write the config file from the tutorial."""
    clone = tmp_path_factory.mktemp("work") / "tagger"
    for name in ("configs", "data", "docs", "scripts"):
        shutil.copytree(ROOT / name, clone / name)
    (config,) = blocks(page("tutorial"), "yaml")
    assert config.startswith("# my.yaml\n")
    (clone / "my.yaml").write_text(config, "utf-8")
    return clone


@pytest.fixture
def in_clone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(clone)
    monkeypatch.delenv("TAGGER_MODEL", raising=False)
    yield clone


@pytest.fixture
def beside_corpora(in_clone: Path, corpora: Path) -> Path:
    """A clone beside the benchmark corpora, where the scripts that measure scores look for them."""
    shared = in_clone.parent / "shared"
    shared.mkdir(exist_ok=True)
    if not (shared / "data").exists():
        (shared / "data").symlink_to(corpora)
    return in_clone
