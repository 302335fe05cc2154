"""Jobs that tag some of the sentences that were read ahead, and their results in the order of the sentences."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
Job = Callable[[], list[T]]


class StoppedError(Exception):
    """Nobody waits for the result of a job any more."""


def in_jobs(batches: Sequence[T], most: int, least_jobs: int) -> list[Sequence[T]]:
    """Cut batches into jobs of up to `most` neighboring ones; of fewer if there would be fewer than `least_jobs` jobs.

    >>> in_jobs("abcdefg", 4, 3), in_jobs("abcdefg", 4, 9)
    (['ab', 'cd', 'ef', 'g'], ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
    """
    size = max(1, min(most, len(batches) // least_jobs))
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def until(stop: threading.Event, batches: Iterable[T]) -> Iterator[T]:
    """Yield batches, but raise StoppedError instead of the next one once nobody waits for the result."""
    for batch in batches:
        if stop.is_set():
            raise StoppedError
        yield batch


class Started(Generic[T]):
    """Sentences that are being tagged. Without futures, the thread that asks for the `result` tags them.

    Args:
        n_sentences: the number of sentences.
        rows: the sentences of each job.
        jobs: the jobs; each returns the results of its sentences.
        futures: what the jobs were submitted as, if they were.
        empty: makes the result of a sentence that is in no job, because it is empty.
        stop: set when nobody waits for the results any more.
    """

    def __init__(
        self,
        n_sentences: int,
        rows: list[list[int]],
        jobs: Sequence[Job[T]],
        futures: list[Future[list[T]]],
        empty: Callable[[], T],
        stop: threading.Event,
    ) -> None:
        self._n_sentences, self._rows, self._jobs, self._futures = n_sentences, rows, jobs, futures
        self._empty, self._stop = empty, stop
        self._process = os.getpid()

    def result(self) -> list[T]:
        """Return the tagged sentences in their original order; an empty sentence has no tags."""
        results: list[T | None] = [None] * self._n_sentences
        here = self._futures and self._process == os.getpid()  # after a fork, the pool has no threads to run the jobs
        try:
            for rows, get in zip(
                self._rows, [future.result for future in self._futures] if here else self._jobs, strict=True
            ):
                for row, tagged in zip(rows, get(), strict=True):
                    results[row] = tagged
        finally:
            self.cancel()
        return [self._empty() if tagged is None else tagged for tagged in results]

    def cancel(self) -> None:
        """Cancel all work that has not started, because nobody waits for it after an error or an interrupt."""
        self._stop.set()
        for future in self._futures:
            future.cancel()
