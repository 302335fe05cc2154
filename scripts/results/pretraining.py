"""Measure what a first block that was pretrained on raw text is worth, with few labels and with all of them.

    python scripts/results/pretraining.py --runs docs/pretraining.jsonl --jobs 2  # takes hours; stop it at any time
    python scripts/results/pretraining.py --runs docs/pretraining.jsonl --table   # the table

The pretrained directories stay in models/pretraining. Do not share them: they hold words of corpora that must not be
shared. Each row is one way to train from them. Dev decides which epoch is kept, and the table shows F1 on dev and test.
Runs that are in the file are skipped.

    none      no pretraining
    lower     no pretraining, but tokens are looked up in lower case and with digits as 0, as the rows below do
    tuned     all weights are trained on
    more      as `tuned`, but from 100,000 lines of prose, and the text is read three times
    own       from the corpus's own training sentences alone, read ten times; their labels are not used
    rest      from these and the 40,000 other sentences of NerKor, read three times, with case and digits as they are
    vectors   as `more`, but the embedding begins with GloVe vectors
    fixed     as `vectors`, but the language models leave the vectors as they are, and learn 100 more columns beside
              them; the training changes all of them
    news      as `fixed`, but from all of the prose and no tweets, read twice
    both      as `fixed`, but the training sentences of the corpus are among the text, four times
    recipe    as `fixed`, with a CRF, batches of 8 sentences, a rate of 0.001 and Brown clusters
    kept      as `recipe`, but the embedding stays as it was pretrained
    lists     as `recipe`, with the word lists of lexicons.py
    frozen    as `own`, but everything that was pretrained stays as it is below a new second block
    gradual   as `own`, but everything that was pretrained stays as it is for the first five epochs
    carried   as `own`, but the states of the language models go over the ends of sentences
"""

from __future__ import annotations

import argparse
import functools
import gzip
import itertools
import statistics
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lexicons
from kinds import CORPORA, load, rest_of_nerkor, run_missing, sentences_of, train_and_score, with_text
from one_run import GRADUAL_TRAINING, PLAIN_TRAINING, TAGGER, spread

from tagger.formats.raw_sentences import RawSettings, raw_sentences

SEEDS = (1, 2, 3)
CELLS = (
    ("conll2000", 0.1), ("wnut17", 1.0), ("chinese", 1.0), ("nerkor", 1.0), ("conll2000", 0.3), ("wnut17", 0.3),
    ("conll2000", 1.0),
)  # fmt: skip
FROZEN = {"training.freeze": "[embedding, characters, casing, block_1]"}
GLOVE = {"embeddings.name": "glove-6b-50d"}
NORMALIZED = {"vocabulary.lowercase": "true", "vocabulary.normalize_digits": "true"}


class Text(NamedTuple):
    """The text of a pretraining: lines of prose and of tweets, and how often they are read.

    `own` is how often the training sentences of the corpus are among them.
    """

    lines: int = 40_000
    tweets: int = 200_000  # more than there are
    epochs: int = 1
    own: int = 0


MORE = Text(lines=100_000, epochs=3)
BOTH = MORE._replace(own=4)
NEWS = Text(lines=300_000, tweets=0, epochs=2)  # all of the prose
OWN = Text(lines=0, tweets=0, epochs=10, own=1)
REST = Text(lines=0, tweets=0, epochs=3, own=1)  # and the rest of NerKor
CASED = {"vocabulary.lowercase": "false", "vocabulary.normalize_digits": "false"}
SMALL = {"vocabulary.min_count": "2", "training.streams": "16", "training.held_out": "0.02"}
FIXED = GLOVE | {"embeddings.trainable": "false", "model.embedding_dim": "150"}
RECIPE = {
    "model.decoder": "crf", "training.batch_size": "8", "training.learning_rate": "0.001",
    "features.cluster_language": "en",
}  # fmt: skip
ENGLISH = ("conll2000", "wnut17")
ENGLISH_ROWS = ("tuned", "more", "vectors", "fixed", "news", "both", "recipe", "kept", "lists")


class Row(NamedTuple):
    """The settings of a training; those of the pretraining that it begins with, if any, and its text; the command."""

    training: dict[str, str]
    pretraining: dict[str, str] | None = None
    text: Text = Text()
    command: Sequence[str] = PLAIN_TRAINING


ROWS = {
    "none": Row({}),
    "lower": Row(NORMALIZED),
    "tuned": Row({}, {}),
    "more": Row({}, {}, MORE),
    "vectors": Row({}, GLOVE, MORE),
    "fixed": Row({}, FIXED, MORE),
    "news": Row({}, FIXED, NEWS),
    "both": Row({}, FIXED, BOTH),
    "recipe": Row(RECIPE, FIXED, MORE),
    "kept": Row(RECIPE | {"training.freeze": "[embedding]"}, FIXED, MORE),
    "lists": Row(RECIPE, FIXED, MORE),
    "own": Row({}, SMALL, OWN),
    "rest": Row({}, CASED, REST),
    "frozen": Row(FROZEN, SMALL, OWN),
    "gradual": Row({}, SMALL, OWN, GRADUAL_TRAINING),
    "carried": Row({}, SMALL | {"training.reset_states": "false"}, OWN),
}
_ONE_AT_A_TIME = threading.Lock()


