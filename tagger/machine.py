"""The cores and the memory that this process may use, and errors that come from too little memory."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import os
import re
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")

# The words with which libraries say that they got no memory; their errors have no common class.
_NO_MEMORY = re.compile(
    r"bad[_ ]alloc|(cannot|can't|unable to|failed to|could not) allocate|OOM when allocating|out of memory"
    r"|failed to map segment|can't start new thread|paging file is too small|not enough memory",
    re.IGNORECASE,
)

# By default Python searches for reference cycles after every 700 new objects. Sentences do not contain any, but the
# search would take a third of the time of reading and writing a file.
_GARBAGE = 100_000, 50, 100
# By default, a thread that computes in Python lets the others wait for 0.005 s at a time, which is as long as the
# network takes for a batch.
_SWITCH_SECONDS = 0.0005


def tune_interpreter() -> None:
    """Set up this process for many small arrays in several threads.

    Garbage is collected rarely, and threads take turns often. NumPy multiplies small matrices only, in threads of our
    own, which its threads would slow down.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    gc.set_threshold(*_GARBAGE)
    sys.setswitchinterval(_SWITCH_SECONDS)


def available_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory(*, meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Return the bytes of memory that are free on the machine and in this container, or None if that is unknown.

    Args:
        meminfo: the file in which Linux describes the memory of the machine.
        cgroup: the directory in which Linux describes the control group of the container.
    """
    bounds = _windows_memory()
    with contextlib.suppress(OSError, ValueError):
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text("ascii"), re.MULTILINE)
        if found:
            bounds.append(1024 * int(found[1]))
    # The files of control groups version 2 come first, then those of version 1. `max`, which means no limit, is not a
    # number and is skipped.
    for limit, usage, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        with contextlib.suppress(OSError, ValueError):
            most, taken = (int((cgroup / name).read_text("ascii")) for name in (limit, usage))
            # The usage includes cached files, which the system drops when the memory is needed.
            cached = re.findall(r"^(?:in)?active_file (\d+)$", (cgroup / stat).read_text("ascii"), re.MULTILINE)
            bounds.append(max(0, most - taken + sum(map(int, cached))))
    return min(bounds, default=None)


def _windows_memory() -> list[int]:
    """Return the bytes of memory that are free, or an empty list on other systems."""
    if sys.platform != "win32":
        return []
    status = (ctypes.c_uint64 * 8)(64)  # MEMORYSTATUSEX: its size, then at 16 bytes the physical memory that is free
    return [status[2]] if ctypes.WinDLL("kernel32").GlobalMemoryStatusEx(ctypes.byref(status)) else []


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had, or 0 if that is unknown."""
    if sys.platform == "win32":
        counters = (ctypes.c_uint64 * 9)(72)  # PROCESS_MEMORY_COUNTERS: its size, then at 8 bytes the peak
        this_process = ctypes.c_void_p(-1)
        found = ctypes.WinDLL("kernel32").K32GetProcessMemoryInfo(this_process, ctypes.byref(counters), 72)
        return counters[1] if found else 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, the system or a library comes from too little memory."""
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", None) == errno.ENOMEM
        or _NO_MEMORY.search(str(error)) is not None
    )


def raise_if_out_of_memory(error: BaseException) -> None:
    """Raise MemoryError in place of a library's own error about too little memory."""
    if is_out_of_memory(error):
        raise MemoryError(str(error)) from None
