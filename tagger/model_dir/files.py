"""The files of one model directory, each read once and verified against the manifest by whoever reads it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self, TypeVar

from tagger.errors import ModelError
from tagger.model_dir.manifest import FORMAT_VERSION, is_unaltered

MANIFEST = "manifest.json"
TOKENS, TAGS = "tokens.txt", "tags.txt"
CHARACTERS = "characters.txt"  # only where the network reads them
FEATURES = "features.txt"  # name TAB value; only where the network reads feature columns
WEIGHTS = "weights.safetensors"  # all but the embedding
EMBEDDINGS = "embeddings.bin"  # [V, E] little-endian numbers, and nothing else
STORED = {"float32": "<f4", "float16": "<f2"}  # how they may be stored
GRAPH = "model.onnx"
CONFIG, HISTORY = "config.yaml", "history.csv"
MODEL_FILES = frozenset({MANIFEST, TOKENS, TAGS, CHARACTERS, FEATURES, WEIGHTS, EMBEDDINGS, GRAPH, CONFIG, HISTORY})
_LARGEST_MANIFEST = 24 << 20  # bytes; a million tags take nearly all of it
_READ_TRIES = 200  # of a reader that meets a directory which is just being replaced; 0.01 s apart
T = TypeVar("T")


class _ReplacedError(Exception):
    """The directory was replaced while it was read: read it again."""


def read_directory(directory: Path, read: Callable[[ModelFiles], T]) -> T:
    """What `read` makes of the directory's files; all of them are of one model, even if another is being written.

    Raises:
        ModelError: the directory is missing or cannot be opened, or `read` says so.
    """
    for last in (*[False] * (_READ_TRIES - 1), True):
        try:
            with ModelFiles(directory) as files:
                return read(files)
        except _ReplacedError:
            if last:
                raise ModelError(f"{directory}: is being replaced over and over; try again") from None
            time.sleep(0.01)
    raise AssertionError("unreachable")


class ModelFiles:
    """Reads the files of one directory through one descriptor, so that they cannot be of two models."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
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
        os.close(self._descriptor)

    def path(self, name: str) -> Path:
        """Of a file, for messages."""
        return self.directory / name

    def descriptor_path(self, name: str) -> str:
        """A path for libraries that open files by name: through the descriptor where the system has such paths.

        Elsewhere the directory may be replaced meanwhile: ask `check_not_replaced` afterwards.
        """
        if sys.platform == "linux" and Path("/proc/self/fd").exists():
            return f"/proc/self/fd/{self._descriptor}/{name}"
        return str(self.path(name))

    def check_not_replaced(self) -> None:
        """Make the reader begin anew if another model has taken this one's place."""
        try:
            replaced = not os.path.samestat(os.fstat(self._descriptor), self.directory.stat())
        except FileNotFoundError:
            replaced = self._being_replaced()
        if replaced:
            raise _ReplacedError

    def _being_replaced(self) -> bool:
        # Without an exchange of directories the model is away between two renames; it may be back by now, and
        # then the old one is gone already: look for it first.
        directory = self.directory.resolve()
        return any(directory.parent.glob(f".{directory.name}.*.old")) or directory.exists()

    def _read(self, name: str, read: Callable[[BinaryIO], T]) -> T:
        def opener(path: str, flags: int) -> int:
            # Without waiting: a pipe of that name would never answer.
            return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self._descriptor)

        try:
            with open(name, "rb", opener=opener) as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise ModelError(f"{self.path(name)}: is no file; copy the whole directory with its files")
                return read(file)
        except FileNotFoundError:
            self.check_not_replaced()
            what = "is no model directory" if name == MANIFEST else "the model is incomplete"
            raise ModelError(
                f"{self.directory}: found no {name}, expected one: {what}; copy the whole directory, or train again"
            ) from None
        except OSError as error:
            reason = "is a link, expected a file" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}"
            raise ModelError(f"{self.path(name)}: {reason}; copy the whole directory with its files") from None

    def manifest(self) -> dict[str, Any]:
        """The manifest's values; what they say of the other files is what these are verified against."""
        path = self.path(MANIFEST)
        content = self._read(MANIFEST, lambda file: file.read(_LARGEST_MANIFEST + 1))
        if len(content) > _LARGEST_MANIFEST:
            raise ModelError(f"{path}: has more than {_LARGEST_MANIFEST} bytes; this is no manifest of tagger")
        try:
            values: dict[str, Any] = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ModelError(
                f"{path}: found no JSON ({error}), expected the manifest of a model: the file was altered; copy the"
                " model again"
            ) from None
        version = values.get("format_version") if isinstance(values, dict) else None
        if type(version) is not int or version < 1:
            raise ModelError(f"{path}: found no format_version; this is no manifest of tagger, or it was altered")
        if version > FORMAT_VERSION:
            raise ModelError(
                f"{path}: found format version {version}, expected at most {FORMAT_VERSION}: the model is of a newer"
                " tagger; update with pip install --upgrade twobranch-tagger"
            )
        if version < FORMAT_VERSION:
            raise ModelError(
                f"{path}: found format version {version}, expected {FORMAT_VERSION}: the model is of an older tagger,"
                " which wrote models of another form; train again"
            )
        if not is_unaltered(content):
            raise ModelError(f"{path}: its checksum does not match: the file was altered; copy the model again")
        files = values.get("files")
        self._files = files if isinstance(files, dict) else {}
        return values

    def verified(self, name: str) -> bytes:
        """A file's content."""

        def read(file: BinaryIO) -> bytes:
            size = os.fstat(file.fileno()).st_size
            if self._size_of(name) != size:  # before memory is taken for it
                raise self._altered(name)
            content = file.read(size)
            self._compare(name, len(content), hashlib.sha256(content).hexdigest())
            return content

        return self._read(name, read)

    def size_of(self, name: str) -> int:
        """The size of a file in bytes.

        Raises:
            ModelError: it is not what the manifest says.
        """

        def size(file: BinaryIO) -> int:
            found = os.fstat(file.fileno()).st_size
            if self._size_of(name) != found:
                raise self._altered(name)
            return found

        return self._read(name, size)

    def verify(self, name: str) -> None:
        """Compare a file with the manifest; it is read bit by bit, however large it is."""

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
            f"{self.path(name)}: its checksum does not match {MANIFEST}: the file was altered or copied"
            " in part; copy the model again"
        )

    def lines(self, name: str) -> tuple[str, ...]:
        """A file's lines, which end in LF."""
        try:
            *lines, rest = self.verified(name).decode().split("\n")
        except UnicodeDecodeError:
            raise ModelError(f"{self.path(name)}: not UTF-8; copy the model again") from None
        if rest:
            raise ModelError(f"{self.path(name)}: found {rest[:60]!r} without a line end, expected one; train again")
        return tuple(lines)
