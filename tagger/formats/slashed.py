"""A sentence on each line, with a tag at each token: `Anna/B-PER saw/O`, `Anna|NNP|B-PER`, or `Anna B-PER saw O`.

Each line is a document.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tagger.corpus.foreign import are_pairs, is_slashed
from tagger.corpus.layout import BLANKS, Layout
from tagger.corpus.lines import require_regular, shown_name
from tagger.corpus.survey import decoded_lines
from tagger.errors import DataError
from tagger.formats.document import Document, Format, ReadOptions, WriteOptions, encoded
from tagger.formats.tag_reading import TaggedSentence, TagReader
from tagger.formats.tag_writing import TagWriter, report_boundaries

_SEPARATORS = "/|"
_PART_OF_SPEECH = re.compile(r"[A-Z]+\$?|\W+")
_FIRST = 1000  # lines from which the form of the file is taken


def recognize(lines: list[str]) -> bool:
    """Return whether lines are sentences of `token/TAG`, or of tokens and tags in turn."""
    content = [line for line in lines if line.strip(BLANKS)]
    return bool(content) and (is_slashed(content) or are_pairs(content, n_blank=len(lines) - len(content)))


@dataclasses.dataclass(frozen=True)
class _Form:
    """The form of a file.

    Attributes:
        separator: the text between a token and its tag; None if the two are separated like tokens.
        n_parts: the number of parts of an item, the token first and the tag last.
    """

    separator: str | None
    n_parts: int = 2

    def sentence(self, line: str, number: int, path: str) -> TaggedSentence:
        """Return the tokens and the tags of a line."""
        if self.separator is None:
            items = Layout().splitter()(line)
            if len(items) % 2:
                what = f"found {len(items)} items, expected an even number, a token and its tag in turn; fix the line"
                raise DataError(what, path=path, line=number)
            return TaggedSentence(items[::2], items[1::2], [number] * (len(items) // 2))
        parts = [item.rsplit(self.separator, self.n_parts - 1) for item in _items(line)]
        for part in parts:
            if len(part) < self.n_parts or not part[0] or not part[-1]:
                expected = self.separator.join(["token", *["…"] * (self.n_parts - 2), "TAG"])
                what = f"found {self.separator.join(part)!r}, expected {expected} as elsewhere in the file"
                raise DataError(f"{what}; fix the line", path=path, line=number)
        return TaggedSentence([part[0] for part in parts], [part[-1] for part in parts], [number] * len(parts))


def _items(line: str) -> list[str]:
    return [item for item in re.split("[ \t]+", line) if item]


def _form(lines: Sequence[str]) -> _Form:
    """Return the form of the first lines."""
    if are_pairs(lines, n_blank=0):
        return _Form(None)
    items = [item for line in lines for item in _items(line)]
    separator = max(_SEPARATORS, key=lambda sign: sum(sign in item for item in items))
    n_parts = min((item.count(separator) + 1 for item in items if separator in item), default=2)
    if separator == "/" and n_parts > 2:
        # All tokens of a short file may hold a slash. What stands before the tag is a part of speech if it looks like
        # one, or is one of few values.
        rows = [item.rsplit(separator, 2) for item in items if separator in item]
        before = {row[1] for row in rows}
        if not all(map(_PART_OF_SPEECH.fullmatch, before)) and 2 * len(before) > len({row[0] for row in rows}):
            n_parts = 2
    return _Form(separator, n_parts)


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Read documents one by one; the file is read twice: for its tags and for its documents."""
    require_regular(path)
    name = shown_name(path)
    form = _form([line for _, line in itertools.islice(_lines(path, options), _FIRST)])
    if form.n_parts > 2:
        options.note(
            f"each token has {form.n_parts} parts: the first is the token, the last its tag; others are not kept"
        )

    def sentences() -> Iterator[TaggedSentence]:
        return (form.sentence(line, number, name) for number, line in _lines(path, options))

    reader = TagReader(path, sentences, options)
    for sentence in sentences():
        yield reader.document([sentence], line=sentence.lines[0])


def _lines(path: Path, options: ReadOptions) -> Iterator[tuple[int, str]]:
    return ((number, line) for number, line in decoded_lines(path, options.encoding) if line.strip(BLANKS))


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield a line of `token/TAG` for each sentence."""
    writer = TagWriter(options, unwritable="[ \t\r\n]", unwritable_in_tags="[ \t\r\n/]", stand_in="_")
    for document in documents:
        sentences = writer.sentences(document)
        report_boundaries(document, sentences, options)
        pairs = (map("/".join, zip(sentence.tokens, sentence.tags, strict=True)) for sentence in sentences)
        yield encoded("".join(f"{' '.join(line)}\n" for line in pairs), document)


FORMAT = Format(
    name="slashed",
    description="a sentence on each line: token/TAG, token|POS|TAG, or tokens and tags in turn",
    suffixes=(".slashed", ".pos"),
    recognize=recognize,
    read=read,
    blocks=blocks,
    flat=True,
)
