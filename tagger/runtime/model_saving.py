"""A model written to its directory: plain files, in one step, each with its SHA-256 in the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import safetensors.numpy

from tagger.runtime.manifest import FORMAT_VERSION, dump_manifest
from tagger.runtime.model_dir import Model, Weights
from tagger.runtime.model_files import (
    CHARACTERS,
    CONFIG,
    EMBEDDINGS,
    FEATURES,
    GRAPH,
    HISTORY,
    MANIFEST,
    MODEL_FILES,
    STORED,
    TAGS,
    TOKENS,
    WEIGHTS,
)
from tagger.runtime.publish import check_replaceable, check_writable, publish_directory


def check_place(directory: Path) -> None:
    """Make sure, before a long training, that a model can be written there and nothing but a model would be lost.

    Raises:
        ModelError: something else is there, or nothing can be written.
    """
    check_replaceable(directory, MODEL_FILES, marker=MANIFEST)
    check_writable(directory)


def save_model(
    model: Model[Weights],
    *,
    graph: bytes,
    config: str,
    history: str,
    check: Callable[[Path], None] = lambda directory: None,
) -> None:
    """Write a model directory in one step, replacing an older model.

    Args:
        graph: of the network as ONNX, with `EMBEDDINGS` for its embedding.
        check: is shown the new directory before it takes its place, which it does not if this raises.

    Raises:
        ModelError: the place is taken by something else, or cannot be written.
    """
    weights = dict(model.network)
    embedding = np.ascontiguousarray(weights.pop("embedding"), STORED[model.manifest.embedding_dtype])
    files: dict[str, bytes | memoryview] = {
        CONFIG: config.encode(),
        TOKENS: _lines(model.encoder.tokens.tokens),
        TAGS: _lines(model.tags.tags),
        WEIGHTS: safetensors.numpy.save(weights),
        EMBEDDINGS: embedding.reshape(-1).view(np.uint8).data,
        GRAPH: graph,
        HISTORY: history.encode(),
    }
    if model.encoder.characters is not None:
        files[CHARACTERS] = _lines(model.encoder.characters.characters)
    if model.encoder.features:
        columns = zip(model.manifest.layout.feature_names, model.encoder.features, strict=True)
        files[FEATURES] = _lines(tuple(f"{name}\t{value}" for name, column in columns for value in column.tokens))
    values = {"format_version": FORMAT_VERSION, **model.manifest.to_json()}
    values["files"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    }
    files[MANIFEST] = dump_manifest(values)
    check_replaceable(model.directory, MODEL_FILES, marker=MANIFEST)
    publish_directory(model.directory, files, check=check)


def _lines(items: tuple[str, ...]) -> bytes:
    return "".join(f"{item}\n" for item in items).encode()
