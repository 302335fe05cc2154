"""Scores for entities that the training data had, and for those that they did not have.

Gold and predicted spans are divided in the same way, by what they are themselves: their type with their text, and
their tokens. A right span is therefore in the same part on both sides.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from tagger.corpus.schemes import Span, spans_from_tags
from tagger.evaluation.evaluate import GoldSentence
from tagger.evaluation.scores import Score
from tagger.inputs.vocabulary import UNK_ID, TokenVocabulary

Entities = frozenset[tuple[str, str]]  # types with texts
SEEN, UNSEEN = "seen", "unseen"
KNOWN, UNKNOWN = "known tokens", "unknown tokens"


def entity_of(span: Span, tokens: Sequence[str]) -> tuple[str, str]:
    """Return the type and the text of a span."""
    return span.type, " ".join(tokens[span.start : span.end])


class UnseenScores:
    """The scores of parts of the spans, of sentences that are added one by one.

    The parts are `SEEN` and `UNSEEN`: spans whose type and text an entity of the training data has, or none has; and
    `KNOWN` and `UNKNOWN`: spans whose tokens are all in the model's vocabulary, or not.

    Args:
        entities: the entities of the training data.
        vocabulary: the tokens that the model knows.
    """

    labels: ClassVar[Mapping[str, str]] = {
        SEEN: "seen in the training data",
        UNSEEN: "not seen there",
        KNOWN: "all tokens known",
        UNKNOWN: "with unknown tokens",
    }

    def __init__(self, entities: Entities, vocabulary: TokenVocabulary) -> None:
        self._entities, self._vocabulary = entities, vocabulary
        self._n_gold, self._n_pred, self._n_right = (collections.Counter[str]() for _ in range(3))

    def add(self, sentence: GoldSentence) -> None:
        """Count the spans of a sentence."""
        gold, predicted = spans_from_tags(sentence.gold), spans_from_tags(sentence.pred)
        if not gold and not predicted:
            return
        unknown = (self._vocabulary.encode(sentence.tokens) == UNK_ID).tolist()

        def parts(spans: Iterable[Span]) -> Iterable[str]:
            for span in spans:
                yield SEEN if entity_of(span, sentence.tokens) in self._entities else UNSEEN
                yield UNKNOWN if any(unknown[span.start : span.end]) else KNOWN

        self._n_gold.update(parts(gold))
        self._n_pred.update(parts(predicted))
        self._n_right.update(parts(set(gold) & set(predicted)))

    @property
    def scores(self) -> dict[str, Score]:
        """The score of each part, by conlleval's reading."""
        return {
            part: Score.of_counts(self._n_right[part], self._n_pred[part], self._n_gold[part]) for part in self.labels
        }
