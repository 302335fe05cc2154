"""The initial weights of a network that continues an older model, with rows and outputs for what is new.

Old tokens, characters, feature values and tags have the same ids in both, except that the ids of a second feature
column begin after those of the first, wherever these end.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import N_RESERVED, UNK_ID, TagVocabulary
from tagger.model_dir.store import Model, Weights

_SMALL = 0.1  # the factor of the initial weights of a new tag's output: the old tags keep their probabilities


def grown_weights(
    old: Model[Weights],
    fresh: Mapping[str, npt.NDArray[np.float32]],
    encoder: Encoder,
    tags: TagVocabulary,
    has_vector: npt.NDArray[np.bool_] | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the weights that a training begins with.

    Tokens that are new get the vector of a variant that the old model knows, if it was trained with pretrained vectors,
    and their fresh vector otherwise. The output of a new tag has small weights, and the bias of the old tag with the
    lowest one, so that the tag begins as an unlikely one. Transitions of new tags have a weight of 0.

    Args:
        old: the old model.
        fresh: the initial weights of the new network, pretrained vectors among them.
        encoder, tags: the vocabularies of the new network, in which the old entries come first.
        has_vector: [V], true at the ids with a pretrained vector; None if there are none.
    """
    weights = old.network
    result = {name: array.copy() for name, array in fresh.items()}
    for name, array in weights.items():
        if array.shape == fresh[name].shape and name != "features.embedding":
            result[name] = array.copy()
    _grow_embedding(result["embedding"], old, encoder, has_vector)
    if encoder.characters is not None:
        result["characters.embedding"][: len(weights["characters.embedding"])] = weights["characters.embedding"]
    starts = zip(old.encoder.feature_offsets, encoder.feature_offsets, old.encoder.features, strict=False)
    for before, now, column in starts:
        rows = weights["features.embedding"][before : before + len(column)]
        result["features.embedding"][now : now + len(column)] = rows
    n_old, n_new = len(old.tags), len(tags)
    if n_new > n_old:
        result["softmax.kernel"] = np.concatenate(
            [weights["softmax.kernel"], _SMALL * fresh["softmax.kernel"][:, n_old:]], axis=1
        )
        bias = weights["softmax.bias"]
        result["softmax.bias"] = np.concatenate([bias, np.full(n_new - n_old, bias.min(), np.float32)])
    if "crf.transition" in weights and n_new > n_old:
        result["crf.transition"] = np.pad(weights["crf.transition"], (0, n_new - n_old))
        for name in ("crf.start", "crf.end"):
            result[name] = np.pad(weights[name], (0, n_new - n_old))
    return result


def _grow_embedding(
    embedding: npt.NDArray[np.float32],
    old: Model[Weights],
    encoder: Encoder,
    has_vector: npt.NDArray[np.bool_] | None,
) -> None:
    """Put the old vectors into the table of the new network."""
    table, n_old = old.network["embedding"], len(old.encoder.tokens)
    embedding[:n_old] = table
    variants = old.encoder.tokens.encode(encoder.tokens.tokens[n_old - N_RESERVED :])
    found = variants != UNK_ID
    if has_vector is not None:
        found &= ~has_vector[n_old:]
    embedding[n_old:][found] = table[variants[found]]
