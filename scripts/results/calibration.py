"""Measure how much the probabilities of spans mean, for docs/results.md.

    python scripts/results/calibration.py --runs docs/calibration.jsonl          # an hour; stop it at any time
    python scripts/results/calibration.py --runs docs/calibration.jsonl --table  # the table

Each run trains the default recipe on a corpus with one seed, for 10 epochs (WNUT-17: as many as are chosen for it), and
is one line of JSON in the file; runs that are already there are skipped, so the same command continues. On the test
sentences, it measures the expected calibration error of the spans before and after the fit on dev, and the precision of
the spans above the threshold that has a precision of 95 % on dev, for all types together. CoNLL-2000: a tenth of the
training file is dev. WNUT-17: its own files, whose test file is another kind of text than dev. NerKor: 10,000
sentences, drawn with the seed, 3,000 others for dev and 30,000 others for the test.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from one_run import EARLIER_SETTINGS, TAGGER, run, spread

from tagger.corpus.dataset import Corpus, load_gold
from tagger.evaluation.calibration import calibration_error, span_outcomes, threshold_for
from tagger.prediction.onnx_session import load_predictor

CORPORA = Path(__file__).resolve().parents[3] / "shared" / "data"
SEEDS = (1, 2, 3)
PRECISION = 0.95
WRONG = "/\tV"  # a line of NerKor whose tag is not one
NAMES = {"conll2000": "CoNLL-2000", "wnut17": "WNUT-17", "nerkor": "NerKor, 10,000 sentences"}


def files_of(corpus: str, corpora: Path, folder: Path, seed: int) -> dict[str, Path]:
    """Return the training, dev and test files of a corpus, written to a folder if they are parts of others."""
    if corpus == "wnut17":
        return {part: corpora / f"wnut17/{part}.conll" for part in ("train", "dev", "test")}
    if corpus == "conll2000":
        sentences = (corpora / "conll2000/train.txt").read_text("utf-8").strip("\n").split("\n\n")
        parts = {
            "train": [one for i, one in enumerate(sentences) if i % 10 != seed],
            "dev": [one for i, one in enumerate(sentences) if i % 10 == seed],
            "test": [(corpora / "conll2000/test.txt").read_text("utf-8").strip("\n")],
        }
    else:
        with gzip.open(corpora / "nerkor/train.tsv.gz", "rt", encoding="utf-8") as file:
            sentences = [one for one in file.read().strip("\n").split("\n\n") if WRONG not in one]
        random.Random(seed).shuffle(sentences)
        parts = {"train": sentences[:10_000], "dev": sentences[10_000:13_000], "test": sentences[13_000:43_000]}
    for part, chosen in parts.items():
        (folder / f"{part}.conll").write_text("\n\n".join(chosen) + "\n\n", "utf-8")
    return {part: folder / f"{part}.conll" for part in parts}


def measured(corpus: str, corpora: Path, seed: int, settings: list[str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = files_of(corpus, corpora, folder, seed)
        (folder / "c.yaml").write_text(json.dumps({"data": {part: str(path) for part, path in files.items()}}))
        epochs = [] if corpus == "wnut17" else ["training.epochs=10"]
        options = [f"--set={one}" for one in (f"training.seed={seed}", *EARLIER_SETTINGS, *epochs, *settings)]
        run([*TAGGER, "train", "c.yaml", "--model", "model", *options], folder)
        predictor = load_predictor(folder / "model")
        manifest = predictor.model.manifest

        def gold(part: str) -> Corpus:
            return load_gold(str(files[part]), manifest.layout, manifest.notation)

        dev, test = gold("dev"), gold("test")
        before, correct = span_outcomes(predictor, test, 1.0)
        after, _ = span_outcomes(predictor, test)
        on_dev = span_outcomes(predictor, dev)
        threshold = threshold_for(*on_dev, PRECISION)
        kept = after >= (2.0 if threshold is None else threshold)
        return {
            "corpus": corpus, "seed": seed, "temperature": manifest.calibration and manifest.calibration.temperature,
            "dev_f1": manifest.dev["f1"], "before": calibration_error(before, correct),
            "after": calibration_error(after, correct), "dev_after": calibration_error(*on_dev),
            "threshold": threshold, "precision": float(correct[kept].mean()) if kept.any() else None,
            "kept": float(correct[kept].sum() / correct.sum()),
        }  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    print("| corpus | temperature | error before | after | precision asked, reached | share of right spans kept |")
    print("|---|---|---|---|---|---|")
    for corpus, name in NAMES.items():
        of_it = [row for row in rows if row["corpus"] == corpus]
        if of_it:
            cells = [spread(row[key] for row in of_it) for key in ("before", "after", "precision", "kept")]
            temperature = f"{statistics.mean(row['temperature'] for row in of_it):.2f}"
            print(f"| {name} | {temperature} | {cells[0]} | {cells[1]} | 95, {cells[2]} | {cells[3]} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    path: Path = arguments.runs
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    done = {(row["corpus"], row["seed"]) for row in rows}
    for seed in () if arguments.table else SEEDS:
        for corpus in NAMES:
            if (corpus, seed) not in done:
                row = measured(corpus, arguments.corpora, seed, arguments.settings)
                print(row, flush=True)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
                rows.append(row)
    show(rows)


if __name__ == "__main__":
    main()
