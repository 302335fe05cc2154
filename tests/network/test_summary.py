"""The layers of a network: their sizes and weights add up to the network."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow")

from small_models import NETWORK, small_network

from tagger.corpus.transitions import constraints_of
from tagger.network.summary import LayerFacts, layers_of

pytestmark = pytest.mark.tensorflow
SIZES = {"n_tokens": 20, "n_tags": 3, "n_characters": 11, "n_features": 2, "n_feature_ids": 9}


@pytest.mark.parametrize(
    "settings",
    [
        {}, {"characters": "cnn", "casing": True, "layers": 2}, {"characters": "lstm", "direction": "forward"},
        {"merge": "sum", "layers": 3}, {"decoder": "crf"},
    ],
)  # fmt: skip
def test_the_weights_of_the_layers_are_those_of_the_network(settings: dict[str, Any]) -> None:
    rules = constraints_of(("O", "B-X", "I-X"), "IOB2") if "decoder" in settings else None
    network = small_network(rules=rules, **{**NETWORK, "decoder": "constrained", **settings}, **SIZES)
    layers = layers_of(network)
    assert sum(layer.n_weights for layer in layers) == network.count_params()


def test_each_layer_reads_as_much_as_the_one_before_writes() -> None:
    settings = {**NETWORK, "decoder": "constrained", "characters": "cnn", "casing": True, "layers": 2}
    assert layers_of(small_network(**settings, **SIZES)) == [
        LayerFacts("tokens", 20, 6, 120),
        LayerFacts("characters", 11, 4, 11 * 3 + 3 * 3 * 4 + 4),
        LayerFacts("casing", 8, 10, 80),
        LayerFacts("features", 9, 4, 18),
        LayerFacts("block 1 forward", 6 + 4 + 10 + 4, 5, 4 * 5 * (24 + 5 + 1)),
        LayerFacts("block 1 backward", 24, 5, 4 * 5 * (24 + 5 + 1)),
        LayerFacts("block 2 forward", 10, 5, 4 * 5 * (10 + 5 + 1)),
        LayerFacts("block 2 backward", 10, 5, 4 * 5 * (10 + 5 + 1)),
        LayerFacts("softmax", 10, 3, 33),
    ]
