"""The log for TensorBoard: curves by epoch, one run for each training."""

from __future__ import annotations

import re
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary import Writer

from tagger.errors import TaggerError
from tagger.evaluation.scores import Evaluation
from tagger.filesystem import relative_path
from tagger.training.facts import Beginning
from tagger.training.history import EpochResult, Outcome
from tagger.training.listener import Log
from tagger.training.metrics import epoch_metrics, test_metrics
from tagger.wording import as_argument

_EVERY_EPOCH = "train_loss"  # the curve that has a point for each epoch


class TensorBoardLog(Log):
    """A log for TensorBoard.

    Args:
        directory: the folder of all runs. The first training with seed 1 is the run `seed-1`, the next one `seed-1.2`.
        continues: whether the training continues another one, so that the last run of its seed is continued too.
    """

    name = "training.log: tensorboard"

    def __init__(self, directory: Path, *, continues: bool) -> None:
        self._directory, self._continues = directory, continues
        self._writer: Writer | None = None
        self._logged: set[int] = set()

    def begin(self, beginning: Beginning) -> None:
        last = self._last_run(beginning.seed)
        try:
            if beginning.history and self._continues and last:
                run = self._run(beginning.seed, last)
                self._logged = _epochs_in(run)
            else:
                run = self._run(beginning.seed, last + 1)
                self._logged = set()
            run.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(str(run))
        except OSError as error:
            raise TaggerError(
                f"training.log: {self._directory} cannot be written: {error.strerror}; free some space, or choose"
                " another place for the model"
            ) from None
        for result in beginning.history:
            self.end_epoch(result, None)

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        if self._writer is None or result.epoch in self._logged:
            return
        self._logged.add(result.epoch)
        for name, value in epoch_metrics(result).items():
            self._writer.add_scalar(name, value, result.epoch)
        self._writer.flush()

    def end(self, outcome: Outcome, test: Evaluation | None) -> None:
        if self._writer is None:
            return
        if test is not None and outcome.best is not None:
            for name, value in test_metrics(test).items():
                self._writer.add_scalar(name, value, outcome.best.epoch)
        self.close()

    def places(self) -> list[str]:
        return [f"to see the curves: tensorboard --logdir {as_argument(relative_path(self._directory))}"]

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _run(self, seed: int, number: int) -> Path:
        return self._directory / (f"seed-{seed}" if number == 1 else f"seed-{seed}.{number}")

    def _last_run(self, seed: int) -> int:
        """Return the number of the last run with a seed, or 0 if there is none."""
        names = [path.name for path in self._directory.iterdir()] if self._directory.is_dir() else []
        found = [re.fullmatch(rf"seed-{seed}(?:\.(\d+))?", name) for name in names]
        return max((int(match[1] or 1) for match in found if match), default=0)


def _epochs_in(run: Path) -> set[int]:
    """Return the epochs that a run has."""
    events = EventAccumulator(str(run), size_guidance={"tensors": 0})
    events.Reload()
    return {event.step for event in events.Tensors(_EVERY_EPOCH)} if _EVERY_EPOCH in events.Tags()["tensors"] else set()
