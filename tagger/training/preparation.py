"""Turn a config into the inputs of a training: encoded sentences, vocabularies and the manifest of the new model."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tagger import __version__
from tagger.architecture import SIZE, Characters
from tagger.config import Config, EmbeddingsConfig, VocabularyConfig
from tagger.corpus.dataset import (
    Corpus,
    Piece,
    cut_long,
)
from tagger.corpus.labels import unknown_name
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.partial import Targets, allowed_tags, ids_of_allowed, tags_of_types, weights_of_ids
from tagger.corpus.schemes import NO_SCHEME, split_tag
from tagger.corpus.transitions import MOST_TAGS, constraints_of
from tagger.errors import ConfigError, DataError
from tagger.inputs.characters import build_characters
from tagger.inputs.encoder import Columns, Encoder
from tagger.inputs.training_set import TrainingSet, WordDropout
from tagger.inputs.vocabulary import (
    N_RESERVED,
    UNK_ID,
    Ids,
    Normalization,
    TagVocabulary,
    TokenVocabulary,
    build_tag_vocabulary,
    build_vocabulary,
)
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import check_savable
from tagger.prediction.predictor import DEFAULT_MAX_LENGTH
from tagger.training.corpora import Tell, load_corpora, well_formed
from tagger.training.facts import DataFacts, data_facts
from tagger.training.rows import Rows
from tagger.training.schedule import Schedule, schedule_of
from tagger.vectors.matching import extend_vocabulary
from tagger.vectors.table import read_named_vectors, read_vectors
from tagger.wording import counted

T = TypeVar("T")
_BLOCK_VALUES = 1 << 18  # numbers of vectors that are copied at a time


@dataclasses.dataclass(frozen=True, eq=False)
class InitialVectors:
    """The pretrained vectors that are the initial values of some rows of the embedding.

    Attributes:
        rows: [V], the row of the table that belongs to each id, or -1 if none does.
        table: [N, E], the table of the pretrained vectors if most of them are used, because a copy in the order of the
            ids would take as much memory again.
    """

    rows: npt.NDArray[np.int64]
    table: npt.NDArray[np.floating]

    @classmethod
    def of(cls, rows: npt.NDArray[np.int64], table: npt.NDArray[np.floating]) -> InitialVectors:
        """Return the initial vectors; they do not keep a table of which they need only a small part."""
        has_vector = rows >= 0
        if 4 * has_vector.sum() > len(table):
            return cls(rows, table)
        return cls(np.where(has_vector, has_vector.cumsum() - 1, -1), np.asarray(table[rows[has_vector]]))

    @property
    def has_vector(self) -> npt.NDArray[np.bool_]:
        """[V], true at the ids that have a vector."""
        return self.rows >= 0

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        """Yield the ids that have a vector, [n], and their vectors, [n, E], some thousand at a time, in order."""
        ids, step = np.flatnonzero(self.has_vector), max(1, _BLOCK_VALUES // self.table.shape[1])
        for start in range(0, len(ids), step):
            some = ids[start : start + step]
            yield some, np.asarray(self.table[self.rows[some]], np.float32)


class SentenceNames:
    """Descriptions of the training sentences for error messages."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._sentences = [
            (f"{piece.path}:{piece.line}", len(piece.tags), " ".join(piece.columns[0][:6])[:60]) for piece in pieces
        ]

    def of(self, i: int) -> str:
        """Return the file, line, length and first tokens of sentence `i`."""
        where, n, start = self._sentences[i]
        return f"{where}: {counted(n, 'token')}: {start}{' …' if n > 6 else ''}"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Everything that a training needs besides its network.

    `manifest` lacks the dev scores, which only training can fill in. Without a dev set the saved model is checked on
    sentences of the training data.
    """

    training_set: TrainingSet
    names: SentenceNames
    dev: Corpus | None
    check_sentences: Sequence[Columns]
    encoder: Encoder
    tags: TagVocabulary
    manifest: Manifest
    schedule: Schedule
    facts: DataFacts
    vectors: InitialVectors | None = None
    targets: Targets | None = None


def prepare(config: Config, *, note: Tell, warn: Tell, rows: Rows | None = None) -> Prepared:
    """Read the corpora and build vocabularies from the training data alone.

    Args:
        config: a config with absolute paths.
        note, warn: called with each finding.
        rows: the sentences of the training data to use; None for all.

    Raises:
        DataError: a corpus cannot be read.
    """
    found = load_corpora(config.data, config.training.seed, note, warn, rows)
    train, dev, layout, notation = found.train, found.dev, found.layout, found.notation
    manifest = _manifest_of(config, layout, notation)
    pieces, n_cut = cut_long(train, manifest.max_length)
    if n_cut:
        note(
            f"train: cut {counted(n_cut, 'sentence')} of more than {manifest.max_length} tokens"
            f" (data.max_length); training sees {counted(len(pieces), 'piece')}"
        )
    tag_vocabulary, tag_ids, targets = _gold(config, train, pieces, manifest.scheme)
    if len(tag_vocabulary) > MOST_TAGS and manifest.network.weighs_transitions(plain=manifest.scheme == NO_SCHEME):
        raise DataError(
            f"{train.path}: found {len(tag_vocabulary)} distinct tags, such as {', '.join(tag_vocabulary.tags[-3:])},"
            f" expected at most {MOST_TAGS}; name the tag column with data.columns, or set model.decoder to softmax"
        )
    sentences = [piece.columns for piece in pieces]
    encoder, word_dropout, vectors = _build_encoder(config.vocabulary, config.embeddings, manifest, sentences, note)
    if vectors is not None:
        dim = vectors.table.shape[1]
        if "embedding_dim" in config.model.model_fields_set and config.model.embedding_dim != dim:
            raise ConfigError(
                f"model.embedding_dim: found {config.model.embedding_dim}, expected {dim}, the size of the vectors"
                f" from {_source(config.embeddings)}; delete the key"
            )
        if not SIZE.allows(dim):
            raise ConfigError(
                f"embeddings: found vectors of {dim} numbers in {_source(config.embeddings)}, expected at most"
                f" {SIZE.most}; use other vectors"
            )
        network = dataclasses.replace(manifest.network, embedding_dim=dim)
        manifest = dataclasses.replace(manifest, network=network, n_trained_tokens=encoder.tokens.n_trained)
    check_savable(manifest, encoder, tag_vocabulary)
    schedule = schedule_of(config.training, len(pieces))
    if (text := schedule.note(len(pieces))) is not None:
        note(text)
    encoded = encoder.encode(sentences)
    training_set = TrainingSet(
        sentences=encoded.sentences,
        tag_ids=tag_ids,
        word_dropout=word_dropout,
        batch_size=schedule.batch_size,
        seed=config.training.seed,
        forms=encoded.forms,
    )
    to_check = [sentence.columns for sentence in dev.sentences] if dev else sentences[:: 1 + len(sentences) // 1000]
    names = SentenceNames(pieces)
    facts = data_facts(train, dev)
    return Prepared(
        training_set, names, dev, to_check, encoder, tag_vocabulary, manifest, schedule, facts, vectors, targets
    )


def _gold(
    config: Config, train: Corpus, pieces: Sequence[Piece], scheme: str
) -> tuple[TagVocabulary, list[Ids], Targets | None]:
    """Return the tags that the network learns, the gold ids of each piece, and what these ids mean.

    The meaning is None if each id is that of a tag, and all tags have the same weight.
    """
    weights, source = config.training.type_weights, train.notation.scheme
    if train.n_unknown:
        allowed = [allowed_tags(piece.tags, source, scheme) for piece in pieces]
        known = {tag for row in allowed for one in row if one for tag in one}
        if not known:
            raise DataError(
                f"{train.path}: found no annotated token, expected some with other tags than {train.notation.unknown};"
                " annotate some, or change data.unknown_tag"
            )
        if scheme != NO_SCHEME:  # tokens that are not annotated may begin or end a span of any type
            known |= tags_of_types({split_tag(tag)[1] for tag in known} - {""}, scheme)
        vocabulary = build_tag_vocabulary([sorted(known)])
        tag_ids, of_ids = ids_of_allowed(allowed, vocabulary.tags)
    else:
        tags = [well_formed(piece.tags, scheme) for piece in pieces]
        vocabulary = build_tag_vocabulary(tags)
        tag_ids, of_ids = [vocabulary.encode(row) for row in tags], np.eye(len(vocabulary), dtype=bool)
    types = {tag if scheme == NO_SCHEME else split_tag(tag)[1] for tag in vocabulary.tags} - {""}
    unknown = [unknown_name("training.type_weights", name, types) for name in weights if name not in types]
    if unknown:
        raise ConfigError(unknown[0], detail=unknown[1:])
    targets = Targets(
        allowed=of_ids if train.n_unknown else None,
        weights=weights_of_ids(weights, of_ids, vocabulary.tags, scheme) if weights else None,
        rules=constraints_of(vocabulary.tags, scheme),
    )
    return vocabulary, tag_ids, targets if targets else None


def _build_encoder(
    settings: VocabularyConfig,
    embeddings: EmbeddingsConfig,
    manifest: Manifest,
    sentences: Sequence[Columns],
    note: Tell,
) -> tuple[Encoder, WordDropout, InitialVectors | None]:
    """Build the vocabularies of the training data.

    Returns:
        The encoder, which holds the vocabularies; the word dropout, which knows the rare ids that are shown as unknown;
        and the pretrained vectors, or None.
    """
    tokens, counts = build_vocabulary(
        (columns[0] for columns in sentences),
        manifest.normalization,
        min_count=settings.min_count,
        max_size=settings.max_size,
    )
    rare = counts == 1
    tokens, vectors = _add_vectors(embeddings, tokens, counts, note)
    if vectors is not None:
        # A token with a vector is never unknown in prediction, so training does not show it as unknown.
        rare = np.pad(rare, (0, len(tokens) - len(rare))) & ~vectors.has_vector
    features: list[TokenVocabulary] = []
    feature_ids = []
    for i in range(len(manifest.layout.feature_names)):
        vocabulary, value_counts = build_vocabulary(columns[1 + i] for columns in sentences)
        ids = np.where(value_counts == 1, UNK_ID, np.arange(len(vocabulary)))
        feature_ids.append(ids + sum(map(len, features)))
        features.append(vocabulary)
    characters, character_counts = None, np.zeros(0, np.int64)
    if manifest.network.characters != Characters.NONE:
        characters, character_counts = build_characters(token for columns in sentences for token in columns[0])
    word_dropout = WordDropout(
        rare=rare,
        unk_probability=settings.unk_probability,
        word_dropout=settings.word_dropout,
        character_dropout=settings.character_dropout,
        rare_characters=character_counts == 1 if characters is not None else None,
        unknown_features=np.concatenate(feature_ids).astype(np.int32) if features else None,
    )
    return Encoder(tokens, characters, manifest.network.casing, tuple(features)), word_dropout, vectors


def _add_vectors(
    settings: EmbeddingsConfig, tokens: TokenVocabulary, counts: npt.NDArray[np.int64], note: Tell
) -> tuple[TokenVocabulary, InitialVectors | None]:
    """Add the tokens of the pretrained vectors to the vocabulary, if the config asks for vectors."""
    if settings.path is None and settings.name is None:
        return tokens, None
    vectors = read_vectors(settings.path) if settings.path is not None else read_named_vectors(str(settings.name))
    extension = extend_vocabulary(tokens, vectors, settings.max_rows)
    note(f"vectors: {len(vectors):,} of size {vectors.dim} from {_source(settings)}")
    for text in (*vectors.notes, *extension.notes):
        note(f"vectors: {text}")
    note(f"vectors: {extension.matches.coverage()}")
    note(f"vectors: {extension.matches.coverage(counts[N_RESERVED:])}")
    initial = InitialVectors.of(extension.rows, vectors.table)
    largest = max((float(np.abs(values).max()) for _, values in initial.blocks()), default=0.0)
    most = float(np.finfo(settings.dtype).max)
    if largest > most:
        raise ConfigError(
            f"embeddings.dtype: found {settings.dtype}, expected float32: the vectors from {_source(settings)} hold"
            f" numbers up to {largest:.6g}, but {settings.dtype} ends at {most:.6g}; delete the key"
        )
    return extension.vocabulary, initial


def _source(settings: EmbeddingsConfig) -> str:
    return str(settings.name or Path(str(settings.path)).name)


def _manifest_of(config: Config, layout: Layout, notation: Notation) -> Manifest:
    """Return the manifest of the model as far as it is known before the training."""
    test, model_dir = config.data.test, str(config.output.model_dir)
    return Manifest(
        layout=layout,
        notation=notation,
        scheme=NO_SCHEME if notation.scheme == NO_SCHEME else config.model.scheme,
        normalization=Normalization(config.vocabulary.lowercase, config.vocabulary.normalize_digits),
        n_trained_tokens=None,
        embedding_dtype=config.embeddings.dtype,
        network=config.model.spec(),
        max_length=config.data.max_length or DEFAULT_MAX_LENGTH,
        seed=config.training.seed,
        dev={},
        # realpath: a reader that starts from the model directory follows links too.
        test=relative_to(os.path.realpath(model_dir), test) if test else None,
        versions=_versions(),
        labels=config.data.labels.rules(),
        conversion=config.data.conversion,
        language=config.data.language,
    )


def relative_to(directory: str, paths: T) -> T:
    """Return one path, or several, relative to a directory; anything else stays as it is."""
    if isinstance(paths, str):
        return os.path.relpath(paths, directory)  # type: ignore[return-value]
    return [os.path.relpath(path, directory) for path in paths] if isinstance(paths, list) else paths  # type: ignore[return-value]


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "keras", "onnx", "numpy")
    return {
        "tagger": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
