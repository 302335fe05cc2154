"""How many cores and how much memory there are to work with."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def available_cores() -> int:
    """Of those of the machine, the ones that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available_memory() -> int | None:
    """Bytes that can still be taken, on the machine and in this container; None if the system does not say."""
    bounds = []
    with contextlib.suppress(OSError, ValueError):
        found = re.search(r"^MemAvailable:\s+(\d+) kB$", _MEMINFO.read_text("ascii"), re.MULTILINE)
        if found:
            bounds.append(1024 * int(found[1]))
    # Version 2 of control groups, then version 1; `max` stands for no limit.
    for limit, usage, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        with contextlib.suppress(OSError, ValueError):
            most, taken = (int((_CGROUP / name).read_text("ascii")) for name in (limit, usage))
            # Files that are only kept in memory as long as nobody needs it count as taken.
            cached = re.findall(r"^(?:in)?active_file (\d+)$", (_CGROUP / stat).read_text("ascii"), re.MULTILINE)
            bounds.append(max(0, most - taken + sum(map(int, cached))))
    return min(bounds, default=None)
