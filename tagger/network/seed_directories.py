"""Where the seeds of `--seeds` are trained: each in a directory of its own, beside the model's."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from tagger.runtime.checkpoints import Checkpoints
from tagger.runtime.model_files import MODEL_FILES


def directory_of(model_dir: Path, seed: int) -> Path:
    """Of a seed's own model; beside the model, because paths in a model are relative to it."""
    target = model_dir.resolve()
    return target.with_name(f".{target.name}.seed-{seed}")


def is_anything_learned(model_dir: Path) -> bool:
    """Whether there is a state of any seed."""
    return any(Checkpoints(directory).has_states() for directory in _directories(model_dir))


def remove_all(model_dir: Path) -> None:
    """Remove the models and states of all seeds."""
    for directory in set(_directories(model_dir)):
        remove(directory)


def remove(directory: Path) -> None:
    """Remove a seed's model and its states, and nothing else that may be there."""
    for name in MODEL_FILES:
        with contextlib.suppress(OSError):
            (directory / name).unlink()
    with contextlib.suppress(OSError):
        directory.rmdir()
    Checkpoints(directory).remove()


def _directories(model_dir: Path) -> Iterator[Path]:
    """Of seeds that have a model or states there; one that has both comes twice."""
    target = model_dir.resolve()
    own = re.compile(rf"\.{re.escape(target.name)}\.seed-[0-9]+(?P<states>\.training)?")
    for path in target.parent.iterdir() if target.parent.exists() else ():
        if match := own.fullmatch(path.name):
            yield path.with_suffix("") if match["states"] else path
