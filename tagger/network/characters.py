"""What the characters of a token say: a convolution or an LSTM over them, once for each distinct token."""

from __future__ import annotations

import keras
import tensorflow as tf

from tagger.corpus.vocabulary import PAD_ID
from tagger.network.layers import reversal, reverse_by_length, uniform_rows
from tagger.network.lstm import Kernel, Tensor, make_branch

WIDTH = 3  # characters that the convolution sees at once


class CharacterNetwork(keras.layers.Layer):
    """Base of both: an embedding of the characters.

    Args:
        n_characters: ids of the character vocabulary, reserved ones included.
        embedding_dim: size of a character's embedding.
        output_dim: size of what is said of a token.
        seed: of the initial weights.
    """

    def __init__(self, n_characters: int, embedding_dim: int, output_dim: int, *, seed: int) -> None:
        super().__init__(name="characters")
        self.output_dim = output_dim
        self.embedding = self.add_weight(
            name="embedding", shape=(n_characters, embedding_dim), initializer=uniform_rows(embedding_dim, seed)
        )
        self._make(embedding_dim, seed + 1)
        self.built = True

    def _make(self, embedding_dim: int, seed: int) -> None:
        raise NotImplementedError

    def call(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """[D, output_dim].

        Args:
            characters: [N], the ids of all tokens' characters, one token after the other.
            lengths: [D], how many of them are each token's, at least 1.
        """
        raise NotImplementedError

    def named_weights(self) -> dict[str, keras.Variable]:
        """Every weight by its name in `weights.safetensors`, without what they all begin with."""
        raise NotImplementedError


class CharacterCNN(CharacterNetwork):
    """A convolution of width 3 over a token's characters, and its maximum over them (dos Santos & Zadrozny 2014).

    Before the first character and after the last stands `PAD_ID`, whose embedding is learned as the others are.
    """

    def _make(self, embedding_dim: int, seed: int) -> None:
        glorot = keras.initializers.GlorotUniform(seed=seed)
        self.kernel = self.add_weight(name="kernel", shape=(WIDTH, embedding_dim, self.output_dim), initializer=glorot)
        self.bias = self.add_weight(name="bias", shape=(self.output_dim,), initializer="zeros")

    def call(self, characters: Tensor, lengths: Tensor) -> Tensor:
        # There are some hundred characters and thousands of places where they stand: so each is multiplied with each
        # column of the kernel once, and a place is the sum of three rows.
        products = tf.einsum("ce,keo->kco", tf.convert_to_tensor(self.embedding), self.kernel)
        tokens = tf.repeat(tf.range(tf.shape(lengths)[0]), lengths)  # [N]: 0 0 0 1 2 2
        is_same = tf.cast(tokens[1:] == tokens[:-1], tf.int32)  # whether the next one is of the same token
        before = tf.concat([[PAD_ID], characters[:-1] * is_same], axis=0)
        after = tf.concat([characters[1:] * is_same, [PAD_ID]], axis=0)
        places = tf.stack([before, characters, after], axis=1) + tf.range(WIDTH) * tf.shape(products)[1]  # [N, 3]
        rows = tf.gather(tf.reshape(products, [-1, self.output_dim]), places)  # [N, 3, output_dim]
        return tf.math.segment_max(tf.reduce_sum(rows, axis=1), tokens) + self.bias

    def named_weights(self) -> dict[str, keras.Variable]:
        return {"embedding": self.embedding, "kernel": self.kernel, "bias": self.bias}


class CharacterLSTM(CharacterNetwork):
    """The last states of two LSTMs, one from each end of the token (Lample et al. 2016).

    Args:
        kernel: how each is computed.
    """

    def __init__(self, n_characters: int, embedding_dim: int, output_dim: int, *, seed: int, kernel: Kernel) -> None:
        self._kernel = kernel
        super().__init__(n_characters, embedding_dim, output_dim, seed=seed)

    def _make(self, embedding_dim: int, seed: int) -> None:
        self.branches = {
            name: make_branch(
                self.output_dim // 2,
                self._kernel,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 2 * i),
                recurrent_initializer=keras.initializers.Orthogonal(seed=seed + 2 * i + 1),
                name=name,
            )
            for i, name in enumerate(("forward", "backward"))
        }
        for branch in self.branches.values():
            branch.build((None, None, embedding_dim))

    def call(self, characters: Tensor, lengths: Tensor) -> Tensor:
        n_tokens, longest = tf.shape(lengths)[0], tf.reduce_max(lengths)
        places = tf.cast(tf.where(tf.sequence_mask(lengths, longest)), tf.int32)  # [N, 2]: token, place in it
        padded = tf.scatter_nd(places[:, ::-1], characters, [longest, n_tokens])  # [C, D]
        order = reversal(lengths, longest)
        x = tf.gather(tf.convert_to_tensor(self.embedding), padded)
        last = tf.stack([lengths - 1, tf.range(n_tokens)], axis=1)
        states = [
            tf.gather_nd(branch.run(reverse_by_length(x, order) if name == "backward" else x), last)
            for name, branch in self.branches.items()
        ]
        return tf.concat(states, axis=1)

    def named_weights(self) -> dict[str, keras.Variable]:
        named = {"embedding": self.embedding}
        for name, branch in self.branches.items():
            named |= branch.named_weights(name)
        return named
