"""CoNLL: a token on each line with its columns, and blank lines between sentences.

Every layout that `corpus.detection` knows is read: any columns and delimiter, a header, tags first, CoNLL-U, prefixes
of tokens, several tags of a token. A document goes from one `-DOCSTART-` line to the next; sentences before the first
one are documents of their own.
"""

from __future__ import annotations

import codecs
import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from tagger.corpus.conll import Sentence, read_sentences
from tagger.corpus.detection import Requested, detect_layout
from tagger.corpus.layout import BLANKS, DOCSTART, Layout, looks_like_tag
from tagger.corpus.lines import is_blank, open_corpus, read_lines, shown_name
from tagger.corpus.schemes import OUTSIDE
from tagger.errors import DataError
from tagger.formats.document import Document, Format, ReadOptions, WriteOptions, encoded
from tagger.formats.tag_reading import TaggedSentence, TagReader, refuse_doubts
from tagger.formats.tag_writing import NO_TAG, TagWriter, WrittenSentence

_MOST_COLUMNS = 10_000
_KEYS = frozenset(("names", "token", "tag", "tag first", "rows"))
_NO_BLANKS = str.maketrans("\t\r\n", "   ")  # there may have been another delimiter
COLUMNS = "columns"  # the field of a document that holds the columns beside token and tag
_FILLER = "-X-"  # in the other columns of a -DOCSTART- line, as in CoNLL-2003
_LABEL_STUDIO = b" -X- _ "  # between the token and the tag
_FEWEST = 0.9  # the smallest share of lines with the usual number of columns


