"""Compare the CRF with an enumeration of all paths, computed in double precision."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from all_paths import AllPaths, all_paths

from tagger.corpus.transitions import Transitions, constraints_of, learned_within
from tagger.prediction.decoding import marginals

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tensorflow.python.framework import config  # noqa: E402 (the public module cannot switch determinism off again)

from tagger.network.crf import CRF, Emissions  # noqa: E402

pytestmark = pytest.mark.tensorflow

TAGS = {
    "none": ["x", "y", "z"],
    "IOB2": ["O", "B-a", "I-a", "B-b", "I-b"],
    "IOBES": ["O", "B-a", "E-a", "I-a", "S-a"],
}
LENGTHS = (2, 5, 1, 0, 4)  # deliberately not sorted
WIDTH = 6  # one step more than the longest sentence has
SCALES = (2.0, 1e4)  # small enough for products of probabilities, and so large that they need logarithms


def a_crf(tags: list[str], scheme: str, seed: int = 1, scale: float = 1.0) -> tuple[CRF, Transitions]:
    """Return a CRF and its transitions; illegal moves have random weights too, which must not matter."""
    rng = np.random.default_rng(seed)
    crf = CRF(constraints_of(tags, scheme), len(tags))
    for weight in crf.weights:
        weight.assign(rng.normal(scale=scale, size=weight.shape))
    weights = [weight.numpy() for weight in (crf.transition, crf.start, crf.end)]
    return crf, learned_within(constraints_of(tags, scheme), *weights)


def some_logits(n_tags: int, scale: float = 2.0, seed: int = 2, lengths: tuple[int, ...] = LENGTHS) -> np.ndarray:
    """Return random logits [T, B, K] with NaN at padding."""
    logits = (np.random.default_rng(seed).normal(size=(WIDTH, len(lengths), n_tags)) * scale).astype(np.float32)
    for row, n in enumerate(lengths):
        logits[n:, row] = np.nan
    return logits


def paths_of(logits: np.ndarray, transitions: Transitions) -> list[AllPaths | None]:
    """Enumerate all paths of each sentence; the result is None for the sentence of length 0."""
    return [all_paths(logits[:n, row], transitions) if n else None for row, n in enumerate(LENGTHS)]


def gold_of(paths: list[AllPaths | None], seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return a legal path of each sentence [T, B], padded with meaningless ids, and its log-probability [B]."""
    rng = np.random.default_rng(seed)
    gold, expected = np.full((WIDTH, len(paths)), 10_000, np.int32), np.zeros(len(paths))
    for row, every in enumerate(paths):
        if every:
            number = rng.choice(np.flatnonzero(np.isfinite(every.scores)))
            gold[: LENGTHS[row], row] = every.tags[number]
            expected[row] = every.scores[number] - every.log_z
    return gold, expected


