"""Scoring batches with TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tagger.corpus.batching import Ids, make_batch
from tagger.corpus.encoder import Encoder
from tagger.corpus.spellings import Spellings
from tagger.corpus.vocabulary import TagVocabulary
from tagger.network.devices import out_of_memory_explained
from tagger.network.feeding import PACKED_SIGNATURE, join, pack, unpack
from tagger.network.lstm import Kernel
from tagger.network.model import TwoBranchTagger, build_network
from tagger.runtime.decoding import Scores
from tagger.runtime.manifest import Manifest
from tagger.runtime.model_dir import read_weights
from tagger.runtime.model_files import ModelFiles
from tagger.runtime.transitions import Transitions


class Scorer:
    """Computes logits with a network, without dropout; a `predictor.ScoreBatch`.

    Args:
        device: where, as TensorFlow names it; None: where TensorFlow likes.
    """

    def __init__(self, network: TwoBranchTagger, *, device: str | None = None) -> None:
        self._network = network

        def logits(packed: Any, starts: Any) -> Any:
            batch = unpack(packed, starts, 0)
            with tf.device(device):
                return network(network.look_up(batch.distinct_ids), batch)

        self._call = tf.function(logits, input_signature=PACKED_SIGNATURE)

    @property
    def transitions(self) -> Transitions | None:
        """What the network's CRF has learned so far; None if it has none."""
        return self._network.transitions()

    def __call__(self, sentences: Sequence[Ids], spellings: Spellings | None = None) -> Scores:
        """Logits [B, T, K] of encoded sentences, each of at least one token."""
        packed = pack(make_batch(sentences, spellings=spellings))
        with out_of_memory_explained():
            return np.asarray(self._call(*join([packed])), np.float32).swapaxes(0, 1)


def open_scorer(files: ModelFiles, manifest: Manifest, encoder: Encoder, tags: TagVocabulary) -> Scorer:
    """A model directory's network in TensorFlow; for `load_model`.

    Raises:
        ModelError: a file was altered, or the weights do not fit the manifest.
    """
    with out_of_memory_explained():
        built = build_network(manifest, encoder, tags, kernel=Kernel.BLOCK)
        built.assign_weights(read_weights(files, manifest, encoder, tags))
    return Scorer(built)
