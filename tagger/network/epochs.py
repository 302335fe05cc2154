"""How far an epoch has come, how it ends, and what of a step depends on nothing but its number."""

from __future__ import annotations

import dataclasses
import math

from tagger.config import TrainingConfig
from tagger.corpus.training_set import Purpose
from tagger.errors import TaggerError


@dataclasses.dataclass(frozen=True)
class EpochLoss:
    """One pass over the training data.

    Attributes:
        loss: mean cross-entropy per token.
        tokens, seconds: how many were trained on, in what time.
    """

    loss: float
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


@dataclasses.dataclass
class Progress:
    """How far an epoch has come. `Trainer.train_epoch` goes on from there, and keeps it up to date.

    Attributes:
        steps: how many batches it has trained on.
        losses: summed over the tokens of each call.
        tokens, seconds: how many were trained on, in what time.
    """

    steps: int = 0
    losses: list[float] = dataclasses.field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    def loss(self) -> EpochLoss:
        """Of all that was trained on."""
        return EpochLoss(math.fsum(self.losses) / self.tokens, self.tokens, self.seconds)


class DivergedError(TaggerError):
    """Training came to numbers that are none, or too large to mean anything.

    Attributes:
        step: of which batch of the epoch (from 0), as far as one can say.
    """

    def __init__(self, epoch: int, found: str, step: int) -> None:
        super().__init__(
            f"epoch {epoch + 1}: found {found} at step {step + 1}: training diverged; lower training.learning_rate, or"
            " set training.clip_norm"
        )
        self.step = step


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The user asked training to stop."""


def rate_of(settings: TrainingConfig, epoch: int) -> float:
    """The learning rate of an epoch (from 0)."""
    factor = math.prod(factor for first, factor in settings.steps.items() if epoch + 1 >= first)
    return factor * settings.learning_rate / (1.0 + settings.decay * epoch)


def dropout_seed(seed: int, epoch: int, step: int, replica: int = 0) -> tuple[int, int]:
    """The seed of a step's dropout masks: a function of nothing else, so that a resumed run draws the same.

    `TwoBranchTagger` adds the place of the mask to the second number, so steps lie far enough apart.
    """
    return (seed ^ (Purpose.DROPOUT << 24) ^ (epoch << 8) ^ replica) & 0x7FFFFFFF, (step << 8) & 0x7FFFFFFF
