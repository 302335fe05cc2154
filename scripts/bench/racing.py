"""The shared parts of the benchmarks: contenders that take turns in processes of their own, timed commands, ratios."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


class Worker:
    """The process of a contender: a script that answers each line of JSON on its standard input with another line.

    If the spec has a `checkout`, the process imports tagger from there.
    """

    def __init__(self, script: Path, spec: dict[str, Any]) -> None:
        command = [sys.executable, str(script), json.dumps(spec)]
        environment = os.environ | ({"PYTHONPATH": spec["checkout"]} if "checkout" in spec else {})
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **question: Any) -> dict[str, Any]:
        print(json.dumps(question), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, "the contender ended; see its error above"
        return json.loads(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


# The network of both benchmarks, as settings of `tagger train`: words only, E = H = 100, one layer.
WORDS_ONLY = (
    "model.characters=none", "model.casing=false", "model.units=100", "model.layers=1", "model.input_dropout=0.5",
    "model.token_dropout=0", "model.decoder=constrained", "model.scheme=IOB2", "training.pretraining_epochs=0",
    "training.optimizer=adam", "training.ema=null",
)  # fmt: skip


def race(
    script: Path,
    specs: dict[str, dict[str, Any]],
    run: Callable[[str, Worker, int], float],
    *,
    rounds: int,
) -> dict[str, list[float]]:
    """Return the results of `run` for each contender in each round; the contenders take turns.

    Round 0 is a warm-up, which is not counted.
    """
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, spec in specs.items():
            workers[name] = Worker(script, spec)
            stack.callback(workers[name].close)
            run(name, workers[name], 0)
        found: dict[str, list[float]] = {name: [] for name in specs}
        for i, name in turns(list(workers), rounds):
            found[name].append(run(name, workers[name], i))
            print(f"  round {i}  {name:28} {found[name][-1]:10,.0f} tokens/s", file=sys.stderr, flush=True)
    return found


def turns(names: Sequence[str], rounds: int) -> list[tuple[int, str]]:
    """Return the order of turns as rounds (from 1) and names; each round begins with another name."""
    return [(i, names[(i + position) % len(names)]) for i in range(1, rounds + 1) for position in range(len(names))]


@dataclasses.dataclass(frozen=True)
class Cost:
    """The cost of one run of a command."""

    seconds: float
    peak_mb: float


# A forked process inherits the peak memory of its parent, so a small process starts the command.
_LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdin=0, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
errors = process.stderr.read()
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
process.returncode = os.waitstatus_to_exitcode(status)
peak = usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
print(json.dumps([process.returncode, errors.decode(), seconds, peak]))
"""


def run_timed(command: Sequence[str], *, stdin: Path | None = None) -> Cost:
    """Run a command, drop its output and return its cost."""
    with (stdin or Path(os.devnull)).open("rb") as source:
        launch = [sys.executable, "-S", "-c", _LAUNCHER, *command]
        done = subprocess.run(launch, stdin=source, stdout=subprocess.PIPE, check=True)
    code, errors, seconds, peak_mb = json.loads(done.stdout)
    assert code == 0, errors
    return Cost(seconds, peak_mb)


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the median of the ratios of the rounds."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def machine(packages: Sequence[str]) -> dict[str, Any]:
    """Describe the machine and the versions of the packages."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }
