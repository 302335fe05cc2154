"""The process of one training among many: `python -m tagger.runs.worker`.

The first line of its standard input is the job. When standard input ends, because its parent asks it to stop or has
died, the training stops after a step and can be resumed; before its first step, the process ends at once. Standard
output has one JSON object a line, as `runs.messages` describes them. Everything else, TensorFlow's own messages among
it, goes to standard error.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from tagger.errors import DataError, TaggerError
from tagger.machine import peak_memory
from tagger.runs.job import Job, JobResult, checksum_of_model
from tagger.runs.messages import Ended, Failed, Message, Pretraining, Started, to_line
from tagger.runs.orphans import wait_for_orphan
from tagger.runs.plan import data_checksums


def main() -> None:
    """Train as the first line of standard input says."""
    code = 1
    try:
        _main()
        code = 0
    except BaseException:
        traceback.print_exc()  # into the log, of which the parent shows the end
    os._exit(code)  # the thread that waits for the end of standard input holds its lock


def _main() -> None:
    channel = _Channel(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # whatever a library prints must not come between the messages
    job = Job.from_line(sys.stdin.readline())
    threading.Thread(target=channel.wait_for_end, args=(sys.stdin,), daemon=True).start()
    try:
        channel.send(_train(job, channel.send, channel.stop))
    except TaggerError as error:
        channel.send(Failed(error.message, list(error.detail)))


class _Channel:
    """The connection with the parent.

    Args:
        out: receives the messages.

    Attributes:
        stop: set when the parent asks the training to stop, or is gone.
    """

    def __init__(self, out: TextIO) -> None:
        self._out, self._lock, self._begun = out, threading.Lock(), False
        self.stop = threading.Event()

    def send(self, message: Message) -> None:
        """Send a message."""
        with self._lock:
            self._begun = self._begun or isinstance(message, Pretraining | Started)
            self._write(message)

    def _write(self, message: Message) -> None:
        try:
            self._out.write(to_line(message))
            self._out.flush()
        except BrokenPipeError:  # the parent is gone
            self.stop.set()

    def wait_for_end(self, stream: TextIO) -> None:
        """Wait until the parent has closed a stream; end the process if the training has not begun.

        Loading TensorFlow and the data takes many seconds, but there is nothing to lose yet.
        """
        stream.read()
        self.stop.set()
        with self._lock:
            if not self._begun:
                self._write(Ended(None))
                os._exit(0)


def _train(job: Job, send: Callable[[Message], None], stop: threading.Event) -> Ended:
    wait_for_orphan(job.model_dir, stop.is_set)
    _require_same_data(job)
    # These import TensorFlow, which takes seconds.
    from tagger.runs.reporter import Reporter
    from tagger.training.replacing import Replacing
    from tagger.training.train import train

    since = time.monotonic()
    outcome = train(
        job.config,
        Reporter(send),
        device=job.device,
        resume=True,
        should_stop=stop.is_set,
        replacing=Replacing(config_file=None if job.config_file is None else Path(job.config_file), at_once=True),
        rows=job.rows,
        init=job.init,
    )
    if outcome.stopped or outcome.best is None:
        return Ended(None)
    result = JobResult(
        name=job.name,
        epoch=outcome.best.epoch,
        epochs=len(outcome.history),
        dev=outcome.best.dev,
        model=checksum_of_model(job.model_dir),
        seconds=round(time.monotonic() - since, 1),
        memory=peak_memory(),
    )
    return Ended(result.to_json())


def _require_same_data(job: Job) -> None:
    """Raise DataError if the data are not those that the parent has read: its rows would be other sentences."""
    now = data_checksums(job.config)
    for key, found in now.items():
        expected = (job.data or {}).get(key, found)
        if found != expected:
            raise DataError(
                f"{key}: has changed since the command began (found {found}, expected {expected}); change it back and"
                " give the same command with --resume, or start over with --force"
            )


if __name__ == "__main__":
    main()
