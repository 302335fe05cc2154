"""The machines of a Ray cluster for the runner of many trainings.

Each training is the process that it would be on one machine (`runs.worker`). An actor of Ray starts it on some machine,
and hands its messages on. All files are read and written there, so the machines must share them under the same paths.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
import ray.exceptions

from tagger.config.keys import Config
from tagger.errors import TaggerError
from tagger.runs.job import Job
from tagger.runs.messages import Ended, Told, from_line
from tagger.runs.resources import Resources, expected_memory
from tagger.runs.runner import WORKER, Heard, Training, error_of_end, worker_environment

_ARGUMENTS = WORKER[1:]  # each machine has a Python of its own
TRIES = 3  # machines that may be lost under a training
_LOST = (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)


class _Host:
    """The actor that has the process of a training; calls come from two threads."""

    def __init__(self) -> None:
        self._lock, self._stopped = threading.Lock(), False
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, job: str, log: str, folder: str, arguments: Sequence[str], environment: dict[str, str | None]
    ) -> None:
        """Start the process in a folder, and send it its job.

        Args:
            environment: variables that it has; None for one that it does not have.
        """
        together = {**worker_environment(), **environment}
        with Path(log).open("ab", buffering=0) as file, self._lock:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                cwd=folder,
                env={name: value for name, value in together.items() if value is not None},
                start_new_session=True,  # Ctrl-C in a terminal reaches the command only, which decides
            )
            with contextlib.suppress(BrokenPipeError):  # it ended at once; its log says why
                if self._process.stdin is not None:
                    self._process.stdin.write(job.encode())
                    self._process.stdin.flush()
            if self._stopped:
                self._close_input()

    def next_line(self) -> str | int:
        """Return the next line of standard output, or the exit code."""
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("found no process")
        line = self._process.stdout.readline()
        return line.decode() if line else self._process.wait()

    def stop(self) -> None:
        """Ask the process to stop, by the end of its standard input."""
        with self._lock:
            self._stopped = True
            self._close_input()

    def _close_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()


class _RemoteTraining:
    """A training on a machine of the cluster, a `runner.Training`; it is continued elsewhere if its machine is lost.

    Args:
        job, log, heard: as in `Machines.start`.
        arguments: those of Python, for the process that trains.
        options: what the actor needs, as options of Ray.
    """

    def __init__(self, job: Job, log: Path, heard: Heard, arguments: Sequence[str], options: dict[str, float]) -> None:
        self.job, self.ended = job, False
        self._log, self._heard, self._arguments = log, heard, arguments
        self._class: Any = ray.remote(max_restarts=0, max_concurrency=2, **options)(_Host)
        self._lock, self._begun = threading.Lock(), threading.Event()
        self._stopping, self._reason = False, ""
        self._code: int | None = None
        self._host = self._class.remote()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        """Hand on the messages until the process ends."""
        try:
            for _ in range(TRIES):
                try:
                    self._run()
                    return
                except _LOST as error:
                    self._reason = str(error).partition("\n")[0].rstrip(".")
                with self._lock:
                    if self._stopping:
                        self._heard.put((self.job.name, Ended(None)))
                        return
                    self._begun.clear()
                    self._host = self._class.remote()
        except Exception as error:  # of Ray, such as a folder that a machine does not have
            self._reason = str(error).strip().rpartition("\n")[2] or type(error).__name__
        finally:
            self._heard.put((self.job.name, None))

    def _run(self) -> None:
        # Ray sets a number of threads, which decides how sums are rounded.
        environment = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS")}
        if self.job.device != "gpu":
            environment["CUDA_VISIBLE_DEVICES"] = "-1"
        arguments = (str(self._log.absolute()), str(Path.cwd()), self._arguments, environment)
        ray.get(self._host.start.remote(self.job.to_line(), *arguments))
        self._begun.set()
        while not isinstance(line := ray.get(self._host.next_line.remote()), int):
            with contextlib.suppress(ValueError):  # the last line of a process that was killed may be cut
                self._heard.put((self.job.name, from_line(line)))
        self._code = line
        ray.kill(self._host)

    def stop(self) -> None:
        with self._lock:
            self._stopping = True
            if self._begun.is_set():
                self._host.stop.remote()
            else:
                ray.kill(self._host)  # it may wait for a free machine

    def kill(self) -> None:
        with self._lock:
            self._stopping = True
            ray.kill(self._host)  # which ends the standard input of the process, so it stops after its step
        self._thread.join()

    def close(self) -> None:
        self._thread.join()

    def write_log(self, message: Told) -> None:
        text = f"{'warning: ' if message.is_warning else ''}{message.text}\n"
        with contextlib.suppress(OSError), self._log.open("ab", buffering=0) as file:
            file.write(text.encode(errors="replace"))

    def error(self) -> TaggerError:
        if self._code is not None:
            return error_of_end(self.job.name, self._code, self._log)
        return TaggerError(
            f"{self.job.name}: cannot run on the cluster: {self._reason}; expected machines that stay, and that share"
            f" {Path.cwd()} and all files of the training; give the same command with --resume"
        )


class RayMachines:
    """The machines of a cluster that this process is connected with, as `runner.Machines`.

    Args:
        arguments: those of Python, for the process that trains.
    """

    def __init__(self, arguments: Sequence[str] = _ARGUMENTS) -> None:
        self._arguments = arguments
        self._options: dict[str, float] = {"num_cpus": 1}

    def share_out(self, config: Config, n_jobs: int, *, at_once: int | None, device: str) -> Resources:
        """Divide the cores and the memory of the cluster; a training has those of one machine at most."""
        need = expected_memory(config)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        cores = [int(node["CPU"]) for node in nodes] or [1]
        wanted = max(1, min(at_once or sum(cores), n_jobs))
        threads = config.training.threads or max(1, min(min(cores), sum(cores) // wanted))
        places = sum(_places(node, threads, None if at_once is not None else need) for node in nodes)
        self._options = {"num_cpus": min(threads, *cores), "num_gpus": int(device == "gpu")}
        return Resources(max(1, min(wanted, places)), threads, need)

    def free_memory(self) -> None:
        """Return None: Ray knows what is free on its machines."""
        return

    def start(self, job: Job, log: Path, heard: Heard) -> Training:
        return _RemoteTraining(job, log, heard, self._arguments, self._options)


def _places(node: dict[str, float], threads: int, need: int | None) -> int:
    """Return how many trainings fit on a machine by its cores and, if their need is given, by its memory."""
    by_cores = max(1, int(node["CPU"]) // threads)
    return by_cores if need is None else min(by_cores, int(node.get("memory", need) // need))
