"""Measure the report of a model after loading: the seconds that it takes and the size of the page.

    python scripts/bench/bench_report.py models/sample data/sample/test.conll

The file is repeated up to 50,000 tokens. Loading the model and the libraries is not counted; tagging is. On a busy
machine, the seconds that all cores have worked for it say more than those that have passed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tagger.prediction.onnx_session import load_predictor
from tagger.report.build import Side, make_report, read_training
from tagger.report.charts import require_libraries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("--tokens", type=int, default=50_000)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    require_libraries()
    predictor = load_predictor(arguments.model, threads=arguments.threads)
    side = Side(str(arguments.model), predictor, predictor.model.manifest.layout)
    blocks = [block for block in arguments.file.read_text("utf-8").split("\n\n") if block.strip()]
    n_tokens, chosen = 0, list[str]()
    while n_tokens < arguments.tokens:
        block = blocks[len(chosen) % len(blocks)].strip("\n")
        chosen.append(block)
        n_tokens += block.count("\n") + 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gold.conll"
        path.write_text("\n\n".join(chosen) + "\n", "utf-8")
        training = read_training(predictor, (), lambda text: print(text, file=sys.stderr))
        start, worked = time.perf_counter(), time.process_time()
        page = make_report(side, [str(path)], training, note=lambda _: None, warn=lambda _: None)
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
    size = f"{n_tokens:,} tokens, {len(chosen):,} sentences"
    print(f"{size}: {seconds:.1f} seconds ({worked:.1f} of all cores together), {len(page) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
