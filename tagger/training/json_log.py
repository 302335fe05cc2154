"""The log of `--log-json`: one JSON object a line, at the start, after each epoch and at the end."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from tagger.errors import TaggerError
from tagger.evaluation.scores import Evaluation
from tagger.filesystem import relative_path
from tagger.training.facts import Beginning
from tagger.training.history import EpochResult, Outcome, patience_left
from tagger.training.listener import Log
from tagger.training.seeds_outcome import SeedsOutcome

_START, _EPOCH, _END, _SEEDS = "start", "epoch", "end", "seeds"
_EVENTS = (_START, _EPOCH, _END, _SEEDS)


class JsonLog(Log):
    """A log of JSON lines.

    Args:
        target: the file, or `-` for standard output.
        model_dir: the directory of the model.
        continues: whether the training continues another one, so that an existing file is continued too. Otherwise
            the file is replaced when the first step is about to be taken.
        write_out: writes to standard output.

    Raises:
        TaggerError: the file cannot be a log of this training.
    """

    name = "--log-json"

    def __init__(
        self, target: str, model_dir: Path, *, continues: bool, write_out: Callable[[bytes], None] | None = None
    ) -> None:
        self._target, self._model_dir, self._continues = target, model_dir, continues
        self._write_out = write_out if target == "-" else None
        self._file: FileIO | None = None
        self._beginning: Beginning | None = None
        self._since = time.monotonic()
        self._logged: dict[int, set[int]] = {}  # the epochs of each seed that the log has
        self._n_whole = 0  # bytes of the existing file that are kept
        if target != "-":
            self._examine(Path(target))

    def begin(self, beginning: Beginning) -> None:
        self._beginning, self._since = beginning, time.monotonic()
        if self._write_out is None and self._file is None:
            self._file = self._open()
        if not beginning.history:
            self._logged[beginning.seed] = set()
        try:
            self._write_start(beginning)
        except OSError as error:
            raise self._unusable(error) from None
        for n, result in enumerate(beginning.history, start=1):  # the interruption may have come before the log
            self.end_epoch(result, patience_left(beginning.history[:n], beginning.patience))

    def _write_start(self, beginning: Beginning) -> None:
        data = beginning.data
        sets = {"train": data.train, "dev": data.dev}
        self._write(
            _START,
            epochs=beginning.epochs,
            epochs_done=len(beginning.history),
            patience=beginning.patience,
            device=beginning.device,
            settings=beginning.settings,
            data={
                name: found and {**dataclasses.asdict(found), "entities": found.entities}
                for name, found in sets.items()
            }
            | {"unseen": data.unseen},
            layers=[dataclasses.asdict(layer) for layer in beginning.layers],
        )

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        logged = self._logged.setdefault(self._begun.seed, set())
        if result.epoch in logged:
            return
        logged.add(result.epoch)
        self._write(
            _EPOCH,
            epoch=result.epoch,
            train_loss=result.train.loss,
            dev_loss=result.dev_loss,
            dev=result.dev and result.dev.to_json(),
            score=result.dev_score,
            best=result.best,
            patience_left=patience_left,
            seconds=round(result.train.seconds, 3),
            tokens_per_second=round(result.train.tokens_per_second),
        )

    def end(self, outcome: Outcome, test: Evaluation | None) -> None:
        if self._beginning is None:  # it was finished before
            return
        best = outcome.best
        # The models of `--seeds` are in other places until the end.
        is_there = outcome.model_dir == self._model_dir and best is not None and not outcome.not_replaced
        self._write(
            _END,
            stopped=outcome.stopped,
            best_epoch=best and best.epoch,
            dev=best and best.dev and best.dev.to_json(),
            test=test and test.to_json(),
            confusions=[dataclasses.asdict(found) for found in (best.confusions if best else ())],
            seconds=round(time.monotonic() - self._since, 3),
            model=relative_path(self._model_dir) if is_there else None,
        )
        self._beginning = None

    def end_seeds(self, outcome: SeedsOutcome) -> None:
        if self._write_out is None and self._file is None:
            return
        runs = [{"seed": run.seed, "best_epoch": run.epoch, "dev": run.dev, "test": run.test} for run in outcome.runs]
        best = outcome.best
        self._write_object(
            {
                "event": _SEEDS,
                "stopped": outcome.stopped,
                "runs": runs,
                "best_seed": best and best.seed,
                "model": relative_path(outcome.model_dir) if best and not outcome.not_replaced else None,
            }
        )

    def places(self) -> list[str]:
        return [] if self._file is None else [f"the log is in {self._target}"]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def _begun(self) -> Beginning:
        if self._beginning is None:
            raise RuntimeError("an epoch ended before the training began")
        return self._beginning

    def _write(self, event: str, **values: Any) -> None:
        self._write_object({"event": event, "seed": self._begun.seed, **values})

    def _write_object(self, values: Mapping[str, Any]) -> None:
        line = json.dumps(values).encode() + b"\n"
        if self._write_out is not None:
            self._write_out(line)
        elif self._file is not None:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]

    def _examine(self, path: Path) -> None:
        """Read what an existing file has of this training; refuse a file that is something else than a log."""
        if Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._model_dir)):
            raise TaggerError(
                f"--log-json: found {path} in the model directory, which holds nothing but the model, expected another"
                " place; name a file beside it"
            )
        try:
            if not path.parent.is_dir() or path.is_dir():
                raise FileNotFoundError(0, "it is a directory" if path.is_dir() else "its directory does not exist")
            content = path.read_bytes() if path.is_file() else b""
            _try_to_write(path)
        except OSError as error:
            raise self._unusable(error) from None
        whole, _, rest = content.rpartition(b"\n")  # a killed training may leave a part of a line
        lines = whole.splitlines()
        for number, line in enumerate(lines, start=1):
            found = _event_of(line)
            if found is None:
                raise self._not_a_log(number)
            epochs = self._logged.setdefault(found.get("seed", 0), set())
            if found["event"] == _START and not found["epochs_done"]:
                epochs.clear()
            if found["event"] == _EPOCH:
                epochs.add(found["epoch"])
        if rest and not lines and not rest.startswith(b'{"event": "'):
            raise self._not_a_log(1)
        self._n_whole = len(content) - len(rest) if self._continues else 0
        if not self._continues:
            self._logged.clear()

    def _open(self) -> FileIO:
        try:
            # Unbuffered, because closing a file would try once more to write what could not be written.
            file = Path(self._target).open("ab", buffering=0)  # noqa: SIM115 (closed in `close`)
            if Path(self._target).is_file():
                file.truncate(self._n_whole)
        except OSError as error:
            raise self._unusable(error) from None
        return file

    def _unusable(self, error: OSError) -> TaggerError:
        return TaggerError(
            f"--log-json: {self._target} cannot be written: {error.strerror}; choose another place for the log"
        )

    def _not_a_log(self, line: int) -> TaggerError:
        return TaggerError(
            f"--log-json: {self._target}:{line}: found a line that is not part of a log, expected a new file or a log"
            " of tagger train; choose another name"
        )


def _try_to_write(path: Path) -> None:
    """Raise OSError if a file cannot be written; it is left as it is, and a new one is removed again.

    A pipe or a device is not touched, because opening it might wait or do something.
    """
    if path.is_file():
        path.open("r+b").close()
    elif not path.exists():
        path.open("ab").close()
        Path(os.path.realpath(path)).unlink()


def _event_of(line: bytes) -> dict[str, Any] | None:
    """Return the object in a line of a log, or None if it is something else."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("event") not in _EVENTS or type(found.get("seed", 0)) is not int:
        return None
    wanted = {_START: "epochs_done", _EPOCH: "epoch"}.get(found["event"])
    return found if wanted is None or isinstance(found.get(wanted), int) else None
