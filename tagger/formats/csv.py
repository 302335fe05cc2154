"""CSV with a token and its tag on each row, as in Kaggle's ner_dataset.csv, or with a whole sentence on each row.

A column of sentences (`Sentence: 1` on its first row, or a number on each row) or rows without a token separate
sentences. A column of documents or `-DOCSTART-` rows separate documents; otherwise each sentence is a document.
"""

from __future__ import annotations

import ast
import codecs
import collections
import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tagger.corpus.columns import choose_columns, header_of, numbers_as_tags
from tagger.corpus.detection import by_index
from tagger.corpus.encodings import wrong_byte
from tagger.corpus.foreign import csv_columns
from tagger.corpus.layout import BLANKS, DOCSTART, Layout
from tagger.corpus.lines import open_corpus, read_lines, require_regular, shown_name
from tagger.corpus.notation import is_outside
from tagger.corpus.survey import Shape, Survey, count_rows
from tagger.errors import DataError
from tagger.formats.document import Document, Format, ReadOptions, WriteOptions, encoded
from tagger.formats.tag_reading import TaggedSentence, TagReader, refuse_doubts
from tagger.formats.tag_writing import TagWriter

_HEADER = ("document", "sentence", "token", "tag")  # as written; read as a header whatever the columns hold
_DELIMITERS = ",;\t|"
_SAMPLE = 50  # rows from which the delimiter and the form are taken
_ROWS_AT_ONCE = 4096
_SENTENCE_NAME = re.compile(r"sent(ence)?s?(?:$|[ _#.-].*|id|nr|no|num(ber)?)", re.IGNORECASE)
_DOCUMENT_NAME = re.compile(r"doc(ument)?s?(?:$|[ _#.-].*|id|nr|no)", re.IGNORECASE)
_TEXT_NAMES = frozenset(("sentence", "sentences", "sent", "text"))
_TAG_NAMES = frozenset(("tag", "tags", "label", "labels", "ner_tags", "word_labels", "ner"))
_NUMBERED = re.compile(r"sentence\W*\d+", re.IGNORECASE)

Row = tuple[int, list[str]]  # the number of the line where a row begins, and its cells


