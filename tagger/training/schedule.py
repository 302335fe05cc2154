"""What is chosen from the size of the training data unless the config sets it: batch size, epochs and patience."""

from __future__ import annotations

import dataclasses
import math

from tagger.config.keys import TrainingConfig
from tagger.wording import counted, listed

_SENTENCES_PER_BATCH_SIZE = 50  # a training set is divided into about this number of batches, or into more
_LEAST_BATCH, MOST_BATCH = 4, 32
_LEAST_STEPS = 1400
_LEAST_EPOCHS, _MOST_EPOCHS = 30, 100
_PATIENCE, _PATIENCE_OF_FEW = 5, 10
_LEAST_TO_READ = 1_000  # tokens that are worth a pretraining, which gained with as few (docs/results.md)
_READINGS, _MOST_READ = 10, 10_000_000  # epochs, and tokens in all of them: a long text is read less often


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The number of sentences in a batch, the most epochs, and the epochs without progress that end the training.

    Attributes:
        patience: None if only the number of epochs ends the training.
        chosen: the names of those that the config does not set.
        pretraining_epochs: how often the training sentences are first read as text.
    """

    batch_size: int
    epochs: int
    patience: int | None
    chosen: tuple[str, ...] = ()
    pretraining_epochs: int = 0

    def note(self, n_sentences: int, n_tokens: int) -> str | None:
        """Return a note for the user on what was chosen; None if nothing was."""
        if not self.chosen:
            return None
        shown = listed([f"training.{name}: {getattr(self, name)}" for name in self.chosen])
        tokens = f" with {counted(n_tokens, 'token')}" if "pretraining_epochs" in self.chosen else ""
        return f"{shown}, chosen for {counted(n_sentences, 'training sentence')}{tokens}"


def schedule_of(settings: TrainingConfig, n_sentences: int, n_readable: int = 0) -> Schedule:
    """Return the schedule of a training: what the config sets, and the choice for `n_sentences` for what it does not.

    A small training set gets smaller batches, because a network learns from the number of steps more than from their
    size: the power of two nearest to a fiftieth of the sentences, from 4 to 32. If 30 epochs of such batches are less
    than 1,400 steps, more epochs follow, at most 100. Patience is twice as long where batches are smaller than 32,
    because the scores of a network that has seen few sentences rise and fall more.

    A thousand tokens or more are read ten times as text, and more than a million less often, but at least once.

    Args:
        n_readable: the tokens of these sentences; 0 if the training cannot begin with reading them.
    """
    nearest = 2 ** round(math.log2(max(1, n_sentences) / _SENTENCES_PER_BATCH_SIZE))
    fitting = int(min(MOST_BATCH, max(_LEAST_BATCH, nearest)))
    batch_size = settings.batch_size or max(settings.accumulate, fitting)
    epochs = settings.epochs
    if epochs is None:
        steps = max(1, math.ceil(n_sentences / batch_size))
        epochs = min(_MOST_EPOCHS, max(_LEAST_EPOCHS, math.ceil(_LEAST_STEPS / steps)))
    patience = settings.patience
    if patience == "auto":
        patience = _PATIENCE if fitting == MOST_BATCH else _PATIENCE_OF_FEW
    pretraining_epochs = settings.pretraining_epochs
    if pretraining_epochs is None:
        readings = max(1, min(_READINGS, _MOST_READ // max(1, n_readable)))
        pretraining_epochs = readings if n_readable >= _LEAST_TO_READ else 0
    set_by_config = {
        "pretraining_epochs": settings.pretraining_epochs is not None or not n_readable,
        "batch_size": settings.batch_size is not None,
        "epochs": settings.epochs is not None,
        "patience": settings.patience != "auto",
    }
    chosen = tuple(name for name, is_set in set_by_config.items() if not is_set)
    return Schedule(batch_size, epochs, patience, chosen, pretraining_epochs)
