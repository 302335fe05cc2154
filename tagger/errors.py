"""The errors a user can meet. `cli.main` is the one boundary that turns them into a message and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def shortened(value: object, most: int = 80) -> str:
    """A value as text for a message: its first `most` characters."""
    try:
        return str(value)[:most]
    except ValueError:  # a whole number of thousands of digits
        return "a number too long to show"


class TaggerError(Exception):
    """Something the user can mend.

    `message` is one line: where (file, line, key or option), what was found, what was expected, what to do.
    `detail` lines follow it, indented.
    """

    def __init__(self, message: str, *, detail: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.detail = tuple(detail)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {line}" for line in self.detail)])


class DataError(TaggerError):
    """A corpus file cannot be read as the layout says.

    With `path` and `line` (from 1) the message begins with where it is: `path:line: text`.
    """

    def __init__(self, text: str, *, path: str | Path | None = None, line: int = 0, detail: Sequence[str] = ()) -> None:
        where = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        super().__init__(where + text, detail=detail)
        self.text, self.line = text, line


class ConfigError(TaggerError):
    """The config file or a `--set` option is wrong."""


class ModelError(TaggerError):
    """A model directory is missing, partial, altered or of another format."""


class DeviceError(TaggerError):
    """The device that was asked for cannot be used."""
