"""Standard output under real conditions (unbuffered, a slow reader, a full disk), and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")  # needed to make the model

from small_models import random_sentences, save_small_model

from tagger.cli import console

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return a `tagger predict` command whose output is some hundred kilobytes, far more than a pipe can hold."""
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
def test_a_slow_reader_of_a_nonblocking_pipe_gets_all_of_the_output(
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
def test_a_file_that_cannot_grow_is_reported_as_one_error(
    command: list[str], expected: bytes, tmp_path: Path, unbuffered: str, kilobytes: int
) -> None:
    limited = f"ulimit -f {kilobytes}; exec \"$@\" > '{tmp_path}/out'"
    done = subprocess.run(
        ["bash", "-c", limited, "-", *command], capture_output=True, text=True, check=False, env=environment(unbuffered)
    )
    assert done.returncode == 1, done.stderr
    model, error = done.stderr.splitlines()
    assert model.startswith("model: ")
    assert error == "error: standard output: File too large; free some space or choose another place"
    written = (tmp_path / "out").read_bytes()
    assert written == expected[: len(written)]


# --- Signals while training runs ------------------------------------------------------------------------------------------


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Record the exit codes with which the process would have exited immediately."""
    codes: list[int] = []
    monkeypatch.setattr(console, "_leave", codes.append)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job starts with SIGINT ignored
    yield codes
    signal.signal(signal.SIGINT, before)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_the_first_request_to_stop_waits_for_the_step_and_the_second_does_not_wait(left: list[int]) -> None:
    with console.StopRequest() as stop:
        stop.begin()
        assert not stop.requested()
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(stop.requested)
        assert (stop.exit_code, left) == (143, [])
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(lambda: left == [130])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)


def test_the_first_request_exits_immediately_when_nothing_can_be_lost(left: list[int]) -> None:
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with console.StopRequest():
            os.kill(os.getpid(), number)
            wait_for(lambda code=code: left == [code])
        left.clear()
    before = signal.signal(signal.SIGTERM, console._terminate)
    with console.leaving_at_once():
        os.kill(os.getpid(), signal.SIGINT)
        wait_for(lambda: left == [130])
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: left == [130, 143])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.signal(signal.SIGTERM, before) is console._terminate