def recognize(lines: list[str]) -> bool:
    """Return whether lines have columns: TABs on all of them, or the same number on most, with blank lines or tags."""
    content = [line for line in lines if line.strip(BLANKS) and not line.startswith("#") and DOCSTART not in line]
    if content and all("\t" in line for line in content):
        return True
    rows = list(map(Layout().splitter(), content))
    counts = collections.Counter(map(len, rows))
    if not counts or counts.most_common(1)[0][1] < _FEWEST * len(rows) or counts.most_common(1)[0][0] < 2:
        return False
    n_tags = max(sum(looks_like_tag(row[i]) for row in rows) for i in (0, -1))
    return len(content) < len(lines) or n_tags > len(rows) / 2


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Read documents one by one; the file is read three times: for its layout, its tags and its documents."""
    name = shown_name(path)
    requested = Requested(columns=options.columns, delimiter=options.delimiter, encoding=options.encoding)
    detected = detect_layout(path, requested)
    refuse_doubts(detected.doubts, path, options)
    for text in detected.notes:
        options.note(text)
    layout = detected.layout
    gold = (layout.n_columns or 0) > 1
    if layout.n_columns == 1:
        options.note("there is one column: the tokens; the file has no tags")

    def sentences() -> Iterator[Sentence]:
        with open_corpus(path) as stream:
            yield from read_sentences(stream, layout, path=name, gold=gold, n_columns=layout.n_columns)

    reader = TagReader(path, lambda: (_tagged(sentence) for sentence in sentences()), options)
    divides = not _has_header_of_label_studio(path)
    if not divides:
        options.note("the only -DOCSTART- line is the header of Label Studio's export: each sentence is a document")
    yield from _documents(sentences(), reader, layout, options.report, name, divides=divides)


def _documents(
    sentences: Iterable[Sentence],
    reader: TagReader,
    layout: Layout,
    report: Callable[[DataError], None],
    name: str,
    *,
    divides: bool,
) -> Iterator[Document]:
    """Yield the documents that sentences form.

    Args:
        divides: whether a `-DOCSTART-` line begins a document.
    """
    columns = _OtherColumns(layout)
    inside, line, waiting = False, 0, list[Sentence]()  # whether a document has begun, where, and its sentences

    def document() -> Document:
        tagged = [_tagged(sentence) for sentence in waiting]
        return reader.document(tagged, fields=columns.fields(waiting), line=line)

    for sentence in sentences:
        for row in sentence.docstart_rows if divides else ():
            if inside:
                yield document()
            inside, line, waiting = True, sentence.first_line + row, []
        _report_comments(sentence, layout, report, name)
        if not sentence.tokens:
            continue
        waiting.append(sentence)
        if not inside:
            line = sentence.line_number(0)
            yield document()
            waiting = []
    if inside:
        yield document()


def _tagged(sentence: Sentence) -> TaggedSentence:
    rows, first = sentence.token_rows, sentence.first_line
    if isinstance(rows, range):
        lines: Sequence[int] = range(first, first + len(rows))
    else:
        lines = [first + row for row in rows]
    return TaggedSentence(sentence.tokens, sentence.tags, lines)


def _report_comments(sentence: Sentence, layout: Layout, report: Callable[[DataError], None], name: str) -> None:
    """Report the lines that are neither tokens, boundaries, blank nor the header."""
    if isinstance(sentence.token_rows, range):
        return
    known = {*sentence.token_rows, *sentence.docstart_rows}
    split = layout.splitter()
    for row, raw in enumerate(sentence.lines):
        line = raw.rstrip(b"\r\n").decode(layout.encoding, "replace").removeprefix("\ufeff")
        if row in known or not line.strip(BLANKS):
            continue
        number = sentence.first_line + row
        fields = split(line)
        if layout.comments is not None and line.startswith(layout.comments):
            report(DataError("comments are not kept", path=name, line=number, kind="comment"))
        elif not layout.is_header(fields, first=True):
            text = "ranges of multiword tokens and empty nodes are not kept"
            report(DataError(text, path=name, line=number, kind="subtoken"))


def _has_header_of_label_studio(path: Path) -> bool:
    """Return whether the only -DOCSTART- line is the first one, and the columns are those that Label Studio writes.

    It begins every file in this way, whatever the number of documents in it.
    """
    boundary = DOCSTART.encode()
    with open_corpus(path) as stream:
        lines = (line.removeprefix(codecs.BOM_UTF8) for line in read_lines(stream, path=path) if not is_blank(line))
        if not next(lines, b"").startswith(boundary) or _LABEL_STUDIO not in next(lines, b""):
            return False
        return not any(line.startswith(boundary) for line in lines)


class _OtherColumns:
    """The columns beside token and tag, which are kept for writing the documents as CoNLL again."""

    def __init__(self, layout: Layout) -> None:
        n = layout.n_columns or 0
        tag = layout.columns.get("tag", -1) % n if n else 0
        # The tag within a MISC column cannot be taken out of it, so the column stays, and the tag gets its own.
        self._left_out = {layout.columns["token"]} | (set() if layout.tag_key is not None or n == 1 else {tag})
        self._layout, self._split = layout, layout.splitter()
        self._names = [name for i, name in enumerate(layout.header) if i not in self._left_out]
        ordered = [i for i in range(n) if i not in self._left_out]
        self._token = sum(i < layout.columns["token"] for i in ordered)
        self._tag = len(ordered) if layout.tag_key is not None else sum(i < tag for i in ordered)
        self._tag_first = tag < layout.columns["token"] and layout.tag_key is None
        self._is_used = bool(ordered) or self._tag_first

    def fields(self, sentences: Iterable[Sentence]) -> dict[str, Any]:
        """Return the other columns of sentences for `Document.fields`."""
        if not self._is_used:
            return {}
        rows = [self._others(sentence.lines[row]) for sentence in sentences for row in sentence.token_rows]
        return {
            COLUMNS: {
                "names": self._names,
                "token": self._token,  # how many of the other columns come before the token, and before the tag
                "tag": self._tag,
                "tag first": self._tag_first,
                "rows": rows,
            }
        }

    def _others(self, raw: bytes) -> list[str]:
        cells = self._split(raw.rstrip(b"\r\n").decode(self._layout.encoding).removeprefix("\ufeff"))
        left_out = self._left_out
        if self._layout.ragged:  # the tag is the last column of each line
            left_out = {self._layout.columns["token"], self._layout.columns["tag"] % len(cells)}
        return [cell for i, cell in enumerate(cells) if i not in left_out]


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield documents as lines of a token, a TAB and a tag, with the other columns of those that were CoNLL before.

    Documents of one sentence need no boundary, so `-DOCSTART-` lines begin with the first document that is not one.
    """
    writer = TagWriter(options)
    divides, is_first = False, True
    for document in documents:
        sentences = writer.sentences(document)
        columns = _columns_of(document, sentences, options)
        lines: list[str] = []
        if is_first and columns is not None and columns["names"]:
            lines.append(_line(columns, "token", "tag", columns["names"]))
        is_first = False
        if document.id is not None:
            options.report(document.error("the names of documents are not kept", kind="id"))
        divides = divides or len(sentences) != 1
        if divides:
            n_others = len(columns["rows"][0]) if columns is not None and columns["rows"] else 0
            lines += ["\t".join([DOCSTART, *[_FILLER] * n_others, OUTSIDE]), ""]
        for sentence in sentences:
            if any(token.split(" ", 1)[0] == DOCSTART for token in sentence.tokens):
                options.report(document.error(f"a token {DOCSTART} will be read as a boundary", kind="token"))
            if columns is None:
                lines += map("\t".join, zip(sentence.tokens, sentence.tags, strict=True))
            else:
                cells = [columns["rows"][row] for row in sentence.rows]
                triples = zip(sentence.tokens, sentence.tags, cells, strict=True)
                lines += [_line(columns, token, tag, others) for token, tag, others in triples]
            lines.append("")
        lines.append("")
        yield encoded("\n".join(lines), document)


