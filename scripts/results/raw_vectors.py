"""Measure vectors learned from raw text: are they worth it, and are subword vectors for words that it never had?

    python scripts/results/raw_vectors.py --runs docs/raw-vectors.jsonl     # an hour; stop it at any time
    python scripts/results/raw_vectors.py --runs docs/raw-vectors.jsonl --table

Each line of the file is one training on a share of a corpus, with its best F1 on dev; what is there already is skipped.
Dev is the last 1,000 training sentences of CoNLL-2000, and WNUT-17's own dev file; no test file is used. The rows:

    none       no vectors
    skip-gram  of the tweets and the first 110,000 sentences of the news in shared/data/raw
    fasttext   of the same text, only for the words that occur in it often enough
    n-grams    the same file, with the vectors of the n-grams of all other words of train and dev
"""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from one_run import spread
from resuming import parser_of
from small_data import CORPORA, load, read

from tagger.config import load_config
from tagger.formats.raw_sentences import RawSettings, raw_sentences
from tagger.inputs.vocabulary import Normalization, lookup_variants
from tagger.vectors.learning import LearningSettings, StoredText, learn_model, store

NONE, SKIP_GRAM, FASTTEXT, UNKNOWN = "none", "skip-gram", "fasttext", "n-grams"
ROWS = (NONE, SKIP_GRAM, FASTTEXT, UNKNOWN)
SHARES = {"wnut17": (30, 100), "conll2000": (10, 30)}
SEEDS = (1, 2, 3)
DEV = 1000
NEWS = 110_000
SETTINGS = ["model.units=100", "model.layers=1", "training.threads=1", "training.calibrate=false"]
LEARNING = {"normalization": Normalization(normalize_digits=True)}


class Quiet:
    def read(self, n_tokens: int) -> None: ...
    def stored(self, text: StoredText) -> None: ...
    def learn(self, epoch: int, n_tokens: int) -> None: ...


def sentences_of(corpus: str) -> tuple[list[str], list[str]]:
    """Return the sentences to train on and those of dev."""
    if corpus == "wnut17":
        return read(CORPORA / "wnut17/train.conll"), read(CORPORA / "wnut17/dev.conll")
    sentences = read(CORPORA / "conll2000/train.txt")
    return sentences[:-DEV], sentences[-DEV:]


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
    text = store(raw_text(), folder / "sentences", LEARNING["normalization"], Quiet())
    for row in (SKIP_GRAM, FASTTEXT):
        start = time.process_time()
        found = learn_model(text, LearningSettings(algorithm=row, **LEARNING), Quiet())
        print(
            f"{row}: {text.n_tokens:,} tokens, {len(found):,} vectors, {time.process_time() - start:.0f} s", flush=True
        )
        write(folder / f"{row}.npy", found.index_to_key, found.vectors)
    lines = (
        line for corpus in SHARES for part in sentences_of(corpus) for sentence in part for line in sentence.split("\n")
    )
    seen = dict.fromkeys(line.replace("\t", " ").split(" ")[0] for line in lines)
    known = set(found.index_to_key)
    new = [token for token in seen if token and not any(one in known for _, one in lookup_variants(token))]
    extra = np.stack([found.get_vector(LEARNING["normalization"](token)) for token in new])
    unknown = dict(zip(new, extra, strict=True))
    print(f"{len(unknown):,} words of the corpora are not among them", flush=True)
    write(folder / f"{UNKNOWN}.npy", [*found.index_to_key, *unknown], np.concatenate([found.vectors, extra]))


def one(corpus: str, share: int, row: str, seed: int, vectors: Path) -> dict[str, Any]:
    from tagger.training.listener import Silent  # these load TensorFlow, which the table does not need
    from tagger.training.run import Parts
    from tagger.training.train import train

    training, dev = sentences_of(corpus)
    training = training[: len(training) * share // 100]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part, some in (("train", training), ("dev", dev)):
            (folder / part).write_text("\n\n".join(some) + "\n", "utf-8")
        (folder / "c.yaml").write_text("data: {train: train, dev: dev}\n")
        given = [*SETTINGS, f"training.seed={seed}", f"output.model_dir={folder / 'm'}"]
        if row != NONE:
            given.append(f"embeddings.path={vectors / f'{row}.npy'}")
        start = time.perf_counter()
        # Nobody uses the models of the epochs, so their check is left out.
        outcome = train(
            load_config(folder / "c.yaml", given), Silent(), device="cpu", parts=Parts(check_equal=lambda *_: None)
        )
    assert outcome.best is not None
    return {
        "sentences": len(training), "dev": outcome.best.dev_score, "epoch": outcome.best.epoch,
        "minutes": round((time.perf_counter() - start) / 60, 2),
    }  # fmt: skip


def key_of(run: dict[str, Any]) -> tuple[str, int, str, int]:
    return run["corpus"], run["share"], run["row"], run["seed"]


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table of dev F1 in percent, and the mean of the differences from `none` with the same seed."""
    lines = [
        "| corpus | labels | seeds | " + " | ".join(ROWS) + " | unknown, change |",
        "|---|---|---|---|---|---|---|---|",
    ]
    scores = {key_of(run): run["dev"] for run in runs}
    for corpus, shares in SHARES.items():
        for share in shares:
            seeds = [seed for seed in SEEDS if all((corpus, share, row, seed) in scores for row in ROWS)]
            if not seeds:
                continue
            of = {row: [scores[corpus, share, row, seed] for seed in seeds] for row in ROWS}
            changes = [100 * (new - old) for new, old in zip(of[UNKNOWN], of[FASTTEXT], strict=True)]
            shown = f"{statistics.mean(changes):+.2f}" + (
                f" ± {statistics.stdev(changes):.2f}" if len(seeds) > 1 else ""
            )
            cells = [corpus, f"{share} %", str(len(seeds)), *(spread(of[row]) for row in ROWS), shown]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = parser_of(__doc__, "raw-vectors")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)))
        return
    make_vectors(arguments.work)
    for seed in SEEDS:
        for corpus, share in ((corpus, share) for corpus, shares in SHARES.items() for share in shares):
            for row in ROWS:
                key = corpus, share, row, seed
                if (
                    key in map(key_of, load(arguments.runs))
                    or arguments.rows not in f"{corpus} {share} seed {seed} {row}"
                ):
                    continue
                found = {"corpus": corpus, "share": share, "row": row, "seed": seed, **one(*key, arguments.work)}
                with arguments.runs.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
