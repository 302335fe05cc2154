"""Standard output as it is in the wild: unbuffered, slow, full."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")  # it makes the model

from small_models import random_sentences, save_small_model

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`tagger predict` on a file of some hundred kilobytes, far more than a pipe holds."""
    folder = tmp_path_factory.mktemp("console")
    save_small_model(folder / "model")
    lines = ["\n".join(tokens) + "\n" for tokens in random_sentences(3000)]
    (folder / "input").write_text("\n".join(lines))
    return [sys.executable, "-m", "tagger", "predict", str(folder / "input"), "--model", str(folder / "model")]


def environment(unbuffered: str) -> dict[str, str]:
    return os.environ | {"PYTHONUNBUFFERED": unbuffered}


@pytest.fixture(scope="module")
def expected(command: list[str]) -> bytes:
    return subprocess.run(command, capture_output=True, check=True, env=environment("")).stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_all_of_the_output_reaches_a_slow_reader_that_nobody_waits_for(
    command: list[str], expected: bytes, unbuffered: str
) -> None:
    assert len(expected) > 300_000
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with subprocess.Popen(command, stdout=write_end, stderr=subprocess.PIPE, env=environment(unbuffered)) as process:
        os.close(write_end)
        found = b""
        while block := os.read(read_end, 1 << 15):
            found += block
            time.sleep(0.005)
        os.close(read_end)
        assert process.stderr is not None
        errors = process.stderr.read().decode()
    assert process.returncode == 0, errors
    assert found == expected


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("kilobytes", [1, 100])
def test_a_file_that_cannot_grow_is_one_error(
    command: list[str], expected: bytes, tmp_path: Path, unbuffered: str, kilobytes: int
) -> None:
    limited = f"ulimit -f {kilobytes}; exec \"$@\" > '{tmp_path}/out'"
    done = subprocess.run(
        ["bash", "-c", limited, "-", *command], capture_output=True, text=True, check=False, env=environment(unbuffered)
    )
    assert done.returncode == 1, done.stderr
    model, error = done.stderr.splitlines()
    assert model.startswith("model: ")
    assert error == "error: standard output: File too large; make room or choose another place"
    written = (tmp_path / "out").read_bytes()
    assert written == expected[: len(written)]
