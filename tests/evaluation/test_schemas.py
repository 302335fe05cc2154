"""The counts of the four schemas, compared with nervaluate's."""

from __future__ import annotations

import operator
import random
import time
from typing import Any

import pytest
from nervaluate.evaluator import Evaluator
from tag_pairs import random_pair

from tagger.corpus.schemes import Span, spans_from_tags
from tagger.evaluation.schemas import SCHEMAS, SchemaScores, pairs, same_type

Tags = list[list[str]]
COUNTS = operator.attrgetter("correct", "incorrect", "partial", "missed", "spurious", "possible", "actual")
RATES = operator.attrgetter("precision", "recall", "f1")


def tags(*sentences: str) -> Tags:
    return [sentence.split() for sentence in sentences]


def scores_of(gold: Tags, pred: Tags) -> SchemaScores:
    scores = SchemaScores()
    for of_gold, of_pred in zip(gold, pred, strict=True):
        scores.add(of_gold, of_pred)
    return scores


def assert_equal(found: Any, expected: Any) -> None:
    assert list(found) == list(SCHEMAS)
    for schema in SCHEMAS:
        ours, theirs = found[schema], expected[schema]
        assert COUNTS(ours) == COUNTS(theirs), schema
        for one, other in zip(RATES(ours), RATES(theirs), strict=True):
            assert abs(one - other) <= 1e-12, schema  # `approx` would take longer than all the rest


def assert_as_nervaluate(gold: Tags, pred: Tags, types: list[str]) -> None:
    expected = Evaluator(gold, pred, tags=types, loader="list").evaluate()
    found = scores_of(gold, pred)
    assert_equal(found.overall, expected["overall"])
    assert set(found.types) == set(expected["entities"])
    for name, scores in found.types.items():
        assert_equal(scores, expected["entities"][name])


@pytest.mark.parametrize("seed", range(10))
def test_the_counts_of_random_pairs_are_those_of_nervaluate(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(1000):
        types = ("PER", "LOC", "art-film", "_")[: rng.randint(1, 4)]
        assert_as_nervaluate(*random_pair(rng, types, n_outside=rng.choice([1, 6])), list(types))


@pytest.mark.parametrize(
    ("gold", "pred"),
    [
        ("B-A I-A O B-B", "B-A I-A O B-B"),  # right
        ("B-A I-A O O", "B-B I-B O O"),  # the same tokens, another type
        ("B-A I-A O O", "B-A I-A I-A O"),  # too long
        ("O B-A I-A O", "O O B-A O"),  # too short
        ("O B-A I-A O", "B-B I-B O O"),  # other tokens, another type
        ("B-A I-A O O", "O O O O"),  # missed
        ("O O O O", "O B-A I-A O"),  # made up
        ("B-A I-A O B-A", "B-A I-A I-A I-A"),  # one for two
        ("B-A I-A I-A I-A", "B-A I-A O B-A"),  # two for one
        ("B-A B-A B-B B-B", "B-A I-A B-B I-B"),  # adjacent
        ("B-A I-A I-A I-A", "B-B B-A I-A O"),  # the first one takes the partner of the better one
        ("B-A I-A B-B I-B", "O B-B I-B I-B"),  # the second overlapping span has the right type
        ("B-A B-A I-A I-A", "B-A I-A I-A O"),  # of two of the right type, the closer one
        ("O I-A I-B O", "O B-A I-A O"),  # ill-formed
    ],
)
def test_the_counts_of_single_cases_are_those_of_nervaluate(gold: str, pred: str) -> None:
    for one, other in ((gold, pred), (pred, gold)):
        assert_as_nervaluate(tags(one), tags(other), ["A", "B"])
        assert_as_nervaluate(tags(one, "O", one), tags(other, "O", other), ["A", "B"])


def test_the_table_of_semeval_2013_by_hand() -> None:
    """The six scenarios of the task: I, II (made up), III (missed), IV (type), V (boundary), VI (both)."""
    gold = tags("B-DRUG", "O", "B-BRAND", "B-DRUG", "O B-DRUG", "O B-GROUP")
    pred = tags("B-DRUG", "B-BRAND", "O", "B-BRAND", "B-DRUG I-DRUG", "B-DRUG I-DRUG")
    found = {
        schema: [score.correct, score.incorrect, score.partial, score.missed, score.spurious]
        for schema, score in scores_of(gold, pred).overall.items()
    }
    assert found == {
        "strict": [1, 3, 0, 1, 1],
        "exact": [2, 2, 0, 1, 1],
        "partial": [2, 0, 2, 1, 1],
        "ent_type": [2, 2, 0, 1, 1],
    }
    partial = scores_of(gold, pred).overall["partial"]
    assert (partial.precision, partial.recall, partial.f1) == (0.6, 0.6, pytest.approx(0.6))


def test_one_common_token_is_an_overlap_even_in_a_very_long_span() -> None:
    gold, pred = [["B-A", *["I-A"] * 149]], [["B-A", *["O"] * 149]]
    found = scores_of(gold, pred).overall["partial"]
    assert (found.partial, found.missed, found.spurious) == (1, 0, 0)


def test_a_long_sentence_takes_linear_time() -> None:
    sentence, since = ["B-A", "I-A", "O"] * 10_000, time.process_time()
    found = scores_of([sentence], [["O", *sentence[:-1]]]).overall
    assert (found["strict"].incorrect, found["partial"].partial, found["ent_type"].correct) == (10_000,) * 3
    assert time.process_time() - since < 8, "half a minute if each span is compared with all spans before it"


def test_each_span_has_at_most_one_partner_and_the_order_is_that_of_the_sentence() -> None:
    gold, pred = (spans_from_tags(text.split()) for text in ("B-A O B-B I-B I-B B-C", "O B-D B-B B-B O B-B"))
    assert pairs(gold, pred, same_type) == [
        (Span("A", 0, 1), None),
        (None, Span("D", 1, 2)),
        (Span("B", 2, 5), Span("B", 2, 3)),
        (None, Span("B", 3, 4)),
        (Span("C", 5, 6), Span("B", 5, 6)),
    ]


def test_the_json_object_has_every_count_and_score() -> None:
    found = scores_of(tags("B-A I-A O"), tags("B-A O O")).to_json()
    assert list(found) == ["strict", "exact", "partial", "ent_type", "types"]
    assert found["partial"] == found["types"]["A"]["partial"] == {
        "correct": 0, "incorrect": 0, "partial": 1, "missed": 0, "spurious": 0,
        "possible": 1, "actual": 1, "precision": 0.5, "recall": 0.5, "f1": 0.5,
    }  # fmt: skip


def test_without_sentences_all_counts_are_zero() -> None:
    found = SchemaScores().to_json()
    assert found["types"] == {}
    assert set(found["strict"].values()) == {0}
