"""Run many trainings, several at once, each in a process and a directory of its own; continue what was interrupted.

In the directory of all of them, a training NAME has its model in NAME/, what it needs to continue in NAME.training/,
its messages in NAME.log and, once it is finished, its result in NAME.json.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tagger.atomic import write_atomically
from tagger.config.keys import Config
from tagger.errors import ConfigError, TaggerError
from tagger.machine import available_memory
from tagger.runs.job import Job, JobResult, checksum_of_model
from tagger.runs.messages import Ended, Failed, Message, Told, from_line
from tagger.runs.resources import Resources, share_out

# -P: a folder of the user that is called tagger must not be imported.
WORKER = (sys.executable, "-P", "-m", "tagger.runs.worker")
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_TICK = 0.2  # seconds between two looks whether to stop
_LAST_LINES = 5  # of a log that an error shows


class Watcher(Protocol):
    """An object that is told what happens in many trainings, and shows it."""

    def begin(self, names: Sequence[str], done: Sequence[JobResult], resources: Resources) -> None:
        """Report the trainings in all, and those that were finished before."""

    def hear(self, name: str, message: Message) -> None:
        """Report a message of a training."""

    def finish(self, result: JobResult) -> None:
        """Report that a training is finished."""


Heard = queue.Queue[tuple[str, Message | None]]


class Training(Protocol):
    """A training that runs somewhere; its messages come through a queue, and None when there are no more.

    Attributes:
        job: its job.
        ended: whether it has sent its last message, which the one who reads the queue notes here.
    """

    job: Job
    ended: bool

    def stop(self) -> None:
        """Ask it to stop after its next step."""

    def kill(self) -> None:
        """End it at once."""

    def close(self) -> None:
        """Wait for its end."""

    def write_log(self, message: Told) -> None:
        """Keep a note or a warning."""

    def error(self) -> TaggerError:
        """Return the error for a training that ended without a result."""


class Machines(Protocol):
    """The place where trainings run: this machine, or the machines of a cluster."""

    def share_out(self, config: Config, n_jobs: int, *, at_once: int | None, device: str) -> Resources:
        """Divide what is there among trainings, as `resources.share_out` does."""

    def free_memory(self) -> int | None:
        """Return the bytes of memory that one more training could have; None if that is unknown."""

    def start(self, job: Job, log: Path, heard: Heard) -> Training:
        """Start a training.

        Args:
            log: the file that receives whatever else it prints.
            heard: receives the name with each message, and with None when there are no more.
        """


class _Process:
    """The process of a training on this machine, a `Training`.

    Args:
        job, log, heard: as in `Machines.start`.
        worker: its command.
    """

    def __init__(self, job: Job, log: Path, heard: Heard, worker: Sequence[str]) -> None:
        self.job, self.ended, self._log = job, False, log
        self._file = log.open("ab", buffering=0)  # so that closing it cannot fail on a full disk
        self._process = subprocess.Popen(
            worker,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._file,
            env=worker_environment(),
            # Ctrl-C in a terminal reaches the parent only, which decides; the second is for Windows.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self._in, self._out = self._process.stdin, self._process.stdout
        with contextlib.suppress(BrokenPipeError):  # it ended at once; its log says why
            self._in.write(job.to_line().encode())
            self._in.flush()
        threading.Thread(target=self._read, args=(heard,), daemon=True).start()

    def _read(self, heard: Heard) -> None:
        for line in self._out:
            with contextlib.suppress(ValueError):  # the last line of a process that was killed may be cut
                heard.put((self.job.name, from_line(line.decode())))
        self._out.close()
        heard.put((self.job.name, None))

    def stop(self) -> None:
        """Ask it to stop after its next step."""
        with contextlib.suppress(BrokenPipeError):
            self._in.close()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self.close()

    def close(self) -> None:
        """Wait for its end."""
        self._process.wait()
        self.stop()
        self._file.close()

    def write_log(self, message: Told) -> None:
        """Keep a note or a warning."""
        text = f"{'warning: ' if message.is_warning else ''}{message.text}\n"
        with contextlib.suppress(OSError):  # the training goes on; if it cannot write either, it says so
            self._file.write(text.encode(errors="replace"))

    def error(self) -> TaggerError:
        """Return the error for a process that ended without a result."""
        return error_of_end(self.job.name, self._process.returncode, self._log)


def error_of_end(name: str, code: int, log: Path) -> TaggerError:
    """Return the error for the process of a training that ended without a result, with the end of its log."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    remedy = (
        "the system ends the process that takes the most memory when there is too little; give the same command"
        " with --resume and a lower --jobs"
        if how == "signal SIGKILL"
        else "see its log, then give the same command with --resume"
    )
    lines = log.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:]
    return TaggerError(
        f"{name}: the process ended with {how}, expected a result: {remedy}",
        detail=[f"{log}: {line}" for line in lines],
    )


