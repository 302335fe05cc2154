"""Check how the process of a training ends, without a training."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import ROOT

from tagger.config.keys import Config, DataConfig
from tagger.config.loading import with_model_dir
from tagger.runs.job import Job
from tagger.runs.messages import Ended, Failed, Message, Pretraining, Started, from_line
from tagger.runs.plan import data_checksums

# The worker with a module in the place of the training, which imports TensorFlow.
SCRIPT = """
import sys, time, types
from tagger.runs import worker
def training(*_, **__):
    {body}
sys.modules["tagger.training.train"] = types.SimpleNamespace(train=training)
worker.main()
"""


def run(
    tmp_path: Path, body: str, *, ends: str, reads: bool = True, data: dict[str, str] | None = None
) -> tuple[list[Message], list[str], int]:
    """Return the messages of a worker, the lines of its log, and its exit code.

    Args:
        body: the training.
        ends: when standard input ends, as it does when the parent stops the training or is gone: `at once`, `after` the
            first message, or `never`.
        data: the checksums of the data that the parent has read.
        reads: whether somebody reads the messages.
    """
    config = with_model_dir(Config(data=DataConfig(train=str(tmp_path / "train"))), tmp_path / "model")
    log, out = tmp_path / "log", tmp_path / "out"
    reader, writer = os.pipe()
    os.write(writer, Job("a", config, data=data).to_line().encode())
    if ends == "at once":
        os.close(writer)
    unread, closed = os.pipe()
    os.close(unread)
    with log.open("wb") as errors, out.open("wb") as messages:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(body=body)],
            stdin=reader, stdout=messages if reads else closed, stderr=errors,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        if ends == "after":
            until = time.monotonic() + 60
            while not out.read_bytes():
                assert time.monotonic() < until
                time.sleep(0.01)
            os.close(writer)
        code = process.wait(60)
    finally:
        process.kill()
        process.wait()
        for descriptor in (reader, closed, *([writer] if ends == "never" else [])):
            os.close(descriptor)
    return [from_line(line) for line in out.read_text().splitlines()], log.read_text().splitlines(), code


def test_a_training_that_has_not_begun_is_stopped_at_once(tmp_path: Path) -> None:
    # As if TensorFlow were loaded, or the data read.
    assert run(tmp_path, "time.sleep(600)", ends="at once") == ([Ended(None)], [], 0)


@pytest.mark.parametrize("body", ["time.sleep(600)", "raise worker.TaggerError('nothing to train on')"])
def test_a_training_whose_parent_is_gone_ends_without_a_word(tmp_path: Path, body: str) -> None:
    assert run(tmp_path, body, ends="at once", reads=False) == ([], [], 0)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("begin(types.SimpleNamespace(history=[], epochs=3))", Started(3, 0, None)),
        ("pretraining_step(types.SimpleNamespace(n_done=1, n_steps=4))", Pretraining(0.25)),
    ],
)
def test_a_training_that_has_begun_decides_when_to_stop(tmp_path: Path, event: str, message: Message) -> None:
    body = (
        f"_[1].{event}; stop = __['should_stop']\n"
        "    while not stop(): time.sleep(0.01)\n"
        "    time.sleep(0.3); return types.SimpleNamespace(stopped=True)"
    )
    assert run(tmp_path, body, ends="after") == ([message, Ended(None)], [], 0)


@pytest.mark.parametrize("reads", [True, False])
def test_the_log_of_an_unexpected_error_ends_with_it(tmp_path: Path, reads: bool) -> None:
    sent, log, code = run(tmp_path, "raise ValueError('no such luck')", ends="never", reads=reads)
    assert (sent, log[-1], code) == ([], "ValueError: no such luck", 1)


def test_other_data_than_the_parent_has_read_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a O\n")
    data = data_checksums(Config(data=DataConfig(train=str(tmp_path / "train"))))
    (tmp_path / "train").write_text("b O\n")
    ((message,), log, code) = run(tmp_path, "return 1 / 0", ends="never", data=data)
    assert isinstance(message, Failed)
    assert message.message.startswith("data.train: has changed since the command began (found SHA-256 ")
    assert (log, code) == ([], 0)


def test_states_that_cannot_be_written_are_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "model.training").touch()
    ((message,), log, code) = run(tmp_path, "return 1 / 0", ends="never")
    assert isinstance(message, Failed)
    assert "model.training: a file or a link is in the way" in message.message
    assert (log, code) == ([], 0)
