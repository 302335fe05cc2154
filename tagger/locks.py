"""Locks that keep other processes of tagger away from a place while one works there."""

from __future__ import annotations

import contextlib
import os
import sys
from io import FileIO
from pathlib import Path

from tagger import filesystem
from tagger.filesystem import open_itself

if sys.platform == "win32":
    import msvcrt

    def _lock(file: FileIO) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # a byte can be locked although the file is empty
        except PermissionError as error:
            raise BlockingIOError(error.errno, error.strerror) from None
else:
    import fcntl

    def _lock(file: FileIO) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """A lock on a file, which the system releases when its process ends; `take` it."""

    def __init__(self, path: Path, file: FileIO) -> None:
        self._path, self._file = path, file

    @classmethod
    def take(cls, path: Path) -> FileLock | None:
        """Lock a file, or return None if another process has locked it.

        The file and its directory are made if they are missing. On a file system without locks, nothing is locked.

        Raises:
            OSError: the file cannot be opened.
        """
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered, so that a full disk is an error here and not when the file is closed.
            lock = cls(path, FileIO(open_itself(path, os.O_RDWR | os.O_CREAT), "r+b"))
            try:
                _lock(lock._file)
            except BlockingIOError:
                lock.release()
                return None
            except OSError:
                pass  # a file system without locks
            if lock.is_held():
                return lock
            lock.release()  # whoever held the lock has removed the file in the meantime

    def is_held(self) -> bool:
        """Return whether the file that is locked still has its name."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except OSError:
            return False

    def release(self, *, remove: bool = False) -> None:
        """Let others take the lock.

        Args:
            remove: whether to remove the file, as far as that is possible.
        """
        removes = remove and self.is_held()
        if filesystem.LOCKS_OPEN_FILES:
            self._file.close()  # while it is open, it cannot be removed; once others have taken it, not at all
        if removes:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._file.close()
