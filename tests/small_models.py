"""Small networks with random weights in a model directory, and the same network in TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import OUTSIDE
from tagger.corpus.vocabulary import Normalization, TagVocabulary, TokenVocabulary
from tagger.network.export import build_onnx
from tagger.network.model import TwoBranchTagger
from tagger.runtime.manifest import Manifest
from tagger.runtime.model_dir import Model, Weights
from tagger.runtime.model_files import EMBEDDINGS
from tagger.runtime.model_saving import save_model

NETWORK = {"embedding_dim": 6, "units": 5, "layers": 1, "direction": "both", "merge": "concat", "dropout": 0.5}
TAGS = (OUTSIDE, "B-X", "B-Y", "I-X", "I-Y")
TOKENS = tuple(f"w{i}" for i in range(200))


def random_weights(network: dict[str, Any], n_tokens: int, n_tags: int, seed: int = 1) -> Weights:
    """Large enough for every one of them, and every token, to show in the logits."""
    shapes = TwoBranchTagger(**network, n_tokens=n_tokens, n_tags=n_tags).weights_as_arrays()
    rng = np.random.default_rng(seed)
    scales = {"softmax.kernel": 5.0, "softmax.bias": 0.3}
    return {
        name: rng.normal(scale=scales.get(name, 1.0), size=array.shape).astype(np.float32)
        for name, array in shapes.items()
    }


def small_model(
    directory: Path,
    *,
    tokens: tuple[str, ...] = TOKENS,
    tags: tuple[str, ...] = TAGS,
    decoder: str = "constrained",
    max_length: int = 512,
    scheme: str = "IOB2",
    file_scheme: str | None = None,
    seed: int = 1,
    **network: Any,
) -> Model[Weights]:
    """A model with the given architecture, not saved yet."""
    manifest = Manifest(
        layout=Layout(columns={"token": 0, "tag": -1}, known_tags=frozenset(tags)),
        notation=Notation(scheme=file_scheme or scheme),
        scheme=scheme,
        normalization=Normalization(),
        network=NETWORK | network,
        decoder=decoder,
        max_length=max_length,
        seed=seed,
        dev={},
        test=None,
        versions={},
    )
    vocabularies = TokenVocabulary(tokens), TagVocabulary(tags)
    return Model(
        directory, manifest, *vocabularies, random_weights(dict(manifest.network), *map(len, vocabularies), seed)
    )


def save_small_model(directory: Path, **options: Any) -> Path:
    """A model directory as `tagger train` writes it."""
    model = small_model(directory, **options)
    graph = build_onnx(model.network, model.manifest.network, embeddings=EMBEDDINGS)
    save_model(model, graph=graph, config="", history="")
    return directory


def random_sentences(n: int, *, longest: int = 40, seed: int = 0) -> list[list[str]]:
    """Sentences of known and unknown tokens, lengths 1, 2 and `longest` among them."""
    rng = np.random.default_rng(seed)
    lengths = [1, 2, longest, *rng.integers(1, longest + 1, n - 3).tolist()]
    return [[f"w{i}" for i in rng.integers(0, len(TOKENS) + 20, length)] for length in lengths]
