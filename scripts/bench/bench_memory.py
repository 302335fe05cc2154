"""Measure how much memory a training takes, and where it goes.

    python scripts/bench/bench_memory.py configs/defaults.yaml --set data.train=PATH --epochs 2

One process trains as the command does. After each part of it, the table shows how much more of its memory is in use
than before (resident set), and at the end the largest number there was. It needs Linux.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path
from typing import Any

import numpy as np


def resident() -> float:
    """Return the memory of this process in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Laps:
    """The growth of memory since the lap before."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, name: str) -> None:
        now = resident()
        print(f"| {name} | {now - self._last:,.0f} | {now:,.0f} |", flush=True)
        self._last = now


def measured(config_path: str, settings: list[str], model_dir: str, lap: Laps) -> str:
    """Train, and return how large the data are as arrays."""
    import tensorflow  # noqa: F401

    lap("TensorFlow")
    from tagger.config.loading import load_config, with_model_dir
    from tagger.training.listener import Silent
    from tagger.training.parts import Parts, initial_network
    from tagger.training.train import train

    class Watch(Silent):
        first = True
        pretrains = False
        data = ""

        def pretraining_step(self, steps: object) -> None:
            if not self.pretrains:
                lap("reading and preparing the data")
            self.pretrains = True

        def step(self, steps: object) -> None:
            if self.first:
                lap("tracing and the first steps")
            self.first = False

        def end_epoch(self, result: Any, patience_left: int | None) -> None:
            lap(f"epoch {result.epoch}, with its scores and its model")

    watch = Watch()

    def build(*arguments: Any, **options: Any) -> Any:
        lap("pretraining" if watch.pretrains else "reading and preparing the data")
        data = next((found.training_set for found in arguments if hasattr(found, "training_set")), None)
        if data is not None:
            held = [*data.sentences, *data.tag_ids]
            size = sum(array.nbytes for array in held) / 1e6
            watch.data = f"{size:.1f} MB of numbers in {len(held):,} arrays of {np.mean([a.size for a in held]):.0f}"
        network = initial_network(*arguments, **options)
        lap("building the network")
        return network

    config = with_model_dir(load_config(config_path, settings), model_dir)
    train(config, watch, device="cpu", parts=Parts(build_network=build))
    return watch.data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as in tagger train")
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    lap = Laps()
    print("| | MB more | MB |\n|---|---|---|")
    lap("Python")
    with tempfile.TemporaryDirectory() as folder:
        settings = [*arguments.settings, f"training.epochs={arguments.epochs}", "training.patience=null"]
        data = measured(arguments.config, settings, str(Path(folder, "model")), lap)
    print(f"| at most | | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} |")
    if data:
        print(f"\nThe training set is {data} numbers.")


if __name__ == "__main__":
    main()
