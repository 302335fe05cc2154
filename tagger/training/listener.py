"""The one interface between a training and everything that shows or logs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from tagger.errors import TaggerError
from tagger.evaluation.scores import Evaluation
from tagger.training.facts import Beginning, EpochStart, PretrainingSteps, Steps
from tagger.training.history import EpochResult, Outcome
from tagger.training.seeds_outcome import SeedsOutcome


class Listener(Protocol):
    """An object that is told what happens in a training, and shows or logs it.

    Of `--seeds`, it hears each training from `begin` to `end`, and the outcome of all in `end_seeds`.
    """

    def note(self, text: str) -> None:
        """Report something that was found or decided."""

    def warn(self, text: str) -> None:
        """Report something that is odd but not an error."""

    def pretraining_step(self, steps: PretrainingSteps) -> None:
        """Report that a step of the pretraining is done, before the training itself begins."""

    def begin(self, beginning: Beginning) -> None:
        """Report that the first step of a training that begins or continues is about to be taken."""

    def start_epoch(self, start: EpochStart) -> None:
        """Report that an epoch starts or continues."""

    def step(self, steps: Steps) -> None:
        """Report that some steps are done."""

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        """Report that an epoch is done and scored.

        Args:
            patience_left: the epochs without a better score after which training ends; None if it has no early end.
        """

    def end(self, outcome: Outcome, test: Evaluation | None) -> None:
        """Report how a training ended, and the scores of its model on the test files, if it has them."""

    def end_seeds(self, outcome: SeedsOutcome) -> None:
        """Report how a training with several seeds ended."""


class Silent:
    """A listener that does nothing, from which others inherit what they do not need."""

    def note(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def pretraining_step(self, steps: PretrainingSteps) -> None: ...
    def begin(self, beginning: Beginning) -> None: ...
    def start_epoch(self, start: EpochStart) -> None: ...
    def step(self, steps: Steps) -> None: ...
    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None: ...
    def end(self, outcome: Outcome, test: Evaluation | None) -> None: ...
    def end_seeds(self, outcome: SeedsOutcome) -> None: ...


class Told(Silent):
    """A listener that passes on notes and warnings, and nothing else.

    Args:
        note, warn: receive them.
    """

    def __init__(self, note: Callable[[str], None], warn: Callable[[str], None]) -> None:
        self._note, self._warn = note, warn

    def note(self, text: str) -> None:
        self._note(text)

    def warn(self, text: str) -> None:
        self._warn(text)


class Log(Silent):
    """A listener that writes what it hears to a place that outlives the training.

    Attributes:
        name: the option or key that asks for it.
    """

    name = ""

    def places(self) -> list[str]:
        """Return the lines that say at the end where everything is."""
        return []

    def close(self) -> None:
        """Finish writing, whether the training has ended or failed."""


class Listeners:
    """A listener that passes everything on to others.

    Args:
        shown: the listener that shows the training. Its errors end the training.
        logs: the logs. The training may take hours, so it outlives a log that fails after the beginning; a warning says
            so.
    """

    def __init__(self, shown: Listener, logs: Iterable[Log]) -> None:
        self._shown, self._logs = shown, list(logs)

    def note(self, text: str) -> None:
        self._shown.note(text)

    def warn(self, text: str) -> None:
        self._shown.warn(text)

    def pretraining_step(self, steps: PretrainingSteps) -> None:
        self._shown.pretraining_step(steps)
        self._tell(lambda log: log.pretraining_step(steps))

    def begin(self, beginning: Beginning) -> None:
        self._shown.begin(beginning)
        for log in self._logs:
            log.begin(beginning)

    def start_epoch(self, start: EpochStart) -> None:
        self._shown.start_epoch(start)
        self._tell(lambda log: log.start_epoch(start))

    def step(self, steps: Steps) -> None:
        self._shown.step(steps)
        self._tell(lambda log: log.step(steps))

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        self._shown.end_epoch(result, patience_left)
        self._tell(lambda log: log.end_epoch(result, patience_left))

    def end(self, outcome: Outcome, test: Evaluation | None) -> None:
        self._shown.end(outcome, test)
        self._tell(lambda log: log.end(outcome, test))

    def end_seeds(self, outcome: SeedsOutcome) -> None:
        self._shown.end_seeds(outcome)
        self._tell(lambda log: log.end_seeds(outcome))

    def places(self) -> list[str]:
        """Return where the logs are that did not fail."""
        return [line for log in self._logs for line in log.places()]

    def close(self) -> None:
        """Close the logs."""
        self._tell(lambda log: log.close())

    def _tell(self, tell: Callable[[Log], None]) -> None:
        for log in list(self._logs):
            try:
                tell(log)
            except Exception as error:
                self._logs.remove(log)
                why = error.message if isinstance(error, TaggerError) else str(error) or type(error).__name__
                self.warn(f"{log.name}: this log ends here, and the training continues without it: {why}")
