"""The progress of many trainings on standard error: a line for each that ends, and on a terminal a live display too."""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Self

from rich.console import Console as RichConsole
from rich.console import ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from tagger.cli.console import laid_out
from tagger.cli.live import packed
from tagger.cli.progress import StandardError
from tagger.evaluation.scores import Evaluation
from tagger.runs.job import JobResult
from tagger.runs.messages import Epoch, Message, Pretraining, Started, Steps, Told
from tagger.runs.resources import Resources
from tagger.wording import counted, duration


@dataclasses.dataclass
class _Underway:
    """A training that runs: the epochs that it may have, those that are done, and the share of the present one.

    While it is still in its pretraining, `pretrained` is the share of that which is done.
    """

    epochs: int = 1
    done: float = 0.0
    share: float = 0.0
    best: float | None = None
    pretrained: float | None = None
    begun_at: float = 0.0  # what was done when it began or was continued

    @property
    def part(self) -> float:
        """The share of the whole training that is done."""
        return min(1.0, (self.done + self.share) / max(1, self.epochs))


class RunsProgress:
    """A `runs.runner.Watcher` that prints.

    Args:
        on_begin: called with the first message of a training.
        quiet: show nothing but warnings.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        on_begin: Callable[[], None] = lambda: None,
        *,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_begin, self._quiet, self._clock = on_begin, quiet, clock
        self._console = StandardError.console()
        self._live = Live(console=self._console, get_renderable=lambda: self, transient=True)
        self._names: list[str] = []
        self._n_at_once, self._n_done = 1, 0
        self._running: dict[str, _Underway] = {}
        self._warned = set[str]()
        self._since, self._worked = clock(), 0.0  # the shares of trainings that were done in this command, summed

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def note(self, text: str) -> None:
        """Show a note."""
        if not self._quiet:
            self._print(text)

    def warn(self, text: str) -> None:
        """Show a warning, once."""
        if text not in self._warned:
            self._warned.add(text)
            self._print(f"warning: {text}")

    def _print(self, text: str) -> None:
        self._console.print(laid_out(text), soft_wrap=True)

    def begin(self, names: Sequence[str], done: Sequence[JobResult], resources: Resources) -> None:
        self._names, self._n_done, self._n_at_once = list(names), len(done), resources.n_at_once
        self._since = self._clock()
        if done:
            self.note(f"{len(done)} of {counted(len(names), 'training')} finished before")
        if len(done) < len(names):
            at_once = f"{resources.n_at_once} at a time" if resources.n_at_once > 1 else "one after the other"
            threads, memory = counted(resources.threads, "thread"), resources.memory / 1e9
            self.note(
                f"{counted(len(names) - len(done), 'training')}, {at_once}, with {threads} and an expected"
                f" {memory:.1f} GB of memory each"
            )

    def hear(self, name: str, message: Message) -> None:
        underway = self._running.setdefault(name, _Underway())
        if isinstance(message, Told):
            if message.is_warning:
                self.warn(message.text)
        elif isinstance(message, Pretraining):
            self._on_begin()
            underway.pretrained = message.done
        elif isinstance(message, Started):
            self._on_begin()
            underway.pretrained = None
            underway.epochs, underway.done, underway.best = message.epochs, message.epochs_done, message.best
            underway.begun_at = underway.part
        elif isinstance(message, Steps):
            underway.share = message.done
        elif isinstance(message, Epoch):
            underway.done, underway.share, underway.best = message.epoch, 0.0, message.best

    def finish(self, result: JobResult) -> None:
        underway = self._running.pop(result.name, _Underway())
        self._n_done += 1
        self._worked += 1 - underway.begun_at
        score = "" if result.dev is None else f", dev {_shown(result.dev)}"
        self.note(
            f"{result.name} ({self._n_done} of {len(self._names)}): best epoch {result.epoch} of"
            f" {result.epochs}{score}; {duration(result.seconds)}, {result.memory / 1e9:.1f} GB"
        )

    def give_up(self, name: str, why: str) -> None:
        """Show that a training has ended without a result of its own."""
        underway = self._running.pop(name, _Underway())
        self._n_done += 1
        self._worked += 1 - underway.begun_at
        self.note(f"{name} ({self._n_done} of {len(self._names)}): {why}")

    def seconds_left(self) -> float | None:
        """Return the seconds left if all trainings use all their epochs, or None while the speed is unknown."""
        worked = self._worked + sum(one.part - one.begun_at for one in self._running.values())
        if worked <= 0:
            return None
        left = len(self._names) - self._n_done - sum(one.part for one in self._running.values())
        return (self._clock() - self._since) / worked * max(0.0, left)

    def parts(self) -> Iterator[str]:
        """Yield what the live display shows, the most important first."""
        yield f"{self._n_done} of {len(self._names)} done"
        if (left := self.seconds_left()) is not None:
            yield f"at most {datetime.timedelta(seconds=round(left))} left"
        for name, one in list(self._running.items()):
            if one.pretrained is not None:
                yield f"{name}: pretraining {100 * one.pretrained:.0f} %"
                continue
            best = "" if one.best is None else f", best {100 * one.best:.2f}"
            yield f"{name}: epoch {min(int(one.done) + 1, one.epochs)}/{one.epochs} {100 * one.share:.0f} %{best}"

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> RenderResult:
        if self._names:
            for line in packed(self.parts(), options.max_width - 1):
                yield Text(line, no_wrap=True, overflow="crop")


def _shown(dev: Evaluation) -> str:
    return f"F1 {100 * dev.overall.f1:.2f}" if dev.overall and dev.has_spans else f"accuracy {100 * dev.accuracy:.2f}"
