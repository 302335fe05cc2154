"""The errors by kind and the confusions, compared with nervaluate's and seqscore's counts."""

from __future__ import annotations

import collections
import itertools
import random
from collections.abc import Iterator

from nervaluate.evaluator import Evaluator
from seqscore.scoring import ClassificationScore, TokensWithType, score_sequence_mentions
from tag_pairs import TYPES, mentions, random_pair, words

from tagger.corpus.schemes import spans_from_tags
from tagger.evaluation.errors import (
    BOTH,
    BOUNDARY,
    KINDS,
    MADE_UP,
    MISSED,
    TYPE,
    Confusion,
    ConfusionMatrix,
    Entity,
    SpanError,
    commonest_confusions,
    span_errors,
)
from tagger.evaluation.evaluate import GoldSentence
from tagger.prediction.predictor import TaggedSentence

Tags = list[list[str]]


def sentence(
    tokens: str, gold: str, pred: str, line: int = 1, probabilities: list[float] | None = None
) -> GoldSentence:
    words = tokens.split()
    return GoldSentence(
        "f",
        [line + i for i in range(len(words))],
        words,
        gold.split(),
        TaggedSentence(pred.split(), [], span_probabilities=probabilities or []),
    )


def errors_of(gold: Tags, pred: Tags) -> list[SpanError]:
    return list(
        span_errors(
            GoldSentence("f", list(range(len(tags))), words(tags), tags, TaggedSentence(other, []))
            for tags, other in zip(gold, pred, strict=True)
        )
    )


def test_the_kinds_of_errors_follow_from_the_counts_of_nervaluate() -> None:
    rng = random.Random(1)
    seen: collections.Counter[str] = collections.Counter()
    for _ in range(2000):
        gold, pred = random_pair(rng)
        found = collections.Counter(error.kind for error in errors_of(gold, pred))
        counts = Evaluator(gold, pred, tags=list(TYPES), loader="list").evaluate()["overall"]
        strict, exact, of_type = (counts[name] for name in ("strict", "exact", "ent_type"))
        n_type = exact.correct - strict.correct
        expected = {
            BOUNDARY: of_type.correct - strict.correct,
            TYPE: n_type,
            BOTH: of_type.incorrect - n_type,
            MISSED: of_type.missed,
            MADE_UP: of_type.spurious,
        }
        assert {kind: found[kind] for kind in KINDS} == expected
        seen += found
    assert min(seen.values()) > 100
    assert set(seen) == set(KINDS)


def test_the_wrong_spans_and_their_texts_are_those_of_seqscore() -> None:
    rng = random.Random(2)
    for _ in range(1000):
        gold, pred = random_pair(rng)
        expected = ClassificationScore()
        for tags, other in zip(filter(None, gold), filter(None, pred), strict=True):  # seqscore wants tokens
            score_sequence_mentions(
                mentions(other), mentions(tags), expected, tokens=words(tags), count_fp_fn_examples=True
            )
        errors = errors_of(gold, pred)
        for entities, examples in (
            ([error.gold for error in errors], expected.false_neg_examples),
            ([error.predicted for error in errors], expected.false_pos_examples),
        ):
            found = collections.Counter(
                TokensWithType(tuple(entity.text.split(" ")), entity.type) for entity in entities if entity is not None
            )
            assert found == examples


def test_an_error_says_where_it_is_and_what_both_sides_have() -> None:
    sentences = [
        sentence("Ada saw Oslo", "B-PER O B-LOC", "B-PER O B-LOC", 3),
        sentence("In New York City", "O B-LOC I-LOC O", "O B-LOC I-LOC I-LOC", 7, [0.2]),
        sentence("a b c d", "B-PER O O B-LOC", "O B-PER O B-ORG", 12),
    ]
    new_york = Entity("LOC", "New York", 1, 3)
    assert list(span_errors(sentences)) == [
        SpanError(BOUNDARY, 2, "f", 8, new_york, Entity("LOC", "New York City", 1, 4, 0.2), "In New York City"),
        SpanError(MISSED, 3, "f", 12, Entity("PER", "a", 0, 1), None, "a b c d"),
        SpanError(MADE_UP, 3, "f", 13, None, Entity("PER", "b", 1, 2), "a b c d"),
        SpanError(TYPE, 3, "f", 15, Entity("LOC", "d", 3, 4), Entity("ORG", "d", 3, 4), "a b c d"),
    ]


def test_the_line_of_an_error_is_that_of_the_first_token_of_either_span() -> None:
    for gold, pred in (("O B-A I-A", "B-B I-B O"), ("B-A I-A O", "O B-B I-B")):
        (error,) = span_errors([sentence("a b c", gold, pred, 5)])
        assert (error.kind, error.line) == (BOTH, 5)


def test_errors_are_found_while_the_sentences_come() -> None:
    def endless() -> Iterator[GoldSentence]:
        while True:
            yield sentence("a", "B-A", "O")

    assert [error.sentence for error in itertools.islice(span_errors(endless()), 3)] == [1, 2, 3]


# --- Confusions ------------------------------------------------------------------------------------------------------


def test_the_matrix_has_missed_and_made_up_spans_and_the_sums_are_the_spans() -> None:
    rng = random.Random(3)
    matrix = ConfusionMatrix()
    n_gold, n_pred = collections.Counter[str](), collections.Counter[str]()
    expected = collections.Counter[str]()
    for _ in range(500):
        gold, pred = random_pair(rng)
        for tags, other in zip(gold, pred, strict=True):
            matrix.add(tags, other)
            n_gold.update(span.type for span in spans_from_tags(tags))
            n_pred.update(span.type for span in spans_from_tags(other))
        counts = Evaluator(gold, pred, tags=list(TYPES), loader="list").evaluate()["overall"]["ent_type"]
        expected.update({name: getattr(counts, name) for name in ("correct", "incorrect", "missed", "spurious")})
    assert matrix.types == sorted(TYPES)
    for name in TYPES:
        assert sum(n for (gold_type, _), n in matrix.counts.items() if gold_type == name) == n_gold[name]
        assert sum(n for (_, pred_type), n in matrix.counts.items() if pred_type == name) == n_pred[name]
    found = collections.Counter[str]()
    for (gold_type, pred_type), n in matrix.counts.items():
        side = "missed" if pred_type is None else "spurious" if gold_type is None else ""
        found[side or ("correct" if gold_type == pred_type else "incorrect")] += n
    assert found == expected


def test_the_commonest_confusions_come_first_and_equal_ones_by_name() -> None:
    gold = ["B-PER O B-LOC", "B-PER O B-LOC", "B-LOC B-ORG O", "B-ORG I-ORG O"]
    pred = ["B-ORG O B-LOC", "B-ORG O O", "O B-ORG B-PER", "B-ORG O O"]
    both = [[text.split() for text in side] for side in (gold, pred)]
    found = commonest_confusions(*both)
    assert found == [Confusion("LOC", None, 2), Confusion("PER", "ORG", 2), Confusion(None, "PER", 1)]
    assert list(map(str, found)) == ["LOC missed: 2", "PER taken for ORG: 2", "PER made up: 1"]
    assert commonest_confusions(*both, n=1) == found[:1]
    assert commonest_confusions(both[0], both[0]) == []
