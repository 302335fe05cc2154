"""Tokens in texts: the text that tokens make, tokens found in a text, and spans that begin and end at their edges."""

from __future__ import annotations

import bisect
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence

from tagger.corpus.schemes import Span
from tagger.formats.document import Document, DocumentSpan, DocumentToken

Tokens = tuple[DocumentToken, ...]
_START, _END = operator.attrgetter("start"), operator.attrgetter("end")


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


def with_tags(tokens: Tokens, tags: Iterable[str]) -> Tokens:
    """Return tokens with plain tags."""
    return tuple(DocumentToken(token.start, token.end, tag) for token, tag in zip(tokens, tags, strict=True))


def sentences_of(document: Document) -> tuple[Tokens, ...]:
    """Return the tokens of each sentence of a document.

    Raises:
        DataError: the document has no tokens.
    """
    if document.sentences is None:
        raise document.error("found a text without tokens, expected tokens; cut it into tokens first")
    return document.sentences


def in_tokens(
    spans: Iterable[DocumentSpan], sentences: Iterable[Tokens], unfit: Callable[[DocumentSpan], None]
) -> Iterator[list[Span]]:
    """Yield the spans of each sentence, counted in tokens.

    Args:
        spans: the spans.
        sentences: the tokens.
        unfit: called with each span that overlaps an earlier one, or that does not begin and end at edges of tokens of
            one sentence; it is left out.
    """
    rest = iter(sorted(spans, key=lambda span: (span.start, -span.end)))
    span = next(rest, None)
    for tokens in sentences:
        found: list[Span] = []
        while span is not None and tokens and span.start < tokens[-1].end:
            first = bisect.bisect_left(tokens, span.start, key=_START)
            last = bisect.bisect_left(tokens, span.end, key=_END)
            fits = first <= last < len(tokens) and (tokens[first].start, tokens[last].end) == (span.start, span.end)
            if fits and not (found and first < found[-1].end):
                found.append(Span(span.type, first, last + 1))
            else:
                unfit(span)
            span = next(rest, None)
        yield found
    for left in itertools.chain(() if span is None else (span,), rest):
        unfit(left)
