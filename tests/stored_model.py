"""Write and load a model directory without a network, and edit its manifest. Does not need TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tagger.architecture import NetworkSpec
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.inputs.characters import CharacterVocabulary
from tagger.inputs.clusters import Clusters
from tagger.inputs.computed import ComputedFeatures, FeatureSpec
from tagger.inputs.encoder import Encoder
from tagger.inputs.subwords import Subwords
from tagger.inputs.vocabulary import Normalization, TagVocabulary, TokenVocabulary
from tagger.inputs.word_lists import WordLists
from tagger.model_dir import store
from tagger.model_dir.manifest import Manifest, dump_manifest
from tagger.model_dir.store import Model, Weights, read_weights, save_model

TOKENS = ("the", "U+3000:\u3000", "\u2028", "\x0b", "", " ", "é", "#")


def a_manifest(seed: int = 1) -> Manifest:
    """Return the manifest of the model that `save` writes."""
    return Manifest(
        layout=Layout(
            columns={"token": 1, "tag": 2, "pos": 3, "chunk": 0},
            comments="#",
            n_columns=5,
            known_tags=frozenset({"B-X", "O"}),
        ),
        notation=Notation(scheme="IOB2", separator="_", prefixes={"I": "i"}),
        scheme="IOB2",
        normalization=Normalization(lowercase=True),
        n_trained_tokens=None,
        embedding_dtype="float32",
        network=NetworkSpec.from_json(
            {
                "embedding_dim": 3,
                "characters": "cnn",
                "character_dim": 3,
                "character_units": 4,
                "casing": False,
                "feature_dim": 2,
                "units": 3,
                "layers": 1,
                "direction": "both",
                "merge": "sum",
                "dropout": 0.5,
                "input_dropout": 0.5,
                "token_dropout": 0.0,
                "recurrent_dropout": 0.0,
            }
        ),
        max_length=512,
        seed=seed,
        dev={"epoch": 2, "f1": 0.5},
        test="../test.conll",
        versions={"tagger": "1"},
        features=FeatureSpec(("city",), True, (1, 3), subwords=5),
    )


def save(directory: Path, seed: int = 1, tags: tuple[str, ...] | None = None) -> None:
    """Write a model with a dummy graph; its files depend on the seed, so that a mixture of two models is detected."""
    tokens = TokenVocabulary((*TOKENS, f"seed {seed}"))
    characters = CharacterVocabulary(("é", "\u3000", "\u2028", "\r"))
    of_file = TokenVocabulary(("a\tb", "", "B")), TokenVocabulary(("NNP", " "))
    computed = ComputedFeatures(
        WordLists({"city": ("New York", "a\u3000b", "\x0b", f"seed {seed}")}, ignore_case=True),
        Clusters({"the": "0110", "a\u2028b": "0", "#": "1"}, (1, 3)),
        Subwords((("t", "h"), ("\u2028", "\x0b"), ("#", " </w>")), 5),
    )
    of_tokens = map(TokenVocabulary, (("O", "B"), ("0", "-"), ("011",), ("th", "#"), ("e</w>", "# </w>")))
    encoder = Encoder(tokens, characters, False, (*of_file, *of_tokens), computed)
    manifest, vocabulary = a_manifest(seed), TagVocabulary(tags or ("O", "B-X", f"I-{seed}"))
    shapes = manifest.network.weight_shapes(encoder.sizes(len(vocabulary)))
    weights = {name: np.full(shape, seed, np.float32) for name, shape in shapes.items()}
    model = Model(directory, manifest, encoder, vocabulary, weights)
    save_model(model, graph=b"graph %d" % seed, config=f"seed: {seed}\n", history="epoch\n")


def load_model(directory: Path) -> Model[Weights]:
    """Load what `save` wrote, with its weights."""
    return store.load_model(directory, read_weights)


def rewrite_manifest(directory: Path, **changes: object) -> None:
    """Edit a manifest and update its checksum; `section__key=…` changes a key of a section."""
    values = json.loads((directory / "manifest.json").read_text("utf-8"))
    del values["sha256"]
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            values[section][key] = value
        else:
            values[section] = value
    (directory / "manifest.json").write_bytes(dump_manifest(values))
