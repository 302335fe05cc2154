"""The gold tags of a file: which cell of a line holds the tag, and what the cell says."""

from __future__ import annotations

import re
from pathlib import Path

from tagger.corpus.layout import BLANKS, Layout, looks_like_tag
from tagger.errors import DataError

OUTSIDE_OF_MISC = "O"  # the tag of a token whose MISC column does not name one


class GoldColumn:
    """The tag column of a file with gold tags.

    Every line must have the same column count if the tag is counted from the end (`tag: -1`), and no line may have
    more columns if it is counted from the start, because the extra column may be half of a token or tag. The count is
    given as `n_columns`, which is that of most lines; if it is None, the first line decides. In a ragged layout the
    count does not matter.

    Raises:
        DataError: the layout has no tag column.
    """

    def __init__(self, layout: Layout, path: str | Path, n_columns: int | None) -> None:
        if "tag" not in layout.columns:
            raise DataError(
                f"{path}: columns: found {dict(layout.columns)}, expected a tag column to read gold tags from;"
                " add one, as in token=0,tag=-1"
            )
        self._layout = layout
        self._index = layout.columns["tag"]
        self._token = layout.columns["token"]
        self._others = [index for name, index in layout.columns.items() if name != "tag"]
        self._path = path
        self._n_columns = n_columns or 0
        self._counted_on = "most lines"  # the lines that have this count, for messages
        self._tags: dict[str, str] = {}

    def tags_at_once(self, cells: list[str], n_columns: int, first_line: int) -> list[str] | None:
        """Return the tags of lines that all have `n_columns` columns, or None if a line is wrong.

        Args:
            cells: the cells of all lines, one line after the other.
            n_columns: the column count of each line.
            first_line: the number of the first line in the file.
        """
        index = self._index
        if index < 0 and n_columns + index in self._others:
            return None
        if self._is_wrong(n_columns, self._n_columns or n_columns):
            return None
        if index < 0:
            index += n_columns
        if not 0 <= index < n_columns:
            return None
        tags = [self._tags.get(cell) or self._read(cell) for cell in cells[index::n_columns]]
        if "" in tags:
            return None
        if not self._n_columns:
            self._n_columns, self._counted_on = n_columns, f"line {first_line}"
        return tags

    def tag(self, fields: list[str], number: int) -> str:
        """Return the tag of a line.

        Args:
            fields: the columns of the line.
            number: the number of the line in the file.

        Raises:
            DataError: the tag is missing or empty, or the column count is wrong.
        """
        n_columns = len(fields)
        if self._n_columns and self._is_wrong(n_columns, self._n_columns):
            raise self._wrong_count(fields, number)
        index = self._index if self._index >= 0 else n_columns + self._index
        if not 0 <= index < n_columns or index in self._others:
            raise missing_column(self._path, number, "tag", self._index, fields)
        if not self._n_columns:
            self._n_columns, self._counted_on = n_columns, f"line {number}"
        tag = self._read(fields[index])
        if not tag:
            raise DataError(
                f"column {self._index} (tag) is empty, expected a tag; fix the line",
                path=self._path,
                line=number,
                detail=[_show(number, fields)],
                kind="empty-tag",
            )
        return tag

    def _is_wrong(self, n_columns: int, usual: int) -> bool:
        if self._layout.ragged or n_columns == usual:
            return False
        return self._index < 0 or n_columns > usual

    def _read(self, cell: str) -> str:
        return self._tags.setdefault(cell, tag_in_cell(cell, self._layout))

    def _wrong_count(self, fields: list[str], number: int) -> DataError:
        expected = f"expected {self._n_columns} as on {self._counted_on}"
        detail = [_show(number, fields)]
        if len(fields) < self._n_columns:
            text = (
                f"a tag counted from the end (tag: {self._index}) needs the same number on every line; fix the line,"
                " or give the tag column a fixed index"
            )
        else:
            text = "a token or a tag may hold a blank, or a column is extra; fix the line (between TABs, both can hold"
            text += " blanks), or set data.ragged to true if lines may differ"
            left = self._index if self._index >= 0 else self._n_columns + self._index
            right = left - self._n_columns
            if 0 <= left < self._n_columns and self._token < len(fields):
                detail.append(f"counted from the start: token {fields[self._token]}, tag {fields[left]}")
                detail.append(f"counted from the end: tag {fields[right]}")
        return DataError(
            f"found {_count(len(fields))}, {expected}: {text}",
            path=self._path,
            line=number,
            detail=detail,
            kind="column-count",
        )


def tag_in_cell(cell: str, layout: Layout) -> str:
    """Return the tag that a cell of the tag column names.

    With `tag_key`, the cell is a MISC column of CoNLL-U, `SpaceAfter=No|name=B-LOC`, in which a token without the key
    is outside. With `several_tags`, a cell such as `B-PER|B-LOC` or `B-PER B-LOC` names several tags, of which one is
    taken.
    """
    if layout.tag_key is not None:
        named = (item.partition("=") for item in cell.strip(BLANKS).split("|"))
        return next((value for key, _, value in named if key == layout.tag_key), OUTSIDE_OF_MISC)
    tag = cell.strip(BLANKS)
    if layout.several_tags is not None and len(tags := tags_in(tag)) > 1:
        return tags[0 if layout.several_tags == "first" else -1]
    return tag


def tags_in(tag: str) -> list[str]:
    """Return the tags that a cell names if it names several, otherwise the cell itself.

    >>> tags_in("B-PER|B-LOC"), tags_in("O|B-LOC"), tags_in("B-Titre 2")
    (['B-PER', 'B-LOC'], ['O', 'B-LOC'], ['B-Titre 2'])
    """
    tags = re.split("[|,;#+/ ]", tag)
    several = len(tags) > 1 and all(map(looks_like_tag, tags)) and any(len(part) > 2 for part in tags)
    return tags if several else [tag]


def missing_column(path: str | Path, number: int, name: str, index: int, fields: list[str]) -> DataError:
    """Return the error for a line that lacks a column that is needed."""
    needed = index + 1 if index >= 0 else max(1 - index, len(fields) + 1)
    return DataError(
        f"found {_count(len(fields))}, expected at least {needed}: column {index} ({name}) is missing;"
        " fix the line, or set data.columns and data.delimiter to what the file has",
        path=path,
        line=number,
        detail=[_show(number, fields)],
        kind="missing-column",
    )


def _count(n_columns: int) -> str:
    return f"{n_columns} column{'s' if n_columns != 1 else ''}"


def _show(number: int, fields: list[str]) -> str:
    return f"line {number}: {' | '.join(fields)[:200]}"
