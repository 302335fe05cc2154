"""Interrupt trainings at random in every way, resume them, and compare them with an uninterrupted training.

    python scripts/checks/crash_test.py                    # 240 kills, 30 failing writes, 20 full disks: an hour
    python scripts/checks/crash_test.py --kills 3 --early 1 --seeds 1 --replacing 3 --errors 2 --full 1 --seed 7

Each run is one training of a small network on data/sample, interrupted a few times: by kill -9 at a random moment, by
writes, syncs and renames that fail at random (a write may be incomplete), or by a file system that is full. After every
interruption the model directory must be whole or missing. At the end all weights, the exported network and the history
must be equal, bit for bit, to those of an uninterrupted run. With --replacing, a finished model of another seed is in
the directory before: after every kill, that model or the finished new one must be there, bit for bit, and at the end
the old one beside it. With --early, the kills come before the first step, and with --seeds, they hit a training with
two seeds. Prints a line of JSON; exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
# Every call of the training loop writes a state, so that many kills hit a write.
SETTINGS = {
    "training.epochs": "4", "training.checkpoint_minutes": "0.000001", "training.threads": "1",
    "model.units": "16", "model.embedding_dim": "16", "model.layers": "1", "model.decoder": "crf",
}  # fmt: skip
TWO_SEEDS = ("--seeds", "2")
_MOST_TRIES = 60  # trainings in one run; a run that needs more makes no progress


class Times(NamedTuple):
    """The seconds of an uninterrupted training: from the start of its process to the first step, and from there on."""

    start_up: float
    training: float


def command(model: Path, **more: str) -> list[str]:
    settings = [f"--set={key}={value}" for key, value in {**SETTINGS, **more}.items()]
    return [
        sys.executable,
        __file__,
        "--train",
        str(ROOT / "configs/sample.yaml"),
        *settings,
        "--model",
        str(model),
        "--resume",
    ]


def start(model: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.Popen(
        [*command(model), *more], cwd=model.parent, env=given | environment, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def content(model: Path) -> dict[str, Any]:
    """Return the content of a model that must be equal in all runs.

    It has all files but the config, the history without its columns of times, and the manifest without values that
    depend on these two files or on the place of the model.
    """
    found: dict[str, Any] = {}
    for path in sorted(model.iterdir()):
        if path.name == "history.csv":
            found[path.name] = [_without_times(line) for line in path.read_text("utf-8").splitlines()]
        elif path.name == "manifest.json":
            values = json.loads(path.read_text("utf-8"))
            del values["files"]["history.csv"], values["files"]["config.yaml"]
            del values["sha256"], values["test"], values["origin"]
            found[path.name] = values
        elif path.name != "config.yaml":  # paths in it are relative to the model
            found[path.name] = path.read_bytes()
    return found


def _without_times(line: str) -> list[str]:
    epoch, loss, score, _seconds, _tokens_per_second, *others = line.split(",")
    return [epoch, loss, score, *others]


def is_whole(model: Path) -> bool:
    """Whether a reader finds a whole model, with every file verified, or no model at all."""
    if not model.exists():
        return True
    from tagger.errors import ModelError
    from tagger.model_dir.files import MODEL_FILES, ModelFiles
    from tagger.prediction.onnx_session import load_predictor

    try:
        load_predictor(model, threads=1)
        with ModelFiles(model) as files:
            values = files.manifest()["files"]
            for name in values:
                files.verify(name)
    except ModelError as error:
        print(f"{model}: {error}", file=sys.stderr)
        return False
    return {path.name for path in model.iterdir()} <= MODEL_FILES


# --- Interruptions: each one starts the training and returns False if it ran to its end -------------------------------


def by_kill(model: Path, rng: random.Random, times: Times) -> bool:
    """Kill the training at a random moment: usually after its network is built, else at any time."""
    process = start(model)
    lines = iter(process.stderr or ())
    if rng.random() < 0.9:
        for line in lines:
            if line.startswith(("network: ", "continuing in epoch ")):
                break
    timer = threading.Timer(rng.uniform(0, times.training), process.kill)
    timer.start()
    errors = "".join(lines)
    code = process.wait()
    timer.cancel()
    if code not in (0, -9):
        raise SystemExit(f"exit code {code}, expected 0 or a kill:\n{errors}")
    return code != 0


def by_early_kill(model: Path, rng: random.Random, times: Times) -> bool:
    """Kill the training before its first step, or during it."""
    return killed_after(start(model), rng.uniform(0, 1.2 * times.start_up))


def by_kill_of_seeds(model: Path, rng: random.Random, times: Times) -> bool:
    """Kill a training of two seeds at any time."""
    return killed_after(
        start(model, *TWO_SEEDS), rng.uniform(0.8 * times.start_up, times.start_up + 2 * times.training)
    )


def killed_after(process: subprocess.Popen[str], seconds: float) -> bool:
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    _, errors = process.communicate()
    timer.cancel()
    if process.returncode not in (0, -9):
        raise SystemExit(f"exit code {process.returncode}, expected 0 or a kill:\n{errors}")
    return process.returncode != 0


def by_kill_at_the_end(model: Path, rng: random.Random, times: Times) -> bool:
    """Kill the training as `by_kill` does, but half of the time while it puts its model in place."""
    if rng.random() < 0.5:
        return by_kill(model, rng, times)
    process = start(model)
    lines = iter(process.stderr or ())
    for line in lines:
        if line.startswith((f"epoch {int(SETTINGS['training.epochs']):3d} ", "continuing in epoch 5")):
            break
    timer = threading.Timer(rng.uniform(0, 0.3), process.kill)
    timer.start()
    errors = "".join(lines)
    code = process.wait()
    timer.cancel()
    if code not in (0, -9):
        raise SystemExit(f"exit code {code}, expected 0 or a kill:\n{errors}")
    return code != 0


def by_failing_writes(model: Path, rng: random.Random, times: Times) -> bool:
    """Make a small share of the writes, syncs and renames fail."""
    del times
    return fails(start(model, CRASH_TEST_SEED=str(rng.randrange(1 << 30))))


def by_full_disk(model: Path, rng: random.Random, times: Times) -> bool:
    """Leave room for a random number of bytes in a file."""
    del times
    return fails(start(model, CRASH_TEST_ROOM=str(rng.randrange(150_000))))


def fails(process: subprocess.Popen[str]) -> bool:
    _, errors = process.communicate()
    if process.returncode not in (0, 1) or "Traceback" in errors:
        raise SystemExit(f"exit code {process.returncode}, expected 0, or 1 with a message:\n{errors}")
    if process.returncode and "error: " not in errors:
        raise SystemExit(f"failed without saying why:\n{errors}")
    return process.returncode != 0


@contextlib.contextmanager
def small_file_system(folder: Path, n_bytes: int) -> Iterator[bool]:
    """Mount a tmpfs of this size; yield whether this system allows it."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def on_full_file_systems(folder: Path, n: int, rng: random.Random, expected: dict[str, Any]) -> dict[str, Any]:
    """Train on file systems on which another file leaves too little room; resume with more room."""
    found = {"interruptions": 0, "runs": 0, "unreadable": 0, "different": 0}
    while found["interruptions"] < n:
        place = folder / f"tmpfs-{found['runs']}"
        with small_file_system(place, 4 << 20) as mounted:
            if not mounted:
                return {**found, "left out": "no tmpfs can be mounted here; the limit of file sizes is tested instead"}
            model, ballast = place / "m", place / "ballast"
            for _ in range(_MOST_TRIES):
                free = rng.randrange(600_000)
                ballast.unlink(missing_ok=True)
                room = shutil.disk_usage(place).free
                if rng.random() < 0.7 and room > free:
                    ballast.write_bytes(bytes(room - free))
                interrupted = fails(start(model))
                found["unreadable"] += not is_whole(model)
                if not interrupted:
                    break
                found["interruptions"] += 1
            found["runs"] += 1
            found["different"] += content(model) != expected
    return found


