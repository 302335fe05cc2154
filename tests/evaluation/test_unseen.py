"""The scores of entities that the training data had or did not have."""

from __future__ import annotations

import collections
import random

import pytest
from seqscore.scoring import ClassificationScore, score_sequence_mentions
from tag_pairs import mentions, random_pair, words

from tagger.corpus.schemes import spans_from_tags
from tagger.evaluation.evaluate import GoldSentence
from tagger.evaluation.scores import Score
from tagger.evaluation.unseen import KNOWN, SEEN, UNKNOWN, UNSEEN, UnseenScores
from tagger.inputs.vocabulary import Normalization, TokenVocabulary
from tagger.prediction.predictor import TaggedSentence


def sentence(tokens: str, gold: str, pred: str) -> GoldSentence:
    return GoldSentence("f", [], tokens.split(), gold.split(), TaggedSentence(pred.split(), []))


def test_the_parts_by_hand() -> None:
    entities = frozenset({("PER", "Ada"), ("LOC", "New York")})
    scores = UnseenScores(entities, TokenVocabulary(("ada", "new"), Normalization(lowercase=True)))
    scores.add(sentence("Ada saw New York", "B-PER O B-LOC I-LOC", "B-PER O O B-LOC"))  # York is not seen, nor known
    scores.add(sentence("Ada saw Bo", "B-ORG O B-PER", "B-PER O B-PER"))  # the text was seen, but not as ORG
    scores.add(sentence("no entity", "O O", "O O"))
    assert scores.scores == {
        SEEN: Score(1 / 2, 1 / 2, 1 / 2, 2),  # gold Ada, New York; predicted Ada twice
        UNSEEN: Score(1 / 2, 1 / 2, 1 / 2, 2),  # gold Ada as ORG, Bo; predicted York, Bo
        KNOWN: Score(1 / 2, 1 / 2, 1 / 2, 2),  # gold Ada twice; predicted Ada twice
        UNKNOWN: Score(1 / 2, 1 / 2, 1 / 2, 2),  # gold New York, Bo; predicted York, Bo
    }


def test_both_divisions_add_up_to_the_counts_of_seqscore() -> None:
    rng = random.Random(5)
    entities = frozenset({("PER", "w0"), ("LOC", "w1"), ("ORG", "w2 w3"), ("PER", "w4 w5"), ("LOC", "w6")})
    scores, expected = UnseenScores(entities, TokenVocabulary(("w0", "w1", "w2", "w5", "w6"))), ClassificationScore()
    by_part: dict[str, ClassificationScore] = collections.defaultdict(ClassificationScore)
    for _ in range(300):
        for gold, pred in zip(*random_pair(rng), strict=True):
            tokens = words(gold)
            scores.add(GoldSentence("f", [], tokens, gold, TaggedSentence(pred, [])))
            of_gold, of_pred = mentions(gold), mentions(pred)
            score_sequence_mentions(of_pred, of_gold, expected)

            def is_seen(mention: object, tokens: list[str] = tokens) -> bool:
                return (mention.type, " ".join(tokens[mention.span.start : mention.span.end])) in entities  # type: ignore[attr-defined]

            for part, wanted in ((SEEN, True), (UNSEEN, False)):
                score_sequence_mentions(
                    [one for one in of_pred if is_seen(one) == wanted],
                    [one for one in of_gold if is_seen(one) == wanted],
                    by_part[part],
                )
    found = scores.scores
    assert found[SEEN].support + found[UNSEEN].support == expected.total_ref
    assert found[KNOWN].support + found[UNKNOWN].support == expected.total_ref
    for part, score in by_part.items():
        assert (found[part].precision, found[part].recall, found[part].f1) == pytest.approx(
            (score.precision, score.recall, score.f1), abs=1e-12
        )
        assert 0 < found[part].f1 < 1
        assert found[part].support == score.total_ref


def test_without_spans_all_scores_are_zero() -> None:
    scores = UnseenScores(frozenset(), TokenVocabulary(()))
    scores.add(sentence("a b", "O O", "O O"))
    assert set(scores.scores.values()) == {Score(0.0, 0.0, 0.0, 0)}
    assert spans_from_tags(["O", "O"]) == []
