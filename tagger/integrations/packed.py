"""Model directories as bytes, for objects that must hold a whole model when they are pickled or saved."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tagger.errors import ModelError
from tagger.model_dir.files import MANIFEST, MODEL_FILES, ModelFiles, read_directory
from tagger.model_dir.manifest import dump_manifest
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import Predictor

PackedModel = Mapping[str, bytes]  # file name → content


def pack(directory: Path) -> PackedModel:
    """Return the files of a model directory, all of the same model and verified.

    Raises:
        ModelError: the directory is missing, incomplete, altered, or of another format.
    """
    return read_directory(directory, _read)


def checksum(directory: Path) -> str:
    """Return the checksum of the manifest of a model directory, which two models share only if they are the same.

    Raises:
        ModelError: the directory is missing, or its manifest was altered.
    """
    return read_directory(directory, lambda files: str(files.manifest().get("sha256")))


def _read(files: ModelFiles) -> PackedModel:
    values = files.manifest()
    names = MODEL_FILES & set(values.get("files", {}))
    unsigned = {key: value for key, value in values.items() if key != "sha256"}
    return {MANIFEST: dump_manifest(unsigned), **{name: files.verified(name) for name in sorted(names)}}


def load_packed(files: PackedModel, *, threads: int | None = None) -> Predictor:
    """Load a packed model, as `load_predictor` loads a directory.

    The files are written to a temporary directory, which is removed once they are loaded.

    Raises:
        ModelError: they are not the files of a complete model.
    """
    foreign = sorted(set(files) - MODEL_FILES)
    if foreign:
        raise ModelError(f"packed model: found the file {foreign[0]!r}, expected the files of a model; save it again")
    with tempfile.TemporaryDirectory(prefix="tagger-") as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        try:
            return load_predictor(Path(folder), threads=threads)
        except ModelError as error:  # the directory is nothing that the user knows
            named = [text.replace(folder, "packed model") for text in (error.message, *error.detail)]
            raise ModelError(named[0], detail=named[1:]) from None
