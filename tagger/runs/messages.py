"""The messages of a training among many to its parent, one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
from typing import Any


@dataclasses.dataclass(frozen=True)
class Told:
    """A note or a warning."""

    text: str
    is_warning: bool


@dataclasses.dataclass(frozen=True)
class Pretraining:
    """The pretraining that the training begins with is underway: `done` is the share that is done, from 0 to 1."""

    done: float


@dataclasses.dataclass(frozen=True)
class Started:
    """The training begins or continues.

    Attributes:
        epochs: the most epochs that it has.
        epochs_done: those that were done before.
        best: the best score so far.
        scores: the score on dev of each epoch that was done before.
    """

    epochs: int
    epochs_done: int
    best: float | None
    scores: list[float | None] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Steps:
    """Steps were taken: `done` is the share of the epoch that is done, from 0 to 1."""

    done: float
    n_tokens: int


@dataclasses.dataclass(frozen=True)
class Epoch:
    """An epoch is done: its number from 1, its score on dev, and the best one so far."""

    epoch: int
    score: float | None
    best: float | None


@dataclasses.dataclass(frozen=True)
class Ended:
    """The training has ended: `result` holds the values of a `JobResult`, or is None if it was stopped."""

    result: dict[str, Any] | None


@dataclasses.dataclass(frozen=True)
class Failed:
    """The training has ended with an error."""

    message: str
    detail: list[str]


Message = Told | Pretraining | Started | Steps | Epoch | Ended | Failed
_KINDS = {kind.__name__: kind for kind in (Told, Pretraining, Started, Steps, Epoch, Ended, Failed)}


def to_line(message: Message) -> str:
    """Return a message as a line of JSON."""
    return json.dumps({"is": type(message).__name__, **dataclasses.asdict(message)}) + "\n"


def from_line(line: str) -> Message:
    """Return the message that `to_line` wrote.

    Raises:
        ValueError: the line is not a message.
    """
    try:
        values = json.loads(line)
        kind: type[Any] = _KINDS[values.pop("is")]
        message: Message = kind(**values)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"found {line!r:.200}, expected a message: {error}") from None
    return message
