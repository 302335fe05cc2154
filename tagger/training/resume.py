"""What must be the same for a training to go on to the bit, and for workers to train one network: settings and data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tagger.config import Config
from tagger.errors import ConfigError
from tagger.machine import available_cores
from tagger.network.devices import Device
from tagger.training.checkpoints import Checkpoints, State, directory_of
from tagger.training.preparation import Prepared

# What may change: where things lie (their content is compared), what no weight depends on, and the threads, which stay
# as they were whatever the config says.
_FREE = frozenset(
    {
        "data.train",
        "data.test",
        "embeddings.path",
        "output.model_dir",
        "training.threads",
        "training.checkpoint_minutes",
    }
)
STATE_FORMAT = 3  # of what a state holds; another one cannot be resumed
_RECORD = {"settings": dict, "data": dict, "runs on": dict, "threads": int | None, "at": str, "finished": bool}
_VERSIONS = ("tagger", "tensorflow", "numpy")


def state_to_begin_with(checkpoints: Checkpoints, *, resume: bool, warn: Callable[[str], None]) -> State | None:
    """The newest state if it is to be resumed; that of a finished training is none if not.

    Nor is that of `--seeds` which ended before the first one had learned anything.

    Raises:
        ConfigError: a training was interrupted and is not to be resumed, or cannot be.
    """
    state = checkpoints.newest(warn, remove_damaged=resume)
    if state is not None and not _has_this_format(state.record):
        raise ConfigError(
            f"{checkpoints.directory}: holds a training of another version of tagger, expected one of this; go on with"
            " it there, or delete that directory to begin anew"
        )
    if state is None or (state.record.get("runs") == [] and not _has_begun(state, checkpoints.model_dir)):
        return None
    if resume:
        return state
    if not state.record["finished"]:
        seeds = (
            f" (and .{checkpoints.model_dir.name}.seed-* beside it)" if "--seeds" in state.record["settings"] else ""
        )
        raise ConfigError(
            f"{checkpoints.directory}: holds a training that was interrupted {state.record['at']}, expected none; go on"
            f" with it with --resume, or delete that directory{seeds} to begin anew"
        )
    return None


def _has_begun(state: State, model_dir: Path) -> bool:
    """Whether the first of several seeds has learned anything."""
    return Checkpoints(directory_of(model_dir, state.record["settings"]["training.seed"])).has_states()


def with_threads_of(state: State, config: Config, warn: Callable[[str], None]) -> Config:
    """The config with the threads that a state's training has: others would round its sums otherwise."""
    threads, now = state.record["threads"], config.training.threads or available_cores()
    if threads in (None, now):
        return config
    warn(f"--resume: training.threads: found {now}, going on with {threads}, as in the training so far")
    return config.model_copy(update={"training": config.training.model_copy(update={"threads": threads})})


def _has_this_format(record: Mapping[str, Any]) -> bool:
    return record.get("format") == STATE_FORMAT and all(
        name in record and isinstance(record[name], kind) for name, kind in _RECORD.items()
    )


def fingerprint_of(config: Config, prepared: Prepared, device: Device) -> dict[str, Any]:
    """Settings by key, data by the key that names it, and on what it runs: as a state holds them."""
    runs_on = {name: prepared.manifest.versions[name] for name in _VERSIONS} | {"device": device.name}
    return {
        "format": STATE_FORMAT,
        "settings": settings_of(config),
        "data": _data(prepared),
        "runs on": runs_on,
        "threads": device.threads,
    }


def settings_of(config: Config) -> dict[str, Any]:
    """Those that must stay as they are, by key."""
    settings = {
        f"{section}.{key}": value
        for section, keys in config.model_dump(mode="json").items()
        for key, value in keys.items()
        if f"{section}.{key}" not in _FREE
    }
    return settings | ({"data.dev": "a file"} if isinstance(config.data.dev, str) else {})


def _data(prepared: Prepared) -> dict[str, str]:
    encoder, training_set = prepared.encoder, prepared.training_set
    manifest = prepared.manifest.to_json()  # how the file is written is how predictions will be
    texts = repr((encoder.tokens, encoder.characters, encoder.features, prepared.tags))
    texts += json.dumps([manifest["layout"], manifest["notation"]], sort_keys=True)
    arrays = [training_set.lengths, *training_set.sentences, *training_set.tag_ids]
    if training_set.forms is not None:  # a token's id does not always tell its letters
        arrays += [getattr(training_set.forms, field.name) for field in dataclasses.fields(training_set.forms)]
    content = _sha256([texts.encode("utf-8", "surrogatepass"), *(np.ascontiguousarray(array) for array in arrays)])
    found = {"data.train": _described(len(arrays[0]), int(training_set.lengths.sum()), content)}
    if prepared.dev is not None:
        dev = prepared.dev
        sentences = (
            repr((sentence.columns, tags)) for sentence, tags in zip(dev.sentences, dev.tags, strict=True)
        )  # where one ends counts too
        content = _sha256(text.encode("utf-8", "surrogatepass") for text in sentences)
        found["data.dev"] = _described(len(dev), dev.n_tokens, content)
    if prepared.vectors is not None:
        content = _sha256([prepared.vectors.has_vector, prepared.vectors.table])
        found["embeddings"] = (
            f"{len(prepared.vectors.table)} vectors of size {prepared.vectors.table.shape[1]}, {content}"
        )
    return found


def _described(n_sentences: int, n_tokens: int, content: str) -> str:
    return f"{n_sentences} sentences, {n_tokens} tokens, {content}"


def _sha256(parts: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
        digest.update(b"\n")
    return f"SHA-256 {digest.hexdigest()[:16]}"


def check_same(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> list[str]:
    """Compare the fingerprint in a state with those of the training that is to go on from it.

    Returns:
        What is odd, but does not forbid it: other versions, another device.

    Raises:
        ConfigError: settings or data differ; each difference is shown.
    """
    differences = [text for part in ("settings", "data") for text in _differences(before[part], now[part])]
    if differences:
        # Only what is not finished is in the way of another training.
        anew = "train again" if before.get("finished") else f"delete {where} and train again"
        raise ConfigError(
            f"--resume: {differences[0]}; give back what it was, or {anew} without --resume", detail=differences[1:]
        )
    return list(_differences(before["runs on"], now["runs on"]))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in [*before, *(key for key in now if key not in before)]:
        if before.get(key) != now.get(key):
            yield f"{key}: found {_shown(now, key)}, expected {_shown(before, key)}, as in the training so far"


def _shown(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value if isinstance(value, str) else json.dumps(value)


def checksum_of(fingerprint: Mapping[str, Any]) -> int:
    """A number below 2**32 of what all workers must have in common; only the chief reads the dev set."""
    data = {key: value for key, value in fingerprint["data"].items() if key != "data.dev"}
    common = {key: value for key, value in fingerprint["settings"].items() if not key.startswith("data.")}
    return int(hashlib.sha256(json.dumps([data, common], sort_keys=True).encode()).hexdigest()[:8], 16)
