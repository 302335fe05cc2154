"""Measure how the time of `tagger check` grows with the number of wrong lines: it must grow no faster than the file."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

FAULTS: dict[str, Callable[[int], bytes]] = {
    "columns": lambda i: b"w%d\tO\tO\n" % i,
    "tags": lambda i: b"w%d\tbad%d\n" % (i, i),
    "bytes": lambda i: b"w\xff%d\tO\n" % i,
    "sentences": lambda i: b"a\tI-X\n\na\tO\n\n",
    "types": lambda i: b"w%d\tB-T%d\n" % (i, i),
    "line ends": lambda i: b"w%d\tO\r\r\n" % i,
}


def cpu_seconds() -> float:
    """Return the time that finished child processes have computed; other work on the machine does not count."""
    times = os.times()
    return times.children_user + times.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--lines", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="numbers of wrong lines"
    )
    parser.add_argument("--faults", nargs="+", choices=list(FAULTS), default=list(FAULTS), help="kinds of wrong lines")
    arguments = parser.parse_args()
    print(f"{'fault':10}  {'lines':>9}  {'seconds':>7}  {'lines/s':>9}  lines of the report")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.conll"
        for fault in arguments.faults:
            for n in arguments.lines:
                good = "é\tB-X\nb\tO\n\n".encode() * (n if fault == "bytes" else max(1, n // 10))
                path.write_bytes(good + b"".join(map(FAULTS[fault], range(n))))
                start = cpu_seconds()
                command = [sys.executable, "-m", "tagger", "check", str(path)]
                output = subprocess.run(command, capture_output=True, check=False).stdout
                seconds = cpu_seconds() - start
                n_shown = output.count(b"\n")
                print(f"{fault:10}  {n:9}  {seconds:7.1f}  {n / seconds:9.0f}  {n_shown:5}", flush=True)


if __name__ == "__main__":
    main()
