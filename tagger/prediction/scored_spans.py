"""The spans of a tagged sentence with their probabilities."""

from __future__ import annotations

import dataclasses
import math

from tagger.corpus.schemes import spans_from_tags
from tagger.prediction.predictor import TaggedSentence


@dataclasses.dataclass(frozen=True, slots=True)
class ScoredSpan:
    """An entity or chunk: the tokens `start` to `end` (exclusive) and their type.

    Attributes:
        type: the entity type, or `_` if the training file's tags have no types.
        start: the index of the first token.
        end: the index after the last token.
        score: the product of the scores of its tokens. This is the probability that all of them have these tags if the
            tags of tokens are independent, which they are not under a CRF.
    """

    type: str
    start: int
    end: int
    score: float


def scored_spans(tagged: TaggedSentence) -> list[ScoredSpan]:
    """Return the spans of a sentence's tags in order, read as conlleval reads them."""
    return [
        ScoredSpan(span.type, span.start, span.end, math.prod(tagged.probabilities[span.start : span.end]))
        for span in spans_from_tags(tagged.tags)
    ]
