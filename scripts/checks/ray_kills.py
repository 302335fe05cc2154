"""Tag many files with `tagger predict --ray local` while its workers are killed, and compare with plain `predict`.

    python scripts/checks/ray_kills.py CORPUS                   # 1,000 pieces, 2 workers, 2 kills
    python scripts/checks/ray_kills.py CORPUS --kills 20 --interruptions 3 --model DIR

The sentences of CORPUS are dealt out to files in folders. Without --model, a small model is trained on some of them.
Workers are killed with SIGKILL at moments that are spread over the run, and with --interruptions, the command itself
is killed too, and given again. At the end, each output must have exactly the bytes that `tagger predict` writes for
the file, and there must be no other file. Prints a line of JSON; exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tagger.cli import commands
from tagger.corpus.lines import open_corpus

ROOT = Path(__file__).resolve().parents[2]
RECORD = ".tagger-predict.jsonl"
_TRAINED = 40  # pieces that the small model is trained on
SETTINGS = ("training.epochs=1", "training.threads=1", "model.units=50", "model.embedding_dim=50", "data.dev=0.1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--interruptions", type=int, default=0)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        n_tokens = write_pieces(arguments.corpus, work / "in", arguments.files)
        model = arguments.model or train(work)
        since = time.monotonic()
        kills, starts = tag(work, model, arguments)
        seconds = time.monotonic() - since
        wrong = compare(work, model)
    found = {
        "files": arguments.files, "tokens": n_tokens, "workers": arguments.workers, "workers_killed": kills,
        "commands": starts, "seconds": round(seconds, 1), "differing": wrong,
    }  # fmt: skip
    print(json.dumps(found))
    sys.exit(1 if wrong or kills < arguments.kills else 0)


def write_pieces(corpus: Path, folder: Path, n: int) -> int:
    """Deal the sentences of a corpus out to files in folders of a hundred; return the number of lines with a token."""
    with open_corpus(corpus) as stream:
        sentences = [sentence + b"\n" for sentence in stream.read().split(b"\n\n") if sentence.strip()]
    for i in range(n):
        place = folder / f"{i // 100:03}" / f"{i:05}.conll"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"\n".join(sentences[i::n]))
    return sum(sentence.count(b"\n") for sentence in sentences)


def train(work: Path) -> Path:
    pieces = sorted((work / "in").rglob("*.conll"))[:_TRAINED]
    (work / "train.conll").write_bytes(b"\n".join(piece.read_bytes() for piece in pieces))
    settings = [part for setting in SETTINGS for part in ("--set", setting)]
    command = ["train", str(work / "train.conll"), "--model", str(work / "model"), *settings]
    subprocess.run([*tagger(), *command], cwd=work, env=environment(), check=True, capture_output=True)
    return work / "model"


def tagger() -> list[str]:
    return [sys.executable, "-m", "tagger"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def tag(work: Path, model: Path, arguments: argparse.Namespace) -> tuple[int, int]:
    """Tag the folder, and kill; return the number of workers that were killed, and of the commands that were given."""
    n_events = arguments.kills + arguments.interruptions
    moments = [(i + 1) * arguments.files // (n_events + 1) for i in range(n_events)]
    interruptions = set(moments[1 :: max(1, n_events // max(1, arguments.interruptions))][: arguments.interruptions])
    kills, starts = 0, 0
    while True:
        starts += 1
        command = [
            *tagger(), "predict", "--ray", "local", str(work / "in"), str(work / "out"),
            "--model", str(model), "--workers", str(arguments.workers),
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=work, env=environment(), stdout=subprocess.PIPE)
        while process.poll() is None:
            if moments and n_done(work / "out") >= moments[0]:
                moment = moments.pop(0)
                if moment in interruptions:
                    process.kill()
                else:
                    kills += kill_a_worker(process.pid)
            time.sleep(0.01)
        assert process.stdout is not None
        assert process.stdout.read() == b"", "standard output holds data only"
        if process.returncode == 0:
            return kills, starts
        if process.returncode != -signal.SIGKILL:
            sys.exit(f"tagger predict --ray ended with {process.returncode}")


def n_done(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return (folder / RECORD).read_bytes().count(b"\n") - 1
    return 0


def kill_a_worker(pid: int) -> int:
    """Kill a worker of the command with a process id; return how many were killed."""
    parents, workers = dict[int, int](), list[int]()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if (place / "cmdline").read_bytes().startswith(b"ray::_Worker"):
                workers.append(int(place.name))
    for worker in workers:
        ancestor = worker
        while ancestor in parents and ancestor != pid:
            ancestor = parents[ancestor]
        if ancestor == pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                return 1
    return 0


def compare(work: Path, model: Path) -> list[str]:
    """Return the files whose output is not that of plain `predict`, and outputs that belong to no file."""
    names = [path.relative_to(work / "in") for path in sorted((work / "in").rglob("*.conll"))]
    wrong = []
    for name in names:
        expected = plain(work / "in" / name, model)
        place = work / "out" / name
        if not place.is_file() or place.read_bytes() != expected:
            wrong.append(str(name))
    found = {path.relative_to(work / "out") for path in (work / "out").rglob("*") if path.is_file()}
    return wrong + sorted(map(str, found - {*names, Path(RECORD), Path(".tagger-predict.lock")}))


def plain(path: Path, model: Path) -> bytes:
    """Return what `tagger predict` writes, run in this process, since 1,000 processes would take minutes."""
    out, before = io.TextIOWrapper(io.BytesIO(), "utf-8"), (sys.stdout, sys.stderr)
    sys.stdout, sys.stderr = out, io.StringIO()
    try:
        code = commands.run(["predict", str(path), "--model", str(model)])
        out.flush()
    finally:
        sys.stdout, sys.stderr = before
    assert code == 0, path
    assert isinstance(out.buffer, io.BytesIO)
    return out.buffer.getvalue()


if __name__ == "__main__":
    main()
