"""Documents for the tests of formats: made by hand or by Hypothesis, and the way through a file to documents again."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator, Sequence
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
_WORD = st.sampled_from(WORDS)
BETWEEN = ["", " ", "  ", "\n", "\r\n", "\t", " \n\n "]
TYPES = ["PER", "LOC", "ORG", "work of art", "a-b", "Straße"]
TYPES_IN_TAGS = ["PER", "LOC", "a-b", "x.y", "名"]
# Letters that take one to four bytes, a combining mark, an ideographic space, and signs that mean something somewhere.
SIGNS = "ab1é\u0301名😀\u3000#-/|(*),\"'_"


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


def random_json(rng: random.Random, keys: Sequence[str], values: Sequence[Any], *, depth: int = 4) -> Any:
    """Draw a JSON value: one of the values, or a list or an object of such. Hypothesis takes ten times as long."""
    kind = rng.random()
    if not depth or kind < 0.5:
        return rng.choice(values)
    inner = [random_json(rng, keys, values, depth=depth - 1) for _ in range(rng.randrange(4))]
    return inner if kind < 0.7 else {rng.choice(keys): value for value in inner}


def random_records(rng: random.Random, keys: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """Draw a list of up to three JSON values, most of which are objects."""
    return [
        {rng.choice(keys): random_json(rng, keys, values) for _ in range(rng.randrange(7))}
        if rng.random() < 0.8
        else random_json(rng, keys, values)
        for _ in range(rng.randrange(4))
    ]


@st.composite
def documents(
    draw: st.DrawFn,
    *,
    flat: bool = False,
    tokens: bool | None = None,
    least: int = 1,
    most: int = 4,
    spaced: bool = False,
    probabilities: bool = False,
    plain: bool = False,
    fields: st.SearchStrategy[dict[str, Any]] | None = None,
    ids: st.SearchStrategy[str | None] | None = None,
    word: st.SearchStrategy[str] = _WORD,
    types: Sequence[str] = TYPES,
) -> Document:
    """Draw a document.

    Args:
        flat: whether spans are of whole tokens of one sentence, and do not overlap.
        tokens: whether there are tokens; None for either.
        least, most: the number of sentences.
        spaced: whether one space is between tokens, and one line end between sentences.
        probabilities: whether spans may have probabilities.
        plain: whether tokens have plain tags instead of spans.
        fields, ids: what else a document says.
        word: the texts of tokens.
        types: the types of spans.
    """
    has_tokens = draw(st.booleans()) if tokens is None else tokens
    sizes = draw(st.lists(st.integers(1, 6), min_size=least, max_size=most))
    text = "" if spaced else draw(st.sampled_from(["", " ", "\n"]))
    sentences = []
    for i, size in enumerate(sizes):
        sentence = []
        for j in range(size):
            if spaced:
                text += "\n" if i and not j else " " if j else ""
            part = draw(word)
            tag = draw(st.sampled_from(["NN", "VB", "B-x", "."])) if plain else None
            sentence.append(DocumentToken(len(text), len(text) + len(part), tag))
            text += part + ("" if spaced else draw(st.sampled_from(BETWEEN)))
        sentences.append(tuple(sentence))
    spans: list[DocumentSpan] = []
    if not plain:
        edges = _flat_edges(draw, sentences) if flat else _edges(draw, len(text))
        probability = st.none() | st.floats(0, 1) if probabilities else st.none()
        spans = [DocumentSpan(draw(st.sampled_from(types)), start, end, draw(probability)) for start, end in edges]
    return Document(
        text=text,
        spans=tuple(spans),
        sentences=tuple(sentences) if has_tokens else None,
        id=draw(ids) if ids is not None else None,
        fields=draw(fields) if fields is not None else {},
    )


def _flat_edges(draw: st.DrawFn, sentences: Sequence[Sequence[DocumentToken]]) -> Iterator[tuple[int, int]]:
    for tokens in sentences:
        free = 0
        while free < len(tokens) and draw(st.booleans()):
            first = draw(st.integers(free, len(tokens) - 1))
            free = draw(st.integers(first + 1, len(tokens)))
            yield tokens[first].start, tokens[free - 1].end


def _edges(draw: st.DrawFn, length: int) -> Iterator[tuple[int, int]]:
    for pair in draw(st.lists(st.tuples(st.integers(0, length), st.integers(0, length)), max_size=4)):
        if pair[0] != pair[1]:
            yield min(pair), max(pair)


def flat_documents(
    *, signs: str = SIGNS, least: int = 0, most: int = 3, plain: bool = False
) -> st.SearchStrategy[Document]:
    """Make documents as files of nothing but sentences with tags hold them, with words of some signs."""
    word = st.text(signs, min_size=1, max_size=5).filter(lambda word: word != "-DOCSTART-" and bool(word.strip(" ")))
    return documents(
        flat=True, tokens=True, spaced=True, plain=plain, least=least, most=most, word=word, types=TYPES_IN_TAGS
    )


def read(format_: Format, path: Path, **options: Any) -> tuple[list[Document], list[str]]:
    """Return the documents of a file, and the texts of what was reported, unless `report` is given."""
    reports: list[DataError] = []
    found = list(format_.read(path, ReadOptions(**{"report": reports.append, **options})))
    return found, [report.text for report in reports]


def write(format_: Format, written: Iterable[Document], path: Path, **options: Any) -> list[str]:
    """Write documents, and return the texts of what was reported."""
    reports: list[DataError] = []
    settings = WriteOptions(**{"report": reports.append, **options})
    if format_.blocks is not None:
        path.write_bytes(b"".join(format_.blocks(written, settings)))
    else:
        assert format_.write is not None
        format_.write(written, path, settings)
    return [report.text for report in reports]


def without_places(found: Iterable[Document]) -> list[Document]:
    return [dataclasses.replace(document, place=Place("")) for document in found]


def shown(found: Iterable[Document]) -> list[tuple[str, list[str]]]:
    """Return the text of each document, and the type and the text of its spans."""
    return [(one.text, [f"{span.type} {one.covered(span)}" for span in one.spans]) for one in found]
