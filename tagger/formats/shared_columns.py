"""The columns of a config that apply to a file, where the files of the config have several formats."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tagger.corpus.layout import BLANKS
from tagger.corpus.lines import open_corpus, read_lines
from tagger.errors import DataError
from tagger.formats import conll, conllu, csv, jsonl, parquet, webanno
from tagger.wording import listed

Columns = Mapping[str, int | str]
_WITH_INDEXES = frozenset((conll.FORMAT.name, conllu.FORMAT.name, csv.FORMAT.name))
_HEAD = 50  # lines of a file in which its names are looked for
_FEW = 5  # files that a message names
_DELIMITERS = "\t,;|="


def columns_of(columns: Columns, path: str, name: str, encoding: str) -> dict[str, int | str]:
    """Return the columns that a file has: indexes, if its format counts columns, and names that are in it.

    Args:
        columns: the columns of the config, which were meant for some of its files.
        path: the file.
        name: the name of its format.
        encoding: the encoding of the file.
    """
    if not columns:
        return {}
    try:
        known = _names(path, name, encoding) if any(isinstance(column, str) for column in columns.values()) else ()
    except DataError:
        return dict(columns)  # reading the file says what is wrong
    return {
        key: column
        for key, column in columns.items()
        if (column in known if isinstance(column, str) else name in _WITH_INDEXES)
    }


def require_known(columns: Columns, found: Sequence[Columns], paths: Sequence[str]) -> None:
    """Raise DataError if a column is in none of the files.

    Args:
        columns: the columns of the config.
        found: those of each file, as `columns_of` returns them.
        paths: the files.
    """
    for key, column in columns.items():
        if not any(key in of_file for of_file in found):
            shown = listed([*paths[:_FEW], *([f"{len(paths) - _FEW} more"] if len(paths) > _FEW else [])])
            raise DataError(
                f"columns.{key}: found {column!r}, expected the name of a column of one of {shown}; fix the name, or"
                " remove the key to let the column be found"
            )


def _names(path: str, name: str, encoding: str) -> Collection[str]:
    """Return the names that a file may have for columns; those of a line of columns are its cells."""
    if name == parquet.FORMAT.name:
        return parquet.names_of_columns(Path(path))
    if name not in (jsonl.FORMAT.name, webanno.FORMAT.name, *_WITH_INDEXES):
        return ()
    with open_corpus(path) as stream:
        head = itertools.islice(read_lines(stream, path=path), _HEAD)
        lines = [line.decode(encoding, "replace").removeprefix("\ufeff").strip("\r\n") for line in head]
    lines = [line for line in lines if line.strip(BLANKS)]
    if name == jsonl.FORMAT.name:
        return _fields(lines)
    if name == webanno.FORMAT.name:
        heads = [line.replace(".", "|") for line in lines if line.startswith("#")]
        return {cell for line in heads for cell in (*_cells(line), line.partition("=")[2].partition("|")[0])}
    return _cells(lines[0]) if lines else ()


def _cells(line: str) -> set[str]:
    cells = {cell for sign in _DELIMITERS for cell in line.split(sign)} | set(line.split())
    return {cell.strip(f'{BLANKS}"') for cell in cells}


def _fields(lines: list[str]) -> set[str]:
    """Return the fields of the first objects of JSON lines."""
    fields: set[str] = set()
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        fields.update(record if isinstance(record, dict) else ())
    return fields
