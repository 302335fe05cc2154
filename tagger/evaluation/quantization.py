"""The loss of F1 by quantization: what it is in points, and whether it is small enough."""

from __future__ import annotations

import dataclasses
import math

from tagger.errors import ModelError
from tagger.evaluation.scores import Evaluation
from tagger.model_dir.manifest import Quantization

ANY_LOSS = 100.0  # points; a limit that nothing exceeds


@dataclasses.dataclass(frozen=True)
class QuantizationLoss:
    """The scores of a model with 32-bit and with 8-bit weights on the same sentences."""

    before: Evaluation
    after: Evaluation

    @property
    def points(self) -> float:
        """The loss in percentage points; negative if the score is better."""
        return 100 * (self.before.score - self.after.score)

    def __str__(self) -> str:
        what = "F1" if self.before.overall and self.before.has_spans else "accuracy"
        before, after = 100 * self.before.score, 100 * self.after.score
        return f"{what} {before:.2f} with 32-bit weights and {after:.2f} with 8-bit weights"

    def to_manifest(self) -> Quantization:
        """Return what the manifest of the quantized model says."""
        return Quantization(weights="int8", score_before=self.before.score, score_after=self.after.score)

    def check(self, most: float, *, key: str, where: str, remedy: str, detail: str) -> None:
        """Raise ModelError if the loss is above `most` points.

        Args:
            most: the largest loss.
            key: the key or option that asked for quantization.
            where: the place of the sentences, as in `on dev`.
            remedy: what to do, with `{}` in the place of a limit that would allow the loss.
            detail: what became of the model.
        """
        if self.points > most:
            enough = math.ceil(10 * self.points) / 10
            raise ModelError(
                f"{key}: found a loss of {self.points:.2f} points {where} ({self}), expected at most {most:g};"
                f" {remedy.format(f'{enough:g}')}",
                detail=[detail] if detail else [],
            )
