"""Check whether `tagger curve` is honest: fitted on 10 to 50 % of the data, it must foretell the score on all of it.

    python scripts/results/curves.py --runs docs/curves.jsonl     # an hour; stop it at any time
    python scripts/results/curves.py --runs docs/curves.jsonl --table

Each line of the file has the dev F1 of one seed on shares of a corpus; what is there already is skipped. The curve is
fitted to the shares up to 50 % of all seeds together, and its 95 % interval for the mean F1 of as many trainings on all
sentences is compared with what these have. No test file is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from one_run import EARLIER_SETTINGS
from resuming import parser_of, run_missing
from small_data import CORPORA, load, read
from suspects import EPOCHS, FIRST, Quiet

from tagger.config.loading import load_config
from tagger.evaluation.learning_curve import Point, fit
from tagger.runs.curve import CurveSettings, learning_curve

FILES = {"conll2000": "conll2000/train.txt", "wnut17": "wnut17/train.conll", "nerkor": "nerkor/train.tsv.gz"}
SHARES = (10, 20, 30, 50, 100)
SEEDS = (1, 2, 3)
DEV = 1000  # sentences after those of the training data; WNUT-17 has a file of its own
SETTINGS = [
    *EARLIER_SETTINGS, "model.units=100", "model.layers=1", "training.patience=5", "training.calibrate=false",
]  # fmt: skip


def sentences_of(corpus: str) -> tuple[list[str], list[str]]:
    """Return the sentences to train on and those of dev."""
    sentences = read(CORPORA / FILES[corpus])
    if corpus == "wnut17":
        return sentences, read(CORPORA / "wnut17/dev.conll")
    n = min(FIRST, len(sentences) - DEV)
    return sentences[:n], sentences[n : n + DEV]


def one(corpus: str, seed: int, work: Path) -> dict[str, Any]:
    folder = work / f"{corpus}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, sentences in zip(("train", "dev"), sentences_of(corpus), strict=True):
        (folder / name).write_text("\n\n".join(sentences) + "\n", "utf-8")
    (folder / "c.yaml").write_text("data: {train: train, dev: dev}\n")
    more = [f"training.epochs={2 * EPOCHS[corpus]}", f"training.seed={seed}"]
    config = load_config(folder / "c.yaml", [*SETTINGS, *more])
    wanted = CurveSettings(directory=folder / "runs", shares=SHARES, repeats=1, device="cpu", resume=True)
    found = learning_curve(config, wanted, Quiet(), note=lambda text: None, warn=print)
    assert found is not None
    return {"points": [[point.n, point.scores[0]] for point in found.points]}


def points_of(runs: list[dict[str, Any]]) -> list[Point]:
    sizes = [n for n, _ in runs[0]["points"]]
    return [Point(n, tuple(dict(run["points"])[n] for run in runs)) for n in sizes]


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table in percent."""
    lines = [
        "| corpus | sentences | seeds | F1 on 10, 20, 30, 50 % | foretold for 100 % | F1 on 100 % | inside |",
        "|---|---|---|---|---|---|---|",
    ]
    for corpus in FILES:
        some = [run for run in runs if run["corpus"] == corpus]
        if not some:
            continue
        *known, last = points_of(some)
        told = fit(known).at(last.n, n_trainings=len(last.scores))
        inside = "yes" if told.low <= last.mean <= told.high else "no"
        shown = ", ".join(f"{100 * point.mean:.1f}" for point in known)
        lines.append(
            f"| {corpus} | {last.n:,} | {len(some)} | {shown} | {100 * told.value:.1f} ({100 * told.low:.1f} to"
            f" {100 * told.high:.1f}) | {100 * last.mean:.1f} | {inside} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = parser_of(__doc__, "curves")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)))
        return
    keys = ((corpus, seed) for seed in SEEDS for corpus in FILES)
    run_missing(arguments, keys, lambda corpus, seed: one(corpus, seed, arguments.work))


if __name__ == "__main__":
    main()
