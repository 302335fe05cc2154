"""Packing of batches for TensorFlow: each batch becomes one vector of numbers, and several vectors are joined.

Passing an array to TensorFlow costs about 20 µs and calling a compiled function costs half a millisecond, while a step
takes about ten milliseconds. A batch is therefore passed as one vector, and several batches are passed in one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tagger.inputs.batching import Batch
from tagger.inputs.characters import WordForms
from tagger.inputs.vocabulary import Ids
from tagger.network import Tensor

_HEAD = 11  # numbers before a batch's arrays
# The arguments of a compiled function. One signature covers all lengths, so that no length makes it compile again.
PACKED_SIGNATURE = [tf.TensorSpec([None], tf.int32, "packed"), tf.TensorSpec([None], tf.int32, "starts")]


class BatchTensors(NamedTuple):
    """A batch inside a compiled function: like `Batch`, but with the time axis first, as in the whole network.

    Attributes:
        distinct_ids: [V'].
        id_rows: [D].
        feature_ids: [D, F].
        casing, characters, character_lengths: [D], [N] and [D]; all empty if the network reads no forms.
        lengths: [B].
        token_rows, reversed_rows, tag_ids: [T, B].
        dropout_seed: int32 [2].
        n_sentences: int32 [], the divisor of the loss: the number of sentences in the whole batch, of which this may be
            a share.
        stop: int32 [], 1 if this process was asked to stop.
    """

    distinct_ids: Tensor
    id_rows: Tensor
    feature_ids: Tensor
    casing: Tensor
    characters: Tensor
    character_lengths: Tensor
    lengths: Tensor
    token_rows: Tensor
    reversed_rows: Tensor
    tag_ids: Tensor
    dropout_seed: Tensor
    n_sentences: Tensor
    stop: Tensor


def pack(
    batch: Batch, dropout_seed: tuple[int, int] = (0, 0), *, n_sentences: int | None = None, stop: bool = False
) -> Ids:
    """Return a batch as one vector, in the layout that `unpack` reads."""
    nothing = np.zeros(0, np.int32)
    forms = batch.forms or WordForms(nothing, nothing, nothing)
    (n_tokens, n_features), (n_rows, n_steps) = batch.feature_ids.shape, batch.token_rows.shape
    sizes = [len(batch.distinct_ids), n_tokens, n_features, len(forms.casing), len(forms.characters)]
    head = [*sizes, n_rows, n_steps, *dropout_seed, n_rows if n_sentences is None else n_sentences, stop]
    by_token = batch.distinct_ids, batch.id_rows, batch.feature_ids.ravel()
    by_form = forms.casing, forms.lengths, forms.characters
    by_step = (array.T.ravel() for array in (batch.token_rows, batch.reversed_rows, batch.tag_ids))
    return np.concatenate([np.array(head, np.int32), *by_token, *by_form, batch.lengths, *by_step])


def join(vectors: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Join packed batches into one vector; return it with the start of each batch and the end of the last.

    Both results have the types of `PACKED_SIGNATURE`.
    """
    starts = np.cumsum([0, *map(len, vectors)], dtype=np.int32)
    return tf.constant(np.concatenate(vectors)), tf.constant(starts)


def unpack(packed: Tensor, starts: Tensor, i: Tensor) -> BatchTensors:
    """Return batch `i` of the batches that `join` joined."""
    vector = packed[starts[i] : starts[i + 1]]
    n_distinct, n_tokens, n_features, n_forms, n_characters, n_rows, n_steps = (vector[k] for k in range(7))
    sizes = [
        n_distinct, n_tokens, n_tokens * n_features, n_forms, n_forms, n_characters, n_rows,
        3 * n_rows * n_steps,
    ]  # fmt: skip
    distinct_ids, id_rows, feature_ids, casing, character_lengths, characters, lengths, rest = tf.split(
        vector[_HEAD:], sizes, num=len(sizes)
    )
    token_rows, reversed_rows, tag_ids = tf.unstack(tf.reshape(rest, [3, n_steps, n_rows]))
    return BatchTensors(
        distinct_ids, id_rows, tf.reshape(feature_ids, [n_tokens, n_features]), casing, characters, character_lengths,
        lengths, token_rows, reversed_rows, tag_ids, vector[7:9], vector[9], vector[10],
    )  # fmt: skip
