"""Measure what the probabilities of spans cost: the time to tag a file with them, as a ratio to the time without.

    python scripts/bench/bench_spans.py models/sample data/sample/test.conll

The two are timed in turns, so that a busy machine slows both; the ratio is that of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from tagger.corpus.conll import read_sentences
from tagger.corpus.lines import open_corpus
from tagger.prediction.onnx_session import load_predictor

ROUNDS = 7
KINDS = {
    "tags": {"probabilities": False},
    "tags and their probabilities": {"probabilities": True},
    "with the probabilities of spans": {"probabilities": True, "spans": True},
    "with the 5 likeliest sequences": {"probabilities": True, "spans": True, "n_best": 5},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("file")
    parser.add_argument("--sentences", type=int, default=10_000, help="the file is repeated up to this number")
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    predictor = load_predictor(arguments.model, threads=arguments.threads)
    with open_corpus(arguments.file) as stream:
        found = [one.tokens for one in read_sentences(stream, predictor.model.manifest.layout) if one.tokens]
    tokens = (found * -(-arguments.sentences // len(found)))[: arguments.sentences]
    n_tokens = sum(map(len, tokens))
    times: dict[str, list[float]] = {name: [] for name in KINDS}
    for _ in range(ROUNDS):
        for name, options in KINDS.items():
            start = time.perf_counter()
            predictor.tag(tokens, **options)
            times[name].append(time.perf_counter() - start)
    first = statistics.median(times["tags"])
    print(f"{len(tokens)} sentences, {n_tokens} tokens, {len(predictor.model.tags)} tags of the network")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:34} {n_tokens / median:10,.0f} tokens/s  {median / first:.2f} times the time")


if __name__ == "__main__":
    main()
