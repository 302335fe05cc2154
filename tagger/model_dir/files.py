"""The files of a model directory; every reader reads each file once and verifies it against the manifest."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from tagger.errors import ModelError
from tagger.filesystem import open_directory
from tagger.machine import available_memory
from tagger.model_dir.manifest import FORMAT_VERSION, is_unaltered

MANIFEST = "manifest.json"
TOKENS, TAGS = "tokens.txt", "tags.txt"
CHARACTERS = "characters.txt"  # only if the network reads characters
FEATURES = "features.txt"  # name TAB value; only if the network reads feature columns
LISTS = "lists.txt"  # name TAB phrase; only if the network reads word lists
CLUSTERS = "clusters.txt"  # word TAB path; only if the network reads clusters
SUBWORDS = "subwords.txt"  # symbol TAB symbol; only if the network reads subwords
WEIGHTS = "weights.safetensors"  # all weights except the embedding
EMBEDDINGS = "embeddings.bin"  # [V, E] little-endian numbers and nothing else
STORED = {"float32": "<f4", "float16": "<f2"}  # the types in which the embedding may be stored
GRAPH = "model.onnx"
CONFIG, HISTORY = "config.yaml", "history.csv"
MODEL_FILES = frozenset({
    MANIFEST, TOKENS, TAGS, CHARACTERS, FEATURES, LISTS, CLUSTERS, SUBWORDS, WEIGHTS, EMBEDDINGS, GRAPH, CONFIG,
    HISTORY,
})  # fmt: skip
KIND, PRETRAINED = "kind", "pretrained"  # the key in a manifest, and its value, that tell a pretrained directory
LARGEST_MANIFEST = 24 << 20  # bytes; a million tags take nearly that much
_ALWAYS_FITS = 1 << 26  # bytes of a file that is read without asking how much memory is free
_READ_TRIES = 200  # attempts to read a directory while it is being replaced, 0.01 s apart
T = TypeVar("T")


class _ReplacedError(Exception):
    """The directory was replaced while it was being read and must be read again."""


def read_directory(directory: Path, read: Callable[[ModelFiles], T]) -> T:
    """Return the result of `read`, which sees the files of one model even if another one is being written.

    Raises:
        ModelError: the directory is missing or cannot be opened, or `read` raises it.
    """
    for last in (*[False] * (_READ_TRIES - 1), True):
        try:
            with ModelFiles(directory) as files:
                return read(files)
        except _ReplacedError:
            if last:
                raise ModelError(
                    f"{directory}: found a directory that is replaced repeatedly, expected a stable model; try again"
                    " when training has finished"
                ) from None
            time.sleep(0.01)
    raise AssertionError("unreachable")


class ModelFiles:
    """A reader of one directory.

    All files come from one model: they are read through one descriptor, or where the system has none for directories,
    a file of another model differs from the manifest, and the reader starts over.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._opened = open_directory(self.directory)
        except NotADirectoryError:
            raise ModelError(f"{self.directory}: is a file, expected a model directory; name the directory") from None
        except FileNotFoundError:
            if self._being_replaced():
                raise _ReplacedError from None
            raise ModelError(
                f"{self.directory}: no such model directory; train one with tagger train, or name another with --model"
            ) from None
        except OSError as error:
            raise ModelError(f"{self.directory}: cannot be opened: {error.strerror}; check its permissions") from None
        except ValueError as error:  # a NUL byte in the name
            raise ModelError(f"{str(self.directory)!r}: cannot be opened: {error}; check the path") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def path(self, name: str) -> Path:
        """Return the path of a file, for messages."""
        return self.directory / name

    def path_for_libraries(self, name: str) -> str:
        """Return a path for libraries that open files by name.

        On Linux, the path leads through the descriptor of the directory. On other systems, the directory may be
        replaced in the meantime, and the caller must call `check_not_replaced` afterwards.
        """
        return self._opened.path_of(name) or str(self.path(name))

    def check_not_replaced(self) -> None:
        """Make the reader start over if another model has taken the place of this one."""
        try:
            replaced = not self._opened.is_in_place()
        except FileNotFoundError:
            replaced = self._being_replaced()
        except OSError:
            return  # whoever opens the directory again learns why
        if replaced:
            raise _ReplacedError

    def _being_replaced(self) -> bool:
        # If the system cannot exchange directories, the model is missing between two renames. Look for the old
        # directory first: once the model is back, the old directory is gone.
        directory = self.directory.resolve()
        return any(directory.parent.glob(f".{directory.name}.*.old")) or directory.exists()

    def _read(self, name: str, read: Callable[[BinaryIO], T]) -> T:
        try:
            with open(name, "rb", opener=self._opened.open) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ModelError(f"{self.path(name)}: is not a file; copy the whole directory with its files")
                return read(file)
        except ModelError:
            self.check_not_replaced()  # it may be a file of the model that has taken the place of this one
            raise
        except FileNotFoundError:
            self.check_not_replaced()
            what = "this is not a model directory" if name == MANIFEST else "the model is incomplete"
            raise ModelError(
                f"{self.directory}: found no {name}, expected one: {what}; copy the whole directory, or train again"
            ) from None
        except OSError as error:
            self.check_not_replaced()  # a file that is being replaced may be locked
            reason = "is a link, expected a file" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
            raise ModelError(f"{self.path(name)}: {reason}; copy the whole directory with its files") from None

    def manifest(self) -> dict[str, Any]:
        """Read the values of the manifest; the other files are verified against its entries for them."""
        path = self.path(MANIFEST)
        content = self._read(MANIFEST, lambda file: file.read(LARGEST_MANIFEST + 1))
        if len(content) > LARGEST_MANIFEST:
            raise ModelError(
                f"{path}: found more than {LARGEST_MANIFEST} bytes, expected a manifest written by tagger; copy the"
                " model again"
            )
        try:
            values: dict[str, Any] = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"{path}: is not valid JSON ({error}), expected the manifest of a model: the file was altered; copy"
                " the model again"
            ) from None
        version = values.get("format_version") if isinstance(values, dict) else None
        if type(version) is not int or version < 1:
            raise ModelError(
                f"{path}: found no format_version, expected a manifest written by tagger: this is another file, or it"
                " was altered; copy the model again"
            )
        if version > FORMAT_VERSION:
            raise ModelError(
                f"{path}: found format version {version}, expected at most {FORMAT_VERSION}: the model is from a"
                " newer tagger; update with git pull and pip install . in a clone of tagger"
            )
        if version < FORMAT_VERSION:
            raise ModelError(
                f"{path}: found format version {version}, expected {FORMAT_VERSION}: the model is from an older"
                " tagger, which wrote another format; train again"
            )
        if not is_unaltered(content):
            raise ModelError(f"{path}: its checksum does not match: the file was altered; copy the model again")
        files = values.get("files")
        self._files = files if isinstance(files, dict) else {}
        return values

    def verified(self, name: str) -> bytes:
        """Return the content of a file, verified."""

        def read(file: BinaryIO) -> bytes:
            size = os.fstat(file.fileno()).st_size
            if self._size_of(name) != size:  # checked before the content takes any memory
                raise self._altered(name)
            available = available_memory() if size > _ALWAYS_FITS else None
            if available is not None and size > available:
                raise ModelError(
                    f"{self.path(name)}: found {size / 1e9:.1f} GB, expected at most the {available / 1e9:.1f} GB of"
                    " memory that is free; copy the model again, or use a machine with more memory"
                )
            content = file.read(size)
            self._compare(name, len(content), hashlib.sha256(content).hexdigest())
            return content

        return self._read(name, read)

    def size_of(self, name: str) -> int:
        """Return the size of a file in bytes.

        Raises:
            ModelError: the size differs from that in the manifest.
        """

        def size(file: BinaryIO) -> int:
            found = os.fstat(file.fileno()).st_size
            if self._size_of(name) != found:
                raise self._altered(name)
            return found

        return self._read(name, size)

    def verify(self, name: str) -> None:
        """Compare a file with the manifest, reading it in small parts, however large it is."""

        def read(file: BinaryIO) -> None:
            digest = hashlib.file_digest(file, "sha256")  # type: ignore[arg-type]
            self._compare(name, file.tell(), digest.hexdigest())

        self._read(name, read)

    def _compare(self, name: str, n_bytes: int, sha256: str) -> None:
        if self._files.get(name) != {"bytes": n_bytes, "sha256": sha256}:
            raise self._altered(name)

    def _size_of(self, name: str) -> Any:
        entry = self._files.get(name)
        return entry.get("bytes") if isinstance(entry, dict) else None

    def _altered(self, name: str) -> ModelError:
        return ModelError(
            f"{self.path(name)}: its checksum does not match {MANIFEST}: the file was altered or only partly copied;"
            " copy the model again"
        )

    def lines(self, name: str) -> tuple[str, ...]:
        """Return the lines of a file, which end in LF."""
        try:
            *lines, rest = self.verified(name).decode().split("\n")
        except UnicodeDecodeError:
            raise ModelError(f"{self.path(name)}: is not UTF-8; copy the model again") from None
        if rest:
            raise ModelError(
                f"{self.path(name)}: found {rest[:60]!r} without a line end, expected one after it; train again"
            )
        return tuple(lines)
