"""The table of errors: what a spreadsheet and Python read in it, and what it may replace."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from stored_model import save

from tagger.errors import DataError
from tagger.evaluation.error_table import COLUMNS, check_target, error_table, escaped, write_error_table
from tagger.evaluation.errors import BOUNDARY, MADE_UP, MISSED, Entity, SpanError

ERRORS = [
    SpanError(
        BOUNDARY, 2, "a.conll", 8, Entity("LOC", "York", 1, 2), Entity("LOC", "New York", 0, 2, 0.25), "New York"
    ),
    SpanError(MISSED, 3, "a.conll", 12, Entity("=PER", '"\tÁ', 0, 1), None, '"\tÁ said "x"'),
    SpanError(MADE_UP, 3, "a.conll", 13, None, Entity("PER", "-5", 1, 2), "x -5"),
]


def rows_of(table: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.decode()), dialect="excel-tab"))


def test_the_table_is_read_back_with_every_value() -> None:
    table = b"".join(error_table(ERRORS))
    header, *rows = rows_of(table)
    assert header == list(COLUMNS)
    assert rows == [
        ["2", "a.conll:8", "boundary", "LOC", "York", "1", "2", "LOC", "New York", "0", "2", "0.2500", "New York"],
        ["3", "a.conll:12", "missed", "'=PER", '"\\x09Á', "0", "1", "", "", "", "", "", '"\\x09Á said "x"'],
        ["3", "a.conll:13", "made up", "", "", "", "", "PER", "'-5", "1", "2", "", "x -5"],
    ]
    assert table.count(b"\n") == 4
    assert all(line.count(b"\t") == len(COLUMNS) - 1 for line in table.splitlines())


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-", "'-"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\u3000=1", "'\u3000=1"),
        ("＝1", "'＝1"),
        ("\t=1", "\\x09=1"),
        ("a=1", "a=1"),
        ("'s", "'s"),
        ("'=1", "''=1"),
        ("' -1", "'' -1"),
        ("a\nb", "a\\x0ab"),
        ("\u202ex", "\\u202ex"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula_or_more_than_one_line(text: str, cell: str) -> None:
    assert escaped(text) == cell


def test_texts_that_differ_have_cells_that_differ() -> None:
    texts = ["".join(signs) for n in range(5) for signs in itertools.product("'= a", repeat=n)]
    assert len({escaped(text) for text in texts}) == len(texts)


def test_the_table_is_written_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "e.tsv"
    write_error_table(path, ERRORS)
    before = path.read_bytes()
    assert before == b"".join(error_table(ERRORS))

    def failing() -> Iterator[SpanError]:
        yield ERRORS[0]
        raise DataError("gold:3: is damaged")

    with pytest.raises(DataError, match="is damaged"):
        write_error_table(path, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(
        DataError, match=r"no/e\.tsv: cannot be written: No such file or directory; choose another place"
    ):
        write_error_table(tmp_path / "no" / "e.tsv", ERRORS)


def test_only_a_table_of_errors_is_replaced(tmp_path: Path) -> None:
    table, other, link = (tmp_path / name for name in ("e.tsv", "gold.conll", "link"))
    write_error_table(table, ERRORS)
    other.write_text("EU\tB-ORG\n")
    link.symlink_to(table)
    assert check_target(str(table)) == check_target(str(link)) == table
    assert check_target(str(tmp_path / "new")) == tmp_path / "new"
    for path in (other, tmp_path, "/dev/null"):
        with pytest.raises(DataError, match="is there and is not a table of errors, expected a new name"):
            check_target(str(path))
    with pytest.raises(DataError, match="found no folder for it, expected one; make it, or choose another place"):
        check_target(str(tmp_path / "no" / "e.tsv"))
    for name in ("", "a\0b"):
        with pytest.raises(DataError, match="found no name, expected that of the file to write"):
            check_target(name)
    with pytest.raises(DataError, match=r"^-: found standard output, expected the name of a file; choose one"):
        check_target("-")
    assert check_target("./-") == Path("-").resolve()


def test_nothing_is_written_into_a_model_directory(tmp_path: Path) -> None:
    """The next training would refuse to replace it."""
    directory = tmp_path / "m"
    save(directory)
    (tmp_path / "link").symlink_to(directory / "e.tsv")
    for path in (directory / "e.tsv", tmp_path / "link"):
        message = (
            f"^{path}: found a place in the model directory {directory}, which holds nothing but the model, expected"
        )
        with pytest.raises(DataError, match=message):
            check_target(str(path))
