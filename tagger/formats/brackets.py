"""Spans in brackets, as in CoNLL-2012 (OntoNotes) and CoNLL-2005: `(PERSON*`, `*)`, `(GPE)`.

A document goes from `#begin document (name); part 000` to `#end document`; in a file without these lines, each sentence
is a document. It is written in the twelve columns of CoNLL-2012.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tagger.corpus.columns import holds_brackets
from tagger.corpus.conll import Sentence, read_sentences
from tagger.corpus.layout import BLANKS, DOCSTART, Layout
from tagger.corpus.lines import open_corpus, require_regular, shown_name
from tagger.corpus.survey import Survey, survey
from tagger.errors import DataError
from tagger.formats.document import (
    Document,
    DocumentSpan,
    Format,
    Place,
    ReadOptions,
    WriteOptions,
    encoded,
)
from tagger.formats.tag_writing import NO_TAG, TagWriter, WrittenSentence
from tagger.formats.tokens import Tokens, joined

PART = "part"  # the field of a document that holds the number of its part
_FIRST_PART = "000"
_BEGIN, _END = "#begin document", "#end document"
_NAME = re.compile(r"\((?P<name>.*)\)(?:; part (?P<part>\d+))?")
_CONLL_2012 = {"token": 3, "tag": 10}
_LEAST_COLUMNS, _NUMBER = 12, 2  # of CoNLL-2012, and the column with the numbers of the tokens
_CELL = re.compile(r"(?:\([^()*\s]+)*\*?\)*")
_BLANK = re.compile("[ \t]")
_FILLERS = frozenset(("*", "-", "_"))
_ARGUMENT = re.compile(r"\((?:V|A\d|ARG\d)\b|\(C-|\(R-|\(AM-|\(ARGM-")
_LABEL = re.compile(r"\(([^()*]+)")


def recognize(lines: list[str]) -> bool:
    """Return whether lines begin a document of CoNLL-2012, or a column holds brackets."""
    content = [line for line in lines if line.strip(BLANKS) and not line.startswith("#")]
    rows = list(map(Layout().splitter(), content))
    usual = max(map(len, rows), key=[len(row) for row in rows].count, default=0)
    columns = [collections.Counter(column) for column in zip(*(row for row in rows if len(row) == usual), strict=True)]
    return any(line.startswith(_BEGIN) for line in lines) or any(map(holds_brackets, columns[1:]))


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Read documents one by one; the file is read twice: for its columns and for its documents."""
    require_regular(path)
    layout = _layout(path, options)
    reader = _Reader(layout, shown_name(path), options)
    with open_corpus(path) as stream:
        for sentence in read_sentences(stream, layout, path=reader.path, gold=True):
            yield from reader.add(sentence)
    yield from reader.end()


def _layout(path: Path, options: ReadOptions) -> Layout:
    layout = Layout(delimiter=options.delimiter or "auto", encoding=options.encoding)
    found = survey(path, layout, "#")
    columns = {name: index for name, index in options.columns.items() if isinstance(index, int)}
    if len(columns) < len(options.columns):
        raise DataError("columns: found names, expected numbers, because the file has no header line", path=path)
    if "token" not in columns or "tag" not in columns:
        columns = {**_columns(found, path), **columns}
        where = f"the tokens are in column {columns['token']}, the spans in column {columns['tag']}"
        options.note(f"{where}; the other columns are not kept")
    delimiter = max(found.delimiters, key=lambda key: found.delimiters[key], default="\t")
    tags = {value for shape in found.shapes.values() for value in _column(shape.values, columns["tag"])}
    return dataclasses.replace(
        layout,
        columns=columns,
        comments="#",
        ragged=True,
        n_columns=found.usual,
        known_tags=frozenset(tags),
        written_delimiter=layout.separator or delimiter,
    )


def _column(values: Sequence[Iterable[str]], index: int) -> Iterable[str]:
    return values[index] if -len(values) <= index < len(values) else ()


def _columns(found: Survey, path: Path) -> dict[str, int]:
    """Return the columns of the tokens and of the spans.

    CoNLL-2012 has its own. Elsewhere the token is first, and there must be one column with brackets that holds neither
    parses nor the arguments of verbs.
    """
    columns = found.columns
    has_begin = any(text.startswith(_BEGIN) for _, text, _ in found.prefixed)
    if len(columns) >= _LEAST_COLUMNS and (has_begin or _NUMBER in found.numbered):
        return _CONLL_2012
    candidates = [i for i, values in enumerate(columns) if i > 0 and holds_brackets(values)]
    named = [i for i in candidates if not _is_parse(columns[i]) and not any(map(_ARGUMENT.match, columns[i]))]
    if len(named) == 1:
        return {"token": 0, "tag": named[0]}
    shown = [f"column {i}: {', '.join(value for value, _ in columns[i].most_common(6))}" for i in candidates]
    what = f"{len(candidates)} columns with brackets" if candidates else "no column with brackets such as (PER* and *)"
    raise DataError(
        f"found {what}, expected one with named entities; name the columns, as in token=0,tag=4, with data.columns",
        path=path,
        detail=shown,
    )


def _is_parse(values: collections.Counter[str]) -> bool:
    labels = {label for value in values for label in _LABEL.findall(value)}
    return bool(labels & {"S", "NP", "VP", "TOP", "S1", "PP"}) or any(value.isdecimal() for value in labels)


