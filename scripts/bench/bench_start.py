"""Measure what happens between `tagger train` and the first step of the training.

    python scripts/bench/bench_start.py configs/sample.yaml
    python scripts/bench/bench_start.py CONFIG --set data.train=PATH --rounds 5

Each round is a new process that does what the command does, and stops after the first call of the compiled step, which
takes up to 16 steps. The numbers are medians in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHILD = "--child"


def child(config_path: str, settings: list[str], model_dir: str, started: float) -> dict[str, float]:
    """Return the seconds that each part takes; the parts are in the order in which they happen."""
    times = {"Python itself": time.time() - started}

    def lap(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        times[name], last = now - last, now

    last = time.perf_counter()
    import tagger.cli.train  # noqa: F401

    lap("tagger's command line")
    import tensorflow  # noqa: F401

    lap("import tensorflow")
    import keras  # noqa: F401

    lap("import keras")
    from tagger.config.loading import load_config, with_model_dir
    from tagger.training.listener import Silent
    from tagger.training.parts import Parts, initial_network
    from tagger.training.train import train

    lap("the rest of tagger")

    class Watch(Silent):
        stop = False

        def step(self, steps: object) -> None:
            if not self.stop:
                lap("tracing and the first steps")
            self.stop = True

    def build(*arguments: Any, **options: Any) -> Any:
        lap("reading and preparing the data")
        network = initial_network(*arguments, **options)
        lap("building the network")
        return network

    watch, parts = Watch(), Parts(build_network=build)
    config = with_model_dir(load_config(config_path, settings), model_dir)
    train(config, watch, device="cpu", parts=parts, should_stop=lambda: watch.stop)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as in tagger train")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    rounds = []
    for _ in range(arguments.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            given = json.dumps([arguments.config, arguments.settings, str(Path(folder, "model")), time.time()])
            command = [sys.executable, __file__, CHILD, given]
            done = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
        rounds.append(json.loads(done.stdout.splitlines()[-1]))
    counted = rounds[1:]  # the first round compiles Python's files
    total = statistics.median(sum(times.values()) for times in counted)
    print("| | seconds | share |\n|---|---|---|")
    for name in counted[0]:
        seconds = statistics.median(times[name] for times in counted)
        print(f"| {name} | {seconds:.2f} | {100 * seconds / total:.0f} % |")
    print(f"| all | {total:.2f} | 100 % |")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        print(json.dumps(child(*json.loads(sys.argv[2]))))
    else:
        main()
