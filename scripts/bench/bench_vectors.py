"""Measure how much memory the preparation of a training with pretrained vectors takes, relative to their table.

    python scripts/bench/bench_vectors.py --vectors 200000 --size 300

It writes random vectors as text, packed text and arrays, and prepares a training with each in a process of its own: the
vectors are read and matched with the tokens of a small corpus, and the initial values of the embedding are found.
The table is the N x E numbers of 32 bits. `resident` is the growth of the memory that the system counts, pages of a
mapped file included; `traced` is the memory that Python and NumPy ask for, measured in another process.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

FORMS = {"v.txt": "text", "v.txt.gz": "packed text", "a32.npy": "array, 32 bits", "a64.npy": "array, 64 bits"}
_BLOCK = 10_000


def write_vectors(folder: Path, n: int, size: int) -> None:
    rng = np.random.default_rng(1)
    table = np.lib.format.open_memmap(folder / "a32.npy", "w+", np.float32, (n, size))
    with (folder / "v.txt").open("w") as text, gzip.open(folder / "v.txt.gz", "wt", compresslevel=1) as packed:
        for start in range(0, n, _BLOCK):
            block = rng.normal(scale=0.3, size=(min(_BLOCK, n - start), size)).astype(np.float32).round(4)
            table[start : start + _BLOCK] = block
            for i, row in enumerate(block.tolist(), start):
                line = f"token{i} {' '.join(f'{number:.4f}' for number in row)}\n"
                text.write(line)
                packed.write(line)
    np.save(folder / "a64.npy", table.astype(np.float64))
    for name in ("a32.vocab", "a64.vocab"):
        (folder / name).write_text("".join(f"token{i}\n" for i in range(n)))
    (folder / "train").write_text("".join(f"token{i} O\nunknown{i} B-X\n\n" for i in range(0, 3000, 3)))
    (folder / "c.yaml").write_text("data: {train: train, dev: null}\n")


def measure(folder: Path, name: str, *, traced: bool) -> int:
    """Prepare a training in this process, and return the bytes by which its memory grew at most."""
    from tagger.config.loading import load_config
    from tagger.training.preparation import prepare

    config = load_config(folder / "c.yaml")
    prepare(config, note=str, warn=str)  # loads the libraries
    config = load_config(folder / "c.yaml", [f"embeddings.path={folder / name}"])
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    if traced:
        tracemalloc.start()
    prepared = prepare(config, note=str, warn=str)
    assert prepared.vectors is not None
    return tracemalloc.get_traced_memory()[1] if traced else status("VmHWM") - before


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{key}:")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "NAME", "HOW"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        folder, name, how = arguments.one
        print(measure(Path(folder), name, traced=how == "traced"))
        return
    table = 4 * arguments.vectors * arguments.size
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(Path(folder), arguments.vectors, arguments.size)
        print(f"{arguments.vectors:,} x {arguments.size}: a table of {table / 1e6:.0f} MB", flush=True)
        for name, form in FORMS.items():
            ratios = []
            for how in ("resident", "traced"):
                command = [sys.executable, __file__, "--one", folder, name, how]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                ratios.append(f"{how} {int(done.stdout) / table:.2f}")
            print(f"{form:15} {', '.join(ratios)} times the table", flush=True)


if __name__ == "__main__":
    main()
