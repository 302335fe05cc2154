"""The model directory: plain files, each verified against the manifest by whoever reads it.

`manifest.json` says all that prediction needs and carries the SHA-256 of every other file, and of itself in
canonical form (keys sorted, no spaces, without its own hash).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.vocabulary import Normalization, TagVocabulary, TokenVocabulary
from tagger.errors import ModelError, TaggerError
from tagger.runtime.publish import publish_directory

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MODEL_FILES = frozenset({MANIFEST, "config.yaml", "tokens.txt", "tags.txt", "weights.safetensors", "history.csv"})
_READ_TRIES = 20  # a reader meets a directory that is just being replaced
_SHA256_HEX = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """What prediction needs to know of a model.

    Attributes:
        layout, notation: the training file's.
        scheme: the network's own scheme, `none` for plain tags.
        normalization: what is done to a token before it is looked up.
        network: the arguments of the network, without `cudnn`.
        decoder: `constrained` or `softmax`.
        max_length: tokens of a sentence that the network sees at once.
        seed: of the training.
        dev: epoch, precision, recall, f1, accuracy of the saved weights on the dev set.
        test: the config's test file relative to the model directory, or None.
        versions: of the packages that made the model.
    """

    layout: Layout
    notation: Notation
    scheme: str
    normalization: Normalization
    network: Mapping[str, Any]
    decoder: str
    max_length: int
    seed: int
    dev: Mapping[str, float]
    test: str | None
    versions: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        layout = _plain(self.layout)
        layout["known_tags"] = sorted(self.layout.known_tags)
        return values | {
            "layout": layout,
            "notation": _plain(self.notation),
            "normalization": _plain(self.normalization),
            "network": dict(self.network),
            "dev": dict(self.dev),
            "versions": dict(self.versions),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; KeyError, TypeError or a TaggerError if the values are not a manifest's."""
        layout = dict(values["layout"])
        layout["known_tags"] = frozenset(layout["known_tags"])
        names = {field.name for field in dataclasses.fields(cls)}
        parts = {
            "layout": Layout(**layout),
            "notation": Notation(**values["notation"]),
            "normalization": Normalization(**values["normalization"]),
        }
        return cls(**({name: values[name] for name in names} | parts))


def _plain(value: Any) -> dict[str, Any]:
    fields = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    return {name: dict(item) if isinstance(item, Mapping) else item for name, item in fields}


