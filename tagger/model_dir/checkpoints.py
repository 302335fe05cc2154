"""The states of an unfinished training, in DIR.training/ beside its model.

They hold everything that is needed to continue bit for bit. A state is one safetensors file: arrays, and in its
metadata a record as JSON and the SHA-256 of both. It is written to a temporary file, synced and renamed. The newest two
are kept in case one of them is damaged.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from tagger.atomic import explain_not_writable, remove_leftovers, write_atomically
from tagger.errors import ModelError
from tagger.locks import FileLock
from tagger.model_dir.files import MANIFEST

_LOCK = "lock"
_STATE = re.compile(r"state-([0-9]+)\.safetensors")
_HALF_WRITTEN = re.compile(r"\.state-[0-9]+\.safetensors\.[0-9]+\.new")
_DTYPES = {"float16": "F16", "float32": "F32", "float64": "F64", "int32": "I32", "int64": "I64", "bool": "BOOL"}


class InUseError(ModelError):
    """Another training is writing the model."""


@dataclasses.dataclass(frozen=True)
class State:
    """The state of a training.

    Attributes:
        record: the settings, and how far the training has come, as JSON values; the file calls it `facts`.
        arrays: the weights and the optimizer's numbers by name.
    """

    record: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    def parts(self) -> list[bytes | memoryview]:
        """Return the content of the file in parts, without copying an array; the safetensors library copies each twice.

        The format of safetensors: 8 bytes with the length of the header, the header (JSON with the type, shape and
        place of each array), the arrays.
        """
        arrays = {name: np.asarray(array, order="C") for name, array in self.arrays.items()}
        text, end = json.dumps(self.record, sort_keys=True), 0
        header: dict[str, Any] = {"__metadata__": {"facts": text, "sha256": _digest(text, arrays)}}
        for name, array in arrays.items():
            place = [end, end := end + array.nbytes]
            header[name] = {"dtype": _DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": place}
        packed = json.dumps(header).encode()
        packed += b" " * (-len(packed) % 8)
        return [len(packed).to_bytes(8, "little"), packed, *map(_bytes_of, arrays.values())]

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return b"".join(self.parts())

    @classmethod
    def from_bytes(cls, content: bytes) -> State:
        """Read a state from the content of its file: the inverse of `to_bytes`.

        Raises:
            ValueError: the content is damaged.
        """
        try:
            arrays = safetensors.numpy.load(content)
            size = int.from_bytes(content[:8], "little")
            metadata = json.loads(content[8 : 8 + size])["__metadata__"]
            text, expected = metadata["facts"], metadata["sha256"]
            record = json.loads(text)
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"the file is not a state: {error}") from None
        if _digest(text, arrays) != expected:
            raise ValueError("its checksum does not match")
        if not isinstance(record, dict):
            raise ValueError("the file has no record of the training's progress")
        return cls(record, arrays)


def _digest(record: str, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256(record.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(_bytes_of(array))
    return digest.hexdigest()


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _is_ours(path: Path) -> bool:
    return path.name == _LOCK or any(pattern.fullmatch(path.name) for pattern in (_STATE, _HALF_WRITTEN))


class Checkpoints:
    """The states of the training that writes a model directory.

    Args:
        model_dir: the model directory, or a link to it.
    """

    def __init__(self, model_dir: Path) -> None:
        self._given = model_dir
        self._lock: FileLock | None = None

    @functools.cached_property
    def model_dir(self) -> Path:
        """The model directory with all links resolved."""
        return self._given.resolve()

    @property
    def directory(self) -> Path:
        """The directory of the states."""
        return self.model_dir.with_name(f"{self.model_dir.name}.training")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other training away from the model directory; remove partial files of a training that was killed.

        Raises:
            ModelError: another training holds the lock, something else is in the way, or nothing can be written.
        """
        self._check_place()
        try:
            self._hold()
            remove_leftovers(self.model_dir, marker=MANIFEST)
            for path in self._entries():
                if _HALF_WRITTEN.fullmatch(path.name):
                    path.unlink(missing_ok=True)
            yield
        finally:
            if self._lock is not None:
                is_empty = False
                with contextlib.suppress(ModelError):
                    is_empty = self._lock.is_held() and not self._paths()
                    if is_empty:
                        self.remove()
                self._lock.release(remove=is_empty)
                self._lock = None
                if is_empty:  # leave no empty directory behind
                    with contextlib.suppress(OSError):
                        self.directory.rmdir()

    def _check_place(self) -> None:
        """Refuse a directory that holds anything but states, because a training deletes what is in there."""
        for path in self._entries():
            if path.is_dir() or not _is_ours(path):
                raise ModelError(
                    f"{self.directory}: found {path.name} in it, expected nothing but the states of a training; move"
                    " the directory, or choose another place with --model"
                )

    def _hold(self) -> None:
        """Take the lock.

        Take it again if the directory with the lock file has been deleted in the meantime.
        """
        if self._lock is not None and self._lock.is_held():
            return
        try:
            lock = FileLock.take(self.directory / _LOCK)
        except OSError as error:
            raise self._explain(error) from None
        if lock is None:
            raise InUseError(
                f"{self.model_dir}: another training is writing this model, expected none; wait for it, or"
                " choose another place with --model"
            )
        if self._lock is not None:
            self._lock.release()
        self._lock = lock

    def _explain(self, error: OSError) -> ModelError:
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            return ModelError(
                f"{self.directory}: a file or a link is in the way, expected a place for the states of this training;"
                " move it, or choose another place with --model"
            )
        return explain_not_writable(self.directory, error)

    def save(self, state: State, *, n_kept: int = 2) -> None:
        """Write a state while holding the lock, then remove all but the newest `n_kept`.

        Raises:
            ModelError: the state cannot be written; the earlier ones are still there.
        """
        self._hold()
        paths = self._paths()
        number = 1 + (self._number(paths[-1]) if paths else 0)
        try:
            write_atomically(self.directory / f"state-{number:06d}.safetensors", *state.parts())
            for path in paths[: len(paths) + 1 - n_kept]:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._explain(error) from None

    def has_states(self) -> bool:
        """Return whether there are any states, damaged or not."""
        return bool(self._paths())

    def newest(self, warn: Callable[[str], None] = lambda text: None, *, remove_damaged: bool = False) -> State | None:
        """Return the newest state that is not damaged, or None if there are no states.

        Args:
            warn: receives a line about each damaged state.
            remove_damaged: whether to remove damaged states, which would count among those to keep. Only a training
                that continues from an earlier state may do that.

        Raises:
            ModelError: all states are damaged, or one cannot be read.
        """
        paths, damaged = self._paths(), list[Path]()
        for path in reversed(paths):
            try:
                state = State.from_bytes(path.read_bytes())
            except OSError as error:
                raise ModelError(
                    f"{path}: cannot be read: {error.strerror}; check its permissions, or delete"
                    f" {self.directory} to start over"
                ) from None
            except ValueError as error:
                warn(f"{path}: {error}; trying the previous state")
                damaged.append(path)
                continue
            if remove_damaged:
                self._remove(damaged)
            return state
        if paths:
            raise ModelError(
                f"{self.directory}: found only damaged states ({len(paths)}), expected one to continue from; delete the"
                " directory and give the same command again to start over"
            )
        return None

    def discard(self) -> None:
        """Remove all states."""
        self._remove(self._paths())

    def _remove(self, paths: Sequence[Path]) -> None:
        try:
            for path in paths:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise self._explain(error) from None

    def remove(self) -> None:
        """Remove all states, and the directory if nothing else is in it."""
        for path in self._entries():
            if _is_ours(path):
                with contextlib.suppress(OSError):
                    path.unlink()
        with contextlib.suppress(OSError):
            self.directory.rmdir()

    def _paths(self) -> list[Path]:
        """Return the files of all states, the oldest first."""
        return sorted((path for path in self._entries() if _STATE.fullmatch(path.name)), key=self._number)

    def _entries(self) -> list[Path]:
        try:
            return list(self.directory.iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise self._explain(error) from None
        except OSError as error:
            raise ModelError(f"{self.directory}: cannot be read: {error.strerror}; check its permissions") from None

    @staticmethod
    def _number(path: Path) -> int:
        match = _STATE.fullmatch(path.name)
        return int(match[1]) if match else 0


def directory_of(model_dir: Path, seed: int) -> Path:
    """Return the directory of one seed's model: beside the model, so that relative paths are the same in both."""
    target = model_dir.resolve()
    return target.with_name(f".{target.name}.seed-{seed}")
