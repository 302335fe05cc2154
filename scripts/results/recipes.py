"""Measure the defaults and changes of them on four kinds of corpora, to choose defaults that hold on each of them.

    python scripts/results/recipes.py --runs docs/recipes.jsonl --jobs 2      # takes hours; stop it at any time
    python scripts/results/recipes.py --runs docs/recipes.jsonl --table       # the table

The row `before` states every setting that is compared, so that a row keeps its meaning when a default changes. Rows
that begin with `with` change one thing in `lower case, digits, pretraining`, those that begin with `CRF` in
`with a CRF`, others in `before`. The table shows F1 on dev, the mean change against `before` with the same
seeds, and the mean rank of each row: on each corpus, the rows are ranked by this change. A row that loses on the
smaller corpora need not be measured on CoNLL-2000, which takes longest; it has no rank then. The last column is a
corpus that nothing is chosen on. A second table has the F1 of some rows on 5,000 further sentences of NerKor, whose dev
set is small, and subwords beside vectors (pip install '.[glove]'). Runs that are in the file are skipped.
"""

from __future__ import annotations

import argparse
import functools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kinds import CHECK, FURTHER, KINDS, load, run_missing, train_and_score
from one_run import spread

SEEDS = (1, 2, 3)
LARGEST = KINDS[0]  # takes half of the time of a row
BEFORE = {
    "vocabulary.lowercase": "false", "vocabulary.normalize_digits": "false", "vocabulary.unk_probability": "0.3",
    "training.pretraining_epochs": "0", "training.learning_rate": "0.002",
    "model.layers": "2", "model.units": "150", "model.embedding_dim": "100", "model.decoder": "constrained",
    "features.subwords": "0",
}  # fmt: skip
LOWER = {"vocabulary.lowercase": "true", "vocabulary.normalize_digits": "true"}
READING = LOWER | {"training.pretraining_epochs": "10"}
CRF = READING | {"model.decoder": "crf"}
GLOVE = {"model.decoder": "crf", "embeddings.name": "glove-6b-50d", "model.embedding_dim": "50"}
SUBWORDS = {"features.subwords": "2000"}
ROWS: dict[str, dict[str, str]] = {
    "before": {},
    "lower case, digits": LOWER,
    "lower case": {"vocabulary.lowercase": "true"},
    "pretraining": {"training.pretraining_epochs": "10"},
    "lower case, digits, pretraining": READING,
    "with a CRF": CRF,
    "with one layer": READING | {"model.layers": "1"},
    "CRF, one layer": CRF | {"model.layers": "1"},
    "CRF, 100 units": CRF | {"model.units": "100"},
    "CRF, rate 0.001": CRF | {"training.learning_rate": "0.001"},
    "CRF, constant rate": CRF | {"training.decay": "0.0"},
    "CRF, batches of 16": CRF | {"training.batch_size": "16"},
    "CRF, unknown 0.5": CRF | {"vocabulary.unk_probability": "0.5"},
    "CRF, 250 units": CRF | {"model.units": "250"},
    "CRF, subwords": CRF | SUBWORDS,
}
ROWS_WITH_VECTORS = {"GloVe": GLOVE, "GloVe, subwords": GLOVE | SUBWORDS}
# Kind, the name of what is scored and its key, and rows that are compared with the first one.
COMPARED: list[tuple[str, str, str, Sequence[str]]] = [
    (FURTHER, "nerkor, further sentences", "test", ("with a CRF", "CRF, constant rate", "CRF, subwords")),
    *((kind, f"{kind}, dev", "dev", tuple(ROWS_WITH_VECTORS)) for kind in ("conll2000", "wnut17", CHECK)),
]


def plan() -> Iterator[dict[str, Any]]:
    """Yield kind, row and seed of every run, the most important first."""
    for seed in SEEDS:
        for row in list(ROWS)[:5]:
            yield from ({"kind": kind, "row": row, "seed": seed} for kind in KINDS)
    for kinds in (KINDS[1:], KINDS[:1]):
        for seed in SEEDS:
            for row in list(ROWS)[5:]:
                yield from ({"kind": kind, "row": row, "seed": seed} for kind in kinds)
    for kind, rows in (*((kind, rows) for kind, _, _, rows in COMPARED), (CHECK, ROWS)):
        for row in rows:
            yield from ({"kind": kind, "row": row, "seed": seed} for seed in SEEDS)


