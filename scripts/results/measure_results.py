"""Train a config with several seeds and print the row of the README's results table: mean ± standard deviation.

    python scripts/results/measure_results.py configs/fast.yaml --seeds 1 2 3 --set data.train=PATH …

The dev set, if there is one, decides which epoch is kept. The test file is scored once for each seed, with
`tagger eval --json`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from one_run import PLAIN_TRAINING, STOCK_TRAINING, measure, spread

PATHS = ("data.train", "data.dev", "data.test", "embeddings.path", "model.pretrained")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--set", dest="settings", action="append", default=[], type=setting, help="as in tagger train")
    parser.add_argument("--stock", action="store_true", help="with stock Keras LSTM layers")
    arguments = parser.parse_args()
    settings = dict(arguments.settings)
    runs = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            given = settings | {"training.seed": str(seed)}
            training = STOCK_TRAINING if arguments.stock else PLAIN_TRAINING
            runs.append(measure(arguments.config.resolve(), given, Path(folder), training=training))
        print(json.dumps({"seed": seed} | runs[-1]), flush=True)
    seeds = " ".join(map(str, arguments.seeds))
    print(f"{arguments.config.name}, seeds {seeds}, in percent, mean ± standard deviation")
    for key in ("dev", "test", "test_strict"):
        print(f"  {key:12} {spread(run[key] for run in runs)}{extremes([run[key] for run in runs])}")
    print(f"  training speed: {statistics.median(run['tokens_per_second'] for run in runs):,.0f} tokens per second")
    print(f"  minutes per run: {max(run['minutes'] for run in runs):.1f} at most")


def setting(text: str) -> tuple[str, str]:
    """Return key and value; paths become absolute, because the trainings run in folders of their own."""
    key, is_setting, value = text.partition("=")
    if not is_setting:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected KEY=VALUE")
    is_path = key in PATHS and value != "null" and not value.replace(".", "").isdigit()
    return key, str(Path(value).resolve()) if is_path else value


def extremes(shares: list[float | None]) -> str:
    values = [100 * share for share in shares if share is not None]
    return f"  (min {min(values):.2f}, max {max(values):.2f})" if values else ""


if __name__ == "__main__":
    main()
