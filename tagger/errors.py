"""The errors that a user may see.

`cli.main` is the only place that turns them into a message and an exit code.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tagger.wording import abridged, counted, visible

_MOST_DETAILS = 50  # lines


def shortened(value: object, most: int = 80) -> str:
    """Return the first `most` characters of a value as text for a message."""
    try:
        return str(value)[:most]
    except ValueError:  # Python does not convert a whole number of thousands of digits
        return "a number too long to show"


class TaggerError(Exception):
    """An error that the user can fix.

    `message` is one line. It says where the error is (file, line, key or option), what was found, what was expected,
    and what to do. The lines of `detail` are shown below it, indented. Data and paths may be part of both, so control
    characters are escaped, and what is too long or too much to read is left out.
    """

    def __init__(self, message: str, *, detail: Sequence[str] = ()) -> None:
        self.message = _line(message)
        super().__init__(self.message)
        left_out = len(detail) - _MOST_DETAILS
        more = [f"and {counted(left_out, 'more line')}"] if left_out > 0 else []
        self.detail = (*map(_line, detail[:_MOST_DETAILS]), *more)

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  {line}" for line in self.detail)])


def _line(text: str) -> str:
    return visible(abridged(text))


class DataError(TaggerError):
    """An error in a data file, such as a corpus file that cannot be read as the layout says.

    If `path` and `line` (from 1) are given, the message begins with them: `path:line: text`. `kind` and `common` group
    equal errors in a report, as in `check.problems.Problem`.
    """

    def __init__(
        self,
        text: str,
        *,
        path: str | Path | None = None,
        line: int = 0,
        detail: Sequence[str] = (),
        kind: str = "",
        common: str = "",
    ) -> None:
        where = "" if path is None else f"{path}:{line}: " if line else f"{path}: "
        super().__init__(where + text, detail=detail)
        self.text, self.line, self.kind, self.common = _line(text), line, kind, common


class ConfigError(TaggerError):
    """An error in the config file or in a `--set` option."""


class ModelError(TaggerError):
    """A model directory that is missing, incomplete, altered or in another format."""


class DeviceError(TaggerError):
    """A requested device that cannot be used."""
