"""Add types to a model and measure what it forgets and what it learns, for docs/results.md.

    python scripts/results/grow.py --runs docs/grow.jsonl            # takes an hour; stop it at any time
    python scripts/results/grow.py --runs docs/grow.jsonl --table    # the table

The types of a corpus are divided into old and new ones. The rows, each a training with the same small network:

- `old`: all sentences, annotated with the old types only. All models below but the next two begin with it.
- `everything`: all sentences, annotated with all types, from random weights.
- `half`: every second sentence, annotated with all types, from random weights: what so few labels give.
- `grown`: every second sentence, annotated with the new types only; the old model is the teacher (`--init-from`).
- `replayed`: the same, and the sentences of the old model with their old annotation again (`--replay`).
- `as outside`: as `grown`, but the old types are taken as annotated (`data.annotated: all`): plain fine-tuning.

Each run is one line of JSON in the file; runs that are already there are skipped, so the same command continues. A dev
set of 300 other sentences, annotated as the training sentences are, decides which epoch is kept. The scores are those
of further sentences with all types, none of them from a test file: the last 1,000 of the training file of CoNLL-2000,
and the last 2,000 of that of NerKor. All other sentences are the training set; `nerkor/5` has every fifth of them,
because the first 10,000 of NerKor are nearly all fiction and have 71 organizations. The scores are micro F1 over the
old types, and over the new ones.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from one_run import EARLIER_SETTINGS, TAGGER, run, spread
from small_data import DEV, load, sentences_of

from tagger.corpus.schemes import spans_from_tags, tags_from_spans
from tagger.prediction.onnx_session import load_predictor

EVERY = {"conll2000": 1, "nerkor": 1, "nerkor/5": 5}  # the training set is every n-th sentence
NEW = {"conll2000": ("VP", "ADVP"), "nerkor": ("ORG",), "nerkor/5": ("ORG",)}
ROWS = ("old", "everything", "half", "grown", "replayed", "as outside")
SEEDS = (1, 2, 3)
SETTINGS = [*EARLIER_SETTINGS, "model.units=100", "model.layers=1", "training.patience=null"]
EPOCHS = {"conll2000": 10, "nerkor": 5, "nerkor/5": 10}


def annotated(sentences: Iterable[str], corpus: str, kept: str) -> str:
    """Return sentences as CoNLL with tokens and tags, annotated with the `old` types, the `new` ones or `all`."""
    blocks = []
    for sentence in sentences:
        rows = [line.split() for line in sentence.split("\n") if not line.startswith("#")]
        spans = spans_from_tags([fields[-1] for fields in rows])
        spans = [span for span in spans if kept == "all" or (span.type in NEW[corpus]) == (kept == "new")]
        tags = tags_from_spans(spans, len(rows), "IOB2")
        blocks.append("".join(f"{fields[0]}\t{tag}\n" for fields, tag in zip(rows, tags, strict=True)))
    return "\n".join(blocks)


def one_run(corpus: str, row: str, seed: int, work: Path, more: list[str]) -> dict[str, Any]:
    sentences, held = sentences_of(corpus.split("/")[0])
    # One sentence of NerKor has the tag V.
    sentences = [one for one in sentences[:: EVERY[corpus]] if not re.search(r"\sV$", one, re.MULTILINE)]
    dev, scored = held[:DEV], held[DEV:]
    kept = {"old": "old", "everything": "all", "half": "all"}.get(row, "new")
    folder = work / f"{corpus.replace('/', '-')}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    used = sentences if row in ("old", "everything") else sentences[::2]
    files = {"train": annotated(used, corpus, kept), "dev": annotated(dev, corpus, kept)}
    files["replay"] = annotated(sentences, corpus, "old")
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    (folder / "c.yaml").write_text("data: {train: train, dev: dev, columns: {token: 0, tag: 1}, trust: true}\n")
    model = folder / row.replace(" ", "-")
    settings = [*SETTINGS, f"training.epochs={EPOCHS[corpus]}", f"training.seed={seed}", *more]
    options = []
    if kept == "new":
        options += ["--init-from", str(folder / "old")]
        settings = [one for one in settings if not one.startswith("model.")]
    if row == "replayed":
        options += ["--replay", str(folder / "replay")]
    if row == "as outside":
        settings.append("data.annotated=all")
    start = time.perf_counter()
    options += [f"--set={one}" for one in settings]
    run([*TAGGER, "train", "c.yaml", f"--model={model}", "--quiet", "--resume", *options], folder)
    minutes = (time.perf_counter() - start) / 60
    return {"sentences": len(used), "minutes": round(minutes, 2), **score(model, scored, corpus)}


def score(model: Path, sentences: list[str], corpus: str) -> dict[str, float]:
    """Return the micro F1 over the old types, and over the new ones."""
    rows = [[line.split() for line in one.split("\n") if not line.startswith("#")] for one in sentences]
    tagged = load_predictor(model).tag([[fields[0] for fields in sentence] for sentence in rows], probabilities=False)
    counts = Counter[tuple[str, str]]()
    for sentence, found in zip(rows, tagged, strict=True):
        gold, pred = set(spans_from_tags([fields[-1] for fields in sentence])), set(spans_from_tags(found.tags))
        for name, spans in (("gold", gold), ("pred", pred), ("right", gold & pred)):
            counts.update((name, "new" if span.type in NEW[corpus] else "old") for span in spans)
    return {
        f"{kind}_f1": 2 * counts["right", kind] / max(1, counts["gold", kind] + counts["pred", kind])
        for kind in ("old", "new")
    }


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table: percent, mean ± standard deviation of the seeds."""
    lines = ["| corpus | training | seeds | F1 of old types | F1 of new types |", "|---|---|---|---|---|"]
    for corpus in NEW:
        for row in ROWS:
            some = [one for one in runs if (one["corpus"], one["row"]) == (corpus, row)]
            if some:
                new = "–" if row == "old" else spread(one["new_f1"] for one in some)
                lines.append(f"| {corpus} | {row} | {len(some)} | {spread(one['old_f1'] for one in some)} | {new} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "grow"))
    parser.add_argument("--rows", default="", help="only the runs whose name has this text, as in 'nerkor seed 1'")
    parser.add_argument("--set", action="append", default=[], dest="more")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(load(arguments.runs)))
        return
    done = {(one["corpus"], one["seed"], one["row"]) for one in load(arguments.runs)}
    for seed in SEEDS:
        for corpus in NEW:
            for row in ROWS:
                if (corpus, seed, row) in done or arguments.rows not in f"{corpus} seed {seed} {row}":
                    continue
                old = arguments.work / f"{corpus.replace('/', '-')}-{seed}/old"
                if (
                    row not in ("old", "everything", "half") and not old.exists()
                ):  # the folder of an earlier run is gone
                    one_run(corpus, "old", seed, arguments.work, arguments.more)
                found = one_run(corpus, row, seed, arguments.work, arguments.more)
                found = {"corpus": corpus, "seed": seed, "row": row, **found, "settings": arguments.more}
                with arguments.runs.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found) + "\n")
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
