"""Read every corpus in a folder as a stranger would: check, train for two epochs, eval, predict.

Prints for each file which columns were read as token and tag, the first sentence, the number of distinct tokens, the F1
on the training file, and whether `predict` gave all bytes back; or the error that named the file for what it is.

    python scripts/checks/read_corpora.py ../shared/data            # read only
    python scripts/checks/read_corpora.py ../shared/data --train    # and train, score and tag
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import io
import json
import os
import sys
import tempfile
from pathlib import Path

from tagger.check.files import CheckSettings, check_file
from tagger.corpus.dataset import shown_sentences
from tagger.errors import TaggerError

_ENDINGS = (
    "",
    ".bio",
    ".conll",
    ".conllu",
    ".csv",
    ".data",
    ".gz",
    ".iob2",
    ".jsonl",
    ".tsv",
    ".txt",
    ".v4_gold_conll",
)
_NO_CORPUS = ("README", "README.md", "LICENSE.txt", "in.txt")
_MOST_BYTES = 2_000_000  # of a training file; a larger one is cut at a blank line
_SMALL = (
    "training.epochs=2", "training.batch_size=32", "model.units=30", "model.layers=1", "model.embedding_dim=30",
    "model.characters=none", "data.dev=null",
)  # fmt: skip


def main() -> None:
    """Read the corpora and print a line or two on each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a folder of corpora")
    parser.add_argument("--train", action="store_true", help="train, score and tag as well")
    parser.add_argument("--only", default="", help="only paths that contain this text")
    options = parser.parse_args()
    n_lost = 0
    for path in sorted(options.folder.rglob("*")):
        if (
            path.is_file()
            and (path.suffix in _ENDINGS or path.suffix.endswith("conll"))
            and path.name not in _NO_CORPUS
            and options.only in str(path)
        ):
            name = path.relative_to(options.folder)
            found = read(path)
            print(f"{name}: {found}", flush=True)
            if options.train and not found.startswith("refused"):
                text, lost = train(path)
                n_lost += lost
                print(f"    {text}", flush=True)
    sys.exit(n_lost > 0)


def read(path: Path) -> str:
    """Return how `tagger check` reads a file."""
    try:
        report = check_file(str(path), CheckSettings())
    except TaggerError as error:
        return f"refused: {error.message}"
    columns, counts = report.format["columns"], report.counts
    first = (shown_sentences(report.sentences, 1) or ["no sentence"])[0]
    text = (
        f"token {columns['token']}, tag {columns['tag']}; {counts['tokens']:,} tokens,"
        f" {counts['distinct_tokens']:,} distinct; {report.format['scheme']}, {counts['entities']:,} entities; {first}"
    )
    whole = [problem.message for problem in report.problems if problem.line == 0]
    return "\n    ".join([text, *(f"note: {note}" for note in report.notes), *(f"! {message}" for message in whole)])


def train(path: Path) -> tuple[str, bool]:
    """Train on a file, score and tag it; return what came of it, and whether bytes were lost."""
    with tempfile.TemporaryDirectory() as folder:
        data = cut(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        corpus, config = Path(folder) / "train.conll", Path(folder) / "c.yaml"
        corpus.write_bytes(data)
        config.write_text(f"data: {{train: train.conll}}\noutput: {{model_dir: {folder}/model}}\n")
        settings = [word for setting in _SMALL for word in ("--set", setting)]
        code, _, errors = run("train", str(config), *settings)
        if code != 0:
            return f"train: exit {code}: {errors.strip().splitlines()[-1] if errors.strip() else ''}", False
        code, output, errors = run("eval", "--model", f"{folder}/model", "--json", str(corpus))
        scores = json.loads(output) if code == 0 else {"f1": None, "accuracy": None}
        code, output, errors = run("predict", "--model", f"{folder}/model", str(corpus))
        if code != 0:
            return f"predict: exit {code}: {errors.strip()}", False
        same = without_added_column(data, output)
        f1 = "–" if scores["f1"] is None else f"{100 * scores['f1']:.2f}"
        return f"trained: F1 {f1}; {'all bytes came back' if same else 'BYTES LOST'}", not same


def cut(data: bytes) -> bytes:
    """Return the first part of a corpus, up to a blank line."""
    if len(data) <= _MOST_BYTES:
        return data
    end = data.rfind(b"\n\n", 0, _MOST_BYTES)
    return data[: end + 2 if end > 0 else data.rfind(b"\n", 0, _MOST_BYTES) + 1]


def without_added_column(before: bytes, after: bytes) -> bool:
    """Return whether each line of the output is the input's line, with at most a delimiter and a tag before its end."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) != len(new):
        return False
    for a, b in zip(old, new, strict=True):
        body, end = a.rstrip(b"\r\n"), a[len(a.rstrip(b"\r\n")) :]
        if not (b.startswith(body) and b.endswith(end)):
            return False
        added = b[len(body) : len(b) - len(end)]
        if added and (len(added) < 2 or added[:1] not in (b"\t", b" ", b",")):
            return False
    return True


def run(*arguments: str) -> tuple[int, bytes, str]:
    """Run a command of the tagger in this process; TensorFlow is then imported only once."""
    from tagger.cli import commands, console

    output, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    here = Path.cwd()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        tempfile.TemporaryDirectory() as folder,
    ):
        os.chdir(folder)
        try:
            code = console.run(commands.cli, list(arguments))
        finally:
            os.chdir(here)
    output.flush()
    return code, output.buffer.getvalue(), errors.getvalue()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
