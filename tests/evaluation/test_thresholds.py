"""Thresholds by type against trying every one."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.corpus.schemes import Span, tags_from_spans
from tagger.evaluation.evaluate import GoldSentence
from tagger.evaluation.thresholds import FEWEST, thresholds_for
from tagger.prediction.predictor import TaggedSentence


def sentence(gold: list[Span], pred: list[Span], probabilities: list[float], length: int) -> GoldSentence:
    tagged = TaggedSentence(tags_from_spans(pred, length, "IOB2"), [], 0.0, probabilities)
    tokens = [f"w{i}" for i in range(length)]
    return GoldSentence("f", list(range(length)), tokens, tags_from_spans(gold, length, "IOB2"), tagged)


def random_sentences(seed: int) -> tuple[list[GoldSentence], list[tuple[str, float, bool]], dict[str, int]]:
    """Return sentences, their predicted spans (type, probability, right), and the number of gold spans by type."""
    rng = np.random.default_rng(seed)
    sentences, found, n_gold = [], [], {"a": 0, "b": 0, "c": 0}
    for _ in range(120):
        gold, pred, probabilities = [], [], []
        for start in (0, 2, 4):
            name = str(rng.choice(["a", "b", "c"], p=[0.6, 0.37, 0.03]))
            if rng.uniform() < 0.7:
                gold.append(Span(name, start, start + 1))
                n_gold[name] += 1
            if rng.uniform() < 0.8:
                other = name if rng.uniform() < 0.8 else "a"
                pred.append(Span(other, start, start + 1))
                probabilities.append(round(float(rng.uniform()), 1))
                found.append((other, probabilities[-1], pred[-1] in gold))
        sentences.append(sentence(gold, pred, probabilities, 6))
    return sentences, found, n_gold


@pytest.mark.parametrize("precision", [0.5, 0.7, 0.75, 0.8])
def test_the_lowest_threshold_with_the_precision(precision: float) -> None:
    n_reached = 0
    for seed in range(8):
        sentences, found, n_gold = random_sentences(seed)
        every, types = thresholds_for(sentences, precision)
        for name, one in [*types.items(), (None, every)]:
            some = [(p, right) for kind, p, right in found if name in (None, kind)]
            n = sum(n_gold.values()) if name is None else n_gold[name]
            assert one.n == len(some)
            assert one.recall_of_all == pytest.approx(sum(right for _, right in some) / n)
            if name is not None and len(some) < FEWEST:
                assert (one.of_all, one.threshold) == (True, every.threshold)
                continue
            reached = []
            for least in {p for p, _ in some}:
                kept = [right for p, right in some if p >= least]
                if sum(kept) / len(kept) >= precision:
                    reached.append((least, sum(kept) / len(kept), sum(kept) / n))
            expected = min(reached) if reached else (None, 0.0, 0.0)
            assert (one.threshold, one.precision, one.recall) == pytest.approx(expected)
            n_reached += bool(reached)
    assert n_reached > 2


def test_no_spans() -> None:
    every, types = thresholds_for([sentence([], [], [], 3)], 0.9)
    assert (every.threshold, every.n, types) == (None, 0, {})
