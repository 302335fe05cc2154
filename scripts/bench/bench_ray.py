"""Measure `tagger predict --ray local`: what starting costs, and how many tokens a second 1 and 2 workers tag.

    python scripts/bench/bench_ray.py CORPUS --model DIR
    python scripts/bench/bench_ray.py CORPUS --model DIR --files 40 400 --workers 1 2 --json docs/scale.json

The sentences of CORPUS are dealt out to files, few and many. For each number of workers, the whole command is timed
(`seconds`), and from the first output to the last (`tokens_per_second`), which leaves out starting Ray and loading the
model. `plain` is `tagger predict --threads 1` on all sentences in one file, `reading` reads the files and splits them
into sentences without tagging. The table also shows the bytes of a token in and out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from racing import machine

from tagger.corpus.lines import open_corpus

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--files", type=int, nargs="+", default=[40, 400])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(["ray", "onnxruntime"]), "runs": []}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        found |= alone(arguments.corpus, arguments.model, work)
        for n_files in arguments.files:
            folder = work / f"in{n_files}"
            write_pieces(arguments.corpus, folder, n_files)
            for workers in arguments.workers:
                run = with_ray(folder, work / f"out{n_files}-{workers}", arguments.model, workers, found["tokens"])
                found["runs"].append(run)
                print(json.dumps(run), flush=True)
    print(json.dumps({name: value for name, value in found.items() if name != "runs"}))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")


def write_pieces(corpus: Path, folder: Path, n: int) -> None:
    with open_corpus(corpus) as stream:
        sentences = [sentence + b"\n" for sentence in stream.read().split(b"\n\n") if sentence.strip()]
    folder.mkdir()
    for i in range(n):
        (folder / f"{i:05}.conll").write_bytes(b"\n".join(sentences[i::n]))


def alone(corpus: Path, model: Path, work: Path) -> dict[str, Any]:
    """Return the sizes, and the speeds of reading alone and of plain `predict`."""
    write_pieces(corpus, work / "one", 1)
    (file,) = (work / "one").iterdir()
    since = time.perf_counter()
    content = file.read_bytes()
    n_tokens = sum(1 for sentence in content.split(b"\n\n") for line in sentence.split(b"\n") if line)
    reading = time.perf_counter() - since
    since = time.perf_counter()
    command = [sys.executable, "-m", "tagger", "predict", str(file), "--model", str(model), "--threads", "1"]
    done = subprocess.run(command, env=environment(), capture_output=True, check=True)
    plain = time.perf_counter() - since
    return {
        "tokens": n_tokens,
        "bytes_in_per_token": round(len(content) / n_tokens, 2),
        "bytes_out_per_token": round(len(done.stdout) / n_tokens, 2),
        "reading_tokens_per_second": round(n_tokens / reading),
        "plain_seconds": round(plain, 2),
        "plain_tokens_per_second": round(n_tokens / plain),
    }


def with_ray(folder: Path, out: Path, model: Path, workers: int, n_tokens: int) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "tagger", "predict", "--ray", "local", str(folder), str(out),
        "--model", str(model), "--workers", str(workers),
    ]  # fmt: skip
    begun, since = time.time(), time.perf_counter()
    subprocess.run(command, env=environment(), capture_output=True, check=True)
    seconds = time.perf_counter() - since
    times = sorted(path.stat().st_mtime for path in out.glob("*.conll"))
    n_timed = n_tokens * (len(times) - 1) / len(times)
    return {
        "files": len(times),
        "workers": workers,
        "seconds": round(seconds, 1),
        "first_output_after": round(times[0] - begun, 1),
        "after_the_last_output": round(begun + seconds - times[-1], 1),
        "tokens_per_second": round(n_timed / (times[-1] - times[0])),
    }


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


if __name__ == "__main__":
    main()
