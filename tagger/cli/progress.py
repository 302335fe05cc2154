"""Training progress on standard error: one line for each epoch, and on a terminal a live display too."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live

from tagger.cli.console import laid_out
from tagger.cli.live import LiveDisplay
from tagger.cli.summaries import format_data, format_network

if TYPE_CHECKING:
    from tagger.evaluation.scores import Evaluation
    from tagger.training.facts import Beginning, EpochStart, PretrainingSteps, Steps
    from tagger.training.history import EpochResult, Outcome
    from tagger.training.seeds_outcome import SeedsOutcome

_LONG_LOSS = 100  # from here on, a loss has another form


class StandardError(Console):
    """The console of all progress; it keeps the program running when nobody reads it, where rich would end it."""

    @classmethod
    def console(cls) -> StandardError:
        """Return a console without wrapping and highlighting, because programs read the lines too, through a pipe."""
        return cls(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


class TrainingProgress:
    """A `training.listener.Listener` that prints.

    Args:
        on_begin: called after each step; the first call says that there is something to lose from now on.
        n_trainings: the number of trainings that follow each other (`--seeds`).
        quiet: show nothing but warnings.
        live: show a live display if standard error is a terminal.
        is_chief: show the progress; of several workers only the chief does, and the others show what they found.
    """

    def __init__(
        self,
        on_begin: Callable[[], None] = lambda: None,
        *,
        n_trainings: int = 1,
        quiet: bool = False,
        live: bool = True,
        is_chief: bool = True,
    ) -> None:
        self._on_begin, self._quiet, self._is_chief = on_begin, quiet, is_chief
        self._console = StandardError.console()
        self._display = LiveDisplay(n_trainings)
        self._live = Live(console=self._console, get_renderable=lambda: self._display, transient=True)
        self._is_live = live and is_chief and not quiet and self._console.is_terminal

    def __enter__(self) -> Self:
        if self._is_live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        if not self._quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}")

    def _print(self, text: str) -> None:
        self._console.print(laid_out(text), soft_wrap=True)

    def pretraining_step(self, steps: PretrainingSteps) -> None:
        self._on_begin()
        self._display.pretraining_step(steps)

    def begin(self, beginning: Beginning) -> None:
        from tagger.training.history import patience_left

        self._display.begin(beginning, patience_left(beginning.history, beginning.patience))
        summary = [*format_data(beginning.data), *format_network(beginning.layers)]
        for line in summary if self._is_chief else ["the chief worker shows the progress"]:
            self.note(line)

    def start_epoch(self, start: EpochStart) -> None:
        self._display.start_epoch(start)

    def step(self, steps: Steps) -> None:
        self._on_begin()
        self._display.step(steps)

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        self._display.end_epoch(result, patience_left)
        if self._is_chief:
            self.note(epoch_line(result))

    def end(self, outcome: Outcome, test: Evaluation | None) -> None:
        """Show nothing: the command shows the results."""

    def end_seeds(self, outcome: SeedsOutcome) -> None:
        """Show nothing: the command shows the results."""


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
