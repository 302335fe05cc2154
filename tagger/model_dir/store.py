"""Read a model from its directory, or write it there in one step: plain files, each with its SHA-256."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from tagger.architecture import Characters
from tagger.atomic import check_replaceable, check_writable, previous_of, publish_directory, write_atomically
from tagger.corpus.layout import BLANKS
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES
from tagger.corpus.transitions import MOST_TAGS
from tagger.errors import ModelError, shortened
from tagger.inputs.characters import CharacterVocabulary
from tagger.inputs.clusters import Clusters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.encoder import Encoder
from tagger.inputs.subwords import Subwords
from tagger.inputs.vocabulary import TagVocabulary, TokenVocabulary, is_line
from tagger.inputs.word_lists import WordLists
from tagger.model_dir.files import (
    CHARACTERS,
    CLUSTERS,
    CONFIG,
    EMBEDDINGS,
    FEATURES,
    GRAPH,
    HISTORY,
    KIND,
    LARGEST_MANIFEST,
    LISTS,
    MANIFEST,
    MODEL_FILES,
    PRETRAINED,
    STORED,
    SUBWORDS,
    TAGS,
    TOKENS,
    WEIGHTS,
    ModelFiles,
    read_directory,
)
from tagger.model_dir.manifest import FORMAT_VERSION, Manifest, dump_manifest

_REST_OF_MANIFEST = 1 << 16  # bytes for what is known only after the training: scores and checksums
Weights = Mapping[str, npt.NDArray[np.float32]]
Network = TypeVar("Network", covariant=True)
_MARKS = (MANIFEST, TOKENS, TAGS, GRAPH)  # a directory that has these is a model, or was one
# Opens the network, in the form that the reader needs, from its files.
OpenNetwork = Callable[[ModelFiles, Manifest, Encoder, TagVocabulary], Network]


@dataclasses.dataclass(frozen=True)
class Model(Generic[Network]):
    """A model: its manifest, its vocabularies, and its network in the form that the reader needs."""

    directory: Path
    manifest: Manifest
    encoder: Encoder
    tags: TagVocabulary
    network: Network


def description(manifest: Manifest, encoder: Encoder, tags: TagVocabulary) -> str:
    """Return everything that determines a graph's inputs, outputs and sizes, as JSON; a graph stores it."""
    values = {**manifest.network.to_json(), **encoder.sizes(len(tags))._asdict()}
    return json.dumps(values, sort_keys=True)


def load_model(directory: Path, open_network: OpenNetwork[Network]) -> Model[Network]:
    """Read and verify a model.

    Args:
        open_network: opens the network from its files, such as `open_session` or `read_weights`.

    Raises:
        ModelError: the directory is missing, incomplete, altered, or of another format.
    """

    def read(files: ModelFiles) -> Model[Network]:
        values = files.manifest()
        if values.get(KIND) == PRETRAINED:
            raise ModelError(
                f"{directory}: found a pretrained directory, expected a model; train one that begins with it:"
                " set model.pretrained, or name another with --model"
            )
        try:
            manifest = Manifest.from_json(values)
        except ModelError as error:
            raise ModelError(f"{files.path(MANIFEST)}: {error.message}; update tagger, or train again") from None
        encoder = _read_encoder(files, manifest)
        tags = _checked_tags(files.path(TAGS), files.lines(TAGS), manifest.scheme)
        if len(tags) > MOST_TAGS and manifest.network.weighs_transitions(plain=manifest.scheme == NO_SCHEME):
            raise ModelError(f"{files.path(TAGS)}: found {len(tags)} tags, expected at most {MOST_TAGS}; train again")
        network = open_network(files, manifest, encoder, tags)
        return Model(directory, manifest, encoder, tags, network)

    return read_directory(directory, read)


def _read_encoder(files: ModelFiles, manifest: Manifest) -> Encoder:
    name = TOKENS
    try:
        tokens = TokenVocabulary(files.lines(TOKENS), manifest.normalization, manifest.n_trained_tokens)
        characters = None
        if manifest.network.characters != Characters.NONE:
            name = CHARACTERS
            characters = CharacterVocabulary(files.lines(CHARACTERS))
        name = FEATURES
        values = _read_named(files, FEATURES, manifest.feature_names, "value")
        vocabularies = tuple(TokenVocabulary(tuple(column)) for column in values.values())
        lists, clusters, subwords, spec = None, None, None, manifest.features
        if spec.lists:
            name = LISTS
            lists = WordLists(_read_named(files, LISTS, spec.lists, "phrase"), spec.ignore_case)
        if spec.cluster_bits:
            name = CLUSTERS
            clusters = Clusters(_read_paths(files), spec.cluster_bits)
        if spec.subwords:
            name = SUBWORDS
            subwords = Subwords(_read_pairs(files), spec.subwords)
    except ValueError as error:
        raise ModelError(f"{files.path(name)}: {error}; train again") from None
    computed = ComputedFeatures(lists, clusters, subwords)
    return Encoder(tokens, characters, manifest.network.casing, vocabularies, computed)


