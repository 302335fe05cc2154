"""Several processes that serve the same address; those that die are started again."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

from tagger.errors import TaggerError
from tagger.server.listening import drop_new, join
from tagger.server.metrics import SHARED_FOLDER, forget_process
from tagger.server.settings import Settings

READY, FAILED = "ready", "failed"  # the words of a worker; its module imports all that serves, which is of no use here
_LOOK_SECONDS = 0.2  # between two looks at the workers
_LONGEST_PAUSE = 30.0  # seconds until a worker that dies again and again is started again


@dataclasses.dataclass
class _Worker:
    """A worker and its restarts.

    Attributes:
        process: its process.
        listener: its socket.
        since: when it was started, as `time.monotonic` gives it.
        pause: the seconds between its end and its next start.
        again_at: when it is started again, if it has ended.
    """

    process: subprocess.Popen[str]
    listener: socket.socket
    since: float
    pause: float = 0.5
    again_at: float | None = None


def supervise(
    settings: Settings,
    sockets: list[socket.socket],
    log: Callable[[str], None],
    started: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Serve with several processes until `stop` is set.

    Args:
        settings: the settings.
        sockets: a bound socket for each worker, or one for all.
        log: called with a line for the log.
        started: called when all workers accept requests.
        stop: set when the server is to stop.

    Raises:
        TaggerError: the workers cannot start, because a model cannot be loaded.
    """
    with _shared_metrics(), contextlib.ExitStack() as stack:
        workers = [
            _Worker(_started(settings, listener), listener, time.monotonic())
            for listener in (sockets * settings.workers)[: settings.workers]
        ]
        stack.callback(_stop, workers, settings.limits.grace_seconds)
        for worker in workers:
            _wait_until_ready(worker.process)
        started()
        while not stop.wait(_LOOK_SECONDS):
            for i, worker in enumerate(workers):
                if worker.process.poll() is None:
                    continue
                if worker.again_at is None:
                    _note_end(worker, settings, [one for one in workers if one.process.poll() is None], log)
                elif time.monotonic() >= worker.again_at:
                    workers[i] = _restarted(worker, settings)


@contextlib.contextmanager
def _shared_metrics() -> Iterator[None]:
    """Give the workers a folder in which they count together."""
    with tempfile.TemporaryDirectory(prefix="tagger-metrics-") as folder:
        os.environ[SHARED_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[SHARED_FOLDER]


def _started(settings: Settings, listener: socket.socket) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tagger.server.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        pass_fds=[listener.fileno()],
        start_new_session=True,  # so that Ctrl-C reaches the parent alone
    )
    assert process.stdin is not None  # noqa: S101 (asked for above)
    with contextlib.suppress(BrokenPipeError):  # it has died, which its exit code will say
        process.stdin.write(json.dumps({"settings": settings.to_json(), "listener": listener.fileno()}) + "\n")
        process.stdin.flush()
    return process


def _wait_until_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None  # noqa: S101 (asked for in _started)
    line = process.stdout.readline()
    if not line:
        raise TaggerError(f"--workers: a worker ended with the exit code {process.wait()} before it could serve")
    word, *lines = json.loads(line)
    if word != READY:
        raise TaggerError(lines[0], detail=lines[1:])


def _note_end(worker: _Worker, settings: Settings, running: list[_Worker], log: Callable[[str], None]) -> None:
    """Decide when to start a worker again: after a pause that grows while workers die soon."""
    forget_process(worker.process.pid)
    assert worker.process.stdout is not None  # noqa: S101 (asked for in _started)
    for line in worker.process.stdout:  # a worker that was started again says there why it cannot serve
        word, *lines = json.loads(line)
        if word != READY:
            log(f"error: {lines[0]}")
            if running and running[0].listener is not worker.listener:
                # Connections would wait in its queue for as long as it cannot serve; now the others get them.
                worker.listener.close()
                worker.listener = join(settings, running[0].listener)
    if time.monotonic() - worker.since > _LONGEST_PAUSE:
        worker.pause = 0.5
    worker.again_at = time.monotonic() + worker.pause
    log(
        f"warning: a worker ended with the exit code {worker.process.returncode}; it is started again in"
        f" {worker.pause:g} seconds"
    )


def _restarted(worker: _Worker, settings: Settings) -> _Worker:
    process = _started(settings, worker.listener)
    return _Worker(process, worker.listener, time.monotonic(), min(_LONGEST_PAUSE, 2 * worker.pause))


def _stop(workers: list[_Worker], grace_seconds: float) -> None:
    """Ask all workers to stop, and wait until they have."""
    for worker in workers:  # before a worker empties its queue, which this process shares
        drop_new(worker.listener)
        worker.listener.close()
    for worker in workers:
        assert worker.process.stdin is not None  # noqa: S101 (asked for in _started)
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()
    deadline = time.monotonic() + grace_seconds + 5
    for worker in workers:
        try:
            worker.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
        assert worker.process.stdout is not None  # noqa: S101 (asked for in _started)
        worker.process.stdout.close()