def _columns_of(
    document: Document, sentences: Sequence[WrittenSentence], options: WriteOptions
) -> dict[str, Any] | None:
    """Return the other columns of a document, or None if it has none or they do not fit its tokens any more."""
    columns = document.fields.get(COLUMNS)
    if columns is None:
        return None
    if not _are_columns(columns):  # a field of this name of another format
        options.report(document.error(f"the field {COLUMNS} is not kept: it does not hold columns", kind="field"))
        return None
    rows = columns["rows"]
    if len(rows) != len(document.tokens):
        options.report(document.error("the other columns are not kept, because tokens were cut", kind="columns"))
        return None
    n = max(map(len, rows), default=0)
    if any(len(row) < n for row in rows):
        columns = columns | {"rows": [[*row, *[NO_TAG] * (n - len(row))] for row in rows]}
    return columns


def _are_columns(columns: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a field holds other columns as `_OtherColumns` makes them: it may come from a file."""
    if not isinstance(columns, dict) or not columns.keys() >= _KEYS:
        return False
    numbers = columns["token"], columns["tag"]
    rows = columns["rows"], [columns["names"]]
    return all(isinstance(n, int) and 0 <= n < _MOST_COLUMNS for n in numbers) and all(
        isinstance(table, list) and all(isinstance(row, list) and all(map(_is_text, row)) for row in table)
        for table in rows
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _line(columns: dict[str, Any], token: str, tag: str, others: Sequence[str]) -> str:
    """Return a line with the token and the tag where they were, between the other columns."""
    cells = [cell.translate(_NO_BLANKS) or NO_TAG for cell in others]
    places = [(columns["token"], token), (columns["tag"], tag)]
    if columns["tag first"]:
        places.reverse()
    for place, cell in reversed(places):
        cells.insert(place, cell)
    return "\t".join(cells)


FORMAT = Format(
    name="conll",
    description="a token and its columns on each line, blank lines between sentences",
    suffixes=(".conll", ".conll03", ".conll2003", ".bio", ".iob", ".iob2", ".bioes", ".bilou", ".tsv"),
    recognize=recognize,
    read=read,
    blocks=blocks,
    flat=True,
    fields=frozenset({COLUMNS}),
)
