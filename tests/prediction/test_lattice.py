"""Probabilities of spans and sequences against sums over all sequences, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from all_paths import TAGS, all_paths, learned

from tagger.corpus.schemes import Span, spans_from_tags
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.prediction.decoding import log_softmax, losses_of, marginals
from tagger.prediction.lattice import Lattice, SpanRules

LENGTHS = np.array([5, 1, 2, 4, 5, 3], np.int32)


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
        for path, probability in zip(paths.tags.tolist(), paths.probabilities.tolist(), strict=True):
            for span in spans_from_tags([tags[i] for i in path]):
                expected[row, span] = expected.get((row, span), 0.0) + probability
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
