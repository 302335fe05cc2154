"""The pretrained directory that a training begins with (`model.pretrained`), and its weights in a tagger's network.

Its tokens join the vocabulary as those of pretrained vectors do. Its characters keep their ids.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.config.file import yaml_value
from tagger.config.keys import Config
from tagger.errors import ConfigError
from tagger.inputs.vocabulary import N_RESERVED, PAD_ID, UNK_ID
from tagger.model_dir.pretrained import SETTINGS, Pretrained
from tagger.vectors.table import Vectors

_FIRST_BLOCK = "block_1."


def load_pretrained(config: Config) -> Pretrained | None:
    """Read the pretrained directory that a config names.

    Raises:
        ModelError: it cannot be read.
    """
    return None if config.model.pretrained is None else Pretrained.read(Path(config.model.pretrained))


def with_settings_of(pretrained: Pretrained, config: Config) -> tuple[Config, list[str]]:
    """Return the config with the sizes and the normalization of the pretrained directory.

    Returns:
        The config, and the settings whose values differ from their defaults for that reason, as `key value`.

    Raises:
        ConfigError: the config sets another value itself.
    """
    wanted: dict[str, dict[str, Any]] = {
        "model": {name: getattr(pretrained.spec, name) for name in SETTINGS},
        "vocabulary": dataclasses.asdict(pretrained.encoder.tokens.normalization),
    }
    problems, told, changed = list[str](), list[str](), dict[str, Any]()
    for section, values in wanted.items():
        ours = getattr(config, section)
        given = dict(ours) | config.chosen[section]
        for name, value in values.items():
            found, expected = yaml_value(given[name]), yaml_value(value)
            if found == expected:
                continue
            told.append(f"{section}.{name} {expected}")
            if ours.sets(name):
                problems.append(
                    f"{section}.{name}: found {found}, expected {expected} as in model.pretrained; set it to"
                    f" {expected}, or delete the key"
                )
        changed[section] = ours.model_copy(update=values)
    if problems:
        raise ConfigError(problems[0], detail=problems[1:])
    return config.model_copy(update=changed), told


def vectors_of(pretrained: Pretrained) -> Vectors:
    """Return the pretrained embedding as vectors of its tokens."""
    tokens = pretrained.encoder.tokens.tokens
    return Vectors({token: row for row, token in enumerate(tokens)}, pretrained.weights["embedding"][N_RESERVED:])


def initial_weights(
    pretrained: Pretrained,
    fresh: Mapping[str, npt.NDArray[np.float32]],
    has_vector: npt.NDArray[np.bool_],
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights that a training begins with.

    Tokens that the pretraining did not know begin as its unknown token, for which they stood. The first block reads
    feature columns after everything that it was pretrained with, with fresh weights.

    Args:
        fresh: the initial weights of the new network, with the pretrained vectors in its embedding.
        has_vector: [V], true at the ids with a pretrained vector.
    """
    result = {name: array.copy() for name, array in fresh.items()}
    old = pretrained.weights
    result["embedding"][~has_vector] = old["embedding"][UNK_ID]
    result["embedding"][PAD_ID] = old["embedding"][PAD_ID]
    for name, array in old.items():
        if name not in result or name == "embedding":
            continue  # the output layer of the language models, or a branch that the network does not have
        if name == "characters.embedding" or (name.startswith(_FIRST_BLOCK) and name.endswith(".kernel")):
            result[name][: len(array)] = array  # new characters and feature columns come after the pretrained rows
        else:
            result[name] = array.copy()
    return result
