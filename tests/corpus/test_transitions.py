"""The legal transitions between tags, and the weights that a CRF learns for them."""

from __future__ import annotations

import numpy as np
import pytest
from all_paths import learned

from tagger.corpus.transitions import ILLEGAL, constraints_of, learned_within


def test_the_constraints_of_iob2_by_hand() -> None:
    constraints = constraints_of(["O", "B-a", "I-a", "I-b"], "IOB2")
    illegal = -1e3  # far below any log-probability
    assert (constraints.transition < illegal).tolist() == [
        [False, False, True, True],  # from O
        [False, False, False, True],  # from B-a
        [False, False, False, True],  # from I-a
        [False, False, True, False],  # from I-b
    ]
    assert (constraints.start < illegal).tolist() == [False, False, True, True]
    assert (constraints.end < illegal).tolist() == [False] * 4
    for array in (constraints.transition, constraints.start, constraints.end):
        assert set(array[array >= illegal].tolist()) == {0.0}


def test_a_sentence_must_not_end_inside_an_iobes_span() -> None:
    constraints = constraints_of(["O", "B-a", "E-a", "I-a", "S-a"], "IOBES")
    assert (constraints.start < -1e3).tolist() == [False, False, True, True, False]
    assert (constraints.end < -1e3).tolist() == [False, True, False, True, False]


def test_plain_tags_have_no_constraints() -> None:
    assert constraints_of(["NN", "VB"], "none") is None


@pytest.mark.parametrize(
    ("tags", "scheme", "steps", "shortest", "unused"),
    [
        (["x", "y"], "none", 1, 1, []),
        (["O", "B-a", "I-a"], "IOB2", 2, 1, []),
        (["O", "B-a", "I-a", "E-a", "B-b", "E-b", "I-b"], "IOBES", 3, 1, []),
        (["O", "B-a", "I-b"], "IOB2", 1, 1, ["I-b"]),
        (["O", "B-a", "I-a"], "IOBES", 1, 1, ["B-a", "I-a"]),
        (["B-a", "I-a", "E-a"], "IOBES", 3, 2, []),
        (
            ["B-a", "E-a"],
            "IOBES",
            None,
            None,
            [],
        ),  # B and E alternate: no number of steps leads from every tag to every tag
    ],
)
def test_the_constraints_determine_how_far_scores_may_spread(
    tags: list[str], scheme: str, steps: int | None, shortest: int | None, unused: list[str]
) -> None:
    spread = learned(tags, scheme, 14).spread
    assert [tag for tag, used in zip(tags, spread.used, strict=True) if not used] == unused
    if steps is None:
        assert spread.widest < 0
    else:
        assert (spread.widest, spread.shortest) == (pytest.approx(500 / steps), shortest)


def test_weights_of_illegal_transitions_are_ignored() -> None:
    tags = ["O", "B-a", "B-b", "I-a", "I-b"]
    constraints = constraints_of(tags, "IOB2")
    transitions = learned_within(constraints, np.full((5, 5), 7.0), np.full(5, 8.0), np.full(5, 9.0))
    assert transitions.learned
    assert not constraints.learned
    for array, legal, weight in zip(
        (transitions.transition, transitions.start, transitions.end), constraints.legal, (7.0, 8.0, 9.0), strict=True
    ):
        assert set(array[legal].tolist()) == {weight}
        assert set(array[~legal].tolist()) <= {ILLEGAL}
