"""Compare the training speed of tagger, PyTorch and Keras with the same network, data, batches and optimizer.

    python scripts/bench/bench_training.py configs/fast.yaml     # needs: pip install '.[bench]' in a clone of tagger
    python scripts/bench/bench_training.py CONFIG --only vocabulary          # speed | vocabulary | units | step
    python scripts/bench/bench_training.py configs/defaults.yaml --full    # the network of the config beside PyTorch's
    python scripts/bench/bench_training.py CONFIG --against ../before # the same in another checkout of tagger
    python scripts/bench/bench_training.py CONFIG --json bench.json --set data.train=PATH

Every contender is a process of its own (training_contenders.py) with all cores. The contenders take turns, so that a
busy moment of the machine affects all of them. Two things are not counted: the first pass of each contender, in which
it compiles, and the first ten steps of each turn. Numbers are medians of the rounds; a ratio is the median of the
rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from racing import WORDS_ONLY, Worker, machine, race, ratio

from tagger.config.loading import load_config

CONTENDERS = Path(__file__).with_name("training_contenders.py")
FULL_CONTENDERS = Path(__file__).with_name("full_contenders.py")
RIVALS = ["pytorch-dense", "pytorch-sparse", "keras-fit"]
PARTS = ["speed", "vocabulary", "units", "step"]


def train_in_turns(
    specs: dict[str, dict[str, Any]], *, rounds: int, steps: int | None, warm_up: int, script: Path = CONTENDERS
) -> dict[str, list[float]]:
    """Return the tokens per second of each contender in each round."""

    def run(name: str, worker: Worker, epoch: int) -> float:
        def tokens_per_second(steps: int | None) -> float:
            result = worker.ask(epoch=epoch, steps=steps)
            return result["tokens"] / result["seconds"]

        if not epoch:
            return tokens_per_second(warm_up)
        if specs[name]["contender"] != "tagger-train":  # it trains only whole epochs
            tokens_per_second(10)  # warm up again after waiting for the others
        return tokens_per_second(steps)

    return race(script, specs, run, rounds=rounds)


class Bench:
    """The four measurements; each one prints a table and returns its numbers."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        self.n_tokens = self._write_data()

    def _write_data(self) -> int:
        """Write the data that every contender trains on, as tagger prepares it; return the size of its vocabulary."""
        from tagger.training.preparation import prepare

        config = load_config(self.arguments.config, [*WORDS_ONLY, *self.arguments.settings])
        prepared = prepare(config, note=print, warn=print)
        data = prepared.training_set
        np.savez(
            self.folder / "data.npz",
            token_ids=np.concatenate(data.sentences),
            tag_ids=np.concatenate(data.tag_ids),
            lengths=[len(ids) for ids in data.sentences],
            rare=data.word_dropout.rare,
            batch_size=data.batch_size,
        )
        batches = list(data.batches(0))
        self.padding = 1 - sum(b.n_tokens for b in batches) / sum(b.token_ids.size for b in batches)
        return len(data.word_dropout.rare)

    def spec(self, contender: str, *, units: int = 100, spread: int = 1, **more: Any) -> dict[str, Any]:
        shared = {"data": str(self.folder / "data.npz"), "device": self.arguments.device}
        return {"contender": contender, "units": units, "spread": spread, **shared, **more}

    def speed(self) -> dict[str, Any]:
        arguments = self.arguments
        train = {
            "contender": "tagger-train", "device": arguments.device, "config": arguments.config,
            "model_dir": str(self.folder / "model"),
            "settings": [
                *WORDS_ONLY, *arguments.settings, f"training.epochs={arguments.rounds + 2}", "training.patience=null"
            ],
        }  # fmt: skip
        specs = {"tagger": self.spec("tagger"), **{name: self.spec(name) for name in arguments.rivals}}
        specs |= {"tagger, not deterministic": self.spec("tagger", deterministic=False), "`tagger train` itself": train}
        speeds = train_in_turns(specs, rounds=arguments.rounds, steps=arguments.steps, warm_up=100)
        print(f"\nTokens per second, E = H = 100; {100 * self.padding:.0f} % of the batches' cells are padding\n")
        print("| | tokens/s | tagger is … times as fast |\n|---|---|---|")
        for name, values in speeds.items():
            print(f"| {name} | {statistics.median(values):,.0f} | {ratio(speeds['tagger'], values):.2f} |")
        limit = sgemm_limit(units=100, n_tags=self._n_tags()) if arguments.device == "cpu" else None
        if limit:
            share = statistics.median(speeds["tagger"]) / limit["tokens_per_second"]
            print(
                f"\nsgemm: {limit['gflops']:.0f} GFLOP/s, {limit['flop_per_token'] / 1e6:.2f} MFLOP a token: at most"
                f" {limit['tokens_per_second']:,.0f} tokens/s, of which tagger reaches {100 * share:.0f} %"
            )
        return {"tokens_per_second": speeds, "sgemm": limit, "padding": self.padding}

    def _n_tags(self) -> int:
        with np.load(self.folder / "data.npz") as data:
            return int(data["tag_ids"].max()) + 1

    def _pytorch(self) -> list[str]:
        return [name for name in self.arguments.rivals if name.startswith("pytorch")]

    def vocabulary(self) -> dict[str, Any]:
        sizes = {f"{size:.0e}": max(1, round(size / self.n_tokens)) for size in (2e4, 2e5, 2e6)}
        specs = {
            f"{name} V={size}": self.spec(name, spread=spread)
            for size, spread in sizes.items()
            for name in ["tagger", *self._pytorch()]
            if name != "pytorch-dense" or size != "2e+06"  # a step would take seconds
        }
        speeds = train_in_turns(specs, rounds=self.arguments.rounds, steps=60, warm_up=60)
        print("\nTime of a step as the vocabulary grows, relative to the same contender at V = 2·10⁴\n")
        print("| | tokens/s | step time |\n|---|---|---|")
        for name, values in speeds.items():
            base = speeds[f"{name.split()[0]} V=2e+04"]
            print(f"| {name} | {statistics.median(values):,.0f} | {ratio(base, values):.2f} × |")
        return {"tokens_per_second": speeds}

    def units(self) -> dict[str, Any]:
        found = {}
        print("\nTokens per second as E = H grows\n")
        print("| E = H | tagger | of the limit | PyTorch (the faster) | ratio |\n|---|---|---|---|---|")
        for units in (50, 100, 200, 400):
            names = ["tagger", *self._pytorch()]
            specs = {name: self.spec(name, units=units) for name in names}
            speeds = train_in_turns(specs, rounds=self.arguments.rounds, steps=40, warm_up=20)
            speed, limit = statistics.median(speeds["tagger"]), None
            share = beside = by = "–"
            if self.arguments.device == "cpu":  # the products are measured on the CPU
                limit = sgemm_limit(units=units, n_tags=self._n_tags())
                share = f"{100 * speed / limit['tokens_per_second']:.0f} %"
            if names[1:]:
                rival = max(names[1:], key=lambda name: statistics.median(speeds[name]))
                beside = f"{statistics.median(speeds[rival]):,.0f} ({rival})"
                by = f"{ratio(speeds['tagger'], speeds[rival]):.2f}"
            print(f"| {units} | {speed:,.0f} | {share} | {beside} | {by} |", flush=True)
            found[units] = speeds | {"sgemm": limit}
        return {"tokens_per_second": found}

    def step(self) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, CONTENDERS.with_name("profile_step.py"), json.dumps(self.spec("tagger"))],
            check=True,
            stdout=subprocess.PIPE,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        print("\nWhere the time of a step goes (median of steps, ms)\n\n| | ms | share |\n|---|---|---|")
        for name, milliseconds in found["parts"].items():
            print(f"| {name} | {milliseconds:.2f} | {100 * milliseconds / found['step']:.0f} % |")
        print(f"| a whole step | {found['step']:.2f} | 100 % |")
        print(f"| making its batch, in another thread | {found['batch']:.2f} | |")
        return found


