"""The bound on what a server holds at a time: requests and the bytes of their bodies."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator

from tagger.server.refusals import busy
from tagger.server.settings import Limits

_LONGEST_WAIT = 60  # seconds that a client is told to wait
_WEIGHT = 0.05  # of the latest request in the mean of the seconds between two answers


class Admission:
    """Counts what is held, and refuses what would be too much.

    Attributes:
        n_requests: the number of requests that are being read, wait or are being tagged.
    """

    def __init__(self, limits: Limits) -> None:
        self.n_requests = 0
        self._limits, self._n_bytes = limits, 0
        self._seconds, self._last = 0.01, time.monotonic()

    @contextlib.contextmanager
    def admitted(self, n_bytes: int) -> Iterator[None]:
        """Hold a request with a body of at most this size.

        Raises:
            RefusedError: too much is held already (429); it says when to try again.
        """
        if self.n_requests >= self._limits.queue or self._n_bytes + n_bytes > self._limits.bodies:
            raise busy("the server has as many requests as it may hold; try again later", self.retry_after)
        self.n_requests += 1
        self._n_bytes += n_bytes
        try:
            yield
        finally:
            self.n_requests -= 1
            self._n_bytes -= n_bytes
            self._note_answer()

    @property
    def retry_after(self) -> int:
        """The seconds in which half of what is held will probably be answered, at least 1."""
        return min(_LONGEST_WAIT, max(1, math.ceil(self._seconds * self.n_requests / 2)))

    def _note_answer(self) -> None:
        now = time.monotonic()
        if self.n_requests:  # otherwise nobody was waiting, and the time says nothing about the speed
            self._seconds += _WEIGHT * (now - self._last - self._seconds)
        self._last = now
