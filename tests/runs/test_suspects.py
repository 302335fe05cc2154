"""Check which gold labels are doubted and how much, by hand and by brute force."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from all_paths import all_paths
from hypothesis import given
from hypothesis import strategies as st
from stub_model import TAG_OF_TOKEN, TAGS, fixed_logits, stub_predictor
from tag_pairs import random_pair

from tagger.corpus.schemes import Span, spans_from_tags, tags_from_spans
from tagger.corpus.transitions import constraints_of
from tagger.inputs.vocabulary import N_RESERVED, UNK_ID
from tagger.runs.suspects import Place, Suspect, places_of, ranked, suspects_among


def suspects(tokens: list[str], gold: list[str]) -> list[Suspect]:
    predictor = stub_predictor()
    tagged = predictor.tag([tokens], spans=True)
    return list(suspects_among(predictor, [7], [[tokens]], [gold], tagged))


@pytest.mark.parametrize(
    ("gold", "predicted", "kind"),
    [
        ([], [Span("PER", 0, 2)], "missed"),
        ([Span("PER", 0, 2)], [], "made up"),
        ([Span("PER", 0, 2)], [Span("PER", 0, 1)], "boundary"),
        ([Span("PER", 0, 2)], [Span("LOC", 0, 2)], "type"),
        ([Span("PER", 0, 2)], [Span("LOC", 1, 3)], "both"),
        ([Span("PER", 0, 3)], [Span("PER", 0, 1), Span("PER", 2, 3)], "boundary"),
        ([Span("PER", 0, 3)], [Span("PER", 0, 1), Span("LOC", 2, 3)], "both"),
    ],
)
def test_a_place_is_named_by_what_is_wrong_with_the_label(gold: list[Span], predicted: list[Span], kind: str) -> None:
    (place,) = places_of(gold, predicted)
    assert place.kind == kind
    assert (list(place.gold), list(place.predicted)) == (gold, predicted)
    assert (place.start, place.end) == (
        min(span.start for span in gold + predicted), max(span.end for span in gold + predicted)
    )  # fmt: skip


@given(st.integers(0, 10_000))
def test_places_are_the_groups_of_differing_spans_that_overlap(seed: int) -> None:
    gold_tags, pred_tags = random_pair(random.Random(seed))
    for one, other in zip(gold_tags, pred_tags, strict=True):
        gold, predicted = spans_from_tags(one), spans_from_tags(other)
        places = places_of(gold, predicted)
        both = set(gold) & set(predicted)
        assert [span for place in places for span in place.gold] == [span for span in gold if span not in both]
        assert [span for place in places for span in place.predicted] == [
            span for span in predicted if span not in both
        ]
        for place, following in itertools.pairwise(places):
            assert place.end <= following.start
        for place in places:
            covered = set().union(*(range(span.start, span.end) for span in (*place.gold, *place.predicted)))
            assert covered == set(range(place.start, place.end))
        # Each place can be decided by itself.
        for place in places:
            mixed = sorted([*(span for span in predicted if span not in place.predicted), *place.gold])
            assert all(a.end <= b.start for a, b in itertools.pairwise(sorted(mixed, key=lambda span: span.start)))


def brute_force(tokens: list[str], gold: list[str], place: Place, predicted: list[str]) -> float:
    known = list(TAG_OF_TOKEN)
    ids = [known.index(token) + N_RESERVED if token in known else UNK_ID for token in tokens]
    constraints = constraints_of(TAGS, "IOB2")
    assert constraints is not None
    paths = all_paths(fixed_logits()[ids], constraints)
    mixed = [*predicted]
    mixed[place.start : place.end] = gold[place.start : place.end]
    probability = {
        tuple(TAGS[i] for i in path): float(p)
        for path, p in zip(paths.tags.tolist(), paths.probabilities.tolist(), strict=True)
    }
    ours, theirs = probability[tuple(predicted)], probability[tuple(mixed)]
    return ours / (ours + theirs)


@pytest.mark.parametrize(
    ("tokens", "gold"),
    [
        (["EU", "x"], ["O", "O"]),
        (["EU", "x"], ["B-LOC", "O"]),
        (["Peter", "Blackburn", "x"], ["B-PER", "O", "O"]),
        (["Peter", "Blackburn", "EU"], ["O", "B-PER", "B-LOC"]),
        (["x", "x", "EU"], ["B-PER", "I-PER", "O"]),
        (["EU", "x", "Peter"], ["O", "B-MISC", "B-LOC"]),
    ],
)
def test_the_probability_is_that_of_brute_force(tokens: list[str], gold: list[str]) -> None:
    found = suspects(tokens, gold)
    (predicted,) = stub_predictor().tag([tokens])
    assert found
    for one in found:
        assert one.sentence == 7
        assert one.probability == pytest.approx(brute_force(tokens, gold, one.place, predicted.tags), rel=1e-5)


def test_labels_that_are_predicted_are_not_suspects() -> None:
    assert suspects(["EU", "x"], ["B-ORG", "O"]) == []
    assert suspects(["x"], ["O"]) == []


def test_a_type_that_the_model_does_not_know_has_no_probability_and_comes_last() -> None:
    (one,) = suspects(["EU", "x"], ["B-GPE", "O"])
    assert one.probability is None
    assert one.place.kind == "type"
    place = Place(0, 1, (), (Span("PER", 0, 1),))
    others = [Suspect(3, place, 0.2), one, Suspect(1, place, 0.9), Suspect(0, place, 0.2)]
    assert [suspect.sentence for suspect in ranked(others)] == [1, 0, 3, 7]


def test_other_places_of_the_sentence_do_not_matter() -> None:
    alone = suspects(["EU", "x", "x", "Peter"], ["B-LOC", "O", "O", "B-PER"])
    both = suspects(["EU", "x", "x", "Peter"], ["B-LOC", "O", "O", "B-LOC"])
    assert both[0].probability == pytest.approx(alone[0].probability)
    assert len(both) == 2


def test_spans_of_the_stub_are_not_lost_in_the_scheme() -> None:
    """Guard the brute force: the mixed tags above are what the spans of the place give in IOB2."""
    spans = [Span("PER", 0, 2), Span("LOC", 2, 3)]
    assert spans_from_tags(tags_from_spans(spans, 3, "IOB2")) == spans
    assert np.isfinite(fixed_logits()).all()


def test_nearly_equal_ratios_are_ranked_by_how_sure_the_prediction_is() -> None:
    place = Place(0, 1, (), (Span("PER", 0, 1),))
    order = [Suspect(i, place, p, sure) for i, (p, sure) in enumerate([(0.999, 0.9), (1.0, 0.5), (0.9, 1.0)])]
    assert ranked(order[::-1]) == order


def test_the_surest_of_a_place_is_its_least_sure_span_or_token() -> None:
    (tagged,) = stub_predictor().tag([["EU", "x", "x"]], spans=True)
    (one,) = suspects(["EU", "x", "x"], ["O", "O", "O"])
    assert one.sure == pytest.approx(tagged.span_probabilities[0])
    (one,) = suspects(["x", "x", "x"], ["B-PER", "I-PER", "O"])
    (tagged,) = stub_predictor().tag([["x", "x", "x"]])
    assert one.sure == pytest.approx(min(tagged.probabilities[:2]))


def test_a_place_that_is_not_annotated_is_no_suspect() -> None:
    tokens = list(TAG_OF_TOKEN)
    predicted = stub_predictor().tag([tokens])[0].tags
    assert spans_from_tags(predicted)
    assert suspects(tokens, ["O"] * len(tokens))
    assert suspects(tokens, [""] * len(tokens)) == []
