"""The result of a training with several seeds, and how much its scores vary."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.evaluation.scores import Evaluation
from tagger.filesystem import relative_path
from tagger.training.history import NO_MODEL


@dataclasses.dataclass(frozen=True)
class SeedRun:
    """The result of one seed.

    Attributes:
        epoch: the best epoch, from 1.
        dev, test: F1 (accuracy where that decides) as fractions; `test` is None without a test file.
        model: SHA-256 of the model's manifest, which holds the hashes of all its other files.
        on_dev, on_test: all scores on the two sets; None without the set, and in states that are older than these.
    """

    seed: int
    epoch: int
    dev: float
    test: float | None
    model: str = dataclasses.field(compare=False)  # the history in the model has timings
    on_dev: Evaluation | None = None
    on_test: Evaluation | None = None

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SeedRun:
        """Build a result from the values that a state stores."""
        sets = {
            name: Evaluation.from_values(found) if (found := values.get(name)) else None
            for name in ("on_dev", "on_test")
        }
        return cls(**{**values, **sets})


@dataclasses.dataclass(frozen=True)
class SeedsOutcome:
    """The result of a training with several seeds.

    Attributes:
        runs: the finished seeds.
        best: the seed whose model was kept. It is the best finished seed, or an unfinished one if none is finished, or
            None.
        stopped: whether it was stopped before its end.
        not_replaced: whether the model in the directory is still the one from before the training.
        previous: the place of the model that was replaced; None if there was none, or it was not kept.
    """

    model_dir: Path
    runs: list[SeedRun]
    best: SeedRun | None
    stopped: bool
    not_replaced: bool = False
    previous: Path | None = None

    @property
    def sets(self) -> dict[str, list[Evaluation]]:
        """The scores of all finished seeds on dev and test, without a set that some of them lack."""
        found = {"dev": [run.on_dev for run in self.runs], "test": [run.on_test for run in self.runs]}
        complete = {name: [one for one in of_set if one is not None] for name, of_set in found.items()}
        return {name: of_set for name, of_set in complete.items() if of_set and len(of_set) == len(self.runs)}

    def summary(self) -> list[str]:
        """Return the lines to show at the end."""
        if self.best is None:
            return [NO_MODEL]
        if self.not_replaced:
            return [
                *summarize(self.runs),
                f"the model in {relative_path(self.model_dir)} is still the one from before this training, whose best"
                f" seed so far is {self.best.seed} (dev {100 * self.best.dev:.2f})",
            ]
        whole = "" if self.best in self.runs else ", which was not finished,"
        dev, place = f"dev {100 * self.best.dev:.2f}", relative_path(self.model_dir)
        kept = [] if self.previous is None else [f"the model that it replaced is in {relative_path(self.previous)}"]
        return [*summarize(self.runs), f"model of seed {self.best.seed} ({dev}){whole} is in {place}", *kept]


def summarize(runs: Sequence[SeedRun]) -> list[str]:
    """Return a table of the mean, the sample standard deviation, the lowest and the highest score, in percent."""
    if len(runs) < 2:
        return []
    lines = [f"{len(runs)} seeds   mean ± sd        min    max"]
    for name in ("dev", "test"):
        values = [100 * score for run in runs if (score := getattr(run, name)) is not None]
        if values:
            mean, spread = statistics.mean(values), statistics.stdev(values)
            lines.append(f"{name:8} {mean:5.2f} ± {spread:.2f}   {min(values):6.2f} {max(values):6.2f}")
    return lines
