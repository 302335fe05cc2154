"""A table of errors for a spreadsheet: UTF-8, columns separated by TAB, one line for the names of the columns.

A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV injection): one that begins
with `=`, `+`, `-` or `@`, also in full width, whatever blanks come first. Control characters are escaped as in
messages, so that a cell is always one line. A cell with a quotation mark is quoted as in CSV.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tagger.atomic import write_blocks_atomically
from tagger.errors import DataError
from tagger.evaluation.errors import Entity, SpanError
from tagger.model_dir.store import surrounding_model
from tagger.wording import visible

_SPAN = ("type", "text", "start", "end")
COLUMNS = (
    "sentence", "place", "kind", *(f"gold {name}" for name in _SPAN), *(f"predicted {name}" for name in _SPAN),
    "probability", "sentence text",
)  # fmt: skip
HEADER = "\t".join(COLUMNS).encode() + b"\n"
_FORMULA = re.compile(r"[\s']*[=+\-@＝＋－＠]")


def escaped(text: str) -> str:
    """Return text for a cell, which a spreadsheet shows as text.

    Text that has an apostrophe before such a sign already gets one more, so that one can always be taken away again.

    >>> escaped("=1+1"), escaped("'=1+1"), escaped("1-1")
    ("'=1+1", "''=1+1", '1-1')
    """
    shown = visible(text)
    return f"'{shown}" if _FORMULA.match(shown) else shown


def error_table(errors: Iterable[SpanError]) -> Iterator[bytes]:
    """Yield the lines of the table as the errors come, the header first."""
    yield HEADER
    for error in errors:
        line = io.StringIO()
        probability = None if error.predicted is None else error.predicted.probability
        csv.writer(line, dialect="excel-tab", lineterminator="\n").writerow(
            [
                error.sentence,
                escaped(f"{error.path}:{error.line}"),
                error.kind,
                *_cells(error.gold),
                *_cells(error.predicted),
                "" if probability is None else f"{probability:.4f}",
                escaped(error.text),
            ]
        )
        yield line.getvalue().encode()


def _cells(entity: Entity | None) -> list[str | int]:
    if entity is None:
        return ["", "", "", ""]
    return [escaped(entity.type), escaped(entity.text), entity.start, entity.end]


def check_target(path: str, header: bytes = HEADER, what: str = "a table of errors") -> Path:
    """Return the place of a new table, or of another file whose beginning tells what it is; links are followed.

    Args:
        path: the place as the user gave it.
        header: the beginning of a file that may be replaced.
        what: the name of such a file, for the message.

    Raises:
        DataError: another kind of file is there, the folder does not exist, or it is a model directory, which no
            training would replace any more.
    """
    if not path or "\0" in path:
        raise DataError(f"{path!r}: found no name, expected that of the file to write; choose one")
    if path == "-":
        raise DataError("-: found standard output, expected the name of a file; choose one (./- is a file)")
    target = Path(path).resolve()
    if (model := surrounding_model(target)) is not None:
        raise DataError(
            f"found a place in the model directory {model}, which holds nothing but the model, expected another place;"
            " choose one beside it",
            path=path,
        )
    try:
        if not target.exists():
            if not target.parent.is_dir():
                raise DataError("found no folder for it, expected one; make it, or choose another place", path=path)
            return target
        if target.is_file():
            with target.open("rb") as file:
                if file.read(len(header)) == header:
                    return target
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}; choose another place", path=path) from None
    raise DataError(
        f"is there and is not {what}, expected a new name, or that of {what} to replace; choose another", path=path
    )


def write_error_table(path: Path, errors: Iterable[SpanError]) -> None:
    """Write the table in one step, once all errors have come.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        write_blocks_atomically(path, error_table(errors))
    except OSError as error:
        raise DataError(f"cannot be written: {error.strerror}; choose another place", path=path) from None
