"""What came of a sweep: its trials, the best first, and which keys mattered."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.sweep.study import Trial


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The trials of a sweep.

    Attributes:
        trials: the trials, the best first.
        what: the name of the score, `F1` or `accuracy`.
        importances: the share of each key in the variance of the scores, the largest first; None if too little is
            known.
        best_config: the file with the best values.
        n_open: the number of trials that are still to be run or continued.
        first: the number of the trial that has the values of the config; None if there is none.
    """

    trials: Sequence[Trial]
    what: str
    importances: Mapping[str, float] | None
    best_config: Path
    n_open: int = 0
    first: int | None = None

    @property
    def best(self) -> Trial:
        """The best trial."""
        return self.trials[0]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `tagger sweep --json` prints."""
        return {
            "score": self.what,
            "trials": [_to_json(one) for one in self.trials],
            "importances": self.importances,
            "best_config": str(self.best_config),
            "config_as_trial": self.first,
            "open": self.n_open,
        }


def _to_json(trial: Trial) -> dict[str, Any]:
    return {
        "trial": trial.number,
        "state": trial.state,
        "dev": trial.score,
        "epoch": None if trial.result is None else trial.result.epoch,
        "epochs": trial.epochs,
        "seconds": trial.seconds,
        "values": dict(trial.values),
        "error": trial.error or None,
    }
