"""The moving average against Keras's, which is dense, and against every step written out."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from small_models import small_network  # noqa: E402

from tagger.config import TrainingConfig  # noqa: E402
from tagger.inputs.batching import make_batch  # noqa: E402
from tagger.network.optimizers import MovingAverage, Optimizer  # noqa: E402
from tagger.network.trainer import Trainer  # noqa: E402

pytestmark = pytest.mark.tensorflow

V, E = 7, 3


def read(variable: tf.Variable) -> np.ndarray:
    return variable.numpy()


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def decay_at(step: int, decay: float) -> float:
    return min(decay, (1 + step) / (10 + step))


def test_where_all_rows_are_touched_it_is_that_of_keras() -> None:
    embedding, weight = tf.Variable(random(V, E)), tf.Variable(random(2, 2))
    theirs = [keras.Variable(random(V, E)), keras.Variable(random(2, 2))]
    reference = keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8)
    optimizer, average = Optimizer("adam", embedding, [weight], clip_norm=None), MovingAverage(0.8, embedding, [weight])
    optimizer.learning_rate.assign(0.05)
    reference.build(theirs)
    for step in range(6):
        gradients = [tf.constant(random(V, E, seed=step)), tf.constant(random(2, 2, seed=50 + step))]
        old = tf.gather(embedding, tf.range(V))  # a copy
        optimizer.apply(tf.range(V), gradients[0], gradients[1:])
        average.update(tf.range(V), old)
        reference.ema_momentum = decay_at(step + 1, 0.8)
        reference.apply(gradients, theirs)
        if step == 0:  # Keras begins with the weights after the first step, not with the initial ones
            kept = reference._model_variables_moving_average
            for variable, ours, start in zip(kept, (embedding, weight), (random(V, E), random(2, 2)), strict=True):
                variable.assign(2 / 11 * start + 9 / 11 * ours.numpy())
    rows, (dense,) = average.arrays(read)
    expected = [kept.numpy() for kept in reference._model_variables_moving_average]
    np.testing.assert_allclose(rows, expected[0], atol=5e-6)
    np.testing.assert_allclose(dense, expected[1], atol=5e-6)
    assert np.abs(rows - embedding.numpy()).max() > 0.01


def test_by_row_it_is_what_it_would_be_at_every_step() -> None:
    embedding, weight = tf.Variable(random(V, E)), tf.Variable(random(2))
    average = MovingAverage(0.9, embedding, [weight])
    expected, expected_dense = embedding.numpy().astype(np.float64), weight.numpy().astype(np.float64)
    rng = np.random.default_rng(3)
    for step in range(120):
        touched = rng.permutation(V - 1)[: rng.integers(1, 4)]  # the last row is never looked up
        old = tf.gather(embedding, touched)
        embedding.assign(embedding.numpy() + np.isin(np.arange(V), touched)[:, None] * random(V, E, seed=step))
        weight.assign_add(random(2, seed=step))
        average.update(tf.constant(touched, tf.int32), old)
        decay = decay_at(step + 1, 0.9)
        expected = decay * expected + (1 - decay) * embedding.numpy()
        expected_dense = decay * expected_dense + (1 - decay) * weight.numpy()
        if step % 7 == 0 or step == 119:
            rows, (dense,) = average.arrays(read)
            np.testing.assert_allclose(rows, expected, atol=1e-5)
            np.testing.assert_allclose(dense, expected_dense, atol=1e-5)
    np.testing.assert_array_equal(rows[-1], embedding.numpy()[-1])


def trained(**settings: object) -> Trainer:
    network = small_network(n_tokens=20, n_tags=3, embedding_dim=4, units=3, seed=1)
    trainer = Trainer(network, TrainingConfig(learning_rate=0.05, **{"ema": None, **settings}))
    rng = np.random.default_rng(1)
    batches = []
    for _ in range(20):
        ids = [rng.integers(2, 20, n).astype(np.int32) for n in (1, 3, 2)]
        batches.append(make_batch(ids, [rng.integers(0, 3, len(some)).astype(np.int32) for some in ids]))
    trainer.train_epoch(batches, 0)
    return trainer


def test_training_keeps_the_average_of_each_of_its_steps() -> None:
    # d = 0.5: the average is nearly that of the last few steps, so each of them shows, also within one call.
    averaged, plain = trained(ema=0.5), trained()
    assert plain._average is None
    ours, theirs = averaged.network.weights_as_arrays(), plain.network.weights_as_arrays()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg="the average must not change the training")
    with averaged.saved_weights():
        inside = averaged.network.weights_as_arrays()
    after = averaged.network.weights_as_arrays()
    for name in ours:
        np.testing.assert_array_equal(ours[name], after[name])
        assert np.abs(inside[name] - ours[name]).max() > 1e-4, name
    assert int(averaged._average._steps) == 20
    with plain.saved_weights():
        np.testing.assert_array_equal(plain.network.weights_as_arrays()["embedding"], theirs["embedding"])


def test_the_weights_come_back_after_an_error() -> None:
    trainer = trained(ema=0.9)
    before = trainer.network.weights_as_arrays()
    with pytest.raises(RuntimeError), trainer.saved_weights():
        raise RuntimeError
    after = trainer.network.weights_as_arrays()
    assert all((before[name] == after[name]).all() for name in before)
