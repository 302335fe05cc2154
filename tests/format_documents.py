"""Documents for the tests of formats: a Hypothesis strategy, and ways to read and to write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Format, Place, ReadOptions, WriteOptions

# Letters, an emoji of two UTF-16 units, a skin tone, a joined family, a combining mark, and text beyond the basic plane.
WORDS = [
    "Ann",
    "left",
    "é",
    "e\u0301t",
    "😀",
    "👍🏽",
    "👨‍👩‍👧",
    "漢字",
    "𠮷野",
    ".",
    '"',
    "\\",
    "don't",
    "#1",
    "a-b",
    "x_y",
    "O",
]
BETWEEN = ["", " ", "  ", "\n", "\r\n", "\t", " \n\n "]
TYPES = ["PER", "LOC", "ORG", "work of art", "a-b", "Straße"]


def words(alphabet: Sequence[str] = WORDS) -> st.SearchStrategy[str]:
    return st.sampled_from(list(alphabet))


@st.composite
def documents(
    draw: st.DrawFn,
    *,
    flat: bool = False,
    tokens: bool | None = None,
    one_sentence: bool = False,
    spaced: bool = False,
    probabilities: bool = False,
    plain: bool = False,
    fields: st.SearchStrategy[dict[str, Any]] | None = None,
    ids: st.SearchStrategy[str | None] | None = None,
    word: st.SearchStrategy[str] | None = None,
) -> Document:
    """Draw a document.

    Args:
        flat: whether spans are of whole tokens of one sentence, and do not overlap.
        tokens: whether there are tokens; None for either.
        one_sentence: whether there is at most one sentence.
        spaced: whether one space is between tokens, and one line end between sentences.
        probabilities: whether spans may have probabilities.
        plain: whether tokens have plain tags instead of spans.
        fields, ids: what else a document says.
        word: the texts of tokens.
    """
    has_tokens = draw(st.booleans()) if tokens is None else tokens
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=1 if one_sentence else 4))
    text = "" if spaced else draw(st.sampled_from(["", " ", "\n"]))
    sentences = []
    for i, size in enumerate(sizes):
        sentence = []
        for j in range(size):
            if spaced:
                text += "\n" if i and not j else " " if j else ""
            part = draw(word or words())
            tag = draw(st.sampled_from(["NN", "VB", "B-x", "."])) if plain else None
            sentence.append(DocumentToken(len(text), len(text) + len(part), tag))
            text += part + ("" if spaced else draw(st.sampled_from(BETWEEN)))
        sentences.append(tuple(sentence))
    spans: list[DocumentSpan] = []
    if not plain:
        make = _flat_spans if flat else _spans
        spans = make(draw, text, sentences, probabilities)
    return Document(
        text=text,
        spans=tuple(spans),
        sentences=tuple(sentences) if has_tokens else None,
        id=draw(ids) if ids is not None else None,
        fields=draw(fields) if fields is not None else {},
    )


def _flat_spans(
    draw: st.DrawFn, text: str, sentences: list[tuple[DocumentToken, ...]], probabilities: bool
) -> list[DocumentSpan]:
    spans = []
    for tokens in sentences:
        edges = sorted(draw(st.sets(st.integers(0, len(tokens)), max_size=4)))
        for first, last in zip(edges[::2], edges[1::2], strict=False):
            spans.append(_span(draw, tokens[first].start, tokens[last - 1].end, probabilities))
    return spans


def _spans(
    draw: st.DrawFn, text: str, sentences: list[tuple[DocumentToken, ...]], probabilities: bool
) -> list[DocumentSpan]:
    edges = draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))), max_size=4))
    return [_span(draw, *sorted(pair), probabilities) for pair in edges if pair[0] != pair[1]]


def _span(draw: st.DrawFn, start: int, end: int, probabilities: bool) -> DocumentSpan:
    probability = draw(st.none() | st.floats(0, 1)) if probabilities else None
    return DocumentSpan(draw(st.sampled_from(TYPES)), start, end, probability)


def read(form: Format, path: Path, **options: Any) -> tuple[list[Document], list[str]]:
    """Return the documents of a file, and the texts of what was reported."""
    reports: list[DataError] = []
    found = list(form.read(path, ReadOptions(report=reports.append, **options)))
    return found, [report.text for report in reports]


def write(form: Format, written: Iterable[Document], path: Path, **options: Any) -> list[str]:
    """Write documents, and return the texts of what was reported."""
    reports: list[DataError] = []
    settings = WriteOptions(report=reports.append, **options)
    if form.blocks is not None:
        path.write_bytes(b"".join(form.blocks(written, settings)))
    else:
        assert form.write is not None
        form.write(written, path, settings)
    return [report.text for report in reports]


def without_place(document: Document) -> Document:
    return dataclasses.replace(document, place=Place(""))


def as_list(found: Iterable[Document]) -> list[Document]:
    return [without_place(document) for document in found]
