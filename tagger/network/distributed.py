"""Training of one network on several devices or machines; a single device is the simplest case.

Every worker makes the same batches from the same seed, and each replica takes its share of the sentences. The loss is
divided by the number of sentences of the whole batch and the gradients are summed, so a step equals the step of one
device with the whole batch. A share keeps all distinct ids of its batch. The gradient of the embedding therefore has
the same rows on every replica and is summed like any other gradient. (Gathering each replica's own rows works too, but
costs more. TensorFlow also accepts updates from each replica's own rows without gathering them, but then the replicas
end up with different embeddings.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import re
import signal
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.errors import DeviceError
from tagger.model_dir.checkpoints import State
from tagger.network import Tensor, muted_stderr
from tagger.network.devices import device_errors_explained

_POLL = 0.2  # seconds between two checks of whether to stop
_GO = b"go\n"


@dataclasses.dataclass(frozen=True)
class Task:
    """The position of this process among the workers that TF_CONFIG names.

    Attributes:
        workers: the addresses of all workers, the chief first.
        index: the position of this process in `workers`.
    """

    workers: tuple[str, ...] = ("localhost",)
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process is the chief, the only worker that writes files."""
        return self.index == 0


def read_task(environment: Mapping[str, str] = os.environ) -> Task:
    """Read the task of this process from TF_CONFIG; without it, this process is the only worker.

    {"cluster": {"chief": [A], "worker": [B, C]}, "task": {"type": "worker", "index": 1}} is the last of three workers.

    Raises:
        DeviceError: TF_CONFIG is malformed.
    """
    text = environment.get("TF_CONFIG")
    if not text:
        return Task()
    try:
        values = json.loads(text)
        cluster, kinds = values.get("cluster", {}), ("chief", "worker")
        if not cluster:
            return Task()
        groups = {kind: list(cluster.get(kind, [])) for kind in kinds}
        kind, index = values["task"]["type"], values["task"]["index"]
        workers = groups["chief"] + groups["worker"]
        known = set(cluster) <= set(kinds) and len(groups["chief"]) <= 1 and len(set(workers)) == len(workers)
        known = known and all(re.fullmatch(r".+:\d+", address) for address in workers)
        known = known and type(index) is int and 0 <= index < len(groups[kind])
        place = index + (len(groups["chief"]) if kind == "worker" else 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = False
    if not known:
        raise DeviceError(
            f"TF_CONFIG: found {text[:200]!r}, expected the addresses of all workers and the index of this one; write"
            ' it as {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}, or unset it'
        )
    return Task(tuple(workers), place)


_PART = 1 << 20  # bytes sent at a time


class Replicas:
    """The copies of the network that train together.

    Args:
        strategy: the strategy that spans their devices; None for one device.
        task: the position of this process among the workers.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None, task: Task | None = None) -> None:
        self._strategy = strategy
        self.task = task or Task()
        self.n = strategy.num_replicas_in_sync if strategy else 1
        n_local = self.n // len(self.task.workers)
        self.local = range(self.task.index * n_local, (self.task.index + 1) * n_local)

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Return the scope in which to create variables that every replica has."""
        return self._strategy.scope() if self._strategy else contextlib.nullcontext()

    def run(self, of_replica: Callable[[Tensor], Tensor]) -> Tensor:
        """Call a function on every replica and return the result of this process's first replica.

        This must be called inside a compiled function.

        Args:
            of_replica: takes the number of the replica among the replicas of this process.
        """
        if self._strategy is None:
            return of_replica(0)

        def call() -> Tensor:
            return of_replica(tf.distribute.get_replica_context().replica_id_in_sync_group - self.local[0])

        return self._strategy.experimental_local_results(self._strategy.run(call))[0]

    def sum(self, values: list[Tensor]) -> list[Tensor]:
        """Return the sums of the values of all replicas, bit for bit the same on each; must be called inside `run`."""
        if self._strategy is None:
            return values
        summed: list[Tensor] = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)
        return summed

    def total(self, value: float) -> float:
        """Wait for all workers and return the sum of their values."""
        if len(self.task.workers) == 1:
            return value
        return float(self._total(tf.constant(value, tf.float64))) / len(self.local)

    @functools.cached_property
    def _total(self) -> Callable[[Tensor], Tensor]:
        def total(value: Tensor) -> Tensor:
            return self.run(lambda _: self.sum([tf.identity(value)])[0])  # a copy on the replica's own device

        compiled: Callable[[Tensor], Tensor] = tf.function(total, autograph=False)
        return compiled

    def from_chief(self, content: bytes) -> bytes:
        """Return the chief's content on every worker."""
        if len(self.task.workers) == 1:
            return content
        n, parts = int(self.total(float(len(content) if self.task.is_chief else 0))), []
        for start in range(0, n, _PART):
            mine = content[start : start + _PART] if self.task.is_chief else b""
            numbers = np.zeros(_PART, np.int32)
            numbers[: len(mine)] = np.frombuffer(mine, np.uint8)
            parts.append((self._total(tf.constant(numbers)).numpy() // len(self.local)).astype(np.uint8).tobytes())
        return b"".join(parts)[:n]

    def state_of_chief(self, state: State | None) -> State | None:
        """Return the chief's state on every worker."""
        if len(self.task.workers) == 1:
            return state
        content = self.from_chief(state.to_bytes() if state is not None else b"")
        return State.from_bytes(content) if content else None

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any worker.

        All workers must make the same decision from the result; otherwise, some would wait forever for the others.
        """
        return self.total(float(flag)) > 0

    def are_same(self, fingerprint: int) -> bool:
        """Return whether a number below 2**32 is the same on every worker."""
        n = len(self.task.workers)
        # n · Σ x² = (Σ x)² holds only for equal numbers, and float64 is exact below 2**53.
        return all(
            n * self.total(float(part * part)) == self.total(float(part)) ** 2
            for part in (fingerprint & 0xFFFF, fingerprint >> 16)
        )

    def check_equal(self, variables: Iterable[tf.Variable]) -> None:
        """Raise DeviceError if variables differ between replicas, which nothing else would reveal."""
        equal, crc = True, 0
        for variable in variables:
            first, *others = self.copies(variable)
            equal = equal and all(np.array_equal(first, other) for other in others)
            crc = zlib.crc32(np.ascontiguousarray(first).data, crc)
        # Every worker must take part in the comparison even if its own replicas differ, because the others wait for it.
        if not self.are_same(crc) or not equal:
            raise DeviceError(
                "replicas: found weights that differ, expected weights that are equal bit for bit; use devices and"
                " libraries of one kind, and report this"
            )

    def copies(self, variable: tf.Variable) -> list[npt.NDArray[Any]]:
        """Return the values of a variable on each replica of this process."""
        copies = self._strategy.experimental_local_results(variable) if self._strategy else [variable]
        return [copy.numpy() for copy in copies]


def connect(task: Task, gpus: int, *, devices: list[str] | None = None) -> Replicas:
    """Create the strategy for this process's devices and the other workers.

    This must run after the workers have met (`meet`) and before TensorFlow runs anything else.

    Args:
        gpus: the number of GPUs that this process uses; several train side by side.
        devices: the names of local devices that train side by side, instead of GPUs.

    Raises:
        DeviceError: the workers cannot be reached.
    """
    if len(task.workers) > 1:
        with device_errors_explained(n_workers=len(task.workers)), muted_stderr():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with contextlib.suppress(ValueError):  # signal handlers can be set only in the main thread
            # TensorFlow has replaced the handler of SIGTERM, to notice when a machine is about to be preempted.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        return Replicas(strategy, task)
    if gpus > 1 or devices:
        return Replicas(tf.distribute.MirroredStrategy(devices))
    return Replicas()


def wait_for_workers(task: Task, note: Callable[[str], None], should_stop: Callable[[], bool]) -> bool:
    """Wait until all workers of a task are present; return False if `should_stop` returns true first.

    Raises:
        DeviceError: see `meet`.
    """
    if len(task.workers) == 1:
        return True
    note(f"worker {task.index} of {len(task.workers)}: {', '.join(task.workers)}; waiting for all of them")
    return meet(task.workers, task.index, should_stop)


def meet(workers: tuple[str, ...], index: int, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Wait until all workers are present; return False if `should_stop` returns true first.

    Args:
        workers: the addresses of all workers, `host:port`, the chief first.
        index: the position of this process in `workers`.

    Raises:
        DeviceError: this worker's port is taken, or the chief's host is unknown.
    """
    with _listen(workers[index], index) as server:
        if index == 0:
            return _gather(server, len(workers), should_stop)
    return _report(workers[0], index, should_stop)


def _listen(address: str, index: int) -> socket.socket:
    port = int(address.rpartition(":")[2])
    try:
        return socket.create_server(("", port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DeviceError(
            f"TF_CONFIG: worker {index}: port {port} cannot be used: {reason}; stop the process that uses it, or choose"
            " another port on all workers"
        ) from None


def _gather(server: socket.socket, n: int, should_stop: Callable[[], bool]) -> bool:
    server.settimeout(_POLL)
    with contextlib.ExitStack() as stack:
        present: dict[int, socket.socket] = {}
        while len(present) < n - 1:
            if should_stop():
                return False
            with contextlib.suppress(OSError, ValueError):  # nobody connects, or not a worker
                connection, _ = server.accept()
                stack.callback(connection.close)
                connection.settimeout(1.0)
                index = int(connection.recv(16).decode("ascii"))
                if 0 < index < n:
                    present[index] = connection  # a worker that was restarted takes its old place
        for connection in present.values():
            with contextlib.suppress(OSError):  # the worker is gone again, which TensorFlow will report
                connection.sendall(_GO)
    return True


def _report(chief: str, index: int, should_stop: Callable[[], bool]) -> bool:
    host, _, port = chief.rpartition(":")
    while not should_stop():
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=2.0) as connection:
                connection.sendall(f"{index}\n".encode())
                connection.settimeout(_POLL)
                answer = b""
                while not should_stop():
                    try:
                        answer = connection.recv(len(_GO))
                        break
                    except TimeoutError:
                        continue
            if answer == _GO:
                return True
        except socket.gaierror as error:
            raise DeviceError(
                f"TF_CONFIG: worker {index}: the chief's host {host} is unknown: {error.strerror}; check the address"
            ) from None
        except OSError:
            pass  # the chief is not listening yet
        time.sleep(_POLL)
    return False
