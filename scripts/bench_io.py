"""Speed of reading and writing CoNLL alone, and peak memory of `tagger predict` as its input grows.

    python scripts/bench_io.py PATH [--rounds 5]
    python scripts/bench_io.py --memory DIR_OF_A_MODEL [--millions 1 4 10]

The first prints tokens a second of reading PATH (any CoNLL file) and writing it back with one more column, best and
median of several rounds, beside the time that this machine takes to copy the same bytes line by line in Python (the
floor). The second tags files of 1, 4 and 10 million lines and prints peak resident memory and its growth.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tagger.corpus.conll import read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus

SENTENCE = b"The\tO\nCity\tB-ORG\nof\tI-ORG\nLondon\tI-ORG\nsaid\tO\non\tO\nMonday\tO\nthat\tO\nno\tO\n.\tO\n\n"


def read_and_write(data: bytes) -> int:
    n_tokens, sink = 0, io.BytesIO()
    layout = Layout()
    for sentence in read_sentences(io.BytesIO(data), layout):
        sink.write(write_sentence(sentence, [["O"] * len(sentence.tokens)], layout))
        n_tokens += len(sentence.tokens)
    assert len(sink.getvalue()) == len(data) + 2 * n_tokens
    return n_tokens


def copy_lines(data: bytes) -> int:
    sink = io.BytesIO()
    n_lines = 0
    for line in io.BytesIO(data):
        sink.write(line)
        n_lines += 1
    return n_lines


def seconds(run: Callable[[bytes], int], data: bytes, rounds: int) -> tuple[int, list[float]]:
    times, count = [], 0
    for _ in range(rounds):
        start = time.perf_counter()
        count = run(data)
        times.append(time.perf_counter() - start)
    return count, times


def bench_speed(path: str, rounds: int) -> None:
    with open_corpus(path) as stream:
        data = stream.read()
    n_tokens, times = seconds(read_and_write, data, rounds)
    _, floor = seconds(copy_lines, data, rounds)
    print(f"{Path(path).name}: {n_tokens} tokens, {len(data) / 1e6:.1f} MB, {rounds} rounds")
    print(
        f"  read + write: median {n_tokens / statistics.median(times):,.0f}, best {n_tokens / min(times):,.0f} tokens/s"
    )
    print(f"  {statistics.median(times) / statistics.median(floor):.1f} × the time of copying the lines in Python")


def bench_memory(model: str, millions: list[float]) -> None:
    peaks: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for n in millions:
            path = Path(folder, "input.conll")
            n_sentences = round(n * 1e6 / SENTENCE.count(b"\n"))
            with path.open("wb") as file:
                for _ in range(n_sentences // 1000):
                    file.write(SENTENCE * 1000)
            start = time.perf_counter()
            peak = peak_memory([sys.executable, "-m", "tagger", "predict", "--model", model, str(path)])
            peaks.append(peak)
            took = time.perf_counter() - start
            print(json.dumps({"million_lines": n, "peak_mb": round(peak, 1), "seconds": round(took, 1)}), flush=True)
    print(f"  peak memory grows by {100 * (max(peaks) / peaks[0] - 1):.1f} % from {millions[0]} million lines on")


def peak_memory(command: list[str]) -> float:
    """Peak resident memory of a command in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", nargs="?", help="a CoNLL file, .gz too")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", metavar="MODEL", help="measure the memory of predict with this model instead")
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 4, 10], help="million lines of each file")
    arguments = parser.parse_args()
    if arguments.memory:
        bench_memory(arguments.memory, arguments.millions)
    else:
        bench_speed(arguments.path, arguments.rounds)


if __name__ == "__main__":
    main()