def _read_named(files: ModelFiles, file: str, names: Sequence[str], what: str) -> dict[str, list[str]]:
    """Return what the lines of a file, each a name, a TAB and a text, have for each name; no file is read for none."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for line in files.lines(file) if found else ():
        name, tab, text = line.partition("\t")
        if not tab or name not in found:
            raise ValueError(f"found the line {line[:60]!r}, expected {' or '.join(found)}, a TAB and a {what}")
        found[name].append(text)
    return found


def _read_paths(files: ModelFiles) -> dict[str, str]:
    """Return the path of each word."""
    lines = files.lines(CLUSTERS)
    if bare := next((line for line in lines if "\t" not in line[1:]), None):
        raise ValueError(f"found the line {bare[:60]!r}, expected a word, a TAB and its bits")
    paths = dict(line.rpartition("\t")[::2] for line in lines)
    if len(paths) < len(lines):
        raise ValueError(f"found {len(lines) - len(paths)} words twice, expected each word once")
    return paths


def _read_pairs(files: ModelFiles) -> tuple[tuple[str, str], ...]:
    """Return the pairs of symbols that subwords are made of."""
    pairs = [line.split("\t") for line in files.lines(SUBWORDS)]
    if bad := next((pair for pair in pairs if len(pair) != 2), None):
        line = "\t".join(bad)
        raise ValueError(f"found the line {line[:60]!r}, expected two symbols with a TAB between them")
    return tuple((first, second) for first, second in pairs)


def read_weights(files: ModelFiles, manifest: Manifest, encoder: Encoder, tags: TagVocabulary) -> Weights:
    """Read all weights by name, including the embedding; they have the shapes that the manifest describes.

    Raises:
        ModelError: a file was altered or does not hold the weights.
    """
    expected = manifest.network.weight_shapes(encoder.sizes(len(tags)))
    check_embedding_size(files, manifest, encoder)
    return stored_weights(files, expected, dtype=manifest.embedding_dtype, remedy="train again")


def stored_weights(files: ModelFiles, expected: Mapping[str, tuple[int, ...]], *, dtype: str, remedy: str) -> Weights:
    """Read the weights of a directory, including the embedding, whose file must have the right size.

    Args:
        expected: name → shape.
        dtype: the type in which the embedding is stored.
        remedy: the advice that ends each error.

    Raises:
        ModelError: a file was altered, or does not hold finite weights of these shapes.
    """
    import safetensors.numpy

    try:
        weights = safetensors.numpy.load(files.verified(WEIGHTS))
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ModelError(f"{files.path(WEIGHTS)}: {error}; {remedy}") from None
    stored = np.frombuffer(files.verified(EMBEDDINGS), STORED[dtype])
    weights = {**weights, "embedding": stored.reshape(expected["embedding"]).astype(np.float32)}
    check_shapes(weights, expected, files.path(WEIGHTS))
    for name, weight in weights.items():
        if weight.dtype != np.float32 or not np.isfinite(weight).all():
            raise ModelError(
                f"{files.path(EMBEDDINGS if name == 'embedding' else WEIGHTS)}: {name}: found {weight.dtype} with"
                f" {np.count_nonzero(~np.isfinite(weight))} infinite or NaN values, expected finite float32;"
                f" {remedy}"
            )
    return weights


def check_shapes(weights: Weights, expected: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise ModelError unless there are exactly the expected weights, with the expected shapes."""
    for name in sorted({*weights, *expected}):
        found = weights[name].shape if name in weights else None
        if found != expected.get(name):
            raise ModelError(
                f"{path}: {name[:80]}: found {_shape(found)}, expected {_shape(expected.get(name))} for the network"
                f" that {MANIFEST} describes; train again"
            )


def _shape(shape: tuple[int, ...] | None) -> str:
    return "nothing" if shape is None else f"the shape {list(shape)}"


