"""Training progress on standard error: one line for each epoch, and on a terminal a live bar too."""

from __future__ import annotations

import datetime
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from tagger.cli.console import laid_out

if TYPE_CHECKING:
    from tagger.training.history import EpochResult

_BAR_WIDTH = 20  # so that the whole line fits in 80 columns
_LONG_LOSS = 100  # from here on, a loss has another form


class _Console(Console):
    """A console that keeps the program running when nobody reads its messages; rich would end it."""

    def on_broken_pipe(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class TrainingProgress:
    """A `training.history.Listener` that prints.

    Args:
        on_begin: called after each step; the first call marks the beginning of the training.
        n_trainings: the number of trainings that follow each other (`--seeds`).
    """

    def __init__(self, on_begin: Callable[[], None] = lambda: None, *, n_trainings: int = 1) -> None:
        self._on_begin = on_begin
        # No wrapping and no highlighting, because programs read the lines too, through a pipe.
        self._console = _Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            TextColumn("{task.fields[speed]}"),
            TextColumn("{task.fields[left]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None
        self._time_left = TimeLeft(n_trainings)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        self._console.print(laid_out(text), soft_wrap=True)

    def warn(self, text: str) -> None:
        self.note(f"warning: {text}")

    def start_epoch(self, epoch: int, epochs: int, n_tokens: int) -> None:
        self._time_left.start_epoch(epoch, epochs, n_tokens)
        self._task = self._bar.add_task(f"epoch {epoch}/{epochs}", total=n_tokens, speed="", left="")

    def step(self, n_tokens: int) -> None:
        self._on_begin()
        self._time_left.step(n_tokens)
        if self._task is not None:
            speed, left = self._bar.tasks[-1].speed, self._time_left.seconds()
            self._bar.update(
                self._task,
                advance=n_tokens,
                speed=f"{speed:,.0f} tokens/s" if speed else "",
                left="" if left is None else f"at most {datetime.timedelta(seconds=round(left))} left",
            )

    def end_epoch(self, result: EpochResult) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self.note(epoch_line(result))


class TimeLeft:
    """The time that a training still takes if it uses all of its epochs, by its speed so far.

    Args:
        n_trainings: the number of trainings that follow each other; each of them starts with a lower epoch than the one
            before it ended with.
        clock: returns the time in seconds.
    """

    def __init__(self, n_trainings: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._n_later, self._last_epoch = n_trainings, sys.maxsize  # the first epoch begins a training
        self._per_epoch = self._to_come = self._done = 0  # tokens
        self._begun: float | None = None

    def start_epoch(self, epoch: int, epochs: int, n_tokens: int) -> None:
        """Note that an epoch begins, with `n_tokens` still to come in it."""
        if epoch <= self._last_epoch:
            self._n_later = max(0, self._n_later - 1)
        self._last_epoch = epoch
        self._per_epoch = max(self._per_epoch, n_tokens)  # an epoch that is continued has fewer
        self._to_come = n_tokens + (epochs - epoch + self._n_later * epochs) * self._per_epoch

    def step(self, n_tokens: int) -> None:
        self._to_come -= n_tokens
        if self._begun is None:
            self._begun = self._clock()  # the first step is slow, because it compiles, so it does not count
        else:
            self._done += n_tokens

    def seconds(self) -> float | None:
        """Return the seconds left, the scoring of dev included, or None while the speed is unknown."""
        if self._begun is None or not self._done:
            return None
        return (self._clock() - self._begun) / self._done * self._to_come


def epoch_line(result: EpochResult) -> str:
    """Return the loss, the scores and the speed of an epoch, in at most 80 columns."""
    dev, loss = result.dev, result.train.loss
    if dev is None:
        scores = "no dev set"
    elif dev.overall and dev.has_spans:
        p, r, f1 = (f"{100 * score:6.2f}" for score in (dev.overall.precision, dev.overall.recall, dev.overall.f1))
        scores = f"dev P {p}  R {r}  F1 {f1}"
    else:
        scores = f"dev accuracy {100 * dev.accuracy:6.2f}"
    shown_loss = f"{loss:.4f}" if loss < _LONG_LOSS else f"{loss:.1e}"
    speed = f"{result.train.tokens_per_second:,.0f} tokens/s"
    return f"epoch {result.epoch:3d}  loss {shown_loss}  {scores}  {speed}{'  *' if result.best and dev else ''}"
