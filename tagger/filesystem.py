"""Files and directories on every system: what one of them lacks has a fallback here.

Windows has no descriptors of directories, no way to open a file unless it is a link, and nothing that is open can be
renamed or removed there.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")

# Whether the system refuses to rename, replace or remove a file that somebody has open or mapped into memory, and any
# directory that holds one.
LOCKS_OPEN_FILES = sys.platform == "win32"
_PATIENCE = 5.0  # seconds to wait for readers of a file; virus scanners and search indexes are such readers, too
_PAUSE = 0.02

_NO_LINKS: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAITING: int = getattr(os, "O_NONBLOCK", 0)
_UNTRANSLATED: int = getattr(os, "O_BINARY", 0)  # without it, Windows reads CR LF as LF, and ends at Ctrl-Z
_DIRECTORIES_ONLY: int = getattr(os, "O_DIRECTORY", 0)
_HAS_DIRECTORY_DESCRIPTORS = os.open in os.supports_dir_fd and bool(_DIRECTORIES_ONLY)


def open_itself(path: str | Path, flags: int, *, directory: int | None = None) -> int:
    """Open a file and return its descriptor; a link is not followed, and a pipe is not waited for.

    Args:
        flags: those of `os.open`.
        directory: the descriptor of the directory that a relative path starts from.

    Raises:
        OSError: the file cannot be opened; its number is ELOOP for a link.
    """
    if not _NO_LINKS and Path(path).is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return os.open(path, flags | _NO_LINKS | _NO_WAITING | _UNTRANSLATED, 0o666, dir_fd=directory)


def patiently(change: Callable[[], T], *, patience: float | None = None) -> T:
    """Call what renames or removes files; where open files are locked, again and again until nobody has them open.

    Raises:
        OSError: `change` raises it, for `patience` seconds (5 by default) if it is a PermissionError.
    """
    until = time.monotonic() + (_PATIENCE if patience is None else patience)
    while True:
        try:
            return change()
        except PermissionError:
            if not LOCKS_OPEN_FILES or time.monotonic() > until:
                raise
            time.sleep(_PAUSE)


def relative_path(path: str | Path, start: str | Path = os.curdir) -> str:
    """Return a path relative to a directory, with `/` between its parts.

    On Windows, a path on another drive stays absolute.
    """
    try:
        found = os.path.relpath(path, start)
    except ValueError:  # nothing leads from one drive to another
        found = os.path.abspath(path)  # noqa: PTH100 (keeps links, as relpath does)
    return found.replace(os.sep, "/")


class OpenDirectory(Protocol):
    """A directory whose files are read one after the other, while another one may take its place."""

    def open(self, name: str, flags: int) -> int:
        """Open one of its files as `open_itself` does."""

    def path_of(self, name: str) -> str | None:
        """Return a path to one of its files, whatever takes the directory's place; None if there is no such path."""

    def is_in_place(self) -> bool:
        """Return whether the directory still has its name; raise FileNotFoundError if nothing has it."""

    def close(self) -> None:
        """Stop reading."""


def open_directory(path: Path) -> OpenDirectory:
    """Open a directory.

    Raises:
        OSError: there is none, or it cannot be opened.
    """
    return _HeldDirectory(path) if _HAS_DIRECTORY_DESCRIPTORS else _NamedDirectory(path)


class _HeldDirectory:
    """A directory with a descriptor, so that all files are those of one directory."""

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path, os.open(path, os.O_RDONLY | _DIRECTORIES_ONLY)

    def open(self, name: str, flags: int) -> int:
        return open_itself(name, flags, directory=self._descriptor)

    def path_of(self, name: str) -> str | None:
        return f"/proc/self/fd/{self._descriptor}/{name}" if Path("/proc/self/fd").exists() else None

    def is_in_place(self) -> bool:
        return os.path.samestat(os.fstat(self._descriptor), self._path.stat())

    def close(self) -> None:
        os.close(self._descriptor)


class _NamedDirectory:
    """A directory that is only known by its name; files of two directories may be mixed, which a reader must notice."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._identity = self._found()

    def _found(self) -> tuple[int, int, int]:
        found = self._path.stat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(self._path))
        # The time, too: a new directory may get the number of one that has been removed.
        return found.st_dev, found.st_ino, found.st_mtime_ns

    def open(self, name: str, flags: int) -> int:
        return open_itself(self._path / name, flags)

    def path_of(self, name: str) -> str | None:
        return None

    def is_in_place(self) -> bool:
        return self._identity == self._found()

    def close(self) -> None:
        """Do nothing, because nothing is held."""
