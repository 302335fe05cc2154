"""A model for the machines of a cluster: read where it is, or taken along."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tagger.errors import ModelError
from tagger.model_dir.files import HISTORY, MANIFEST, MODEL_FILES, WEIGHTS, read_directory
from tagger.model_dir.manifest import Manifest
from tagger.prediction.predictor import Predictor

_NOT_NEEDED = (WEIGHTS, HISTORY)  # what prediction does not read


@dataclasses.dataclass(frozen=True)
class ModelCopy:
    """A model as it is when a command begins.

    Attributes:
        directory: its absolute path.
        checksum: SHA-256 of its manifest, which holds those of all other files.
        files: a reference to the content of its files in the store of the cluster; None on one machine.
    """

    directory: Path
    checksum: str
    files: Any = None

    def load(self) -> Predictor:
        """Load the model for one core: from its directory if that is the same here, otherwise from the store.

        Raises:
            ModelError: the model has been replaced since the command began, or is damaged.
        """
        from tagger.prediction.onnx_session import load_predictor

        if _checksum(self.directory) == self.checksum:
            return load_predictor(self.directory, threads=1)
        if self.files is None:
            raise ModelError(
                f"{self.directory}: is another model than at the start, expected the same one: it was replaced in the"
                " meantime; give the command again with another folder for the outputs"
            )
        import ray

        files: Mapping[str, bytes] = ray.get(self.files)
        # What is mapped into memory stays readable after the directory is gone.
        with tempfile.TemporaryDirectory(prefix="tagger-model-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            return load_predictor(Path(folder), threads=1)


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of a model without loading the rest of it.

    Raises:
        ModelError: the directory is missing, or its manifest is of another format.
    """
    return read_directory(directory, lambda files: Manifest.from_json(files.manifest()))


def model_copy(directory: Path, *, in_store: bool) -> ModelCopy:
    """Return a model for the workers.

    Args:
        in_store: put the files into the store of the cluster, for machines that do not have the directory.
    """
    if not in_store:
        return ModelCopy(directory.absolute(), _checksum(directory))
    import ray

    paths = [directory / name for name in MODEL_FILES if name not in _NOT_NEEDED]
    files = {path.name: path.read_bytes() for path in paths if path.is_file()}
    return ModelCopy(directory.absolute(), hashlib.sha256(files[MANIFEST]).hexdigest(), ray.put(files))


def _checksum(directory: Path) -> str:
    try:
        return hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""
