"""Train a config with several seeds and print the row of the README's results table: mean ± standard deviation.

    python scripts/measure_results.py configs/fast.yaml --seeds 1 2 3 --set data.train=PATH …

Dev decides which epoch is kept; the test file is scored once a seed, with `tagger eval --json`.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TAGGER = [sys.executable, "-m", "tagger"]


def measure(config: str, seed: int, settings: list[str], folder: Path, *, stock: bool) -> dict[str, float]:
    model = folder / f"seed-{seed}"
    overrides = [f"--set={setting}" for setting in [*settings, f"training.seed={seed}"]]
    start = time.perf_counter()
    train = [sys.executable, str(Path(__file__).resolve().with_name("train_stock.py"))] if stock else [*TAGGER, "train"]
    subprocess.run([*train, config, "--model", str(model), *overrides], check=True, cwd=folder)
    seconds = time.perf_counter() - start
    scores = subprocess.run([*TAGGER, "eval", "--model", str(model), "--json"], check=True, stdout=subprocess.PIPE)
    test = json.loads(scores.stdout)
    dev = json.loads((model / "manifest.json").read_text("utf-8"))["dev"]
    speeds = [float(row["tokens_per_second"]) for row in csv.DictReader((model / "history.csv").open())]
    key = "f1" if test["f1"] is not None else "accuracy"
    strict = test["strict"]["f1"] or 0.0
    return {
        "seed": seed,
        "dev": dev[key],
        "test": test[key],
        "test_strict": strict,
        "minutes": seconds / 60,
        "tokens_per_second": statistics.median(speeds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", dest="settings", action="append", default=[], help="as in tagger train")
    parser.add_argument("--stock", action="store_true", help="with stock Keras LSTM layers")
    arguments = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            config = str(Path(arguments.config).resolve())
            runs.append(measure(config, seed, arguments.settings, Path(folder), stock=arguments.stock))
            print(json.dumps(runs[-1]), flush=True)
    seeds = " ".join(map(str, arguments.seeds))
    print(f"{Path(arguments.config).name}, seeds {seeds}, percent, mean ± standard deviation")
    for key in ("dev", "test", "test_strict"):
        values = [100 * run[key] for run in runs]
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        mean = statistics.mean(values)
        print(f"  {key:12} {mean:.2f} ± {spread:.2f}  (min {min(values):.2f}, max {max(values):.2f})")
    print(f"  tokens a second: {statistics.median(run['tokens_per_second'] for run in runs):,.0f} trained on")
    print(f"  minutes a run: {max(run['minutes'] for run in runs):.1f} at most")


if __name__ == "__main__":
    main()