def pretrained(settings: dict[str, str], text: Text, kind: str, work: Path) -> Path:
    """Return the directory that was pretrained with some settings on a text."""
    is_own = not text.lines
    name = [kind, str(text.epochs)] if is_own else [*map(str, text[:3]), *([f"{kind}*{text.own}"] if text.own else [])]
    directory = work / "-".join([*name, *(f"{key}={value}" for key, value in sorted(settings.items()))])
    with _ONE_AT_A_TIME:
        if directory.exists():
            return directory
        work.mkdir(parents=True, exist_ok=True)
        given = {"training.epochs": str(text.epochs), "training.threads": "1"} | settings
        options = [f"--set={key}={value}" for key, value in given.items()]
        files = _own_text(kind, text, work) if is_own else _raw_text(kind, text, work)
        subprocess.run([*TAGGER, "pretrain", *files, "-o", str(directory), "--resume", *options], check=True)
    return directory


def _own_text(kind: str, text: Text, work: Path) -> list[str]:
    """Return the file of the training sentences of a corpus, and of more sentences of it if the text wants them."""
    path = work / f"{kind}-{text.epochs}.conll"
    sentences = sentences_of(kind).train + (rest_of_nerkor() if text == REST else [])
    path.write_text("\n\n".join(sentences) + "\n", "utf-8")
    return [str(path)]


def _raw_text(kind: str, text: Text, work: Path) -> list[str]:
    """Return the files of a raw text, and how to read them."""
    paths: list[Path] = []
    for name, n_lines in (("news", text.lines), ("tweets", text.tweets)):
        paths.append(work / f"{name}-{n_lines}.txt")
        with gzip.open(CORPORA / f"raw/{name}-en.txt.gz", "rt", encoding="utf-8") as lines:
            paths[-1].write_text("".join(itertools.islice(lines, n_lines)), "utf-8")
    reading = ["--from", "text", "--lines"]
    if not text.own:
        return [*map(str, paths), *reading]
    # What is already cut into tokens must not be cut again, so all of it is.
    whole = work / f"{kind}-{text.own}-and-{text.lines}.txt"
    with whole.open("w", encoding="utf-8") as file:
        for sentence in sentences_of(kind).train * text.own:
            print(*(line.split("\t")[0] for line in sentence.split("\n")), file=file)
        for tokens in raw_sentences([*map(str, paths)], RawSettings(source="text", lines=True), print):
            print(*tokens, file=file)
    return [str(whole), "--from", "text", "--tokenized"]


def plan() -> Iterator[dict[str, Any]]:
    """Yield kind, share, row and seed of every run, the most important first."""
    for kind, share in CELLS:
        for seed in SEEDS:
            # The raw text and the vectors are English.
            rows = [row for row in ROWS if kind == "nerkor" or row != "rest"]
            rows = rows if kind in ENGLISH else [row for row in rows if row not in ENGLISH_ROWS]
            yield from ({"kind": kind, "share": share, "row": row, "seed": seed} for row in rows)


def one(key: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    row, facts = ROWS[key["row"]], {}
    settings = row.training
    if row.pretraining is not None:
        text = row.text
        if arguments.lines is not None and text.lines:
            text = Text(lines=arguments.lines, tweets=arguments.lines, own=text.own)
        directory = pretrained(row.pretraining, text, key["kind"], arguments.work.resolve())
        settings = {"model.pretrained": str(directory), **settings}
        facts = {"lines": text.lines, "tweets": text.tweets, "pretraining_epochs": text.epochs}
    if key["row"] == "lists":
        folder = arguments.work.resolve() / "lists"
        folder.mkdir(parents=True, exist_ok=True)
        settings = settings | lexicons.settings_of("both", folder)
    settings = settings | dict(setting.split("=", 1) for setting in arguments.more)
    return facts | train_and_score(key["kind"], settings, share=key["share"], seed=key["seed"], training=row.command)


def table(runs: list[dict[str, Any]]) -> str:
    """Return F1 of each row on dev and test, and their mean changes against `none` with the same seeds."""
    lines = ["| corpus | labels | row | seeds | dev | change | test | change |", "|---|---|---|---|---|---|---|---|"]
    for kind, share in CELLS:
        here = [run for run in runs if (run["kind"], run["share"]) == (kind, share)]
        found = {row: {run["seed"]: run for run in here if run["row"] == row} for row in ROWS}
        for row, by_seed in found.items():
            both = [seed for seed in by_seed if seed in found["none"]]
            if not both:
                continue
            cells = [kind, f"{100 * share:.0f} %", row, str(len(both))]
            for part in ("dev", "test"):
                changes = [100 * (by_seed[seed][part] - found["none"][seed][part]) for seed in both]
                cells += [
                    spread(by_seed[seed][part] for seed in both),
                    f"{statistics.mean(changes):+.2f}" if row != "none" else "",
                ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="file of runs, one line of JSON each")
    parser.add_argument("--work", type=Path, default=Path("models/pretraining"), help="the pretrained directories")
    parser.add_argument("--lines", type=int, help="read so many lines of prose and of tweets once, whatever the row")
    parser.add_argument("--table", action="store_true", help="print the table and train nothing")
    parser.add_argument("--rows", default="", help="only runs with this text in `kind share seed S row`")
    parser.add_argument(
        "--set", dest="more", action="append", default=[], help="on top of the settings of every training from it"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, of one thread each")
    parser.add_argument("--minutes", type=float, default=600, help="start no run after this number of minutes")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)), end="")
        return
    wanted = with_text(plan(), arguments.rows)
    train = functools.partial(one, arguments=arguments)
    run_missing(arguments.runs.resolve(), wanted, train, jobs=arguments.jobs, minutes=arguments.minutes)


if __name__ == "__main__":
    main()
