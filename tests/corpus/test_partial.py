"""Compare the tags that tokens may have with an enumeration of all legal sequences."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest

from tagger.corpus import partial
from tagger.corpus.partial import (
    Allowed,
    allowed_tags,
    ids_of_allowed,
    is_possible,
    tags_of_types,
    weights_of_ids,
    without_unknown,
)
from tagger.corpus.schemes import (
    NO_SCHEME,
    SCHEMES,
    UNKNOWN,
    convert,
    is_legal,
    legal_transitions,
    spans_from_tags,
)

TYPES = ("a", "b")
MERGING = ("IO", "IOB1", "IOE1")  # a tag alone does not say where a span begins or ends


def legal_sequences(scheme: str, n: int) -> list[tuple[str, ...]]:
    legal = legal_transitions(scheme)
    return [
        tags
        for tags in itertools.product(sorted(tags_of_types(TYPES, scheme)), repeat=n)
        if all(is_legal(*pair, legal) for pair in itertools.pairwise(["O", *tags, "O"]))
    ]


def agrees(tags: tuple[str, ...], known: tuple[str, ...]) -> bool:
    return all(one in (tag, UNKNOWN) for tag, one in zip(tags, known, strict=True))


def allows(allowed: list[Allowed], tags: tuple[str, ...]) -> bool:
    return all(one is None or tag in one for tag, one in zip(tags, allowed, strict=True))


def test_the_examples_of_the_docstrings() -> None:
    assert doctest.testmod(partial).failed == 0


@pytest.mark.parametrize("target", ["IOB2", "IOBES"])
@pytest.mark.parametrize("source", list(SCHEMES))
def test_allowed_sequences_are_those_of_all_completions(source: str, target: str) -> None:
    n, rng = 3, np.random.default_rng(1)
    completions, sequences = legal_sequences(source, n), legal_sequences(target, n)
    for whole in [completions[i] for i in rng.choice(len(completions), min(60, len(completions)), replace=False)]:
        for hidden in itertools.product([False, True], repeat=n):
            known = tuple(UNKNOWN if out else tag for tag, out in zip(whole, hidden, strict=True))
            expected = {tuple(convert(tags, source, target)) for tags in completions if agrees(tags, known)}
            allowed = allowed_tags(known, source, target)
            assert [one is None for one in allowed] == list(hidden)
            found = {tags for tags in sequences if allows(allowed, tags)}
            assert found >= expected, known
            exact = source not in MERGING and (target == "IOBES" or source == "IOB2")
            assert not exact or found == expected, known


@pytest.mark.parametrize("source", list(SCHEMES))
def test_whole_annotations_have_one_reading(source: str) -> None:
    for tags in itertools.product(sorted(tags_of_types(TYPES, source)), repeat=3):  # ill-formed ones too
        assert allowed_tags(tags, source, "IOBES") == [
            frozenset({tag}) for tag in convert(convert(tags, source, "IOB2"), "IOB2", "IOBES")
        ]


def test_spans_end_with_the_annotation_if_no_legal_sequence_agrees() -> None:
    assert allowed_tags(["B-a", UNKNOWN, "I-b", "E-b"], "IOBES", "IOBES") == [
        frozenset({"S-a"}), None, frozenset({"B-b"}), frozenset({"E-b"})
    ]  # fmt: skip


def test_possible_sequences() -> None:
    assert is_possible([frozenset({"B-a"}), None, frozenset({"E-a"})], "IOBES")
    assert not is_possible([frozenset({"B-a"}), frozenset({"O"})], "IOBES")
    assert not is_possible([None, frozenset({"B-a"})], "IOBES")
    assert is_possible([None, None], "IOBES")


def test_ids_are_those_of_tags_and_then_of_sets() -> None:
    one, two = frozenset({"O"}), frozenset({"B-a", "S-a"})
    ids, allowed = ids_of_allowed([[one, two, None], [frozenset({"S-a"}), two]], ["O", "B-a", "S-a"])
    assert [row.tolist() for row in ids] == [[0, 3, 4], [2, 3]]
    assert allowed[:3].tolist() == np.eye(3, dtype=bool).tolist()
    assert allowed[3:].tolist() == [[False, True, True], [True, True, True]]
    assert weights_of_ids({"a": 2.5}, allowed, ["O", "B-a", "S-a"], "IOBES").tolist() == [1.0, 2.5, 2.5, 2.5, 1.0]


def test_plain_tags_are_known_or_not() -> None:
    assert allowed_tags(["N-M", UNKNOWN], NO_SCHEME, NO_SCHEME) == [frozenset({"N-M"}), None]
    assert weights_of_ids({"N-M": 3.0}, np.eye(2, dtype=bool), ["N-M", "V"], NO_SCHEME).tolist() == [3.0, 1.0]


def test_a_span_ends_at_a_token_without_annotation_and_conversion_keeps_that_token() -> None:
    tags = ["B-a", "I-a", UNKNOWN, "I-a", "O"]
    assert [(span.start, span.end) for span in spans_from_tags(tags)] == [(0, 2), (3, 4)]
    assert convert(tags, "IOB2", "IOBES") == ["B-a", "E-a", UNKNOWN, "S-a", "O"]
    assert convert(tags, "IOB2", "IOB2") == tags


@pytest.mark.parametrize(
    ("gold", "pred", "gold_left", "pred_left", "kept"),
    [
        ("B O ? O", "B O B I", "B O ? O", "B O ? O", [True, False]),  # a predicted span over an unknown token
        ("B I ? B", "B I O B", "O O ? O", "O O ? O", [False, False]),  # gold spans that border on one
        ("O O ? O", "B I O O", "O O ? O", "B I ? O", [True]),  # wrong, whatever the unknown token is
        ("? ? ? ?", "B I O B", "? ? ? ?", "? ? ? ?", [False, False]),
    ],
)
def test_what_cannot_be_scored_is_left_out(
    gold: str, pred: str, gold_left: str, pred_left: str, kept: list[bool]
) -> None:
    def tags(text: str) -> list[str]:
        return [{"O": "O", "?": UNKNOWN}.get(letter, f"{letter}-a") for letter in text.split()]

    assert without_unknown(tags(gold), tags(pred)) == (tags(gold_left), tags(pred_left), kept)


def test_nothing_is_left_out_of_whole_annotations_and_only_the_tokens_of_plain_ones() -> None:
    assert without_unknown(["B-a", "O"], ["O", "B-a"]) == (["B-a", "O"], ["O", "B-a"], [True])
    assert without_unknown(["N", UNKNOWN], ["V", "B"], plain=True) == (["N", UNKNOWN], ["V", UNKNOWN], [])
