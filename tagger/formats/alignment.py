"""Spans fitted to tokens: spans that begin or end beside the edges of tokens, that cross the end of a sentence, or that
overlap.

Tags can hold none of these. `fit` changes a document as asked, and returns every span that could not stay as it was
together with what was done about it.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Literal

from tagger.formats.document import Document, DocumentSpan, DocumentToken

Align = Literal["error", "expand", "contract", "split", "drop"]
Overlap = Literal["error", "longest", "first", "outer", "inner"]
REFUSED, DROPPED = "refused", "dropped"
_CONTEXT = 30  # characters shown beside a span
_LONGEST = 80  # characters shown of a span


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitting:
    """The settings for fitting spans to tokens.

    Attributes:
        align: what happens to a span that does not begin and end at the edges of tokens of one sentence; None if it may
            stay as it is.
        overlap: which of several overlapping spans stay; None if all of them may.
        types: the entity types to keep, or None for all.
    """

    align: Align | None = "error"
    overlap: Overlap | None = "error"
    types: frozenset[str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A span that could not stay as it was.

    Attributes:
        document: the document as it was.
        span: the span as it was.
        reason: why, as in "ends inside a token".
        action: what was done: `refused` if nothing was, because the settings say that this is an error.
        result: the text that the span covers now; None if it is not there any more.
        other: the other span, of two that overlap.
    """

    document: Document
    span: DocumentSpan
    reason: str
    action: str = REFUSED
    result: str | None = None
    other: DocumentSpan | None = None

    def __str__(self) -> str:
        """Return the place, the text with the span marked, what is wrong, and what was done or could be done."""
        text = f"{self.document.place}: {marked(self.document.text, self.span)}: {self.span.type} {self.reason}"
        if self.other is not None:
            text += f" ({self.other.type} {_quoted(self.document.covered(self.other))})"
        if self.action != REFUSED:
            changed = "" if self.result is None else f" → {_quoted(self.result)}"
            return f"{text}; {self.action}{changed}"
        return text + (_nearest(self.document, self.span) if self.other is None else "")


def fit(document: Document, fitting: Fitting) -> tuple[Document, list[Case]]:
    """Fit the spans of a document to its tokens, and choose among overlapping ones.

    A document without tokens keeps the edges of its spans. A span that is refused is not in the result, which is
    therefore always well-formed.

    Returns:
        The document, and the spans that could not stay as they were.
    """
    spans, cases = _of_types(document, fitting.types)
    sentences = document.sentences
    if sentences is not None and fitting.align is not None and spans:
        spans, sentences = _to_edges(document, spans, sentences, fitting.align, cases)
        spans, sentences = _within_sentences(document, spans, sentences, fitting.align, cases)
    if fitting.overlap is not None:
        spans = _without_overlaps(document, spans, fitting.overlap, cases)
    if not cases:
        return document, cases
    return dataclasses.replace(document, spans=tuple(spans), sentences=sentences), cases


def _of_types(document: Document, types: frozenset[str] | None) -> tuple[Sequence[DocumentSpan], list[Case]]:
    if types is None:
        return document.spans, []
    other = [span for span in document.spans if span.type not in types]
    cases = [Case(document=document, span=span, reason="has another type", action="left out") for span in other]
    return [span for span in document.spans if span.type in types], cases


Sentences = tuple[tuple[DocumentToken, ...], ...]
_RESULTS = {"expand": "expanded", "contract": "contracted"}


def _to_edges(
    document: Document, spans: Iterable[DocumentSpan], sentences: Sentences, align: Align, cases: list[Case]
) -> tuple[list[DocumentSpan], Sentences]:
    """Return the spans with edges of tokens, and the tokens, of which some are cut if spans want that."""
    starts = [token.start for sentence in sentences for token in sentence]
    ends = [token.end for sentence in sentences for token in sentence]
    fitted: list[DocumentSpan] = []
    cuts: set[int] = set()
    for span in spans:
        i, j = bisect.bisect_right(ends, span.start), bisect.bisect_left(starts, span.end)
        if i < j and starts[i] == span.start and ends[j - 1] == span.end:
            fitted.append(span)
            continue
        found = functools.partial(Case, document=document, span=span, reason=_reason(span, starts, ends, i, j))
        outer, inner = _outer_and_inner(span, starts, ends, i, j)
        if align == "error":
            cases.append(found())
        elif align == "drop" or outer is None or (align == "contract" and inner is None):
            cases.append(found(action=DROPPED))
        else:
            split = max(span.start, outer[0]), min(span.end, outer[1])
            start, end = {"expand": outer, "contract": inner or outer}.get(align, split)
            within = {split[0]} - {outer[0]} | {split[1]} - {outer[1]} if align == "split" else set()
            cuts |= within
            fitted.append(dataclasses.replace(span, start=start, end=end))
            action = "split off" if within else _RESULTS.get(align, "trimmed")
            cases.append(found(action=action, result=document.text[start:end]))
    return fitted, _cut(sentences, cuts) if cuts else sentences


