"""A corrected copy of the training data: the tags that a person has decided on are changed, and no other byte is."""

from __future__ import annotations

import codecs
import collections
import contextlib
import dataclasses
import gzip
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from tagger.atomic import write_atomically
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus, read_line_blocks
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import OUTSIDE, UNKNOWN, Span, spans_from_tags, tags_from_spans
from tagger.errors import DataError
from tagger.runs.suspects_table import Row, name_in_table, read_table, shown_file
from tagger.training.corpora import Corpora
from tagger.wording import counted

_NOT_AS_IT_WAS = "expected the corpus that the table was made of; make the table again"


@dataclasses.dataclass(frozen=True)
class Change:
    """A tag that is replaced: the line of its token (from 1), the old tag and the new one."""

    line: int
    old: str
    new: str


@dataclasses.dataclass(frozen=True)
class Corrections:
    """What a reviewed table asks for.

    Attributes:
        changes: the changed tags by file, in the order of the lines.
        n_decided: the number of rows whose gold label does not stay.
        n_rows: the number of all rows.
    """

    changes: dict[str, list[Change]]
    n_decided: int
    n_rows: int

    def describe(self) -> str:
        """Return the numbers in words."""
        n_tags = sum(map(len, self.changes.values()))
        return f"{self.n_decided} of {counted(self.n_rows, 'suspect')} corrected, {counted(n_tags, 'tag')} changed"


def corrections_of(table: Path, found: Corpora) -> Corrections:
    """Return what a reviewed table asks for.

    Args:
        table: the table.
        found: the training data, as they were read for the table.

    Raises:
        DataError: a row does not belong to the data, a verdict is neither known nor tags, or two rows differ about a
            token.
    """
    if found.converted:
        raise DataError(
            "--apply: found training data of another format, expected CoNLL; convert it with tagger convert, and train"
            " on that",
            path=found.train.path,
        )
    rows, corpus = read_table(table), found.train
    places = _Places(found, table)
    by_sentence: dict[int, list[_Decision]] = collections.defaultdict(list)
    for row in rows:
        tags = row.decided()
        if tags is not None:
            i, first = places.of(row)
            _check(row, tags, found.notation, table)
            # The tags around those of the row are written anew, because ill-formed ones would be read otherwise.
            canonical = tags_from_spans(spans_from_tags(corpus.tags[i]), len(corpus.tags[i]), corpus.notation.scheme)
            new = list(map(found.notation.canonical, tags))
            canonical[first : first + len(tags)] = new
            annotation: dict[int, str] = {}
            if not row.takes_prediction:
                annotation = {
                    token: tag
                    for token, tag in enumerate(new, start=first)
                    if tag == UNKNOWN or (tag == OUTSIDE and corpus.tags[i][token] == UNKNOWN)
                }
            by_sentence[i].append(_Decision(row, spans_from_tags(canonical), annotation))
    changes: dict[str, list[Change]] = collections.defaultdict(list)
    for i, decisions in sorted(by_sentence.items()):
        changes[shown_file(corpus.sentences[i].path)] += _changes_of(i, decisions, found, table)
    return Corrections(
        {file: of_it for file, of_it in changes.items() if of_it}, sum(map(len, by_sentence.values())), len(rows)
    )


@dataclasses.dataclass(frozen=True)
class _Decision:
    """What a row asks for in its sentence.

    Attributes:
        row: the row.
        spans: the spans that the sentence would have by this row alone.
        annotation: token → `O` where it was not annotated, or `UNKNOWN` where it is not to be annotated any more.
    """

    row: Row
    spans: list[Span]
    annotation: dict[int, str]


class _Places:
    """The places of the rows of a table in a corpus.

    Args:
        found: the training data, as they were read for the table.
        table: the table, for messages.
    """

    def __init__(self, found: Corpora, table: Path) -> None:
        self._corpus, self._notation, self._table = found.train, found.notation, table
        self._at = {
            (sentence.path, sentence.line_number(token)): (i, token)
            for i, sentence in enumerate(found.train.sentences)
            for token in range(len(sentence.tokens))
        }
        self._paths = list(dict.fromkeys(sentence.path for sentence in found.train.sentences))

    def of(self, row: Row) -> tuple[int, int]:
        """Return the sentence and the first token of a row, whose gold tags must be those of the corpus."""
        path = self._path(row)
        place = None if path is None else self._at.get((path, row.line))
        if place is None:
            raise DataError(
                f"found line {row.line} of {row.file}, where the training data have no token, {_NOT_AS_IT_WAS}",
                path=self._table,
                line=row.number,
            )
        i, first = place
        now = [self._notation.spell(tag) for tag in self._corpus.tags[i][first : first + len(row.gold)]]
        if now != row.gold:
            raise DataError(
                f"found the gold tags {' '.join(row.gold)} for line {row.line} of {row.file}, which has"
                f" {' '.join(now)}, {_NOT_AS_IT_WAS}",
                path=self._table,
                line=row.number,
            )
        return place

    def _path(self, row: Row) -> str | None:
        """Return the file of a row; one of its name alone if the table was made in another folder."""
        found = [path for path in self._paths if name_in_table(path) == row.file]
        name = row.file.rpartition("/")[2]
        found = found or [path for path in self._paths if name_in_table(path).rpartition("/")[2] == name]
        if len(found) > 1:
            raise DataError(
                f"found {row.file}, which may be {' or '.join(map(shown_file, found))}, expected one file; apply the"
                " table in the folder where it was made",
                path=self._table,
                line=row.number,
            )
        return found[0] if found else None


