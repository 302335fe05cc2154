"""The vocabularies of a training, with what the training shows as unknown and the vectors that it begins with."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tagger.architecture import Characters
from tagger.config.keys import Config
from tagger.errors import ConfigError
from tagger.inputs.characters import CharacterVocabulary, build_characters, grow_characters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.encoder import Columns, Encoder
from tagger.inputs.training_set import WordDropout
from tagger.inputs.vocabulary import N_RESERVED, Normalization, TokenVocabulary, build_vocabulary, grow_vocabulary
from tagger.model_dir.manifest import Manifest
from tagger.training.corpora import Tell
from tagger.training.features import build_features, rare_ids
from tagger.vectors.matching import extend_vocabulary
from tagger.vectors.table import Vectors
from tagger.wording import counted

_LEAST_UNLABELLED = 3  # occurrences of a token that only text without tags has, for it to get a vector of its own
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


def build_encoder(
    config: Config,
    manifest: Manifest,
    sentences: Sequence[Columns],
    n_labelled: int,
    computed: ComputedFeatures,
    note: Tell,
    read: Vectors | None,
    known: Encoder | None,
    known_characters: CharacterVocabulary | None,
) -> tuple[Encoder, WordDropout, InitialVectors | None]:
    """Build the vocabularies of the training data; those of an old model grow, and what it knows is never rare.

    Args:
        sentences: all training sentences.
        n_labelled: the number of those with tags, which come first.
        computed: the features that are computed from tokens.
        read: the pretrained vectors.
        known: the vocabularies of the old model.
        known_characters: the characters of the old model, or of a pretrained directory.

    Returns:
        The encoder, which holds the vocabularies; the word dropout, which knows the rare ids that are shown as unknown;
        and the pretrained vectors, or None.
    """
    settings = config.vocabulary
    tokens, counts = build_vocabulary(
        _tokens_to_know(sentences, n_labelled, manifest.normalization),
        manifest.normalization,
        min_count=settings.min_count,
        max_size=settings.max_size,
    )
    rare = counts == 1
    if known is not None:
        tokens, counts = grow_vocabulary(known.tokens, tokens, counts)
        rare = rare_ids(counts, len(known.tokens))
        note(f"vocabulary: {counted(len(tokens) - len(known.tokens), 'token')} in addition to those of the model")
    tokens, vectors = _add_vectors(config, read, tokens, counts, note)
    if vectors is not None:
        # A token with a vector is never unknown in prediction, so training does not show it as unknown.
        rare = np.pad(rare, (0, len(tokens) - len(rare))) & ~vectors.has_vector
    features = build_features(
        sentences, len(manifest.layout.feature_names), computed, known, list_dropout=config.features.list_dropout
    )
    characters: CharacterVocabulary | None = None
    rare_characters = np.zeros(0, bool)
    if manifest.network.characters != Characters.NONE:
        characters, character_counts = build_characters(token for columns in sentences for token in columns[0])
        n_known = 0
        if known_characters is not None:
            n_known = len(known_characters)
            characters, character_counts = grow_characters(known_characters, characters, character_counts)
        rare_characters = rare_ids(character_counts, n_known)
    word_dropout = WordDropout(
        rare=rare,
        unk_probability=settings.unk_probability,
        word_dropout=settings.word_dropout,
        character_dropout=settings.character_dropout,
        rare_characters=rare_characters if characters is not None else None,
        unknown_features=features.unknown,
        lists=features.lists,
    )
    encoder = Encoder(tokens, characters, manifest.network.casing, features.vocabularies, computed)
    return encoder, word_dropout, vectors


def _tokens_to_know(
    sentences: Sequence[Columns], n_labelled: int, normalization: Normalization
) -> Iterator[Sequence[str]]:
    """Yield the tokens of sentences, without those of unlabelled text that occur too seldom to learn their vectors."""
    labelled, others = sentences[:n_labelled], sentences[n_labelled:]
    yield from (columns[0] for columns in labelled)
    if others:
        known = {normalization(token) for columns in labelled for token in columns[0]}
        counts = collections.Counter(normalization(token) for columns in others for token in columns[0])
        for columns in others:
            names = ((token, normalization(token)) for token in columns[0])
            yield [token for token, name in names if name in known or counts[name] >= _LEAST_UNLABELLED]


def _add_vectors(
    config: Config,
    vectors: Vectors | None,
    tokens: TokenVocabulary,
    counts: npt.NDArray[np.int64],
    note: Tell,
) -> tuple[TokenVocabulary, InitialVectors | None]:
    """Add the tokens of the pretrained vectors, if there are any, to the vocabulary."""
    if vectors is None:
        return tokens, None
    settings, source = config.embeddings, source_of(config)
    begins_new = config.begins_with is None  # after a pretraining on the same sentences, which has no tokens to add
    max_rows = 0 if begins_new else settings.max_rows
    extension = extend_vocabulary(dataclasses.replace(tokens, n_trained=None), vectors, max_rows)
    if not begins_new:
        note(f"vectors: {len(vectors):,} of size {vectors.dim} from {source}")
        for text in (*vectors.notes, *extension.notes):
            note(f"vectors: {text}")
        note(f"vectors: {extension.matches.coverage()}")
        note(f"vectors: {extension.matches.coverage(counts[N_RESERVED:])}")
    initial = InitialVectors.of(extension.rows, vectors.table)
    largest = max((float(np.abs(values).max()) for _, values in initial.blocks()), default=0.0)
    most = float(np.finfo(settings.dtype).max)
    if largest > most:
        raise ConfigError(
            f"embeddings.dtype: found {settings.dtype}, expected float32: the vectors from {source} hold"
            f" numbers up to {largest:.6g}, but {settings.dtype} ends at {most:.6g}; delete the key"
        )
    return extension.vocabulary, initial


def source_of(config: Config) -> str:
    """Return the name of what the vectors are from, for messages."""
    settings = config.embeddings
    if config.begins_with is None:
        return "the training sentences"
    return str(settings.name or Path(str(settings.path or config.model.pretrained)).name)
