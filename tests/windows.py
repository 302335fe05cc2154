"""A stand-in for Windows: what Python lacks there is taken away, and files that are open are locked.

`python tests/windows.py ARGUMENTS…` runs `tagger ARGUMENTS…` so; with `--import-all`, it imports all modules of tagger
but those of `tagger.network`. Third-party libraries keep what they need of the real system.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import importlib
import mmap
import os
import pkgutil
import select
import shutil
import signal
import socket
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest  # which takes longer than what test_locks.py does with this module

_FOR_HELP = ("multiprocessing.connection", "tempfile", "uuid", "webbrowser", "click", "click.shell_completion")
_LIBRARIES = (
    *_FOR_HELP, "numpy", "numpy.testing", "onnxruntime", "rich.console", "rich.live", "rich.progress",
    "rich.progress_bar", "rich.text", "rich.table", "yaml", "pydantic", "safetensors.numpy", "scipy.stats",
    "seqeval.metrics", "seqeval.scheme", "starlette.applications", "uvicorn", "httptools", "prometheus_client", "altair",
    "jinja2", "gensim",
)  # fmt: skip
_OF_OS = (
    "O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC", "fork", "set_blocking", "sched_getaffinity", "fchmod",
    "mkfifo", "getuid", "geteuid", "killpg", "setsid", "sysconf", "posix_fallocate", "posix_fadvise", "uname",
)  # fmt: skip
_MODULES = ("fcntl", "resource", "termios", "pwd", "grp", "posix", "pty", "tty", "readline", "curses")


def locked(path: str | Path) -> bool:
    """Return whether this process has a file open or mapped into memory, or anything in a directory."""
    place, names = os.path.realpath(path), []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it is that of the list itself
            names.append(str(descriptor.readlink()))
    names += [line.split(maxsplit=5)[5] for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line]
    return any(name == place or name.startswith(f"{place}/") for name in names)


def lock_open_files(patch: pytest.MonkeyPatch) -> None:
    """Refuse to rename, replace and remove what this process has open, as Windows does, and tell tagger so."""

    def refusing(call: Callable[..., Any]) -> Callable[..., Any]:
        def refuse(path: Any, *others: Any, **options: Any) -> Any:
            for place in (path, *others):
                if locked(place):
                    raise PermissionError(errno.EACCES, "The process cannot access the file", str(place))
            return call(path, *others, **options)

        return refuse

    for name in ("rename", "replace"):
        patch.setattr(os, name, refusing(getattr(os, name)))
    unlink = os.unlink

    def unlinked(path: Any, *, dir_fd: int | None = None) -> None:
        if dir_fd is None and locked(path):
            raise PermissionError(errno.EACCES, "The process cannot access the file", str(path))
        unlink(path, dir_fd=dir_fd)

    patch.setattr(os, "unlink", unlinked)
    patch.setattr("tagger.filesystem.LOCKS_OPEN_FILES", True)


def hide_directory_descriptors(patch: pytest.MonkeyPatch) -> None:
    """Let tagger read directories by their names only, and replace them with renames only."""
    patch.setattr("tagger.filesystem._HAS_DIRECTORY_DESCRIPTORS", False)
    patch.setattr("tagger.atomic._renameat2", lambda: None)


class _Msvcrt(types.ModuleType):
    """The locks of Windows, made of those of POSIX; the library says that another process has a lock with EACCES."""

    LK_NBLCK = 2

    @staticmethod
    def locking(descriptor: int, mode: int, n_bytes: int) -> None:
        assert (mode, n_bytes) == (2, 1)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None


def _kernel32(_: str) -> Any:
    """Return a library that says that 3 GiB of memory are free, and that this process has had 1 GiB."""

    def global_memory_status(status: Any) -> int:
        assert status._obj[0] == 64
        status._obj[2] = 3 << 30
        return 1

    def process_memory(_process: Any, counters: Any, size: int) -> int:
        assert counters._obj[0] == size == 72
        counters._obj[1] = 1 << 30
        return 1

    return types.SimpleNamespace(GlobalMemoryStatusEx=global_memory_status, K32GetProcessMemoryInfo=process_memory)


def _select(read: list[Any], write: list[Any], errors: list[Any], timeout: float | None = None) -> Any:
    if any(not isinstance(one, socket.socket) for one in (*read, *write, *errors)):
        raise OSError(10038, "An operation was attempted on something that is not a socket")
    return _real_select(read, write, errors, timeout)


def _set_wakeup_fd(descriptor: int, *, warn_on_full_buffer: bool = True) -> int:
    if descriptor >= 0:
        _set_blocking(descriptor, False)  # the real system insists on it
    return _real_set_wakeup_fd(descriptor, warn_on_full_buffer=warn_on_full_buffer)


_real_select, _real_open = select.select, os.open
_set_blocking, _real_set_wakeup_fd = os.set_blocking, signal.set_wakeup_fd


def _open(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")
    if Path(path).is_dir() and flags & os.O_TMPFILE != os.O_TMPFILE:  # Python's own way to have a temporary file
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return _real_open(path, flags, mode)


def become(libraries: Sequence[str] = _LIBRARIES) -> None:
    """Take away from this process what Windows does not have, after importing libraries on the real system."""
    import ctypes

    for name in libraries:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    sys.modules["msvcrt"] = _Msvcrt("msvcrt")
    for name in _MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    for name in _OF_OS:
        with contextlib.suppress(AttributeError):
            delattr(os, name)
    for name in [name for name in dir(signal) if name.startswith(("SIG", "pthread_"))]:
        if name not in ("SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM", "SIG_DFL", "SIG_IGN"):
            delattr(signal, name)
    for owner, name in ((socket, "SO_REUSEPORT"), (mmap, "MADV_DONTNEED")):
        delattr(owner, name)
    socket.SO_EXCLUSIVEADDRUSE = socket.SO_KEEPALIVE  # type: ignore[attr-defined] # some option that can be set
    os.open, select.select, signal.set_wakeup_fd = _open, _select, _set_wakeup_fd
    os.supports_dir_fd.clear()
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    ctypes.WinDLL = _kernel32  # type: ignore[attr-defined]
    asyncio.ProactorEventLoop = asyncio.SelectorEventLoop  # type: ignore[attr-defined]
    sys.platform = "win32"


def _import_all() -> None:
    import tagger

    for module in pkgutil.walk_packages(tagger.__path__, "tagger.", onerror=lambda name: None):
        if not module.name.startswith("tagger.network") and not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name in _MODULES or str(error.name).startswith("tagger"):
                    raise  # anything else is a library that is not installed
    from tagger.machine import available_memory, peak_memory

    found = sorted(name for name in sys.modules if name.startswith("tagger."))
    sys.stdout.write(f"{len(found)} {available_memory()} {peak_memory()}\n")


def main() -> None:
    """Do as the arguments say."""
    if sys.argv[1:] == ["--import-all"]:
        become((*_LIBRARIES, "spacy", "spacy.pipeline", "spacy.scorer", "sklearn.base", "pandas", "ray"))
        _import_all()
        return
    import pytest

    become(_FOR_HELP if "--help" in sys.argv else _LIBRARIES)
    with pytest.MonkeyPatch.context() as patch:
        lock_open_files(patch)
        from tagger.cli import commands

        commands.main()


if __name__ == "__main__":
    main()
