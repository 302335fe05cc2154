"""Where the seeds of `--seeds` are trained: each in a directory of its own, beside the model's."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tagger.errors import ModelError
from tagger.runtime.checkpoints import Checkpoints
from tagger.runtime.model_files import MANIFEST, MODEL_FILES
from tagger.runtime.publish import check_replaceable


def directory_of(model_dir: Path, seed: int) -> Path:
    """Of a seed's own model; beside the model, because paths in a model are relative to it."""
    target = model_dir.resolve()
    return target.with_name(f".{target.name}.seed-{seed}")


def remove(directory: Path) -> None:
    """Remove a seed's model and its states, if it is a directory of nothing else; a link leads to somebody else's."""
    if directory.is_symlink():
        return
    with contextlib.suppress(OSError, ModelError):
        check_replaceable(directory, MODEL_FILES, marker=MANIFEST)
        for name in sorted(MODEL_FILES, key=MANIFEST.__eq__):  # last what tells that it is a model
            (directory / name).unlink(missing_ok=True)
        directory.rmdir()
    with contextlib.suppress(ModelError):
        Checkpoints(directory).remove()
