"""The layers of a network with their sizes and numbers of weights, for people who want to see what is trained."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

import keras

from tagger.network.model import TwoBranchTagger


@dataclasses.dataclass(frozen=True)
class LayerFacts:
    """A layer of a network.

    Attributes:
        name: its name, such as `block 1 forward`.
        n_in: the number of ids of an embedding; otherwise the size of the input.
        n_out: the size of the output.
        n_weights: the number of its weights.
    """

    name: str
    n_in: int
    n_out: int
    n_weights: int


def layers_of(network: TwoBranchTagger) -> list[LayerFacts]:
    """Return the layers of a network in the order in which a sentence passes through them."""
    return list(_layers(network))


def _layers(network: TwoBranchTagger) -> Iterator[LayerFacts]:
    representation, (n_ids, dim) = network.representation, network.embedding.shape
    yield LayerFacts("tokens", n_ids, dim, n_ids * dim)
    if (characters := representation.characters) is not None:
        n_weights = _count(characters.named_weights().values())
        yield LayerFacts("characters", characters.embedding.shape[0], characters.output_dim, n_weights)
    if (casing := representation.casing) is not None:
        yield LayerFacts("casing", casing.shape[0], casing.shape[1], _count([casing]))
    if (features := representation.features) is not None:
        yield LayerFacts("features", features.shape[0], representation.features_dim, _count([features]))
    size = representation.output_dim
    for i, block in enumerate(network.blocks, start=1):
        for name, branch in block.branches.items():
            yield LayerFacts(f"block {i} {name}", size, branch.units, _count(branch.weights))
        size = block.output_dim
    n_tags = network.softmax.units
    yield LayerFacts("softmax", size, n_tags, _count(network.softmax.weights))
    if network.crf is not None:
        yield LayerFacts("crf", n_tags, n_tags, _count(network.crf.weights))


def _count(weights: Iterable[keras.Variable]) -> int:
    return sum(math.prod(weight.shape) for weight in weights)
