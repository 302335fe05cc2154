"""The numbers that curves are drawn of, by the names that TensorBoard and MLflow show."""

from __future__ import annotations

import re

from tagger.evaluation.scores import Evaluation
from tagger.training.history import EpochResult


def epoch_metrics(result: EpochResult) -> dict[str, float]:
    """Return the numbers of an epoch."""
    found = {"train_loss": result.train.loss, "tokens_per_second": result.train.tokens_per_second}
    if result.dev_loss is not None:
        found["dev_loss"] = result.dev_loss
    return found if result.dev is None else found | _scores("dev", result.dev)


def test_metrics(test: Evaluation) -> dict[str, float]:
    """Return the numbers of the test files."""
    return _scores("test", test)


def _scores(name: str, found: Evaluation) -> dict[str, float]:
    scores = {f"{name}/accuracy": found.accuracy}
    if found.overall is not None:
        scores |= {f"{name}/{key}": getattr(found.overall, key) for key in ("precision", "recall", "f1")}
        for kind, score in found.types.items():
            # MLflow allows few signs in names, and both make folders of what a slash divides.
            shown = re.sub(r"[^\w. -]", "_", kind)
            scores[f"{name}/f1/{shown}"] = score.f1
    return scores
