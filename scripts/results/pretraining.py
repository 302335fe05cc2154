"""Measure what a first block that was pretrained on raw text is worth, with few labels and with all of them.

    python scripts/results/pretraining.py --runs docs/pretraining.jsonl --work WORK  # takes hours; stop it at any time
    python scripts/results/pretraining.py --runs docs/pretraining.jsonl --table      # the table

WORK keeps the pretrained directories, which hold the words of corpora that are not to be shared. Each row is one way to
train from them; dev decides which epoch is kept, and the table shows F1 on dev. Runs that are in the file are skipped.

    none      no pretraining
    lower     no pretraining, but tokens are looked up in lower case and with digits as 0, as the rows below do
    tuned     all weights are trained on
    frozen    everything that was pretrained stays as it is below a new second block
    carried   as `tuned`, but the states of the language models go over the ends of sentences
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kinds import CORPORA, load, run_missing, train_and_score
from one_run import TAGGER, spread

SEEDS = (1, 2, 3)
CELLS = (("conll2000", 0.1), ("wnut17", 1.0), ("conll2000", 0.3), ("wnut17", 0.3), ("conll2000", 1.0))
FROZEN = {"training.freeze": "[embedding, characters, casing, block_1]"}
NORMALIZED = {"vocabulary.lowercase": "true", "vocabulary.normalize_digits": "true"}
# row → the settings of the pretraining, if there is one, and those of the training
ROWS: dict[str, tuple[dict[str, str] | None, dict[str, str]]] = {
    "none": (None, {}),
    "lower": (None, NORMALIZED),
    "tuned": ({}, {}),
    "frozen": ({}, FROZEN),
    "carried": ({"training.reset_states": "false"}, {}),
}


def pretrained(settings: dict[str, str], work: Path, n_lines: int, epochs: int) -> Path:
    """Return the directory that was pretrained with some settings on the first lines of the news and all tweets."""
    name = "-".join([str(n_lines), str(epochs), *(f"{key}={value}" for key, value in sorted(settings.items()))])
    directory = work / name
    if not directory.exists():
        texts = [work / f"news-{n_lines}.txt", CORPORA / "raw/tweets-en.txt.gz"]
        if not texts[0].exists():
            with gzip.open(CORPORA / "raw/news-en.txt.gz", "rt", encoding="utf-8") as news:
                texts[0].write_text("".join(itertools.islice(news, n_lines)), "utf-8")
        given = {"training.epochs": str(epochs), "training.threads": "1"} | settings
        options = [f"--set={key}={value}" for key, value in given.items()]
        command = [*TAGGER, "pretrain", *map(str, texts), "-o", str(directory), "--resume"]
        subprocess.run([*command, "--from", "text", "--lines", *options], check=True)
    return directory


def plan() -> Iterator[dict[str, Any]]:
    """Yield kind, share, row and seed of every run, the most important first."""
    for kind, share in CELLS:
        for seed in SEEDS:
            yield from ({"kind": kind, "share": share, "row": row, "seed": seed} for row in ROWS)


def table(runs: list[dict[str, Any]]) -> str:
    """Return dev F1 of each row, and its mean change against `none` with the same seeds."""
    lines = ["| corpus | labels | row | seeds | F1 on dev | change |", "|---|---|---|---|---|---|"]
    for kind, share in CELLS:
        here = [run for run in runs if (run["kind"], run["share"]) == (kind, share)]
        found = {row: {run["seed"]: run["dev"] for run in here if run["row"] == row} for row in ROWS}
        for row, by_seed in found.items():
            if by_seed:
                both = [seed for seed in by_seed if seed in found["none"]]
                changes = [100 * (by_seed[seed] - found["none"][seed]) for seed in both]
                change = f"{statistics.mean(changes):+.2f}" if changes and row != "none" else ""
                cells = [kind, f"{round(100 * share)} %", row, str(len(by_seed)), spread(by_seed.values()), change]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="the folder for pretrained directories")
    parser.add_argument("--lines", type=int, default=100_000, help="lines of the news")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the pretraining")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)))
        return
    if arguments.work is None:
        parser.error("--work: found none, expected a folder outside the repository for the pretrained directories")
    arguments.work.mkdir(parents=True, exist_ok=True)

    def one(key: dict[str, Any]) -> dict[str, Any]:
        of_pretraining, settings = ROWS[key["row"]]
        facts = {}
        if of_pretraining is not None:
            directory = pretrained(of_pretraining, arguments.work.resolve(), arguments.lines, arguments.epochs)
            settings = {"model.pretrained": str(directory), **settings}
            facts = {"lines": arguments.lines, "pretraining_epochs": arguments.epochs}
        return facts | train_and_score(key["kind"], settings, share=key["share"], seed=key["seed"])

    wanted = (key for key in plan() if key["row"] in arguments.rows)
    run_missing(arguments.runs.resolve(), wanted, one, jobs=1, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
