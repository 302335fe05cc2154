"""Compare the losses of weighted and of partly annotated tokens with sums over all tag sequences, in double precision."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tagger.architecture import Decoder
from tagger.corpus.partial import SoftTargets, Targets, ids_of_allowed, weights_of_ids
from tagger.corpus.transitions import ILLEGAL, Transitions, constraints_of

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tensorflow.python.framework import config  # noqa: E402 (the public module cannot switch determinism off again)

from tagger.network.crf import CRF  # noqa: E402
from tagger.network.losses import TargetLoss  # noqa: E402
from tagger.network.model import sequence_loss  # noqa: E402

pytestmark = pytest.mark.tensorflow

SCHEMES = {
    "IOB2": ["O", "B-a", "B-b", "I-a", "I-b"],
    "IOBES": ["O", "B-a", "E-a", "I-a", "S-a", "S-b"],
    "none": ["x", "y"],
}
SCALES = (2.0, 1e3)
DECODERS = list(Decoder)
WEIGHTS = {"a": 2.5, "b": 0.25, "x": 3.0}
ANY = None
# The allowed tags of each token of a batch with ragged lengths; the third sentence is not annotated at all.
ANNOTATED = {
    "IOB2": [
        [{"B-a"}, ANY, ANY, {"O"}],
        [{"B-b"}],
        [ANY, ANY, ANY],
        [ANY, {"I-b"}],
        [ANY],
        [{"O"}, {"B-a"}, {"I-a"}, {"B-b"}, {"O"}],
    ],
    "IOBES": [
        [{"B-a", "S-a"}, ANY, ANY, {"O"}],
        [{"S-b"}],
        [ANY, ANY, ANY],
        [ANY, {"E-a"}],
        [ANY],
        [{"O"}, {"B-a"}, {"I-a"}, {"E-a"}, {"O"}],
        [{"B-a"}, ANY],  # which must be E-a, as it is the last one
    ],
    "none": [[{"x"}, ANY, ANY, {"y"}], [{"y"}], [ANY, ANY, ANY], [ANY, {"x"}], [ANY], [{"x"}, {"y"}, {"y"}, {"x"}, {"x"}]],
}  # fmt: skip
N_STEPS = 6  # one more than the longest sentence has


class Case:
    """A batch: random logits with NaN at padding, and gold ids that mean what the annotation says."""

    def __init__(self, scheme: str, scale: float, *, weighted: bool, annotated: list[Any] | None = None) -> None:
        self.tags, self.rules = SCHEMES[scheme], constraints_of(SCHEMES[scheme], scheme)
        self.rows = [[None if one is None else frozenset(one) for one in row] for row in annotated or ANNOTATED[scheme]]
        ids, self.allowed = ids_of_allowed(self.rows, self.tags)
        self.weights = weights_of_ids(WEIGHTS, self.allowed, self.tags, scheme) if weighted else None
        self.ids = np.full((N_STEPS, len(ids)), 10_000, np.int32)
        rng = np.random.default_rng(3)
        self.logits = (rng.normal(size=(N_STEPS, len(ids), len(self.tags))) * scale).astype(np.float32)
        for i, row in enumerate(ids):
            self.ids[: len(row), i] = row
            self.logits[len(row) :, i] = np.nan
        self.lengths = np.array([len(row) for row in ids], np.int32)
        self.crf = CRF(self.rules, len(self.tags))
        for weight in self.crf.weights:
            weight.assign(rng.normal(size=weight.shape))

    def targets(self) -> Targets:
        return Targets(self.allowed, self.weights, self.rules)

    def found(self, decoder: Decoder, smoothing: float = 0.0) -> list[np.ndarray]:
        """Return the loss and its gradients with respect to the logits and the weights of the CRF."""
        compute = self.compiled(decoder, smoothing)
        return [np.array(each) for each in compute(tf.constant(self.logits), self.ids, self.lengths)]

    def compiled(self, decoder: Decoder, smoothing: float = 0.0) -> Any:
        """Return the function that computes them. Compiling it takes much longer than running it."""
        loss = TargetLoss(self.targets(), len(self.tags), decoder)
        crf = self.crf if decoder is Decoder.CRF else None
        weights = [weight.value for weight in self.crf.weights] if crf else []

        @tf.function(autograph=False)
        def compute(logits: Any, ids: Any, lengths: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(logits)
                total = loss(logits, ids, lengths, crf=crf, label_smoothing=smoothing)
            return total, *(tf.convert_to_tensor(each) for each in tape.gradient(total, [logits, *weights]))

        return compute

    def expected(self, decoder: Decoder, smoothing: float = 0.0) -> list[np.ndarray]:
        """Return the same by definition: sums over all paths, differentiated by TensorFlow."""
        x = tf.constant(np.nan_to_num(self.logits), tf.float64)
        weights = [tf.constant(weight.numpy(), tf.float64) for weight in self.crf.weights]
        with tf.GradientTape() as tape:
            tape.watch([x, *weights])
            total = tf.constant(0.0, tf.float64)
            for i, row in enumerate(self.rows):
                if any(row):
                    total += self._loss(decoder, smoothing, x[: len(row), i], weights, row, self.ids[: len(row), i])
        crf = decoder is Decoder.CRF
        gradients = tape.gradient(total, [x, *weights] if crf else [x])
        return [np.array(total), *(np.array(tf.convert_to_tensor(each)) for each in gradients)]

    def _loss(self, decoder: Decoder, smoothing: float, x: Any, weights: Any, row: Any, ids: np.ndarray) -> Any:
        n, n_tags = len(row), len(self.tags)
        of_token = self.weights[ids] if self.weights is not None else np.ones(n)
        paths = np.array(list(itertools.product(range(n_tags), repeat=n)))
        legal = self._are_legal(paths)
        x = x if decoder is Decoder.CRF else tf.nn.log_softmax(x)
        scores = scores_of(paths, x, weights if decoder is Decoder.CRF else None)
        may = np.array([self.allowed[ids[t]][paths[:, t]] for t in range(n)])  # [n, P]
        prefixes = np.logical_and.accumulate(may, axis=0)
        everything = legal if decoder is Decoder.CRF else np.ones(len(paths), bool)
        total = tf.constant(0.0, tf.float64)
        before = tf.reduce_logsumexp(scores[everything])
        for t in range(n):
            if decoder is Decoder.CONSTRAINED:
                # A sequence counts while it is legal so far; at the end it must be legal as a whole.
                inside = prefixes[t] & self._are_legal(paths[:, : t + 1], end=t == n - 1)
            else:
                inside = prefixes[t] & (legal if decoder is Decoder.CRF else True)
            now = tf.reduce_logsumexp(scores[inside])
            total -= of_token[t] * (now - before)
            before = now
        uniform = tf.add_n([-of_token[t] * tf.reduce_mean(x[t]) for t in range(n) if row[t] is not None])
        return (1 - smoothing) * total + smoothing * uniform

    def _are_legal(self, paths: np.ndarray, *, end: bool = True) -> np.ndarray:
        """Return which paths [P, T] are legal, without a rule for their last tag if they do not end there: [P]."""
        if self.rules is None:
            return np.ones(len(paths), bool)
        parts = [self.rules.start[paths[:, 0]], self.rules.end[paths[:, -1]] * end]
        parts += [self.rules.transition[a, b] for a, b in itertools.pairwise(paths.T)]
        return np.min(parts, axis=0) > ILLEGAL / 2


def scores_of(paths: np.ndarray, x: Any, weights: Any) -> Any:
    """Return the sum of what is added up along each path [P, T]: of x [T, K], and of the weights of a CRF, if there are some: [P]."""
    scores = tf.add_n([tf.gather(x[t], tags) for t, tags in enumerate(paths.T)])
    if weights is None:
        return scores
    transition, start, end = weights
    scores += tf.gather(start, paths[:, 0]) + tf.gather(end, paths[:, -1])
    for t in range(1, paths.shape[1]):
        scores += tf.gather_nd(transition, paths[:, t - 1 : t + 1])
    return scores


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_losses_and_gradients_equal_those_of_all_sequences(scheme: str, decoder: Decoder, weighted: bool) -> None:
    cases = [Case(scheme, scale, weighted=weighted) for scale in SCALES]
    compute = cases[0].compiled(decoder)  # both have the same gold ids, and the same weights of the CRF
    for case in cases:
        found, expected = compute(case.logits, case.ids, case.lengths), case.expected(decoder)
        assert len(found) == len(expected) == (5 if decoder is Decoder.CRF else 2)
        assert expected[0] > 1.0
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decoder", [Decoder.SOFTMAX, Decoder.CONSTRAINED])
def test_label_smoothing_applies_to_known_tokens(decoder: Decoder, weighted: bool) -> None:
    case = Case("IOBES", 2.0, weighted=weighted)
    for ours, theirs in zip(case.found(decoder, 0.2), case.expected(decoder, 0.2), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-5)


WHOLE = [[{"B-a"}, {"I-a"}, {"O"}], [{"B-b"}], [{"O"}, {"B-b"}, {"I-b"}, {"B-a"}, {"O"}]]


@pytest.mark.parametrize("unit_weights", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_whole_annotations_with_weights_of_one_have_the_plain_softmax_loss(
    smoothing: float, unit_weights: bool
) -> None:
    case = Case("IOB2", 3.0, weighted=False, annotated=WHOLE)
    case.weights = np.ones(len(case.allowed), np.float32) if unit_weights else None
    plain = float(sequence_loss(case.logits, np.minimum(case.ids, 4), case.lengths, label_smoothing=smoothing))
    for decoder in (Decoder.SOFTMAX, Decoder.CONSTRAINED):
        assert float(case.found(decoder, smoothing)[0]) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("unit_weights", [False, True])
def test_whole_annotations_with_weights_of_one_have_the_plain_loss_of_the_crf(unit_weights: bool) -> None:
    case = Case("IOB2", 3.0, weighted=False, annotated=WHOLE)
    case.weights = np.ones(len(case.allowed), np.float32) if unit_weights else None
    with tf.GradientTape() as tape:
        x = tf.constant(case.logits)
        tape.watch(x)
        plain = -tf.reduce_sum(case.crf.log_likelihood(x, case.ids, case.lengths))
    gradients = tape.gradient(plain, [x, *(weight.value for weight in case.crf.weights)])
    for ours, theirs in zip(case.found(Decoder.CRF), [plain, *gradients], strict=True):
        np.testing.assert_allclose(ours, np.array(theirs), rtol=1e-6, atol=2e-6)


def test_with_transitions_of_zero_the_weighted_crf_has_the_weighted_softmax_loss() -> None:
    rows = [[{"x"}, {"y"}, {"y"}], [{"y"}, {"x"}]]
    case = Case("none", 2.0, weighted=True, annotated=rows)
    for weight in case.crf.weights:
        weight.assign(np.zeros(weight.shape))
    crf, softmax = case.found(Decoder.CRF), case.found(Decoder.SOFTMAX)
    np.testing.assert_allclose(crf[0], softmax[0], rtol=1e-6)
    np.testing.assert_allclose(crf[1], softmax[1], atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
def test_sentences_without_annotation_have_neither_loss_nor_gradient(decoder: Decoder, weighted: bool) -> None:
    case = Case("IOBES", 2.0, weighted=weighted, annotated=[[ANY], [ANY, ANY, ANY], [{"O"}]])
    case.lengths[2] = 0  # a share of padding, as replicas have it
    total, *gradients = case.found(decoder)
    assert float(total) == 0.0
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("decoder", [Decoder.CRF, Decoder.CONSTRAINED])
def test_a_long_unknown_part_does_not_underflow(decoder: Decoder) -> None:
    # Until the last step, spans of type a are far better; the known last tag belongs to type b.
    n, case = 300, Case("IOB2", 1.0, weighted=False)
    ids, case.allowed = ids_of_allowed([[frozenset({"B-b"}), *[None] * (n - 2), frozenset({"I-b"})]], case.tags)
    case.ids, case.lengths = ids[0][:, None], np.array([n], np.int32)
    case.logits = np.tile(np.array([0.0, 30.0, -30.0, 30.0, -30.0], np.float32), (n, 1, 1))
    total, *gradients = case.found(decoder)
    assert np.isfinite(total)
    assert total > 0
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_results_are_bit_identical_under_op_determinism() -> None:
    config.enable_op_determinism()
    try:
        for decoder, weighted in itertools.product(DECODERS, [False, True]):
            case = Case("IOBES", 2.0, weighted=weighted)
            compute = case.compiled(decoder)
            first, again = (compute(case.logits, case.ids, case.lengths) for _ in range(2))
            assert [each.numpy().tobytes() for each in first] == [each.numpy().tobytes() for each in again]
    finally:
        config.disable_op_determinism()


def test_rules_alone_do_not_make_targets() -> None:
    assert not Targets(rules=Transitions.free(2))


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("annotated", ["all", "in part"])
def test_the_loss_with_a_teacher_and_its_gradients_equal_those_by_definition(decoder: Decoder, annotated: str) -> None:
    rows = [[{"O"}, {"B-a"}, {"I-a"}, {"O"}], [{"O"}], [{"B-a"}, {"O"}]]
    if annotated == "in part":
        rows[1] = [ANY]
    case = Case("IOB2", 2.0, weighted=False, annotated=rows)
    may_be, outside = np.array([tag in ("O", "B-b", "I-b") for tag in case.tags]), case.tags.index("O")
    case.allowed = np.concatenate([case.allowed, may_be[None]])
    n, rng = len(case.allowed), np.random.default_rng(5)
    teacher = rng.dirichlet(np.ones(3), 6) @ np.eye(len(case.tags))[may_be]
    teacher[2] = np.eye(len(case.tags))[outside]  # 0 · log 0 counts as 0
    taught = [(t, i) for i, row in enumerate(rows) for t, one in enumerate(row) if one == {"O"}]
    for number, (t, i) in enumerate(taught):
        case.ids[t, i] = n + number
    own = case.ids.copy()  # without the teacher, these tokens may have any of its tags
    case.ids = np.where((own >= n) & (own < 10_000), n - 1, own)
    # With nothing else unknown, each token of the constrained decoder is by itself.
    alone = annotated == "all" and decoder is Decoder.CONSTRAINED
    hard = case.expected(Decoder.SOFTMAX if alone else decoder)
    case.ids = own

    x = tf.constant(np.nan_to_num(case.logits), tf.float64)
    weights = [tf.constant(weight.numpy(), tf.float64) for weight in case.crf.weights]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        soft = tf.constant(0.0, tf.float64)
        every = [log_probabilities(case, decoder, x[: len(row), i], weights) for i, row in enumerate(rows)]
        for number, (t, i) in enumerate(taught):
            log_p = tf.boolean_mask(every[i][t], may_be)
            log_p = tf.maximum(log_p - tf.reduce_logsumexp(log_p), -100.0)  # the CRF may find a tag impossible
            q = teacher[number][may_be]
            soft += np.sum(q[q > 0] * np.log(q[q > 0])) - tf.reduce_sum(q * log_p)
    found_weights = [x, *weights] if decoder is Decoder.CRF else [x]
    more = [soft, *tape.gradient(soft, found_weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)]

    case.targets = lambda: Targets(  # type: ignore[method-assign]
        case.allowed, None, case.rules, teacher.astype(np.float32)
    )
    found = case.found(decoder)
    for ours, one, other in zip(found, hard, more, strict=True):
        np.testing.assert_allclose(ours, one + np.array(tf.convert_to_tensor(other)), rtol=1e-4, atol=1e-4)
    if annotated == "all" and decoder is not Decoder.CRF:  # the loss of Monaikul et al.
        log_softmax = np.array(tf.nn.log_softmax(x))
        expected = -sum(log_softmax[t, 0, case.tags.index(tag)] for t, tag in ((1, "B-a"), (2, "I-a")))
        expected -= log_softmax[0, 2, case.tags.index("B-a")]
        for number, (t, i) in enumerate(taught):
            q = teacher[number]
            expected += np.sum(q[q > 0] * (np.log(q[q > 0]) - log_softmax[t, i][q > 0]))
        np.testing.assert_allclose(found[0], expected, rtol=1e-5)


@pytest.mark.parametrize("gold_weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("annotated", ["all", "in part"])
def test_the_loss_with_soft_targets_and_its_gradients_equal_those_by_definition(
    decoder: Decoder, annotated: str, gold_weight: float
) -> None:
    rows = [[{"O"}, {"B-a"}, {"I-a"}, {"O"}], [{"O"}, {"B-b"}], [{"B-a"}, {"O"}, {"O"}], [{"B-a"}, {"I-a"}]]
    if annotated == "in part":
        rows[1] = [ANY, {"I-b"}]
    case = Case("IOB2", 2.0, weighted=False, annotated=rows)
    labelled = [0, 1, 3]  # sentence 2 has no gold tags, whatever its ids say
    rng, n_tags = np.random.default_rng(5), len(case.tags)
    places = [(t, i) for i, row in enumerate(rows) for t in range(len(row))]
    rng.shuffle(places)
    teachers = rng.dirichlet(np.ones(n_tags), len(places))
    teachers[0] = np.eye(n_tags)[2]
    gold = np.array([case.ids[t, i] if i in labelled else -1 for t, i in places], np.int32)

    x = tf.constant(np.nan_to_num(case.logits), tf.float64)
    weights = [tf.constant(weight.numpy(), tf.float64) for weight in case.crf.weights]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        total = tf.constant(0.0, tf.float64)
        for i in labelled:
            n = len(rows[i])
            total += gold_weight * case._loss(decoder, 0.0, x[:n, i], weights, case.rows[i], case.ids[:n, i])
        every = [log_probabilities(case, decoder, x[: len(row), i], weights) for i, row in enumerate(rows)]
        for q, (t, i) in zip(teachers, places, strict=True):
            log_p = tf.maximum(every[i][t], -100.0)
            divergence = np.sum(q[q > 0] * np.log(q[q > 0])) - tf.reduce_sum(q * log_p)
            says_nothing = i not in labelled or rows[i][t] is ANY
            total += (1.0 if says_nothing else 1.0 - gold_weight) * divergence
    wanted = [x, *weights] if decoder is Decoder.CRF else [x]
    gradients = tape.gradient(total, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    for number, (t, i) in enumerate(places):
        case.ids[t, i] = number
    soft = SoftTargets(teachers.astype(np.float32), gold, gold_weight)
    sets = case.allowed if annotated == "in part" else None
    case.targets = lambda: Targets(sets, None, case.rules, soft=soft)  # type: ignore[method-assign]
    for ours, theirs in zip(case.found(decoder), [total, *gradients], strict=True):
        np.testing.assert_allclose(ours, np.array(tf.convert_to_tensor(theirs)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_loss_of_soft_targets_is_0_where_the_network_agrees(decoder: Decoder) -> None:
    case = Case("IOB2", 2.0, weighted=False, annotated=[[{"O"}, {"B-a"}, {"I-a"}], [{"O"}]])
    crf = [tf.constant(weight.numpy(), tf.float64) for weight in case.crf.weights]
    x = tf.constant(np.nan_to_num(case.logits), tf.float64)
    own = [np.exp(np.array(log_probabilities(case, decoder, x[:n, i], crf))) for i, n in enumerate((3, 1))]
    soft = SoftTargets(np.concatenate(own).astype(np.float32), np.full(4, -1, np.int32), 0.5)
    case.ids[:3, 0], case.ids[0, 1] = (0, 1, 2), 3
    case.targets = lambda: Targets(None, None, case.rules, soft=soft)  # type: ignore[method-assign]
    loss, *gradients = case.found(decoder)
    assert loss == pytest.approx(0.0, abs=1e-5)
    assert all(np.abs(one).max() < 1e-5 for one in gradients)


def log_probabilities(case: Case, decoder: Decoder, x: Any, weights: Any) -> Any:
    """Return the log-probabilities [T, K] of the tags of a sentence; with a CRF, sums over all legal sequences."""
    if decoder is not Decoder.CRF:
        return tf.nn.log_softmax(x)
    paths = np.array(list(itertools.product(range(len(case.tags)), repeat=len(x))))
    paths = paths[case._are_legal(paths)]
    scores = scores_of(paths, x, weights)
    total, lowest = tf.reduce_logsumexp(scores), tf.constant(-1e6, tf.float64)

    def of_tag(t: int, tag: int) -> Any:
        through = paths[:, t] == tag
        return tf.reduce_logsumexp(scores[through]) - total if through.any() else lowest

    return tf.stack([tf.stack([of_tag(t, tag) for tag in range(len(case.tags))]) for t in range(len(x))])
