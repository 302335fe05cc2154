"""Write the cumulative-sum corpus: number sequences whose tag changes from 0 to 1 at a running sum.

It is the smallest task for which a tagger needs a memory. The tokens are numbers in [0, 1), and the
tag is `1` from the token at which the running sum exceeds a quarter of the sequence's length. No tag
depends on later tokens, so reading forward is enough: an error of a tagger shows a lack of memory or
of training, not a lack of context.

All sums are computed in hundredths, as integers. A running sum of floats such as 0.1 + 0.2 could end
up on either side of the threshold, and a wrong tag in the data would look like an error of the tagger.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tags(hundredths: Sequence[int]) -> list[str]:
    """Return the tag of each number; the numbers are given in hundredths."""
    total = 0
    result: list[str] = []
    for number in hundredths:
        total += number
        # total / 100 > length / 4, with both sides multiplied by 400.
        result.append("1" if 4 * total > 100 * len(hundredths) else "0")
    return result


def make_file(rng: random.Random, sequences: int, length: int) -> str:
    """Draw one file: a token, a tab and a tag on each line, and an empty line after each sequence."""
    lines: list[str] = []
    for _ in range(sequences):
        # `random()` is the only method whose sequence Python promises to keep for a given seed.
        numbers = [int(rng.random() * 100) for _ in range(length)]
        lines.extend(f"0.{number:02d}\t{tag}\n" for number, tag in zip(numbers, tags(numbers), strict=True))
        lines.append("\n")
    return "".join(lines)


def positive(text: str) -> int:
    """Read a size; an empty file or an empty sequence would be useless."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, expected at least 1")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """Write train.conll, dev.conll and test.conll to the requested folder."""
    parser = argparse.ArgumentParser(description="Write the cumulative-sum corpus.")
    parser.add_argument("--out", type=Path, default=ROOT / "data" / "cumulative_sum", help="folder to write to")
    parser.add_argument("--sentences", type=positive, default=5000, help="sequences in train (default 5000)")
    parser.add_argument("--dev", type=positive, help="sequences in dev (default: a tenth of train)")
    parser.add_argument("--test", type=positive, help="sequences in test (default: a fifth of train)")
    parser.add_argument("--length", type=positive, default=10, help="numbers in a sequence (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same bytes (default 1)")
    options = parser.parse_args(arguments)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    sizes: dict[str, int] = {
        "train": options.sentences,
        "dev": options.dev or max(1, options.sentences // 10),
        "test": options.test or max(1, options.sentences // 5),
    }
    rng = random.Random(options.seed)
    for name, size in sizes.items():
        text = make_file(rng, size, options.length)
        (out / f"{name}.conll").write_text(text, encoding="utf-8", newline="\n")
        print(f"{out / name}.conll: {size} sequences, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
