"""The criterion of `tagger next`: doubts, gains, and the choice, against a choice by brute force."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.prediction import selection
from tagger.prediction.predictor import TaggedSentence
from tagger.prediction.selection import Candidate, Selection, doubts_of


def test_doubts_of_spans_are_shared_by_their_tokens() -> None:
    tagged = TaggedSentence(["O", "B-PER", "I-PER", "B-LOC"], [0.9, 0.5, 0.5, 0.5], 0.0, [0.4, 0.75])
    assert doubts_of(tagged) == pytest.approx([0.1, 0.3, 0.3, 0.25])
    assert sum(doubts_of(tagged)) == pytest.approx((1 - 0.9) + (1 - 0.4) + (1 - 0.75))


def test_doubts_of_plain_tags_are_those_of_the_tokens() -> None:
    tagged = TaggedSentence(["N", "V"], [0.9, 0.25])
    assert doubts_of(tagged, has_spans=False) == pytest.approx([0.1, 0.75])


def choose(n: int, *sentences: tuple[str, list[float]]) -> list[int]:
    chosen: Selection[None] = Selection(n)
    for position, (text, doubts) in enumerate(sentences):
        words = text.split()
        chosen.add(Candidate.of(position, words, doubts, None), tuple(words))
    return [one.candidate.position for one in chosen.choose()]


def test_a_sentence_does_not_win_because_it_is_long() -> None:
    long = ("a b c d e f g h i j k l m n o p q r s t", [0.1] * 20)  # two expected errors in twenty tokens
    assert choose(1, long, ("x y z w", [0.5] * 4)) == [1]  # as many in four
    assert choose(1, long, ("x", [0.1])) == [0]  # nor because it is short


def test_words_that_the_batch_has_count_for_less() -> None:
    berlin, other, new = ("Berlin x", [0.9, 0.0]), ("berlin y", [0.8, 0.0]), ("Bonn z", [0.6, 0.0])
    assert choose(3, berlin, other, new) == [0, 2, 1]


def test_equal_sentences_are_chosen_once_and_the_first_of_them() -> None:
    one, two = ("Ann left", [0.5, 0.1]), ("Bob came", [0.4, 0.1])
    assert choose(5, two, one, one, two, one) == [1, 0]


def gains_by_definition(batch: list[Candidate[None]]) -> float:
    """Return the value of a batch: the logarithm of one plus the doubts at each word, summed over the words."""
    k, covered = selection.SATURATION, dict[str, float]()
    for candidate in batch:
        for word, doubt in candidate.doubts.items():
            covered[word] = covered.get(word, 0.0) + doubt
    return sum(math.log1p(k * doubt) / k for doubt in covered.values())


_SENTENCES = st.lists(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(0, 1)), min_size=1, max_size=5), min_size=1, max_size=12
)


@given(_SENTENCES, st.integers(1, 6))
def test_the_choice_is_that_of_plain_greedy(sentences: list[list[tuple[str, float]]], n: int) -> None:
    candidates = [
        Candidate.of(i, [word for word, _ in pairs], [doubt for _, doubt in pairs], None)
        for i, pairs in enumerate(sentences)
    ]
    lazy: Selection[None] = Selection(n)
    for candidate in candidates:
        lazy.add(candidate, candidate.position)
    batch: list[Candidate[None]] = []
    for found in lazy.choose():
        value = gains_by_definition(batch)
        gains = {
            one.position: (gains_by_definition([*batch, one]) - value) / (one.n_tokens + selection.SENTENCE_COST)
            for one in candidates
            if one not in batch
        }
        assert found.gain == pytest.approx(max(gains.values()), abs=1e-12)
        assert found.gain == pytest.approx(gains[found.candidate.position], abs=1e-12)
        batch.append(found.candidate)
    assert len(batch) == min(n, len(candidates))


def test_only_the_best_are_kept_and_the_choice_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(4)
    # Every word occurs in one sentence, so that the best ones by themselves are the best ones together.
    sentences = [(f"w{i} v{i}", [draw.random(), 0.0]) for i in range(500)]
    sentences += draw.choices(sentences, k=300)
    everything = choose(20, *sentences)
    monkeypatch.setattr(selection, "_FEWEST_KEPT", 20)
    monkeypatch.setattr(selection, "_KEPT_PER_CHOSEN", 1)
    assert choose(20, *sentences) == everything
    assert len(set(everything)) == 20
    kept: Selection[None] = Selection(20)
    for position, (text, doubts) in enumerate(sentences):
        kept.add(Candidate.of(position, text.split(), doubts, None), text)
        assert len(kept._kept) == len(kept._heap) <= 20


def test_the_same_input_gives_the_same_choice_when_gains_are_equal() -> None:
    assert choose(2, ("a", [0.5]), ("b", [0.5]), ("c", [0.5])) == [0, 1]
