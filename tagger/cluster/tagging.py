"""Tagging the files of a folder on a Ray cluster: a worker reads an input and writes its output in one step."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import tagger
from tagger.atomic import writing_atomically
from tagger.cluster.connection import LOCAL, connected
from tagger.cluster.folder import Inputs, Stamp, check_place, check_places, inputs_of, remove_half_written, stamp_of
from tagger.cluster.model_copy import ModelCopy, model_copy
from tagger.cluster.record import RECORD, Entry, Record, open_record
from tagger.errors import DataError, TaggerError
from tagger.prediction.predictor import Predictor
from tagger.wording import counted


@dataclasses.dataclass(frozen=True)
class Unit:
    """An input that is to be tagged.

    Attributes:
        name: its path below the folder of the inputs.
        source: its absolute path.
        target: that of its output.
        n_files: the number of its files, two for a text with brat's annotations.
    """

    name: str
    source: Path
    target: Path
    n_files: int

    def __str__(self) -> str:
        return str(self.source)


@dataclasses.dataclass(frozen=True)
class Tagged:
    """An input that is done: its stamp when it was read, the bytes of its output, and what there is to say."""

    stamp: Stamp
    size: int
    notes: list[str]


class FileOutput:
    """The output of one input: what is tagged goes into a file, and messages are kept."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size, self.notes = 0, list[str]()

    def write(self, data: bytes, /) -> None:
        """Write data."""
        self._file.write(data)
        self.size += len(data)

    def flush(self) -> None:
        """Do nothing: the file appears as a whole."""

    def say(self, text: str, /) -> None:
        """Keep a message."""
        self.notes.append(text)


# Tags the input of a path into an output; picklable.
TagFile = Callable[[Predictor, str, FileOutput], None]


