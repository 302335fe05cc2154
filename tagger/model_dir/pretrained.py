"""Read and write a pretrained directory: the embedding and the first block of a tagger, as language models left them.

Its files are those of a model directory as far as it has them, and they are checked in the same way.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from tagger.architecture import Characters, NetworkSpec
from tagger.atomic import check_replaceable, check_writable, publish_directory
from tagger.errors import ModelError
from tagger.inputs.characters import CharacterVocabulary
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import Normalization, TokenVocabulary
from tagger.model_dir.files import (
    CHARACTERS,
    EMBEDDINGS,
    HISTORY,
    KIND,
    MANIFEST,
    PRETRAINED,
    TOKENS,
    WEIGHTS,
    ModelFiles,
    read_directory,
)
from tagger.model_dir.manifest import FORMAT_VERSION, dump_manifest
from tagger.model_dir.store import Weights, stored_weights, surrounding_model

SETTINGS = ("embedding_dim", "characters", "character_dim", "character_units", "casing", "units")
_FILES = frozenset({MANIFEST, TOKENS, CHARACTERS, WEIGHTS, EMBEDDINGS, HISTORY})
_REMEDY = "copy the directory again, or pretrain again"


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """What language models have learned.

    Attributes:
        encoder: the vocabularies of tokens and characters.
        spec: the architecture of a tagger with these weights; only `SETTINGS` count.
        weights: the weights by name, including those of the output layer (`projection.*`).
        facts: what is known about the text and the training, as JSON values.
        versions: the versions of what made it, by name.
        checksum: SHA-256 of the manifest, and so of all files; empty if it was not read from a directory.
    """

    encoder: Encoder
    spec: NetworkSpec
    weights: Weights
    facts: Mapping[str, Any]
    versions: Mapping[str, str]
    checksum: str = ""

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Read and verify a pretrained directory.

        Raises:
            ModelError: the directory is missing, incomplete, altered, or not a pretrained one.
        """
        try:
            return read_directory(directory, cls._read)
        except ModelError as error:
            message = error.message.replace("train one with tagger train", "make one with tagger pretrain")
            message = message.replace("no such model directory", "no such pretrained directory")
            message = message.replace("or name another with --model", "or name another")
            message = message.replace("copy the model again", _REMEDY).replace(
                "the model is incomplete", "it is incomplete"
            )
            unfinished = directory.resolve().with_name(f"{directory.resolve().name}.training")
            if unfinished.exists() and not directory.exists():
                message = (
                    f"{directory}: found an unfinished pretraining in {unfinished.name}, expected a finished one;"
                    " finish it with tagger pretrain --resume"
                )
            raise ModelError(f"model.pretrained: {message}", detail=error.detail) from None

    @classmethod
    def _read(cls, files: ModelFiles) -> Self:
        values = files.manifest()
        path = files.path(MANIFEST)
        if values.get(KIND) != PRETRAINED:
            raise ModelError(
                f"{files.directory}: found a model, expected a directory that tagger pretrain wrote; to begin with a"
                " model, use --init-from"
            )
        try:
            spec = NetworkSpec.from_json({name: values["network"][name] for name in SETTINGS})
            lowercase, digits = (values["normalization"][key] for key in ("lowercase", "digits"))
            values["versions"].items()
            if type(lowercase) is not bool or type(digits) is not bool or type(values["facts"]) is not dict:
                raise ValueError("normalization: found other values than true and false")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path}: found another content ({error}), expected that of this version; update tagger"
            ) from None
        encoder = _read_encoder(files, spec, Normalization(lowercase, digits))
        return cls(
            encoder, spec, _read_weights(files, spec, encoder), values["facts"], values["versions"], values["sha256"]
        )

    def files(self, history: str) -> dict[str, bytes | memoryview]:
        """Return the content of each file of a directory, by name."""
        import safetensors.numpy  # not at the top, because prediction works without it

        weights = dict(self.weights)
        embedding = np.ascontiguousarray(weights.pop("embedding"), "<f4")
        files: dict[str, bytes | memoryview] = {
            TOKENS: _lines(self.encoder.tokens.tokens),
            WEIGHTS: safetensors.numpy.save(weights),
            EMBEDDINGS: embedding.reshape(-1).view(np.uint8).data,
            HISTORY: history.encode(),
        }
        if self.encoder.characters is not None:
            files[CHARACTERS] = _lines(self.encoder.characters.characters)
        normalization = self.encoder.tokens.normalization
        values = {
            "format_version": FORMAT_VERSION,
            KIND: PRETRAINED,
            "network": {name: self.spec.to_json()[name] for name in SETTINGS},
            "normalization": {"lowercase": normalization.lowercase, "digits": normalization.normalize_digits},
            "facts": dict(self.facts),
            "versions": dict(self.versions),  # after `sha256` in the order of keys, as `is_unaltered` expects
            "files": {
                name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in sorted(files.items())
            },
        }
        return {**files, MANIFEST: dump_manifest(values)}


def check_pretrained_place(directory: Path) -> None:
    """Check, before a long training, that a pretrained directory can be written here.

    Raises:
        ModelError: the directory holds something else, such as a model, or cannot be written.
    """
    inside = surrounding_model(directory)
    if inside is not None:
        raise ModelError(
            f"{directory}: is inside the model directory {inside}, expected another place; choose one with -o"
        )
    try:
        check_replaceable(directory, _FILES, marker=MANIFEST)
    except ModelError as error:
        raise ModelError(error.message.replace("a model", "a pretrained directory").replace("--model", "-o")) from None
    check_writable(directory)


def publish_pretrained(directory: Path, files: Mapping[str, bytes | memoryview]) -> None:
    """Put a pretrained directory in place in one step.

    Raises:
        ModelError: the directory holds something else, or cannot be written.
    """
    check_pretrained_place(directory)
    publish_directory(directory, files)


def _read_encoder(files: ModelFiles, spec: NetworkSpec, normalization: Normalization) -> Encoder:
    name = TOKENS
    try:
        tokens, characters = TokenVocabulary(files.lines(TOKENS), normalization), None
        if spec.characters != Characters.NONE:
            name = CHARACTERS
            characters = CharacterVocabulary(files.lines(CHARACTERS))
    except ValueError as error:
        raise ModelError(f"{files.path(name)}: {error}; {_REMEDY}") from None
    return Encoder(tokens, characters, spec.casing)


def _read_weights(files: ModelFiles, spec: NetworkSpec, encoder: Encoder) -> Weights:
    expected = {
        name: shape for name, shape in spec.weight_shapes(encoder.sizes(0)).items() if not name.startswith("softmax.")
    }
    for branch in spec.direction.branches:
        expected[f"projection.{branch}.kernel"] = (spec.units, spec.embedding_dim)
        expected[f"projection.{branch}.bias"] = (spec.embedding_dim,)
    n_bytes = 4 * len(encoder.tokens) * spec.embedding_dim
    if files.size_of(EMBEDDINGS) != n_bytes:
        raise ModelError(f"{files.path(EMBEDDINGS)}: found another size, expected {n_bytes} bytes; {_REMEDY}")
    return stored_weights(files, expected, dtype="float32", remedy=_REMEDY)


def _lines(items: Sequence[str]) -> bytes:
    return "".join(f"{item}\n" for item in items).encode()
