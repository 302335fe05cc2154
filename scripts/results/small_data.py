"""Measure what is chosen for small training sets against fixed settings, for docs/results.md.

    python scripts/results/small_data.py --runs docs/small-data.jsonl            # takes hours; stop it at any time
    python scripts/results/small_data.py --runs docs/small-data.jsonl --table    # the three tables

Each run trains on the first n sentences of a corpus with one thread, and is one line of JSON in the file; runs that are
already there are skipped, so the same command continues. The row `fixed` is 30 epochs of batches of 32 sentences with a
patience of 5, and `chosen` is what `tagger train` chooses if the config sets none of them, both without a pretraining
and with case and digits as they are. `reading` is `chosen` with tokens in lower case and digits as 0, and it reads the
training sentences as text first, ten times. `CRF` is `reading` with a CRF, and `subwords` is `CRF` with subwords. A dev
set of 300 other sentences decides which epoch is kept. The score is that of further sentences, none of them from a test
file: the last 1,000 of the training file of CoNLL-2000, the last 709 of the dev file of WNUT-17, and the last 2,000 of
NerKor.
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from one_run import EARLIER_SETTINGS, spread

from tagger.config.keys import TrainingConfig
from tagger.config.loading import load_config
from tagger.training.schedule import schedule_of

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data"
SIZES = (100, 300, 1000, 10_000)
FIXED, CHOSEN, READING, CRF, SUBWORDS = "fixed", "chosen", "reading", "CRF", "subwords"
_READING = [
    "vocabulary.lowercase=true", "vocabulary.normalize_digits=true", "training.pretraining_epochs=10",
    "features.subwords=0",
]  # fmt: skip
MORE = {
    FIXED: EARLIER_SETTINGS,
    CHOSEN: EARLIER_SETTINGS,
    READING: [*_READING, "model.decoder=constrained"],
    CRF: [*_READING, "model.decoder=crf"],
    SUBWORDS: [*_READING, "model.decoder=crf", "features.subwords=2000"],
}
SETTINGS = {"batch_size": 32, "epochs": 30, "patience": 5}
DEV, SCORED = 300, {"conll2000": 1000, "wnut17": 709, "nerkor": 2000}
# With 10,000 sentences, the settings that are chosen are the fixed ones, so there is only one row.
SEEDS = {100: (1, 2), 300: (1, 2), 1000: (1, 2, 3), 10_000: (1,)}


def sentences_of(corpus: str) -> tuple[list[str], list[str]]:
    """Return the sentences of a corpus to train on, and those for dev and the score."""
    n_held = DEV + SCORED[corpus]
    if corpus == "wnut17":
        return read(CORPORA / "wnut17/train.conll"), read(CORPORA / "wnut17/dev.conll")[:n_held]
    files = {"conll2000": "conll2000/train.txt", "nerkor": "nerkor/train.tsv.gz"}
    sentences = read(CORPORA / files[corpus])
    return sentences[:-n_held], sentences[-n_held:]


def chosen_for(n_sentences: int) -> dict[str, int | None]:
    schedule = schedule_of(TrainingConfig(), n_sentences)
    return {name: getattr(schedule, name) for name in SETTINGS}


def read(path: Path) -> list[str]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [sentence for sentence in re.split(r"\n(?:[ \t]*\n)+", data.decode().strip("\n")) if sentence.strip()]


def plan() -> Iterator[tuple[int, int, str, str]]:
    """Yield size, seed, corpus and row of every run, the most important first."""
    for size in SIZES:
        for seed in SEEDS[size]:
            for corpus in SCORED:
                yield size, seed, corpus, FIXED
                # WNUT-17 has fewer than 10,000 sentences, but enough for the same settings.
                if chosen_for(size) != SETTINGS:
                    yield from ((size, seed, corpus, row) for row in list(MORE)[1:])


def run_all(path: Path, more: list[str], *, rows: str, minutes: float | None) -> None:
    done = {(run["size"], run["seed"], run["corpus"], run["row"]) for run in load(path)}
    end = None if minutes is None else time.monotonic() + 60 * minutes
    for key in plan():
        size, seed, corpus, row = key
        if key in done or rows not in f"{corpus} {size} seed {seed} {row}":
            continue
        if end is not None and time.monotonic() > end:
            return
        found = {"corpus": corpus, "size": size, "row": row, "seed": seed} | one_run(corpus, size, row, seed, more)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{corpus:10} {size:6} {row:8} seed {seed}  F1 {100 * found['f1']:.2f}", flush=True)


def one_run(corpus: str, size: int, row: str, seed: int, more: list[str]) -> dict[str, Any]:
    from tagger.evaluation.evaluate import evaluate_file  # these load TensorFlow, which the table does not need
    from tagger.prediction.onnx_session import load_predictor
    from tagger.training.listener import Silent
    from tagger.training.parts import Parts
    from tagger.training.train import train

    training, held = sentences_of(corpus)
    training = training[:size]
    settings = SETTINGS if row == FIXED else chosen_for(len(training))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, some in (("train", training), ("dev", held[:DEV]), ("score", held[DEV:])):
            (folder / part).write_text("\n\n".join(some) + "\n", "utf-8")
        (folder / "c.yaml").write_text("data: {train: train, dev: dev}\n")
        given = [f"training.{key}={value}" for key, value in settings.items()]
        given += [f"training.seed={seed}", "training.threads=1", f"output.model_dir={folder / 'm'}"]
        config, start = load_config(folder / "c.yaml", [*given, *MORE[row], *more]), time.perf_counter()
        # Nobody uses the models of the epochs, so their check is left out, which saves a third of the time.
        outcome = train(config, Silent(), device="cpu", parts=Parts(check_equal=lambda *models: None))
        minutes = (time.perf_counter() - start) / 60
        predictor = load_predictor(folder / "m", threads=1)
        overall = evaluate_file(predictor, str(folder / "score"), predictor.model.manifest.layout).overall
    assert outcome.best is not None
    assert overall is not None
    return {
        "sentences": len(training), "settings": settings, "f1": overall.f1, "dev": outcome.best.dev_score,
        "epoch": outcome.best.epoch, "epochs_trained": len(outcome.history), "minutes": round(minutes, 2),
    }  # fmt: skip


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def table(runs: list[dict[str, Any]]) -> str:
    """Return three Markdown tables: F1 in percent, mean ± standard deviation of the seeds, and the change."""
    lines = [
        "| corpus | sentences | seeds | F1, 30 epochs of 32 | chosen | F1, chosen | change |",
        "|---|---|---|---|---|---|---|",
    ]
    for corpus in SCORED:
        for size in SIZES:
            fixed, chosen = (_runs_of(runs, corpus, size, row) for row in (FIXED, CHOSEN))
            same = chosen_for(size) == SETTINGS
            seeds = sorted(fixed if same else fixed.keys() & chosen.keys())
            if seeds:
                pairs = [(fixed[seed], (fixed if same else chosen)[seed]) for seed in seeds]
                lines.append(f"| {corpus} | {line(pairs, same=same)} |")
    for old, new in ((CHOSEN, READING), (CRF, SUBWORDS)):
        found = []
        for corpus, size in itertools.product(SCORED, SIZES):
            before, after = (_runs_of(runs, corpus, size, row) for row in (old, new))
            if pairs := [(before[seed], after[seed]) for seed in sorted(before.keys() & after.keys())]:
                found.append(f"| {corpus} | {size:,} | {len(pairs)} | {_change(pairs)} |")
        if found:
            head = ["", f"| corpus | sentences | seeds | F1, {old} | F1, {new} | change |", "|---|---|---|---|---|---|"]
            lines += [*head, *found]
    return "\n".join(lines) + "\n"


def _runs_of(runs: list[dict[str, Any]], corpus: str, size: int, row: str) -> dict[int, dict[str, Any]]:
    """Return the runs of a row by seed."""
    return {run["seed"]: run for run in runs if (run["corpus"], run["size"], run["row"]) == (corpus, size, row)}


def _change(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    before, after = (spread(run["f1"] for run in some) for some in zip(*pairs, strict=True))
    change = statistics.mean(100 * (new["f1"] - old["f1"]) for old, new in pairs)
    return f"{before} | {after} | {change:+.2f}"


def line(pairs: list[tuple[dict[str, Any], dict[str, Any]]], *, same: bool) -> str:
    """Return the cells for the runs of one corpus and size, each of them with fixed and with chosen settings."""
    before, after = (spread(run["f1"] for run in runs) for runs in zip(*pairs, strict=True))
    size, settings = pairs[0][1]["sentences"], pairs[0][1]["settings"]
    if same:
        return f"{size:,} | {len(pairs)} | {before} | the same | {after} | 0"
    change = statistics.mean(100 * (chosen["f1"] - fixed["f1"]) for fixed, chosen in pairs)
    shown = f"{settings['epochs']} epochs of {settings['batch_size']}"
    return f"{size:,} | {len(pairs)} | {before} | {shown} | {after} | {change:+.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    parser.add_argument("--rows", default="", help="only runs with this text in `corpus size seed S row`")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="on top of every run's settings")
    parser.add_argument("--minutes", type=float, help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)), end="")
        return
    run_all(arguments.runs.resolve(), arguments.settings, rows=arguments.rows, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