def full_spec(contender: str, arguments: argparse.Namespace, *settings: str) -> dict[str, Any]:
    """Describe a contender with the network of the config."""
    given = [*arguments.settings, *settings]
    return {"contender": contender, "config": arguments.config, "settings": given, "device": arguments.device}


def against(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare the training of the config with that of another checkout."""
    this = full_spec("tagger-full", arguments)
    specs = {"this": this, "other": this | {"checkout": str(arguments.against.resolve())}}
    speeds = train_in_turns(
        specs, rounds=arguments.rounds, steps=arguments.steps or 60, warm_up=30, script=FULL_CONTENDERS
    )
    medians = (statistics.median(values) for values in speeds.values())
    print("\nTokens per second: {:,.0f}, and {:,.0f} of the other checkout".format(*medians))
    print(f"this checkout is {ratio(speeds['this'], speeds['other']):.2f} times as fast")
    return {"tokens_per_second": speeds}


def full(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compare the network of the config as it is with the same network in PyTorch."""
    names = ["tagger-full", *(f"pytorch-full{kind}" for kind in ("", "-sparse"))]
    specs = {name: full_spec(name, arguments, "training.ema=null") for name in names}
    speeds = train_in_turns(
        specs, rounds=arguments.rounds, steps=arguments.steps or 60, warm_up=30, script=FULL_CONTENDERS
    )
    print("\nTokens per second with the network of the config\n")
    print("| | tokens/s | tagger is … times as fast |\n|---|---|---|")
    for name, values in speeds.items():
        print(f"| {name} | {statistics.median(values):,.0f} | {ratio(speeds['tagger-full'], values):.2f} |")
    profile = Path(FULL_CONTENDERS).with_name("profile_full.py")
    done = subprocess.run(
        [sys.executable, profile, json.dumps(full_spec("tagger-full", arguments))], check=True, stdout=subprocess.PIPE
    )
    parts: dict[str, dict[str, float]] = json.loads(done.stdout)
    total = sum(sum(kinds.values()) for kinds in parts.values())
    print(
        "\nWhere the time of a step goes, both cores together\n\n| | ms | share | matrix products |\n|---|---|---|---|"
    )
    for name, kinds in sorted(parts.items(), key=lambda item: -sum(item[1].values())):
        share, products = (100 * ms / total for ms in (sum(kinds.values()), kinds.get("matrix products", 0.0)))
        print(f"| {name} | {sum(kinds.values()):.1f} | {share:.0f} % | {products:.0f} % |")
    return {"tokens_per_second": speeds, "parts": parts}


def sgemm_limit(*, units: int, n_tags: int) -> dict[str, float]:
    """Measure the speed that the matrix products alone would allow.

    They are those of two directions without padding; the backward pass takes twice the operations of the forward pass.
    """
    a = np.random.default_rng(0).random((2048, 2048), np.float32)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    flops = 2 * 2048**3 / statistics.median(times)
    per_token = 3 * (2 * 2 * (2 * units) * (4 * units) + 2 * 2 * units * n_tags)
    return {"gflops": flops / 1e9, "flop_per_token": per_token, "tokens_per_second": flops / per_token}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as in tagger train")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, help="steps in each round of `speed`; default: a whole epoch")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=RIVALS)
    parser.add_argument(
        "--full", action="store_true", help="only the network of the config, beside the same in PyTorch"
    )
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="only the network of the config, in both")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    parser.add_argument("--json", metavar="PATH", help="file for all measurements")
    arguments = parser.parse_args()
    arguments.config = str(Path(arguments.config).resolve())
    with_pytorch = not arguments.against and any(name.startswith("pytorch") for name in arguments.rivals)
    packages = ["tensorflow", "keras", "numpy", *["torch"] * with_pytorch]
    found: dict[str, Any] = {"machine": machine(packages), "rounds": arguments.rounds, "device": arguments.device}
    print(json.dumps(found))
    if arguments.against:
        found["against"] = against(arguments)
    elif arguments.full:
        found["full"] = full(arguments)
    else:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(arguments, Path(folder))
            for part in arguments.only:
                found[part] = getattr(bench, part)()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