def check_embedding_size(files: ModelFiles, manifest: Manifest, encoder: Encoder) -> int:
    """Return the size of the embedding in bytes, if the file has it.

    Raises:
        ModelError: the file has another size.
    """
    dim = manifest.network.embedding_dim
    expected = len(encoder.tokens) * dim * np.dtype(STORED[manifest.embedding_dtype]).itemsize
    found = files.size_of(EMBEDDINGS)
    if found != expected:
        raise ModelError(
            f"{files.path(EMBEDDINGS)}: found {found} bytes, expected {expected}: {len(encoder.tokens)} ids of"
            f" {dim} numbers; train again"
        )
    return expected


def _checked_tags(path: Path, tags: tuple[str, ...], scheme: str) -> TagVocabulary:
    """Return the tag vocabulary.

    Raises:
        ModelError: there are no tags, or one of them cannot be a tag of a model.
    """
    problem = _problem_of_tags(tags, scheme)
    if problem is not None:
        raise ModelError(f"{path}{problem}; train again")
    return TagVocabulary(tags)


def _problem_of_tags(tags: Sequence[str], scheme: str) -> str | None:
    """Return what makes tags unusable, after the line of it, or None. A type may hold blanks (`B-Titre 2`)."""
    prefixes = SCHEMES[scheme].prefixes if scheme != NO_SCHEME else frozenset[str]()
    seen: set[str] = set()
    for i, tag in enumerate(tags):
        prefix, _, entity_type = tag.partition("-")
        of_scheme = scheme == NO_SCHEME or tag == OUTSIDE or (prefix in prefixes and entity_type)
        writable = tag == tag.strip(BLANKS) != "" and not set(tag) & {"\t", "\r"} and is_line(tag)
        if not of_scheme or not writable or tag in seen:
            return f":{i + 1}: found {shortened(tag)!r}, expected a distinct tag of the scheme {scheme}"
        seen.add(tag)
    return None if tags else ": found no tag, expected one on each line"


def check_savable(manifest: Manifest, encoder: Encoder, tags: TagVocabulary) -> None:
    """Check, before a long training, that a model with this manifest and these vocabularies can be read back.

    Raises:
        ModelError: it cannot be read back; the message names what is in the way.
    """
    problem = _problem_of_tags(tags.tags, manifest.scheme)
    if problem is not None:
        raise ModelError(f"{TAGS}{problem}; fix the data")
    names = manifest.feature_names
    vocabularies = {"token": encoder.tokens, **dict(zip(names, encoder.features, strict=True))}
    for name, vocabulary in vocabularies.items():
        for token in vocabulary.tokens:
            if not is_line(token):
                raise ModelError(
                    f"column {name}: found {shortened(ascii(token))}, expected text without line ends that UTF-8 can"
                    " encode; fix the data"
                )
    content = dump_manifest({"format_version": FORMAT_VERSION, **manifest.to_json()})
    if len(content) > LARGEST_MANIFEST - _REST_OF_MANIFEST:
        raise ModelError(
            f"{MANIFEST}: found {len(content)} bytes, expected at most {LARGEST_MANIFEST - _REST_OF_MANIFEST}: the tag"
            f" column has {len(manifest.layout.known_tags)} distinct values; name another one with data.columns"
        )
    Manifest.from_json(json.loads(content))


def check_place(directory: Path, *, keep_previous: bool = False) -> None:
    """Check, before a long training, that a model can be written here and would replace nothing but a model.

    Args:
        keep_previous: whether a model that is replaced will be kept beside the directory.

    Raises:
        ModelError: the directory holds something else, or cannot be written.
    """
    inside = surrounding_model(directory)
    if inside is not None:
        raise ModelError(
            f"{directory}: is inside the model directory {inside}, expected another place, because a model directory"
            " may not hold other files; name one with --model"
        )
    _check_replaceable(directory, keep_previous=keep_previous)
    check_writable(directory)


def _check_replaceable(directory: Path, *, keep_previous: bool) -> None:
    check_replaceable(directory, MODEL_FILES, marker=MANIFEST)
    if keep_previous and directory.exists():
        _check_previous(previous_of(directory))


def _check_previous(previous: Path) -> None:
    remedy = "move it, or pass --no-keep-previous"
    if previous.is_symlink() or previous.with_name(f"{previous.name}.training").exists():
        what = "a link" if previous.is_symlink() else "a model that has a training of its own"
        raise ModelError(f"{previous}: found {what}, expected the place for the model that is replaced; {remedy}")
    try:
        check_replaceable(previous, MODEL_FILES, marker=MANIFEST)
    except ModelError as error:
        raise ModelError(
            f"{previous}: cannot take the model that is replaced; {remedy}", detail=[error.message, *error.detail]
        ) from None


