"""Compare the kernels with Keras (same weights, values and gradients), and check reversals and dropout masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tagger.inputs.batching import Batch, make_batch

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tagger.network import block_lstm  # noqa: E402
from tagger.network.bilstm import (  # noqa: E402
    BlockLSTM,
    Branch,
    Kernel,
    dropout_mask,
    look_up_both,
    make_branch,
    reversal,
    reverse_by_length,
)

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize("looped", [False, True])
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 9), (6, 1), (5, 8)])
def test_the_fused_kernel_equals_keras_in_values_and_gradients(
    batch: int, steps: int, looped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_lstm, "_most_sentences_of_loop", lambda *sizes: 6 if looped else 0)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(batch, steps, 5)), tf.float32)
    weighting = rng.normal(size=(batch, steps, 7)).astype(np.float32)
    layers = [make_branch(7, Kernel.BLOCK), make_branch(7, Kernel.PLAIN)]
    results = []
    for layer in layers:
        layer.build((None, None, 5))
        layer.set_weights(
            [rng_.normal(size=w.shape) for rng_ in [np.random.default_rng(1)] for w in layer.get_weights()]
        )
        weights = [layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias]
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x) if batch > 5 else tf.transpose(layer.run(tf.transpose(x, [1, 0, 2])), [1, 0, 2])
            loss = tf.reduce_sum(y * weighting)
        gradients = tape.gradient(loss, [x, *(weight.value for weight in weights)])
        results.append([np.array(y), *(np.array(gradient) for gradient in gradients)])
    assert isinstance(layers[0], BlockLSTM)
    assert type(layers[1]) is Branch
    assert Branch.call is keras.layers.LSTM.call
    for i, (ours, theirs) in enumerate(zip(*results, strict=True)):
        recurrent = i == 3
        assert np.abs(theirs).max() > 0.01 or (recurrent and steps == 1)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("looped", [False, True])
def test_a_continued_kernel_equals_a_stateful_keras_lstm_in_values_and_gradients(
    looped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block_lstm, "_most_sentences_of_loop", lambda *sizes: 6 if looped else 0)
    rng = np.random.default_rng(0)
    n_sentences, n_steps, units = 3, 4, 7
    table = tf.constant(rng.normal(size=(8, 5)), tf.float32)
    windows = [tf.constant(rng.integers(0, 6, (n_steps, n_sentences))) for _ in range(3)]
    keras_lstm = keras.layers.LSTM(units, return_sequences=True, stateful=True)
    keras_lstm.build((n_sentences, n_steps, 5))
    keras_lstm.set_weights([rng.normal(size=w.shape) for w in keras_lstm.get_weights()])
    weights = [tf.constant(w) for w in keras_lstm.get_weights()]
    state = block_lstm.LSTMState(tf.zeros([n_sentences, units]), tf.zeros([n_sentences, units]))
    for window in windows:
        weighting = rng.normal(size=(n_sentences, n_steps, units)).astype(np.float32)
        variables = [weight.value for weight in keras_lstm.trainable_weights]
        with tf.GradientTape() as tape:
            tape.watch(table)
            expected = keras_lstm(tf.gather(table, tf.transpose(window)))
            loss = tf.reduce_sum(expected * weighting)
        expected_gradients = map(tf.convert_to_tensor, tape.gradient(loss, [table, *variables]))
        with tf.GradientTape() as tape:
            tape.watch([table, *weights])
            h, state = block_lstm.continued_block_lstm(table, window, *weights, state)
            found = tf.transpose(h, [1, 0, 2])
            loss = tf.reduce_sum(found * weighting)
        gradients = map(tf.convert_to_tensor, tape.gradient(loss, [table, *weights]))
        for ours, theirs in zip([found, *gradients], [expected, *expected_gradients], strict=True):
            assert np.abs(theirs).max() > 0.01
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(state.output, keras_lstm.states[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(state.cell, keras_lstm.states[1].numpy(), atol=1e-6)


def test_the_gradient_agrees_with_finite_differences() -> None:
    layer = make_branch(2, Kernel.BLOCK)
    layer.build((None, None, 3))
    x = np.random.default_rng(3).normal(size=(2, 3, 3)).astype(np.float32)
    theoretical, numerical = tf.test.compute_gradient(lambda x_: layer(x_), [tf.constant(x)], delta=1e-2)
    np.testing.assert_allclose(theoretical[0], numerical[0], atol=2e-3)


@pytest.mark.parametrize(
    ("n_sentences", "n_inputs", "units", "looped"),
    [
        (1, 50, 50, False),
        (32, 300, 150, True),
        (17, 100, 100, True),
        (18, 100, 100, False),
        (256, 300, 150, False),
        (256, 64, 128, True),
    ],
)
def test_the_size_decides_which_gradient_runs(
    n_sentences: int, n_inputs: int, units: int, looped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    monkeypatch.setattr(block_lstm, "_looped", lambda *arrays: found.append(True) or (arrays[0], *arrays[1:3], None))
    x = tf.ones([1, n_sentences, n_inputs])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = block_lstm.block_lstm(x, tf.ones([n_inputs, 4 * units]), tf.ones([units, 4 * units]), tf.ones([4 * units]))
    tape.gradient(y, x)
    assert found == [True] * looped


def test_every_kernel_has_the_weights_of_keras() -> None:
    shapes = []
    for kernel in Kernel:
        layer = make_branch(4, kernel)
        layer.build((None, None, 3))
        shapes.append([tuple(weight.shape) for weight in layer.get_weights()])
    assert shapes == [[(3, 16), (4, 16), (16,)]] * 3
    np.testing.assert_array_equal(layer.get_weights()[2], [0] * 4 + [1] * 4 + [0] * 8)  # the forget gate's bias


@pytest.mark.parametrize(("kernel", "use_cudnn"), [(Kernel.CUDNN, True), (Kernel.BLOCK, False), (Kernel.PLAIN, False)])
def test_only_the_cudnn_kernel_requests_cudnn(kernel: Kernel, use_cudnn: bool) -> None:
    branch = make_branch(4, kernel)
    assert branch.use_cudnn is use_cudnn
    # Keras's cuDNN path requires these settings.
    assert (branch.cell.activation, branch.cell.recurrent_activation) == (
        keras.activations.tanh,
        keras.activations.sigmoid,
    )
    assert branch.cell.recurrent_dropout == 0
    assert not branch.unroll


# --- Reversals and dropout masks -------------------------------------------------------------------------------------


def a_batch() -> Batch:
    rng = np.random.default_rng(0)
    return make_batch([rng.integers(2, 20, n).astype(np.int32) for n in (1, 2, 7)])


def test_reversing_by_length_equals_the_batch_of_reversed_copies_and_is_its_own_inverse() -> None:
    batch = a_batch()
    order = reversal(batch.lengths, batch.token_ids.shape[1])
    steps = np.stack([batch.token_ids.T, -batch.token_ids.T], axis=-1)  # [T, B, 2]
    reversed_steps = np.array(reverse_by_length(steps, order))
    np.testing.assert_array_equal(reversed_steps[..., 0].T, batch.reversed_ids)
    np.testing.assert_array_equal(reversed_steps[..., 1].T, -batch.reversed_ids)
    np.testing.assert_array_equal(reverse_by_length(reversed_steps, order), steps)


def test_the_gradients_of_looking_up_and_reversing_equal_those_of_plain_gathers() -> None:
    batch, rng = a_batch(), np.random.default_rng(8)
    order = reversal(batch.lengths, batch.token_rows.shape[1])
    table = tf.constant(rng.normal(size=(len(batch.distinct_ids), 3)), tf.float32)
    weights = rng.normal(size=(3, *batch.token_rows.T.shape, 3)).astype(np.float32)

    def loss(x: Any, reversed_x: Any, twice: Any) -> Any:
        return tf.reduce_sum(x * weights[0] + reversed_x * weights[1] + twice * weights[2])

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(table)
        x, reversed_x = look_up_both(table, batch.token_rows.T, batch.reversed_rows.T, order)
        ours = loss(x, reversed_x, reverse_by_length(x * 2.0, order))
        plain = tf.gather(table, batch.token_rows.T), tf.gather(table, batch.reversed_rows.T)
        theirs = loss(*plain, tf.gather(tf.reshape(plain[0] * 2.0, [-1, 3]), order))
    assert float(ours) == float(theirs)
    expected = np.array(tf.convert_to_tensor(tape.gradient(theirs, table)))
    np.testing.assert_allclose(np.array(tape.gradient(ours, table)), expected, atol=1e-5)
    assert np.abs(expected).min() > 0.01


def test_a_dropout_mask_depends_only_on_its_seed() -> None:
    mask = np.array(dropout_mask([50, 40], 0.4, tf.constant([1, 2])))
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1) / np.float32(0.6)}
    assert (mask == 0).mean() == pytest.approx(0.4, abs=0.05)
    np.testing.assert_array_equal(mask, dropout_mask([50, 40], 0.4, tf.constant([1, 2])))
    assert (mask != np.array(dropout_mask([50, 40], 0.4, tf.constant([1, 3])))).any()
