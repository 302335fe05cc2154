"""Distil five teachers into one model of their size, and compare it with them, for docs/results.md.

    python scripts/results/distill.py --runs docs/distill.jsonl            # takes an hour; stop it at any time
    python scripts/results/distill.py --runs docs/distill.jsonl --table    # the table

The teachers are the seeds 1 to 5 of a small network; their ensemble is the mean of their distributions at each token.
Students have the same network, the seeds 11 to 13, and the same training data; the rows differ in the other options of
`tagger distill`. Text without tags is the beginning of the raw tweets for WNUT-17, and of the raw news for CoNLL-2000.
Each run is one line of JSON in the file; runs that are already there are skipped. Epochs are chosen on dev.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import itertools
import json
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from kinds import CORPORA, load, run_missing, sentences_of, share_of
from one_run import EARLIER_SETTINGS, TAGGER, run, spread

TEACHERS, STUDENTS = 5, (11, 12, 13)
NETWORK = [
    *EARLIER_SETTINGS,
    "model.layers=1",
    "model.units=100",
    "training.batch_size=16",
    "training.patience=null",
    "training.threads=1",
]
GLOVE = ["vocabulary.lowercase=true", "embeddings.name=glove-6b-50d"]
SETTINGS = {
    "wnut17 1.0": [*GLOVE, "training.epochs=8"],
    "wnut17 0.3": [*GLOVE, "training.epochs=18"],
    "conll2000 0.1": ["training.epochs=15"],
}
RAW = {"wnut17": ("tweets-en", 20_000), "conll2000": ("news-en", 6_000)}  # the file, and its lines that are used
UNLABELLED = ["--unlabelled", "raw.txt"]
ROWS: dict[str, list[str]] = {
    "training sentences": [],
    "raw text": UNLABELLED,
    "raw text, temperature 2": [*UNLABELLED, "--temperature=2"],
    "raw text, no gold tags": [*UNLABELLED, "--gold-weight=0"],
    "raw text, gold 0.25": [*UNLABELLED, "--gold-weight=0.25"],
    "much raw text": [*UNLABELLED, "--unlabelled-ratio=6"],
}


def prepared(corpus: str, work: Path, more: list[str]) -> Path:
    """Return the folder of a corpus and of settings on top, with the files of the corpus and its config."""
    folder = work / re.sub(r"[ /]", "-", " ".join([corpus, *more]))
    if (folder / "c.yaml").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    kind, share = corpus.split(" ")
    parts = sentences_of(kind)
    parts = parts._replace(train=share_of(parts.train, float(share), 1))
    for part, sentences in parts._asdict().items():
        (folder / part).write_text("\n\n".join(sentences) + "\n", "utf-8")
    name, n_lines = RAW[kind]
    with gzip.open(CORPORA / "raw" / f"{name}.txt.gz", "rt", encoding="utf-8") as lines:
        (folder / "raw.txt").write_text("".join(itertools.islice(lines, n_lines)), "utf-8")
    # Some tags of a share may be rare enough to look like a misread file.
    (folder / "c.yaml").write_text(
        "data: {train: train, dev: dev, test: test, columns: {token: 0, tag: 1}, trust: true}\n"
    )
    return folder


def train(command: list[str], corpus: str, folder: Path, seed: int, more: list[str]) -> None:
    settings = [*NETWORK, *SETTINGS[corpus], f"training.seed={seed}", *more]
    options = [f"--set={one}" for one in settings]
    run([*TAGGER, *command, "--quiet", "--resume", *options], folder, stderr=subprocess.PIPE)


def scores(folder: Path, models: list[str]) -> dict[str, Any]:
    """Return what `tagger eval` prints of models for dev and test."""
    found = {}
    for part in ("dev", "test"):
        command = [*TAGGER, "eval", part, "--json", *(f"--model={one}" for one in models)]
        found[part] = json.loads(run(command, folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    return found


def train_teachers(corpus: str, folder: Path, more: list[str]) -> None:
    """Train the teachers, unless they are there."""
    if not all((folder / one).exists() for one in _seeds()):
        command = ["train", "c.yaml", "--model=teacher", f"--seeds={TEACHERS}", "--keep-seeds", "--jobs=1"]
        train(command, corpus, folder, 1, more)


def teachers(corpus: str, folder: Path, more: list[str]) -> dict[str, Any]:
    """Train the teachers; return the F1 of each, and of their ensemble."""
    train_teachers(corpus, folder, more)
    return {
        part: {"teachers": [one["f1"] for one in both["models"]], "ensemble": both["ensemble"]["f1"]}
        for part, both in scores(folder, _seeds()).items()
    }


def student(corpus: str, row: str, seed: int, folder: Path, more: list[str]) -> dict[str, Any]:
    """Distil the teachers; return the F1 of the student."""
    train_teachers(corpus, folder, more)
    model = f"student-{row.replace(' ', '-').replace(',', '')}-{seed}"
    train(["distill", "c.yaml", "--teachers", *_seeds(), *ROWS[row], f"--model={model}"], corpus, folder, seed, more)
    return {part: found["f1"] for part, found in scores(folder, [model]).items()}


def _seeds() -> list[str]:
    return [f"teacher.seed-{seed}" for seed in range(1, TEACHERS + 1)]


def plan() -> Iterator[tuple[str, str, int]]:
    """Yield corpus, row and seed of every run."""
    for corpus in SETTINGS:
        yield corpus, "teachers", 1
        yield from ((corpus, row, seed) for row in ROWS for seed in STUDENTS)


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table: F1 in percent, mean ± standard deviation of the seeds."""
    lines = [
        "| corpus | model | seeds | dev | change | test | change |",
        "|---|---|---|---|---|---|---|",
    ]
    for corpus in SETTINGS:
        of_corpus = [one for one in runs if one["corpus"] == corpus]
        first = next((one for one in of_corpus if one["row"] == "teachers"), None)
        if first is None:
            continue
        each = {part: first[part]["teachers"] for part in ("dev", "test")}
        best = max(range(TEACHERS), key=each["dev"].__getitem__)
        rows = {
            "teachers": each,
            "the best one on dev": {part: [values[best]] for part, values in each.items()},
            "their ensemble": {part: [first[part]["ensemble"]] for part in each},
        }
        for row in ROWS:
            some = [one for one in of_corpus if one["row"] == row]
            rows |= {f"distilled: {row}": {part: [one[part] for one in some] for part in each}} if some else {}
        for row, values in rows.items():
            cells = [
                f"{spread(values[part])} | {100 * (statistics.mean(values[part]) - statistics.mean(each[part])):+.2f}"
                for part in ("dev", "test")
            ]
            lines.append(f"| {corpus} | {row} | {len(values['dev'])} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "distill"))
    parser.add_argument("--rows", nargs="*", default=["*"], help="only these, as in 'wnut17 * seed 11 raw text'")
    parser.add_argument("--set", action="append", default=[], dest="more")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)))
        return

    def one(key: dict[str, Any]) -> dict[str, Any]:
        folder = prepared(key["corpus"], arguments.work, arguments.more)
        found = teachers if key["row"] == "teachers" else functools.partial(student, row=key["row"], seed=key["seed"])
        return {**found(key["corpus"], folder=folder, more=arguments.more), "settings": arguments.more}

    wanted = [
        {"corpus": corpus, "row": row, "seed": seed}
        for corpus, row, seed in plan()
        if any(fnmatch(f"{corpus} seed {seed} {row}", pattern) for pattern in arguments.rows)
    ]
    run_missing(arguments.runs, wanted, one, jobs=1)  # students need the teachers before them


if __name__ == "__main__":
    main()