def interrupt(
    folder: Path, how: Any, n: int, rng: random.Random, times: Times, expected: dict[str, Any], *more: str
) -> dict[str, int]:
    """Run trainings with `more` options until there have been n interruptions."""
    found = {"interruptions": 0, "runs": 0, "unreadable": 0, "different": 0}
    while found["interruptions"] < n:
        model = folder / f"{how.__name__}-{found['runs']}"
        for _ in range(_MOST_TRIES):
            # After the last interruption, the training may run to its end.
            last = found["interruptions"] >= n
            interrupted = fails(start(model, *more)) if last else how(model, rng, times)
            found["unreadable"] += not is_whole(model)
            if not interrupted:
                break
            found["interruptions"] += 1
        else:
            raise SystemExit(f"{model}: found {_MOST_TRIES} interruptions, expected the training to end before")
        found["runs"] += 1
        found["different"] += content(model) != expected
        print(f"{how.__name__}: {found}", file=sys.stderr, flush=True)
    return found


def replacing(
    folder: Path, n: int, rng: random.Random, times: Times, old: Path, expected: dict[str, Any]
) -> dict[str, int]:
    """Kill trainings over a finished model n times; at any time, that model or the whole new one must be in place."""
    found = {"interruptions": 0, "runs": 0, "unreadable": 0, "different": 0, "after the exchange": 0}
    before = content(old)
    while found["interruptions"] < n:
        model = folder / f"replacing-{found['runs']}"
        previous = model.with_name(f"{model.name}.previous")
        shutil.copytree(old, model)
        for _ in range(_MOST_TRIES):
            last = found["interruptions"] >= n
            interrupted = fails(start(model)) if last else by_kill_at_the_end(model, rng, times)
            found["unreadable"] += not is_whole(model) or not is_whole(previous)
            now = content(model)
            found["different"] += now not in (before, expected)
            if not interrupted:
                break
            found["after the exchange"] += now == expected
            found["interruptions"] += 1
        else:
            raise SystemExit(f"{model}: found {_MOST_TRIES} interruptions, expected the training to end before")
        found["runs"] += 1
        found["different"] += content(model) != expected or content(previous) != before
        print(f"replacing: {found}", file=sys.stderr, flush=True)
    return found


