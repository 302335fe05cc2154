"""Go through the door with every corpus in a folder: `tagger init`, `train` for two epochs, `eval` and `predict`.

Nothing is edited in between. Prints a row for each file: the outcome of each step (ok, or the one error), the seconds,
and the F1 on the file itself. A traceback, an error without a way out, or lost bytes make the exit code 1.

    python scripts/checks/door.py ../shared/data
    python scripts/checks/door.py ../shared/data --only cases/ --limit-sentences 500
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

from read_corpora import run, without_added_column

from tagger.errors import TaggerError
from tagger.formats.registry import guess_source

_NO_CORPUS = re.compile(r"(README|LICEN[CS]E)", re.IGNORECASE)
_QUICK = ("training.epochs=2", "model.units=30", "model.layers=1", "model.characters=none")
_WAY_OUT = re.compile(
    r"; |expected|\b(set|get|check|use|fix|convert|name|run|remove|replace|choose|add|pass|label|separate)\b"
)


@dataclasses.dataclass
class Row:
    """The outcome of each step for one file."""

    steps: dict[str, str]
    seconds: float = 0.0
    f1: str = "–"
    is_bad: bool = False


def main() -> None:
    """Print a row for each corpus."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of corpora")
    parser.add_argument("--only", default="", help="only paths in which this regular expression is found")
    parser.add_argument("--limit-sentences", type=int, default=1000, help="cut corpora after so many sentences")
    options = parser.parse_args()
    n_bad = 0
    for path in sorted(options.folder.rglob("*")):
        name = str(path.relative_to(options.folder))
        if not path.is_file() or _NO_CORPUS.match(path.name) or path.suffix in (".yaml", ".md"):
            continue
        if not re.search(options.only, name):
            continue
        row = through(path, options.limit_sentences)
        n_bad += row.is_bad
        shown = "; ".join(f"{step}: {text}" for step, text in row.steps.items())
        print(f"{'BAD ' if row.is_bad else ''}{name} | {shown} | {row.seconds:.0f} s | F1 {row.f1}", flush=True)
    print(f"{n_bad} bad" if n_bad else "all as it should be")
    sys.exit(n_bad > 0)


def through(path: Path, limit: int) -> Row:
    """Return what becomes of one file."""
    row, start = Row({}), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        corpus = copied(path, Path(folder), limit)
        config, model = f"{folder}/config.yaml", f"{folder}/model"
        quick = [word for setting in _QUICK for word in ("--set", setting)]
        commands = {
            "init": ["init", str(corpus), "-o", config],
            "train": ["train", config, *quick, "--model", model],
            "eval": ["eval", str(corpus), "--model", model, "--json"],
            "predict": ["predict", str(corpus), "--model", model],
        }
        for step, arguments in commands.items():
            code, output, errors = run(*arguments)
            row.steps[step] = "ok"
            if code:
                row.steps[step], row.is_bad = _first_error(errors)
                break
            if step == "eval":
                scores = json.loads(output)
                row.f1 = "–" if scores["f1"] is None else f"{100 * scores['f1']:.2f}"
                if scores["f1"] is None:
                    row.f1 = f"accuracy {100 * scores['accuracy']:.2f}"
            if step == "predict" and is_conll(corpus) and not without_added_column(content(corpus), output):
                row.steps[step], row.is_bad = "LOST BYTES", True
    row.seconds = time.monotonic() - start
    return row


def _first_error(errors: str) -> tuple[str, bool]:
    """Return the first line of an error, and whether it does not say what to do."""
    found = [line for line in errors.splitlines() if line.startswith(("error: ", "Error: "))]
    if "Traceback" in errors or not found:
        return f"{' '.join(errors.split())[-300:]}", True
    return found[0], len(found) > 1 or not _WAY_OUT.search(found[0])


def content(path: Path) -> bytes:
    """Return the bytes of a corpus, decompressed."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def is_conll(path: Path) -> bool:
    """Return whether `predict` reads the lines of a file as they are."""
    try:
        return guess_source(path)[0].name in ("conll", "conllu")
    except TaggerError:
        return True


def copied(path: Path, folder: Path, limit: int) -> Path:
    """Copy a corpus to a folder, without what is after `limit` blank lines."""
    target = folder / path.name
    try:
        data = content(path)
    except (OSError, EOFError, ValueError):  # a damaged file: tagger says so
        shutil.copy(path, target)
        return target
    ends = [match.end() for match in re.finditer(rb"\n[ \t]*\r?\n", data)]
    if len(ends) <= limit:
        shutil.copy(path, target)
        return target
    target = folder / path.name.removesuffix(".gz")
    target.write_bytes(data[: ends[limit]])
    return target


if __name__ == "__main__":
    main()
