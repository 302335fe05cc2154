"""The settings that must stay as they are for a training to continue, and how they differ from those it began with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tagger.config.keys import Config

# These settings may change: paths of files and how they are read, because their content is compared instead; settings
# that do not affect the weights; and the number of threads, for which the state's value is used.
FREE = frozenset(
    {
        "data.train",
        "data.test",
        "data.columns",
        "data.delimiter",
        "data.format",
        "data.names",
        "data.offsets",
        "data.align",
        "data.overlap",
        "data.labels",
        "data.language",
        "data.tag_key",
        "data.several_tags",
        "data.unknown_tag",
        "data.ragged",
        "data.trust",
        "embeddings.path",
        "features.lists",
        "features.clusters",
        "model.pretrained",
        "output.model_dir",
        "output.quantize",
        "output.quantize_loss",
        "training.threads",
        "training.checkpoint_minutes",
        "training.log",
    }
)


# Settings that earlier versions did not have, with the values that stand for their absence.
_LATER: Mapping[str, Any] = {
    "data.annotated": "auto",
    "features.ignore_case": False,
    "features.list_dropout": 0.0,
    "features.cluster_language": None,
    "features.cluster_bits": [4, 6, 10, 20],
    "features.subwords": 0,
    "training.freeze": [],
    "training.pretraining_epochs": 0,
    "training.type_weights": {},
}


def settings_of(config: Config, chosen: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the settings that must stay as they are, by key.

    Args:
        chosen: the values that were chosen for keys that the config does not set.
    """
    settings = {
        f"{section}.{key}": value
        for section, keys in config.model_dump(mode="json").items()
        for key, value in keys.items()
        if f"{section}.{key}" not in FREE
    }
    settings |= {f"{section}.{key}": value for section, keys in config.chosen.items() for key, value in keys.items()}
    settings |= chosen or {}
    return settings | ({"data.dev": "a file"} if isinstance(config.data.dev, str | list) else {})


def value_in(settings: Mapping[str, Any], key: str, usual: Any = None) -> Any:
    """Return the value of a key in the settings of a state; of an earlier version, what stands for its absence.

    Args:
        usual: the value of a key that is missing for no known reason.
    """
    return settings.get(key, _LATER.get(key, usual))


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield a text about each key whose value is another one than before."""
    for key in [*before, *(key for key in now if key not in before)]:
        if value_in(before, key) != value_in(now, key):
            yield f"{key}: found {_shown(now, key)}, expected {_shown(before, key)}, as in the training so far"


def _shown(values: Mapping[str, Any], key: str) -> str:
    value = value_in(values, key)
    return value if isinstance(value, str) else json.dumps(value)
