"""The list of formats, and the choice of one by its name, by the name of a file or by its content."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from tagger.corpus.lines import open_corpus, shown_name
from tagger.errors import DataError
from tagger.formats import (
    brackets,
    brat,
    conll,
    conllu,
    csv,
    docbin,
    html,
    jsonl,
    label_studio,
    marked,
    parallel,
    parquet,
    slashed,
    spans,
    text,
    webanno,
)
from tagger.formats.document import Format

# Those that are recognized by more come first: nearly every format with columns could be CoNLL.
FORMATS: tuple[Format, ...] = (
    label_studio.FORMAT,
    jsonl.FORMAT,
    webanno.FORMAT,
    brat.FORMAT,
    parquet.FORMAT,
    docbin.FORMAT,
    conllu.FORMAT,
    brackets.FORMAT,
    slashed.FORMAT,
    parallel.FORMAT,
    csv.FORMAT,
    spans.FORMAT,
    marked.FORMAT,
    html.FORMAT,
    text.FORMAT,
    conll.FORMAT,
)
_BY_NAME = {format_.name: format_ for format_ in FORMATS}
_SAMPLE_BYTES = 1 << 16
_MOST_LINES = 50
_GZIP = ".gz"


def named(name: str, *, option: str = "data.format") -> Format:
    """Return the format of a name.

    Raises:
        DataError: there is none.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    near = difflib.get_close_matches(name, _BY_NAME, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise DataError(f"{option}: found {name!r}, expected one of {', '.join(_BY_NAME)}{meant}")


def guess_source(path: Path) -> tuple[Format, str]:
    """Return the format of a file or folder that is to be read, and what it was guessed from.

    The content decides, and the name where the content does not. Only if the content says no more than that there are
    columns does another name than CoNLL's win. A file is raw text only if its lines look like that and like nothing
    else: a name that ends in .txt says nothing.

    Raises:
        DataError: the file cannot be opened, or neither its name nor its content tell.
    """
    if str(path) == "-":
        raise DataError(
            f"{shown_name(path)}: has no name to guess its format from, expected its format; set data.format to one of"
            f" {', '.join(_BY_NAME)}"
        )
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DataError(
            f"{path}: is a pipe or a device, whose content cannot be looked at before it is read, expected --from"
            f" FORMAT; name one of {', '.join(_BY_NAME)}"
        )
    if path.is_dir():
        found = [format_ for format_ in FORMATS if format_.folder and _holds(path, format_.suffixes)]
        return _one(found, path, "because of the names of its files", "folder")
    by_name = [format_ for format_ in _with_suffix(path) if format_ is not text.FORMAT]
    try:
        lines = _first_lines(path)
    except DataError:
        if not by_name:
            raise
        lines = []
    by_content = [format_ for format_ in FORMATS if lines and format_.recognize(lines)]
    if text.FORMAT in by_content:
        others = [format_ for format_ in by_content if format_ not in (text.FORMAT, conll.FORMAT)]
        by_content = others or [conll.FORMAT if conll.FORMAT in by_name else text.FORMAT]
    if by_name and conll.FORMAT not in by_name:
        by_content = [format_ for format_ in by_content if format_ is not conll.FORMAT]
    if by_content:
        best = min(by_content, key=lambda format_: (format_ is conll.FORMAT, format_ not in by_name))
        return best, f"because of its {'name and ' if best in by_name else ''}content"
    by_name.sort(key=lambda format_: format_ is not conll.FORMAT)  # the content would have told the others
    return _one(by_name, path, "because of its name", "file")


def guess_target(path: Path) -> tuple[Format, str]:
    """Return the format in which a file or folder is to be written, and what it was guessed from.

    Raises:
        DataError: its name does not tell.
    """
    written = {format_.name: format_ for format_ in FORMATS if format_.is_written}
    if str(path) == "-":
        raise DataError(
            f"<standard output>: has no name to guess its format from, expected --to FORMAT; name one of"
            f" {', '.join(written)}"
        )
    found = [format_ for format_ in _with_suffix(path) if format_.is_written]
    if found:
        return found[0], "because of its name"
    raise DataError(
        f"{path}: its name does not say in which format to write it, expected --to FORMAT; name one of"
        f" {', '.join(written)}, or let the name end as their files do",
        detail=[f"{format_.name}: {', '.join(format_.suffixes)}" for format_ in written.values()],
    )


def _one(found: Sequence[Format], path: Path, why: str, what: str) -> tuple[Format, str]:
    if found:
        return found[0], why
    raise DataError(
        f"{path}: neither its name nor its content says in which format the {what} is, expected its format; set"
        f" data.format to one of {', '.join(_BY_NAME)}",
        detail=[f"{format_.name}: {format_.description}" for format_ in FORMATS],
    )


def _with_suffix(path: Path) -> list[Format]:
    """Return the formats with the longest suffix that the name of a file has."""
    name = path.name.casefold().removesuffix(_GZIP)
    lengths = {
        format_.name: max((len(suffix) for suffix in format_.suffixes if name.endswith(suffix)), default=0)
        for format_ in FORMATS
    }
    longest = max(lengths.values())
    return [_BY_NAME[name] for name, length in lengths.items() if length == longest > 0]


def _holds(folder: Path, suffixes: Sequence[str]) -> bool:
    """Return whether a folder, or a folder in it, has a file with one of the suffixes."""
    return any(path.name.casefold().endswith(tuple(suffixes)) for path in folder.rglob("*"))


def _first_lines(path: Path) -> list[str]:
    with open_corpus(path) as stream:
        sample = stream.read(_SAMPLE_BYTES)
    lines = sample.decode("utf-8-sig", "replace").splitlines()
    if len(sample) == _SAMPLE_BYTES and len(lines) > 1:
        lines.pop()  # it may be cut
    return lines[:_MOST_LINES]
