"""Start a local cluster, and print where its processes listen, how many they are, and the directory that it has."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import sys
from pathlib import Path

from tagger.cluster.connection import connected


def sockets() -> dict[str, str]:
    """Return the sockets of this machine that listen: number → address."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A":
                found[inode] = address(local.partition(":")[0])
    return found


def address(digits: str) -> str:
    words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
    found = ipaddress.ip_address(b"".join(words))
    return str(getattr(found, "ipv4_mapped", None) or found)


def processes_below(pid: int) -> list[int]:
    below = [int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()]
    return [pid, *(one for child in below for one in processes_below(child))]


def main() -> None:
    with connected("local", cores=1):
        import ray

        ray.get(ray.remote(lambda: 1).remote())
        listening, processes, found = sockets(), processes_below(os.getpid()), []
        for pid in processes:
            for place in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    found.append(listening.get(str(place.readlink()).removeprefix("socket:[").removesuffix("]")))
        directory = ray._private.worker._global_node.get_session_dir_path()
        mode = Path(directory).parents[1].stat().st_mode & 0o777
    addresses = sorted({one for one in found if one is not None})
    sys.stdout.write(
        json.dumps({"addresses": addresses, "commands": len(processes), "directory": directory, "mode": mode})
    )


main()
