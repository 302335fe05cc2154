"""The model directory: plain files, each verified against the manifest by whoever reads it.

`manifest.json` says all that prediction needs and carries the SHA-256 of every other file, and of itself in
canonical form (keys sorted, no spaces, without its own hash).
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES
from tagger.corpus.vocabulary import TagVocabulary, TokenVocabulary
from tagger.errors import ModelError
from tagger.runtime.manifest import FORMAT_VERSION, Manifest, dump_manifest, is_unaltered
from tagger.runtime.publish import check_replaceable, check_writable, publish_directory

MANIFEST = "manifest.json"
MODEL_FILES = frozenset({MANIFEST, "config.yaml", "tokens.txt", "tags.txt", "weights.safetensors", "history.csv"})
_READ_TRIES = 200  # of a reader that meets a directory which is just being replaced; 0.01 s apart


def check_place(directory: Path) -> None:
    """Make sure, before a long training, that a model can be written there and nothing but a model would be lost.

    Raises:
        ModelError: something else is there, or nothing can be written.
    """
    check_replaceable(directory, MODEL_FILES, marker=MANIFEST)
    check_writable(directory)


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
    files[MANIFEST] = dump_manifest(values)
    check_replaceable(directory, MODEL_FILES, marker=MANIFEST)
    publish_directory(directory, files)


def _lines(items: tuple[str, ...]) -> bytes:
    return "".join(f"{item}\n" for item in items).encode()


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
        except ModelError as error:
            raise ModelError(f"{directory / MANIFEST}: {error.message}; train again") from None
        try:
            tokens = TokenVocabulary(reader.lines("tokens.txt"), manifest.normalization)
        except ValueError as error:
            raise ModelError(f"{directory / 'tokens.txt'}: {error}; train again") from None
        tags = _checked_tags(directory / "tags.txt", reader.lines("tags.txt"), manifest.scheme)
        try:
            weights = safetensors.numpy.load(reader.verified("weights.safetensors"))
        except (safetensors.SafetensorError, ValueError, KeyError) as error:
            raise ModelError(f"{directory / 'weights.safetensors'}: {error}; train again") from None
    for name, weight in weights.items():
        if weight.dtype != np.float32 or not np.isfinite(weight).all():
            raise ModelError(
                f"{directory / 'weights.safetensors'}: {name}: found {weight.dtype} with"
                f" {np.count_nonzero(weight != weight)} NaN, expected finite float32; train again"
            )
    return Model(directory, manifest, tokens, tags, weights)


def _checked_tags(path: Path, tags: tuple[str, ...], scheme: str) -> TagVocabulary:
    """The tag vocabulary; raises ModelError if a tag stands twice, holds a blank or is not of the scheme."""
    prefixes = SCHEMES[scheme].prefixes if scheme != NO_SCHEME else frozenset[str]()
    for i, tag in enumerate(tags):
        prefix, _, entity_type = tag.partition("-")
        of_scheme = scheme == NO_SCHEME or tag == OUTSIDE or (prefix in prefixes and entity_type)
        if not of_scheme or not tag or set(tag) & set(" \t\r\n") or tag in tags[:i]:
            raise ModelError(f"{path}:{i + 1}: found {tag!r}, expected another tag of the scheme {scheme}; train again")
    if not tags:
        raise ModelError(f"{path}: found no tag, expected one a line; train again")
    return TagVocabulary(tags)


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
        # Without an exchange of directories the model is away between two renames; it may be back by now, and
        # then the old one is gone already: look for it first.
        directory = self._directory.resolve()
        return any(directory.parent.glob(f".{directory.name}.*.old")) or directory.exists()

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
            reason = "is a link, expected a file" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
            raise ModelError(f"{self._directory / name}: {reason}; copy the whole directory with its files") from None

    def _was_replaced(self) -> bool:
        try:
            return not os.path.samestat(os.fstat(self._descriptor), self._directory.stat())
        except FileNotFoundError:
            return self._being_replaced()

    def manifest(self) -> dict[str, Any]:
        path = self._directory / MANIFEST
        content = self._read(MANIFEST)
        try:
            values: dict[str, Any] = json.loads(content)
        except (ValueError, RecursionError):
            raise ModelError(f"{path}: not valid JSON: the file was altered; copy the model again") from None
        version = values.get("format_version") if isinstance(values, dict) else None
        if type(version) is not int or version < 1:
            raise ModelError(f"{path}: found no format_version; this is no manifest of tagger, or it was altered")
        if version > FORMAT_VERSION:
            raise ModelError(
                f"{path}: found format version {version}, expected at most {FORMAT_VERSION}: the model is of a newer"
                " tagger; update with pip install --upgrade twobranch-tagger"
            )
        if not is_unaltered(content, values):
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
