"""Sentences of tokens with tags, made into documents, and documents made into such sentences.

All formats that write spans as tags of tokens share this file: they read and write tokens and tags, and what these mean
is decided here.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.corpus.columns import NUMBERS_AS_TAGS
from tagger.corpus.gold import tags_in
from tagger.corpus.lines import shown_name
from tagger.corpus.notation import BadTag, detect_notation
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNTYPED, Span, spans_from_tags, tags_from_spans
from tagger.errors import DataError
from tagger.formats.document import (
    Document,
    DocumentSpan,
    DocumentToken,
    Place,
    ReadOptions,
    WriteOptions,
)

NO_TAG = "_"  # written for a token without a tag, beside others with plain tags
_BLANKS = " \t\r\n"


@dataclasses.dataclass(slots=True)
class TaggedSentence:
    """A sentence of a file.

    Attributes:
        tokens: its tokens.
        tags: the tag of each token as the file spells it; empty if the file has no tags.
        lines: the number of the line of each token.
    """

    tokens: Sequence[str]
    tags: Sequence[str]
    lines: Sequence[int]


def refuse_doubts(doubts: Sequence[str], path: str | Path, options: ReadOptions) -> None:
    """Raise DataError for doubts about the columns of a file, unless names for its numbers remove them.

    Args:
        doubts: why the file may have been misread, as `Detected.doubts`.
    """
    numbers = [text.startswith(NUMBERS_AS_TAGS) for text in doubts]
    left = [text for text, is_number in zip(doubts, numbers, strict=True) if not (is_number and options.names)]
    if not left:
        return
    raise DataError(left[0], path=shown_name(path), detail=left[1:])


class TagReader:
    """The meaning of the tags of a file: their notation, which is found by reading all of them once.

    Args:
        path: the file.
        sentences: returns the sentences of the file from its beginning.
        options: the settings for reading.

    Raises:
        DataError: a tag does not fit, or it is unclear what the tags mean.
    """

    def __init__(
        self, path: str | Path, sentences: Callable[[], Iterable[TaggedSentence]], options: ReadOptions
    ) -> None:
        self._path, self._sentences, self._names = shown_name(path), sentences, options.names
        self._parts: dict[str, list[str]] = {}  # tag → the tags that it names
        self._canonical: dict[str, str] = {}
        self._n_tags = 0
        try:
            self._notation, notes = detect_notation(self._all_layers(), options.scheme)
        except BadTag as bad:
            raise bad.located(self._lines_with(bad.tag)) from None
        except DataError as error:
            if not error.message.startswith("scheme: "):
                raise
            raise DataError(error.message, path=self._path, detail=error.detail) from None
        if self._n_tags:
            if self._notation.scheme != NO_SCHEME:
                options.note(f"scheme of the tags: {self._notation.describe()}")
            for text in notes:
                options.note(text)
        several = next((tag for tag, parts in self._parts.items() if len(parts) > 1), None)
        if several is not None:
            options.note(f"tokens have several tags, such as {several}: they are read as layers of nested spans")

    def document(
        self, sentences: Iterable[TaggedSentence], *, id: str | None = None, fields: Mapping[str, Any] | None = None,
        line: int = 0,
    ) -> Document:  # fmt: skip
        """Return sentences as a document: tokens are joined by spaces, and sentences by line ends.

        Args:
            sentences: the sentences, each with at least one token.
            id, fields: as in `Document`.
            line: the line where the document begins.
        """
        texts, spans, rows, start = [], list[DocumentSpan](), [], 0
        plain = self._notation.scheme == NO_SCHEME
        for sentence in sentences:
            tags: Iterable[str | None] = sentence.tags if plain and sentence.tags else [None] * len(sentence.tokens)
            row = list[DocumentToken]()
            for token, tag in zip(sentence.tokens, tags, strict=True):
                end = start + len(token)
                if not token:
                    raise DataError(
                        "found an empty token, expected a word; fix the line, or name the token column",
                        path=self._path,
                        line=sentence.lines[len(row)],
                    )
                row.append(DocumentToken(start, end, tag))
                start = end + 1
            if not plain:
                found = (span for layer in self._layers(sentence) for span in self._spans(layer))
                spans += [DocumentSpan(span.type, row[span.start].start, row[span.end - 1].end) for span in found]
            rows.append(tuple(row))
            texts.append(" ".join(sentence.tokens))
        return Document(
            text="\n".join(texts),
            spans=tuple(spans),
            sentences=tuple(rows),
            id=id,
            fields=fields or {},
            place=Place(self._path, line),
        )

    def _spans(self, tags: Sequence[str]) -> list[Span]:
        canonical = self._canonical
        try:
            return spans_from_tags(
                [canonical.get(tag) or canonical.setdefault(tag, self._notation.canonical(tag)) for tag in tags]
            )
        except ValueError as error:  # it was fine in the first pass
            raise DataError(
                f"has changed while it was read: found the tag {str(error)!r}; run the command again", path=self._path
            ) from None

    def _all_layers(self) -> Iterator[Sequence[str]]:
        for sentence in self._sentences():
            self._n_tags += len(sentence.tags)
            yield from self._layers(sentence)

    def _layers(self, sentence: TaggedSentence) -> list[Sequence[str]]:
        """Return the tags of a sentence: more than one list if a tag such as `B-PER|B-LOC` names several."""
        known = self._parts
        parts = [known.get(tag) or known.setdefault(tag, tags_in(self._named(tag, sentence))) for tag in sentence.tags]
        depth = max(map(len, parts), default=1)
        return [[names[i] if i < len(names) else OUTSIDE for names in parts] for i in range(depth)]

    def _named(self, tag: str, sentence: TaggedSentence) -> str:
        """Return the name of a tag, if the file numbers its tags."""
        if not self._names or not tag.lstrip("-").isdecimal():
            return tag
        if tag.isascii() and tag.isdecimal() and int(tag) < len(self._names):
            return self._names[int(tag)]
        raise DataError(
            f"found the tag {tag!r}, expected a number from 0 to {len(self._names) - 1}, since {len(self._names)} names"
            " are given; give all names, or none",
            path=self._path,
            line=sentence.lines[sentence.tags.index(tag)],
        )

    def _lines_with(self, tag: str) -> Iterator[tuple[str, int, str]]:
        for sentence in self._sentences():
            for token, own, line in zip(sentence.tokens, sentence.tags, sentence.lines, strict=True):
                if tag in self._parts.get(own, (own,)):
                    yield self._path, line, token


@dataclasses.dataclass(slots=True)
class WrittenSentence:
    """A sentence that is to be written.

    Attributes:
        tokens: its tokens; none is blank.
        spans: its spans, in order, which do not overlap.
        tags: the tag of each token: tags in the scheme, or plain tags.
        rows: the index of each token in `Document.tokens`.
    """

    tokens: list[str]
    spans: list[Span]
    tags: list[str]
    rows: Sequence[int]


class TagWriter:
    """Documents as sentences with tags, for one file.

    Args:
        options: the settings for writing.
        unwritable: the characters that a token cannot hold in the format.
        unwritable_in_tags: those that a plain tag or the type of a span cannot hold; None for the same ones.
        stand_in: what is written in their place.
    """

    def __init__(
        self,
        options: WriteOptions,
        *,
        unwritable: str = "[\t\r\n]",
        unwritable_in_tags: str | None = None,
        stand_in: str = " ",
    ) -> None:
        self._scheme, self._report = options.scheme, options.report
        # A reader takes U+FEFF at the beginning of a line for a byte-order mark.
        self._unwritable, self._stand_in = re.compile(f"{unwritable}|^\ufeff"), stand_in
        self._unwritable_in_tags = re.compile(unwritable_in_tags or unwritable)
        self._types: dict[str, str] = {}
        self._plain: bool | None = None  # whether the tags are plain; None until a document has some
        if options.scheme == NO_SCHEME:
            raise DataError("scheme: found none, expected one that can write spans, such as IOB2")

    @property
    def is_plain(self) -> bool:
        """Whether the tags are plain tags, which mark no spans."""
        return bool(self._plain)

    def sentences(self, document: Document) -> list[WrittenSentence]:
        """Return the sentences of a document; those that have no tokens are left out.

        Raises:
            DataError: the document has no tokens, its spans do not fit them, or only some documents have plain tags.
        """
        if document.sentences is None:
            raise document.error("has no tokens, expected tokens to write tags for; use another format")
        self._settle(document)
        spans = sorted(document.spans, key=lambda span: span.start)
        if any(span.probability is not None for span in spans):
            self._say(document, "probability", "the probabilities of spans are not kept")
        written, n_before, n_spans = [], 0, 0
        for tokens in document.sentences:
            here = [] if not tokens else [s for s in spans[n_spans : n_spans + len(tokens)] if s.start < tokens[-1].end]
            sentence = self._sentence(document, tokens, here, range(n_before, n_before + len(tokens)))
            n_before, n_spans = n_before + len(tokens), n_spans + len(here)
            if sentence.tokens:
                written.append(sentence)
            else:
                self._say(document, "empty", "sentences without tokens are not kept")
        if n_spans < len(spans):
            raise self._unfitted(document, spans[n_spans])
        return written

    def _settle(self, document: Document) -> None:
        """Settle whether tags are plain by the first document that has any."""
        plain = None if not document.sentences else any(token.tag is not None for token in document.tokens)
        if self._plain is None and (document.spans or plain):
            self._plain = not document.spans
        if self._plain and document.spans:
            raise document.error("has spans, expected plain tags as in earlier documents; convert them into two files")
        if plain and not self._plain:
            self._say(document, "plain-tag", "the plain tags of tokens are not kept, because documents have spans")

    def _sentence(
        self, document: Document, tokens: Sequence[DocumentToken], found: Sequence[DocumentSpan], rows: range
    ) -> WrittenSentence:
        texts = [document.text[token.start : token.end] for token in tokens]
        spans = self._spans(document, tokens, found) if found else []
        if any(map(str.isspace, texts)) and (blank := [not text.strip(_BLANKS) for text in texts]) and any(blank):
            self._say(document, "blank-token", "tokens of nothing but blanks are not kept")
            spans = self._spans_without(document, spans, blank)
            kept = [i for i, is_blank in enumerate(blank) if not is_blank]
            texts, tokens = [texts[i] for i in kept], [tokens[i] for i in kept]
            written = WrittenSentence(texts, spans, [], [rows[i] for i in kept])
        else:
            written = WrittenSentence(texts, spans, [], rows)
        if any(map(self._unwritable.search, texts)):
            written.tokens = [self._replaced(document, text, self._unwritable) for text in texts]
        if self._plain:
            unwritable = self._unwritable_in_tags
            written.tags = [self._replaced(document, token.tag or NO_TAG, unwritable) for token in tokens]
        elif spans:
            self._note_merged(document, spans)
            written.tags = tags_from_spans(spans, len(texts), self._scheme)
        else:
            written.tags = [OUTSIDE] * len(texts)
        return written

    def _spans(self, document: Document, tokens: Sequence[DocumentToken], found: Sequence[DocumentSpan]) -> list[Span]:
        starts = {token.start: i for i, token in enumerate(tokens)}
        ends = {token.end: i for i, token in enumerate(tokens, start=1)}
        spans: list[Span] = []
        for span in found:
            start, end = starts.get(span.start), ends.get(span.end)
            if start is None or end is None or (spans and start < spans[-1].end):
                raise self._unfitted(document, span)
            spans.append(Span(self._types.get(span.type) or self._type(document, span.type), start, end))
        return spans

    def _spans_without(self, document: Document, spans: Iterable[Span], blank: Sequence[bool]) -> list[Span]:
        """Return the spans as they are when blank tokens are left out."""
        kept = []
        for span in spans:
            start, end = (index - sum(blank[:index]) for index in (span.start, span.end))
            if start < end:
                kept.append(dataclasses.replace(span, start=start, end=end))
            else:
                self._say(document, "blank-span", "spans of nothing but blanks are not kept")
        return kept

    def _type(self, document: Document, name: str) -> str:
        """Return a type as tags can hold it."""
        written = self._unwritable_in_tags.sub(self._stand_in, name).strip(_BLANKS)
        if len(tags_in(f"B-{written}")) > 1:
            written = re.sub("[|,;#+/ ]", "_", written)
        written = written or UNTYPED
        if written != name:
            self._say(document, "type", f"the type {name!r} is written as {written!r}")
        return self._types.setdefault(name, written)

    def _replaced(self, document: Document, text: str, unwritable: re.Pattern[str]) -> str:
        replaced = unwritable.sub(self._stand_in, text)
        if replaced != text:
            what = f"characters that the format cannot hold are replaced with {self._stand_in!r}, as in {text!r}"
            self._say(document, "characters", what)
        return replaced

    def _note_merged(self, document: Document, spans: Sequence[Span]) -> None:
        if self._scheme == "IO" and any(a.end == b.start and a.type == b.type for a, b in itertools.pairwise(spans)):
            self._say(document, "merged", "neighboring spans of one type are merged, because the scheme is IO")

    def _unfitted(self, document: Document, span: DocumentSpan) -> DataError:
        shown = document.covered(span)[:40]
        return document.error(
            f"the {span.type} {shown!r} overlaps another span or is not a run of whole tokens of one sentence,"
            " expected spans that were fitted to tokens",
        )

    def _say(self, document: Document, kind: str, text: str) -> None:
        self._report(document.error(text, kind=kind))


def report_boundaries(document: Document, sentences: Sequence[WrittenSentence], options: WriteOptions) -> None:
    """Report what a format that knows no documents cannot hold: their names, and which sentences belong together."""
    if document.id is not None:
        options.report(document.error("the names of documents are not kept", kind="id"))
    if len(sentences) != 1:
        text = "documents of several sentences, or of none, do not keep their boundaries"
        options.report(document.error(text, kind="boundary"))
