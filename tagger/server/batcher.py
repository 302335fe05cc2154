"""Micro-batching: the requests that arrive while others are tagged are tagged together, after a short wait at most."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tagger.server.settings import Limits
from tagger.server.tagging import Job

Waiting = tuple[Job, asyncio.Future[bytes], float]


class Batcher:
    """The queue of a model. All methods belong to the event loop; only `tag` runs in another thread.

    A batch is as many requests as there are, up to a number of tokens. While one is tagged, the next one gathers. If
    nothing is being tagged, a request waits for others until a deadline, but only as long as others are on their way.

    Args:
        tag: returns the answer to each job.
        limits: the size of a batch and the deadline.
        n_expected: returns the number of requests that are being read or wait, these included.
        observe: called with the number of requests, sentences and tokens of each batch.
    """

    def __init__(
        self,
        tag: Callable[[Sequence[Job]], list[bytes]],
        limits: Limits,
        n_expected: Callable[[], int],
        observe: Callable[[int, int, int], None],
    ) -> None:
        self._tag, self._limits, self._n_expected, self._observe = tag, limits, n_expected, observe
        self._queue: collections.deque[Waiting] = collections.deque()
        self._batch: list[Waiting] = []
        self._n_tokens = 0
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tag")

    async def answer(self, job: Job) -> bytes:
        """Return the answer to a job.

        Raises:
            TimeoutError: the job has been given up.
            Exception: any error of `tag`, which then concerns all jobs of its batch.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bytes] = loop.create_future()
        self._queue.append((job, future, loop.time()))
        self._n_tokens += job.n_tokens
        self._arrived.set()
        return await future

    def give_up(self, seconds: float) -> None:
        """Let the requests that have been here for so many seconds fail with TimeoutError, also those being tagged."""
        latest = asyncio.get_running_loop().time() - seconds
        for _, future, since in (*self._batch, *self._queue):
            if since < latest and not future.done():
                future.set_exception(TimeoutError())

    async def run(self) -> None:
        """Tag what arrives, until this is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                self._batch = batch = await self._next()
                jobs = [job for job, _, _ in batch]
                try:
                    answers = await loop.run_in_executor(self._thread, self._tag, jobs)
                except Exception as error:  # any error, because those who wait get it
                    for _, future, _ in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future, _), answer in zip(batch, answers, strict=True):
                    if not future.done():  # nobody waits any more after the time limit
                        future.set_result(answer)
                self._observe(len(jobs), sum(len(job.rows) for job in jobs), sum(job.n_tokens for job in jobs))
        finally:
            self._thread.shutdown(wait=False)

    async def _next(self) -> list[Waiting]:
        """Wait for requests and take the next batch."""
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        deadline = self._queue[0][2] + self._limits.batch_seconds
        while self._n_tokens < self._limits.batch_tokens and len(self._queue) < self._n_expected():
            self._arrived.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._arrived.wait()
            except TimeoutError:
                break
        return self._take()

    def _take(self) -> list[Waiting]:
        batch, n_tokens = list[Waiting](), 0
        while self._queue:
            job, future, _ = self._queue[0]
            if batch and n_tokens + job.n_tokens > self._limits.batch_tokens:
                break
            waiting = self._queue.popleft()
            self._n_tokens -= job.n_tokens
            if not future.done():
                batch.append(waiting)
                n_tokens += job.n_tokens
        return batch
