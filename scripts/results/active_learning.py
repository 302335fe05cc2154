"""Measure how many labels `tagger next` saves against a random choice, for docs/results.md.

    python scripts/results/active_learning.py --runs docs/active-learning.jsonl          # an hour; stop it at any time
    python scripts/results/active_learning.py --runs docs/active-learning.jsonl --table  # the table
    python scripts/results/active_learning.py --runs docs/active-learning.jsonl --plot docs/active-learning.svg

Somebody labels sentences in rounds. The first 200 are drawn with the seed. After each round, a model is trained from
scratch on all that is labelled, and the next sentences follow, until 1.6 times as many tokens are labelled: in the row
`next` those that `tagger next` chooses with that model, in the row `random` those that come next in the order of the
first 200. A curve ends when it has reached 95 % of the F1 of a model that was trained on everything with the same seed.

What is counted are the tokens that somebody has to read and label. Nobody labels a dev set: each training has a fixed
number of epochs, and the score is that of sentences that are in no training set and in no test file: the last 1,000 of
the training file of CoNLL-2000, the dev file of WNUT-17, and the 5,000 that follow the first 10,000 of NerKor: these
are from novels, one after the other, and the next 1,000 would be hardly more than one novel with 166 names.

The networks are small, because there are many of them: one layer of 64 units, 64 numbers a word, characters, and at
least 1,400 steps. Each training is one line of JSON; the same command continues where it was stopped. What a curve
needs to continue is in the folder RUNS.labelled, which may be deleted when all is done.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import math
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from one_run import EARLIER_SETTINGS, spread

from tagger.config.keys import TrainingConfig
from tagger.config.loading import load_config
from tagger.prediction.predictor import Predictor
from tagger.prediction.selection import Candidate, Selection, doubts_of
from tagger.training.schedule import schedule_of

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data"
NAMES = {"conll2000": "CoNLL-2000", "nerkor": "NerKor, 10,000 sentences", "wnut17": "WNUT-17"}
SEEDS = (1, 2, 3)
FULL, RANDOM, NEXT = "full", "random", "next"
FIRST, GROWTH, TARGET = 200, 1.6, 0.95
SCORED, OF_NERKOR, SCORED_OF_NERKOR = 1000, 10_000, 5000
SETTINGS = [
    *EARLIER_SETTINGS, "model.units=64", "model.embedding_dim=64", "model.layers=1", "model.character_units=30",
    "training.checkpoint_minutes=null", "training.threads=1", "data.dev=null", "data.trust=true",
]  # fmt: skip
FACTS = ("sentences", "tokens", "f1", "epochs", "minutes")
LARGEST_BATCH, LEAST_EPOCHS, LEAST_STEPS = 16, 8, 1400


@dataclasses.dataclass(frozen=True)
class Data:
    """The sentences of a corpus, to be labelled and to be scored; each is lines of text."""

    pool: list[str]
    scored: list[str]

    def n_tokens(self, labelled: Sequence[int]) -> int:
        return sum(self.pool[i].count("\n") + 1 for i in labelled)


def data_of(corpus: str) -> Data:
    if corpus == "wnut17":
        return Data(read(CORPORA / "wnut17/train.conll"), read(CORPORA / "wnut17/dev.conll"))
    if corpus == "nerkor":
        sentences = read(CORPORA / "nerkor/train.tsv.gz")[: OF_NERKOR + SCORED_OF_NERKOR]
        return Data(sentences[:OF_NERKOR], sentences[OF_NERKOR:])
    sentences = read(CORPORA / "conll2000/train.txt")
    return Data(sentences[:-SCORED], sentences[-SCORED:])


def read(path: Path) -> list[str]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [sentence for sentence in re.split(r"\n(?:[ \t]*\n)+", data.decode().strip("\n")) if sentence.strip()]


def trained(data: Data, labelled: Sequence[int], seed: int) -> tuple[dict[str, Any], Predictor]:
    """Train on the labelled sentences, and return the facts of a run and the model."""
    from tagger.evaluation.evaluate import evaluate_file  # these load TensorFlow, which the table does not need
    from tagger.prediction.onnx_session import load_predictor
    from tagger.training.listener import Silent
    from tagger.training.parts import Parts
    from tagger.training.train import train

    batch_size = min(LARGEST_BATCH, schedule_of(TrainingConfig(), len(labelled)).batch_size)
    epochs = max(LEAST_EPOCHS, math.ceil(LEAST_STEPS / math.ceil(len(labelled) / batch_size)))
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.process_time()
        for part, some in (("train", [data.pool[i] for i in labelled]), ("score", data.scored)):
            (folder / part).write_text("\n\n".join(some) + "\n", "utf-8")
        (folder / "c.yaml").write_text("data: {train: train}\n")
        given = [f"training.{key}={value}" for key, value in (("batch_size", batch_size), ("epochs", epochs))]
        given += [f"training.seed={seed}", f"output.model_dir={folder / 'm'}"]
        # Nobody uses the models of the epochs, so their check is left out, which saves a third of the time.
        parts = Parts(check_equal=lambda *models: None)
        train(load_config(folder / "c.yaml", [*SETTINGS, *given]), Silent(), device="cpu", parts=parts)
        predictor = load_predictor(folder / "m", threads=1)
        overall = evaluate_file(predictor, str(folder / "score"), predictor.model.manifest.layout).overall
        minutes = (time.process_time() - start) / 60
    assert overall is not None
    found = {
        "sentences": len(labelled), "tokens": data.n_tokens(labelled), "f1": round(overall.f1, 5),
        "epochs": epochs, "minutes": round(minutes, 2),
    }  # fmt: skip
    return found, predictor


def ranked_by_next(data: Data, labelled: Sequence[int], predictor: Predictor | None, _seed: int) -> Iterator[int]:
    """Yield the sentences that are not labelled as `tagger next` would choose them."""
    assert predictor is not None
    known = set(labelled)
    rest = [i for i in range(len(data.pool)) if i not in known]
    tokens = [[line.split()[0] for line in data.pool[i].split("\n")] for i in rest]
    selection: Selection[None] = Selection(len(rest))
    for i, words, tagged in zip(rest, tokens, predictor.tag(tokens, spans=True), strict=True):
        selection.add(Candidate.of(i, words, doubts_of(tagged), None), tuple(words))
    return (one.candidate.position for one in selection.choose())


def ranked_at_random(data: Data, labelled: Sequence[int], _predictor: Predictor | None, seed: int) -> Iterator[int]:
    known = set(labelled)
    return (i for i in shuffled(data, seed) if i not in known)


CHOICES: dict[str, Callable[[Data, Sequence[int], Predictor | None, int], Iterator[int]]] = {
    NEXT: ranked_by_next,
    RANDOM: ranked_at_random,
}


def shuffled(data: Data, seed: int) -> list[int]:
    order = list(range(len(data.pool)))
    random.Random(seed).shuffle(order)
    return order


def run_all(path: Path, *, rows: str, minutes: float | None) -> None:
    end = None if minutes is None else time.monotonic() + 60 * minutes
    for seed in SEEDS:
        for corpus in NAMES:
            for row in (FULL, *CHOICES):
                if rows in f"{corpus} {row} seed {seed}" and not run_curve(path, corpus, row, seed, end):
                    return


def run_curve(path: Path, corpus: str, row: str, seed: int, end: float | None) -> bool:
    """Continue a curve until it has reached the target; return whether there was time for that."""
    data, full = data_of(corpus), find(load(path), corpus, FULL, seed)
    if row == FULL:
        if not full:
            record(path, corpus, FULL, seed, 0, trained(data, range(len(data.pool)), seed)[0])
        return True
    if not full:
        return True  # only its own rows were asked for
    goal = TARGET * full[0]["f1"]
    state = Path(f"{path}.labelled") / f"{corpus}-{row}-{seed}.json"
    order = shuffled(data, seed)
    labelled = json.loads(state.read_text()) if state.exists() else order[:FIRST]
    while True:
        done = find(load(path), corpus, row, seed)
        if done and (done[-1]["f1"] >= goal or done[-1]["sentences"] == len(data.pool)):
            return True
        if end is not None and time.monotonic() > end:
            return False
        if not state.exists():
            done = []  # what is labelled is not known, so the curve starts over
        # The first sentences are the same in both rows, and a random choice needs no model.
        first = find(load(path), corpus, NEXT, seed)[:1] if row == RANDOM and not done else []
        found, predictor = ({key: first[0][key] for key in FACTS}, None) if first else trained(data, labelled, seed)
        n_tokens = GROWTH * found["tokens"]
        added, have = [], found["tokens"]
        for i in CHOICES[row](data, labelled, predictor, seed):
            if have >= n_tokens:
                break
            added.append(i)
            have += data.n_tokens([i])
        state.parent.mkdir(exist_ok=True)
        record(path, corpus, row, seed, len(done), found)
        labelled = [*labelled, *added]
        state.write_text(json.dumps(labelled))


def record(path: Path, corpus: str, row: str, seed: int, round_: int, found: dict[str, Any]) -> None:
    line = {"corpus": corpus, "row": row, "seed": seed, "round": round_} | found
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{corpus:10} {row:7} seed {seed} {found['tokens']:7} tokens  F1 {100 * found['f1']:.2f}", flush=True)


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def find(runs: list[dict[str, Any]], corpus: str, row: str, seed: int) -> list[dict[str, Any]]:
    """Return the runs of a curve by round; of a round that was started over, the last one."""
    of_it = {run["round"]: run for run in runs if (run["corpus"], run["row"], run["seed"]) == (corpus, row, seed)}
    return [of_it[round_] for round_ in sorted(of_it)]


def needed(curve: Sequence[dict[str, Any]], goal: float) -> float | None:
    """Return the number of tokens with which a curve reaches a score: between two rounds, a line over the logarithm.

    >>> round(needed([{"tokens": 100, "f1": 0.5}, {"tokens": 400, "f1": 0.7}], 0.6))
    200
    """
    before = None
    for run in curve:
        if run["f1"] >= goal:
            if before is None:
                return float(run["tokens"])
            share = (goal - before["f1"]) / (run["f1"] - before["f1"])
            return float(before["tokens"] * (run["tokens"] / before["tokens"]) ** share)
        before = run
    return None


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table of the seeds for which both curves have reached the score, mean ± standard deviation."""
    lines = [
        "| corpus | seeds | F1, all labels | tokens | for 95 % of it, at random | with `tagger next` | of random's |",
        "|---|---|---|---|---|---|---|",
    ]
    for corpus, name in NAMES.items():
        rows = [row for seed in SEEDS if (row := compared(runs, corpus, seed))]
        if rows:
            full, total, chance, ours = zip(*rows, strict=True)
            cells = [
                f"{statistics.mean(of_it):,.0f} ({spread(n / total[0] for n in of_it)} %)" for of_it in (chance, ours)
            ]
            share = spread(b / a for a, b in zip(chance, ours, strict=True))
            lines.append(
                f"| {name} | {len(rows)} | {spread(full)} | {total[0]:,} | {cells[0]} | {cells[1]} | **{share} %** |"
            )
    return "\n".join(lines) + "\n"


