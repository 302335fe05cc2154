"""What the network knows of a token before it looks at its neighbours: one row for each distinct token of a batch."""

from __future__ import annotations

import keras
import tensorflow as tf

from tagger.corpus.spellings import Casing
from tagger.network.characters import CharacterCNN, CharacterLSTM, CharacterNetwork
from tagger.network.feeding import Fed
from tagger.network.layers import uniform_rows
from tagger.network.lstm import Kernel, Tensor
from tagger.runtime.graph import CASING_DIM


class TokenRepresentation(keras.layers.Layer):
    """The word embedding, and beside it what else is asked for: characters, casing, feature columns.

    Args:
        embedding_dim: E, of the word embedding.
        characters: `none`, `cnn` or `lstm`.
        character_dim, character_units: sizes of a character's embedding and of what all of them say together.
        casing: whether the casing has an embedding.
        n_characters: ids of the character vocabulary.
        n_features: F, feature columns.
        n_feature_ids: the ids of all of them together.
        feature_dim: of each one's embedding.
        kernel: how the LSTMs over characters are computed.
        seed: of the initial weights.
    """

    def __init__(
        self,
        *,
        embedding_dim: int,
        characters: str,
        character_dim: int,
        character_units: int,
        casing: bool,
        n_characters: int,
        n_features: int,
        n_feature_ids: int,
        feature_dim: int,
        kernel: Kernel,
        seed: int,
    ) -> None:
        super().__init__(name="representation")
        sizes = n_characters, character_dim, character_units
        self.characters: CharacterNetwork | None = None
        if characters == "cnn":
            self.characters = CharacterCNN(*sizes, seed=seed)
        elif characters == "lstm":
            self.characters = CharacterLSTM(*sizes, seed=seed, kernel=kernel)
        self.casing = self._embedding("casing", len(Casing), CASING_DIM, seed + 11) if casing else None
        self.features = self._embedding("features", n_feature_ids, feature_dim, seed + 12) if n_features else None
        self.output_dim = (
            embedding_dim
            + (self.characters.output_dim if self.characters else 0)
            + (CASING_DIM if casing else 0)
            + n_features * feature_dim
        )
        self._n_features, self._feature_dim = n_features, feature_dim
        self.built = True

    def _embedding(self, name: str, n_ids: int, size: int, seed: int) -> keras.Variable:
        return self.add_weight(name=name, shape=(n_ids, size), initializer=uniform_rows(size, seed))

    def call(self, rows: Tensor, batch: Fed) -> Tensor:
        """[D, output_dim].

        Args:
            rows: [V', E], the word embedding of the distinct ids.
        """
        if not (self.characters or self.casing is not None or self.features is not None):
            return rows  # each distinct id is one distinct token
        parts = [tf.gather(rows, batch.id_rows)]
        if self.characters is not None:
            parts.append(self.characters(batch.characters, batch.character_lengths))
        if self.casing is not None:
            parts.append(tf.gather(tf.convert_to_tensor(self.casing), batch.casing))
        if self.features is not None:
            features = tf.gather(tf.convert_to_tensor(self.features), batch.feature_ids)  # [D, F, feature_dim]
            parts.append(tf.reshape(features, [-1, self._n_features * self._feature_dim]))
        return tf.concat(parts, axis=1)

    def named_weights(self) -> dict[str, keras.Variable]:
        """Every weight by its name in `weights.safetensors`."""
        named = {} if self.characters is None else self.characters.named_weights()
        named = {f"characters.{name}": weight for name, weight in named.items()}
        if self.casing is not None:
            named["casing.embedding"] = self.casing
        if self.features is not None:
            named["features.embedding"] = self.features
        return named