def _reason(span: DocumentSpan, starts: Sequence[int], ends: Sequence[int], i: int, j: int) -> str:
    """Return why a span does not fit the tokens `i` to `j` (exclusive), which it touches."""
    if i >= j:
        return "covers no token"
    inside = [verb for verb, is_so in (("begins", starts[i] < span.start), ("ends", ends[j - 1] > span.end)) if is_so]
    beside = [verb for verb, is_so in (("begins", starts[i] > span.start), ("ends", ends[j - 1] < span.end)) if is_so]
    reasons = [f"{' and '.join(inside)} inside a token"] if inside else []
    return " and ".join([*reasons, *([f"{' and '.join(beside)} beside a token"] if beside else [])])


Edges = tuple[int, int] | None


def _outer_and_inner(
    span: DocumentSpan, starts: Sequence[int], ends: Sequence[int], i: int, j: int
) -> tuple[Edges, Edges]:
    """Return the edges of all tokens that a span touches, and of all tokens that are whole inside it."""
    if i >= j:
        return None, None
    outer = starts[i], ends[j - 1]
    i += starts[i] < span.start
    j -= ends[j - 1] > span.end
    return outer, (starts[i], ends[j - 1]) if i < j else None


def _cut(sentences: Sentences, cuts: Collection[int]) -> Sentences:
    """Return the sentences with their tokens cut at characters."""
    ordered = sorted(cuts)

    def parts(token: DocumentToken) -> Iterator[DocumentToken]:
        inside = ordered[bisect.bisect_right(ordered, token.start) : bisect.bisect_left(ordered, token.end)]
        for start, end in itertools.pairwise([token.start, *inside, token.end]):
            yield dataclasses.replace(token, start=start, end=end)

    return tuple(tuple(part for token in sentence for part in parts(token)) for sentence in sentences)


def _within_sentences(
    document: Document, spans: Iterable[DocumentSpan], sentences: Sentences, align: Align, cases: list[Case]
) -> tuple[list[DocumentSpan], Sentences]:
    """Return the spans, none of which crosses the end of a sentence, and the sentences, of which some are joined."""
    firsts = [sentence[0].start for sentence in sentences if sentence]
    fitted: list[DocumentSpan] = []
    joined: set[int] = set()
    for span in spans:
        crossed = firsts[bisect.bisect_right(firsts, span.start) : bisect.bisect_left(firsts, span.end)]
        if not crossed:
            fitted.append(span)
            continue
        found = functools.partial(Case, document=document, span=span, reason="crosses the end of a sentence")
        if align == "error":
            cases.append(found())
        elif align == "drop":
            cases.append(found(action=DROPPED))
        elif align == "expand":
            joined.update(crossed)
            fitted.append(span)
            cases.append(found(action="kept in joined sentences", result=document.covered(span)))
        else:
            parts = _by_sentence(span, sentences)
            if align == "contract":
                parts = [max(parts, key=lambda part: part[1])]
            fitted += [dataclasses.replace(span, start=start, end=end) for (start, end), _ in parts]
            shown = " / ".join(document.text[start:end] for (start, end), _ in parts)
            cases.append(
                found(action="contracted" if align == "contract" else "cut at the ends of sentences", result=shown)
            )
    return fitted, _joined(sentences, joined) if joined else sentences


def _by_sentence(span: DocumentSpan, sentences: Sentences) -> list[tuple[tuple[int, int], int]]:
    """Return the edges of the part of a span in each sentence, and how many tokens it has."""
    covered = [[token for token in sentence if span.start <= token.start < span.end] for sentence in sentences]
    return [((tokens[0].start, tokens[-1].end), len(tokens)) for tokens in covered if tokens]


def _joined(sentences: Sentences, firsts: Collection[int]) -> Sentences:
    """Return the sentences, of which each that begins at one of these characters continues the one before it."""
    whole: list[tuple[DocumentToken, ...]] = []
    for sentence in filter(None, sentences):
        if sentence[0].start in firsts:
            whole[-1] += sentence
        else:
            whole.append(sentence)
    return tuple(whole)


