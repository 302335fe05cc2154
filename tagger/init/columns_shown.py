"""The columns of a file as its first sentence has them, so that a user can tell which is which."""

from __future__ import annotations

import contextlib

from tagger.config.keys import DataConfig
from tagger.corpus.layout import Layout
from tagger.corpus.survey import decoded_lines
from tagger.errors import TaggerError
from tagger.wording import cell

_MOST_LINES, _MOST_ROWS, _MOST_COLUMNS = 200, 8, 20
_WIDTH = 16


def columns_shown(path: str, data: DataConfig) -> list[str]:
    """Return a line for each column with its first values: `column 1: EU, rejects, German, …`; nothing on an error."""
    rows: list[list[str]] = []
    with contextlib.suppress(TaggerError, OSError):
        layout = Layout(delimiter=data.delimiter or "auto", encoding=data.encoding)
        split = layout.splitter()
        for number, line in decoded_lines(path, layout.encoding):
            fields = [] if line.startswith("#") else split(line)
            if len(fields) > 1:
                rows.append(fields)
            if len(rows) == _MOST_ROWS or number == _MOST_LINES or (rows and not fields):
                break
    n = min(max(map(len, rows), default=0), _MOST_COLUMNS)
    columns = [[cell(row[i], _WIDTH) for row in rows if i < len(row)] for i in range(n)]
    return [f"column {i}: {'  '.join(values)}" for i, values in enumerate(columns)]
