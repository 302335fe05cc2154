"""The record in a folder of outputs: what they were made with, and which inputs are done.

`.tagger-predict.jsonl` has a line about the model and the options, and then one for each input that is done. A line is
written once its output is in place, so an input without one is tagged again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from tagger.cluster.folder import Stamp
from tagger.errors import DataError
from tagger.filesystem import open_itself
from tagger.locks import FileLock

RECORD = ".tagger-predict.jsonl"
_LOCK = ".tagger-predict.lock"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Entry:
    """An input that is done.

    Attributes:
        input: its path below the folder of the inputs.
        stamp: what it was like when it was read.
        output: the path of its output below the folder of the outputs.
        size: the bytes of the output.

    Raises:
        ValueError: a value is of another kind.
    """

    input: str
    stamp: Stamp
    output: str
    size: int

    def __post_init__(self) -> None:
        if not (isinstance(self.input, str) and isinstance(self.output, str) and isinstance(self.size, int)):
            raise ValueError("found a path or a size of another kind")
        if not (isinstance(self.stamp, list) and all(isinstance(one, list) for one in self.stamp)):
            raise ValueError("found a stamp of another kind")


class Record:
    """The open record of a folder, which no other command may have open."""

    def __init__(self, folder: Path, file: FileIO, done: dict[str, Entry]) -> None:
        self._folder, self._file, self.done = folder, file, done
        self._input_of = {entry.output: entry.input for entry in done.values()}  # the last one that became it

    def is_done(self, name: str, stamp: Stamp) -> bool:
        """Return whether the output of an input is there and the input is as it was."""
        entry = self.done.get(name)
        if entry is None or entry.stamp != stamp or self._input_of[entry.output] != name:
            return False
        with contextlib.suppress(OSError):
            return (self._folder / entry.output).stat().st_size == entry.size
        return False

    def add(self, entry: Entry) -> None:
        """Note that an input is done.

        Raises:
            DataError: the record cannot be written.
        """
        self.done[entry.input] = entry
        self._input_of[entry.output] = entry.input
        _write_line(self._file, self._folder, dataclasses.asdict(entry))


@contextlib.contextmanager
def open_record(folder: Path, made_with: Mapping[str, Any]) -> Iterator[Record]:
    """Open the record of a folder of outputs, or begin one, for the time of a `with` block.

    Args:
        folder: the folder, which is made if it is not there.
        made_with: what decides the outputs, in words → value.

    Raises:
        DataError: the folder holds something else, outputs that were made otherwise, or another command writes there.
    """
    lock = _hold(folder)
    try:
        with _open(folder) as file:
            yield Record(folder, file, _read(file, folder, made_with))
    finally:
        lock.release(remove=True)


def _hold(folder: Path) -> FileLock:
    try:
        lock = FileLock.take(folder / _LOCK)
    except OSError as error:
        raise _not_written(folder, error) from None
    if lock is None:
        raise DataError(
            "another command is writing there, expected none; wait for it, or choose another folder", path=folder
        )
    return lock


def _open(folder: Path) -> FileIO:
    try:
        if not (folder / RECORD).exists():
            _require_empty(folder)
        # Unbuffered, so that a full disk is an error here and not when the file is closed.
        return FileIO(open_itself(folder / RECORD, os.O_RDWR | os.O_CREAT), "r+b")
    except OSError as error:
        raise _not_written(folder, error) from None


def _not_written(folder: Path, error: OSError) -> DataError:
    return DataError(f"cannot be written: {error.strerror}; choose another folder", path=folder)


def _require_empty(folder: Path) -> None:
    foreign = next((entry.name for entry in sorted(folder.iterdir()) if entry.name != _LOCK), None)
    if foreign is not None:
        raise DataError(
            f"holds {foreign}, which no tagger predict --ray has written, expected a new or an empty folder; choose"
            " another",
            path=folder,
        )


def _read(file: FileIO, folder: Path, made_with: Mapping[str, Any]) -> dict[str, Entry]:
    """Read what is done, and leave the file where the next line belongs."""
    header = {"version of the record": _VERSION, **made_with}
    done: dict[str, Entry] = {}
    try:
        content = file.read()
        end = content.rfind(b"\n") + 1  # the last line may be cut, if the machine stopped
        lines = content[:end].decode().splitlines()
        if len(lines) > 1:  # otherwise nothing was made with anything
            _require_same(json.loads(lines[0]), header, folder)
        for line in lines[1:]:
            entry = Entry(**json.loads(line))
            done.pop(entry.input, None)  # the order is that of the lines
            done[entry.input] = entry
    except (ValueError, TypeError, AttributeError):
        raise DataError(
            f"found the damaged record {RECORD}, expected what an earlier command has done; remove the folder, or"
            " choose another",
            path=folder,
        ) from None
    file.seek(end if done else 0)
    file.truncate()
    if not done:
        _write_line(file, folder, header)
    return done


def _write_line(file: FileIO, folder: Path, value: Mapping[str, Any]) -> None:
    rest = json.dumps(value).encode() + b"\n"
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _not_written(folder, error) from None


def _require_same(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    differing = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if differing:
        raise DataError(
            f"found outputs that were made with another {differing[0]}, expected the same one, because a folder is"
            " continued; remove the folder, or choose another",
            path=folder,
            detail=[f"{name}: found {before.get(name)}, expected {now.get(name)}" for name in differing],
        )
