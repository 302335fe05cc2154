"""Run `tagger train` with a character network of IntNet's kind in place of the CNN, for ingredients.py.

IntNet (Xin et al. 2018) has convolutions of two widths in several layers. Each layer reads the outputs of all layers
before it, and nothing is pooled until the end. The model that is saved lacks these weights, so only the score on dev
that the training itself reports counts.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import keras
import tensorflow as tf

from tagger.cli import commands
from tagger.network import embedding
from tagger.training import train as train_module
from tagger.training.parts import Parts
from tagger.training.train import train

WIDTHS = (3, 5)
FIRST, MORE, LAYERS = 24, 12, 2  # outputs of each width in the first layer and in the others, and their number
UNITS = len(WIDTHS) * (FIRST + LAYERS * MORE)


class IntNet(embedding.CharacterCNN):
    """The maximum over a token's characters of the outputs of all layers."""

    def _make(self, character_dim: int, seed: int) -> None:
        super()._make(character_dim, seed)
        assert self.output_dim == UNITS, f"set model.character_units to {UNITS}"
        self.convolutions: list[keras.layers.Layer] = []
        n_inputs = character_dim
        for i in range(1 + LAYERS):
            n = MORE if i else FIRST
            for width in WIDTHS:
                layer = keras.layers.Conv1D(
                    n, width, padding="same", activation="relu",
                    kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 10 * i + width),
                )  # fmt: skip
                layer.build((None, None, n_inputs))
                self.convolutions.append(layer)
            n_inputs = len(WIDTHS) * n + (n_inputs if i else 0)

    def call(self, characters: Any, lengths: Any) -> Any:
        n_tokens, longest = tf.shape(lengths)[0], tf.reduce_max(lengths)
        is_character = tf.sequence_mask(lengths, longest)
        places = tf.cast(tf.where(is_character), tf.int32)
        padded = tf.scatter_nd(places, characters, [n_tokens, longest])
        mask = tf.cast(is_character, tf.float32)[:, :, None]
        x = tf.gather(tf.convert_to_tensor(self.embedding), padded) * mask
        for i in range(0, len(self.convolutions), len(WIDTHS)):
            outputs = [layer(x) * mask for layer in self.convolutions[i : i + len(WIDTHS)]]
            x = tf.concat([x, *outputs] if i else outputs, axis=2)
        # Outputs are at least 0, as they are at padding. What the model saves needs gradients too.
        return tf.reduce_max(x, axis=1) + 0.0 * (tf.reduce_sum(self.kernel) + self.bias)


def unchecked(*_: Any) -> None:
    """Do not compare the exported network with the trained one: it has other weights."""


if __name__ == "__main__":
    embedding.CharacterCNN = IntNet  # type: ignore[misc]
    train_module.train = functools.partial(train, parts=Parts(check_equal=unchecked))
    sys.exit(commands.run(["train", *sys.argv[1:]]))
