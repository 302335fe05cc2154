"""The batch size and the number of epochs, chosen from the number of training sentences unless the config sets them."""

from __future__ import annotations

import dataclasses
import math

from tagger.config import TrainingConfig
from tagger.wording import counted

_SENTENCES_PER_BATCH_SIZE = 50  # a training set is divided into about this number of batches, or into more
_LEAST_BATCH, MOST_BATCH = 4, 32
_LEAST_STEPS = 1400
_LEAST_EPOCHS, _MOST_EPOCHS = 30, 100


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The number of sentences in a batch, and the number of epochs.

    Attributes:
        chosen: the names of those that the config does not set.
    """

    batch_size: int
    epochs: int
    chosen: tuple[str, ...] = ()

    def note(self, n_sentences: int) -> str | None:
        """Return a note for the user on what was chosen; None if nothing was."""
        if not self.chosen:
            return None
        shown = " and ".join(f"training.{name}: {getattr(self, name)}" for name in self.chosen)
        return f"{shown}, chosen for {counted(n_sentences, 'training sentence')}"


def schedule_of(settings: TrainingConfig, n_sentences: int) -> Schedule:
    """Return the schedule of a training: what the config sets, and the choice for `n_sentences` for what it does not.

    A small training set gets smaller batches, because a network learns from the number of steps more than from their
    size: the power of two nearest to a fiftieth of the sentences, from 4 to 32. If 30 epochs of such batches are less
    than 1,400 steps, more epochs follow, at most 100.
    """
    batch_size = settings.batch_size
    if batch_size is None:
        nearest = 2 ** round(math.log2(max(1, n_sentences) / _SENTENCES_PER_BATCH_SIZE))
        batch_size = max(settings.accumulate, int(min(MOST_BATCH, max(_LEAST_BATCH, nearest))))
    epochs = settings.epochs
    if epochs is None:
        steps = max(1, math.ceil(n_sentences / batch_size))
        epochs = min(_MOST_EPOCHS, max(_LEAST_EPOCHS, math.ceil(_LEAST_STEPS / steps)))
    chosen = tuple(name for name in ("batch_size", "epochs") if getattr(settings, name) is None)
    return Schedule(batch_size, epochs, chosen)
