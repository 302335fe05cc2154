"""Spans and tags: the spans of documents read from tags, and the tags of a document's tokens."""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tagger.corpus.notation import BadTag, Notation, detect_notation, parse_prefix
from tagger.corpus.schemes import (
    NO_SCHEME,
    OUTSIDE,
    SCHEMES,
    UNTYPED,
    Span,
    spans_from_tags,
    tags_from_spans,
)
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Place, ReadOptions
from tagger.wording import abridged, listed

_READ_AHEAD = 1000  # documents from whose tags the notation is found
_START, _END = operator.attrgetter("start"), operator.attrgetter("end")
Tokens = tuple[DocumentToken, ...]
_NO_TAG = "_"  # of a token without a plain tag, among others that have one


class Draft(NamedTuple):
    """A document whose spans are still to be read from the tags of its sentences, if it has tags."""

    text: str
    place: Place
    sentences: tuple[Tokens, ...] | None = None
    tags: Sequence[Sequence[str]] | None = None
    spans: tuple[DocumentSpan, ...] = ()
    id: str | None = None
    fields: Mapping[str, Any] = {}


def joined(
    sentences: Iterable[Sequence[str]], *, between: str = " ", after: str = "\n"
) -> tuple[str, tuple[Tokens, ...]]:
    """Return the text of a format that has tokens only, and the tokens in it.

    >>> joined([["Ann", "left"], ["Bob"]])[0]
    'Ann left\\nBob'
    """
    placed: list[Tokens] = []
    start = 0
    texts = []
    for tokens in sentences:
        ends = itertools.accumulate((len(token) + len(between) for token in tokens), initial=start)
        placed.append(tuple(DocumentToken(at, at + len(token)) for at, token in zip(ends, tokens, strict=False)))
        texts.append(between.join(tokens))
        start += len(texts[-1]) + len(after)
    return after.join(texts), tuple(placed)


def located(text: str, tokens: Sequence[str]) -> Tokens | None:
    """Return the tokens in a text that has nothing but blanks between them, or None if they are not its tokens.

    >>> located("Ann  left.", ["Ann", "left", "."])[1]
    DocumentToken(start=5, end=9, tag=None)
    """
    found, end = [], 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0 or text[end:start].strip():
            return None
        end = start + len(token)
        found.append(DocumentToken(start, end))
    return None if text[end:].strip() else tuple(found)


