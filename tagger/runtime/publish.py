"""Write a directory so that a reader sees the old one or the new one, never a mixture and never nothing."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from tagger.errors import ModelError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h


def publish_directory(target: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` beside `target` and put them in its place in one step.

    Raises:
        ModelError: `target` holds something that `files` would not replace, or cannot be written.
    """
    target = target.resolve()  # of a link, the directory that it points to is replaced
    check_replaceable(target, files)
    fresh = target.parent / f".{target.name}.{os.getpid()}.new"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for name, content in files.items():
            _write_synced(fresh / name, content)
        _sync_directory(fresh)
        if target.exists():
            _exchange(fresh, target)
        else:
            fresh.rename(target)
        _sync_directory(target.parent)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written: {error.strerror}; free some space or choose another") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def check_replaceable(target: Path, names: Mapping[str, object] | frozenset[str]) -> None:
    """Raise ModelError if replacing `target` would destroy anything but files of those names."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ModelError(f"{target}: is a file, expected a model directory or nothing; choose another place")
    foreign = sorted(entry.name for entry in target.iterdir() if entry.name not in names or entry.is_dir())
    if foreign:
        raise ModelError(
            f"{target}: holds {foreign[0]}, which is no part of a model and would be lost; move it, or choose"
            " another model directory",
            detail=[f"also {name}" for name in foreign[1:4]],
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step; raises OSError."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _write_synced(fresh, content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can sync a directory
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(fresh: Path, target: Path) -> None:
    """Swap two directories; in one step where the system can (Linux), else by two renames."""
    if not _renameat2_exchange(fresh, target):
        old = fresh.with_suffix(".old")
        target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)


def _renameat2_exchange(a: Path, b: Path) -> bool:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):  # an old kernel, or a file system without it
        return False
    raise OSError(code, os.strerror(code), str(b))