def worker_environment() -> dict[str, str]:
    """Return the environment of a process that trains, which finds this tagger."""
    path = [*filter(None, [os.environ.get("PYTHONPATH")]), str(_PACKAGE_ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


class ThisMachine:
    """This machine, as `Machines`: each training is a process.

    Args:
        worker: the command of a process that trains, as `runs.worker` does.
    """

    def __init__(self, worker: Sequence[str] = WORKER) -> None:
        self._worker = worker

    def share_out(self, config: Config, n_jobs: int, *, at_once: int | None, device: str) -> Resources:
        return share_out(config, n_jobs, at_once=at_once, device=device)

    def free_memory(self) -> int | None:
        return available_memory()

    def start(self, job: Job, log: Path, heard: Heard) -> Training:
        return _Process(job, log, heard, self._worker)


def run_all(
    jobs: Sequence[Job],
    directory: Path,
    resources: Resources,
    watcher: Watcher,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    on_result: Callable[[JobResult], None] = lambda result: None,
    worker: Sequence[str] = WORKER,
    machines: Machines | None = None,
) -> list[JobResult]:
    """Run trainings, and return their results in the order of the jobs; fewer if it was stopped.

    Args:
        directory: the directory of all of them; what is finished there is not run again.
        should_stop: asked several times a second; the trainings then stop after a step.
        on_result: called with each result once it is on disk.
        worker: the command of a process that trains, as `runs.worker` does.
        machines: where they run; None for processes of this machine.

    Raises:
        TaggerError: a training failed; the others are stopped first, and can be continued.
    """
    refuse_cluster(os.environ)
    done = {job.name: result for job in jobs if (result := stored_result(job, directory)) is not None}
    watcher.begin([job.name for job in jobs], list(done.values()), resources)
    for result in done.values():
        on_result(result)
    waiting = [job for job in jobs if job.name not in done]
    machines = machines or ThisMachine(worker)
    pool = Pool(resources, watcher, lambda job: directory / f"{job.name}.log", option="--runs", machines=machines)
    with contextlib.closing(pool):
        for result in pool.results(waiting, should_stop):
            write_atomically(directory / f"{result.name}.json", json.dumps(result.to_json()).encode() + b"\n")
            done[result.name] = result
            watcher.finish(result)
            on_result(result)
    return [done[job.name] for job in jobs if job.name in done]


def refuse_cluster(environment: Mapping[str, str]) -> None:
    """Raise ConfigError if TF_CONFIG names several workers: each training would wait for processes of its own there."""
    try:
        n = sum(map(len, json.loads(environment.get("TF_CONFIG") or "{}").get("cluster", {}).values()))
    except (ValueError, TypeError, AttributeError):
        return  # the trainings say what is wrong with it
    if n > 1:
        raise ConfigError(
            "TF_CONFIG: found several workers, expected one: many trainings run on one machine; unset it and give the"
            " same command again"
        )


def stored_result(job: Job, directory: Path) -> JobResult | None:
    """Return the result of a finished training whose model is still there, or None."""
    try:
        result = JobResult.from_json(json.loads((directory / f"{job.name}.json").read_bytes()))
    except (OSError, ValueError, TypeError, LookupError):
        return None
    return result if result.model == checksum_of_model(job.model_dir) else None


class Pool:
    """The processes that run at the moment.

    Args:
        log_of: returns the file for whatever a training prints.
        worker: the command of a process that trains.
        option: the option that says where the models are, for messages.
        machines: where they run; None for processes of this machine.
        tolerate: called with a training that failed and its error; whether the others continue nevertheless.
    """

    def __init__(
        self,
        resources: Resources,
        watcher: Watcher,
        log_of: Callable[[Job], Path],
        worker: Sequence[str] = WORKER,
        *,
        option: str = "--model",
        machines: Machines | None = None,
        tolerate: Callable[[Job, TaggerError], bool] = lambda job, error: False,
    ) -> None:
        self._resources, self._watcher, self._log_of = resources, watcher, log_of
        self._machines: Machines = machines or ThisMachine(worker)
        self._option, self._tolerate = option, tolerate
        self._running: dict[str, Training] = {}
        self._heard: Heard = queue.Queue()
        self._need = resources.memory
        self._error: TaggerError | None = None

    def results(self, jobs: Iterable[Job], should_stop: Callable[[], bool]) -> Iterator[JobResult]:
        """Run jobs and yield their results as they come; those that are stopped have none.

        Args:
            jobs: the jobs; the next one is asked for when there is room for it.

        Raises:
            TaggerError: a training failed; it is raised when the others have stopped.
        """
        waiting, stopping = iter(jobs), False
        while True:
            if not stopping and (self._error is not None or should_stop()):
                stopping = True
                for process in self._running.values():
                    process.stop()
            while not stopping and self._has_room() and (job := next(waiting, None)) is not None:
                self._start(job)
            if not self._running:
                break
            with contextlib.suppress(queue.Empty):
                result = self._take(*self._heard.get(timeout=_TICK))
                if result is not None:
                    self._need = max(self._need, result.memory)
                    yield result
        if self._error is not None:
            raise self._error

    def stop(self, name: str) -> None:
        """Ask one training to stop after its next step; it has no result, unless it is at its end."""
        self._running[name].stop()

    def is_running(self, name: str) -> bool:
        """Return whether the process of a training has not ended yet."""
        return name in self._running

    def _has_room(self) -> bool:
        if not self._running:
            return True
        free = self._machines.free_memory()
        return len(self._running) < self._resources.n_at_once and (free is None or free >= self._need)

    def _start(self, job: Job) -> None:
        job.model_dir.parent.mkdir(parents=True, exist_ok=True)
        self._running[job.name] = self._machines.start(job, self._log_of(job), self._heard)

    def _take(self, name: str, message: Message | None) -> JobResult | None:
        process = self._running[name]
        if message is None:
            process.close()
            del self._running[name]
            if not process.ended:
                self._fail(process.job, process.error())
            return None
        if isinstance(message, Told):
            process.write_log(message)
        self._watcher.hear(name, message)
        if isinstance(message, Failed):
            process.ended = True
            # A training knows only its own place, which is not what the user has named here.
            text = message.message.replace("with --model", f"with {self._option}")
            self._fail(process.job, TaggerError(f"{name}: {text}", detail=message.detail))
        if isinstance(message, Ended):
            process.ended = True
            return None if message.result is None else JobResult.from_json(message.result)
        return None

    def _fail(self, job: Job, error: TaggerError) -> None:
        if self._error is None and not self._tolerate(job, error):
            self._error = error

    def close(self) -> None:
        """End all processes at once; after the end of `results` there are none."""
        for process in self._running.values():
            process.kill()