def compiled(crf: CRF) -> Any:
    """Compile a function that returns log-likelihoods and the gradients of their weighted sum.

    The gradients are with respect to logits, transition, start and end. The function accepts any shapes.
    """
    weights = [crf.transition.value, crf.start.value, crf.end.value]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, crf.n_tags]),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None]),
        ]
    )
    def compute(logits: Any, tag_ids: Any, lengths: Any, weighting: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            found = crf.log_likelihood(logits, tag_ids, lengths)
            total = tf.reduce_sum(found * weighting)
        return found, *(tf.convert_to_tensor(each) for each in tape.gradient(total, [logits, *weights]))

    return lambda *arguments: [np.array(result) for result in compute(*arguments)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("scheme", list(TAGS))
def test_log_likelihoods_and_gradients_equal_those_of_all_paths(scheme: str, scale: float) -> None:
    tags = TAGS[scheme]
    crf, transitions = a_crf(tags, scheme)
    logits = some_logits(len(tags), scale)
    every = paths_of(logits, transitions)
    gold, expected = gold_of(every)
    weighting = np.array([0.5, 2.0, -1.0, 3.0, 1.5], np.float32)
    found, *gradients = compiled(crf)(logits, gold, np.array(LENGTHS, np.int32), weighting)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)
    assert found[3] == 0.0

    of_logits = np.zeros(logits.shape)
    of_transition, of_start, of_end = (np.zeros(array.shape) for array in crf.get_weights())
    for row, (n, paths, weight) in enumerate(zip(LENGTHS, every, weighting, strict=True)):
        if paths:
            counts = np.eye(len(tags))[gold[:n, row]]
            surplus = weight * (counts - paths.marginals)
            of_logits[:n, row] = surplus
            of_start += surplus[0]
            of_end += surplus[-1]
            of_transition += weight * (counts[:-1].T @ counts[1:] - paths.moves)
    for ours, theirs in zip(gradients, (of_logits, of_transition, of_start, of_end), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
        assert scale > 100 or np.abs(theirs).max() > 0.05, "the gradient is too small to test anything"


@pytest.mark.parametrize("scheme", list(TAGS))
def test_products_and_logarithms_give_the_same_results(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    crf, transitions = a_crf(TAGS[scheme], scheme)
    logits = some_logits(len(TAGS[scheme]))
    gold, _ = gold_of(paths_of(logits, transitions))
    arguments = logits, gold, np.array(LENGTHS, np.int32), np.array([0.5, 2.0, -1.0, 3.0, 1.5], np.float32)
    by_products = compiled(crf)(*arguments)
    emissions = Emissions.of(logits, np.array(LENGTHS, np.int32))
    scores = tuple(tf.cast(score, tf.float64) for score in crf.transition_weights())
    assert bool(crf._run(emissions, scores).is_narrow)
    monkeypatch.setattr(crf, "_spread", dataclasses.replace(crf._spread, widest=-1.0))
    assert not bool(crf._run(emissions, scores).is_narrow)
    for one, other in zip(by_products, compiled(crf)(*arguments), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("scale", [2.0, 90.0])  # the second scale is too large for products
@pytest.mark.parametrize("scheme", list(TAGS))
def test_gradients_equal_those_of_a_plain_recurrence(scheme: str, scale: float) -> None:
    tags, n = TAGS[scheme], 5
    crf, _ = a_crf(tags, scheme)
    logits = some_logits(len(tags), scale, lengths=(n,))
    gold = np.array([[0], [1], [2], [0], [0], [0]], np.int32)
    _, *ours = compiled(crf)(logits, gold, np.array([n], np.int32), np.ones(1, np.float32))

    weights = [crf.transition.value, crf.start.value, crf.end.value]
    with tf.GradientTape() as tape:
        x = tf.constant(logits[:n, 0])
        tape.watch(x)
        transition, start, end = (tf.cast(score, tf.float64) for score in crf.transition_weights())
        emission = tf.cast(x, tf.float64)
        total = start + emission[0]
        for t in range(1, n):
            total = tf.reduce_logsumexp(total[:, None] + transition, axis=0) + emission[t]
        path = gold[:n, 0].tolist()
        score = start[path[0]] + end[path[-1]] + sum(emission[t, tag] for t, tag in enumerate(path))
        score += sum(transition[a, b] for a, b in itertools.pairwise(path))
        result = score - tf.reduce_logsumexp(total + end)
    theirs = [np.array(tf.convert_to_tensor(each)) for each in tape.gradient(result, [x, *weights])]
    np.testing.assert_allclose(ours[0][:n, 0], theirs[0], atol=1e-6)
    for one, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("scheme", list(TAGS))
def test_marginals_equal_those_of_all_paths_and_those_of_prediction(scheme: str, scale: float) -> None:
    tags = TAGS[scheme]
    crf, transitions = a_crf(tags, scheme)
    logits = some_logits(len(tags), scale)
    found = np.array(crf.marginals(logits, np.array(LENGTHS, np.int32)))
    assert not np.isnan(found).any()
    for row, (n, paths) in enumerate(zip(LENGTHS, paths_of(logits, transitions), strict=True)):
        if paths:
            np.testing.assert_allclose(found[:n, row], paths.marginals, atol=1e-6)
        assert not found[n:, row].any()
    rows = np.flatnonzero(LENGTHS)  # prediction never receives an empty sentence
    of_numpy = marginals(logits[:, rows].swapaxes(0, 1), np.array(LENGTHS)[rows], transitions)
    np.testing.assert_allclose(found[:, rows].swapaxes(0, 1), of_numpy, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
def test_illegal_paths_have_zero_probability_and_illegal_weights_zero_gradient(scheme: str, scale: float) -> None:
    tags, n = TAGS[scheme], 3
    crf, transitions = a_crf(tags, scheme)
    for weight in crf.weights:  # even a large weight must not make an illegal move possible
        weight.assign(np.where(np.random.default_rng(5).random(weight.shape) < 0.5, 5.0, weight.numpy()))
    constraints = constraints_of(tags, scheme)
    assert constraints is not None
    transitions = learned_within(constraints, crf.transition.numpy(), crf.start.numpy(), crf.end.numpy())
    every = all_paths(some_logits(len(tags), scale)[:n, 1], transitions)
    logits = np.repeat(some_logits(len(tags), scale)[:n, 1:2], len(every.tags), axis=1)
    lengths = np.full(len(every.tags), n, np.int32)
    found, *gradients = compiled(crf)(logits, every.tags.T.astype(np.int32), lengths, np.ones(len(lengths), np.float32))
    legal = np.isfinite(every.scores)
    assert 0 < legal.sum() < len(legal)
    assert set(np.exp(found[~legal]).tolist()) == {0.0}
    assert float(np.exp(found[legal].astype(np.float64)).sum()) == pytest.approx(1.0, abs=1e-5)
    for gradient, which in zip(gradients[1:], constraints.legal, strict=True):
        assert set(gradient[~which].tolist()) <= {0.0}
    illegal_start = ~constraints.legal[1]
    assert set(np.array(crf.marginals(logits, lengths))[0, :, illegal_start].ravel().tolist()) == {0.0}


def test_logits_that_are_far_apart_do_not_underflow() -> None:
    # At each step one tag's logit is 40,000 above the rest. The sum must not lose the paths that are best in the end.
    crf, transitions = a_crf(TAGS["IOB2"], "IOB2", scale=3.0)
    logits = np.full((WIDTH, 1, 5), -2e4, np.float32)
    for t, tag in enumerate([1, 2, 0, 3, 4]):
        logits[t, 0, tag] = 2e4
    logits[3, 0, 1] = 2e4  # two paths remain up to this step; one of them then reaches an illegal tag
    every = all_paths(logits[:5, 0], transitions)
    gold = np.array([[1], [2], [0], [3], [4], [0]], np.int32)
    found, *_ = compiled(crf)(logits, gold, np.array([5], np.int32), np.ones(1, np.float32))
    number = every.tags.tolist().index(gold[:5, 0].tolist())
    assert float(found[0]) == pytest.approx(every.scores[number] - every.log_z, abs=1e-5)


@pytest.mark.parametrize("tags", [["B-a", "E-a"], ["O", "B-a", "I-b"], ["B-a", "I-a", "E-a"], ["S-a", "B-a", "I-a"]])
@pytest.mark.parametrize("n", [2, 4])
def test_marginals_are_right_with_dead_ends_and_tags_that_only_alternate(tags: list[str], n: int) -> None:
    crf, transitions = a_crf(tags, "IOBES")
    logits = some_logits(len(tags), 3.0, lengths=(n, n))
    every = [all_paths(logits[:n, row], transitions) for row in range(2)]
    found = np.array(crf.marginals(logits, np.full(2, n, np.int32)))
    for row in range(2):
        np.testing.assert_allclose(found[:n, row], every[row].marginals, atol=1e-6)


def test_dead_ends_do_not_outgrow_the_rest() -> None:
    # Without E- a span that starts with B- cannot end, although its logits alone make it e^10 times better at each of
    # the 100 steps.
    tags, n = ["O", "B-a", "I-a"], 100
    crf, _ = a_crf(tags, "IOBES", scale=0.0)
    logits = np.zeros((n, 1, 3), np.float32)
    logits[:, 0, 1:] = 10.0
    gold, lengths = np.zeros((n, 1), np.int32), np.array([n], np.int32)
    found, *gradients = compiled(crf)(logits, gold, lengths, np.ones(1, np.float32))
    assert found.tolist() == [0.0]
    assert not any(gradient.any() for gradient in gradients)


def test_a_sentence_without_a_legal_path_does_not_affect_the_others() -> None:
    tags = ["B-a", "I-a", "E-a"]  # no legal path has a single tag
    crf, transitions = a_crf(tags, "IOBES")
    logits = some_logits(3, lengths=(1, 4))
    gold = np.array([[0, 0], [0, 1], [0, 1], [0, 2], [0, 0], [0, 0]], np.int32)
    found, *gradients = compiled(crf)(logits, gold, np.array([1, 4], np.int32), np.ones(2, np.float32))
    assert np.isfinite(found).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    every = all_paths(logits[:4, 1], transitions)
    expected = every.scores[every.tags.tolist().index([0, 1, 1, 2])] - every.log_z
    assert float(found[1]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_a_batch_of_empty_sentences_has_zero_loss_and_zero_gradient(scale: float) -> None:
    crf, _ = a_crf(TAGS["IOB2"], "IOB2")
    logits = some_logits(5, scale, lengths=(0,))[:1]
    found, *gradients = compiled(crf)(logits, np.zeros((1, 1), np.int32), np.zeros(1, np.int32), np.ones(1, np.float32))
    assert found.tolist() == [0.0]
    assert not any(gradient.any() for gradient in gradients)


def test_one_graph_computes_short_and_long_sentences() -> None:
    crf, transitions = a_crf(TAGS["IOB2"], "IOB2")
    compute = compiled(crf)
    for n in (1, 3, 700):
        logits = (np.random.default_rng(n).normal(size=(n, 1, 5)) * 9).astype(np.float32)
        gold = np.zeros((n, 1), np.int32)
        found, *gradients = compute(logits, gold, np.array([n], np.int32), np.ones(1, np.float32))
        best = logits[0, 0].astype(np.float64) + transitions.start
        for t in range(1, n):
            best = np.logaddexp.reduce(best[:, None] + transitions.transition, axis=0) + logits[t, 0]
        gold_score = logits[:, 0, 0].astype(np.float64).sum() + transitions.start[0] + transitions.end[0]
        gold_score += (n - 1) * transitions.transition[0, 0]
        assert float(found[0]) == pytest.approx(gold_score - np.logaddexp.reduce(best + transitions.end), rel=1e-6)
        np.testing.assert_allclose(gradients[0].sum(axis=-1), 0.0, atol=1e-5)


def test_results_are_bit_identical_under_op_determinism() -> None:
    crf, transitions = a_crf(TAGS["IOBES"], "IOBES")
    config.enable_op_determinism()
    try:
        compute = compiled(crf)
        for scale in SCALES:
            logits = some_logits(5, scale)
            gold, _ = gold_of(paths_of(logits, transitions))
            arguments = logits, gold, np.array(LENGTHS, np.int32), np.ones(len(LENGTHS), np.float32)
            first, again = compute(*arguments), compute(*arguments)
            assert [each.tobytes() for each in first] == [each.tobytes() for each in again]
    finally:
        config.disable_op_determinism()


def test_weights_exist_from_the_start_and_have_no_effect_at_first() -> None:
    crf = CRF(None, 3, name="crf")
    assert [(weight.name, weight.shape, weight.dtype) for weight in crf.trainable_weights] == [
        ("transition", (3, 3), "float32"), ("start", (3,), "float32"), ("end", (3,), "float32")
    ]  # fmt: skip
    logits = some_logits(3)
    found = np.array(crf.marginals(logits, np.array(LENGTHS, np.int32)))
    np.testing.assert_allclose(found[:5, 1], np.array(tf.nn.softmax(logits[:5, 1])), atol=1e-6)


def test_transition_weights_equal_those_that_prediction_uses() -> None:
    crf, transitions = a_crf(TAGS["IOBES"], "IOBES")
    for ours, theirs in zip(
        crf.transition_weights(), (transitions.transition, transitions.start, transitions.end), strict=True
    ):  # fmt: skip
        np.testing.assert_array_equal(np.array(ours), theirs.astype(np.float32))


def test_constraints_for_another_number_of_tags_are_an_error() -> None:
    with pytest.raises(ValueError, match="found 5 tags, expected 4"):
        CRF(constraints_of(TAGS["IOB2"], "IOB2"), 4)
