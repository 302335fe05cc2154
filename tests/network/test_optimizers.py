"""Row-wise updates against Keras's dense ones."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tagger.network.optimizers import Optimizer  # noqa: E402

pytestmark = pytest.mark.tensorflow

V, E = 5, 3
KERAS = {
    "adam": lambda **o: keras.optimizers.Adam(0.05, **o),
    "nadam": lambda **o: keras.optimizers.Nadam(0.05, **o),
    "sgd": lambda **o: keras.optimizers.SGD(0.05, momentum=0.9, **o),
}


def gradients(step: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(step)
    return rng.normal(size=(V, E)).astype(np.float32), rng.normal(size=(2, 2)).astype(np.float32)


def start() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(99)
    return rng.normal(size=(V, E)).astype(np.float32), rng.normal(size=(2, 2)).astype(np.float32)


@pytest.mark.parametrize("clip_norm", [None, 0.7])
@pytest.mark.parametrize("name", ["adam", "nadam", "sgd"])
def test_where_all_rows_are_touched_it_agrees_with_dense_keras(name: str, clip_norm: float | None) -> None:
    embedding, weight = start()
    ours = tf.Variable(embedding), tf.Variable(weight)
    theirs = keras.Variable(embedding), keras.Variable(weight)
    optimizer = Optimizer(name, ours[0], [ours[1]], clip_norm=clip_norm)
    optimizer.learning_rate.assign(0.05)
    reference = KERAS[name](global_clipnorm=clip_norm)
    for step in range(6):
        rows, dense = gradients(step)
        order = np.random.default_rng(step).permutation(V).astype(np.int32)  # the order of the rows must not matter
        optimizer.apply(tf.constant(order), tf.constant(rows[order]), [tf.constant(dense)])
        reference.apply([tf.constant(rows), tf.constant(dense)], list(theirs))
    assert np.abs(ours[0].numpy() - embedding).max() > 0.01
    np.testing.assert_allclose(ours[0].numpy(), theirs[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(ours[1].numpy(), theirs[1].numpy(), atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "nadam", "sgd"])
def test_rows_that_are_not_looked_up_stay_as_they_are(name: str) -> None:
    embedding, weight = start()
    variable = tf.Variable(embedding)
    optimizer = Optimizer(name, variable, [tf.Variable(weight)], clip_norm=5.0)
    optimizer.learning_rate.assign(0.05)
    for step, touched in enumerate([[0, 2], [2], [0]]):
        rows, dense = gradients(step)
        optimizer.apply(tf.constant(touched, tf.int32), tf.constant(rows[touched]), [tf.constant(dense)])
    changed = np.abs(variable.numpy() - embedding).max(axis=1) > 0
    assert changed.tolist() == [True, False, True, False, False]
    for slot in optimizer._embedding[1:]:
        assert (np.abs(slot.numpy()).max(axis=1) > 0).tolist() == [True, False, True, False, False]


def test_the_norm_that_is_clipped_is_that_of_all_gradients_together() -> None:
    variable, weight = tf.Variable(np.zeros((2, 1), np.float32)), tf.Variable(np.zeros(1, np.float32))
    optimizer = Optimizer("sgd", variable, [weight], clip_norm=1.0)
    optimizer.learning_rate.assign(1.0)
    optimizer.apply(tf.constant([1]), tf.constant([[3.0]]), [tf.constant([4.0])])
    np.testing.assert_allclose(variable.numpy(), [[0], [-0.6]], atol=1e-6)
    np.testing.assert_allclose(weight.numpy(), [-0.8], atol=1e-6)
