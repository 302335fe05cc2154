"""The network: one shared embedding, blocks of two LSTM branches, a time-distributed softmax."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.errors import ModelError
from tagger.network.layers import (
    TwoBranchLSTM,
    dropout_mask,
    look_up_both,
    reversal,
    reverse_by_length,
)
from tagger.network.lstm import Kernel, Tensor


class TwoBranchTagger(keras.Model):
    """Token ids and their reversed copies to logits over tags.

    Args:
        n_tokens: V, the ids of the token vocabulary, reserved ones included.
        n_tags: K.
        embedding_dim: E.
        units: H, per direction.
        layers: number of blocks; each later one reverses its own input by length for its backward branch.
        direction, merge: as `TwoBranchLSTM`.
        dropout: rate on the embedded tokens and on each block's output, constant over time.
        kernel: how the branches are computed.
        seed: of the initial weights.
        mixed_precision: compute the blocks in float16; weights, softmax and loss stay float32.
    """

    def __init__(
        self,
        *,
        n_tokens: int,
        n_tags: int,
        embedding_dim: int,
        units: int,
        layers: int = 1,
        direction: str = "both",
        merge: str = "concat",
        dropout: float = 0.0,
        kernel: Kernel = Kernel.PLAIN,
        seed: int = 0,
        mixed_precision: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.mixed_precision = mixed_precision
        policy = keras.DTypePolicy("mixed_float16" if mixed_precision else "float32")
        self._block_dtype = tf.as_dtype(policy.compute_dtype)
        limit = (3.0 / embedding_dim) ** 0.5  # a uniform row then has an expected norm of 1
        self.embedding = self.add_weight(
            name="embedding",
            shape=(n_tokens, embedding_dim),
            initializer=keras.initializers.RandomUniform(-limit, limit, seed=seed),
        )
        self.blocks = [
            TwoBranchLSTM(
                units,
                direction=direction,
                merge=merge,
                kernel=kernel,
                seed=seed + 1 + 4 * i,
                name=f"block_{i + 1}",
                dtype=policy,
            )
            for i in range(layers)
        ]
        glorot = keras.initializers.GlorotUniform(seed=seed + 97)
        self.softmax = keras.layers.Dense(n_tags, kernel_initializer=glorot, dtype="float32")
        self._build(embedding_dim)

    def _build(self, embedding_dim: int) -> None:
        size = embedding_dim
        for block in self.blocks:
            for branch in block.branches.values():
                branch.build((None, None, size))
            block.built = True
            size = block.output_dim
        self.softmax.build((None, None, size))
        self.built = True

    def look_up(self, distinct_ids: Tensor) -> Tensor:
        """The rows of a batch's distinct tokens: ids [D] → table [D, E]."""
        # gather on the variable itself: its cost does not depend on the size of the vocabulary.
        return tf.gather(self.embedding.value, distinct_ids)

    def call(
        self,
        table: Tensor,
        token_rows: Tensor,
        reversed_rows: Tensor,
        lengths: Tensor,
        dropout_seed: Tensor | None = None,
    ) -> Tensor:
        """Logits [T, B, K].

        Args:
            table: [D, E], the embedding of the batch's distinct tokens.
            token_rows, reversed_rows: [T, B], rows of the table.
            lengths: [B].
            dropout_seed: int32 [2] in training, None otherwise (no dropout).
        """
        order = reversal(lengths, tf.shape(token_rows)[0])  # [T, B]
        x, reversed_x = look_up_both(table, token_rows, reversed_rows, order)  # [T, B, E]
        x, reversed_x = tf.cast(x, self._block_dtype), tf.cast(reversed_x, self._block_dtype)
        # One mask for both branches: reversing the sentence must not change what is dropped.
        mask = self._mask(x, dropout_seed, 0)
        x, reversed_x = _masked(x, mask), _masked(reversed_x, mask)
        *earlier, last = self.blocks
        for i, block in enumerate(earlier, start=1):
            x = block(x, reversed_x, order)  # [T, B, H or 2H]
            x = _masked(x, self._mask(x, dropout_seed, i))
            reversed_x = reverse_by_length(x, order)
        return last.project(x, reversed_x, order, self.softmax, self._mask(x, dropout_seed, len(self.blocks)))

    def _mask(self, x: Tensor, seed: Tensor | None, place: int) -> Tensor | None:
        """[B, D] for the input of the first block (place 0) or the output of the block of that number."""
        if seed is None or not self.dropout:
            return None
        size = self.blocks[place - 1].output_dim if place else x.shape[-1]
        place_seed = seed + tf.constant([0, place], tf.int32)
        return dropout_mask(tf.stack([tf.shape(x)[1], size]), self.dropout, place_seed)

    def named_weights(self) -> dict[str, keras.Variable]:
        """Every weight by the name that it has in `weights.safetensors`."""
        named = {"embedding": self.embedding}
        for block in self.blocks:
            for direction, branch in block.branches.items():
                cell = branch.cell
                for name, weight in (
                    ("kernel", cell.kernel), ("recurrent_kernel", cell.recurrent_kernel), ("bias", cell.bias)
                ):  # fmt: skip
                    named[f"{block.name}.{direction}.{name}"] = weight
        named["softmax.kernel"], named["softmax.bias"] = self.softmax.kernel, self.softmax.bias
        return named

    def weights_as_arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """A copy of all weights."""
        return {name: weight.numpy().copy() for name, weight in self.named_weights().items()}

    def assign_weights(self, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Set all weights.

        Raises:
            ModelError: a name or a shape is not this network's.
        """
        named = self.named_weights()
        wrong = sorted(set(named) ^ set(arrays)) or [
            name for name, weight in named.items() if tuple(weight.shape) != arrays[name].shape
        ]
        if wrong:
            raise ModelError(
                f"weights.safetensors: {wrong[0]} does not fit the network that manifest.json describes; train again"
            )
        for name, weight in named.items():
            weight.assign(arrays[name])


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * tf.cast(mask, x.dtype)


def sequence_loss(logits: Tensor, tag_ids: Tensor, lengths: Tensor) -> Tensor:
    """Cross-entropy summed over real tokens only.

    Args:
        logits: [T, B, K]; tag_ids: [T, B]; lengths: [B].
    """
    mask = tf.range(tf.shape(tag_ids)[0])[:, None] < lengths  # [T, B]
    gold = tf.one_hot(tag_ids, logits.shape[-1])
    # Of one-hot tags: the sparse loss takes three times as many operators under op determinism.
    losses = tf.nn.softmax_cross_entropy_with_logits(gold, tf.cast(logits, tf.float32))
    # where, not a product: whatever stands at padding, even NaN, must not reach the sum.
    return tf.reduce_sum(tf.where(mask, losses, 0.0))
