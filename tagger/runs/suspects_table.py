"""The table of suspects, to be reviewed in a spreadsheet: UTF-8, columns separated by TAB, and a header.

A person fills the first column, `verdict`: nothing or `gold` keeps the gold label; `predicted` takes the prediction in
its place; tags, one for each token of the place with blanks between them, take the place of both.
"""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from tagger.corpus.dataset import Corpus
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import spans_from_tags, tags_from_spans
from tagger.errors import DataError
from tagger.evaluation.error_table import escaped
from tagger.filesystem import relative_path
from tagger.runs.suspects import Suspect

COLUMNS = ("verdict", "rank", "probability", "kind", "file", "line", "tokens", "gold", "predicted", "sentence")
HEADER = "\t".join(COLUMNS).encode() + b"\n"
KEEP, TAKE = "gold", "predicted"
_MARKS = "[", "]"


@dataclasses.dataclass(frozen=True)
class Row:
    """A suspect as the table has it.

    Attributes:
        number: the number of its row in the table, from 2, because the header is row 1.
        verdict: what a person says.
        file, line: the file, and the line of the first token.
        gold, predicted: the tags of both sides, as the file spells them.
    """

    number: int
    verdict: str
    file: str
    line: int
    gold: list[str]
    predicted: list[str]

    @property
    def takes_prediction(self) -> bool:
        """Whether the verdict is that the prediction takes the place of the gold tags."""
        return self.verdict.split() == [TAKE]

    def decided(self) -> list[str] | None:
        """Return the tags that the verdict asks for; None if the gold ones stay."""
        words = self.verdict.split()
        if not words or words == [KEEP]:
            return None
        return self.predicted if self.takes_prediction else words


def table_of(suspects: Iterable[Suspect], corpus: Corpus, notation: Notation) -> Iterator[bytes]:
    """Yield the lines of the table, the header first.

    Args:
        suspects: the suspects, in the order of the table.
        corpus: the training data.
        notation: how its files write tags.
    """
    yield HEADER
    for rank, suspect in enumerate(suspects, start=1):
        sentence = corpus.sentences[suspect.sentence]
        first, end, predicted = new_tags(corpus, suspect, notation)
        place = suspect.place
        tokens = sentence.tokens
        marked = [*tokens[: place.start], _MARKS[0], *tokens[place.start : place.end], _MARKS[1], *tokens[place.end :]]
        line = io.StringIO()
        csv.writer(line, dialect="excel-tab", lineterminator="\n").writerow(
            [
                "",
                rank,
                "" if suspect.probability is None else f"{suspect.probability:.4f}",
                place.kind,
                escaped(shown_file(sentence.path)),
                sentence.line_number(first),
                escaped(" ".join(tokens[first:end])),
                escaped(" ".join(map(notation.spell, corpus.tags[suspect.sentence][first:end]))),
                escaped(" ".join(predicted)),
                escaped(" ".join(marked)),
            ]
        )
        yield line.getvalue().encode()


def shown_file(path: str) -> str:
    """Return a training file as the table names it: relative to the working directory."""
    return relative_path(path)


def name_in_table(path: str) -> str:
    """Return a training file as `read_table` names it, which is not always how it is called.

    Signs that a cell cannot hold are escaped, and a spreadsheet may show an apostrophe in front of others.
    """
    return _unescaped(escaped(shown_file(path)))


def new_tags(corpus: Corpus, suspect: Suspect, notation: Notation) -> tuple[int, int, list[str]]:
    """Return what changes in a sentence if the prediction takes the place of the gold spans.

    In some schemes the tags beside a place change too: in IOB1, a span has `B-` only after another of its type.

    Returns:
        The first token, the one after the last, and the new tags as the file spells them.
    """
    tags, place = corpus.tags[suspect.sentence], suspect.place
    kept = [span for span in spans_from_tags(tags) if span not in place.gold]
    spans = sorted([*kept, *place.predicted], key=lambda span: span.start)
    old, new = (tags_from_spans(found, len(tags), corpus.notation.scheme) for found in (spans_from_tags(tags), spans))
    changed = [i for i, (before, after) in enumerate(zip(old, new, strict=True)) if before != after]
    first, end = min([place.start, *changed]), max([place.end, *(i + 1 for i in changed)])
    return first, end, [notation.spell(tag) for tag in new[first:end]]


def read_table(path: Path) -> list[Row]:
    """Read a table that a person has reviewed; a spreadsheet may have quoted its cells or moved its rows.

    Raises:
        DataError: the file is not such a table, or a row is damaged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}; check the path and its permissions", path=path) from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError("found a table in UTF-16, expected UTF-8; save it as UTF-8 text with TABs", path=path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"found a byte that is not UTF-8 at {error.start}, expected a table in UTF-8; save it as UTF-8 text with"
            " TABs", path=path,
        ) from None  # fmt: skip
    csv.field_size_limit(max(len(text), csv.field_size_limit()))  # a cell may hold a sentence of any length
    rows = list(csv.reader(io.StringIO(text, newline=""), dialect="excel-tab"))
    if not rows or not set(COLUMNS) <= set(rows[0]):
        missing = ", ".join(name for name in COLUMNS if not rows or name not in rows[0])
        raise DataError(
            f"found no column {missing} in the first row, expected the table of tagger suspects; save it with TABs"
            " between the columns",
            path=path,
        )
    at = {name: rows[0].index(name) for name in COLUMNS}
    found = []
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cells):
            continue
        try:
            cell = {name: _unescaped(cells[index]) for name, index in at.items()}
            line = int(cell["line"])
        except (IndexError, ValueError):
            raise DataError(
                f"found {len(cells)} cells with line {cells[at['line']] if at['line'] < len(cells) else ''!r}, expected"
                f" {len(rows[0])} cells with a whole number; restore the row",
                path=path,
                line=number,
            ) from None
        # No cell that was written has a line break, so the reader has taken several rows for one.
        broken = next((name for name, text in cell.items() if "\n" in text or "\r" in text), None)
        if broken is not None:
            raise DataError(
                f"found a line break in {broken}, expected one line for each row: a quotation mark at the start of a"
                " cell hides the rows below; save the table with quotation marks around text",
                path=path,
                line=number,
            )
        found.append(
            Row(number, cell["verdict"], cell["file"], line, cell["gold"].split(" "), cell["predicted"].split(" "))
        )
    return found


def _unescaped(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and escaped(cell[1:]) == cell else cell
