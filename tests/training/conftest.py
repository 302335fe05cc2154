"""The fixture that the training tests share: the config of a training that takes a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tagger.config.keys import Config
from tagger.config.loading import load_config


@pytest.fixture
def tiny_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Return a loader of a config, with `--set` settings, that trains on three tokens in a moment.

    The network has the fewest parts, because a training takes as long as its graph takes to be built. The working
    directory is `tmp_path`.
    """
    (tmp_path / "train").write_text("a B-X\nb O\n\nc O\n")
    (tmp_path / "c.yaml").write_text(
        "data: {train: train, dev: train}\n"
        "model: {units: 2, embedding_dim: 2, layers: 1, characters: none, casing: false, decoder: constrained}\n"
        "training: {epochs: 1, optimizer: adam, ema: null, clip_norm: null}\n"
    )
    monkeypatch.chdir(tmp_path)
    return lambda *settings: load_config("c.yaml", settings)
