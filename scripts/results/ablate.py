"""Measure what each ingredient of the recommended recipe gains and costs: the runs behind docs/results.md.

    python scripts/results/ablate.py --runs docs/ablation.jsonl --jobs 2             # takes hours; stop it at any time
    python scripts/results/ablate.py --runs docs/ablation.jsonl --speeds docs/ablation-speeds.jsonl --table  # tables

Every run is one line of JSON in the file; runs that are already there are skipped, so the same command continues.
Each run trains with one thread, so that two parallel runs do not slow each other down. The epoch is chosen on dev, and
the test file is scored once, at the end. Runs on all of the data have no dev set; their number of epochs is the one
after which the runs with a dev set were best.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from one_run import EARLIER, measure, spread

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data"
SEEDS = (1, 2, 3)
FIVE_SEEDS = (1, 2, 3, 4, 5)

# The files of each corpus, as settings. The dev set of CoNLL-2000 is a tenth of train, chosen by the seed.
DATA: dict[str, dict[str, str]] = {
    "conll2000": {
        "data.train": "conll2000/train.txt",
        "data.dev": "0.1",
        "data.test": "conll2000/test.txt",
        "data.columns": "{token: 0, pos: 1, tag: 2}",
    },
    "wnut17": {"data.train": "wnut17/train.conll", "data.dev": "wnut17/dev.conll", "data.test": "wnut17/test.conll"},
    "chinese": {
        "data.train": "chinese/zh_gsd-ud-train.iob2",
        "data.dev": "chinese/zh_gsd-ud-dev.iob2",
        "data.test": "chinese/zh_gsd-ud-test.iob2",
        "data.columns": "{token: 1, tag: 2}",
    },
}
GLOVE = {"embeddings.name": "glove-6b-50d"}
CRF = {"model.decoder": "crf"}
# The recipe. It includes settings that are defaults, so that a row keeps its meaning when a default changes.
FULL = {
    "model.characters": "cnn", "model.casing": "true", "model.layers": "2", "model.units": "150",
    "model.scheme": "IOBES", "model.decoder": "crf", "model.dropout": "0.5", "model.input_dropout": "0.25",
    "model.token_dropout": "0.25", "vocabulary.unk_probability": "0.3", "training.optimizer": "nadam",
    "training.learning_rate": "0.002", "training.decay": "0.05", "training.clip_norm": "5.0",
    "training.batch_size": "32", "training.ema": "0.998", "training.epochs": "30", "training.patience": "6",
}  # fmt: skip
WORDS = FULL | {
    "model.characters": "none", "model.casing": "false", "model.layers": "1", "model.units": "100",
    "model.scheme": "IOB2", "model.decoder": "constrained", "model.input_dropout": "0.5", "model.token_dropout": "0",
    "training.optimizer": "adam", "training.learning_rate": "0.001", "training.ema": "null", "training.patience": "5",
}  # fmt: skip
# Chosen on the dev set of WNUT-17, which has a third of the sentences of CoNLL-2000: small batches give more steps.
WNUT_DATA = {"vocabulary.lowercase": "true", "training.batch_size": "8", "training.learning_rate": "0.001"}
WNUT = FULL | WNUT_DATA | {"model.characters": "lstm"}
# The defaults, without those that came later (EARLIER), for a file of tokens and tags.
DEFAULTS = FULL | {"data.columns": "{token: 0, tag: -1}", "model.decoder": "constrained", "training.patience": "5"}
# The baselines of the steps: the recipe with one layer, for a number of epochs that was enough on dev, and on WNUT-17
# with a convolution and larger batches. They train in two minutes, so that all of the steps take hours and not days.
REFERENCE = "reference"
REFERENCES = {
    "conll2000": FULL | {"model.layers": "1", "training.epochs": "8"},
    "wnut17": FULL | GLOVE | {
        "vocabulary.lowercase": "true", "model.layers": "1", "training.batch_size": "16", "training.epochs": "12",
    },
}  # fmt: skip
STEPS: dict[str, dict[str, str]] = {
    REFERENCE: {},
    "two layers": {"model.layers": "2"},
    "constrained softmax for CRF": {"model.decoder": "constrained"},
    "plain softmax for CRF": {"model.decoder": "softmax"},
    "IOB2 for IOBES": {"model.scheme": "IOB2"},
    "no characters": {"model.characters": "none"},
    "LSTM over characters": {"model.characters": "lstm"},
    "no casing": {"model.casing": "false"},
    "no moving average": {"training.ema": "null"},
    "no dropout of the output": {"model.dropout": "0"},
    "no dropout of the input": {"model.input_dropout": "0"},
    "no dropout of tokens": {"model.token_dropout": "0"},
    "recurrent dropout 0.25": {"model.recurrent_dropout": "0.25"},
    "singletons never unknown": {"vocabulary.unk_probability": "0"},
    "word dropout 0.05": {"vocabulary.word_dropout": "0.05"},
    "character dropout 0.05": {"vocabulary.character_dropout": "0.05"},
    "Adam for Nadam": {"training.optimizer": "adam"},
    "SGD for Nadam, rate 0.1": {"training.optimizer": "sgd", "training.learning_rate": "0.1"},
    "rate 0.001": {"training.learning_rate": "0.001"},
    "rate never decayed": {"training.decay": "0"},
    "no clipping": {"training.clip_norm": "null"},
    "constrained softmax, labels smoothed by 0.1": {"model.decoder": "constrained", "training.label_smoothing": "0.1"},
}
# Steps that apply to only one of the two corpora.
STEPS_OF: dict[str, dict[str, dict[str, str]]] = {
    "conll2000": {"no POS": {"data.columns": "{token: 0, tag: 2}"}, "GloVe": GLOVE},
    "wnut17": {
        "no GloVe": {"embeddings.name": "null"},
        "GloVe frozen": {"embeddings.trainable": "false"},
        "upper case kept": {"vocabulary.lowercase": "false"},
    },
}
BOTH = ("wnut17/train.conll", "wnut17/dev.conll")


def on_all(epochs: int, *files: str) -> dict[str, str]:
    """Return the settings of a training without a dev set; if dev is a file of its own, `files` includes it."""
    return {"data.dev": "null", "training.epochs": str(epochs)} | ({"data.train": " ".join(files)} if files else {})


def plan() -> Iterator[tuple[str, str, dict[str, str], int]]:
    """Yield corpus, row, settings and seed of every run, the most important first."""
    for seed in FIVE_SEEDS:
        yield "conll2000", "full, no vectors, all of train", FULL | on_all(12), seed
        yield "conll2000", "full, GloVe, all of train", FULL | GLOVE | on_all(18), seed
        yield "wnut17", "full, GloVe, train and dev", WNUT | GLOVE | on_all(27, *BOTH), seed
    for seed in SEEDS:
        yield "wnut17", "full, GloVe", WNUT | GLOVE, seed
        yield "conll2000", "full, no vectors", FULL, seed
        yield "conll2000", "full, no vectors, constrained softmax", FULL | {"model.decoder": "constrained"}, seed
        yield "chinese", "full, no vectors", FULL, seed
    for seed in SEEDS:
        for corpus, reference in REFERENCES.items():
            for row, change in steps_of(corpus).items():
                yield corpus, row, reference | change, seed
    for seed in SEEDS:
        yield "conll2000", "full, GloVe", FULL | GLOVE, seed
        yield "conll2000", "words only", WORDS | {"data.columns": "{token: 0, tag: -1}"}, seed
        yield "wnut17", "words only", WORDS | WNUT_DATA, seed
        yield "wnut17", "full, no vectors", WNUT, seed
    for seed in SEEDS:
        yield "conll2000", "defaults", DEFAULTS, seed
        yield "conll2000", "defaults with a CRF", DEFAULTS | CRF, seed


def steps_of(corpus: str) -> dict[str, dict[str, str]]:
    return STEPS | STEPS_OF[corpus] if corpus in REFERENCES else {}


def trained(corpus: str, settings: dict[str, str], seed: int, threads: int) -> dict[str, Any]:
    given = DATA[corpus] | EARLIER | settings | {"training.seed": str(seed), "training.threads": str(threads)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for key in ("data.train", "data.dev", "data.test"):
            if "/" in given[key]:
                given[key] = str(one_file([CORPORA / name for name in given[key].split()], folder))
        config = folder / "c.yaml"
        config.write_text("{}\n")
        return measure(config, given, folder, quiet=True)


def one_file(paths: list[Path], folder: Path) -> Path:
    if len(paths) == 1:
        return paths[0]
    joined = folder / "joined"
    joined.write_bytes(b"\n".join(path.read_bytes() for path in paths))
    return joined


def key_of(run: dict[str, Any]) -> str:
    return json.dumps([run["corpus"], run["settings"], run["seed"]], sort_keys=True)


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def run_all(path: Path, more: dict[str, str], *, rows: str, jobs: int, most: int | None, minutes: float | None) -> None:
    done = {key_of(run) for run in load(path)}
    wanted = [
        {"corpus": corpus, "row": row, "seed": seed, "settings": settings | more}
        for corpus, row, settings, seed in plan()
        if rows in f"{corpus} {row}"
        and key_of({"corpus": corpus, "settings": settings | more, "seed": seed}) not in done
    ][:most]
    lock, end = threading.Lock(), None if minutes is None else time.monotonic() + 60 * minutes

    def one(run: dict[str, Any]) -> None:
        if end is not None and time.monotonic() > end:
            return
        found = run | trained(run["corpus"], run["settings"], run["seed"], threads=1)
        with lock, path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{run['corpus']:10} {run['row']:40} seed {run['seed']}  test {100 * found['test']:.2f}", flush=True)

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, wanted))


def table(runs: list[dict[str, Any]], speeds: list[dict[str, Any]]) -> str:
    """Return Markdown tables for each corpus: F1 in percent, mean ± standard deviation of the seeds."""
    ratios = {(found["corpus"], found["row"]): f"{statistics.median(found['ratios']):.2f}" for found in speeds}
    lines: list[str] = []
    order = {(corpus, row): i for i, (corpus, row, *_) in reversed(list(enumerate(plan())))}
    for corpus in DATA:
        rows: dict[str, list[dict[str, Any]]] = {}
        for run in sorted(
            (run for run in runs if run["corpus"] == corpus),
            key=lambda run: order.get((corpus, run["row"]), len(order)),
        ):
            rows.setdefault(run["row"], []).append(run)
        steps = {row: found for row, found in rows.items() if row in steps_of(corpus)}
        results = {row: found for row, found in rows.items() if row not in steps}
        if results:
            lines += ["", f"### {corpus}", "", "| | seeds | dev F1 | test F1 | strict | tokens/s, one core |"]
            lines += ["|---|---|---|---|---|---|", *(result_line(row, found) for row, found in results.items())]
        if REFERENCE in steps:
            lines += ["", f"### {corpus}: one step away from the reference", ""]
            lines += [
                "| | seeds | dev F1 | test F1 | change on dev | on test | speed |",
                "|---|---|---|---|---|---|---|",
            ]
            lines += [
                f"{step_cells(row, found, steps[REFERENCE])} | {ratios.get((corpus, row), '–')} |"
                for row, found in steps.items()
            ]
    return "\n".join(lines[1:]) + "\n"


def result_line(row: str, runs: list[dict[str, Any]]) -> str:
    cells = [spread(run[key] for run in runs) for key in ("dev", "test", "test_strict")]
    speed = max(run["tokens_per_second"] for run in runs)  # the run that was disturbed least
    return f"| {row} | {len(runs)} | {' | '.join(cells)} | {speed:,.0f} |"


def step_cells(row: str, runs: list[dict[str, Any]], reference: list[dict[str, Any]]) -> str:
    dev, test = (spread(run[key] for run in runs) for key in ("dev", "test"))
    # The seed chooses the sentences of dev, so only runs with the same seed are compared.
    same = {run["seed"]: run for run in reference}
    changes = (
        statistics.mean(100 * (run[key] - same[run["seed"]][key]) for run in runs if run["seed"] in same)
        for key in ("dev", "test")
    )
    shown = " | ".join("" if row == REFERENCE else f"{change:+.2f}" for change in changes)
    return f"| {row} | {len(runs)} | {dev} | {test} | {shown}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--speeds", type=Path, help="file of ablate_speed.py, for --table")
    parser.add_argument("--table", action="store_true", help="print the tables and train nothing")
    parser.add_argument("--jobs", type=int, default=1, help="parallel runs, each on one core")
    parser.add_argument("--rows", default="", help="only runs with this text in `corpus row`, as in 'wnut17 full'")
    parser.add_argument("--most", type=int, help="stop after this number of runs")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="on top of every run's settings")
    parser.add_argument("--minutes", type=float, help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs), load(arguments.speeds) if arguments.speeds else []), end="")
        return
    more = dict(setting.split("=", 1) for setting in arguments.settings)
    how = {"rows": arguments.rows, "jobs": arguments.jobs, "most": arguments.most, "minutes": arguments.minutes}
    run_all(arguments.runs.resolve(), more, **how)


if __name__ == "__main__":
    main()
