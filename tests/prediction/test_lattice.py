"""Probabilities of spans and sequences against sums over all sequences, one by one."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from all_paths import TAGS, all_paths, learned

from tagger.corpus.schemes import Span, spans_from_tags
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.prediction.decoding import log_softmax, losses_of, marginals
from tagger.prediction.lattice import Lattice, SpanRules
from tagger.prediction.logarithms import Logarithms
from tagger.prediction.products import are_narrow

LENGTHS = np.array([5, 1, 2, 4, 5, 3], np.int32)


@functools.cache
def paths_with_spans(scheme: str, n: int) -> dict[Span, list[int]]:
    """Return all spans in sentences of n tokens, and for each the places of its paths among those of `all_paths`."""
    found: dict[Span, list[int]] = {}
    for i, path in enumerate(itertools.product(TAGS[scheme], repeat=n)):
        for span in spans_from_tags(path):
            found.setdefault(span, []).append(i)
    return found


def cases() -> list[tuple[str, str, float]]:
    scales = [0.5, 3.0, 200.0]
    return [(scheme, kind, scale) for scheme in TAGS for kind in ("crf", "rules", "free") for scale in scales]


@pytest.mark.parametrize(("scheme", "kind", "scale"), cases())
def test_all_spans_of_ragged_sentences(scheme: str, kind: str, scale: float) -> None:
    tags = TAGS[scheme]
    logits = (np.random.default_rng(len(scheme)).normal(size=(len(LENGTHS), 5, len(tags))) * scale).astype(np.float32)
    for row, n in enumerate(LENGTHS):
        logits[row, n:] = np.nan
    transitions = {"crf": learned(tags, scheme, 3), "rules": constraints_of(tags, scheme), "free": None}[kind]
    lattice = Lattice(logits, LENGTHS, transitions)
    expected: dict[tuple[int, Span], float] = {}
    chosen = np.zeros((len(LENGTHS), 5), np.intp)
    log_chosen, token_marginals = [], np.zeros(logits.shape)
    for row, n in enumerate(LENGTHS.tolist()):
        paths = all_paths(logits[row, :n], transitions or Transitions.free(len(tags)))
        for span, numbers in paths_with_spans(scheme, n).items():
            expected[row, span] = float(paths.probabilities[numbers].sum())
        token_marginals[row, :n] = paths.marginals
        best = int(paths.scores.argmax())
        chosen[row, :n] = paths.tags[best]
        log_chosen.append(paths.scores[best] - paths.log_z)
    assert len(expected) > 40
    rows, spans = zip(*expected, strict=True)
    found = lattice.span_probabilities(
        SpanRules.of(tags), rows, [s.start for s in spans], [s.end for s in spans], [s.type for s in spans]
    )
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(lattice.marginals(), token_marginals, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(lattice.log_probabilities(chosen), log_chosen, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
def test_narrow_and_wide_sentences_of_one_batch(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sentence is summed in the way that fits it, and products of many spans are computed in slices."""
    monkeypatch.setattr("tagger.prediction.products._MOST_MULTIPLICATIONS", 1)
    tags, transitions = TAGS[scheme], learned(TAGS[scheme], scheme, 7)
    logits = np.random.default_rng(7).normal(size=(len(LENGTHS), 5, len(tags))).astype(np.float32)
    logits[[1, 3, 4]] *= 2000.0
    emissions = np.where(np.arange(5)[:, None] < LENGTHS[:, None, None], logits, 0.0).astype(np.float64)
    emissions -= emissions.max(axis=-1, keepdims=True)
    narrow = are_narrow(emissions, LENGTHS, transitions)
    assert narrow.tolist().count(True) in (2, 3)
    assert not narrow[[3, 4]].any()
    spans = [
        (row, start, end, name)
        for row, n in enumerate(LENGTHS.tolist())
        for start in range(n)
        for end in range(start + 1, n + 1)
        for name in "ab"
    ]
    rows, starts, ends, types = zip(*spans, strict=True)
    rules = SpanRules.of(tags)
    found = Lattice(logits, LENGTHS, transitions).span_probabilities(rules, rows, starts, ends, types)
    expected = dict.fromkeys(spans, 0.0)
    for row, n in enumerate(LENGTHS.tolist()):
        paths = all_paths(logits[row, :n], transitions)
        for span, numbers in paths_with_spans(scheme, n).items():
            expected[row, span.start, span.end, span.type] = float(paths.probabilities[numbers].sum())
    np.testing.assert_allclose(found, list(expected.values()), rtol=1e-6, atol=1e-12)


