"""Trainings whose parent was killed: they stop after their step, and until then nobody may touch their files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tagger.model_dir.checkpoints import Checkpoints, InUseError

_PATIENCE = 120  # seconds until such a training must have stopped


def wait_for_orphan(
    model_dir: Path, should_stop: Callable[[], bool] = lambda: False, *, patience: float = _PATIENCE
) -> None:
    """Wait until no training writes a model.

    Raises:
        InUseError: one still does after `patience` seconds.
        ModelError: the states beside the model cannot be written, or something else is there.
    """
    until = time.monotonic() + patience
    while not should_stop():
        try:
            with Checkpoints(model_dir).lock():
                return
        except InUseError:
            if time.monotonic() > until:
                raise
            time.sleep(min(0.5, patience))
