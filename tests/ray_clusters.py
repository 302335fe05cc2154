"""Ray clusters of this machine for tests, each in a process of its own."""

from __future__ import annotations

import dataclasses
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers import ROOT

HERE = Path(__file__).parent / "cluster"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
PATIENCE = 120  # seconds


@dataclasses.dataclass(frozen=True)
class Cluster:
    address: str
    second_raylet: int
    process: subprocess.Popen[bytes]


def two_nodes() -> Iterator[Cluster]:
    """Give a cluster of two nodes with a core each."""
    # Ray's second node leaves files in the folder that is current.
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [sys.executable, HERE / "two_nodes.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT, cwd=folder,
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        address, raylet = process.stdout.readline().decode().split()
        yield Cluster(address, int(raylet), process)
        process.stdin.close()


def wait_for(condition: Callable[[], object], process: subprocess.Popen[bytes] | None = None) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        assert process is None or process.poll() is None
        time.sleep(0.005)
