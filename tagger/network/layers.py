"""One block of the network: a forward and a backward LSTM branch over the same sentences.

Each branch runs from left to right over rows padded on the right: the forward branch over the sentence, the
backward branch over its reversed copy. Padding follows every real step, so neither branch needs a mask.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tagger.network.lstm import Kernel, Tensor, make_branch


def reverse_by_length(x: Tensor, lengths: Tensor) -> Tensor:
    """Reverse the first `lengths` steps of each row of x [B, T, …]; padding stays where it is. Its own inverse.

    n = 3, T = 5:  [a b c . .]  →  [c b a . .]
    """
    return tf.reverse_sequence(x, lengths, seq_axis=1, batch_axis=0)


def constant_over_time_dropout(x: Tensor, rate: float, seed: Tensor) -> Tensor:
    """Dropout on x [B, T, H] with one mask [B, 1, H] for all steps of a sentence (Gal & Ghahramani 2016).

    `seed`, int32 [2], decides the mask: the same seed gives the same mask in every process.
    """
    noise = tf.random.stateless_uniform(tf.stack([tf.shape(x)[0], 1, x.shape[-1]]), seed)
    keep = tf.cast(noise >= rate, x.dtype)
    return x * keep / (1.0 - rate)


MERGES = {
    "concat": lambda forward, backward: tf.concat([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "mul": lambda forward, backward: forward * backward,
    "ave": lambda forward, backward: (forward + backward) / 2.0,
}


class TwoBranchLSTM(keras.layers.Layer):
    """Forward and backward LSTM branches, merged; equals a masked Keras `Bidirectional(LSTM)` at real steps.

    Args:
        units: H, per direction.
        direction: `both`, `forward` or `backward`.
        merge: how two branches become one: `concat`, `sum`, `mul` or `ave`.
        kernel: how each branch is computed.
        seed: of the initial weights.
    """

    def __init__(self, units: int, *, direction: str, merge: str, kernel: Kernel, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.merge = merge
        names = {"both": ("forward", "backward")}.get(direction, (direction,))
        self.branches = {
            name: make_branch(
                units,
                kernel,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2 * i),
                recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 2 * i + 1),
                name=name,
            )
            for i, name in enumerate(("forward", "backward"))
            if name in names
        }

    @property
    def output_dim(self) -> int:
        """Size of the last axis: 2H for two concatenated branches, else H."""
        units: int = next(iter(self.branches.values())).units
        return units * (len(self.branches) if self.merge == "concat" else 1)

    def call(self, x: Tensor, reversed_x: Tensor, lengths: Tensor) -> Tensor:
        """Run both branches.

        Args:
            x: [B, T, D], the sentences.
            reversed_x: [B, T, D], each sentence reversed by its own length.
            lengths: [B].

        Returns:
            [B, T, output_dim], in the sentences' order; beyond a sentence's length it means nothing.
        """
        outputs = []
        if "forward" in self.branches:
            outputs.append(self.branches["forward"](x))
        if "backward" in self.branches:
            outputs.append(reverse_by_length(self.branches["backward"](reversed_x), lengths))
        return MERGES[self.merge](*outputs) if len(outputs) == 2 else outputs[0]