def test_a_long_sentence_neither_underflows_nor_overflows() -> None:
    """Both ways of summing agree on a span as long as the sentence, whose product is far below the smallest number."""
    tags, n = TAGS["IOB2"], 3000
    logits = (np.random.default_rng(3).normal(size=(1, n, len(tags))) * 3).astype(np.float32)
    inside = tags.index("I-a")
    logits[0, 1:, inside] += 4.0
    logits[0, 0, tags.index("B-a")] += 4.0
    lengths, transitions = np.array([n], np.int32), constraints_of(tags, "IOB2")
    assert transitions is not None
    rules, spans = SpanRules.of(tags), ([0, 0, 0], [0, 1, 1500], [n, n, 1501], ["a", "a", "b"])
    lattice = Lattice(logits, lengths, transitions)
    logarithms = Logarithms(logits.astype(np.float64), lengths, transitions)
    np.testing.assert_allclose(lattice.log_total, logarithms.log_total, rtol=1e-12)
    places = [np.array(values) for values in spans[:3]]
    total = logarithms.log_of_spans(
        *places, np.stack([rules.type_of[name] for name in spans[3]]),
        begins=rules.begins, continues=rules.continues, begins_first=rules.begins_first,
    )  # fmt: skip
    expected = np.exp(total - logarithms.log_total)
    np.testing.assert_allclose(lattice.span_probabilities(rules, *spans), expected, rtol=1e-6, atol=1e-300)


def test_the_probabilities_do_not_depend_on_what_is_added_to_the_logits_of_a_step() -> None:
    tags = TAGS["IOB2"]
    transitions = constraints_of(tags, "IOB2")
    logits = np.random.default_rng(1).normal(size=(2, 4, 5)).astype(np.float32)
    lengths = np.array([4, 3], np.int32)
    spans = ([0, 1], [1, 0], [3, 2], ["a", "b"])
    found = Lattice(logits, lengths, transitions).span_probabilities(SpanRules.of(tags), *spans)
    shifted = Lattice(log_softmax(logits), lengths, transitions).span_probabilities(SpanRules.of(tags), *spans)
    np.testing.assert_allclose(found, shifted, rtol=1e-6)


def test_a_crf_agrees_with_its_loss_and_its_marginals() -> None:
    tags = TAGS["IOBES"]
    transitions = learned(tags, "IOBES", 5)
    logits = (np.random.default_rng(2).normal(size=(7, 30, len(tags))) * 4).astype(np.float32)
    lengths = np.array([30, 1, 2, 17, 30, 5, 29], np.int32)
    lattice = Lattice(logits, lengths, transitions)
    tag_ids = np.zeros((7, 30), np.intp)  # O everywhere
    np.testing.assert_allclose(-lattice.log_probabilities(tag_ids), losses_of(logits, lengths, tag_ids, transitions))
    np.testing.assert_allclose(lattice.marginals(), marginals(logits, lengths, transitions), atol=1e-9)


def test_no_sequence_is_legal() -> None:
    """With one tag E-a there is no legal sequence: its only sequence is certain all the same."""
    transitions = constraints_of(["E-a"], "IOBES")
    lattice = Lattice(np.zeros((1, 1, 1), np.float32), np.array([1], np.int32), transitions)
    found = lattice.span_probabilities(SpanRules.of(["E-a"]), [0], [0], [1], ["a"])
    np.testing.assert_allclose(found, [1.0])


def test_no_spans() -> None:
    lattice = Lattice(np.zeros((1, 2, 3), np.float32), np.array([2], np.int32), None)
    assert lattice.span_probabilities(SpanRules.of(TAGS["IO"]), [], [], [], []).shape == (0,)
