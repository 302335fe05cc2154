"""Compare row-wise updates and averages with Keras's dense ones, and check the scale of a float16 loss."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from small_models import small_network  # noqa: E402

from tagger.config.keys import TrainingConfig  # noqa: E402
from tagger.inputs.batching import make_batch  # noqa: E402
from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.optimizers import LossScale, MovingAverage, Optimizer  # noqa: E402
from tagger.network.trainer import Trainer  # noqa: E402

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
def test_updates_of_all_rows_agree_with_dense_keras(name: str, clip_norm: float | None) -> None:
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
def test_rows_that_are_not_looked_up_do_not_change(name: str) -> None:
    embedding, weight = start()
    variable = tf.Variable(embedding)
    optimizer = Optimizer(name, variable, [tf.Variable(weight)], clip_norm=5.0)
    optimizer.learning_rate.assign(0.05)
    for step, touched in enumerate([[0, 2], [2], [0]]):
        rows, dense = gradients(step)
        optimizer.apply(tf.constant(touched, tf.int32), tf.constant(rows[touched]), [tf.constant(dense)])
    changed = np.abs(variable.numpy() - embedding).max(axis=1) > 0
    assert changed.tolist() == [True, False, True, False, False]
    rows, _ = optimizer.variables()
    assert len(rows) > 1
    for slot in list(rows.values())[1:]:
        assert (np.abs(slot.numpy()).max(axis=1) > 0).tolist() == [True, False, True, False, False]


def test_clipping_uses_the_norm_of_all_gradients_together() -> None:
    variable, weight = tf.Variable(np.zeros((2, 1), np.float32)), tf.Variable(np.zeros(1, np.float32))
    optimizer = Optimizer("sgd", variable, [weight], clip_norm=1.0)
    optimizer.learning_rate.assign(1.0)
    optimizer.apply(tf.constant([1]), tf.constant([[3.0]]), [tf.constant([4.0])])
    np.testing.assert_allclose(variable.numpy(), [[0], [-0.6]], atol=1e-6)
    np.testing.assert_allclose(weight.numpy(), [-0.8], atol=1e-6)


# --- Moving averages -------------------------------------------------------------------------------------------------


N_AVERAGED = 7  # rows of the embedding


def read(variable: tf.Variable) -> np.ndarray:
    return variable.numpy()


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def decay_at(step: int, decay: float) -> float:
    return min(decay, (1 + step) / (10 + step))


def test_a_moving_average_of_updated_rows_equals_that_of_keras() -> None:
    embedding, weight = tf.Variable(random(N_AVERAGED, E)), tf.Variable(random(2, 2))
    theirs = [keras.Variable(random(N_AVERAGED, E)), keras.Variable(random(2, 2))]
    reference = keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8)
    optimizer, average = Optimizer("adam", embedding, [weight], clip_norm=None), MovingAverage(0.8, embedding, [weight])
    optimizer.learning_rate.assign(0.05)
    reference.build(theirs)
    for step in range(6):
        gradients = [tf.constant(random(N_AVERAGED, E, seed=step)), tf.constant(random(2, 2, seed=50 + step))]
        old = tf.gather(embedding, tf.range(N_AVERAGED))  # a copy
        optimizer.apply(tf.range(N_AVERAGED), gradients[0], gradients[1:])
        average.update(tf.range(N_AVERAGED), old)
        reference.ema_momentum = decay_at(step + 1, 0.8)
        reference.apply(gradients, theirs)
        if step == 0:  # Keras starts with the weights after the first step, not with the initial ones
            kept = reference._model_variables_moving_average
            for variable, ours, start in zip(
                kept, (embedding, weight), (random(N_AVERAGED, E), random(2, 2)), strict=True
            ):
                variable.assign(2 / 11 * start + 9 / 11 * ours.numpy())
    rows, (dense,) = average.arrays(read)
    expected = [kept.numpy() for kept in reference._model_variables_moving_average]
    np.testing.assert_allclose(rows, expected[0], atol=5e-6)
    np.testing.assert_allclose(dense, expected[1], atol=5e-6)
    assert np.abs(rows - embedding.numpy()).max() > 0.01


def test_a_moving_average_by_row_equals_one_over_every_step() -> None:
    embedding, weight = tf.Variable(random(N_AVERAGED, E)), tf.Variable(random(2))
    average = MovingAverage(0.9, embedding, [weight])
    expected, expected_dense = embedding.numpy().astype(np.float64), weight.numpy().astype(np.float64)
    rng = np.random.default_rng(3)
    for step in range(120):
        touched = rng.permutation(N_AVERAGED - 1)[: rng.integers(1, 4)]  # the last row is never looked up
        old = tf.gather(embedding, touched)
        embedding.assign(
            embedding.numpy() + np.isin(np.arange(N_AVERAGED), touched)[:, None] * random(N_AVERAGED, E, seed=step)
        )
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
    network = small_network(n_tokens=20, n_tags=3, embedding_dim=4, units=3, kernel=Kernel.BLOCK, seed=1)
    trainer = Trainer(network, TrainingConfig(learning_rate=0.05, **{"ema": None, **settings}))
    rng = np.random.default_rng(1)
    batches = []
    for _ in range(20):
        ids = [rng.integers(2, 20, n).astype(np.int32) for n in (1, 3, 2)]
        batches.append(make_batch(ids, [rng.integers(0, 3, len(some)).astype(np.int32) for some in ids]))
    trainer.train_epoch(batches, 0)
    return trainer


def test_training_averages_the_weights_of_every_step() -> None:
    # With a decay of 0.5 the last few steps dominate the average, so each of them shows, even within one call.
    averaged, plain = trained(ema=0.5), trained()
    assert not [name for name in plain.state(1) if name.startswith("average")]
    ours, theirs = averaged.network.weights_as_arrays(), plain.network.weights_as_arrays()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg="the average must not change the training")
    with averaged.saved_weights():
        inside = averaged.network.weights_as_arrays()
    after = averaged.network.weights_as_arrays()
    for name in ours:
        np.testing.assert_array_equal(ours[name], after[name])
        assert np.abs(inside[name] - ours[name]).max() > 1e-4, name
    assert averaged.state(1)["average.steps"] == 20
    with plain.saved_weights():
        np.testing.assert_array_equal(plain.network.weights_as_arrays()["embedding"], theirs["embedding"])


def test_the_training_weights_are_restored_after_an_error() -> None:
    trainer = trained(ema=0.9)
    before = trainer.network.weights_as_arrays()
    with pytest.raises(RuntimeError), trainer.saved_weights():
        raise RuntimeError
    after = trainer.network.weights_as_arrays()
    assert all((before[name] == after[name]).all() for name in before)


# --- Loss scale ------------------------------------------------------------------------------------------------------


def test_the_loss_scale_doubles_after_many_good_steps_and_stays_within_bounds() -> None:
    scale = LossScale()
    good_steps = scale.variables()["loss_scale.good_steps"]
    good_steps.assign(1998)
    values = []
    for finite in (True, True, True, False):
        scale.update(tf.constant(finite))
        values.append(float(scale.scale))
    assert values == [2.0**15, 2.0**16, 2.0**16, 2.0**15]
    assert int(good_steps) == 0
    for bound, finite in ((2.0**24, True), (1.0, False)):
        scale.scale.assign(bound)
        good_steps.assign(1999)
        scale.update(tf.constant(finite))
        assert float(scale.scale) == bound
