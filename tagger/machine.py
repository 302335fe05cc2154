"""The number of cores and the amount of memory that this process may use."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def available_cores() -> int:
    """Return the number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory(*, meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP) -> int | None:
    """Return the bytes of memory that are free on the machine and in this container, or None if that is unknown.

    Args:
        meminfo: the file in which Linux describes the memory of the machine.
        cgroup: the directory in which Linux describes the control group of the container.
    """
    bounds = []
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
