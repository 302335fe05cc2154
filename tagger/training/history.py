"""The results of a training's epochs in memory, in a state and in `history.csv`, and the outcome of all of them."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.evaluation.errors import Confusion
from tagger.evaluation.quantization import QuantizationLoss
from tagger.evaluation.scores import Evaluation
from tagger.filesystem import relative_path
from tagger.model_dir.manifest import Calibration

if TYPE_CHECKING:
    from tagger.network.trainer import EpochLoss  # imports TensorFlow

NO_MODEL = "stopped before the first epoch was done: no model was written"


@dataclasses.dataclass(frozen=True)
class EpochResult:
    """The result of one epoch.

    Attributes:
        epoch: its number, from 1.
        train: the loss and the speed on the training data.
        dev: the scores on the dev set, or None without one.
        best: whether it is the best epoch so far.
        dev_loss: the mean cross-entropy per token on the dev set; None without a dev set whose tags the network knows,
            and in states that are older than this number.
        confusions: the commonest confusions on the dev set; empty without spans, and in older states.
    """

    epoch: int
    train: EpochLoss
    dev: Evaluation | None
    best: bool
    dev_loss: float | None = None
    confusions: tuple[Confusion, ...] = ()

    @property
    def dev_score(self) -> float | None:
        """The score that decides which epoch is best.

        Without a dev set it is None, and the last epoch counts as the best.
        """
        return None if self.dev is None else self.dev.score

    def beats(self, other: EpochResult | None) -> bool:
        """Return whether this epoch replaces an earlier one as the best.

        It does if it has a better score, or if the two cannot be compared. If the scores are equal, such as in the
        first epochs of a network that does not find any span yet, the lower loss on dev decides, then the later epoch.
        """
        if other is None or self.dev is None or other.dev is None:
            return True
        ours, theirs = self.dev.score, other.dev.score
        if ours != theirs:
            return ours > theirs
        return self.dev_loss is None or other.dev_loss is None or self.dev_loss <= other.dev_loss

    def to_json(self) -> dict[str, Any]:
        """Return the values that a state stores; floats keep all their digits."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EpochResult:
        """Build a result from the values of `to_json`."""
        from tagger.network.trainer import EpochLoss  # imports TensorFlow

        dev = None if values["dev"] is None else Evaluation.from_values(values["dev"])
        confusions = tuple(Confusion(**found) for found in values.get("confusions", ()))
        train = EpochLoss(**values["train"])
        return cls(values["epoch"], train, dev, values["best"], values.get("dev_loss"), confusions)


def last_progress(history: Sequence[EpochResult]) -> int:
    """Return the last epoch (from 1) that made progress, from which patience counts.

    Progress is a better score on dev. As long as the score is 0, as it may be for many epochs if entities are rare, a
    lower loss on the training data or on dev is progress too.
    """
    at, best, losses = 0, -1.0, (math.inf, math.inf)
    for result in history:
        score = result.dev_score
        found = result.train.loss, math.inf if result.dev_loss is None else result.dev_loss
        falls = any(now < before for now, before in zip(found, losses, strict=True))
        if score is None or score > best or (score == best == 0.0 and falls):
            at = result.epoch
        best = max(best, score or 0.0)
        losses = min(found[0], losses[0]), min(found[1], losses[1])
    return at


def patience_left(history: Sequence[EpochResult], patience: int | None) -> int | None:
    """Return the epochs without progress after which training ends; None if it has no early end."""
    return None if patience is None else max(0, patience - (len(history) - last_progress(history)))


def dev_scores(result: EpochResult) -> dict[str, float]:
    """Return the scores that a manifest stores about the epoch whose weights are saved."""
    if result.dev is None:
        return {"epoch": result.epoch}
    overall = result.dev.overall
    spans = {"precision": overall.precision, "recall": overall.recall, "f1": overall.f1} if overall else {}
    return {"epoch": result.epoch, "accuracy": result.dev.accuracy, **spans}


def format_history(history: Sequence[EpochResult]) -> str:
    """Return the content of `history.csv`.

    The third column is `dev_f1`, or `dev_accuracy` where accuracy decides. It and the last one are empty without a dev
    set.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    score = "dev_f1" if all(result.dev is None or result.dev.has_spans for result in history) else "dev_accuracy"
    writer.writerow(["epoch", "train_loss", score, "seconds", "tokens_per_second", "dev_loss"])
    for result in history:
        speed = f"{result.train.seconds:.2f}", f"{result.train.tokens_per_second:.0f}"
        dev_score = "" if result.dev_score is None else f"{result.dev_score:.6f}"
        dev_loss = "" if result.dev_loss is None else f"{result.dev_loss:.6f}"
        writer.writerow([result.epoch, f"{result.train.loss:.6f}", dev_score, *speed, dev_loss])
    return out.getvalue()


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a training.

    Attributes:
        model_dir: the path of the model; None on a worker that is not the chief, because it writes nothing.
        history: the finished epochs.
        best: the best of them, or None if none was finished.
        stopped: whether the training was stopped before its end.
        still_rising: whether the last epochs were still getting better when the epochs ran out.
        not_replaced: whether the model in the directory is still the one from before the training.
        previous: the place of the model that was replaced; None if there was none, or it was not kept.
        calibration: what was fitted on dev, or None.
        quantization_loss: the scores on dev without and with 8-bit weights; None if there are none, or no dev set.
        is_distilled: whether the model learned from teachers.
    """

    model_dir: Path | None
    history: list[EpochResult]
    best: EpochResult | None
    stopped: bool
    still_rising: bool = False
    not_replaced: bool = False
    previous: Path | None = None
    calibration: Calibration | None = None
    quantization_loss: QuantizationLoss | None = None
    is_distilled: bool = False

    def summary(self) -> list[str]:
        """Return the lines to show at the end."""
        if self.best is None:
            return [NO_MODEL]
        if self.model_dir is None:
            return ["the model is written by the chief worker"]
        score = self.best.dev_score
        why = "the last" if score is None else f"dev {100 * score:.2f}"
        if self.not_replaced:
            return [
                f"the model in {relative_path(self.model_dir)} is still the one from before this training, whose best"
                f" epoch so far is {self.best.epoch} ({why})"
            ]
        lines = [f"model of epoch {self.best.epoch} ({why}) is in {relative_path(self.model_dir)}"]
        if self.previous is not None:
            lines.append(f"the model that it replaced is in {relative_path(self.previous)}")
        if self.quantization_loss is not None:
            lines.append(f"8-bit weights: on dev, {self.quantization_loss}")
        if self.calibration is not None:
            found = self.calibration
            lines.append(
                f"probabilities of spans: calibration error on dev {100 * found.error_before:.1f} before and"
                f" {100 * found.error_after:.1f} after the fit (percentage points; temperature {found.temperature:.2f})"
            )
        if self.still_rising:
            more = f"continue with --epochs-more {max(1, len(self.history) // 2)}, or raise training.epochs"
            if self.is_distilled:
                more = "raise training.epochs, and continue with --resume"
            lines.append(f"dev was still getting better in the last epochs; {more}")
        return lines
