"""Train once and score the model on the test file, with the commands; for ablate.py and measure_results.py."""

from __future__ import annotations

import csv
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

TAGGER = [sys.executable, "-m", "tagger"]
PLAIN_TRAINING = [*TAGGER, "train"]
STOCK_TRAINING, INTNET_TRAINING, GRADUAL_TRAINING, AVERAGED_TRAINING, BUCKETED_TRAINING = (
    [sys.executable, str(Path(__file__).resolve().with_name(f"train_{name}.py"))]
    for name in ("stock", "intnet", "gradually", "averaged", "bucketed")
)

# The defaults that most results were measured with. Rows state them, so that they keep their meaning.
EARLIER = {
    "training.pretraining_epochs": "0", "vocabulary.lowercase": "false", "vocabulary.normalize_digits": "false",
    "model.decoder": "constrained", "features.subwords": "0",
}  # fmt: skip
EARLIER_SETTINGS = [f"{key}={value}" for key, value in EARLIER.items()]


def measure(
    config: Path,
    settings: dict[str, str],
    folder: Path,
    *,
    training: Sequence[str] = PLAIN_TRAINING,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train `config` with `settings` on top, in `folder`, and score the test file once, at the end.

    Args:
        training: the command that trains, such as `STOCK_TRAINING`.
        quiet: show the messages of the training only if it fails.

    Returns:
        dev, test and test_strict (F1, or accuracy if tags are plain; None if there is no such score), the epoch that
        was kept, the median tokens_per_second of the epochs, and minutes.

    Raises:
        SystemExit: a command failed; the message has its exit code and output.
    """
    model = folder / "model"
    overrides = [f"--set={key}={value}" for key, value in settings.items()]
    train = [*training, str(config), f"--model={model}", *overrides]
    start = time.perf_counter()
    run(train, folder, stderr=subprocess.PIPE if quiet else None)
    minutes = (time.perf_counter() - start) / 60
    scores = run([*TAGGER, "eval", f"--model={model}", "--json"], folder, stdout=subprocess.PIPE)
    test = json.loads(scores)
    dev = json.loads((model / "manifest.json").read_text("utf-8"))["dev"]
    speeds = [float(row["tokens_per_second"]) for row in csv.DictReader((model / "history.csv").open())]
    key = "accuracy" if test["f1"] is None else "f1"
    return {
        "dev": dev.get(key), "test": test[key], "test_strict": test["strict"]["f1"], "epoch": dev["epoch"],
        "tokens_per_second": statistics.median(speeds), "minutes": round(minutes, 2),
    }  # fmt: skip


def run(command: list[str], folder: Path, **options: Any) -> str:
    done = subprocess.run(command, cwd=folder, check=False, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr or ''}")
    return done.stdout


def spread(shares: Iterable[float | None]) -> str:
    """Return the mean ± standard deviation of a sample in percent, or a dash if the sample is empty."""
    values = [100 * share for share in shares if share is not None]
    if not values:
        return "–"
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")
