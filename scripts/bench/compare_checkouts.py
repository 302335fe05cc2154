"""Compare this checkout with another one: are the models equal byte for byte, and is anything slower?

    git worktree add ../before main~10
    python scripts/bench/compare_checkouts.py ../before

Both checkouts run with this Python and take turns. The script trains the sample in each, compares the model
directories (but for the timing columns of history.csv, and what depends on them) and the output of `tagger predict`,
and prints how many times as long this checkout takes to train, to predict one sentence and to print its help.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from racing import ratio

HERE = Path(__file__).resolve().parents[2]
SAMPLE = HERE / "data/sample"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("other", type=Path, help="the root of the other checkout")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="trainings of each checkout (default 5)")
    parser.add_argument("--epochs", type=int, default=12, metavar="N", help="epochs of each training (default 12)")
    options = parser.parse_args()
    checkouts = {"this": HERE, "other": options.other.resolve()}
    with tempfile.TemporaryDirectory() as name:
        return compare(checkouts, Path(name), options.rounds, options.epochs)


def compare(checkouts: dict[str, Path], folder: Path, rounds: int, epochs: int) -> int:
    models = {name: folder / name / "models/sample" for name in checkouts}
    speeds: dict[str, list[float]] = {name: [] for name in checkouts}
    for name in checkouts:
        models[name].parent.mkdir(parents=True)
    for _ in range(rounds):
        for name, checkout in checkouts.items():
            tagger(
                checkout,
                "train",
                HERE / "configs/sample.yaml",
                "--model",
                models[name],
                f"--set=training.epochs={epochs}",
                cwd=folder,
            )
            speeds[name].append(speed_of(models[name]))
    rounds_listed = ", ".join(f"{a / b:.2f}" for a, b in zip(speeds["this"], speeds["other"], strict=True))
    faster = ratio(speeds["this"], speeds["other"])
    print(f"training, tokens a second: {faster:.2f} times as many as the other ({rounds_listed})")
    test, one = (SAMPLE / "test.conll").read_bytes(), b"Jordan\nspoke\n"
    for what, arguments, given in (
        ("predict, one sentence", ["predict"], one),
        ("--help", ["--help"], b""),
        ("predict --help", ["predict", "--help"], b""),
    ):
        seconds: dict[str, list[float]] = {name: [] for name in checkouts}
        for _ in range(4 * rounds):
            for name, checkout in checkouts.items():
                model = ["--model", models[name]] if arguments == ["predict"] else []
                start = time.perf_counter()
                tagger(checkout, *arguments, *model, cwd=folder, stdin=given)
                seconds[name].append(time.perf_counter() - start)
        print(f"{what}, seconds: {ratio(seconds['this'], seconds['other']):.2f} times as many as the other")
    predicted = [
        tagger(checkouts[name], "predict", "--scores", "--model", models[name], cwd=folder, stdin=test)
        for name in checkouts
    ]
    print(f"predict --scores on the test file: {'equal' if predicted[0] == predicted[1] else 'DIFFERENT'}")
    contents = [content_of(models[name]) for name in checkouts]
    different = sorted(
        key for key in contents[0].keys() | contents[1].keys() if contents[0].get(key) != contents[1].get(key)
    )
    print(f"model directory, {len(contents[0])} files: {'equal' if not different else f'DIFFERENT: {different}'}")
    return 0 if predicted[0] == predicted[1] and not different else 1


def tagger(checkout: Path, *arguments: str | Path, cwd: Path, stdin: bytes = b"") -> bytes:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-m", "tagger", *map(str, arguments)],
        input=stdin, capture_output=True, check=False, env=environment | {"PYTHONPATH": str(checkout)}, cwd=cwd,
    )  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"{checkout}: tagger {' '.join(map(str, arguments))}: {done.stderr.decode()}")
    return done.stdout


def speed_of(model: Path) -> float:
    with (model / "history.csv").open() as file:
        return statistics.median(float(row["tokens_per_second"]) for row in csv.DictReader(file))


def content_of(model: Path) -> dict[str, object]:
    """Return what must be equal: every file, without the times of the epochs and the checksums that depend on them."""
    found: dict[str, object] = {path.name: path.read_bytes() for path in model.iterdir()}
    found["history.csv"] = [line.split(",")[:3] for line in (model / "history.csv").read_text().splitlines()]
    manifest = json.loads((model / "manifest.json").read_text())
    del manifest["files"]["history.csv"], manifest["sha256"]
    manifest.pop("origin", None)  # the path of the config; older checkouts do not store it
    found["manifest.json"] = manifest
    return found


if __name__ == "__main__":
    sys.exit(main())