def compared(runs: list[dict[str, Any]], corpus: str, seed: int) -> tuple[float, int, float, float] | None:
    """Return the F1 and the tokens of all labels, and the tokens that each row needs; None if it is not known yet.

    A curve may end with all labels and still be below the score, because trainings on the same sentences in another
    order differ. It needs all labels then.
    """
    full = find(runs, corpus, FULL, seed)
    if not full:
        return None
    f1, total = full[0]["f1"], full[0]["tokens"]
    found = []
    for row in (RANDOM, NEXT):
        curve = find(runs, corpus, row, seed)
        tokens = needed(curve, TARGET * f1)
        if tokens is None and curve and curve[-1]["tokens"] == total:
            tokens = total
        if tokens is None:
            return None
        found.append(tokens)
    return f1, total, found[0], found[1]


def plot(runs: list[dict[str, Any]], path: Path) -> None:
    """Draw the curves of all seeds, a chart for each corpus, with a line at 95 % of the F1 with all labels."""
    import altair as alt
    import vl_convert

    look = {RANDOM: ("#777777", [5, 3], "square"), NEXT: ("#0b62a4", [1, 0], "circle")}
    colors, dashes, shapes = (list(parts) for parts in zip(*look.values(), strict=True))
    domain, charts = list(look), []
    legend, ticks = alt.Legend(title=None, orient="top"), alt.Axis(tickCount=3, labelOverlap="greedy", format="~s")
    for corpus, name in NAMES.items():
        found = [run for run in runs if run["corpus"] == corpus]
        points = [
            {"tokens": run["tokens"], "F1": 100 * run["f1"], "row": run["row"], "seed": run["seed"]}
            for run in found
            if run["row"] != FULL
        ]
        goals = [{"goal": 100 * TARGET * run["f1"]} for run in found if run["row"] == FULL]
        if not points:
            continue
        lines = (
            alt.Chart(alt.Data(values=points), title=name, width=250, height=220)
            .mark_line(point={"filled": True, "size": 25})
            .encode(
                x=alt.X("tokens:Q", scale=alt.Scale(type="log", nice=False), title="labelled tokens", axis=ticks),
                y=alt.Y("F1:Q", scale=alt.Scale(zero=False), title="F1 in percent"),
                detail="seed:N",
                color=alt.Color("row:N", scale=alt.Scale(domain=domain, range=colors), legend=legend),
                shape=alt.Shape("row:N", scale=alt.Scale(domain=domain, range=shapes), legend=legend),
                strokeDash=alt.StrokeDash("row:N", scale=alt.Scale(domain=domain, range=dashes), legend=legend),
            )
        )
        mean = [{"goal": statistics.mean(goal["goal"] for goal in goals)}]
        rule = alt.Chart(alt.Data(values=mean)).mark_rule(strokeDash=[2, 2]).encode(y="goal:Q")
        charts.append(lines + rule)
    chart = alt.hconcat(*charts).resolve_scale(y="independent", x="independent").configure(background="white")
    path.write_text(vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=alt.SCHEMA_VERSION.rpartition(".")[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the curves and train nothing; needs .[report]")
    parser.add_argument("--rows", default="", help="only runs with this text in `corpus row seed S`")
    parser.add_argument("--minutes", type=float, help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)), end="")
    if arguments.plot:
        plot(load(arguments.runs), arguments.plot)
    if not arguments.table and not arguments.plot:
        run_all(arguments.runs.resolve(), rows=arguments.rows, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
