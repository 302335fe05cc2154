"""The probabilities that an older model gives to the tags of sentences, to train another model with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.inputs.batching import batches_by_length
from tagger.inputs.encoder import Columns
from tagger.prediction.decoding import log_softmax
from tagger.prediction.lattice import Lattice
from tagger.prediction.predictor import BATCH_TOKENS
from tagger.training.old_model import OldModel

_LEAST = 1e-6  # a lower probability counts as 0, as does a tag that is impossible but for rounding


def teacher_probabilities(old: OldModel, sentences: Sequence[Columns]) -> list[npt.NDArray[np.float32]]:
    """Return the probabilities [T_i, K] of the tags of the old model: of its softmax, or the marginals of its CRF.

    Args:
        sentences: sentences of at most the length that the network sees at once.
    """
    ids, forms = old.model.encoder.encode(sentences)
    has_crf = old.model.manifest.network.has_crf
    found: list[npt.NDArray[np.float32]] = [np.zeros((len(one), len(old.model.tags)), np.float32) for one in ids]
    longest = max(map(len, ids), default=1)
    for rows in batches_by_length([len(one) for one in ids], longest, BATCH_TOKENS):
        logits = old.session([ids[i] for i in rows], forms)
        lengths = np.array([len(ids[i]) for i in rows], np.int32)
        if has_crf:
            probabilities = Lattice(logits, lengths, old.session.transitions).marginals()
        else:
            probabilities = np.exp(log_softmax(logits).astype(np.float64))
        for row, i in enumerate(rows):
            found[i] = probabilities[row, : len(ids[i])].astype(np.float32)
    return found


def restricted(
    probabilities: npt.NDArray[np.float32], may_be: npt.NDArray[np.bool_], outside: int
) -> npt.NDArray[np.float32]:
    """Return probabilities [N, K] restricted to some tags and divided by their sum.

    Args:
        may_be: [K], the tags.
        outside: the tag that has all of the probability if the old model gives nothing to any of them.
    """
    kept = np.where(may_be & (probabilities >= _LEAST), probabilities.astype(np.float64), 0.0)
    total = kept.sum(axis=1, keepdims=True)
    kept[total[:, 0] == 0, outside] = 1.0
    return (kept / np.where(total == 0, 1.0, total)).astype(np.float32)
