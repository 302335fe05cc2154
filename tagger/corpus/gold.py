"""The gold tag of a token line, and the errors of lines that lack a column."""

from __future__ import annotations

from pathlib import Path

from tagger.corpus.layout import BLANKS, Layout
from tagger.errors import DataError


class GoldColumn:
    """Finds the gold tag of a line; with `tag: -1` every line must have as many columns as most, or as the first."""

    def __init__(self, layout: Layout, path: str | Path, n_columns: int | None) -> None:
        if "tag" not in layout.columns:
            raise DataError(
                f"{path}: columns: found {dict(layout.columns)}, expected a tag column to read gold tags from;"
                " add one, as in token=0,tag=-1"
            )
        self._index = layout.columns["tag"]
        self._others = [index for name, index in layout.columns.items() if name != "tag"]
        self._path = path
        self._n_columns = n_columns or 0
        self._model = "most lines"  # which lines have that many

    def tags_at_once(self, cells: list[str], n_columns: int, first_line: int) -> list[str] | None:
        """The tags of lines of so many columns, whose cells lie one after the other; None if a line is wrong."""
        index = self._index
        if index < 0:
            if n_columns != (self._n_columns or n_columns) or n_columns + index in self._others:
                return None
            index += n_columns
        if not 0 <= index < n_columns:
            return None
        tags = [tag.strip(BLANKS) for tag in cells[index::n_columns]]
        if "" in tags:
            return None
        if self._index < 0 and not self._n_columns:
            self._n_columns, self._model = n_columns, f"line {first_line}"
        return tags

    def tag(self, fields: list[str], number: int) -> str:
        n_columns = len(fields)
        if self._index < 0 and n_columns != self._n_columns:
            if self._n_columns:
                raise DataError(
                    f"found {_count(n_columns)}, expected {self._n_columns} as on {self._model}: a tag"
                    f" counted from the end (tag: {self._index}) needs the same number on every line; mend the line,"
                    " or give the tag column a fixed index",
                    path=self._path,
                    line=number,
                    detail=[_show(number, fields)],
                )
            self._n_columns, self._model = n_columns, f"line {number}"
        index = self._index if self._index >= 0 else n_columns + self._index
        if not 0 <= index < n_columns or index in self._others:
            if self._model == f"line {number}":
                self._n_columns = 0
            raise missing_column(self._path, number, "tag", self._index, fields)
        tag = fields[index].strip(BLANKS)
        if not tag:
            raise DataError(
                f"column {self._index} (tag) is empty, expected a tag; mend the line",
                path=self._path,
                line=number,
                detail=[_show(number, fields)],
            )
        return tag


def missing_column(path: str | Path, number: int, name: str, index: int, fields: list[str]) -> DataError:
    """The error for a line that lacks a column that is needed."""
    needed = index + 1 if index >= 0 else max(1 - index, len(fields) + 1)
    return DataError(
        f"found {_count(len(fields))}, expected at least {needed}: column {index} ({name}) is missing;"
        " mend the line, or set columns and delimiter to what the file has",
        path=path,
        line=number,
        detail=[_show(number, fields)],
    )


def _count(n_columns: int) -> str:
    return f"{n_columns} column{'s' if n_columns != 1 else ''}"


def _show(number: int, fields: list[str]) -> str:
    return f"line {number}: {' | '.join(fields)[:200]}"
