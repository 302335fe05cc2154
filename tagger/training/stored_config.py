"""The config as a model directory stores it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from tagger.config.keys import Config
from tagger.filesystem import relative_path
from tagger.model_dir.manifest import Manifest
from tagger.training.schedule import Schedule

T = TypeVar("T")


def stored_config(
    config: Config, schedule: Schedule, manifest: Manifest, directory: Path, given: Config | None = None
) -> Config:
    """Return the config as the model directory stores it: with paths relative to it and the numbers that were used.

    What depends on other keys stays open if it was, since a change of these needs another choice: how tokens are looked
    up, how tags are chosen, and whether sentences are first read as text.

    Args:
        given: the config of the user, if the values of an interrupted training have been added to it.
    """
    given = given or config
    base = os.path.realpath(directory)  # a reader of the file follows links too
    files = {key: relative_to(base, getattr(config.data, key)) for key in ("train", "dev", "test")}
    layout = manifest.layout
    found = {"columns": dict(layout.columns), "tag_key": layout.tag_key, "ragged": layout.ragged}
    numbers = {"epochs": schedule.epochs, "batch_size": schedule.batch_size, "patience": schedule.patience}
    numbers["pretraining_epochs"] = given.training.pretraining_epochs
    decoder = manifest.network.decoder
    is_usual = not given.model.sets("decoder") and decoder == config.usual_decoder(manifest.scheme)
    changed = {
        "data": config.data.model_copy(update={**files, **found, "delimiter": layout.delimiter}),
        "embeddings": config.embeddings.model_copy(update={"path": relative_to(base, config.embeddings.path)}),
        "features": config.features.model_copy(
            update={name: relative_to(base, getattr(config.features, name)) for name in ("lists", "clusters")}
        ),
        "model": config.model.model_copy(
            update={
                "embedding_dim": manifest.network.embedding_dim,
                "decoder": None if is_usual else decoder,
                "pretrained": relative_to(base, config.model.pretrained),
            }
        ),
        "training": config.training.model_copy(update=numbers),
        "output": config.output.model_copy(update={"model_dir": "."}),
    }
    return config.model_copy(update=changed)


def relative_to(directory: str, paths: T) -> T:
    """Return one path, or several, relative to a directory; anything else stays as it is."""
    if isinstance(paths, str):
        return relative_path(paths, directory)  # type: ignore[return-value]
    if isinstance(paths, dict):
        return {name: relative_path(path, directory) for name, path in paths.items()}  # type: ignore[return-value]
    return [relative_path(path, directory) for path in paths] if isinstance(paths, list) else paths  # type: ignore[return-value]
