"""Write a small model whose tags are known: `python tests/served_model.py DIR PERSON_TYPE [LANGUAGE]`.

Each token has the tag of `TAG_OF_TOKEN`, by itself; tokens that are not in it have O. The graph is the one that
`tagger.network` exports, but TensorFlow, which would take seconds to load, has no part in it. An empty module stands in
for it, so this runs in a process of its own.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import types
from pathlib import Path

TAG_OF_TOKEN = {"Hanna": "B-PER", "Berg": "I-PER", "Bonn": "B-LOC", "Peter": "B-PER", "Ärzte": "B-ORG", "😀": "B-LOC"}
# spaCy is not imported for the texts of this language; its import and its rules take longer than all else that a server
# does when it starts.
LIGHT = "vi"
_SURE = 6.0  # the logit of the tag of a token


def write_model(directory: Path, person: str = "PER", language: str | None = None) -> Path:
    """Write the model, with another name for the type PER if one is given, and the language of its texts."""
    directory.mkdir(parents=True)
    for name, content in _files(person, language).items():
        (directory / name).write_bytes(content)
    return directory


@functools.cache
def _files(person: str, language: str | None) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder, "model")
        subprocess.run(
            [sys.executable, __file__, str(directory), person, *([language] if language else [])], check=True
        )
        return {path.name: path.read_bytes() for path in directory.iterdir()}


def _main(directory: Path, person: str, language: str | None = None) -> None:
    sys.modules["tensorflow"] = types.ModuleType("tensorflow")
    import numpy as np

    from tagger.architecture import NetworkSpec
    from tagger.corpus.layout import Layout
    from tagger.corpus.notation import Notation
    from tagger.inputs.encoder import Encoder
    from tagger.inputs.vocabulary import N_RESERVED, Normalization, TagVocabulary, TokenVocabulary
    from tagger.model_dir.manifest import Manifest
    from tagger.model_dir.store import Model, save_model
    from tagger.network.onnx_export import model_graph

    types_ = ("LOC", "ORG", person)
    tags = ("O", *(f"{prefix}-{name}" for prefix in "BI" for name in types_))
    n = len(tags)
    spec = NetworkSpec.from_json(
        {
            **NetworkSpec().to_json(),
            "embedding_dim": n, "characters": "none", "casing": False, "units": n, "layers": 1, "direction": "forward",
            "decoder": "constrained",
        }
    )  # fmt: skip
    encoder = Encoder(TokenVocabulary(tuple(TAG_OF_TOKEN)))
    sizes = encoder.sizes(n)
    # Dimension i of the embedding says that the tag is i. The gates let it through, and forget what was before.
    embedding = np.zeros((N_RESERVED + len(TAG_OF_TOKEN), n), np.float32)
    for row, tag in enumerate(["O"] * N_RESERVED + [tag.replace("PER", person) for tag in TAG_OF_TOKEN.values()]):
        embedding[row, tags.index(tag)] = 5.0
    weights = {name: np.zeros(shape, np.float32) for name, shape in spec.weight_shapes(sizes).items()}
    weights["embedding"] = embedding
    weights["block_1.forward.kernel"][:, 2 * n : 3 * n] = np.eye(n)
    weights["block_1.forward.bias"][:] = np.repeat(np.array([9.0, -9.0, 0.0, 9.0], np.float32), n)
    weights["softmax.kernel"][:] = _SURE * np.eye(n)
    manifest = Manifest(
        layout=Layout(n_columns=2, known_tags=frozenset(tags)),
        notation=Notation(scheme="IOB2"),
        scheme="IOB2",
        normalization=Normalization(),
        language=language,
        n_trained_tokens=None,
        embedding_dtype="float32",
        network=spec,
        max_length=512,
        seed=1,
        dev={"epoch": 1, "f1": 0.5},
        test=None,
        versions={},
    )
    model = Model(directory, manifest, encoder, TagVocabulary(tags), weights)
    save_model(model, graph=model_graph(model), config="data: {train: x}\n", history="epoch\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), *sys.argv[2:])