class _Reader:
    """The documents of sentences with brackets."""

    def __init__(self, layout: Layout, path: str, options: ReadOptions) -> None:
        self.path = path
        self._layout, self._options = layout, options
        self._waiting: list[Sentence] = []
        self._id: str | None = None
        self._fields: dict[str, str | None] = {}
        self._line = 0
        self._inside = False  # whether a document has begun

    def add(self, sentence: Sentence) -> Iterator[Document]:
        """Yield the documents that end before or in a sentence."""
        rows = set(sentence.token_rows)
        has_ended = has_tokens = False
        for row, raw in enumerate(sentence.lines):
            line = raw.rstrip(b"\r\n").decode(self._layout.encoding, "replace").removeprefix("\ufeff")
            if row in rows:
                has_tokens = True
            elif line.startswith(_BEGIN):
                yield from self.end()
                self._begin(line, sentence.first_line + row)
            elif line.startswith(_END) and has_tokens:
                has_ended = True
            elif line.startswith(_END):
                yield from self.end()
            elif line.strip(BLANKS):
                number = sentence.first_line + row
                self._options.report(DataError("comments are not kept", path=self.path, line=number, kind="comment"))
        if sentence.tokens:
            self._waiting.append(sentence)
            if not self._inside:
                self._line = sentence.line_number(0)
        if has_ended or not self._inside:
            yield from self.end()

    def _begin(self, line: str, number: int) -> None:
        rest = line.removeprefix(_BEGIN).strip(BLANKS)
        found = _NAME.fullmatch(rest)
        name, part = (rest, None) if found is None else (found["name"], found["part"])
        self._inside, self._line, self._id = True, number, name or None
        self._fields = {PART: part} if part not in (None, _FIRST_PART) else {}

    def end(self) -> Iterator[Document]:
        """Yield the document that has begun, if one has."""
        if self._inside or self._waiting:
            yield self._document()
        self._waiting, self._inside, self._id, self._fields = [], False, None, {}

    def _document(self) -> Document:
        text, tokens = joined(sentence.tokens for sentence in self._waiting)
        spans = map(self._spans, self._waiting, tokens)
        return Document(
            text=text,
            spans=tuple(itertools.chain.from_iterable(spans)),
            sentences=tokens,
            id=self._id,
            fields=self._fields,
            place=Place(self.path, self._line),
        )

    def _spans(self, sentence: Sentence, tokens: Tokens) -> list[DocumentSpan]:
        """Return the spans of brackets, in the order in which they open."""
        spans: list[DocumentSpan | None] = []
        opened: list[tuple[int, str, int, int]] = []  # which span it is, its type, where it begins, and its line
        for i, cell in enumerate(sentence.tags):
            if cell in _FILLERS:
                continue
            if not _CELL.fullmatch(cell):
                raise self._error(sentence, i, f"found {cell!r}, expected brackets such as (PER*, *) or (PER)")
            for name in _LABEL.findall(cell):
                opened.append((len(spans), name, tokens[i].start, i))
                spans.append(None)
            for _ in range(cell.count(")")):
                if not opened:
                    raise self._error(sentence, i, "found a bracket that closes, expected one that opens before it")
                place, name, start, _line = opened.pop()
                spans[place] = DocumentSpan(name, start, tokens[i].end)
        if opened:
            raise self._error(
                sentence, opened[-1][3], f"found ({opened[-1][1]}, which is not closed in its sentence, expected a )"
            )
        return [span for span in spans if span is not None]

    def _error(self, sentence: Sentence, index: int, text: str) -> DataError:
        return DataError(f"{text}; fix the line", path=self.path, line=sentence.line_number(index))


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield documents in the columns of CoNLL-2012."""
    writer = TagWriter(options, unwritable="[ \t\r\n]", unwritable_in_tags=r"[\s()*]", stand_in="_")
    for document in documents:
        sentences = writer.sentences(document)
        part = document.fields.get(PART, _FIRST_PART)
        if not isinstance(part, str) or not re.fullmatch("[0-9]{1,9}", part):
            options.report(
                document.error(f"the field {PART} is not kept: it is not the number of a part", kind="field")
            )
            part = _FIRST_PART
        name = re.sub(r"[\r\n]", " ", document.id or "")
        if name != (document.id or "") or document.id == "":
            options.report(document.error("names of documents that are empty or hold line ends are changed", kind="id"))
        lines = [f"{_BEGIN} ({name}); part {part}"]
        first = f"{_BLANK.sub('_', name) or '-'} {int(part)}"
        for sentence in sentences:
            if DOCSTART in sentence.tokens:
                options.report(document.error(f"a token {DOCSTART} will be read as a boundary", kind="token"))
            tags = sentence.tags if writer.is_plain else [NO_TAG] * len(sentence.tokens)
            rows = zip(sentence.tokens, tags, _brackets(sentence), strict=True)
            lines += [f"{first} {i} {token} {tag} * - - - - {cell} -" for i, (token, tag, cell) in enumerate(rows)]
            lines.append("")
        yield encoded("\n".join([*lines, _END, ""]), document)


def _brackets(sentence: WrittenSentence) -> list[str]:
    """Return the cells of a sentence: `(PER*`, `*)`, `(PER)`, `*`."""
    cells = ["*"] * len(sentence.tokens)
    for span in sentence.spans:
        cells[span.start] = f"({span.type}" + ("*" if span.end - span.start > 1 else ")")
        if span.end - span.start > 1:
            cells[span.end - 1] = "*)"
    return cells


FORMAT = Format(
    name="brackets",
    description="CoNLL-2012 (OntoNotes) and CoNLL-2005, with spans in brackets: (PERSON* and *)",
    suffixes=("_conll", ".conll12", ".conll2012"),
    recognize=recognize,
    read=read,
    blocks=blocks,
    flat=True,
    fields=frozenset({PART}),
)
