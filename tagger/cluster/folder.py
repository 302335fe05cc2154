"""The inputs in a folder, and the places of their outputs."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from tagger.errors import DataError
from tagger.wording import counted, listed

_TEXT, _ANNOTATIONS, _BRAT_SETTINGS = ".txt", ".ann", "annotation.conf"
_HALF_WRITTEN = re.compile(r"\..+\.\d+\.new", re.DOTALL)  # the name of a file may have lines

Stamp = list[list[int]]  # size and time of change (ns) of each file of an input


@dataclasses.dataclass(frozen=True)
class Inputs:
    """What a folder holds.

    Attributes:
        stamps: the path of each input below the folder → its stamp, in the order of the paths.
        left_out: what is in the folder and is not an input, in words.
    """

    stamps: dict[str, Stamp]
    left_out: list[str]


def inputs_of(folder: Path) -> Inputs:
    """Return the files in a folder and in the folders in it.

    A text with a file of brat's annotations beside it belongs to that file. Names that begin with a dot are left out.

    Raises:
        DataError: the folder cannot be read, or holds no file.
    """
    stamps, hidden, others = dict[str, Stamp](), 0, list[str]()
    for place, is_hidden in _entries(folder):
        if is_hidden:
            hidden += 1
            continue
        found = _stat(place)
        if found is None or not stat.S_ISREG(found.st_mode):
            others.append(place.name)
            continue
        beside = {_TEXT: _ANNOTATIONS, _ANNOTATIONS: _TEXT}.get(place.suffix)
        other = _stat(place.with_suffix(beside)) if beside is not None else None
        has_other = other is not None and stat.S_ISREG(other.st_mode)
        if (has_other and place.suffix == _TEXT) or place.name == _BRAT_SETTINGS:
            continue
        stamp = [[found.st_size, found.st_mtime_ns]]
        if has_other and other is not None:
            stamp.append([other.st_size, other.st_mtime_ns])
        stamps[place.relative_to(folder).as_posix()] = stamp
    if not stamps:
        raise DataError("holds no files, expected some to tag; check the folder", path=folder)
    left_out = [f"{counted(hidden, 'name')} with a dot in front"] if hidden else []
    if others:
        shown = f"{listed(sorted(others)[:3])}{' …' * (len(others) > 3)}"
        left_out.append(f"{shown}: links to folders or to nothing, pipes and the like")
    return Inputs(dict(sorted(stamps.items())), left_out)


def _stat(place: Path) -> os.stat_result | None:
    """Return what the system says about a file; None if it is gone, or a link to nothing or to itself."""
    try:
        return place.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise DataError(f"cannot be read: {error.strerror}; check its permissions", path=place) from None


def _entries(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield what is in a folder and in those in it but for folders, and whether it is hidden."""

    def refuse(error: OSError) -> None:
        raise DataError(f"cannot be read: {error.strerror}; check its permissions", path=error.filename)

    for place, folders, files in os.walk(folder, onerror=refuse):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in [*files, *links, *(name for name in folders if name.startswith(".") and name not in links)]:
            yield Path(place, name), name.startswith(".")
        folders[:] = [name for name in folders if not name.startswith(".")]


def stamp_of(path: Path, n_files: int) -> Stamp:
    """Return the stamp that an input of one or two files has now."""
    paths = [path, path.with_suffix(_TEXT)][:n_files]
    return [[found.st_size, found.st_mtime_ns] for found in map(os.stat, paths)]


def check_places(source: Path, target: Path) -> None:
    """Raise DataError if the outputs would be inputs, or the other way round."""
    if not source.is_dir():
        what = "a file" if source.exists() else "nothing"
        raise DataError(f"found {what}, expected a folder of files to tag; name a folder", path=source)
    inside, outside = source.resolve(), target.resolve()
    if inside == outside or inside in outside.parents or outside in inside.parents:
        raise DataError(
            f"found it in, around or at the folder of the inputs, {source}, expected a place beside it; choose another"
            " folder for the outputs",
            path=target,
        )


def check_place(target: Path, folder: Path) -> None:
    """Raise DataError if an output cannot have its place in a folder, because another one is in the way."""
    above = next((place for place in target.parents if place.is_relative_to(folder) and place.is_file()), None)
    if above is not None or target.is_dir():
        found = f"the file {above}" if above is not None else f"a folder at {target}"
        raise DataError(
            f"found {found} in the way of its output, expected none; remove it if its inputs are gone, or choose"
            " another folder for the outputs"
        )


def remove_half_written(folder: Path) -> None:
    """Remove what workers that died were writing."""
    for place, _, files in os.walk(folder):
        for name in files:
            if _HALF_WRITTEN.fullmatch(name):
                with contextlib.suppress(OSError):
                    Path(place, name).unlink()
