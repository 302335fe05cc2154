"""The directory of a local Ray cluster, for its logs and sockets; Ray itself would never remove it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tagger.locks import FileLock

_PREFIX, _LOCK = "tagger-ray-", "lock"
_LONGEST = 21  # bytes of the place; up to 86 are added, and the path of a socket has 107 at most
_YOUNG = 60.0  # seconds in which a process locks the directory that it has made


@contextlib.contextmanager
def own_directory() -> Iterator[Path]:
    """Give a directory that nobody else can read, and remove it at the end of the `with` block.

    What processes have left behind that were killed is removed, too.
    """
    place = _place()
    _remove_abandoned(place)
    top = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
    lock = FileLock.take(top / _LOCK)
    try:
        yield top / "r"  # which Ray opens to everybody
    finally:
        if lock is not None:
            lock.release(remove=True)
        shutil.rmtree(top, ignore_errors=True)


def _place() -> Path:
    """Return the directory for temporary files, or /tmp if the path of a socket in it would be too long."""
    usual = os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()
    return Path(usual if sys.platform == "win32" or len(os.fsencode(usual)) <= _LONGEST else "/tmp").absolute()


def _remove_abandoned(place: Path) -> None:
    for directory in place.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # it is somebody else's, or was removed in the meantime
            if time.time() - directory.stat().st_mtime < _YOUNG or not (directory / _LOCK).is_file():
                continue
            lock = FileLock.take(directory / _LOCK)
            if lock is not None:
                lock.release()
                shutil.rmtree(directory, ignore_errors=True)
