"""Check a file with given content in the working directory, and split files into lines to compare them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tagger.check.files import CheckSettings, FileReport, check_file


def check(data: str | bytes, path: str = "f.conll", **given_settings: Any) -> FileReport:
    """Write a file into the working directory, check it and return the report."""
    Path(path).write_bytes(data.encode() if isinstance(data, str) else data)
    return check_file(path, CheckSettings(**given_settings))


def split_lines(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the body and the line end of each line."""
    return [(m[1], m[2]) for m in re.finditer(rb"([^\r\n]*)(\r\n|\r|\n|\Z)", data) if m[0]]
