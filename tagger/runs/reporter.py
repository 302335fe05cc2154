"""A listener that sends what it hears about a training to the parent of its process."""

from __future__ import annotations

import time
from collections.abc import Callable

from tagger.runs import messages
from tagger.training.facts import Beginning, EpochStart, PretrainingSteps, Steps
from tagger.training.history import EpochResult
from tagger.training.listener import Silent

_EVERY = 0.3  # seconds between two messages about steps


class Reporter(Silent):
    """A listener that sends messages.

    Args:
        send: sends one to the parent.
    """

    def __init__(self, send: Callable[[messages.Message], None]) -> None:
        self._send = send
        self._best: float | None = None
        self._n_steps, self._n_tokens, self._last = 1, 0, 0.0

    def note(self, text: str) -> None:
        self._send(messages.Told(text, is_warning=False))

    def warn(self, text: str) -> None:
        self._send(messages.Told(text, is_warning=True))

    def pretraining_step(self, steps: PretrainingSteps) -> None:
        if time.monotonic() - self._last >= _EVERY:
            self._send(messages.Pretraining(steps.n_done / steps.n_steps))
            self._last = time.monotonic()

    def begin(self, beginning: Beginning) -> None:
        best = [result.dev_score for result in beginning.history if result.best]
        self._best = best[-1] if best else None
        scores = [result.dev_score for result in beginning.history]
        self._send(messages.Started(beginning.epochs, len(scores), self._best, scores))

    def start_epoch(self, start: EpochStart) -> None:
        self._n_steps = max(1, start.n_steps)

    def step(self, steps: Steps) -> None:
        self._n_tokens += steps.n_tokens
        if time.monotonic() - self._last < _EVERY:
            return
        self._send(messages.Steps(steps.n_done / self._n_steps, self._n_tokens))
        self._n_tokens, self._last = 0, time.monotonic()

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        self._best = result.dev_score if result.best else self._best
        self._send(messages.Epoch(result.epoch, result.dev_score, self._best))
