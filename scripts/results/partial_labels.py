"""Measure training on sentences that are annotated only in part, for docs/results.md.

    python scripts/results/partial_labels.py --runs docs/partial-labels.jsonl          # takes hours; may be stopped
    python scripts/results/partial_labels.py --runs docs/partial-labels.jsonl --table  # the table

Somebody has read only one half of each sentence of the training data: the first or the last half of its entities and
tokens outside, by the toss of a coin for each sentence; entities are not cut. So about half of the entities are hidden,
and half of the tokens outside too, because whoever has not read a token does not know that it is outside. The row `O`
writes O for all hidden tokens, `?` writes `?` (data.unknown_tag), and `full` hides nothing. The seed of the training is
that of the coins as well.

WNUT-17 is trained on whole, NerKor on its first 10,000 sentences, with the settings that `tagger train` chooses and one
thread. A dev set of 300 whole sentences decides which epoch is kept, and the scores are those of other whole sentences,
none of them from a test file: see small_data.py. Each run is one line of JSON in the file; runs that are already there
are skipped, so the same command continues.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from one_run import EARLIER_SETTINGS, spread
from small_data import DEV, load, sentences_of

ROWS = ("O", "?", "full")
SIZES = {"wnut17": 3394, "nerkor": 10_000}
SEEDS = (1, 2, 3)


def half_hidden(sentence: str, coin: random.Random, hidden_tag: str) -> str:
    """Return a sentence in IOB2 of which one half of the entities and of the tokens outside has another tag."""
    rows = [line.rsplit("\t", 1) for line in sentence.split("\n")]
    starts = [i for i, (_, tag) in enumerate(rows) if not tag.startswith("I-")] or [0]
    n_first = (len(starts) + coin.randrange(2)) // 2
    middle = starts[n_first] if n_first < len(starts) else len(rows)
    hidden = range(middle) if coin.randrange(2) else range(middle, len(rows))
    for i in hidden:
        rows[i][1] = hidden_tag
    return "\n".join("\t".join(row) for row in rows)


def plan() -> Iterator[tuple[str, int, str]]:
    """Yield corpus, seed and row of every run, the smaller corpus first."""
    for corpus in SIZES:
        for seed in SEEDS:
            for row in ROWS:
                yield corpus, seed, row


def run_all(path: Path, more: list[str], *, rows: str, minutes: float | None) -> None:
    done = {(run["corpus"], run["seed"], run["row"]) for run in load(path)}
    end = None if minutes is None else time.monotonic() + 60 * minutes
    for corpus, seed, row in plan():
        if (corpus, seed, row) in done or rows not in f"{corpus} seed {seed} {row}":
            continue
        if end is not None and time.monotonic() > end:
            return
        found = {"corpus": corpus, "row": row, "seed": seed} | one_run(corpus, row, seed, more)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{corpus:10} {row:5} seed {seed}  F1 {100 * found['f1']:.2f}", flush=True)


def one_run(corpus: str, row: str, seed: int, more: list[str]) -> dict[str, Any]:
    from tagger.config.loading import load_config
    from tagger.evaluation.evaluate import evaluate_file  # these load TensorFlow, which the table does not need
    from tagger.prediction.onnx_session import load_predictor
    from tagger.training.listener import Silent
    from tagger.training.parts import Parts
    from tagger.training.train import train

    training, held = sentences_of(corpus)
    training = training[: SIZES[corpus]]
    coin = random.Random(seed)
    if row != "full":
        training = [half_hidden(sentence, coin, row) for sentence in training]
    tags = [line.rsplit("\t", 1)[1] for sentence in training for line in sentence.split("\n")]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, some in (("train", training), ("dev", held[:DEV]), ("score", held[DEV:])):
            (folder / part).write_text("\n\n".join(some) + "\n", "utf-8")
        (folder / "c.yaml").write_text("data: {train: train, dev: dev}\n")
        given = [f"training.seed={seed}", "training.threads=1", f"output.model_dir={folder / 'm'}"]
        given += EARLIER_SETTINGS + (["data.unknown_tag='?'"] if row == "?" else [])
        config, start = load_config(folder / "c.yaml", [*given, *more]), time.perf_counter()
        # Nobody uses the models of the epochs, so their check is left out, which saves a third of the time.
        outcome = train(config, Silent(), device="cpu", parts=Parts(check_equal=lambda *models: None))
        minutes = (time.perf_counter() - start) / 60
        predictor = load_predictor(folder / "m", threads=1)
        overall = evaluate_file(predictor, str(folder / "score"), predictor.model.manifest.layout).overall
    assert outcome.best is not None
    assert overall is not None
    return {
        "sentences": len(training), "entities": sum(tag.startswith("B-") for tag in tags),
        "hidden": sum(tag == "?" for tag in tags), "tokens": len(tags),
        "precision": overall.precision, "recall": overall.recall, "f1": overall.f1,
        "dev": outcome.best.dev_score, "epoch": outcome.best.epoch, "epochs_trained": len(outcome.history),
        "minutes": round(minutes, 2), "settings": more,
    }  # fmt: skip


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table: scores in percent, mean ± standard deviation of the seeds."""
    lines = [
        "| corpus | hidden tokens are | entities | seeds | precision | recall | F1 |",
        "|---|---|---|---|---|---|---|",
    ]
    names = {"O": "`O`", "?": "`?`", "full": "not hidden"}
    for corpus in SIZES:
        for row in ROWS:
            some = [run for run in runs if (run["corpus"], run["row"]) == (corpus, row)]
            if some:
                scores = " | ".join(spread(run[key] for run in some) for key in ("precision", "recall", "f1"))
                entities = round(sum(run["entities"] for run in some) / len(some))
                lines.append(f"| {corpus} | {names[row]} | {entities:,} | {len(some)} | {scores} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    parser.add_argument("--rows", default="", help="only runs with this text in `corpus seed S row`")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="on top of every run's settings")
    parser.add_argument("--minutes", type=float, help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)), end="")
        return
    run_all(arguments.runs.resolve(), arguments.settings, rows=arguments.rows, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
