"""The spans of a tagged sentence with their probabilities."""

from __future__ import annotations

import dataclasses

from tagger.corpus.schemes import spans_from_tags
from tagger.prediction.predictor import TaggedSentence


@dataclasses.dataclass(frozen=True, slots=True)
class ScoredSpan:
    """An entity or chunk: the tokens `start` to `end` (exclusive) and their type.

    Attributes:
        type: the entity type, or `_` if the training file's tags have no types.
        start: the index of the first token.
        end: the index after the last token.
        score: the probability that the sentence has exactly this span: the summed probability of all tag sequences
            that have it, in the distribution of the decoder. See `prediction.lattice`.
    """

    type: str
    start: int
    end: int
    score: float


def scored_spans(tagged: TaggedSentence) -> list[ScoredSpan]:
    """Return the spans of a sentence's tags in order, read as conlleval reads them.

    Args:
        tagged: a sentence that was tagged with the probabilities of its spans.
    """
    return [
        ScoredSpan(span.type, span.start, span.end, probability)
        for span, probability in zip(spans_from_tags(tagged.tags), tagged.span_probabilities, strict=True)
    ]


def extend(whole: TaggedSentence, part: TaggedSentence) -> None:
    """Append the next part of a sentence that was tagged in parts; a span that was cut keeps its first probability.

    Alternatives are those of a sentence in one part.
    """
    whole.alternatives[:] = [] if whole.tags else part.alternatives
    of_part = part.span_probabilities
    if whole.tags and part.tags and len(spans_from_tags([whole.tags[-1], part.tags[0]])) == 1:
        both_inside = spans_from_tags(whole.tags[-1:]) and spans_from_tags(part.tags[:1])
        of_part = of_part[1:] if both_inside else of_part
    whole.tags.extend(part.tags)
    whole.probabilities.extend(part.probabilities)
    whole.span_probabilities.extend(of_part)
