"""The results of a training's epochs in memory, in a state and in `history.csv`, and the listener that shows them."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tagger.evaluation.scores import Evaluation, Score
from tagger.network.trainer import EpochLoss

NO_MODEL = "stopped before the first epoch was done: no model was written"


@dataclasses.dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    Attributes:
        epoch: its number, from 1.
        train: the loss and the speed on the training data.
        dev: the scores on the dev set, or None without one.
        best: whether it is the best epoch so far.
    """

    epoch: int
    train: EpochLoss
    dev: Evaluation | None
    best: bool

    @property
    def dev_score(self) -> float | None:
        """The score that decides which epoch is best.

        Without a dev set it is None, and the last epoch counts as the best.
        """
        return None if self.dev is None else score_of(self.dev)

    def beats(self, other: EpochResult | None) -> bool:
        """Return whether this epoch replaces an earlier one as the best.

        It does if it has a better score, or if the two cannot be compared.
        """
        if other is None or self.dev is None or other.dev is None:
            return True
        # Accuracy breaks ties, such as between the first epochs of a network that does not find any span yet.
        return (score_of(self.dev), self.dev.accuracy) > (score_of(other.dev), other.dev.accuracy)

    def to_json(self) -> dict[str, Any]:
        """Return the values that a state stores; floats keep all their digits."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EpochResult:
        """Build a result from the values of `to_json`."""
        dev = values["dev"]
        if dev is not None:
            overall, strict = (Score(**dev[name]) if dev[name] else None for name in ("overall", "strict"))
            types = {name: Score(**score) for name, score in dev["types"].items()}
            dev = Evaluation(**{**dev, "overall": overall, "strict": strict, "types": types})
        return cls(values["epoch"], EpochLoss(**values["train"]), dev, values["best"])


def score_of(dev: Evaluation) -> float:
    """Return F1, or accuracy if F1 is meaningless: for plain tags, and for a dev set without spans."""
    return dev.overall.f1 if dev.overall and dev.has_spans else dev.accuracy


def dev_scores(result: EpochResult) -> dict[str, float]:
    """Return the scores that a manifest stores about the epoch whose weights are saved."""
    if result.dev is None:
        return {"epoch": result.epoch}
    overall = result.dev.overall
    spans = {"precision": overall.precision, "recall": overall.recall, "f1": overall.f1} if overall else {}
    return {"epoch": result.epoch, "accuracy": result.dev.accuracy, **spans}


def format_history(history: Sequence[EpochResult]) -> str:
    """Return the content of `history.csv`.

    The third column is `dev_f1`, or `dev_accuracy` where accuracy decides; it is empty without a dev set.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    score = "dev_f1" if all(result.dev is None or result.dev.has_spans for result in history) else "dev_accuracy"
    writer.writerow(["epoch", "train_loss", score, "seconds", "tokens_per_second"])
    for result in history:
        speed = f"{result.train.seconds:.2f}", f"{result.train.tokens_per_second:.0f}"
        dev_score = "" if result.dev_score is None else f"{result.dev_score:.6f}"
        writer.writerow([result.epoch, f"{result.train.loss:.6f}", dev_score, *speed])
    return out.getvalue()


class Listener(Protocol):
    """An object that is told what happens in a training, and shows or logs it."""

    def note(self, text: str) -> None:
        """Report something that was found or decided."""

    def warn(self, text: str) -> None:
        """Report something that is odd but not an error."""

    def start_epoch(self, epoch: int, epochs: int, n_tokens: int) -> None:
        """Report that an epoch (from 1) starts or continues, with `n_tokens` still to come."""

    def step(self, n_tokens: int) -> None:
        """Report that a step over `n_tokens` is done."""

    def end_epoch(self, result: EpochResult) -> None:
        """Report that an epoch is done and scored."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a training.

    Attributes:
        model_dir: the path of the model; None on a worker that is not the chief, because it writes nothing.
        history: the finished epochs.
        best: the best of them, or None if none was finished.
        stopped: whether the training was stopped before its end.
    """

    model_dir: Path | None
    history: list[EpochResult]
    best: EpochResult | None
    stopped: bool

    def summary(self) -> list[str]:
        """Return the lines to show at the end."""
        if self.best is None:
            return [NO_MODEL]
        if self.model_dir is None:
            return ["the model is written by the chief worker"]
        score = self.best.dev_score
        why = "the last" if score is None else f"dev {100 * score:.2f}"
        return [f"model of epoch {self.best.epoch} ({why}) is in {os.path.relpath(self.model_dir)}"]