def read_tags(drafts: Iterable[Draft], options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of drafts; the notation of their tags is found from the first ones that have tags.

    Raises:
        DataError: a tag does not fit the scheme.
    """
    rest = iter(drafts)
    for draft in rest:
        if draft.tags is None:
            yield _document(draft, draft.spans, draft.sentences)
            continue
        first = [draft, *itertools.islice(rest, _READ_AHEAD - 1)]
        tags = _Tags(_notation(first, options), strict=options.scheme != "auto")
        for one in itertools.chain(first, rest):
            yield tags.document(one)


def _document(draft: Draft, spans: tuple[DocumentSpan, ...], sentences: tuple[Tokens, ...] | None) -> Document:
    return Document(
        text=draft.text, spans=spans, sentences=sentences, id=draft.id, fields=draft.fields, place=draft.place
    )


def _notation(drafts: Sequence[Draft], options: ReadOptions) -> Notation:
    place = drafts[0].place
    try:
        notation, notes = detect_notation([tags for draft in drafts for tags in draft.tags or ()], options.scheme)
    except BadTag as bad:
        with_it = (draft.place for draft in drafts if any(bad.tag in tags for tags in draft.tags or ()))
        raise _unfit(bad.tag, bad.scheme, bad.remedy, next(with_it, place)) from None
    except DataError as error:
        raise DataError(error.message, path=place.path, detail=error.detail) from None
    for note in notes:
        options.note(note)
    return notation


def _unfit(tag: str, scheme: str, remedy: str, place: Place) -> DataError:
    text = f"found the tag {abridged(tag, 80)!r}, which does not fit the scheme {scheme}; {remedy}"
    return DataError(text, path=place.path, line=place.line)


class _Tags:
    """The tags of a file in its notation."""

    def __init__(self, notation: Notation, *, strict: bool) -> None:
        self._notation, self._strict = notation, strict
        self._canonical: dict[str, str] = {}

    def document(self, draft: Draft) -> Document:
        if draft.tags is None or draft.sentences is None:
            return _document(draft, draft.spans, draft.sentences)
        if self._notation.scheme == NO_SCHEME:
            sentences = tuple(
                tuple(DocumentToken(token.start, token.end, tag) for token, tag in zip(tokens, tags, strict=True))
                for tokens, tags in zip(draft.sentences, draft.tags, strict=True)
            )
            return _document(draft, draft.spans, sentences)
        spans = list(draft.spans)
        known = self._canonical
        for tokens, spelled in zip(draft.sentences, draft.tags, strict=True):
            if spelled.count(OUTSIDE) == len(spelled):
                continue
            tags = [known.get(tag) or self._read(tag, draft.place) for tag in spelled]
            spans += [
                DocumentSpan(span.type, tokens[span.start].start, tokens[span.end - 1].end)
                for span in spans_from_tags(tags)
            ]
        return _document(draft, tuple(spans), draft.sentences)

    def _read(self, tag: str, place: Place) -> str:
        """Return the canonical form of a tag; a prefix that the first documents did not have is read too."""
        try:
            canonical = self._notation.canonical(tag)
        except ValueError:
            prefix, entity_type = parse_prefix(tag, suffix=self._notation.suffix)
            if prefix is None or self._strict:
                remedy = "fix it, or set data.scheme ('none' means plain tags, which have no spans)"
                raise _unfit(tag, self._notation.scheme, remedy, place) from None
            canonical = f"{'I' if prefix == 'M' else prefix}-{entity_type or UNTYPED}"
        self._canonical[tag] = canonical
        return canonical


def tags_of(document: Document, scheme: str, unfit: Callable[[DocumentSpan], None]) -> list[list[str]]:
    """Return the tags of each sentence: the plain tags of its tokens if it has no spans, otherwise those of the spans.

    Args:
        document: a document with tokens.
        scheme: the scheme of the tags.
        unfit: called with each span that tags cannot hold, as in `span_tags`.

    Raises:
        DataError: there are spans, and the scheme is for plain tags.
    """
    sentences = document.sentences or ()
    if not document.spans:
        return [plain_tags(tokens) or [OUTSIDE] * len(tokens) for tokens in sentences]
    if scheme not in SCHEMES:
        raise DataError(
            f"found spans, expected plain tags for the scheme {scheme}; choose one of {listed(list(SCHEMES))}",
            path=document.place.path,
            line=document.place.line,
        )
    return span_tags(sentences, document.spans, scheme, unfit)


def span_tags(
    sentences: Sequence[Tokens],
    spans: Iterable[DocumentSpan],
    scheme: str,
    unfit: Callable[[DocumentSpan], None],
) -> list[list[str]]:
    """Return the tags of each sentence in a scheme of spans.

    Args:
        sentences: the tokens.
        spans: the spans.
        scheme: the scheme of the tags.
        unfit: called with each span that tags cannot hold: one that overlaps an earlier one, or that does not begin and
            end at edges of tokens of one sentence.
    """
    rest = iter(sorted(spans, key=lambda span: (span.start, -span.end)))
    span = next(rest, None)
    tags = []
    for tokens in sentences:
        found: list[Span] = []
        if span is not None and tokens and span.start < tokens[-1].end:
            while span is not None and span.start < tokens[-1].end:
                first = bisect.bisect_left(tokens, span.start, key=_START)
                last = bisect.bisect_left(tokens, span.end, key=_END)
                fits = first <= last < len(tokens) and (tokens[first].start, tokens[last].end) == (span.start, span.end)
                if fits and not (found and first < found[-1].end):
                    found.append(Span(span.type, first, last + 1))
                else:
                    unfit(span)
                span = next(rest, None)
        tags.append(tags_from_spans(found, len(tokens), scheme) if found else [OUTSIDE] * len(tokens))
    for left in itertools.chain(() if span is None else (span,), rest):
        unfit(left)
    return tags


def plain_tags(tokens: Tokens) -> list[str] | None:
    """Return the plain tags of tokens, or None if no token has one."""
    tags = [token.tag for token in tokens]
    return None if tags.count(None) == len(tags) else [_NO_TAG if tag is None else tag for tag in tags]
