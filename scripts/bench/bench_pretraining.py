"""Compare the speed of `tagger pretrain` with the same language models in PyTorch.

    python scripts/bench/bench_pretraining.py                     # needs: pip install '.[bench]' in a clone of tagger
    python scripts/bench/bench_pretraining.py --units 256 --streams 32 --json bench.json

Words only, E = H. The contenders (pretraining_contenders.py) take turns; PyTorch's embedding is either dense, with one
Adam for all weights, or sparse, with SparseAdam. A token counts once, although both branches read it. Numbers are
medians of the rounds; a ratio is the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

from racing import Worker, machine, race, ratio

CONTENDERS = Path(__file__).with_name("pretraining_contenders.py")
RIVALS = ("pytorch-sparse", "pytorch-dense")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=256)
    parser.add_argument("--vocabulary", type=int, default=50_000)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--timed", type=int, default=40, help="steps of a turn")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = ("units", "vocabulary", "streams", "steps", "samples", "threads")
    spec = {name: getattr(arguments, name) for name in names}

    def run(name: str, worker: Worker, number: int) -> float:
        worker.ask(steps=5 if number else 10)  # warm up again after waiting for the others
        answer = worker.ask(steps=arguments.timed if number else 5)
        return float(answer["tokens"] / answer["seconds"])

    specs = {name: {**spec, "contender": name} for name in ("tagger", *RIVALS)}
    found = race(CONTENDERS, specs, run, rounds=arguments.rounds)
    for name, speeds in found.items():
        against = "" if name == "tagger" else f"  tagger is {ratio(found['tagger'], speeds):.2f} times as fast"
        print(f"{name:16} {statistics.median(speeds):10,.0f} tokens/s{against}")
    if arguments.json is not None:
        packages = ("tensorflow", "torch", "numpy")
        arguments.json.write_text(json.dumps({"machine": machine(packages), "spec": spec, "speeds": found}, indent=1))


if __name__ == "__main__":
    main()
