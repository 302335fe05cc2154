"""Pieces of messages: counted nouns, text cut to a readable length, and text without control characters."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

MOST_CHARACTERS = 1000  # in a message or one line of its details

# Characters that could move the cursor, recolor or reorder a terminal's text, or that cannot be seen: the C0 and C1
# controls, line separators, bidirectional and other invisible format characters, tags, surrogates and byte-order marks.
# The joiners U+200C and U+200D stay, because scripts and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)


def with_options(text: str, options: Mapping[str, str]) -> str:
    """Return a message in which the options of a command take the place of the keys of a config.

    Whatever reads a corpus names the keys in its messages; each command that has options instead puts them there.

    Args:
        options: key of the section `data` → the option of the command.

    >>> with_options("set data.encoding, as in --set data.encoding=cp1252", {"encoding": "--encoding"})
    'set --encoding, as in --encoding cp1252'
    >>> with_options("set data.columns.tag to 2", {"columns": "--columns"})
    'set tag in --columns to 2'
    """
    if not options:
        return text
    any_name = "|".join(map(re.escape, options))
    if "columns" in options:
        text = re.sub(r"\bdata\.columns\.(\w+)", rf"\1 in {options['columns']}", text)
    text = re.sub(rf"--set data\.({any_name})=", lambda key: f"{options[key[1]]} ", text)
    return re.sub(rf"\bdata\.({any_name})\b", lambda key: options[key[1]], text)


def as_argument(path: str | Path) -> str:
    """Return a path as it is typed in a command.

    >>> as_argument("my train.conll"), as_argument("-o.conll")
    ("'my train.conll'", './-o.conll')
    """
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: `1 sentence`, `2 sentences`, `0 entities`."""
    return f"{n} {noun if n == 1 else plural or f'{noun}s'}"


def duration(seconds: float) -> str:
    """Return a time in minutes, or in seconds if it is short."""
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else counted(round(seconds), "second")


def listed(items: Sequence[str]) -> str:
    """Return items as a list in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def visible(text: str) -> str:
    """Return text that is safe for a terminal: ESC becomes `\\x1b`, a bidirectional override `\\u202e`.

    A byte of a path that is not UTF-8 becomes `\\xff`. Visible text stays as it is, so a second pass changes nothing.
    """
    return _UNSAFE.sub(_escape, text)


def _escape(sign: re.Match[str]) -> str:
    code = ord(sign.group())
    if 0xDC80 <= code <= 0xDCFF:  # the form in which Python keeps a byte that it cannot decode
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def abridged(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return text of at most about `most` characters: its beginning, its length if it is cut, and its end.

    The end of a message says what to do, so the middle is left out.
    """
    if len(text) <= most:
        return text
    end = most // 3
    return f"{text[: most - end]} … ({len(text)} characters) … {text[-end:]}"


def cell(text: str, most: int) -> str:
    """Return text for a column of a table: safe for a terminal, and with `…` at the end if it is too long."""
    shown = visible(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def as_text(rows: Iterable[str]) -> str:
    """Return rows as lines that are safe for a terminal."""
    return "".join(f"{visible(abridged(row))}\n" for row in rows)
