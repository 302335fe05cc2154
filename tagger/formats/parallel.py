"""Parallel files: a sentence on each line of one file, and its tags on the same line of another (`seq.in`, `seq.out`).

Each line is a document. The two files have the same name but for an ending, and are in one folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tagger.corpus.layout import BLANKS, Layout
from tagger.corpus.lines import shown_name
from tagger.corpus.survey import decoded_lines
from tagger.errors import DataError
from tagger.formats.document import Document, Format, ReadOptions, WriteOptions, encoded
from tagger.formats.tag_reading import TaggedSentence, TagReader
from tagger.formats.tag_writing import TagWriter, report_boundaries

# The endings of the names of both files: of the tokens and of the tags.
_ENDINGS = (
    ("seq.in", "seq.out"),
    ("sentences.txt", "labels.txt"),
    ("sentences.txt", "tags.txt"),
    ("words.txt", "tags.txt"),
    ("tokens.txt", "tags.txt"),
    ("tokens.txt", "labels.txt"),
    (".in", ".out"),
    (".words", ".tags"),
    (".tokens", ".tags"),
    (".tokens", ".labels"),
)


class Pair(NamedTuple):
    """The file with the tokens and the file with the tags."""

    tokens: Path
    tags: Path


def pairs_of(path: Path) -> list[Pair]:
    """Return the pairs of parallel files in a folder, or the pair to which a file belongs."""
    folder = path if path.is_dir() else path.parent
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    found = [
        Pair(folder / name, folder / (stem + second))
        for first, second in _ENDINGS
        for name in sorted(names)
        if name.endswith(first) and (stem := name[: -len(first)]) + second in names
    ]
    return [pair for pair in dict.fromkeys(found) if path == folder or path in pair]


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Read documents one by one from a folder with one pair of files, or from a file of a pair."""
    pairs = pairs_of(path)
    if len(pairs) != 1:
        what = "no pair of files such as seq.in and seq.out" if not pairs else f"{len(pairs)} pairs of files"
        raise DataError(
            f"{shown_name(path)}: found {what}, expected one; name the folder of a pair, or one of its files",
            detail=[f"{tokens.name} and {tags.name}" for tokens, tags in pairs],
        )
    (pair,) = pairs
    options.note(f"the tokens are in {pair.tokens}, the tags in {pair.tags}")

    def sentences() -> Iterator[TaggedSentence]:
        return _sentences(pair, options)

    reader = TagReader(pair.tokens, sentences, options)
    for sentence in sentences():
        yield reader.document([sentence], line=sentence.lines[0])


def _sentences(pair: Pair, options: ReadOptions) -> Iterator[TaggedSentence]:
    split = Layout().splitter()
    rows = itertools.zip_longest(*(decoded_lines(path, options.encoding) for path in pair))
    for tokens_line, tags_line in rows:
        if tokens_line is None or tags_line is None:
            longer, shorter = reversed(pair) if tokens_line is None else pair
            number, line = tokens_line or tags_line
            if not line.strip(BLANKS):
                continue
            raise DataError(
                f"found more lines than in {shorter}, expected the same number: each line belongs to one there; get"
                " both files again",
                path=longer,
                line=number,
            )
        number, text = tokens_line
        tokens, tags = split(text), split(tags_line[1])
        if len(tokens) != len(tags):
            raise DataError(
                f"found {len(tokens)} tokens, and {len(tags)} tags in {pair.tags}, expected the same number; fix them",
                path=pair.tokens,
                line=number,
                detail=[f"tokens: {text[:200]}", f"tags: {tags_line[1][:200]}"],
            )
        if tokens:
            yield TaggedSentence(tokens, tags, [number] * len(tokens))


def write(documents: Iterable[Document], path: Path, options: WriteOptions) -> None:
    """Write a folder with seq.in and seq.out."""
    writer = TagWriter(options, unwritable="[ \t\r\n]", stand_in="_")
    path.mkdir()
    first, second = _ENDINGS[0]
    with (path / first).open("wb") as tokens, (path / second).open("wb") as tags:
        for document in documents:
            sentences = writer.sentences(document)
            report_boundaries(document, sentences, options)
            for sentence in sentences:
                tokens.write(encoded(" ".join(sentence.tokens) + "\n", document))
                tags.write(encoded(" ".join(sentence.tags) + "\n", document))


FORMAT = Format(
    name="parallel",
    description="a folder with two files: sentences (seq.in) and their tags (seq.out), one on each line",
    suffixes=tuple(dict.fromkeys(itertools.chain.from_iterable(_ENDINGS))),
    recognize=lambda lines: False,  # one file alone says nothing
    read=read,
    write=write,
    flat=True,
    folder=True,
)
