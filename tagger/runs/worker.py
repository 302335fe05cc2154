"""The process of one training among many: `python -m tagger.runs.worker`.

The first line of its standard input is the job. When standard input ends, because its parent asks it to stop or has
died, the training stops after a step and can be resumed. Standard output has one JSON object a line, as
`runs.messages` describes them. Everything else, TensorFlow's own messages among it, goes to standard error.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from tagger.errors import ModelError, TaggerError
from tagger.runs.job import Job, JobResult, checksum_of_model
from tagger.runs.messages import Ended, Failed, Message, to_line
from tagger.training.checkpoints import Checkpoints

_PATIENCE = 120  # seconds until the same training, whose parent was killed, must have stopped


def main() -> None:
    """Train as the first line of standard input says."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not come between the messages
    job = Job.from_line(sys.stdin.readline())
    stop = threading.Event()
    threading.Thread(target=_wait_for_end, args=(sys.stdin, stop), daemon=True).start()

    def send(message: Message) -> None:
        try:
            out.write(to_line(message))
            out.flush()
        except BrokenPipeError:  # the parent is gone
            stop.set()

    try:
        send(_train(job, send, stop))
    except TaggerError as error:
        send(Failed(error.message, list(error.detail)))
    out.flush()
    os._exit(0)  # the thread that waits for the end of standard input holds its lock


def _wait_for_end(stream: TextIO, stop: threading.Event) -> None:
    stream.read()
    stop.set()


def _train(job: Job, send: Callable[[Message], None], stop: threading.Event) -> Ended:
    _wait_for_orphan(job, stop)
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


def _wait_for_orphan(job: Job, stop: threading.Event) -> None:
    """Wait for the same training of a parent that was killed: it stops after its step.

    Raises:
        ModelError: it does not.
    """
    until = time.monotonic() + _PATIENCE
    while not stop.is_set():
        try:
            with Checkpoints(job.model_dir).lock():
                return
        except ModelError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