def save_model(
    directory: Path,
    manifest: Manifest,
    *,
    tokens: TokenVocabulary,
    tags: TagVocabulary,
    weights: Mapping[str, Any],
    config: str,
    history: str,
) -> None:
    """Write a model directory in one step, replacing an older model.

    Raises:
        ModelError: the place is taken by something else, or cannot be written.
    """
    import safetensors.numpy

    files = {
        "config.yaml": config.encode(),
        "tokens.txt": _lines(tokens.tokens),
        "tags.txt": _lines(tags.tags),
        "weights.safetensors": safetensors.numpy.save(dict(weights)),
        "history.csv": history.encode(),
    }
    values = {"format_version": FORMAT_VERSION, **manifest.to_json()}
    values["files"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    }
    values["sha256"] = _manifest_hash(values)
    files[MANIFEST] = (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    publish_directory(directory, files)


def _lines(items: tuple[str, ...]) -> bytes:
    return "".join(f"{item}\n" for item in items).encode()


def _manifest_hash(values: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in values.items() if key != "sha256"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Model:
    """A model directory's content, as far as prediction needs it."""

    directory: Path
    manifest: Manifest
    tokens: TokenVocabulary
    tags: TagVocabulary
    weights: dict[str, Any]


def load_model(directory: Path) -> Model:
    """Read and verify a model.

    Raises:
        ModelError: the directory is missing, partial, altered, or of a newer format.
    """
    for last in (*[False] * (_READ_TRIES - 1), True):
        try:
            return _load(directory)
        except _Replaced:
            if last:
                raise ModelError(f"{directory}: is being replaced over and over; try again") from None
            time.sleep(0.01)
    raise AssertionError("unreachable")


class _Replaced(Exception):  # noqa: N818 (a signal to read again)
    """The directory was replaced while it was read."""


def _load(directory: Path) -> Model:
    import safetensors.numpy

    with _Reader(directory) as reader:
        values = reader.manifest()
        try:
            manifest = Manifest.from_json(values)
        except (KeyError, TypeError, ValueError, TaggerError) as error:
            raise ModelError(f"{directory / MANIFEST}: {error} is missing or wrong in it; train again") from None
        tokens = reader.lines("tokens.txt")
        tags = reader.lines("tags.txt")
        try:
            weights = safetensors.numpy.load(reader.verified("weights.safetensors"))
        except safetensors.SafetensorError as error:
            raise ModelError(f"{directory / 'weights.safetensors'}: {error}; train again") from None
    return Model(directory, manifest, TokenVocabulary(tokens, manifest.normalization), TagVocabulary(tags), weights)


class _Reader:
    """Reads the files of one directory through one descriptor, so that they cannot be of two models."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._files: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        except NotADirectoryError:
            raise ModelError(f"{self._directory}: is a file, expected a model directory; name the directory") from None
        except FileNotFoundError:
            if self._being_replaced():
                raise _Replaced from None
            raise ModelError(
                f"{self._directory}: no such model directory; train one with tagger train, or name another with --model"
            ) from None
        except OSError as error:
            raise ModelError(f"{self._directory}: cannot be opened: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def _being_replaced(self) -> bool:
        # Without an exchange of directories the model is away between two renames.
        directory = self._directory.resolve()
        return any(directory.parent.glob(f".{directory.name}.*.old"))

    def _read(self, name: str) -> bytes:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags | os.O_NOFOLLOW, dir_fd=self._descriptor)

        try:
            with open(name, "rb", opener=opener) as file:
                return file.read()
        except FileNotFoundError:
            if self._was_replaced():
                raise _Replaced from None
            what = "is no model directory" if name == MANIFEST else "the model is incomplete"
            raise ModelError(
                f"{self._directory}: found no {name}, expected one: {what}; copy the whole directory, or train again"
            ) from None
        except OSError as error:
            raise ModelError(f"{self._directory / name}: cannot be read: {error.strerror}") from None

    def _was_replaced(self) -> bool:
        try:
            return not os.path.samestat(os.fstat(self._descriptor), self._directory.stat())
        except FileNotFoundError:
            return self._being_replaced()

    def manifest(self) -> dict[str, Any]:
        path = self._directory / MANIFEST
        try:
            values: dict[str, Any] = json.loads(self._read(MANIFEST))
        except (ValueError, RecursionError):
            raise ModelError(f"{path}: not valid JSON: the file was altered; copy the model again") from None
        version = values.get("format_version") if isinstance(values, dict) else None
        if not isinstance(version, int):
            raise ModelError(f"{path}: found no format_version; this is no manifest of tagger, or it was altered")
        if version > FORMAT_VERSION:
            raise ModelError(
                f"{path}: found format version {version}, expected at most {FORMAT_VERSION}: the model is of a newer"
                " tagger; update with pip install --upgrade twobranch-tagger"
            )
        if values.get("sha256") != _manifest_hash(values):
            raise ModelError(f"{path}: its checksum does not match: the file was altered; copy the model again")
        files = values.get("files")
        self._files = files if isinstance(files, dict) else {}
        return values

    def verified(self, name: str) -> bytes:
        content = self._read(name)
        expected = self._files.get(name)
        found = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        if found != expected:
            raise ModelError(
                f"{self._directory / name}: its checksum does not match manifest.json: the file was altered or copied"
                " in part; copy the model again"
            )
        return content

    def lines(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(self.verified(name).decode().split("\n")[:-1])
        except UnicodeDecodeError:
            raise ModelError(f"{self._directory / name}: not UTF-8; copy the model again") from None
