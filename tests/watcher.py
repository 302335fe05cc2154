"""A watcher of many trainings for tests."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.runs.job import JobResult
from tagger.runs.messages import Message
from tagger.runs.resources import Resources


class Heard:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.done: list[str] = []
        self.messages: list[tuple[str, Message]] = []
        self.finished: list[str] = []

    def begin(self, names: Sequence[str], done: Sequence[JobResult], resources: Resources) -> None:
        self.names, self.done = list(names), [result.name for result in done]

    def hear(self, name: str, message: Message) -> None:
        self.messages.append((name, message))

    def finish(self, result: JobResult) -> None:
        self.finished.append(result.name)
