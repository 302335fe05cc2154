"""Measure vectors learned from raw text: are they worth it, and are subword vectors for words that it never had?

    python scripts/results/raw_vectors.py --runs docs/raw-vectors.jsonl     # an hour; stop it at any time
    python scripts/results/raw_vectors.py --runs docs/raw-vectors.jsonl --table

Each line of the file is one training on a share of a corpus (see kinds.py), with its best F1 on dev; what is there
already is skipped. No test file is used. The rows:

    none       no vectors
    skip-gram  of the tweets and the first 110,000 sentences of the news in shared/data/raw
    fasttext   of the same text, for the words that occur in it often enough; each of these models tags dev twice,
               the second time with the vectors that n-grams give to the words that only dev has
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from kinds import CORPORA, load, run_missing, sentences_of, share_of, with_text
from one_run import EARLIER_SETTINGS, spread

from tagger.config.loading import load_config
from tagger.formats.raw_sentences import RawSettings, raw_sentences
from tagger.inputs.vocabulary import Normalization, lookup_variants
from tagger.vectors.learning import LearningSettings, StoredText, learn_model, store

NONE, SKIP_GRAM, FASTTEXT = "none", "skip-gram", "fasttext"
UNKNOWN = "n-grams"  # the file that also has the vectors of words that the raw text does not have
ROWS = (NONE, SKIP_GRAM, FASTTEXT)
SHARES = {"wnut17": (0.3, 1.0), "conll2000": (0.1, 0.3)}
SEEDS = (1, 2, 3)
NEWS = 110_000
SETTINGS = [
    *EARLIER_SETTINGS, "model.units=100", "model.layers=1", "training.threads=1", "training.calibrate=false",
]  # fmt: skip
LEARNING = {"normalization": Normalization(normalize_digits=True)}


class Quiet:
    def read(self, n_tokens: int) -> None: ...
    def stored(self, text: StoredText) -> None: ...
    def learn(self, epoch: int, n_tokens: int) -> None: ...


def raw_text() -> Iterator[list[str]]:
    settings = RawSettings(source="text", language="en", lines=True)
    yield from raw_sentences([str(CORPORA / "raw/tweets-en.txt.gz")], settings, print)
    yield from itertools.islice(raw_sentences([str(CORPORA / "raw/news-en.txt.gz")], settings, print), NEWS)


def write(path: Path, tokens: list[str], table: Any) -> None:
    path.with_suffix(".txt").write_text("\n".join(tokens) + "\n", "utf-8")
    np.save(path, table)


def make_vectors(folder: Path) -> None:
    """Write the vectors of each row into a folder, unless they are there."""
    if (folder / f"{UNKNOWN}.npy").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
        text = store(raw_text(), file, LEARNING["normalization"], Quiet())
        for row in (SKIP_GRAM, FASTTEXT):
            start = time.process_time()
            found = learn_model(text, LearningSettings(algorithm=row, **LEARNING), Quiet())
            print(
                f"{row}: {text.n_tokens:,} tokens, {len(found):,} vectors, {time.process_time() - start:.0f} s",
                flush=True,
            )
            write(folder / f"{row}.npy", found.index_to_key, found.vectors)
    seen = dict.fromkeys(token for kind in SHARES for part in sentences_of(kind)[:2] for token in tokens_of(part))
    known = set(found.index_to_key)
    new = [token for token in seen if not any(one in known for _, one in lookup_variants(token))]
    extra = np.stack([found.get_vector(LEARNING["normalization"](token)) for token in new])
    unknown = dict(zip(new, extra, strict=True))
    print(f"{len(unknown):,} words of the corpora are not among them", flush=True)
    write(folder / f"{UNKNOWN}.npy", [*found.index_to_key, *unknown], np.concatenate([found.vectors, extra]))


def tokens_of(sentences: Iterable[str]) -> list[str]:
    return [line.split("\t")[0] for sentence in sentences for line in sentence.split("\n")]


def one(kind: str, share: float, row: str, seed: int, vectors: Path) -> dict[str, Any]:
    """Train once, and score dev; with fastText twice: with and without the n-grams of words that only dev has."""
    every, dev, _ = sentences_of(kind)
    training = share_of(every, share, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, some in (("train", training), ("dev", dev)):
            (folder / part).write_text("\n\n".join(some) + "\n", "utf-8")
        (folder / "c.yaml").write_text("data: {train: train, dev: dev, columns: {token: 0, tag: 1}, trust: true}\n")
        given = [*SETTINGS, f"training.seed={seed}", f"output.model_dir={folder / 'm'}"]
        only_dev = set[str]()
        if row != NONE:
            make_vectors(vectors)
        if row == SKIP_GRAM:
            given.append(f"embeddings.path={vectors / f'{row}.npy'}")
        elif row == FASTTEXT:
            only_dev = add_words(vectors, set(tokens_of(dev)) - set(tokens_of(training)), folder / "v.npy")
            given.append(f"embeddings.path={folder / 'v.npy'}")
        start = time.perf_counter()
        found = trained(folder, given, only_dev)
    found |= {"minutes": round((time.perf_counter() - start) / 60, 2), "sentences": len(training)}
    if only_dev:
        found["occurrences"] = sum(token in only_dev for token in tokens_of(dev)) / len(tokens_of(dev))
    return found


def add_words(vectors: Path, wanted: set[str], path: Path) -> set[str]:
    """Write the vectors of the raw text and those that n-grams give to some other words; return these words."""
    known, every = (
        (vectors / f"{row}.txt").read_text("utf-8").removesuffix("\n").split("\n") for row in (FASTTEXT, UNKNOWN)
    )
    kept = [*range(len(known)), *(i for i in range(len(known), len(every)) if every[i] in wanted)]
    write(path, [every[i] for i in kept], np.load(vectors / f"{UNKNOWN}.npy")[kept])
    return {every[i] for i in kept[len(known) :]}


def trained(folder: Path, given: list[str], only_dev: set[str]) -> dict[str, Any]:
    from tagger.evaluation.evaluate import evaluate_file  # these load TensorFlow, which the table does not need
    from tagger.prediction.onnx_session import load_predictor
    from tagger.prediction.predictor import Predictor
    from tagger.training.listener import Silent
    from tagger.training.parts import Parts
    from tagger.training.train import train

    # Nobody uses the models of the epochs, so their check is left out.
    parts = Parts(check_equal=lambda *_: None)
    outcome = train(load_config(folder / "c.yaml", given), Silent(), device="cpu", parts=parts)
    assert outcome.best is not None
    found = {"dev": outcome.best.dev_score, "epoch": outcome.best.epoch}
    if only_dev:
        model = load_predictor(folder / "m", threads=1).model
        names = tuple(f"\0{token}" if token in only_dev else token for token in model.encoder.tokens.tokens)
        hidden = dataclasses.replace(model.encoder.tokens, tokens=names)
        without = dataclasses.replace(model, encoder=dataclasses.replace(model.encoder, tokens=hidden))
        scores = [
            evaluate_file(Predictor(one), str(folder / "dev"), model.manifest.layout).overall
            for one in (without, model)
        ]
        found |= dict(zip(("dev", "dev_n_grams"), (score.f1 for score in scores if score is not None), strict=True))
    return found


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table of dev F1 in percent, with the number of seeds of each row in brackets."""
    lines = [
        f"| corpus | labels | {' | '.join(ROWS)} | fasttext, n-grams for unknown words | change | unknown |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, share in ((kind, share) for kind, shares in SHARES.items() for share in shares):
        of = {
            row: [run for run in runs if (run["kind"], run["share"], run["row"]) == (kind, share, row)] for row in ROWS
        }
        last = of[FASTTEXT]
        if not all(of.values()):
            continue
        changes = [100 * (run["dev_n_grams"] - run["dev"]) for run in sorted(last, key=lambda run: int(run["seed"]))]
        cells = [
            kind, f"{100 * share:.0f} %",
            *(f"{spread(run['dev'] for run in of[row])} ({len(of[row])})" for row in ROWS),
            spread(run["dev_n_grams"] for run in last), ", ".join(f"{change:+.2f}" for change in changes),
            f"{100 * statistics.mean(run['occurrences'] for run in last):.1f} %",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "raw-vectors"))
    parser.add_argument("--rows", default="", help="only runs with this text in `kind share seed S row`")
    parser.add_argument("--minutes", type=float, default=600.0, help="start no run after this number of minutes")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)))
        return
    parts = [(kind, share) for kind, shares in SHARES.items() for share in shares]
    wanted = [
        {"kind": kind, "share": share, "row": row, "seed": seed}
        for seed in SEEDS for kind, share in parts for row in ROWS
    ]  # fmt: skip
    run_missing(
        arguments.runs, with_text(wanted, arguments.rows), lambda key: one(**key, vectors=arguments.work),
        jobs=1, minutes=arguments.minutes,
    )  # fmt: skip


if __name__ == "__main__":
    main()