def recognize(lines: list[str]) -> bool:
    """Return whether lines are CSV with commas and tags in the last column."""
    content = [line for line in lines if line.strip(BLANKS)]
    return bool(content) and csv_columns(content) > 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Form:
    """The form of a file: its columns, and what a row is.

    Attributes:
        n_columns: the number of columns of each row.
        header: the names of the columns; empty if the first row is not a header.
        token, tag, sentence, document: the columns, or None.
        whole: whether a row holds a whole sentence.
    """

    n_columns: int
    header: tuple[str, ...]
    token: int
    tag: int | None
    sentence: int | None
    document: int | None
    whole: bool


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Read documents one by one; the file is read three times: for its columns, its tags and its documents."""
    require_regular(path)
    name, delimiter = shown_name(path), _delimiter(path, options)
    form = _form(path, delimiter, options)
    if form is None:
        return

    def sentences() -> Iterator[TaggedSentence]:
        found = _Sentences(form, name, dataclasses.replace(options, report=lambda error: None))
        return (sentence for _, sentence in found.read(_rows(path, delimiter, options)) if sentence is not None)

    reader = TagReader(path, sentences, options)
    rows = _Sentences(form, name, options).read(_rows(path, delimiter, options))
    yield from _documents(rows, reader)


Sentences = Iterable[tuple["_Document | None", TaggedSentence | None]]


def _documents(rows: Sentences, reader: TagReader) -> Iterator[Document]:
    """Yield the documents of sentences; those that belong to none are documents of their own."""
    for n, (document, group) in enumerate(_grouped(rows), start=1):
        name = None if document is None or document.name == str(n) else document.name
        line = group[0].lines[0] if document is None else document.line
        yield reader.document(group, id=name, line=line)


def _grouped(rows: Sentences) -> Iterator[tuple[_Document | None, list[TaggedSentence]]]:
    for document, group in itertools.groupby(rows, key=lambda row: row[0]):
        sentences = (sentence for _, sentence in group if sentence is not None)
        if document is not None:
            yield document, list(sentences)
        else:
            yield from ((None, [sentence]) for sentence in sentences)


@dataclasses.dataclass(frozen=True)
class _Document:
    """A document of a file: its name in the column of documents, and the line where it begins."""

    name: str | None
    line: int


class _Sentences:
    """The sentences of rows, each with its document."""

    def __init__(self, form: _Form, path: str, options: ReadOptions) -> None:
        self._form, self._path, self._report = form, path, options.report
        self._document: _Document | None = None
        self._last: str | None = None  # the last value of the column of sentences
        self._tokens: list[str] = []
        self._tags: list[str] = []
        self._lines: list[int] = []

    def read(self, rows: Iterable[Row]) -> Iterator[tuple[_Document | None, TaggedSentence | None]]:
        """Yield each sentence with its document, or a document alone when a `-DOCSTART-` row begins it."""
        form = self._form
        for number, cells in rows:
            if form.header and tuple(cells) == form.header:
                continue
            if not any(cells):
                yield from self._end()
                continue
            if DOCSTART in (cells[0], *cells[form.token : form.token + 1]):
                yield from self._end()
                self._document = _Document(None, number)
                yield self._document, None
                continue
            self._check(number, cells)
            name = "" if form.document is None else cells[form.document]
            begins_document = bool(name) and (self._document is None or name != self._document.name)
            if self._begins_sentence(cells) or begins_document:
                yield from self._end()
            if begins_document:
                self._document = _Document(name, number)
            if form.whole:
                yield self._document, self._whole(number, cells)
            elif cells[form.token].strip(BLANKS):
                self._tokens.append(cells[form.token])
                self._tags.append("" if form.tag is None else cells[form.tag].strip(BLANKS))
                self._lines.append(number)
            else:
                yield from self._without_token(number, cells)
        yield from self._end()

    def _check(self, number: int, cells: Sequence[str]) -> None:
        if len(cells) != self._form.n_columns:
            raise DataError(
                f"found {len(cells)} columns, expected {self._form.n_columns} as on most rows; fix the row (a cell that"
                " holds the delimiter must be quoted)",
                path=self._path,
                line=number,
                detail=[" | ".join(cells)[:200]],
            )
        tag = self._form.tag
        if tag is not None and not cells[tag].strip(BLANKS) and cells[self._form.token].strip(BLANKS):
            raise DataError("found no tag, expected one beside the token; fix the row", path=self._path, line=number)

    def _begins_sentence(self, cells: Sequence[str]) -> bool:
        if self._form.sentence is None:
            return False
        value = cells[self._form.sentence]
        begins = bool(value) and value != self._last
        self._last = value or self._last
        return begins

    def _end(self) -> Iterator[tuple[_Document | None, TaggedSentence | None]]:
        """Yield the sentence that has been read."""
        if self._tokens:
            yield (
                self._document,
                TaggedSentence(self._tokens, [] if self._form.tag is None else self._tags, self._lines),
            )
        self._tokens, self._tags, self._lines = [], [], []

    def _whole(self, number: int, cells: Sequence[str]) -> TaggedSentence | None:
        """Return the sentence of a row that holds all of it."""
        tokens = _items(cells[self._form.token])
        tags = [] if self._form.tag is None else _items(cells[self._form.tag])
        if self._form.tag is not None and len(tags) != len(tokens):
            raise DataError(
                f"found {len(tokens)} tokens and {len(tags)} tags, expected the same number; fix the row",
                path=self._path,
                line=number,
            )
        return TaggedSentence(tokens, tags, [number] * len(tokens)) if tokens else None

    def _without_token(
        self, number: int, cells: Sequence[str]
    ) -> Iterator[tuple[_Document | None, TaggedSentence | None]]:
        """End the sentence at a row without a token; say so if the row holds more than that."""
        tag = "" if self._form.tag is None else cells[self._form.tag].strip(BLANKS)
        if self._form.sentence is None and (not tag or is_outside(tag)):
            yield from self._end()
            return
        self._report(DataError("rows without a token are not kept", path=self._path, line=number, kind="no-token"))


def _items(cell: str) -> list[str]:
    """Return the items of a cell: `a b` or `['a', 'b']`."""
    if cell.startswith("[") and cell.rstrip().endswith("]"):
        try:
            return [str(item) for item in ast.literal_eval(cell)]
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
    return cell.split()


def _rows(path: Path, delimiter: str, options: ReadOptions) -> Iterator[Row]:
    reader = csv.reader(_lines(path, options.encoding), delimiter=delimiter, strict=True)
    line = 1
    try:
        for cells in reader:
            yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"is not CSV: {error}; fix the quotes, or set data.format to conll and data.delimiter to '{delimiter}' if"
            " no cell is quoted",
            path=shown_name(path),
            line=line,
        ) from None


def _lines(path: Path, encoding: str) -> Iterator[str]:
    """Yield the lines of a file with their line ends, which may be inside of cells."""
    decode = codecs.getdecoder(encoding)
    with open_corpus(path) as stream:
        for number, raw in enumerate(read_lines(stream, path=path), start=1):
            try:
                line = decode(raw)[0]
            except UnicodeDecodeError as error:
                raise wrong_byte(path, number, error) from None
            yield line.removeprefix("\ufeff") if number == 1 else line


def _delimiter(path: Path, options: ReadOptions) -> str:
    """Return the delimiter that cuts the first lines into the most even rows of two or more columns."""
    given = {"tab": "\t", "space": " "}.get(options.delimiter or "", options.delimiter)
    if given is not None and given != "auto":
        if len(given) != 1:
            raise DataError(f"delimiter: found {given!r}, expected one character, as CSV has")
        return given
    lines = list(itertools.islice(_lines(path, options.encoding), _SAMPLE))

    def evenness(sign: str) -> tuple[int, int]:
        try:
            counts = collections.Counter(map(len, filter(None, csv.reader(lines, delimiter=sign))))
        except csv.Error:
            return 0, 0
        n_columns, n = counts.most_common(1)[0] if counts else (0, 0)
        return (n, n_columns) if n_columns > 1 else (0, 0)

    return max(_DELIMITERS, key=evenness)


def _form(path: Path, delimiter: str, options: ReadOptions) -> _Form | None:
    """Return the form of a file, or None if it has no rows."""
    found = _survey(path, delimiter, options)
    if not found.shapes:
        return None
    n = len(found.columns)
    is_ours = n == len(_HEADER) and tuple(found.first_fields) == _HEADER
    asked = [column for column in options.columns.values() if isinstance(column, str)]
    header = _HEADER if is_ours else header_of(found, asked)
    given = by_index(path, options.columns, header or found.first_fields)
    if is_ours:
        given = {"token": _HEADER.index("token"), "tag": _HEADER.index("tag"), **given}
    if not header:
        header, given = _header_of_sentences(found, given)
    numbered = not header and any(map(_NUMBERED.fullmatch, found.columns[0])) and n > 1
    if numbered and "token" not in given:
        given = {**given, "token": 1}
    layout = Layout(delimiter=delimiter, encoding=options.encoding)
    chosen = choose_columns(path, found, layout, given, header, None)
    token, tag = chosen.columns["token"], chosen.columns["tag"] % n
    taken = {token, tag}
    form = _Form(
        n_columns=n,
        header=header,
        token=token,
        tag=None if tag == token else tag,
        sentence=0 if numbered else _named(header, _SENTENCE_NAME, taken),
        document=_named(header, _DOCUMENT_NAME, taken),
        whole=False,
    )
    tags = collections.Counter(found.columns[tag]) - collections.Counter(header[tag : tag + 1])
    numbers = numbers_as_tags(tags)
    refuse_doubts([*chosen.doubts, *([numbers] if numbers else [])], path, options)
    sample = itertools.islice(_rows(path, delimiter, options), bool(header), _SAMPLE)
    form = dataclasses.replace(form, whole=_holds_sentences([cells for _, cells in sample if len(cells) == n], form))
    _note(form, chosen.notes, options)
    return form


def _survey(path: Path, delimiter: str, options: ReadOptions) -> Survey:
    """Count the values of the columns."""
    found, waiting = Survey(), dict[int, list[list[str]]]()
    for number, cells in _rows(path, delimiter, options):
        if not any(cells) or cells[0] == DOCSTART:
            continue
        found.first_fields = found.first_fields or cells
        found.shapes.setdefault(len(cells), Shape([collections.Counter() for _ in cells], number))
        rows = waiting.setdefault(len(cells), [])
        rows.append(cells)
        if len(rows) == _ROWS_AT_ONCE:
            count_rows(found, rows)
            rows.clear()
    for rows in waiting.values():
        count_rows(found, rows)
    return found


def _header_of_sentences(found: Survey, given: Mapping[str, int]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the header of a file with whole sentences, such as `text,labels`, and the columns that it names."""
    names = [name.casefold() for name in found.first_fields]
    tokens = [i for i, name in enumerate(names) if name in _TEXT_NAMES]
    tags = [i for i, name in enumerate(names) if name in _TAG_NAMES]
    if not tokens or not tags or len(names) != found.usual or len(set(names)) < len(names):
        return (), dict(given)
    return tuple(found.first_fields), {"token": tokens[-1], "tag": tags[-1], **given}


