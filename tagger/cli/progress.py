"""Training progress on standard error: one line for each epoch, and on a terminal a live bar too."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from tagger.training.history import EpochResult


class _Console(Console):
    """A console that keeps the program running when nobody reads its messages; rich would end it."""

    def on_broken_pipe(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class TrainingProgress:
    """A `training.history.Listener` that prints.

    Args:
        on_begin: called after each step; the first call marks the beginning of the training.
    """

    def __init__(self, on_begin: Callable[[], None] = lambda: None) -> None:
        self._on_begin = on_begin
        # No wrapping and no highlighting, because programs read the lines too, through a pipe.
        self._console = _Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[speed]} tokens/s"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        self._console.print(f"warning: {text}", soft_wrap=True)

    def start_epoch(self, epoch: int, epochs: int, n_tokens: int) -> None:
        self._task = self._bar.add_task(f"epoch {epoch}/{epochs}", total=n_tokens, speed="")

    def step(self, n_tokens: int) -> None:
        self._on_begin()
        if self._task is not None:
            speed = self._bar.tasks[-1].speed
            self._bar.update(self._task, advance=n_tokens, speed=f"{speed:,.0f}" if speed else "")

    def end_epoch(self, result: EpochResult) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        dev = result.dev
        scores = "no dev set" if dev is None else f"dev accuracy {100 * dev.accuracy:.2f}"
        if dev is not None and dev.overall and dev.has_spans:
            scores = (
                f"dev precision {100 * dev.overall.precision:.2f}  recall {100 * dev.overall.recall:.2f}"
                f"  F1 {100 * dev.overall.f1:.2f}"
            )
        self.note(
            f"epoch {result.epoch:3d}  loss {result.train.loss:.4f}  {scores}"
            f"  {result.train.tokens_per_second:,.0f} tokens/s{'  *' if result.best and dev else ''}"
        )
