"""Scoring batches with TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tagger.corpus.batching import Batch
from tagger.network.devices import out_of_memory_explained
from tagger.network.feeding import PACKED_SIGNATURE, join, pack, unpack
from tagger.network.lstm import Kernel
from tagger.network.model import TwoBranchTagger
from tagger.runtime.decoding import Scores
from tagger.runtime.model_dir import Model
from tagger.runtime.predictor import Predictor


class Scorer:
    """Computes logits of a batch with a network, without dropout; a `predictor.ScoreBatch`."""

    def __init__(self, network: TwoBranchTagger) -> None:
        def logits(packed: Any, starts: Any) -> Any:
            batch = unpack(packed, starts, 0)
            return network(network.look_up(batch.distinct_ids), batch.token_rows, batch.reversed_rows, batch.lengths)

        self._call = tf.function(logits, input_signature=PACKED_SIGNATURE)

    def __call__(self, batch: Batch) -> Scores:
        """Logits [B, T, K]."""
        with out_of_memory_explained():
            return np.asarray(self._call(*join([pack(batch)])), np.float32).swapaxes(0, 1)


def load_predictor(model: Model, *, kernel: Kernel = Kernel.BLOCK) -> Predictor:
    """A predictor that runs a model directory's weights in TensorFlow.

    Raises:
        ModelError: the weights do not fit the manifest.
    """
    with out_of_memory_explained():
        network = TwoBranchTagger(
            **model.manifest.network, n_tokens=len(model.tokens), n_tags=len(model.tags), kernel=kernel
        )
        network.assign_weights(model.weights)
    return Predictor(Scorer(network), model.manifest, model.tokens, model.tags)
