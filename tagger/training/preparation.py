"""Turn a config into the inputs of a training: encoded sentences, vocabularies and the manifest of the new model."""

from __future__ import annotations

import collections
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
from tagger.architecture import PARTS, SIZE, Characters, weights_of_parts
from tagger.config import Config
from tagger.corpus.dataset import Corpus, Piece, cut_long
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.partial import Targets
from tagger.corpus.schemes import NO_SCHEME, UNKNOWN
from tagger.corpus.transitions import MOST_TAGS
from tagger.errors import ConfigError, DataError
from tagger.inputs.characters import CharacterVocabulary, build_characters, grow_characters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.encoder import Columns, Encoder
from tagger.inputs.training_set import TrainingSet, WordDropout
from tagger.inputs.vocabulary import (
    N_RESERVED,
    Normalization,
    TagVocabulary,
    TokenVocabulary,
    build_vocabulary,
    grow_vocabulary,
)
from tagger.lexicons.features import Lexicons, describe, read_lexicons
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.pretrained import Pretrained
from tagger.model_dir.store import check_savable
from tagger.prediction.predictor import DEFAULT_MAX_LENGTH
from tagger.training.corpora import Known, Tell, load_corpora, well_formed
from tagger.training.facts import DataFacts, data_facts
from tagger.training.features import build_features, rare_ids
from tagger.training.old_model import OldModel, check_fits, types_of
from tagger.training.pretrained import vectors_of
from tagger.training.rows import Rows
from tagger.training.schedule import Schedule, schedule_of
from tagger.training.targets import gold_of
from tagger.training.teachers import Lesson, cut_unlabelled
from tagger.vectors.matching import extend_vocabulary
from tagger.vectors.table import Vectors, read_named_vectors, read_vectors
from tagger.wording import counted, listed

T = TypeVar("T")
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