def _check(row: Row, tags: Sequence[str], notation: Notation, table: Path) -> None:
    """Raise DataError if the tags of a verdict are too many or too few, or one is no tag of the training data."""
    odd = next((tag for tag in tags if not notation.fits(tag)), None)
    if len(tags) != len(row.gold) or odd is not None:
        found = f"the tag {odd}" if odd is not None else f"{counted(len(tags), 'tag')}"
        raise DataError(
            f"verdict: found {found} in {row.verdict!r:.100}, expected gold, predicted, or"
            f" {counted(len(row.gold), 'tag')} in {notation.describe()}, as in {' '.join(row.predicted)}",
            path=table,
            line=row.number,
        )


def _changes_of(i: int, decisions: Sequence[_Decision], found: Corpora, table: Path) -> Iterator[Change]:
    """Yield the changed tags of a sentence.

    The spans of all decisions come together before they are written as tags: in some schemes, such as IOB1, a tag
    depends on the span before it, which another row may change.
    """
    corpus, notation = found.train, found.notation
    sentence, tags = corpus.sentences[i], corpus.tags[i]
    gold = spans_from_tags(tags)
    removed = {span for one in decisions for span in gold if span not in one.spans}
    kept = [span for span in gold if span not in removed]
    taken: dict[int, str] = {token: "a gold label that stays" for span in kept for token in range(span.start, span.end)}
    added, annotation = list[Span](), dict[int, str]()

    def take(row: Row, what: str, tokens: Collection[int]) -> None:
        other = next((taken[token] for token in tokens if token in taken), None)
        if other is not None:
            raise DataError(
                f"verdict: found {what} in line {row.line} of {row.file}, where {other} has a token of it,"
                " expected one of the two; decide one of the rows only",
                path=table,
                line=row.number,
            )
        taken.update(dict.fromkeys(tokens, f"row {row.number}"))

    for one in decisions:
        for span in one.spans:
            if span not in gold and span not in added:
                take(one.row, span.type, range(span.start, span.end))
                added.append(span)
        for token, tag in one.annotation.items():
            if annotation.get(token) != tag:
                take(one.row, notation.spell(tag), [token])
                annotation[token] = tag
    spans = sorted([*kept, *added], key=lambda span: span.start)
    before, after = (tags_from_spans(some, len(tags), corpus.notation.scheme) for some in (gold, spans))
    new = [then if then != now else tag for now, then, tag in zip(before, after, tags, strict=True)]
    if spans_from_tags(new) != spans:  # an ill-formed tag that stayed is read otherwise beside a new one
        new = [tag if tag == UNKNOWN and then == OUTSIDE else then for then, tag in zip(after, tags, strict=True)]
    for token, (old, tag) in enumerate(zip(tags, new, strict=True)):
        tag = annotation.get(token, tag)
        if old != tag:
            yield Change(sentence.line_number(token), sentence.tags[token], notation.spell(tag))


def write_corrected(corrections: Corrections, files: Sequence[str], layout: Layout, target: Path) -> list[Path]:
    """Write corrected copies of the training files: one file, or a folder with the copies of several.

    Args:
        files: the training files.
        layout: how they are read.
        target: the name of the copy, or of the folder; a name that ends in .gz is compressed.

    Raises:
        DataError: the place is not free, or a copy cannot be written.
    """
    several = len(files) > 1
    names = [Path(file).name for file in files]
    if several and len(set(names)) < len(names):
        raise DataError(
            f"-o {target}: found training files of the same name, expected different ones, because the folder would"
            " hold their copies; rename one"
        )
    copies = [target / name for name in names] if several else [target]
    for copy in copies:
        if copy.exists() or copy.is_symlink():
            raise DataError(f"-o {copy}: already exists, expected a new name; choose another")
    contents = [
        b"".join(_corrected_lines(file, corrections.changes.get(shown_file(file), []), layout)) for file in files
    ]
    written = list[Path]()
    has_folder = copies[0].parent.exists()
    for copy, content in zip(copies, contents, strict=True):
        try:
            copy.parent.mkdir(parents=several, exist_ok=True)
            write_atomically(copy.resolve(), gzip.compress(content, mtime=0) if copy.suffix == ".gz" else content)
        except OSError as error:
            _remove(written, None if has_folder else copies[0].parent)
            raise DataError(f"-o {copy}: cannot be written: {error.strerror}; choose another place") from None
        written.append(copy)
    return written


def _remove(files: Sequence[Path], folder: Path | None) -> None:
    """Remove files that were written, and the folder that was made for them."""
    with contextlib.suppress(OSError):
        for file in files:
            file.unlink(missing_ok=True)
        if folder is not None:
            folder.rmdir()


def _corrected_lines(file: str, changes: Sequence[Change], layout: Layout) -> list[bytes]:
    with open_corpus(file) as stream:
        lines = [line for block in read_line_blocks(stream, path=file) for line in block]
    is_utf_8 = codecs.lookup(layout.encoding).name == "utf-8"
    for change in changes:
        raw = lines[change.line - 1]
        mark = codecs.BOM_UTF8 if is_utf_8 and raw.startswith(codecs.BOM_UTF8) else b""
        body = raw[len(mark) :].rstrip(b"\r\n")
        new = layout.replace_tag(body, change.old, change.new)
        lines[change.line - 1] = mark + new + raw[len(mark) + len(body) :]
    return lines
