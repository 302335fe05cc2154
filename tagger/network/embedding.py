"""The representation of a token before the network reads its neighbors: one row for each distinct token of a batch."""

from __future__ import annotations

import keras
import tensorflow as tf

from tagger.architecture import CASING_DIM, CNN_WIDTH, Characters, NetworkSpec
from tagger.inputs.characters import Casing
from tagger.inputs.encoder import Sizes
from tagger.inputs.vocabulary import PAD_ID
from tagger.network import Tensor
from tagger.network.bilstm import Kernel, make_branch, reversal, reverse_by_length, uniform_rows
from tagger.network.packing import BatchTensors


class CharacterNetwork(keras.layers.Layer):
    """Base class of the networks over the characters of a token: an embedding of the characters.

    Args:
        n_characters: the number of ids in the character vocabulary, reserved ids included.
        character_dim: the size of the embedding of a character.
        character_units: the size of the output for all characters of a token together.
        seed: the seed of the initial weights.
    """

    def __init__(self, n_characters: int, character_dim: int, character_units: int, *, seed: int) -> None:
        super().__init__(name="characters")
        self.output_dim = character_units
        self.embedding = self.add_weight(
            name="embedding", shape=(n_characters, character_dim), initializer=uniform_rows(character_dim, seed)
        )
        self._make(character_dim, seed + 1)
        self.built = True

    def _make(self, character_dim: int, seed: int) -> None:
        raise NotImplementedError

    def call(self, characters: Tensor, lengths: Tensor) -> Tensor:
        """Compute the output [D, output_dim] for all tokens.

        Args:
            characters: [N], the ids of the characters of all tokens, one token after the other.
            lengths: [D], the number of characters of each token, at least 1.
        """
        raise NotImplementedError

    def named_weights(self) -> dict[str, keras.Variable]:
        """Return each weight by its name in `weights.safetensors`, without the prefix that all names share."""
        raise NotImplementedError


class CharacterCNN(CharacterNetwork):
    """A convolution of width 3 over a token's characters, then the maximum over them (dos Santos & Zadrozny 2014).

    The characters of a token are preceded and followed by `PAD_ID`, whose embedding is learned like all others.
    """

    def _make(self, character_dim: int, seed: int) -> None:
        glorot = keras.initializers.GlorotUniform(seed=seed)
        self.kernel = self.add_weight(
            name="kernel", shape=(CNN_WIDTH, character_dim, self.output_dim), initializer=glorot
        )
        self.bias = self.add_weight(name="bias", shape=(self.output_dim,), initializer="zeros")

    def call(self, characters: Tensor, lengths: Tensor) -> Tensor:
        # There are about a hundred distinct characters, but they occur in thousands of places. Therefore each character
        # is multiplied once with each position of the kernel, and the value at a place is the sum of three rows.
        products = tf.einsum("ce,keo->kco", tf.convert_to_tensor(self.embedding), self.kernel)
        tokens = tf.repeat(tf.range(tf.shape(lengths)[0]), lengths)  # [N]: 0 0 0 1 2 2
        is_same = tf.cast(tokens[1:] == tokens[:-1], tf.int32)  # whether the next character belongs to the same token
        before = tf.concat([[PAD_ID], characters[:-1] * is_same], axis=0)
        after = tf.concat([characters[1:] * is_same, [PAD_ID]], axis=0)
        places = tf.stack([before, characters, after], axis=1) + tf.range(CNN_WIDTH) * tf.shape(products)[1]  # [N, 3]
        rows = tf.gather(tf.reshape(products, [-1, self.output_dim]), places)  # [N, 3, output_dim]
        return tf.math.segment_max(tf.reduce_sum(rows, axis=1), tokens) + self.bias

    def named_weights(self) -> dict[str, keras.Variable]:
        return {"embedding": self.embedding, "kernel": self.kernel, "bias": self.bias}


class CharacterLSTM(CharacterNetwork):
    """The last states of two LSTMs, one from each end of the token (Lample et al. 2016).

    Args:
        kernel: the implementation that computes both LSTMs.
    """

    def __init__(
        self, n_characters: int, character_dim: int, character_units: int, *, seed: int, kernel: Kernel
    ) -> None:
        self._kernel = kernel
        super().__init__(n_characters, character_dim, character_units, seed=seed)

    def _make(self, character_dim: int, seed: int) -> None:
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
            branch.build((None, None, character_dim))

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


class TokenRepresentation(keras.layers.Layer):
    """The word embedding, joined with everything else that the network reads: characters, casing, feature columns.

    Args:
        spec: decides which of them the network reads, and the sizes of their embeddings.
        sizes: the number of ids of each of them.
        kernel: the implementation that computes the LSTMs over characters.
        seed: the seed of the initial weights.
    """

    def __init__(self, spec: NetworkSpec, sizes: Sizes, *, kernel: Kernel, seed: int) -> None:
        super().__init__(name="representation")
        character_sizes = sizes.n_characters, spec.character_dim, spec.character_units
        self.characters: CharacterNetwork | None = None
        if spec.characters == Characters.CNN:
            self.characters = CharacterCNN(*character_sizes, seed=seed)
        elif spec.characters == Characters.LSTM:
            self.characters = CharacterLSTM(*character_sizes, seed=seed, kernel=kernel)
        self.casing = self._embedding("casing", len(Casing), CASING_DIM, seed + 11) if spec.casing else None
        self.features = (
            self._embedding("features", sizes.n_feature_ids, spec.feature_dim, seed + 12) if sizes.n_features else None
        )
        self.output_dim = spec.input_dim(sizes)
        self.features_dim = sizes.n_features * spec.feature_dim
        self.built = True

    @property
    def reads_forms(self) -> bool:
        """Whether the network reads more of a token than its id; otherwise, distinct ids are the distinct tokens."""
        return self.characters is not None or self.casing is not None or self.features is not None

    def _embedding(self, name: str, n_ids: int, size: int, seed: int) -> keras.Variable:
        return self.add_weight(name=name, shape=(n_ids, size), initializer=uniform_rows(size, seed))

    def call(self, rows: Tensor, batch: BatchTensors) -> Tensor:
        """Compute the representations [D, output_dim] of the distinct tokens of a batch.

        Args:
            rows: [V', E], the word embedding of the distinct ids.
        """
        if not self.reads_forms:
            return rows  # each distinct id is one distinct token
        parts = [tf.gather(rows, batch.id_rows)]
        if self.characters is not None:
            parts.append(self.characters(batch.characters, batch.character_lengths))
        if self.casing is not None:
            parts.append(tf.gather(tf.convert_to_tensor(self.casing), batch.casing))
        if self.features is not None:
            features = tf.gather(tf.convert_to_tensor(self.features), batch.feature_ids)  # [D, F, feature_dim]
            parts.append(tf.reshape(features, [-1, self.features_dim]))
        return tf.concat(parts, axis=1)

    def named_weights(self) -> dict[str, keras.Variable]:
        """Return each weight by its name in `weights.safetensors`."""
        named = {} if self.characters is None else self.characters.named_weights()
        named = {f"characters.{name}": weight for name, weight in named.items()}
        if self.casing is not None:
            named["casing.embedding"] = self.casing
        if self.features is not None:
            named["features.embedding"] = self.features
        return named
