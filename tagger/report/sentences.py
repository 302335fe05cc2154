"""Sentences as a report lists them: lines of text with marked spans, one above the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tagger.corpus.schemes import Span
from tagger.evaluation.errors import MOST_AROUND, SpanError


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a line: a span, or the tokens between two spans.

    Attributes:
        text: its tokens with single blanks between them.
        type: the type of a span, or None.
        note: what is wrong with a span; empty if it is right.
        probability: the probability of a span, or None.
    """

    text: str
    type: str | None = None
    note: str = ""
    probability: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A sentence with the spans of one side, such as `gold`."""

    side: str
    pieces: list[Piece]


@dataclasses.dataclass(frozen=True, slots=True)
class ListedSentence:
    """A sentence of a list that can be filtered.

    Attributes:
        number: its number among those with tokens, from 1.
        place: the file and line of its first token.
        lines: the lines, one above the other.
        labels: the kinds and types by which it is found.
        sure: the highest probability of a wrong predicted span; None if there is none.
    """

    number: int
    place: str
    lines: list[Line]
    labels: frozenset[tuple[str, str]]
    sure: float | None = None


Place = tuple[int, int]


def line_of(
    side: str,
    tokens: Sequence[str],
    spans: Sequence[Span],
    notes: Mapping[Place, str],
    *,
    shown: Place,
    probabilities: Mapping[Place, float] | None = None,
) -> Line:
    """Return a line with the spans of one side.

    Args:
        side: its name.
        tokens: the tokens of the sentence.
        spans: the spans, in order.
        notes: what is wrong with spans, by their places.
        shown: the range of tokens to show; `…` stands for the others. No span may be cut.
        probabilities: the probabilities of spans, by their places.
    """
    first, end = shown
    pieces = [Piece("…")] if first else []
    at = first
    for span in [span for span in spans if first <= span.start and span.end <= end]:
        if span.start > at:
            pieces.append(Piece(" ".join(tokens[at : span.start])))
        place = span.start, span.end
        text = " ".join(tokens[span.start : span.end])
        pieces.append(Piece(text, span.type, notes.get(place, ""), (probabilities or {}).get(place)))
        at = span.end
    if at < end:
        pieces.append(Piece(" ".join(tokens[at:end])))
    return Line(side, [*pieces, Piece("…")] if end < len(tokens) else pieces)


def shown_range(tokens: Sequence[str], spans: Sequence[Span], places: Sequence[Place]) -> Place:
    """Return the range of tokens to show: all, or of a long sentence those around the given places.

    Args:
        spans: the spans of all sides; those at the ends are not cut.
        places: the places that matter, at least one.
    """
    if len(tokens) <= 2 * MOST_AROUND:
        return 0, len(tokens)
    first = max(0, min(start for start, _ in places) - MOST_AROUND)
    end = min(len(tokens), max(end for _, end in places) + MOST_AROUND)
    inside = [span for span in spans if span.start < end and span.end > first]
    return min([first, *(span.start for span in inside)]), max([end, *(span.end for span in inside)])


def listed_errors(
    number: int,
    place: str,
    tokens: Sequence[str],
    gold: Sequence[Span],
    predicted: Sequence[Span],
    probabilities: Sequence[float],
    errors: Sequence[SpanError],
) -> ListedSentence:
    """Return a wrong sentence, gold above predicted.

    Args:
        probabilities: those of the predicted spans.
        errors: its errors, at least one.
    """
    of_gold = {(error.gold.start, error.gold.end): error.kind for error in errors if error.gold}
    of_predicted = {(error.predicted.start, error.predicted.end): error.kind for error in errors if error.predicted}
    scored = {(span.start, span.end): p for span, p in zip(predicted, probabilities, strict=True)}
    shown = shown_range(tokens, [*gold, *predicted], [*of_gold, *of_predicted])
    lines = [
        line_of("gold", tokens, gold, of_gold, shown=shown),
        line_of("predicted", tokens, predicted, of_predicted, shown=shown, probabilities=scored),
    ]
    entities = [(error.kind, entity) for error in errors for entity in (error.gold, error.predicted) if entity]
    labels = frozenset((kind, entity.type) for kind, entity in entities)
    return ListedSentence(number, place, lines, labels, max((scored[one] for one in of_predicted), default=None))
