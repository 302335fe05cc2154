"""Measure small ingredients before anything is built for them, on shares of the labels of three corpora.

    python scripts/results/ingredients.py --runs docs/ingredients.jsonl            # takes hours; stop it at any time
    python scripts/results/ingredients.py --runs docs/ingredients.jsonl --table    # the table

Each row is the defaults of earlier versions (`EARLIER`) with one change. Nothing new is needed to measure them: what
the network would read is written into the corpora as columns, or around their sentences as tokens that are not
annotated. The script needs the package `tokenizers`.

    context 16     the 16 tokens before and after a sentence in its file (tweets do not follow each other)
    shapes         the shapes of the tokens before and after, as two columns
    pieces         the first and the last byte-pair piece of a token, learned from the training sentences, as columns
    IntNet         three layers of convolutions over characters that nothing is pooled between (train_intnet.py), with
                   96 outputs; beside it, 96 outputs of the usual CNN
    warm-up        0.1, 0.4 and 0.7 of the learning rate in the first three epochs
    batches of 8   instead of 16, which are chosen for so many sentences
    SWA            after 700 steps, the mean of the weights of all further steps instead of their moving average
                   (train_averaged.py), and the same with a constant learning rate; beside it, a constant rate alone
    short 0.6, long 1.4   dropout rates times 0.6 in sentences of at most 10 tokens, times 1.4 in those of more than 25
                   (train_bucketed.py); beside it, the opposite
    with a CRF     the row of recipes.py: a pretraining, lower case, digits as 0 and a CRF; and with others of
                   these changes

The score is F1 on dev, which also decides which epoch is kept; nothing is chosen on test.
"""

from __future__ import annotations

import argparse
import functools
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kinds import Sentences, load, run_missing, sentences_of, share_of, train_on, with_text
from one_run import AVERAGED_TRAINING, BUCKETED_TRAINING, INTNET_TRAINING, PLAIN_TRAINING, spread
from recipes import CRF

SEEDS = (1, 2, 3)
CELLS = (("conll2000", 0.1), ("nerkor", 0.1), ("wnut17", 0.3))
SETTINGS: dict[str, dict[str, str]] = {
    "nothing": {},
    "context 16": {"data.unknown_tag": '"?"'},
    "shapes": {"data.columns": "{token: 0, before: 1, after: 2, tag: 3}"},
    "pieces": {"data.columns": "{token: 0, first: 1, last: 2, tag: 3}"},
    "96 character units": {"model.character_units": "96"},
    "IntNet": {"model.character_units": "96"},
    "warm-up": {"training.steps": "{1: 0.1, 2: 4, 3: 1.75, 4: 1.428571}"},
    "batches of 8": {"training.batch_size": "8"},
    "constant rate": {"training.decay": "0.0"},
    "SWA": {},
    "SWA, constant rate": {"training.decay": "0.0"},
    "short 0.6, long 1.4": {},
    "short 1.4, long 0.6": {},
    "with a CRF": CRF,
}
ON_TOP = "with a CRF, "
SETTINGS |= {ON_TOP + row: CRF | SETTINGS[row] for row in ("constant rate", "batches of 8", "pieces", "shapes")}
COMMANDS = {
    "IntNet": INTNET_TRAINING,
    "SWA": AVERAGED_TRAINING,
    "SWA, constant rate": AVERAGED_TRAINING,
    "short 0.6, long 1.4": [*BUCKETED_TRAINING, "0.6", "1.4"],
    "short 1.4, long 0.6": [*BUCKETED_TRAINING, "1.4", "0.6"],
}
# Tweets do not follow each other, and on NerKor the best epochs come before averaging begins.
LEFT_OUT = {("wnut17", "context 16"), ("nerkor", "SWA"), ("nerkor", "SWA, constant rate")}
CONTEXT = 16
PIECES = 2000


def with_context(sentences: Sequence[str], kept: Sequence[str]) -> list[str]:
    """Return the kept sentences, in their order, with the tokens around them; what is around has the tag `?`."""
    rows = [[line.split("\t")[0] for line in sentence.split("\n")] for sentence in sentences]
    found, place = [], 0
    for sentence in kept:
        place = sentences.index(sentence, place)
        before = [token for row in rows[max(0, place - CONTEXT) : place] for token in row][-CONTEXT:]
        after = [token for row in rows[place + 1 : place + 1 + CONTEXT] for token in row][:CONTEXT]
        around = [[f"{token}\t?" for token in tokens] for tokens in (before, after)]
        found.append("\n".join([*around[0], sentence, *around[1]]))
        place += 1
    return found


