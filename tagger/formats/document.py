"""Documents: text with spans, and with tokens if a format has them. Each format is read into documents and written
from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tagger.errors import DataError

Offsets = Literal["characters", "utf-16", "bytes"]


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """The place of something in a file: its path, and its line (from 1), or 0 if lines mean nothing there."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentSpan:
    """An entity or chunk: characters `start` to `end` (exclusive) of its document's text, in Unicode code points."""

    type: str
    start: int
    end: int
    probability: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class DocumentToken:
    """A token: characters `start` to `end` (exclusive) of its document's text, in Unicode code points.

    Attributes:
        tag: the plain tag of a corpus that does not mark spans, such as a part of speech; None elsewhere.
    """

    start: int
    end: int
    tag: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """A text with spans.

    Attributes:
        text: the text. A format that has tokens only gets them joined by spaces, and sentences joined by line ends.
        spans: the spans, in the order of the format; they may overlap.
        sentences: the tokens of each sentence, in the order of the text; None if the format has no tokens.
        id: the name of the document in its format, or None.
        fields: what else the format says about the document, which is written back to the same format.
        place: where the document stands in its file, for messages.
        is_piece: whether the text is a piece of a longer one that was cut into documents; one behind another, their
            texts are that text.
        offset: the number of characters of the longer text before this piece.

    Raises:
        DataError: a span or a token is empty or outside the text, or the tokens are not in the order of the text.
    """

    text: str
    spans: tuple[DocumentSpan, ...] = ()
    sentences: tuple[tuple[DocumentToken, ...], ...] | None = None
    id: str | None = None
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    place: Place = Place("")
    is_piece: bool = False
    offset: int = 0

    def __post_init__(self) -> None:
        length = len(self.text)
        for span in self.spans:
            if not 0 <= span.start < span.end <= length:
                raise self._outside("span", span)
        end = 0
        for sentence in self.sentences or ():
            for token in sentence:
                if not end <= token.start < token.end <= length:
                    if 0 <= token.start < token.end <= length:
                        raise self.error(
                            f"found a token from {token.start} to {token.end} after one that ends at {end}, expected"
                            " tokens in the order of the text; fix their offsets"
                        )
                    raise self._outside("token", token)
                end = token.end

    def _outside(self, kind: str, part: DocumentSpan | DocumentToken) -> DataError:
        return self.error(
            f"found a {kind} from {part.start} to {part.end}, expected 0 ≤ start < end ≤ {len(self.text)}, the length"
            " of the text; fix its offsets"
        )

    @property
    def tokens(self) -> tuple[DocumentToken, ...]:
        """All tokens; none if the format has no tokens."""
        return tuple(token for sentence in self.sentences or () for token in sentence)

    def covered(self, part: DocumentSpan | DocumentToken) -> str:
        """Return the text of a span or token."""
        return self.text[part.start : part.end]

    def error(self, text: str, *, kind: str = "") -> DataError:
        """Return an error that names the place of the document; `kind` groups equal ones in a report."""
        return DataError(text, path=self.place.path or None, line=self.place.line, kind=kind)


def encoded(text: str, document: Document) -> bytes:
    """Return what is written of a document as UTF-8.

    Raises:
        DataError: it holds half of a surrogate pair, which is not a character; any stand-in for it would be a loss.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise document.error("found half of a surrogate pair, expected a whole character; fix it") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The settings for reading a format; each format uses those that it has a use for.

    Attributes:
        encoding: the encoding of the file.
        scheme: the scheme of the file's tags; `auto` finds it.
        delimiter: what separates the columns, as in `corpus.layout.Layout`, or None to find it.
        offsets: the unit in which the file counts characters.
        names: the names of the tags, if the file numbers them.
        columns: column name → index or name, for formats with columns.
        language: the language of the texts, or None if it is not known; it decides how they are cut into tokens.
        report: called with each thing that cannot be kept or that is wrong but can be passed over (a discontinuous
            span, say); the caller counts and shows them. Nothing is dropped without a call.
        note: called with each thing that was found or chosen, such as the columns that are read.
    """

    encoding: str = "utf-8"
    scheme: str = "auto"
    delimiter: str | None = None
    offsets: Offsets = "characters"
    names: tuple[str, ...] = ()
    columns: Mapping[str, int | str] = dataclasses.field(default_factory=dict)
    language: str | None = None
    report: Callable[[DataError], None] = lambda error: None
    note: Callable[[str], None] = lambda text: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """The settings for writing a format.

    Attributes:
        scheme: the scheme of tags, for formats with tags.
        fields: the field names to use, for formats that have several forms (`doccano`, `prodigy`, `hf`), or None for
            the format's own.
        predicted: whether a model has found the spans, also where it has found none.
        report: called with each thing that the format cannot hold.
    """

    scheme: str = "IOB2"
    offsets: Offsets = "characters"
    fields: str | None = None
    predicted: bool = False
    report: Callable[[DataError], None] = lambda error: None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A format: its name, how it is recognized, and how it is read and written.

    A format is written either as `blocks` of bytes, which go to a file, through gzip or to standard output as they
    come, or by `write`, if it is a folder or cannot be written piece by piece. It can only be read if it has neither.

    Attributes:
        name: the name for `--from` and `--to`.
        description: one line for `--help` and messages.
        suffixes: the file-name endings that mean this format (`.jsonl`); `.gz` after them is allowed for files. For
            folders, the endings of the files in them.
        recognize: given the first lines of a file (text, without line ends), whether it is this format; False if the
            content cannot decide.
        read: reads a file or folder as documents, one at a time where the format allows. The path `-` is standard
            input, as in `corpus.lines.open_corpus`.
        blocks: returns documents as bytes, piece by piece.
        write: writes documents to a path, which does not exist. The caller gives a path beside the final one and
            exchanges the two at the end, so that nothing unfinished is ever seen.
        flat: whether spans are written as tags of tokens. They must then begin and end at the edges of tokens of one
            sentence, and must not overlap; documents without tokens cannot be written.
        folder: whether the format is a folder of files.
        beside: the endings of other files in its folders, which do not mean this format by themselves.
        fields: which fields of documents that were read from other formats can be written; None for all.
        is_read: whether it can be read; if not, `read` refuses.
        extra: the extra that brings the libraries it needs, or None.
    """

    name: str
    description: str
    suffixes: tuple[str, ...]
    recognize: Callable[[list[str]], bool]
    read: Callable[[Path, ReadOptions], Iterator[Document]]
    blocks: Callable[[Iterable[Document], WriteOptions], Iterator[bytes]] | None = None
    write: Callable[[Iterable[Document], Path, WriteOptions], None] | None = None
    flat: bool = False
    folder: bool = False
    beside: tuple[str, ...] = ()
    fields: frozenset[str] | None = frozenset()
    is_read: bool = True
    extra: str | None = None

    @property
    def is_written(self) -> bool:
        """Whether documents can be written in this format."""
        return self.blocks is not None or self.write is not None
