"""What a training will take of the memory, before it takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tagger.config import Config
from tagger.corpus.encoder import Sizes
from tagger.errors import ConfigError
from tagger.network.preparation import Prepared
from tagger.runtime.memory import available_memory

_FLOAT = 4  # bytes
# What is held at once, in numbers: measured as the growth of the process, 10 to 20 % above it (CPU kernel, batches of
# 16,000 steps, 100 and 200 units, one and two layers, 9 and 50 tags).
_PER_UNIT = 12  # of a branch, at each step: seven outputs of the kernel, their gradients, dropout, what is merged
_PER_INPUT, _PER_TAG, _PER_CRF_TAG = 4, 6, 18
_PER_WEIGHT = 8  # of the embedding: itself, two moments, average, best so far, and copies while they are exchanged
_PER_SAVED = 2  # more, of the rows that are trained, while a state is written


def check_memory(config: Config, prepared: Prepared) -> None:
    """Refuse a training whose largest batch cannot fit, since the system would end it without a word.

    Raises:
        ConfigError: names the longest sentence and what would fit.
    """
    available = available_memory()
    if available is None:
        return
    sizes, network = prepared.encoder.sizes(len(prepared.tags)), prepared.manifest.network
    n_numbers = _PER_WEIGHT * sizes.n_tokens + _PER_SAVED * prepared.training_set.n_rows
    fixed = _FLOAT * n_numbers * network["embedding_dim"]
    lengths = prepared.training_set.lengths
    longest = int(lengths.max())
    n_sentences = -(-min(config.training.batch_size, len(lengths)) // config.training.accumulate)
    one = bytes_of_step(network, sizes, crf=prepared.manifest.decoder == "crf")
    per_step = n_sentences * one
    if fixed + per_step * longest <= available:
        return
    if fixed + per_step > available:
        raise ConfigError(
            f"model.embedding_dim: {sizes.n_tokens} token ids of {network['embedding_dim']} numbers, and the network,"
            f" would take {_shown(fixed + per_step)} of memory, expected at most the {_shown(available)} that are free;"
            " lower it, or vocabulary.max_size, embeddings.max_rows or training.batch_size"
        )
    n_of_pieces = -(-config.training.batch_size // config.training.accumulate)  # cut, there are more to fill a batch
    name = prepared.names.of(int(np.argmax(lengths)))
    raise ConfigError(
        f"data.max_length: a batch of {n_sentences} sentences with the longest one would take"
        f" {_shown(fixed + per_step * longest)} of memory, expected at most the {_shown(available)} that are free;"
        f" set it to {max(1, (available - fixed) // (n_of_pieces * one))} or less, or lower training.batch_size",
        detail=[name],
    )


def bytes_of_step(network: Mapping[str, Any], sizes: Sizes, *, crf: bool) -> int:
    """What one token of a batch takes in training, about."""
    branches = 2 if network["direction"] == "both" else 1
    d = network["embedding_dim"] + sizes.n_features * network["feature_dim"]
    d += network["character_units"] if network["characters"] != "none" else 0
    units = _PER_UNIT * network["layers"] * branches * network["units"]
    n_bytes: int = _FLOAT * (units + _PER_INPUT * d + (_PER_CRF_TAG if crf else _PER_TAG) * sizes.n_tags)
    return n_bytes


def _shown(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"