# --- The training process, with the faults that the environment variables ask for -------------------------------------


def train_with_faults() -> None:
    room, seed = os.environ.get("CRASH_TEST_ROOM"), os.environ.get("CRASH_TEST_SEED")
    if room is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), resource.RLIM_INFINITY))
    if seed is not None:
        make_writes_fail(random.Random(int(seed)))
    from tagger.cli.commands import main

    sys.argv = ["tagger", "train", *sys.argv[2:]]
    main()


def make_writes_fail(rng: random.Random) -> None:
    """Make one in 60 of the calls that change files fail; a failing write may write a part of its data."""

    def failing(call: Any) -> Any:
        def maybe(*arguments: Any, **named: Any) -> Any:
            if rng.random() < 1 / 60:
                raise OSError(rng.choice([errno.EIO, errno.ENOSPC]), "failed by crash_test.py", "somewhere")
            return call(*arguments, **named)

        return maybe

    os.fsync = failing(os.fsync)
    for name in ("replace", "rename", "mkdir", "unlink"):
        setattr(pathlib.Path, name, failing(getattr(pathlib.Path, name)))
    opened = pathlib.Path.open

    def open_failing(path: Path, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        file = opened(path, mode, *arguments, **named)
        if "w" in mode and rng.random() < 1 / 60:
            write = file.write

            def half(data: Any) -> Any:
                write(memoryview(data)[: len(memoryview(data)) // 2])
                raise OSError(errno.ENOSPC, "No space left on device", str(path))

            return Wrapped(file, half)
        return file

    pathlib.Path.open = open_failing  # type: ignore[method-assign, assignment]


class Wrapped:
    """A file with another `write`, which fails."""

    def __init__(self, file: Any, write: Any) -> None:
        self._file, self.write = file, write

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="interruptions by kill -9")
    parser.add_argument("--early", type=int, default=20, help="kills before the first step")
    parser.add_argument("--seeds", type=int, default=20, help="kills of a training with --seeds 2")
    parser.add_argument("--replacing", type=int, default=100, help="kills of a training over a finished model")
    parser.add_argument("--errors", type=int, default=30, help="interruptions by failing writes")
    parser.add_argument(
        "--full", type=int, default=20, help="interruptions by a full disk, and as many by a limit of file sizes"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of all random choices")
    arguments = parser.parse_args()
    rng, found = random.Random(arguments.seed), dict[str, Any]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_up, began = 0.0, time.monotonic()
        process = start(folder / "whole")
        for line in process.stderr or ():
            if line.startswith("network: "):
                start_up, began = time.monotonic() - began, time.monotonic()
        times = Times(start_up, 1.1 * (time.monotonic() - began))
        if process.wait():
            raise SystemExit("the training fails without any interruption")
        expected = content(folder / "whole")
        other_seed = {"training.seed": "2", "training.epochs": "1"}
        subprocess.run(command(folder / "old", **other_seed), cwd=folder, check=True, capture_output=True)
        found["replacing"] = replacing(folder, arguments.replacing, rng, times, folder / "old", expected)
        found["kill"] = interrupt(folder, by_kill, arguments.kills, rng, times, expected)
        found["early kill"] = interrupt(folder, by_early_kill, arguments.early, rng, times, expected)
        if arguments.seeds:
            subprocess.run([*command(folder / "seeds"), *TWO_SEEDS], cwd=folder, check=True, capture_output=True)
            of_seeds = content(folder / "seeds")
            found["seeds"] = interrupt(folder, by_kill_of_seeds, arguments.seeds, rng, times, of_seeds, *TWO_SEEDS)
        found["failing writes"] = interrupt(folder, by_failing_writes, arguments.errors, rng, times, expected)
        found["limit of sizes"] = interrupt(folder, by_full_disk, arguments.full, rng, times, expected)
        found["full file system"] = on_full_file_systems(folder, arguments.full, rng, expected)
    print(json.dumps(found))
    if any(kind["unreadable"] or kind["different"] for kind in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        train_with_faults()
    else:
        main()
