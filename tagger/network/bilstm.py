"""The two-branch BiLSTM: one block is a forward and a backward LSTM branch over the same sentences.

Both branches run from left to right over rows that are padded on the right: the forward branch over the sentence, the
backward branch over its reversed copy. Padding follows every real step, so neither branch needs a mask. A branch
runs on the fastest kernel that its device has. All kernels have the same weights and results as Keras's own LSTM.

Inside the network the time axis comes first, [T, B, …], so that the data of one step is contiguous in memory.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tagger.architecture import Direction, Merge
from tagger.network import Tensor
from tagger.network.block_lstm import block_lstm

# Takes a recurrent kernel and the number of its branch, and returns the kernel with some weights dropped
# (Merity et al. 2018).
DropRecurrent = Callable[[Tensor, int], Tensor]


class Kernel(enum.Enum):
    """The implementation that computes a branch. The value is the name to show to users."""

    CUDNN = "cuDNN LSTM"
    BLOCK = "fused CPU LSTM (BlockLSTMV2)"
    PLAIN = "Keras LSTM (TensorFlow loop)"


def make_branch(units: int, kernel: Kernel, **options: Any) -> Branch:
    """Return a branch of `units` LSTM units.

    Args:
        options: further arguments of `keras.layers.LSTM`, such as initializers, name and dtype.
    """
    layer = BlockLSTM if kernel is Kernel.BLOCK else Branch
    return layer(units, return_sequences=True, use_cudnn=kernel is Kernel.CUDNN, **options)


class Branch(keras.layers.LSTM):
    """A Keras LSTM that can also run with the time axis first, which is the layout of the whole network."""

    def named_weights(self, prefix: str) -> dict[str, keras.Variable]:
        """Return each weight by its name in `weights.safetensors`: `PREFIX.kernel`, …"""
        return {f"{prefix}.{name}": getattr(self.cell, name) for name in ("kernel", "recurrent_kernel", "bias")}

    def run(self, steps: Tensor, recurrent_kernel: Tensor | None = None) -> Tensor:
        """Run from left to right, without a mask: [T, B, D] → [T, B, units].

        Args:
            recurrent_kernel: [units, 4 units], to use instead of the layer's own kernel.
        """
        if recurrent_kernel is None:
            return tf.transpose(self(tf.transpose(steps, [1, 0, 2])), [1, 0, 2])
        # Keras's cell reads its kernel from an attribute while the graph is built. The cell's own __setattr__ would
        # register this tensor as a new weight.
        own = self.cell.recurrent_kernel
        object.__setattr__(self.cell, "recurrent_kernel", recurrent_kernel)
        try:
            return self.run(steps)
        finally:
            object.__setattr__(self.cell, "recurrent_kernel", own)


class BlockLSTM(Branch):
    """A Keras LSTM whose steps run in one operator, `BlockLSTMV2`, with fused gates and no loop in the graph.

    The operator takes Keras's two kernels stacked on top of each other. Both have their gates in the order i f c o.
    """

    def run(self, steps: Tensor, recurrent_kernel: Tensor | None = None) -> Tensor:
        """Compute the same as `Branch.run`. The operator expects the time axis first, so nothing is transposed."""
        recurrent_kernel = self.cell.recurrent_kernel if recurrent_kernel is None else recurrent_kernel
        return block_lstm(steps, *map(tf.convert_to_tensor, (self.cell.kernel, recurrent_kernel, self.cell.bias)))

    def call(self, sequences: Tensor, *_: Any, **__: Any) -> Tensor:
        """Run with the batch axis first, as Keras calls a layer: [B, T, D] → [B, T, units]."""
        return tf.transpose(self.run(tf.transpose(sequences, [1, 0, 2])), [1, 0, 2])


def reversal(lengths: Tensor, n_steps: Tensor) -> Tensor:
    """Return the source of each step of the reversed sentences, as row numbers [T, B] into T·B steps.

    Applying the reversal twice restores the original order. For one sentence of length 3 and T = 5 the result is
    [2 1 0 3 4]: the first three steps are reversed, and padding stays in its place.
    """
    steps = tf.range(n_steps)[:, None]
    sources = tf.where(steps < lengths, lengths - 1 - steps, steps)  # [T, B]
    n_sentences = tf.shape(lengths)[0]
    return sources * n_sentences + tf.range(n_sentences)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def reverse_by_length(x: Tensor, reversal: Tensor) -> tuple[Tensor, Any]:
    """Reverse each sentence of x [T, B, D] by its own length, with the row numbers `reversal` [T, B].

    The operation is its own inverse, so its gradient is the reversed gradient. It does not need a sum over rows, unlike
    the gradient of a general gather.
    """

    def reverse(y: Tensor) -> Tensor:
        return tf.gather(tf.reshape(y, [-1, y.shape[-1]]), reversal)

    return reverse(x), lambda gradient: (reverse(gradient), None)


@tf.custom_gradient  # type: ignore[untyped-decorator]
def look_up_both(
    table: Tensor, rows: Tensor, reversed_rows: Tensor, reversal: Tensor
) -> tuple[tuple[Tensor, Tensor], Any]:
    """Look up rows of table [D, E] for the sentences and for their reversed copies, [T, B, E] each.

    The backward pass first restores the order of the reversed copies' gradient and adds it to the sentences' gradient.
    Only then does it sum by row, which halves the number of rows to sum.

    Args:
        rows, reversed_rows: [T, B]; `reversed_rows` is `rows` with each sentence reversed.
        reversal: [T, B], the result of `reversal` for the lengths of the sentences.
    """

    def gradient(x_gradient: Tensor, reversed_gradient: Tensor) -> tuple[Tensor, None, None, None]:
        total = x_gradient + reverse_by_length(reversed_gradient, reversal)
        return tf.math.unsorted_segment_sum(total, rows, tf.shape(table)[0]), None, None, None

    return (tf.gather(table, rows), tf.gather(table, reversed_rows)), gradient


def uniform_rows(size: int, seed: int) -> keras.initializers.Initializer:
    """Return an initializer for an embedding whose rows have `size` numbers: their expected norm is 1."""
    limit = (3.0 / size) ** 0.5
    return keras.initializers.RandomUniform(-limit, limit, seed=seed)


def dropout_mask(shape: Tensor, rate: float, seed: Tensor) -> Tensor:
    """Return the factors [B, D] of an input [T, B, D]: one mask for all steps of a sentence (Gal & Ghahramani 2016).

    Args:
        shape: [B, D].
        seed: int32 [2]; the same seed gives the same mask in every process.
    """
    return tf.cast(tf.random.stateless_uniform(shape, seed) >= rate, tf.float32) / (1.0 - rate)


MERGES = {
    Merge.CONCAT: lambda forward, backward: tf.concat([forward, backward], axis=-1),
    Merge.SUM: lambda forward, backward: forward + backward,
    Merge.MUL: lambda forward, backward: forward * backward,
    Merge.AVE: lambda forward, backward: (forward + backward) / 2.0,
}


class TwoBranchLSTM(keras.layers.Layer):
    """Forward and backward LSTM branches whose outputs are merged.

    At real steps the result equals that of a masked Keras `Bidirectional(LSTM)`.

    Args:
        units: H, the number of units per direction.
        direction: the branches of the layer.
        merge: the way to merge the outputs of two branches.
        kernel: the implementation that computes each branch.
        seed: the seed of the initial weights.
        kwargs: further arguments of the Keras layer, such as name and dtype.
    """

    def __init__(
        self, units: int, *, direction: Direction, merge: Merge, kernel: Kernel, seed: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.merge = merge
        self.branches = {
            name: make_branch(
                units,
                kernel,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2 * i),
                recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 2 * i + 1),
                name=name,
                dtype=self.dtype_policy,
            )
            for i, name in enumerate(("forward", "backward"))
            if name in direction.branches
        }

    @property
    def output_dim(self) -> int:
        """The size of the last axis: 2H for two concatenated branches, otherwise H."""
        units: int = next(iter(self.branches.values())).units
        return units * (len(self.branches) if self.merge == Merge.CONCAT else 1)

    def _run(self, x: Tensor, reversed_x: Tensor, drop: DropRecurrent | None) -> dict[str, Tensor]:
        """Run each branch on its input. The output of the backward branch stays in the order of the reversed copies."""
        kernels = {
            name: None if drop is None else drop(tf.convert_to_tensor(branch.cell.recurrent_kernel), i)
            for i, (name, branch) in enumerate(self.branches.items())
        }
        return {
            name: branch.run(reversed_x if name == "backward" else x, kernels[name])
            for name, branch in self.branches.items()
        }

    def call(self, x: Tensor, reversed_x: Tensor, reversal: Tensor, drop: DropRecurrent | None = None) -> Tensor:
        """Run both branches.

        Args:
            x: [T, B, D], the sentences.
            reversed_x: [T, B, D], each sentence reversed by its own length.
            reversal: [T, B], the result of `reversal` for the lengths of the sentences.
            drop: drops recurrent weights; None outside training.

        Returns:
            [T, B, output_dim], in the order of the sentences; values beyond a sentence's length are meaningless.
        """
        outputs = [
            reverse_by_length(h, reversal) if name == "backward" else h
            for name, h in self._run(x, reversed_x, drop).items()
        ]
        return MERGES[self.merge](*outputs) if len(outputs) == 2 else outputs[0]

    def project(
        self,
        x: Tensor,
        reversed_x: Tensor,
        reversal: Tensor,
        dense: keras.layers.Dense,
        mask: Tensor | None,
        drop: DropRecurrent | None = None,
    ) -> Tensor:
        """Compute `dense(self(x, reversed_x, reversal, drop) * mask)`, [T, B, K], branch by branch where possible.

        The reversal and every merge except `mul` give the same result before and after a product with a matrix.
        Therefore each branch is projected on its own as soon as it is done, and the reversal has to move only K numbers
        per step instead of H.
        """
        n = len(self.branches)
        masks: list[Tensor | None] = [mask] * n
        if n == 1:
            kernels = [dense.kernel]
        elif self.merge == Merge.CONCAT:
            kernels = tf.split(dense.kernel, 2)
            masks = masks if mask is None else tf.split(mask, 2, axis=-1)
        elif self.merge == Merge.MUL:
            merged = self(x, reversed_x, reversal, drop=drop)
            return dense(merged if mask is None else merged * tf.cast(mask, merged.dtype))
        else:
            kernels = [dense.kernel / (2.0 if self.merge == Merge.AVE else 1.0)] * n
        logits = tf.convert_to_tensor(dense.bias)
        for (name, h), kernel, part in zip(self._run(x, reversed_x, drop).items(), kernels, masks, strict=True):
            h = tf.cast(h, kernel.dtype)
            h = tf.tensordot(h if part is None else h * part, kernel, 1)
            logits += reverse_by_length(h, reversal) if name == "backward" else h
        return logits
