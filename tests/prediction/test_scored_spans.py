"""Spans of sentences that are tagged in parts."""

from __future__ import annotations

from tagger.prediction.predictor import TaggedSentence
from tagger.prediction.scored_spans import ScoredSpan, extend, scored_spans


def part(tags: list[str], probabilities: list[float]) -> TaggedSentence:
    return TaggedSentence(tags, [0.5] * len(tags), 0.0, probabilities)


def test_a_span_that_was_cut_keeps_its_first_probability() -> None:
    whole = part(["B-a", "O", "B-b"], [0.9, 0.8])
    extend(whole, part(["I-b", "B-b"], [0.7, 0.6]))
    extend(whole, part(["B-b", "O"], [0.5]))
    extend(whole, part(["I-a"], [0.4]))
    assert scored_spans(whole) == [
        ScoredSpan("a", 0, 1, 0.9),
        ScoredSpan("b", 2, 4, 0.8),
        ScoredSpan("b", 4, 5, 0.6),
        ScoredSpan("b", 5, 6, 0.5),
        ScoredSpan("a", 7, 8, 0.4),
    ]
    assert len(whole.probabilities) == len(whole.tags) == 8
