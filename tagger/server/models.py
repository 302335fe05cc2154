"""The models that a server holds, each of which is replaced when its directory is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tagger import __version__
from tagger.corpus.schemes import NO_SCHEME, SCHEMES, split_tag
from tagger.errors import TaggerError
from tagger.formats.document import WriteOptions
from tagger.model_dir.files import MANIFEST, read_directory
from tagger.prediction.document_tagging import require_no_features
from tagger.prediction.documents import Thresholds
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import Predictor
from tagger.text.tokenizer import DEFAULT_LANGUAGE, Tokenizer, is_installed, load_tokenizer

_TRIES = 5  # to load a model that is replaced meanwhile
_LOOKS = 2  # without a directory, until that is a warning: between two renames there is none for a moment
Signature = dict[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model that is ready to tag.

    Attributes:
        predictor: the model in memory.
        version: the checksum of its manifest, which names the checksums of all its files.
        tokenizer: what cuts texts into tokens; None if the extra `text` is not installed.
        thresholds: the probabilities from which on spans are kept.
        options: how records are written.
    """

    predictor: Predictor
    version: str
    tokenizer: Tokenizer | None
    thresholds: Thresholds
    options: WriteOptions

    @classmethod
    def of(cls, predictor: Predictor, version: str) -> Loaded:
        """Return a model with everything that its manifest decides.

        Raises:
            DataError: the model reads columns beside tokens, or there is no tokenizer for its language.
        """
        require_no_features(predictor)
        manifest = predictor.model.manifest
        scheme = manifest.notation.scheme
        options = WriteOptions(predicted=True)
        if scheme in SCHEMES:
            options = dataclasses.replace(options, scheme=scheme)
        tokenizer = load_tokenizer(manifest.language or DEFAULT_LANGUAGE) if is_installed() else None
        return cls(predictor, version, tokenizer, Thresholds.of_model(manifest) or Thresholds(), options)

    def to_json(self) -> dict[str, Any]:
        """Return what clients may know about the model; nothing about files."""
        manifest = self.predictor.model.manifest
        scheme = manifest.notation.scheme
        return {
            "version": self.version,
            "types": sorted({split_tag(tag)[1] for tag in self.predictor.model.tags.tags} - {""})
            if scheme != NO_SCHEME
            else [],
            "tags": self.predictor.spelled_tags,
            "scheme": None if scheme == NO_SCHEME else scheme,
            "language": manifest.language,
            "text": self.tokenizer is not None,
            "dev": {name: value for name, value in manifest.dev.items() if name != "epoch"},
            "tagger": __version__,
        }


class ModelSlot:
    """A model by name, and the directory that it is loaded from again when another model takes its place.

    Args:
        name: the name that requests use.
        directory: the model directory.
        threads: the number of batches that are computed in parallel.
        check: raises TaggerError if a model cannot be put into service.
    """

    def __init__(self, name: str, directory: Path, threads: int, check: Callable[[Loaded], None]) -> None:
        self.name = name
        self._directory, self._threads, self._check = directory, threads, check
        self._signature: Signature = {}
        self._is_broken, self._n_missing = False, 0
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded:
        """The model that is in service."""
        assert self._loaded is not None, "load() comes first"  # noqa: S101 (a mistake of the caller)
        return self._loaded

    def load(self) -> None:
        """Put the model in the directory into service.

        Raises:
            TaggerError: it cannot be loaded; the one before it stays in service.
        """
        self._signature, self._is_broken = self._signed(), True
        loaded = Loaded.of(*_load(self._directory, self._threads))
        self._check(loaded)
        self._loaded, self._is_broken = loaded, False

    def refresh(self) -> bool:
        """Put the model in the directory into service if it is another one; return whether it is.

        Raises:
            TaggerError: it cannot be loaded, and is not tried again before a file in it changes; or there is no model
                any more, which is said once. The one before it stays.
        """
        signature = self._signed()
        if MANIFEST not in signature:
            self._n_missing += 1
            if self._n_missing == _LOOKS:
                raise TaggerError(f"{self._directory}: found no model, expected one; put one there, or stop the server")
            return False
        self._n_missing = 0
        # Somebody may still be copying files into the directory of a model that could not be loaded.
        names = signature.keys() | self._signature.keys() if self._is_broken else {MANIFEST}
        if all(signature.get(name) == self._signature.get(name) for name in names):
            return False
        before = self._loaded
        self.load()
        return before is None or before.version != self.loaded.version

    def _signed(self) -> Signature:
        """Return what changes when the directory is exchanged or its files are replaced, for each file."""
        try:
            found = {entry.name: entry.stat() for entry in os.scandir(self._directory)}
        except OSError:
            return {}
        return {name: (one.st_dev, one.st_ino, one.st_mtime_ns, one.st_size) for name, one in found.items()}


def _load(directory: Path, threads: int) -> tuple[Predictor, str]:
    """Load a model and the checksum of its manifest, both of the same model."""
    for _ in range(_TRIES):
        before = _checksum(directory)
        predictor = load_predictor(directory, threads=threads)
        if _checksum(directory) == before:
            return predictor, before
    raise TaggerError(
        f"{directory}: found a model that is replaced again and again, expected one that stays; try later"
    )


def _checksum(directory: Path) -> str:
    return str(read_directory(directory, lambda files: files.manifest())["sha256"])