def one(key: dict[str, Any], more: list[str]) -> dict[str, Any]:
    settings = BEFORE | (ROWS | ROWS_WITH_VECTORS)[key["row"]] | dict(setting.split("=", 1) for setting in more)
    return {"settings": settings} | train_and_score(key["kind"], settings, seed=key["seed"])


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table; a row that lost before it was measured on the largest corpus has no rank."""
    found = {(run["kind"], run["row"], run["seed"]): run["dev"] for run in runs}
    shown = [row for row in ROWS if all((kind, row, SEEDS[0]) in found for kind in KINDS if kind != LARGEST)]
    rows = [row for row in ROWS if all(_changes(found, kind, row) for kind in KINDS)]
    means = {kind: {row: statistics.mean(_changes(found, kind, row)) for row in rows} for kind in KINDS}
    lines = [f"| | {' | '.join(KINDS)} | mean change | mean rank | {CHECK} |", "|---" * (len(KINDS) + 4) + "|"]
    for row in shown:
        cells = [_cell(found, kind, row) for kind in (*KINDS, CHECK)]
        summary = ["–", "–"]
        if row in rows:
            change = statistics.mean(means[kind][row] for kind in KINDS)
            ranks = [1 + sum(other > means[kind][row] for other in means[kind].values()) for kind in KINDS]
            summary = [f"{100 * change:+.2f}", f"{statistics.mean(ranks):.1f}"]
        lines.append(f"| {' | '.join([row, *cells[:-1], *summary, cells[-1]])} |")
    return "\n".join(lines) + "\n"


def compared_table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table of the rows of `COMPARED`: F1, and its change against the first row of each kind."""
    found = {(run["kind"], run["row"], run["seed"]): run for run in runs}
    lines = ["| scored on | | seeds | F1 | change, by seed |", "|---|---|---|---|---|"]
    for kind, scored, score, rows in COMPARED:
        for row in rows:
            seeds = [seed for seed in SEEDS if {(kind, row, seed), (kind, rows[0], seed)} <= found.keys()]
            scores = [found[kind, row, seed][score] for seed in seeds]
            firsts = [found[kind, rows[0], seed][score] for seed in seeds]
            changes = [f"{100 * (new - old):+.2f}" for new, old in zip(scores, firsts, strict=True) if row != rows[0]]
            cells = [scored if row == rows[0] else "", row, str(len(seeds)), spread(scores), ", ".join(changes)]
            lines += [f"| {' | '.join(cells)} |"] if seeds else []
    return "\n".join(lines) + "\n"


def _cell(found: dict[tuple[str, str, int], float], kind: str, row: str) -> str:
    changes = _changes(found, kind, row)
    scores = spread(found[kind, row, seed] for seed in SEEDS if (kind, row, seed) in found)
    return f"{scores} ({100 * statistics.mean(changes):+.2f})" if changes else scores


def _changes(found: dict[tuple[str, str, int], float], kind: str, row: str) -> list[float]:
    """Return the change of dev F1 against the row `before`, for each seed that both have."""
    pairs = [((kind, row, seed), (kind, "before", seed)) for seed in SEEDS]
    return [found[new] - found[old] for new, old in pairs if new in found and old in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    parser.add_argument("--rows", default="", help="only runs with this text in `kind row seed N`")
    parser.add_argument("--set", dest="more", action="append", default=[], help="on top of every run's settings")
    parser.add_argument("--jobs", type=int, default=1, help="parallel runs, each on one core")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        runs = load(arguments.runs)
        print(table(runs), compared_table(runs), sep="\n", end="")
        return
    wanted = [key for key in plan() if arguments.rows in f"{key['kind']} {key['row']} seed {key['seed']}"]
    train = functools.partial(one, more=arguments.more)
    run_missing(arguments.runs.resolve(), wanted, train, jobs=arguments.jobs, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