def _named(header: Sequence[str], pattern: re.Pattern[str], taken: Collection[int]) -> int | None:
    """Return the first column whose name fits a pattern and that is not taken."""
    return next((i for i, name in enumerate(header) if pattern.fullmatch(name) and i not in taken), None)


def _holds_sentences(rows: Sequence[Sequence[str]], form: _Form) -> bool:
    """Return whether each row holds a whole sentence: as many tokens as tags, and more than one as a rule."""
    if form.tag is None or not rows:
        return False
    counts = [(len(_items(cells[form.token])), len(_items(cells[form.tag]))) for cells in rows]
    return all(a == b for a, b in counts) and 2 * sum(a > 1 for a, _ in counts) > len(counts)


def _note(form: _Form, notes: Iterable[str], options: ReadOptions) -> None:
    used = {"token": form.token, "tag": form.tag, "sentence": form.sentence, "document": form.document}

    def shown(i: int) -> str:
        return f"{i} {form.header[i]}" if form.header else str(i)

    text = ", ".join(f"{name} {shown(i)}" for name, i in used.items() if i is not None)
    rest = [shown(i) for i in range(form.n_columns) if i not in used.values()]
    options.note(f"columns: {text}" + (f"; not kept: {', '.join(rest)}" if rest else ""))
    if form.whole:
        options.note("each row holds a whole sentence")
    for note in notes:
        if not note.startswith("not used"):
            options.note(note)


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield rows of a document, the number of a sentence, a token and its tag.

    A document without a name gets its number in the file, which is not read as a name.
    """
    writer = TagWriter(options, unwritable="\r")
    n_documents, n_sentences = 0, 0
    last: str | None = None
    yield f"{','.join(_HEADER)}\n".encode()
    for document in documents:
        sentences = writer.sentences(document)
        if not sentences:
            options.report(document.error("documents without tokens are not kept", kind="empty-document"))
            continue
        n_documents += 1
        name = (document.id or str(n_documents)).replace("\r", " ")
        if document.id not in (None, name) or name in (last, DOCSTART) or document.id == str(n_documents):
            options.report(document.error(f"the name {document.id!r} of a document will not be read", kind="id"))
            name = name if name not in (last, DOCSTART) else f"{name} {n_documents}"
        last = name
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        for sentence in sentences:
            n_sentences += 1
            rows.writerows((name, n_sentences, *pair) for pair in zip(sentence.tokens, sentence.tags, strict=True))
            if DOCSTART in sentence.tokens:
                options.report(document.error(f"a token {DOCSTART} will be read as a boundary", kind="token"))
        yield encoded(text.getvalue(), document)


FORMAT = Format(
    name="csv",
    description="CSV with a token and its tag on each row, or a whole sentence",
    suffixes=(".csv",),
    recognize=recognize,
    read=read,
    blocks=blocks,
    flat=True,
)
