"""One LSTM branch, on the fastest kernel that its device has. All kernels have Keras's own weights and results."""

from __future__ import annotations

import enum
from typing import Any

import keras
import tensorflow as tf

Tensor = Any  # TensorFlow ships no types


class Kernel(enum.Enum):
    """How a branch is computed; the value is for people."""

    CUDNN = "cuDNN LSTM"
    BLOCK = "fused CPU LSTM (BlockLSTMV2)"
    PLAIN = "Keras LSTM (TensorFlow loop)"


def make_branch(units: int, kernel: Kernel, **options: Any) -> Branch:
    """A branch of `units` LSTM units.

    Args:
        options: of `keras.layers.LSTM`: initializers, name, dtype.
    """
    layer = BlockLSTM if kernel is Kernel.BLOCK else Branch
    return layer(units, return_sequences=True, use_cudnn=kernel is Kernel.CUDNN, **options)


class Branch(keras.layers.LSTM):
    """A Keras LSTM, and the same over steps that come first: the network is laid out so throughout."""

    def named_weights(self, prefix: str) -> dict[str, keras.Variable]:
        """Every weight by its name in `weights.safetensors`: `PREFIX.kernel`, …"""
        return {f"{prefix}.{name}": getattr(self.cell, name) for name in ("kernel", "recurrent_kernel", "bias")}

    def run(self, steps: Tensor, recurrent_kernel: Tensor | None = None) -> Tensor:
        """[T, B, D] → [T, B, units], from left to right, without a mask.

        Args:
            recurrent_kernel: [units, 4 units], in the place of the layer's own.
        """
        if recurrent_kernel is None:
            return tf.transpose(self(tf.transpose(steps, [1, 0, 2])), [1, 0, 2])
        # Keras's cell reads its kernel as an attribute while the graph is made; its own __setattr__ would take this one
        # for a new weight.
        own = self.cell.recurrent_kernel
        object.__setattr__(self.cell, "recurrent_kernel", recurrent_kernel)
        try:
            return self.run(steps)
        finally:
            object.__setattr__(self.cell, "recurrent_kernel", own)


class BlockLSTM(Branch):
    """A Keras LSTM whose steps run in one operator, `BlockLSTMV2`: no loop in the graph, gates fused.

    Keras's two kernels, one below the other, are the operator's: gates in the order i f c o.
    """

    def run(self, steps: Tensor, recurrent_kernel: Tensor | None = None) -> Tensor:
        """As `Branch.run`; the operator wants time first, so nothing is transposed."""
        recurrent_kernel = self.cell.recurrent_kernel if recurrent_kernel is None else recurrent_kernel
        kernel = tf.concat([self.cell.kernel, recurrent_kernel], axis=0)  # [D + units, 4 units]
        return _block_lstm(steps, kernel, tf.convert_to_tensor(self.cell.bias))

    def call(self, sequences: Tensor, *_: Any, **__: Any) -> Tensor:
        """[B, T, D] → [B, T, units], as Keras calls a layer."""
        return tf.transpose(self.run(tf.transpose(sequences, [1, 0, 2])), [1, 0, 2])


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _block_lstm(x: Tensor, kernel: Tensor, bias: Tensor) -> tuple[Tensor, Any]:
    """x [T, B, D] → h [T, B, units].

    The gradient is `BlockLSTMGradV2`: the one that TensorFlow 2.21 registers for the operator
    (python/ops/rnn_grad.py) is that of its version 1, whose gates have another order, and wrong.
    """
    units = kernel.shape[1] // 4
    zeros = tf.zeros([tf.shape(x)[1], units], x.dtype)
    no_peephole = tf.zeros([units], x.dtype)
    shared = {
        "seq_len_max": tf.cast(tf.shape(x)[0], tf.int64),
        "x": x,
        "cs_prev": zeros,
        "h_prev": zeros,
        "w": kernel,
        "wci": no_peephole,
        "wcf": no_peephole,
        "wco": no_peephole,
        "b": bias,
        "use_peephole": False,
    }
    i, cs, f, o, ci, co, h = tf.raw_ops.BlockLSTMV2(cell_clip=0.0, **shared)

    def gradient(h_gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        found = tf.raw_ops.BlockLSTMGradV2(
            i=i, cs=cs, f=f, o=o, ci=ci, co=co, h=h, cs_grad=tf.zeros_like(cs), h_grad=h_gradient, **shared
        )
        return found.x_grad, found.w_grad, found.b_grad

    return h, gradient
