"""Four kinds of corpora to choose a recipe on, shares of their labels, and one training on them; for other scripts.

`conll2000` is chunking; its dev set is the last 1,000 sentences of the training file. `wnut17` has rare names in
tweets. `nerkor` is the first 10,000 sentences of NerKor, Hungarian novels; dev is the next 1,000, and test the 2,000
after them. `chinese` is the Chinese part of UniversalNER. Only tokens and tags are read. `nerkor-further` is `nerkor`
with 5,000 later sentences in the place of the test, for choices that its small dev set cannot tell apart.

Nothing is chosen on the fifth, `wikigold`: it checks what was chosen on the others. Its first 1,000 sentences are the
training data, and dev is the next 350.
"""

from __future__ import annotations

import functools
import gzip
import json
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from one_run import EARLIER, PLAIN_TRAINING, measure
from small_data import load

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data"
KINDS = ("conll2000", "wnut17", "nerkor", "chinese")
FURTHER = "nerkor-further"
CHECK = "wikigold"


class Sentences(NamedTuple):
    """The sentences of a corpus, each of them lines of a token, a tab and a tag."""

    train: list[str]
    dev: list[str]
    test: list[str]


@functools.cache
def sentences_of(kind: str) -> Sentences:
    if kind == "conll2000":
        train = _read("conll2000/train.txt", separator=" ")
        return Sentences(train[:-1000], train[-1000:], _read("conll2000/test.txt", separator=" "))
    if kind == "wnut17":
        return Sentences(*(_read(f"wnut17/{part}.conll") for part in ("train", "dev", "test")))
    if kind in ("nerkor", FURTHER):
        every = _read("nerkor/train.tsv.gz")
        test = every[11_000:13_000] if kind == "nerkor" else every[13_000:18_000]
        return Sentences(every[:10_000], every[10_000:11_000], test)
    if kind == CHECK:
        every = [one for one in _read("wikigold/wikigold.conll", separator=" ") if not one.startswith("-DOCSTART-")]
        return Sentences(every[:1000], every[1000:1350], every[1350:])
    parts = ("train", "dev", "test")
    return Sentences(*(_read(f"chinese/zh_gsd-ud-{part}.iob2", token=1, tag=2) for part in parts))


def rest_of_nerkor() -> list[str]:
    """Return the sentences of NerKor that are neither for training nor for scores."""
    return _read("nerkor/train.tsv.gz")[13_000:]


def _read(name: str, *, separator: str = "\t", token: int = 0, tag: int = -1) -> list[str]:
    path = CORPORA / name
    if not path.exists():
        sys.exit(f"{path}: not found; put the corpora there (see docs/results.md)")
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode("utf-8")
    sentences = []
    for block in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")):
        rows = [line.split(separator) for line in block.split("\n") if line and not re.match(r"# \w+[ _\w]* ?=", line)]
        sentences.append("\n".join(f"{row[token]}\t{row[tag]}" for row in rows))
    return [sentence for sentence in sentences if sentence]


def share_of(sentences: Sequence[str], share: float, seed: int) -> list[str]:
    """Return a share of the sentences in their order, drawn by the seed; a larger share holds the smaller ones."""
    order = list(range(len(sentences)))
    random.Random(f"share {seed}").shuffle(order)
    return [sentences[i] for i in sorted(order[: round(share * len(sentences))])]


def train_and_score(
    kind: str,
    settings: dict[str, str],
    *,
    share: float = 1.0,
    seed: int,
    training: Sequence[str] = PLAIN_TRAINING,
) -> dict[str, Any]:
    """Train on a share of the labels of a corpus; see `train_on`."""
    parts = sentences_of(kind)
    return train_on(parts._replace(train=share_of(parts.train, share, seed)), settings, seed=seed, training=training)


def train_on(
    parts: Sentences, settings: dict[str, str], *, seed: int, training: Sequence[str] = PLAIN_TRAINING
) -> dict[str, Any]:
    """Train with one thread on some sentences; see `one_run.measure` for the result.

    The epoch is chosen on dev. The score on test is in the result too, but nothing should be chosen by it.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, sentences in parts._asdict().items():
            (folder / part).write_text("\n\n".join(sentences) + "\n", "utf-8")
        config = folder / "c.yaml"
        # Some tags of a share may be rare enough to look like a misread file.
        config.write_text("data: {train: train, dev: dev, test: test, columns: {token: 0, tag: 1}, trust: true}\n")
        # A pretrained directory has a normalization of its own, and takes the place of the first reading.
        without = ("training.", "vocabulary.") if "model.pretrained" in settings else ()
        earlier = {key: value for key, value in EARLIER.items() if not key.startswith(without)}
        given = {"training.seed": str(seed), "training.threads": "1"} | earlier | settings
        return measure(config, given, folder, training=training, quiet=True)


def with_text(runs: Iterable[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Return the runs that have a text in `kind share seed S row`, as in `wnut17 0.3 seed 1`."""
    return [run for run in runs if text in f"{run['kind']} {run['share']} seed {run['seed']} {run['row']}"]


def run_missing(
    path: Path,
    wanted: Iterable[dict[str, Any]],
    one: Callable[[dict[str, Any]], dict[str, Any]],
    *,
    jobs: int,
    minutes: float = float("inf"),
) -> None:
    """Add what `one` finds for each wanted run to a file of one JSON object a line, unless the file has it already.

    Args:
        wanted: what tells the runs apart (such as kind, share, row and seed), the most important run first.
        minutes: no run starts after this time.
    """
    found, lock, end = load(path), threading.Lock(), time.monotonic() + 60 * minutes

    def run(key: dict[str, Any]) -> None:
        if time.monotonic() > end:
            return
        result = key | one(key)
        with lock, path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result, ensure_ascii=False) + "\n")
        print(json.dumps(result, ensure_ascii=False), flush=True)

    missing = [key for key in wanted if not any(key.items() <= old.items() for old in found)]
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(run, missing))