def with_columns(sentences: Sequence[str], columns: Callable[[list[str]], list[tuple[str, str]]]) -> list[str]:
    """Return sentences with two more columns between the token and the tag."""
    found = []
    for sentence in sentences:
        rows = [line.split("\t") for line in sentence.split("\n")]
        more = columns([row[0] for row in rows])
        found.append("\n".join("\t".join([row[0], *extra, row[1]]) for row, extra in zip(rows, more, strict=True)))
    return found


def shapes(tokens: list[str]) -> list[tuple[str, str]]:
    """Return the shapes of the tokens before and after each token, with at most two equal signs after each other."""
    every = ["<", *(_shape(token) for token in tokens), ">"]
    return [(every[i], every[i + 2]) for i in range(len(tokens))]


def _shape(token: str) -> str:
    signs = "".join("X" if c.isupper() else "x" if c.isalpha() else "0" if c.isdigit() else c for c in token)
    return re.sub(r"(.)\1{2,}", r"\1\1", signs)


def pieces_of(train: Sequence[str]) -> Callable[[list[str]], list[tuple[str, str]]]:
    """Return what finds the first and the last byte-pair piece of each token."""
    import tokenizers

    learned = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="?", end_of_word_suffix="</w>"))
    learned.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=PIECES, end_of_word_suffix="</w>", special_tokens=["?"], show_progress=False
    )
    texts = (" ".join(line.split("\t")[0] for line in sentence.split("\n")) for sentence in train)
    learned.train_from_iterator(texts, trainer)

    def columns(tokens: list[str]) -> list[tuple[str, str]]:
        cut = [learned.encode(token).tokens or ["?"] for token in tokens]
        return [(pieces[0], pieces[-1]) for pieces in cut]

    return columns


def parts_of(row: str, kind: str, share: float, seed: int) -> Sentences:
    """Return the sentences of a run, as its row wants them."""
    whole = sentences_of(kind)
    parts = whole._replace(train=share_of(whole.train, share, seed))
    if row == "context 16":
        return Sentences(*(with_context(every, kept) for every, kept in zip(whole, parts, strict=True)))
    change = row.removeprefix(ON_TOP)
    if change in ("shapes", "pieces"):
        columns = shapes if change == "shapes" else pieces_of(parts.train)
        return Sentences(*(with_columns(sentences, columns) for sentences in parts))
    return parts


def plan() -> Iterator[dict[str, Any]]:
    """Yield kind, share, row and seed of every run, the most important first."""
    for seed in SEEDS:
        for row in SETTINGS:
            for kind, share in CELLS:
                if (kind, row) not in LEFT_OUT:
                    yield {"kind": kind, "share": share, "row": row, "seed": seed}


def one(key: dict[str, Any], more: list[str]) -> dict[str, Any]:
    parts = parts_of(key["row"], key["kind"], key["share"], key["seed"])
    training = COMMANDS.get(key["row"], PLAIN_TRAINING)
    settings = SETTINGS[key["row"]] | dict(setting.split("=", 1) for setting in more)
    found = train_on(parts, settings, seed=key["seed"], training=training)
    return {name: found[name] for name in ("dev", "epoch", "minutes")}


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table: dev F1 in percent, and the mean change against `nothing` with the same seeds."""
    found = {(run["kind"], run["share"], run["row"], run["seed"]): run["dev"] for run in runs}
    lines = ["| corpus | labels | | seeds | dev F1 | change, by seed | mean change |", "|---|---|---|---|---|---|---|"]
    for kind, share in CELLS:
        for row in SETTINGS:
            both = [s for s in SEEDS if {(kind, share, r, s) for r in (row, "nothing")} <= found.keys()]
            if not both:
                continue
            changes = [100 * (found[kind, share, row, s] - found[kind, share, "nothing", s]) for s in both]
            change = ", ".join(f"{one:+.2f}" for one in changes) + f" | {statistics.mean(changes):+.2f}"
            scores = spread(found[kind, share, row, s] for s in both)
            lines.append(
                f"| {kind} | {100 * share:.0f} % | {row} | {len(both)} | {scores} "
                f"| {change if row != 'nothing' else ' | '} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    parser.add_argument("--rows", default="", help="only runs with this text in `kind share seed S row`")
    parser.add_argument("--set", dest="more", action="append", default=[], help="on top of every run's settings")
    parser.add_argument("--minutes", type=float, default=600, help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)), end="")
        return
    wanted = with_text(plan(), arguments.rows)
    train = functools.partial(one, more=arguments.more)
    run_missing(arguments.runs.resolve(), wanted, train, jobs=1, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