def _without_overlaps(
    document: Document, spans: Sequence[DocumentSpan], overlap: Overlap, cases: list[Case]
) -> Sequence[DocumentSpan]:
    """Return spans of which no two overlap, in the order of the text; or all of them, as they are, if none do."""
    if all(a.end <= b.start for a, b in itertools.pairwise(spans)):
        return spans
    once: dict[tuple[str, int, int], DocumentSpan] = {}
    for span in spans:
        if once.setdefault((span.type, span.start, span.end), span) is not span:
            cases.append(Case(document=document, span=span, reason="is there twice", action="kept once"))
    kept = list(once.values())
    if overlap in ("outer", "inner"):
        kept = _layer(document, kept, overlap, cases)
    if overlap == "longest":
        kept.sort(key=lambda span: (span.start - span.end, span.start))
    else:
        kept.sort(key=lambda span: span.start)
    return _one_by_one(document, kept, REFUSED if overlap in ("error", "outer", "inner") else DROPPED, cases)


def _layer(
    document: Document, spans: Iterable[DocumentSpan], overlap: Overlap, cases: list[Case]
) -> list[DocumentSpan]:
    """Return the spans that lie in no other one (the outer layer), or in which no other one lies (the inner layer).

    Of two with the same edges, the first one counts as the outer one.
    """
    ordered = sorted(spans, key=lambda span: (span.start, -span.end))
    kept: list[DocumentSpan] = []
    last: DocumentSpan | None = None  # the one whose end decides
    for span in ordered if overlap == "outer" else reversed(ordered):
        # All earlier ones begin no later (outer), or no earlier (inner), so only the ends need to be compared.
        if last is not None and (span.end <= last.end if overlap == "outer" else last.end <= span.end):
            reason = "lies in another span" if overlap == "outer" else "holds another span"
            cases.append(Case(document=document, span=span, reason=reason, action=DROPPED, other=last))
            continue
        kept.append(span)
        last = span
    return kept


def _one_by_one(
    document: Document, spans: Iterable[DocumentSpan], action: str, cases: list[Case]
) -> list[DocumentSpan]:
    """Take spans in their order if they do not overlap one that was taken before; return them in that of the text."""
    taken: list[DocumentSpan] = []
    starts: list[int] = []
    for span in spans:
        place = bisect.bisect_right(starts, span.start)
        near = taken[max(0, place - 1) : place + 1]
        other = next((one for one in near if one.start < span.end and span.start < one.end), None)
        if other is None:
            taken.insert(place, span)
            starts.insert(place, span.start)
        else:
            reason = _relation(span, other)
            cases.append(Case(document=document, span=span, reason=reason, action=action, other=other))
    return taken


def _relation(span: DocumentSpan, other: DocumentSpan) -> str:
    if (span.start, span.end) == (other.start, other.end):
        return "has the edges of another span"
    if other.start <= span.start and span.end <= other.end:
        return "lies in another span"
    if span.start <= other.start and other.end <= span.end:
        return "holds another span"
    return "overlaps another span"


def marked(text: str, span: DocumentSpan) -> str:
    """Return a span in brackets with a little of the text beside it, on one line.

    >>> marked("We met Acme Inc. in Bonn", DocumentSpan("ORG", 7, 15))
    'We met [[Acme Inc]]. in Bonn'
    """
    start, end = max(0, span.start - _CONTEXT), min(len(text), span.end + _CONTEXT)
    before, after = text[start : span.start], text[span.end : end]
    shown = f"{'…' if start else ''}{before}[[{_cut_short(text[span.start : span.end])}]]{after}"
    return _on_one_line(shown) + ("…" if end < len(text) else "")


def _nearest(document: Document, span: DocumentSpan) -> str:
    """Return the nearest edges of tokens: those of the tokens inside the span, and those of all that it touches."""
    starts, ends = [token.start for token in document.tokens], [token.end for token in document.tokens]
    i, j = bisect.bisect_right(ends, span.start), bisect.bisect_left(starts, span.end)
    edges = [edge for edge in dict.fromkeys(reversed(_outer_and_inner(span, starts, ends, i, j))) if edge is not None]
    if not edges:
        return ""
    shown = " or ".join(f"{_quoted(document.text[start:end])} ({start} to {end})" for start, end in edges)
    return f"; nearest token edges: {shown}"


def _quoted(text: str) -> str:
    return f"'{_on_one_line(_cut_short(text))}'"


def _cut_short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def _on_one_line(text: str) -> str:
    return re.sub(r"\s", " ", text)
