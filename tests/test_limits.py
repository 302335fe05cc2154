"""Extremely long tokens, lines, sentences and files are tagged quickly in bounded memory."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from small_models import save_small_model

pytestmark = pytest.mark.tensorflow

_MOST_MB = 400  # Python and ONNX Runtime alone take about 70
# A small process starts the command, which would otherwise be charged with the memory of this process and TensorFlow.
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("limits") / "model", characters="cnn", casing=True, decoder="crf")


def tagged(model: Path, pieces: Iterable[bytes]) -> tuple[int, int, int]:
    """Return the exit code, the number of written lines and the peak megabytes of `tagger predict` on a stream."""
    command = [sys.executable, "-m", "tagger", "predict", "--model", str(model)]
    process = subprocess.Popen(
        [sys.executable, "-c", _MEASURE, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    n_lines = 0

    def count() -> None:
        nonlocal n_lines
        while block := process.stdout.read(1 << 16):  # type: ignore[union-attr]
            n_lines += block.count(b"\n")

    reader = threading.Thread(target=count)
    reader.start()
    for piece in pieces:
        process.stdin.write(piece)  # type: ignore[union-attr]
    process.stdin.close()  # type: ignore[union-attr]
    reader.join()
    process.stdin = None  # otherwise `communicate` would flush the closed stream
    _, errors = process.communicate()
    return process.returncode, n_lines, int(errors.splitlines()[-1]) // 1024


@pytest.mark.parametrize(
    ("pieces", "n_lines"),
    [
        ([b"w1 ", b"x" * 1_000_000, b"\n", b"y" * 1_000_000, b" O\n\n"], 3),
        ([b"w1 O\n", b"col " * 1_000_000, b"x" * 20_000_000, b"\n\nw2 O\n"], 4),
        ([b"w1 O\n"] * 300_000, 300_000),
        ([b"\n"] * 300_000, 300_000),
        ([f"new{i} O\n\n".encode() for i in range(100_000)], 200_000),
        ([b"-DOCSTART- O\n"] * 100_000, 100_000),
    ],
    ids=["long tokens", "long line", "no blank line", "only blank lines", "all unknown", "only documents"],
)
def test_extremely_long_input_is_tagged_in_bounded_memory(model: Path, pieces: list[bytes], n_lines: int) -> None:
    code, n_written, megabytes = tagged(model, pieces)
    assert (code, n_written) == (0, n_lines)
    assert megabytes < _MOST_MB
