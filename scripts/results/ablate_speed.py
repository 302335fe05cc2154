"""Measure how fast each step of the ablation trains beside its reference: the column of speeds in docs/results.md.

    python scripts/results/ablate_speed.py --speeds docs/ablation-speeds.jsonl       # stop it at any time

The reference and a step are trained on the first sentences of the corpus, on one core each, in processes of their own
that take turns epoch by epoch. Every step is one line of JSON in the file; steps that are already there are skipped, so
the same command continues.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))

from ablate import CORPORA, DATA, REFERENCE, REFERENCES, load, steps_of
from one_run import EARLIER
from racing import Worker

CONTENDERS = Path(__file__).resolve().parents[1] / "bench/training_contenders.py"
SENTENCES, DEV_SENTENCES = 1000, 20
ALONE = {"data.test": "null", "training.threads": "1", "training.epochs": "100000", "training.patience": "null"}


def race_all(path: Path, *, rows: str, rounds: int) -> None:
    done = {(found["corpus"], found["row"]) for found in load(path)}
    for corpus in REFERENCES:
        wanted = [row for row in steps_of(corpus) if (corpus, row) not in done and rows in f"{corpus} {row}"]
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            reference = begin(corpus, REFERENCE, Path(folder), stack) if wanted else None
            for row in wanted:
                with contextlib.ExitStack() as its_own:
                    worker = begin(corpus, row, Path(folder), its_own)
                    ratios = race(worker, reference, rounds)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"corpus": corpus, "row": row, "ratios": ratios}) + "\n")
                print(f"{corpus:10} {row:45} {' '.join(f'{ratio:.2f}' for ratio in ratios)}", flush=True)


def begin(corpus: str, row: str, folder: Path, stack: contextlib.ExitStack) -> Worker:
    """Start the training of a step and run its first epoch, which is mostly start-up; it waits for the next request."""
    settings = DATA[corpus] | EARLIER | REFERENCES[corpus] | steps_of(corpus)[row] | ALONE
    if settings.get("embeddings.name", "null") != "null":
        settings["embeddings.max_rows"] = "0"  # they cost no time in a step, only when a model is saved
    sentences = re.split(r"\n[ \t\r]*\n", (CORPORA / settings["data.train"]).read_text("utf-8"))
    for name, some in (("train", sentences[:SENTENCES]), ("dev", sentences[:DEV_SENTENCES])):
        settings[f"data.{name}"] = str(folder / name)
        (folder / name).write_text("\n\n".join(some) + "\n", "utf-8")
    config = folder / "c.yaml"
    config.write_text("{}\n")
    model_dir = stack.enter_context(tempfile.TemporaryDirectory())
    given = [f"{key}={value}" for key, value in settings.items()]
    spec = {"contender": "tagger-train", "device": "cpu", "config": str(config), "settings": given}
    worker = Worker(CONTENDERS, spec | {"model_dir": f"{model_dir}/m"})
    stack.callback(worker.close)
    worker.ask(epoch=0, steps=None)
    return worker


def race(worker: Worker, reference: Worker, rounds: int) -> list[float]:
    """Return the speed relative to the reference in each round; the two take turns at going first."""
    ratios = []
    for i in range(rounds):
        seconds = {}
        for contender in (worker, reference) if i % 2 else (reference, worker):
            seconds[contender] = contender.ask(epoch=0, steps=None)["seconds"]
        ratios.append(seconds[reference] / seconds[worker])
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speeds", type=Path, required=True, help="file of speeds, one line of JSON each")
    parser.add_argument("--rows", default="", help="only steps with this text in `corpus row`, as in 'wnut17'")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    race_all(arguments.speeds.resolve(), rows=arguments.rows, rounds=arguments.rounds)


if __name__ == "__main__":
    main()
