"""Measure the speed of reading and writing CoNLL alone.

    python scripts/bench/bench_io.py PATH [--rounds 5]

Prints how many tokens per second are read from PATH (any CoNLL file) and written back with one more column: the best
and the median of several rounds. For comparison, it also prints how much longer this takes than the lower bound, which
is to copy the same bytes line by line in Python.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from tagger.corpus.conll import read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", help="a CoNLL file, which may be .gz")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    bench_speed(arguments.path, arguments.rounds)


if __name__ == "__main__":
    main()