@dataclasses.dataclass(frozen=True)
class FileTagger:
    """What a worker needs: a call loads the model, and returns a function that tags a unit.

    Attributes:
        model: the model.
        tag: tags an input.
        source, target: the folders of the inputs and of the outputs.
        version: the version of tagger that the command has.
    """

    model: ModelCopy
    tag: TagFile
    source: Path
    target: Path
    version: str = tagger.__version__

    def __call__(self) -> Callable[[Unit], Tagged]:
        """Load the model.

        Raises:
            TaggerError: this machine has another version, or does not see the folders.
        """
        if tagger.__version__ != self.version:
            raise TaggerError(
                f"--ray: found tagger {tagger.__version__} on {platform.node()}, expected {self.version} as on this"
                " machine; install the same version on all machines"
            )
        for folder, is_there in ((self.source, self.source.is_dir()), (self.target, (self.target / RECORD).is_file())):
            if not is_there:
                raise DataError(
                    f"cannot be seen from {platform.node()}, expected a folder that all machines share; mount it there"
                    " under the same path",
                    path=folder,
                )
        predictor = self.model.load()
        return lambda unit: self._tag(predictor, unit)

    def _tag(self, predictor: Predictor, unit: Unit) -> Tagged:
        stamp = stamp_of(unit.source, unit.n_files)
        unit.target.parent.mkdir(parents=True, exist_ok=True)
        with writing_atomically(unit.target) as file:
            out = FileOutput(file)
            self.tag(predictor, str(unit.source), out)
            if stamp_of(unit.source, unit.n_files) != stamp:
                raise DataError(
                    "has changed while it was read, expected a file that stays as it is; give the same command again"
                    " when it is complete",
                    path=unit.source,
                )
        return Tagged(stamp, out.size, out.notes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderSettings:
    """The settings of a folder that is tagged.

    Attributes:
        address: `local`, or the address of a cluster.
        source, target: the folders of the inputs and of the outputs.
        model: the directory of the model.
        made_with: what decides the outputs besides the model, in words → value.
        tag: tags an input; picklable.
        name_of: returns the name of the output of an input, given the path of the input; raises TaggerError if it
            cannot be read.
        workers: the number of workers; None for as many as the cluster has cores.
    """

    address: str
    source: Path
    target: Path
    model: Path
    made_with: Mapping[str, Any]
    tag: TagFile
    name_of: Callable[[Path], str]
    workers: int | None = None


class Watcher:
    """What is told about a folder while it is tagged; it shows nothing."""

    def note(self, text: str) -> None:
        """Report something worth knowing."""

    def begin(self, n: int, n_done: int, n_workers: int) -> None:
        """Report the inputs in all, those that were done before, and the workers."""

    def done(self, name: str, notes: Sequence[str]) -> None:
        """Report that an input is done."""

    def failed(self, name: str, error: TaggerError) -> None:
        """Report that an input could not be tagged."""


def tag_folder(settings: FolderSettings, watcher: Watcher) -> int:
    """Tag the files of a folder that are not done yet, and return the number of those that could not be tagged.

    Raises:
        TaggerError: the folders, the model or the cluster cannot be used.
    """
    check_places(settings.source, settings.target)
    inputs = inputs_of(settings.source)
    for text in inputs.left_out:
        watcher.note(f"note: {settings.source}: left out {text}")
    checksum = model_copy(settings.model, in_store=False).checksum
    with open_record(settings.target, {**settings.made_with, "model": checksum}) as record:
        remove_half_written(settings.target)
        gone = sorted(set(record.done) - set(inputs.stamps))
        if gone:
            n = counted(len(gone), "output")
            watcher.note(f"note: {settings.target}: {n} of inputs that are gone, such as {gone[0]}; they stay")
        plan = _Plan(settings, inputs, record)
        for name, error in plan.failed.items():
            watcher.failed(name, error)
        if not plan.units:
            watcher.begin(len(inputs.stamps), plan.n_done, 0)
            return len(plan.failed)
        try:
            return len(plan.failed) + _tag_units(settings, plan, record, watcher)
        finally:
            remove_half_written(settings.target)


class _Plan:
    """What is to be done.

    Attributes:
        units: the inputs that are to be tagged.
        failed: those whose format is unknown.
        n_done: the number of those that were done before.
    """

    def __init__(self, settings: FolderSettings, inputs: Inputs, record: Record) -> None:
        source, target = settings.source.absolute(), settings.target.absolute()
        self.units, self.failed, self.n_done = list[Unit](), dict[str, TaggerError](), 0
        names = dict[str, str]()  # output → input
        for name, stamp in inputs.stamps.items():
            if record.is_done(name, stamp):
                output = record.done[name].output
                self.n_done += 1
            else:
                try:
                    output = str(Path(name).with_name(settings.name_of(source / name)))
                    check_place(target / output, target)
                except TaggerError as error:
                    self.failed[name] = error
                    continue
                self.units.append(Unit(name, source / name, target / output, len(stamp)))
            if output in names:
                raise DataError(
                    f"{settings.source}: {names[output]} and {name} would both become {output}, expected a place for"
                    " each; rename one of them, or move it to another folder"
                )
            names[output] = name


def _tag_units(settings: FolderSettings, plan: _Plan, record: Record, watcher: Watcher) -> int:
    n_failed = 0
    n_needed = min(settings.workers or len(plan.units), len(plan.units))
    with connected(settings.address, cores=settings.workers) as cores:
        from tagger.cluster.workers import Workers

        n = min(n_needed, settings.workers or cores)
        model = model_copy(settings.model, in_store=settings.address != LOCAL)
        work = FileTagger(model, settings.tag, settings.source.absolute(), settings.target.absolute())
        watcher.begin(plan.n_done + len(plan.units) + len(plan.failed), plan.n_done, n)
        for unit in plan.units:
            unit.target.unlink(missing_ok=True)  # what an earlier version of the input became
        workers: Workers[Unit, Tagged] = Workers(work, n, watcher.note)
        with contextlib.closing(workers.results(plan.units)) as results:
            for unit, found in results:
                if isinstance(found, TaggerError):
                    n_failed += 1
                    watcher.failed(unit.name, found)
                    continue
                output = unit.target.relative_to(settings.target.absolute())
                record.add(Entry(unit.name, found.stamp, str(output), found.size))
                watcher.done(unit.name, found.notes)
    return n_failed
