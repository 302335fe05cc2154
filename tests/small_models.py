"""Small networks with random weights in a model directory, and the same network in TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tagger.architecture import Characters, Decoder, NetworkSpec
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import OUTSIDE
from tagger.corpus.transitions import Transitions
from tagger.inputs.characters import WordForms, build_characters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.encoder import FIRST_FEATURE, FORM, TOKEN, Encoder, Sizes
from tagger.inputs.vocabulary import Ids, Normalization, TagVocabulary, TokenVocabulary
from tagger.model_dir.manifest import Manifest, Quantization
from tagger.model_dir.store import Model, Weights, load_model, save_model
from tagger.network.bilstm import Kernel
from tagger.network.model import TwoBranchTagger, build_network, open_network_logits
from tagger.network.onnx_export import model_graph
from tagger.prediction.predictor import Predictor

NETWORK: dict[str, Any] = {
    "embedding_dim": 6, "characters": "none", "character_dim": 3, "character_units": 4, "casing": False,
    "feature_dim": 2, "units": 5, "layers": 1, "direction": "both", "merge": "concat", "dropout": 0.5,
    "input_dropout": 0.5, "token_dropout": 0.0, "recurrent_dropout": 0.0,
}  # fmt: skip
FEATURE = tuple(f"f{i}" for i in range(7))
TAGS = (OUTSIDE, "B-X", "B-Y", "I-X", "I-Y")
TOKENS = tuple(f"w{i}" for i in range(200))


def small_network(
    *,
    rules: Transitions | None = None,
    kernel: Kernel = Kernel.PLAIN,
    seed: int = 0,
    mixed_precision: bool = False,
    **settings: Any,
) -> TwoBranchTagger:
    """Return a network with initial weights; `settings` takes the fields of `NetworkSpec` and of `Sizes`."""
    sizes = {name: settings.pop(name) for name in Sizes._fields if name in settings}
    spec = NetworkSpec(**settings)
    return TwoBranchTagger(spec, Sizes(**sizes), rules=rules, kernel=kernel, seed=seed, mixed_precision=mixed_precision)


def random_weights(manifest: Manifest, encoder: Encoder, tags: TagVocabulary) -> Weights:
    """Return random weights, so large that each weight and each token affects the logits."""
    shapes = build_network(manifest, encoder, tags, kernel=Kernel.PLAIN).weights_as_arrays()
    rng = np.random.default_rng(manifest.seed)
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
    features: tuple[str, ...] = (),
    values: tuple[tuple[str, ...], ...] | None = None,
    computed: ComputedFeatures | None = None,
    embedding_dtype: str = "float32",
    quantized: bool = False,
    **network: Any,
) -> Model[Weights]:
    """Return a model with the given architecture, without saving it.

    Args:
        features: the feature columns of the file.
        values: the known values of each feature column, including the computed ones; None: `FEATURE` for each.
        computed: computes further features.
    """
    computed = computed or ComputedFeatures()
    columns = {"token": 0, **{name: i for i, name in enumerate(features, start=1)}, "tag": -1}
    manifest = Manifest(
        layout=Layout(columns=columns, known_tags=frozenset(tags)),
        notation=Notation(scheme=file_scheme or scheme),
        scheme=scheme,
        normalization=Normalization(),
        n_trained_tokens=None,
        embedding_dtype=embedding_dtype,
        network=NetworkSpec(**NETWORK | network, decoder=Decoder(decoder)),
        max_length=max_length,
        seed=seed,
        dev={},
        test=None,
        versions={},
        quantization=Quantization(weights="int8") if quantized else None,
        features=computed.spec,
    )
    characters = build_characters(tokens)[0] if manifest.network.characters != Characters.NONE else None
    vocabularies = tuple(map(TokenVocabulary, values or (FEATURE,) * len(features)))
    encoder = Encoder(TokenVocabulary(tokens), characters, manifest.network.casing, vocabularies, computed)
    vocabulary = TagVocabulary(tags)
    return Model(directory, manifest, encoder, vocabulary, random_weights(manifest, encoder, vocabulary))


def save_small_model(directory: Path, **options: Any) -> Path:
    """Write a model directory as `tagger train` does, and return it."""
    model = small_model(directory, **options)
    graph = model_graph(model)
    save_model(model, graph=graph, config="", history="")
    return directory


def random_sentences(n: int, *, longest: int = 40, seed: int = 0) -> list[list[str]]:
    """Return sentences of known and unknown tokens; some have length 1, 2 and `longest`."""
    rng = np.random.default_rng(seed)
    lengths = [1, 2, longest, *rng.integers(1, longest + 1, n - 3).tolist()]
    return [[f"w{i}" for i in rng.integers(0, len(TOKENS) + 20, length)] for length in lengths]


def in_tensorflow(directory: Path) -> Predictor:
    """Return a predictor that computes in TensorFlow."""
    return Predictor(load_model(directory, open_network_logits))


def graph_inputs(padded: Ids, lengths: Ids, forms: WordForms | None) -> dict[str, Ids]:
    """Return all inputs that a graph may have; docs/serving.md describes them.

    Args:
        padded: [B, T] token ids, or [B, T, 2 + F] encoded sentences, as `encoder.Encoded` describes them.
        lengths: [B].
        forms: the forms that occur in the sentences; None if the network reads none.
    """
    if padded.ndim == 2:
        return {"token_ids": padded, "lengths": lengths}
    feeds = {"token_ids": padded[..., TOKEN], "lengths": lengths, "feature_ids": padded[..., FIRST_FEATURE:]}
    if forms is not None:
        distinct, rows = np.unique(padded[..., FORM], return_inverse=True)
        chosen = forms.select(distinct)
        feeds["spelling_rows"] = rows.reshape(padded.shape[:2]).astype(np.int32)
        feeds["casing"], feeds["characters"] = chosen.casing, chosen.padded()
    return feeds
