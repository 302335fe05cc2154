"""The live display of a training on a terminal: where it is, how fast and how good it is, and how long it may take."""

from __future__ import annotations

import datetime
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.text import Text

if TYPE_CHECKING:
    from tagger.evaluation.scores import Evaluation
    from tagger.training.facts import Beginning, EpochStart, PretrainingSteps, Steps
    from tagger.training.history import EpochResult

_GAP = "  "


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


class LiveDisplay:
    """The lines of the display, as many as the width of the terminal needs, and a bar for the epoch.

    The training changes its numbers, and rich draws them from time to time in a thread of its own.

    Args:
        n_trainings: the number of trainings that follow each other (`--seeds`).
        clock: returns the time in seconds.
    """

    def __init__(self, n_trainings: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._time_left = TimeLeft(n_trainings, clock)
        self._seed: int | None = None
        self._n_trainings = n_trainings
        self._patience: tuple[int | None, int | None] = None, None  # left, and in all
        self._last: EpochResult | None = None
        self._best: EpochResult | None = None
        self._start: EpochStart | None = None
        self._pretraining: PretrainingSteps | None = None
        self._pretraining_since: tuple[int, float] | None = None  # a step, and the time at which it was done
        self._n_done = self._n_tokens = self._n_timed = 0
        self._loss = 0.0  # of all tokens together
        self._begun: float | None = None  # when the first step of the epoch was done

    def pretraining_step(self, steps: PretrainingSteps) -> None:
        """Show where the pretraining is."""
        self._pretraining = steps
        self._pretraining_since = self._pretraining_since or (steps.n_done, self._clock())

    def begin(self, beginning: Beginning, patience_left: int | None) -> None:
        """Start to show a training."""
        self._pretraining = self._pretraining_since = None
        self._seed = beginning.seed
        self._patience = patience_left, beginning.patience
        self._last = beginning.history[-1] if beginning.history else None
        self._best = next((result for result in reversed(beginning.history) if result.best), None)

    def start_epoch(self, start: EpochStart) -> None:
        """Start to show an epoch."""
        self._time_left.start_epoch(start.epoch, start.epochs, start.n_tokens)
        self._start, self._n_done = start, start.n_done
        self._n_tokens = self._n_timed = 0
        self._loss, self._begun = 0.0, None

    def step(self, steps: Steps) -> None:
        """Show some steps more."""
        self._time_left.step(steps.n_tokens)
        self._n_done, self._n_tokens = steps.n_done, self._n_tokens + steps.n_tokens
        self._loss += steps.loss * steps.n_tokens
        if self._begun is None:
            self._begun = self._clock()  # the first step may have compiled
        else:
            self._n_timed += steps.n_tokens

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        """Show the scores of an epoch, until the next one has its own."""
        self._last, self._start = result, None
        self._best = result if result.best else self._best
        self._patience = patience_left, self._patience[1]

    def parts(self) -> Iterator[str]:
        """Yield what there is to show, the most important first; nothing between two epochs."""
        start = self._start
        if self._pretraining is not None:
            yield from self._parts_of_pretraining(self._pretraining)
            return
        if start is None:
            return
        if self._n_trainings > 1:
            yield f"seed {self._seed}"
        yield f"epoch {start.epoch}/{start.epochs}"
        yield f"step {self._n_done}/{start.n_steps}"
        if self._begun is not None and self._n_timed and (seconds := self._clock() - self._begun) > 0:
            yield f"{self._n_timed / seconds:,.0f} tokens/s"
        if (left := self._time_left.seconds()) is not None:
            yield f"at most {datetime.timedelta(seconds=max(0, round(left)))} left"
        if self._n_tokens:
            yield f"loss {self._loss / self._n_tokens:.4g}"
        if self._last is not None and self._last.dev is not None:
            yield f"dev {_score_of(self._last.dev)}"
        if self._best is not None and self._best.dev is not None:
            yield f"best {_number(self._best.dev)} in epoch {self._best.epoch}"
        if self._patience[0] is not None:
            yield f"patience {self._patience[0]} of {self._patience[1]}"

    def _parts_of_pretraining(self, steps: PretrainingSteps) -> Iterator[str]:
        if self._n_trainings > 1:
            yield f"seed {steps.seed}"
        yield "pretraining"
        yield f"step {steps.n_done}/{steps.n_steps}"
        yield f"{steps.tokens_per_second:,.0f} tokens/s"
        first, since = self._pretraining_since or (steps.n_done, 0.0)
        if steps.n_done > first:
            left = (self._clock() - since) / (steps.n_done - first) * (steps.n_steps - steps.n_done)
            yield f"{datetime.timedelta(seconds=round(left))} left"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - 1  # a terminal may break a line that fills it
        lines = packed(self.parts(), width)
        for line in lines:
            yield Text(line, no_wrap=True, overflow="crop")
        if lines and self._pretraining is not None:
            yield _bar(self._pretraining.n_done, self._pretraining.n_steps, width)
        elif lines and self._start is not None:
            yield _bar(self._n_done, self._start.n_steps, width)


def _bar(n_done: int, n_steps: int, width: int) -> ProgressBar:
    return ProgressBar(total=n_steps, completed=n_done, width=min(width, 60))


def packed(parts: Iterable[str], width: int) -> list[str]:
    """Return lines of whole parts, with two blanks between them, that fit in a width if each part does."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(_GAP) + len(part) <= width:
            lines[-1] += _GAP + part
        else:
            lines.append(part)
    return lines


def _number(dev: Evaluation) -> str:
    return f"{100 * (dev.overall.f1 if dev.overall and dev.has_spans else dev.accuracy):.2f}"


def _score_of(dev: Evaluation) -> str:
    return f"{'F1' if dev.has_spans else 'accuracy'} {_number(dev)}"
