"""The states of an unfinished training, beside its model in DIR.training/: what going on to the bit needs.

A state is one safetensors file: arrays, and in its metadata facts as JSON and the SHA-256 of both. It is written to a
temporary file, synced and renamed; the newest two are kept, so that a damaged one is not the end.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from tagger.errors import ModelError, TaggerError
from tagger.runtime.publish import explain_not_writable, remove_leftovers, write_atomically

_LOCK = "lock"
_STATE = re.compile(r"state-(\d{1,12})\.safetensors")


@dataclasses.dataclass(frozen=True)
class State:
    """What a training has come to.

    Attributes:
        facts: what JSON can hold.
        arrays: by name.
    """

    facts: Mapping[str, Any]
    arrays: Mapping[str, npt.NDArray[Any]]

    def to_bytes(self) -> bytes:
        """The content of its file."""
        arrays = {name: np.asarray(array, order="C") for name, array in self.arrays.items()}
        text = json.dumps(self.facts, sort_keys=True)
        return safetensors.numpy.save(arrays, {"facts": text, "sha256": _digest(text, arrays)})

    @classmethod
    def from_bytes(cls, content: bytes) -> State:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: the content is damaged.
        """
        try:
            arrays = safetensors.numpy.load(content)
            size = int.from_bytes(content[:8], "little")
            metadata = json.loads(content[8 : 8 + size])["__metadata__"]
            text, expected = metadata["facts"], metadata["sha256"]
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"is no state: {error}") from None
        if _digest(text, arrays) != expected:
            raise ValueError("its checksum does not match")
        return cls(json.loads(text), arrays)


def _digest(facts: str, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    digest = hashlib.sha256(facts.encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"\n{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class Checkpoints:
    """The states of the training that writes a model directory.

    Args:
        model_dir: of a link, the directory that it points to is meant.
    """

    def __init__(self, model_dir: Path) -> None:
        self._model_dir = model_dir.resolve()
        self.directory = self._model_dir.with_name(f"{self._model_dir.name}.training")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other training away from the model directory; what a killed one left half written is removed.

        Raises:
            ModelError: another training is at work there, or nothing can be written.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            # Without buffering: a full disk shows here and not when the file is closed.
            lock = (self.directory / _LOCK).open("ab", buffering=0)
        except OSError as error:
            raise explain_not_writable(self.directory, error) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ModelError(
                    f"{self._model_dir}: another training is writing this model, expected none; wait for it, or"
                    " choose another place with --model"
                ) from None
            except OSError:
                pass  # a file system without locks
            remove_leftovers(self._model_dir)
            for path in self.directory.glob(".state-*.new"):
                path.unlink(missing_ok=True)
            yield

    def save(self, state: State, *, n_kept: int = 2) -> None:
        """Write a state; afterwards only the newest `n_kept` stay.

        Raises:
            ModelError: it cannot be written; the states that were there still are.
        """
        paths = self._paths()
        number = 1 + (self._number(paths[-1]) if paths else 0)
        try:
            write_atomically(self.directory / f"state-{number:06d}.safetensors", state.to_bytes())
            for path in paths[: len(paths) + 1 - n_kept]:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise explain_not_writable(self.directory, error) from None

    def newest(self, warn: Callable[[str], None] = lambda text: None) -> State | None:
        """The newest state that is whole, or None if there is none at all.

        Args:
            warn: is told of damaged ones.

        Raises:
            ModelError: there are states, and all of them are damaged.
        """
        paths, damaged = self._paths(), list[Path]()
        for path in reversed(paths):
            try:
                state = State.from_bytes(path.read_bytes())
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                warn(f"{path}: {reason}; looking at the state before it")
                damaged.append(path)
                continue
            for other in damaged:  # or it would count as one of those to keep
                other.unlink(missing_ok=True)
            return state
        if paths:
            raise ModelError(
                f"{self.directory}: found {len(paths)} damaged states, expected a whole one to go on from; delete the"
                " directory and train again without --resume"
            )
        return None

    def discard(self) -> None:
        """Remove all states."""
        for path in self._paths():
            path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _paths(self) -> list[Path]:
        try:
            paths = [path for path in self.directory.iterdir() if _STATE.fullmatch(path.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise TaggerError(f"{self.directory}: cannot be read: {error.strerror}; check its permissions") from None
        return sorted(paths, key=self._number)

    @staticmethod
    def _number(path: Path) -> int:
        match = _STATE.fullmatch(path.name)
        return int(match[1]) if match else 0