def surrounding_model(path: Path) -> Path | None:
    """Return the model directory that a path is in, at any depth, or None."""
    folders = [path.parent.resolve(), *path.parent.resolve().parents]
    return next((folder for folder in folders if all((folder / name).exists() for name in _MARKS)), None)


def model_files(model: Model[Weights], *, graph: bytes, config: str, history: str) -> dict[str, bytes | memoryview]:
    """Return the content of each file of a model directory, by name.

    Args:
        graph: the network as ONNX, which reads its embedding from the file `EMBEDDINGS`.
        config: the content of `CONFIG`.
        history: the content of `HISTORY`.
    """
    import safetensors.numpy  # not at the top, because prediction works without it

    weights = dict(model.network)
    embedding = np.ascontiguousarray(weights.pop("embedding"), STORED[model.manifest.embedding_dtype])
    files: dict[str, bytes | memoryview] = {
        CONFIG: config.encode(),
        TOKENS: _lines(model.encoder.tokens.tokens),
        TAGS: _lines(model.tags.tags),
        WEIGHTS: safetensors.numpy.save(weights),
        EMBEDDINGS: embedding.reshape(-1).view(np.uint8).data,
        GRAPH: graph,
        HISTORY: history.encode(),
    }
    if model.encoder.characters is not None:
        files[CHARACTERS] = _lines(model.encoder.characters.characters)
    if model.encoder.features:
        columns = zip(model.manifest.feature_names, model.encoder.features, strict=True)
        files[FEATURES] = _lines(tuple(f"{name}\t{value}" for name, column in columns for value in column.tokens))
    computed = model.encoder.computed
    lists, clusters, subwords = computed.lists, computed.clusters, computed.subwords
    if lists is not None:
        files[LISTS] = _lines(tuple(f"{name}\t{phrase}" for name, some in lists.phrases.items() for phrase in some))
    if clusters is not None:
        files[CLUSTERS] = _lines(tuple(f"{word}\t{path}" for word, path in clusters.paths.items()))
    if subwords is not None:
        files[SUBWORDS] = _lines(tuple(map("\t".join, subwords.pairs)))
    values = {"format_version": FORMAT_VERSION, **model.manifest.to_json()}
    values["files"] = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in sorted(files.items())
    }
    return {**files, MANIFEST: dump_manifest(values)}


def save_model(
    model: Model[Weights],
    *,
    graph: bytes,
    config: str,
    history: str,
    check: Callable[[Path], None] = lambda directory: None,
) -> None:
    """Write a model directory in one step, replacing an older model; the arguments are those of the two functions."""
    publish_model(model.directory, model_files(model, graph=graph, config=config, history=history), check=check)


def publish_model(
    directory: Path,
    files: Mapping[str, bytes | memoryview],
    *,
    check: Callable[[Path], None] = lambda directory: None,
    keep_previous: bool = False,
) -> None:
    """Put the files of a model into its directory in one step, replacing an older model.

    Args:
        check: called with the new directory before it is put in place; if it raises, the old model stays.
        keep_previous: whether the older model is kept beside the directory.

    Raises:
        ModelError: the directory holds something else, or cannot be written.
    """
    _check_replaceable(directory, keep_previous=keep_previous)  # the last check may have been hours ago
    publish_directory(directory, files, check=check, keep=MANIFEST if keep_previous else None)


def save_thresholds(directory: Path, thresholds: Mapping[str, float | None]) -> None:
    """Store thresholds with a model, whose other files stay as they are; they replace those that it had.

    Args:
        directory: the model directory.
        thresholds: as in `Manifest.thresholds`.

    Raises:
        ModelError: the model cannot be read or written.
    """
    values = read_directory(directory, lambda files: files.manifest())
    values = {name: value for name, value in values.items() if name != "sha256"}
    try:
        write_atomically(directory / MANIFEST, dump_manifest({**values, "thresholds": dict(thresholds)}))
    except OSError as error:
        raise ModelError(
            f"{directory / MANIFEST}: cannot be written: {error.strerror}; the thresholds are not stored; use a copy of"
            " the model that can be written, or --min-probability"
        ) from None


def _lines(items: tuple[str, ...]) -> bytes:
    return "".join(f"{item}\n" for item in items).encode()
