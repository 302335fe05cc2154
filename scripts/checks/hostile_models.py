"""Small models with random weights, written without TensorFlow, and changes to a copy of one. Used by the fuzzers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
TOKENS = tuple(f"w{i}" for i in range(8))
TAGS = ("O", "B-X", "B-Y", "I-X", "I-Y")
# Each key of the network that decides the shape of a weight, beside `decoder` and `merge`, and what it is if missing.
SHAPE_KEYS = {
    "embedding_dim": 100, "characters": "none", "character_dim": 30, "character_units": 50, "casing": False,
    "feature_dim": 20, "units": 100, "layers": 1, "direction": "both",
}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "words": {},
    "cnn": {"characters": "cnn", "merge": "sum", "layers": 2, "decoder": "softmax"},
    "all": {"characters": "lstm", "casing": True, "layers": 2, "decoder": "crf"},
    "int8": {"casing": True, "layers": 2},
}
QUANTIZED = ("int8",)  # those with 8-bit weights


def without_tensorflow() -> None:
    """Let `tagger.network.onnx_export` be imported although the package `tagger.network` imports TensorFlow."""
    package = types.ModuleType("tagger.network")
    package.__path__ = [str(ROOT / "tagger/network")]
    sys.modules.setdefault("tagger.network", package)


def make_models(folder: Path) -> list[Path]:
    """Write one model for each of `NETWORKS`."""
    without_tensorflow()
    from tagger.architecture import Characters, NetworkSpec
    from tagger.corpus.layout import Layout
    from tagger.corpus.notation import Notation
    from tagger.inputs.characters import build_characters
    from tagger.inputs.clusters import Clusters
    from tagger.inputs.computed import ComputedFeatures
    from tagger.inputs.encoder import Encoder
    from tagger.inputs.vocabulary import Normalization, TagVocabulary, TokenVocabulary
    from tagger.inputs.word_lists import WordLists
    from tagger.model_dir.manifest import Manifest, Quantization
    from tagger.model_dir.store import Model, save_model
    from tagger.network.onnx_export import model_graph

    rng = np.random.default_rng(1)
    for name, settings in NETWORKS.items():
        features = ("pos",) if name == "all" else ()
        small = {"embedding_dim": 3, "units": 3, "character_dim": 2, "character_units": 4, "feature_dim": 2}
        spec = NetworkSpec(**small, **settings)
        characters = build_characters(TOKENS)[0] if spec.characters != Characters.NONE else None
        vocabularies = (TokenVocabulary(("N", "V")),) * len(features)
        computed = ComputedFeatures()
        if name == "all":
            lists, clusters = WordLists({"a": ["w1 w2"], "b": ["x"]}), Clusters({"w1": "010", "w2": "1"}, (1, 2))
            computed = ComputedFeatures(lists, clusters)
            of_list, of_bits = TokenVocabulary(("O", "B", "I")), TokenVocabulary(("0", "1", "01", "-"))
            vocabularies = (*vocabularies, of_list, of_list, of_bits, of_bits)
        encoder = Encoder(TokenVocabulary(TOKENS), characters, spec.casing, vocabularies, computed)
        columns = {"token": 0, **dict.fromkeys(features, 1), "tag": 1 + len(features)}
        manifest = Manifest(
            layout=Layout(columns=columns, n_columns=len(columns), known_tags=frozenset(TAGS)),
            notation=Notation(scheme="IOB2"), scheme="IOB2", normalization=Normalization(),
            n_trained_tokens=None, embedding_dtype="float16" if name == "cnn" else "float32", network=spec,
            max_length=512, seed=1, dev={"f1": 0.5}, test="../test", versions={"tagger": "1"}, features=computed.spec,
            quantization=Quantization(weights="int8") if name in QUANTIZED else None,
        )  # fmt: skip
        shapes = spec.weight_shapes(encoder.sizes(len(TAGS)))
        weights = {key: rng.normal(size=shape).astype(np.float32) for key, shape in shapes.items()}
        model = Model(folder / name, manifest, encoder, TagVocabulary(TAGS), weights)
        save_model(model, graph=model_graph(model), config="data: {train: t}\n", history="epoch\n")
    return [folder / name for name in NETWORKS]


def signature(values: Any) -> Any:
    """Return everything in a manifest that decides the shapes of the weights, however `tagger` computes them."""
    network = {"merge": "concat", **SHAPE_KEYS, **values.get("network", {})}
    has_characters, has_features = (
        network["characters"] != "none",
        bool(set(values["layout"]["columns"]) - {"token", "tag"}),
    )
    ignored = set() if has_characters else {"character_dim", "character_units"}
    ignored |= set() if has_features else {"feature_dim"}
    is_wide = network["direction"] == "both" and network["merge"] == "concat"
    shapes = [network[key] for key in SHAPE_KEYS if key not in ignored]
    return shapes, is_wide, values.get("decoder") == "crf", values.get("quantization") is not None


class Target:
    """A copy of a model that is attacked and then put back as it was."""

    def __init__(self, source: Path, place: Path) -> None:
        self.name, self.place = source.name, place
        self.files = {path.name: path.read_bytes() for path in source.iterdir()}
        place.mkdir()
        for name, content in self.files.items():
            (place / name).write_bytes(content)
        self._changed: set[str] = set()

    def values(self) -> Any:
        return json.loads(self.files["manifest.json"])

    def write(self, name: str, content: bytes) -> None:
        self._changed.add(name)
        (self.place / name).write_bytes(content)

    def write_signed(self, name: str, content: bytes) -> None:
        """Write a file, and a manifest with its checksum, as an attacker would."""
        values = self.values()
        values["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        self.write(name, content)
        self.write_manifest(values)

    def write_manifest(self, values: Any) -> None:
        from tagger.model_dir.manifest import dump_manifest

        values.pop("sha256", None)
        self.write("manifest.json", dump_manifest(values))

    def replace(self, name: str, kind: str) -> None:
        """Put something else in the place of a file: a link to an equal file, a pipe, a directory, nothing, …"""
        path = self.place / name
        self._changed.add(name)
        if kind == "huge":
            os.truncate(path, 1 << 40)
            return
        path.unlink()
        if kind == "link":
            other = self.place.with_name("linked")
            other.write_bytes(self.files[name])
            path.symlink_to(other)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put every changed file back at the end."""
        try:
            yield
        finally:
            for name in self._changed:
                path = self.place / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
                path.write_bytes(self.files[name])
            self._changed.clear()
