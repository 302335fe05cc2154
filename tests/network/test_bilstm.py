"""The kernels against Keras: same weights, same values, same gradients."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tagger.network.bilstm import BlockLSTM, Branch, Kernel, make_branch  # noqa: E402

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 9), (6, 1), (5, 8)])
def test_the_fused_kernel_equals_keras_in_values_and_gradients(batch: int, steps: int) -> None:
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


def test_the_gradient_agrees_with_finite_differences() -> None:
    layer = make_branch(2, Kernel.BLOCK)
    layer.build((None, None, 3))
    x = np.random.default_rng(3).normal(size=(2, 3, 3)).astype(np.float32)
    theoretical, numerical = tf.test.compute_gradient(lambda x_: layer(x_), [tf.constant(x)], delta=1e-2)
    np.testing.assert_allclose(theoretical[0], numerical[0], atol=2e-3)


def test_weights_are_those_of_keras_whichever_kernel_ran() -> None:
    shapes = []
    for kernel in Kernel:
        layer = make_branch(4, kernel)
        layer.build((None, None, 3))
        shapes.append([tuple(weight.shape) for weight in layer.get_weights()])
    assert shapes == [[(3, 16), (4, 16), (16,)]] * 3
    np.testing.assert_array_equal(layer.get_weights()[2], [0] * 4 + [1] * 4 + [0] * 8)  # the forget gate's bias


@pytest.mark.parametrize(("kernel", "use_cudnn"), [(Kernel.CUDNN, True), (Kernel.BLOCK, False), (Kernel.PLAIN, False)])
def test_cudnn_is_asked_for_explicitly_or_not_at_all(kernel: Kernel, use_cudnn: bool) -> None:
    branch = make_branch(4, kernel)
    assert branch.use_cudnn is use_cudnn
    # what Keras's cuDNN path requires
    assert (branch.cell.activation, branch.cell.recurrent_activation) == (
        keras.activations.tanh,
        keras.activations.sigmoid,
    )
    assert branch.cell.recurrent_dropout == 0
    assert not branch.unroll
