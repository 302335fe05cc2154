"""The epochs of a training: what is kept of each, in memory, in a state and in `history.csv`."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import Any

from tagger.evaluation.scores import Evaluation, Score
from tagger.network.epochs import EpochLoss


@dataclasses.dataclass(frozen=True)
class EpochResult:
    """One epoch (from 1): how training went, and how the network scores on the dev set, if there is one."""

    epoch: int
    train: EpochLoss
    dev: Evaluation | None
    best: bool

    @property
    def dev_score(self) -> float | None:
        """What decides which epoch is best; without a dev set the last one is."""
        return None if self.dev is None else score_of(self.dev)

    def beats(self, other: EpochResult | None) -> bool:
        """Whether it is better than an earlier epoch, or there is nothing to tell by."""
        if other is None or self.dev is None or other.dev is None:
            return True
        # Accuracy breaks ties, such as between the first epochs of a network that finds no span yet.
        return (score_of(self.dev), self.dev.accuracy) > (score_of(other.dev), other.dev.accuracy)

    def to_json(self) -> dict[str, Any]:
        """For a state; floats keep all their digits."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> EpochResult:
        """The inverse of `to_json`."""
        dev = values["dev"]
        if dev is not None:
            overall, strict = (Score(**dev[name]) if dev[name] else None for name in ("overall", "strict"))
            types = {name: Score(**score) for name, score in dev["types"].items()}
            dev = Evaluation(**{**dev, "overall": overall, "strict": strict, "types": types})
        return cls(values["epoch"], EpochLoss(**values["train"]), dev, values["best"])


def score_of(dev: Evaluation) -> float:
    """F1, or accuracy where F1 cannot tell: plain tags, or a dev set without spans."""
    return dev.overall.f1 if dev.overall and dev.has_spans else dev.accuracy


def dev_scores(result: EpochResult) -> dict[str, float]:
    """What a manifest says of the epoch whose weights are saved."""
    if result.dev is None:
        return {"epoch": result.epoch}
    overall = result.dev.overall
    spans = {"precision": overall.precision, "recall": overall.recall, "f1": overall.f1} if overall else {}
    return {"epoch": result.epoch, "accuracy": result.dev.accuracy, **spans}


def format_history(history: Sequence[EpochResult]) -> str:
    """`history.csv`; where accuracy decides it has `dev_accuracy` in the place of `dev_f1`; empty without a dev set."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    score = "dev_f1" if all(result.dev is None or result.dev.has_spans for result in history) else "dev_accuracy"
    writer.writerow(["epoch", "train_loss", score, "seconds", "tokens_per_second"])
    for result in history:
        speed = f"{result.train.seconds:.2f}", f"{result.train.tokens_per_second:.0f}"
        dev_score = "" if result.dev_score is None else f"{result.dev_score:.6f}"
        writer.writerow([result.epoch, f"{result.train.loss:.6f}", dev_score, *speed])
    return out.getvalue()
