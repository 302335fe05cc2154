"""Workers on a Ray cluster that go through items one by one; an item whose worker dies is given to another one."""

from __future__ import annotations

import collections
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Generic, TypeVar

import ray
import ray.exceptions

from tagger.errors import TaggerError

Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Item], Result]

TRIES = 3  # workers that may die of an item, or one after the other before they are ready
_TICK = 0.5  # seconds; a signal is noticed between two looks
_PATIENCE = 30.0  # seconds without a single worker until that is said
_DEATHS = (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError)


class _Worker(Generic[Item, Result]):
    """The process of a worker.

    Args:
        make: returns what it does with an item; called once, since it loads a model.
    """

    def __init__(self, make: Callable[[], Work[Item, Result]]) -> None:
        self._make = make

    def load(self) -> None:
        self._work = self._make()

    def do(self, item: Item) -> Result:
        return self._work(item)


class Workers(Generic[Item, Result]):
    """A number of workers, each with one core.

    One that dies is replaced. Ray could do both itself, but it would put an item into the queue of a worker that waits
    for a free machine, while others have nothing to do; and it would not tell which item a worker died of.

    Args:
        make: returns what a worker does with an item; it goes to the workers, so it must be picklable.
        n: the number of workers.
        note: shows a message.
    """

    def __init__(
        self, make: Callable[[], Work[Item, Result]], n: int, note: Callable[[str], None] = lambda text: None
    ) -> None:
        self._make, self._n, self._note = make, n, note
        self._class: Any = ray.remote(num_cpus=1, max_restarts=0)(_Worker)
        self._starting: dict[Any, Any] = {}  # reference to the end of loading → worker
        self._busy: dict[Any, tuple[Any, Item]] = {}  # reference to a result → worker and its item
        self._waiting: collections.deque[Item] = collections.deque()
        self._deaths: collections.Counter[Item] = collections.Counter()
        self._deaths_before_ready = 0
        self._idle_since = time.monotonic()

    def results(self, items: Sequence[Item]) -> Generator[tuple[Item, Result | TaggerError]]:
        """Yield each item with its result as it comes, or with the error that it ended with.

        Raises:
            TaggerError: the workers cannot get ready.
        """
        self._waiting.extend(items)
        try:
            while self._waiting or self._busy:
                self._replenish()
                ready, _ = ray.wait([*self._starting, *self._busy], timeout=_TICK)
                self._complain_if_idle()
                for reference in ready:
                    if reference in self._starting:
                        self._take_ready(reference)
                    else:
                        yield from self._take_result(reference)
        finally:
            self._end()

    def _replenish(self) -> None:
        wanted = min(self._n, len(self._waiting) + len(self._busy))
        for _ in range(wanted - len(self._starting) - len(self._busy)):
            worker = self._class.remote(self._make)
            self._starting[worker.load.remote()] = worker

    def _take_ready(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            ray.get(reference)
        except _DEATHS as error:
            self._deaths_before_ready += 1
            if self._deaths_before_ready >= TRIES:
                raise TaggerError(
                    f"--ray: {TRIES} workers ended one after the other while they loaded the model, expected them to"
                    f" load it: {_reason(error)}; check the memory of the machines"
                ) from None
            return
        except ray.exceptions.RayTaskError as error:
            raise _explained(error, "--ray: a worker") from None
        self._deaths_before_ready = 0
        self._employ(worker)

    def _take_result(self, reference: Any) -> Iterator[tuple[Item, Result | TaggerError]]:
        worker, item = self._busy.pop(reference)
        found: Result | TaggerError
        try:
            found = ray.get(reference)
        except _DEATHS as error:
            self._deaths[item] += 1
            if self._deaths[item] < TRIES:
                self._waiting.append(item)  # the last one, so that all others are done even if it kills every worker
                return
            found = TaggerError(f"{item}: its worker died {TRIES} times, expected a result: {_reason(error)}")
        except ray.exceptions.RayTaskError as error:
            found = _explained(error, str(item))
            self._employ(worker)
        else:
            self._employ(worker)
        yield item, found

    def _employ(self, worker: Any) -> None:
        """Give a worker the next item; without one it ends."""
        if self._waiting:
            item = self._waiting.popleft()
            self._busy[worker.do.remote(item)] = worker, item
        else:
            ray.kill(worker)

    def _complain_if_idle(self) -> None:
        if self._busy:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > _PATIENCE:
            self._idle_since = float("inf")  # once
            self._note("waiting for the first worker: the cluster has no free core, or its machines load slowly")

    def _end(self) -> None:
        for worker in [*self._starting.values(), *(worker for worker, _ in self._busy.values())]:
            ray.kill(worker)
        self._starting.clear()
        self._busy.clear()


def _explained(error: ray.exceptions.RayTaskError, what: str) -> TaggerError:
    """Return the error of a worker as the user shall see it."""
    cause = error.cause
    if isinstance(cause, TaggerError):
        return cause
    if isinstance(cause, OSError):
        # Writing does not tell the name of the file.
        which = "it, or its output," if cause.filename is None else cause.filename
        return TaggerError(f"{what}: {which} cannot be read or written: {cause.strerror or cause}")
    lines = str(error).splitlines()
    return TaggerError(f"{what}: found an error of tagger, expected none; report it: {lines[-1]}", detail=lines[-10:])


def _reason(error: Exception) -> str:
    """Return why a worker died, in one line."""
    text = str(error)
    if isinstance(error, ray.exceptions.OutOfMemoryError) or "memory" in text.partition("Some common causes")[0]:
        return "its machine ran out of memory"
    return "its process or its machine ended"
