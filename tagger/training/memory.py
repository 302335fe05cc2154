"""The memory that a training needs, and the refusal of one that does not fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tagger.config.keys import TrainingConfig
from tagger.errors import ConfigError
from tagger.training.preparation import Prepared
from tagger.training.schedule import MOST_BATCH
from tagger.training.teachers import UNLABELLED
from tagger.wording import counted

_FLOAT = 4  # bytes
# The number of copies of each embedding weight that are in memory: the weight, two moments, the average, the best so
# far, and the copies that are made while these are exchanged.
_PER_WEIGHT = 8
_PER_SAVED = 2  # further copies of the rows that are trained, while a state is written


def check_memory(settings: TrainingConfig, prepared: Prepared, available: int | None) -> None:
    """Refuse a training whose largest batch does not fit into memory; the system would kill it without a message.

    Args:
        available: the bytes of memory that are free, or None if that is unknown.

    Raises:
        ConfigError: the batch does not fit; the message names the longest sentence and a length that would fit, or what
            else takes the memory.
    """
    if available is None:
        return
    sizes, spec = prepared.encoder.sizes(len(prepared.tags)), prepared.manifest.network
    n_numbers = _PER_WEIGHT * sizes.n_tokens + _PER_SAVED * prepared.training_set.n_rows
    said = _said(prepared)
    taught = 0 if said is None else said.nbytes  # the copy that the loss makes
    fixed = _FLOAT * n_numbers * spec.embedding_dim + taught
    lengths = prepared.training_set.lengths
    longest = int(lengths.max())
    batch_size = prepared.schedule.batch_size
    n_sentences = -(-min(batch_size, len(lengths)) // settings.accumulate)
    one = spec.training_bytes(sizes)
    per_step = n_sentences * one
    if fixed + per_step * longest <= available:
        return
    if taught and fixed - taught + per_step <= available < fixed + per_step:
        key, says, n, remedy = _taught(prepared)
        raise ConfigError(
            f"{key}: {says} about {counted(n, 'token')} and the network need {_shown(fixed + per_step)} of memory,"
            f" expected at most the {_shown(available)} that is free; {remedy}"
        )
    if fixed + per_step > available:
        raise ConfigError(
            f"model.embedding_dim: {sizes.n_tokens} token ids of {spec.embedding_dim} numbers and the network need"
            f" {_shown(fixed + per_step)} of memory, expected at most the {_shown(available)} that is free; lower it,"
            " or vocabulary.max_size, embeddings.max_rows or training.batch_size"
        )
    # After cutting there are more pieces, so batches may be fuller, or larger if their size is chosen.
    n_of_pieces = -(-(MOST_BATCH if "batch_size" in prepared.schedule.chosen else batch_size) // settings.accumulate)
    name = prepared.names.of(int(np.argmax(lengths)))
    raise ConfigError(
        f"data.max_length: a batch of {counted(n_sentences, 'sentence')} with the longest one needs"
        f" {_shown(fixed + per_step * longest)} of memory, expected at most the {_shown(available)} that is free;"
        f" set it to {max(1, (available - fixed) // (n_of_pieces * one))} or less, or lower training.batch_size",
        detail=[name],
    )


def _said(prepared: Prepared) -> npt.NDArray[np.float32] | None:
    """Return the probabilities that an old model or teachers give to tokens, if there are any."""
    targets = prepared.targets
    if targets is None:
        return None
    return targets.teacher if targets.soft is None else targets.soft.probabilities


def _taught(prepared: Prepared) -> tuple[str, str, int, str]:
    """Return the key or option for it, who says something, about how many tokens, and what to do if it is too much."""
    said = _said(prepared)
    n = 0 if said is None else len(said)
    if prepared.lesson is not None:
        return UNLABELLED, "what the teachers say", n, "use less text"
    remedy = "train on fewer sentences, or name the types that the training file annotates"
    return "data.annotated", "what the old model says", n, remedy


def _shown(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