class SentenceNames:
    """Descriptions of the training sentences for error messages."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._sentences = [
            (f"{piece.path}:{piece.line}", len(piece.columns[0]), " ".join(piece.columns[0][:6])[:60])
            for piece in pieces
        ]

    def of(self, i: int) -> str:
        """Return the file, line, length and first tokens of sentence `i`."""
        where, n, start = self._sentences[i]
        return f"{where}: {counted(n, 'token')}: {start}{' …' if n > 6 else ''}"


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Everything that a training needs besides its network.

    `manifest` lacks the dev scores, which only training can fill in. Without a dev set the saved model is checked on
    sentences of the training data. The weights of the network begin as those of `old`, if there is one. Types in
    `not_scored` are those of the old model that the dev set does not annotate.
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
    old: OldModel | None = None
    lesson: Lesson | None = None
    not_scored: frozenset[str] = frozenset()
    pretrained: Pretrained | None = None


def prepare(
    config: Config,
    *,
    note: Tell,
    warn: Tell,
    rows: Rows | None = None,
    old: OldModel | None = None,
    lesson: Lesson | None = None,
    pretrained: Pretrained | None = None,
) -> Prepared:
    """Read the corpora and build vocabularies from the training data alone.

    Args:
        config: a config with absolute paths.
        note, warn: called with each finding.
        rows: the sentences of the training data to use; None for all.
        old: the model that the training begins with.
        lesson: the teachers that the model learns from, and the text without tags that it learns on as well.
        pretrained: the pretrained directory that the training begins with.

    Raises:
        DataError: a corpus cannot be read.
        ConfigError: a setting does not fit the data or the old model.
    """
    found = load_corpora(config.data, config.training.seed, note, warn, rows, _known(old))
    train, dev, layout, notation = found.train, found.dev, found.layout, found.notation
    manifest = _manifest_of(config, layout, notation)
    lexicons = _lexicons(config, old, train, dev, note, warn)
    manifest = dataclasses.replace(manifest, features=lexicons.features.spec)
    vectors = _vectors(config, old, manifest, train) if pretrained is None else vectors_of(pretrained)
    pieces, n_cut = cut_long(train, manifest.max_length)
    if n_cut:
        note(
            f"train: cut {counted(n_cut, 'sentence')} of more than {manifest.max_length} tokens"
            f" (data.max_length); training sees {counted(len(pieces), 'piece')}"
        )
    replayed = [] if found.replay is None else cut_long(found.replay, manifest.max_length)[0]
    unlabelled = list[Piece]()
    if lesson is not None:
        lesson.teachers.check_fits(manifest, (tag for piece in pieces for tag in _tags_of(piece, manifest)), train)
        unlabelled = cut_unlabelled(lesson.unlabelled, manifest.max_length)
        note(_describe_lesson(lesson, unlabelled))
    gold = gold_of(
        config, train, pieces, manifest.scheme, note,
        old=old, replay=found.replay, replayed=replayed, lesson=lesson, unlabelled=unlabelled,
    )  # fmt: skip
    n_labelled = len(pieces) + len(replayed)
    tag_vocabulary, pieces = gold.tags, [*pieces, *replayed, *unlabelled]
    if len(tag_vocabulary) > MOST_TAGS and manifest.network.weighs_transitions(plain=manifest.scheme == NO_SCHEME):
        raise DataError(
            f"{train.path}: found {len(tag_vocabulary)} distinct tags, such as {', '.join(tag_vocabulary.tags[-3:])},"
            f" expected at most {MOST_TAGS}; name the tag column with data.columns, or set model.decoder to softmax"
        )
    sentences = [piece.columns for piece in pieces]
    known = old.model.encoder if old is not None else None
    with_characters = known if pretrained is None else pretrained.encoder
    known_characters = None if with_characters is None else with_characters.characters
    encoder, word_dropout, initial = _build_encoder(
        config, manifest, sentences, n_labelled, lexicons.features, note, vectors, known, known_characters
    )
    manifest = dataclasses.replace(manifest, n_trained_tokens=encoder.tokens.n_trained)
    if vectors is not None:
        dim = vectors.dim
        if "embedding_dim" in config.model.model_fields_set and config.model.embedding_dim != dim:
            raise ConfigError(
                f"model.embedding_dim: found {config.model.embedding_dim}, expected {dim}, the size of the vectors"
                f" from {_source(config)}; delete the key"
            )
        if not SIZE.allows(dim):
            raise ConfigError(
                f"embeddings: found vectors of {dim} numbers in {_source(config)}, expected at most"
                f" {SIZE.most}; use other vectors"
            )
        manifest = dataclasses.replace(manifest, network=dataclasses.replace(manifest.network, embedding_dim=dim))
    _check_freeze(config, manifest, encoder, tag_vocabulary, old)
    check_savable(manifest, encoder, tag_vocabulary)
    schedule = schedule_of(config.training, n_labelled)
    if (text := schedule.note(n_labelled)) is not None:
        note(text)
    encoded = encoder.encode(sentences)
    training_set = TrainingSet(
        sentences=encoded.sentences,
        tag_ids=gold.ids,
        word_dropout=word_dropout,
        batch_size=schedule.batch_size,
        seed=config.training.seed,
        forms=encoded.forms,
        n_others=len(unlabelled),
        n_others_per_epoch=0 if lesson is None else max(1, round(lesson.ratio * n_labelled)),
    )
    to_check = [sentence.columns for sentence in dev.sentences] if dev else sentences[:: 1 + len(sentences) // 1000]
    names = SentenceNames(pieces)
    facts = data_facts(train, dev)
    not_scored = frozenset[str]()
    if dev is not None and gold.not_annotated:
        not_scored = gold.not_annotated - types_of({tag for tags in dev.tags for tag in tags}, manifest.scheme)
        if not_scored:
            hidden = listed(sorted(not_scored))
            note(f"dev: {hidden}: not annotated there, so not scored, and training.calibrate has nothing to fit")
    return Prepared(
        training_set, names, dev, to_check, encoder, tag_vocabulary, manifest, schedule, facts, initial, gold.targets,
        old, lesson, not_scored, pretrained,
    )  # fmt: skip


def _tags_of(piece: Piece, manifest: Manifest) -> Iterator[str]:
    """Yield the tags of a piece in the scheme that the network learns, without those of unknown tokens."""
    return (tag for tag in well_formed(piece.tags, manifest.scheme) if tag != UNKNOWN)


def _describe_lesson(lesson: Lesson, unlabelled: Sequence[Piece]) -> str:
    names = [os.path.relpath(member.model.directory) for member in lesson.teachers.members]
    teachers = f"{counted(len(names), 'teacher')} ({listed(names)})"
    if not unlabelled:
        return f"distilling {teachers}, on the training sentences"
    n_tokens = sum(len(piece.columns[0]) for piece in unlabelled)
    return (
        f"distilling {teachers}, on the training sentences and {counted(len(unlabelled), 'unlabelled sentence')}"
        f" ({counted(n_tokens, 'token')})"
    )


def _known(old: OldModel | None) -> Known | None:
    """Return what the old model knows, as far as reading the data depends on it."""
    return None if old is None else Known(frozenset(old.model.tags.tags), old.model.manifest.scheme, old.replay)


def _vectors(config: Config, old: OldModel | None, manifest: Manifest, train: Corpus) -> Vectors | None:
    """Return the pretrained vectors, if the config names some, after checking that everything fits the old model."""
    settings = config.embeddings
    vectors = None
    if settings.path is not None or settings.name is not None:
        vectors = read_vectors(settings.path) if settings.path is not None else read_named_vectors(str(settings.name))
    if old is not None:
        new_types = {} if config.data.trust else _new_types(train, manifest.scheme, old)
        check_fits(old, manifest, None if vectors is None else vectors.dim, new_types)
    return vectors


def _lexicons(
    config: Config, old: OldModel | None, train: Corpus, dev: Corpus | None, note: Tell, warn: Tell
) -> Lexicons:
    """Read the word lists and clusters of the config, and say how much of the data they cover."""
    known = None if old is None else old.model.encoder.computed
    lexicons = read_lexicons(**config.features.sources(), old=known)
    if lexicons.features.spec:
        corpora = {"train": train} if dev is None else {"train": train, "dev": dev}
        notes, warnings = describe(
            lexicons, {name: [sentence.tokens for sentence in corpus.sentences] for name, corpus in corpora.items()}
        )
        for tell, texts in ((note, notes), (warn, warnings)):
            for text in texts:
                tell(text)
    return lexicons


def _new_types(train: Corpus, scheme: str, old: OldModel) -> dict[str, str]:
    """Return each type that the old model does not know, with the place of its first token."""
    found: dict[str, str] = {}
    for sentence, tags in zip(train.sentences, train.tags, strict=True):
        for i, tag in enumerate(tags):
            for name in types_of([tag], scheme) - old.types:
                found.setdefault(name, f"{sentence.path}:{sentence.line_number(i)}")
    return found


def _check_freeze(
    config: Config, manifest: Manifest, encoder: Encoder, tags: TagVocabulary, old: OldModel | None
) -> None:
    """Raise ConfigError if `training.freeze` names a part that the network lacks, or leaves nothing to train."""
    freeze, weights = config.training.freeze, manifest.network.weight_shapes(encoder.sizes(len(tags)))
    parts = [part for part in PARTS if weights_of_parts([part], weights)]
    missing = [part for part in freeze if part not in parts]
    if missing:
        raise ConfigError(
            f"training.freeze: found {missing[0]}, which this network does not have, expected some of"
            f" {', '.join(parts)}; delete it"
        )
    if weights_of_parts(freeze, weights) == set(weights):
        raise ConfigError("training.freeze: found all parts of the network, expected one to train; delete one")
    n_new = 0 if old is None else len(tags) - len(old.model.tags)
    if "softmax" in freeze and n_new:
        raise ConfigError(
            f"training.freeze: found softmax, expected it to be trained, because it has {counted(n_new, 'new tag')};"
            " delete it"
        )


def _build_encoder(
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
    settings, source = config.embeddings, _source(config)
    extension = extend_vocabulary(dataclasses.replace(tokens, n_trained=None), vectors, settings.max_rows)
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


def _source(config: Config) -> str:
    settings = config.embeddings
    return str(settings.name or Path(str(settings.path or config.model.pretrained)).name)


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
    if isinstance(paths, dict):
        return {name: os.path.relpath(path, directory) for name, path in paths.items()}  # type: ignore[return-value]
    return [os.path.relpath(path, directory) for path in paths] if isinstance(paths, list) else paths  # type: ignore[return-value]


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "keras", "onnx", "numpy")
    return {
        "tagger": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
