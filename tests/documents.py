"""Documents for the tests of formats, and the way from documents through a file to documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Format, Place, ReadOptions, WriteOptions

# Letters that take one to four bytes, a combining mark, an ideographic space, and signs that mean something somewhere.
SIGNS = "ab1é\u0301名😀\u3000#-/|(*),\"'_"
TYPES = ("PER", "LOC", "a-b", "x.y", "名")


def make(*sentences: str, spans: Iterable[tuple[str, int, int]] = (), **more: object) -> Document:
    """Make a document from sentences of tokens between blanks."""
    text, rows = "\n".join(sentences), []
    start = 0
    for sentence in sentences:
        row = []
        for token in sentence.split(" "):
            row.append(DocumentToken(start, start + len(token)))
            start += len(token) + 1
        rows.append(tuple(row))
    found = tuple(DocumentSpan(*span) for span in spans)
    return Document(text=text, spans=found, sentences=tuple(rows), **more)  # type: ignore[arg-type]


@st.composite
def flat_documents(
    draw: st.DrawFn,
    *,
    signs: str = SIGNS,
    types: Iterable[str] = TYPES,
    plain: bool = False,
    least: int = 0,
    most: int = 3,
) -> Document:
    """Make documents whose tokens are joined by spaces, and their sentences by line ends, with spans that fit them."""
    words = st.text(signs, min_size=1, max_size=5).filter(lambda word: word != "-DOCSTART-" and bool(word.strip(" ")))
    sentences = draw(st.lists(st.lists(words, min_size=1, max_size=5), min_size=least, max_size=most))
    start, rows, spans = 0, [], []
    for sentence in sentences:
        row, free = [], 0
        for word in sentence:
            tag = draw(st.sampled_from(("NN", "VB", ","))) if plain else None
            row.append(DocumentToken(start, start + len(word), tag))
            start += len(word) + 1
        while not plain and free < len(row) and draw(st.booleans()):
            first = draw(st.integers(free, len(row) - 1))
            free = draw(st.integers(first + 1, len(row)))
            spans.append(DocumentSpan(draw(st.sampled_from(sorted(types))), row[first].start, row[free - 1].end))
        rows.append(tuple(row))
    text = "\n".join(" ".join(sentence) for sentence in sentences)
    return Document(text=text, spans=tuple(spans), sentences=tuple(rows))


def write(format_: Format, documents: Iterable[Document], path: Path, **options: object) -> list[DataError]:
    """Write documents to a file, and return what was reported."""
    reports: list[DataError] = []
    settings = WriteOptions(report=reports.append, **options)  # type: ignore[arg-type]
    if format_.blocks is not None:
        path.write_bytes(b"".join(format_.blocks(documents, settings)))
    else:
        assert format_.write is not None
        format_.write(documents, path, settings)
    return reports


def read(format_: Format, path: Path, **options: object) -> tuple[list[Document], list[DataError]]:
    """Read the documents of a file without their places, and what was reported."""
    reports: list[DataError] = []
    found = format_.read(path, ReadOptions(report=reports.append, **options))  # type: ignore[arg-type]
    return [dataclasses.replace(document, place=Place("")) for document in found], reports
