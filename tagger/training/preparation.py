"""Turn a config into the inputs of a training: encoded sentences, vocabularies and the manifest of the new model."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from tagger import __version__
from tagger.architecture import PARTS, SIZE, weights_of_parts
from tagger.config.keys import Config
from tagger.corpus.dataset import Corpus, Piece, cut_long
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.partial import Targets
from tagger.corpus.schemes import NO_SCHEME, UNKNOWN
from tagger.corpus.transitions import MOST_TAGS
from tagger.errors import ConfigError, DataError
from tagger.filesystem import relative_path
from tagger.inputs.encoder import Columns, Encoder
from tagger.inputs.subwords import MOST_LEARNED, Subwords, learn_subwords
from tagger.inputs.training_set import TrainingSet
from tagger.inputs.vocabulary import TagVocabulary
from tagger.lexicons.features import Lexicons, describe, read_lexicons
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.pretrained import Pretrained
from tagger.model_dir.store import check_savable
from tagger.prediction.predictor import DEFAULT_MAX_LENGTH
from tagger.pretraining.sentences import SentencePretraining
from tagger.training.corpora import Known, Tell, load_corpora, well_formed
from tagger.training.facts import DataFacts, data_facts
from tagger.training.old_model import OldModel, check_fits, types_of
from tagger.training.pretrained import vectors_of
from tagger.training.rows import Rows
from tagger.training.schedule import Schedule, schedule_of
from tagger.training.stored_config import relative_to
from tagger.training.targets import gold_of
from tagger.training.teachers import Lesson, cut_unlabelled
from tagger.training.vocabularies import InitialVectors, build_encoder, source_of
from tagger.vectors.table import Vectors, read_path_or_name
from tagger.wording import counted, listed


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

    def begun_with(self, pretrained: Pretrained) -> Prepared:
        """Return the same inputs with other pretrained weights, which must have the same vocabulary."""
        table, vectors = vectors_of(pretrained).table, self.vectors
        if vectors is None or len(table) != len(vectors.table):
            raise ValueError("found the weights of another vocabulary, expected the one that was prepared")
        return dataclasses.replace(self, pretrained=pretrained, vectors=InitialVectors(vectors.rows, table))


def prepare(
    config: Config,
    *,
    note: Tell,
    warn: Tell,
    rows: Rows | None = None,
    old: OldModel | None = None,
    lesson: Lesson | None = None,
    pretrained: Pretrained | None = None,
    pretraining: SentencePretraining | None = None,
) -> Prepared:
    """Read the corpora and build vocabularies from the training data alone.

    Args:
        config: a config with absolute paths.
        note, warn: called with each finding.
        rows: the sentences of the training data to use; None for all.
        old: the model that the training begins with.
        lesson: the teachers that the model learns from, and the text without tags that it learns on as well.
        pretrained: the pretrained directory that the training begins with.
        pretraining: the pretraining on the annotated training sentences that the training may begin with; it has not
            learned anything yet. Without any epochs in the schedule, it is not for these data.

    Raises:
        DataError: a corpus cannot be read.
        ConfigError: a setting does not fit the data or the old model.
    """
    found = load_corpora(config.data, config.training.seed, note, warn, rows, _known(old))
    train, dev, layout, notation = found.train, found.dev, found.layout, found.notation
    manifest = _manifest_of(config, layout, notation)
    if config.training.label_smoothing and not config.model.sets("decoder"):
        note(f"model.decoder: {manifest.network.decoder}, because a CRF cannot learn from training.label_smoothing")
    lexicons = _lexicons(config, old, train, dev, note, warn)
    spec = dataclasses.replace(lexicons.features.spec, subwords=config.subwords)
    manifest = dataclasses.replace(manifest, features=spec)
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
    _check_number_of_tags(tag_vocabulary, manifest, train.path)
    sentences = [piece.columns for piece in pieces]
    texts = [columns[0] for columns in sentences[:n_labelled]]
    n_tokens = sum(map(len, texts))
    schedule = schedule_of(config.training, n_labelled, 0 if pretraining is None else n_tokens)
    if pretraining is not None and schedule.pretraining_epochs:
        pretrained = pretraining.vocabulary_of(texts, schedule.pretraining_epochs)
        vectors = vectors_of(pretrained)
    computed = dataclasses.replace(lexicons.features, subwords=_subwords(config, old, train, note))
    known = old.model.encoder if old is not None else None
    with_characters = known if pretrained is None else pretrained.encoder
    known_characters = None if with_characters is None else with_characters.characters
    encoder, word_dropout, initial = build_encoder(
        config, manifest, sentences, n_labelled, computed, note, vectors, known, known_characters
    )
    manifest = dataclasses.replace(manifest, n_trained_tokens=encoder.tokens.n_trained)
    if vectors is not None:
        manifest = _with_size_of(vectors, config, manifest)
    _check_freeze(config, manifest, encoder, tag_vocabulary, old)
    check_savable(manifest, encoder, tag_vocabulary)
    if (text := schedule.note(n_labelled, n_tokens)) is not None:
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
    not_scored = _not_scored(gold.not_annotated, dev, manifest.scheme, note)
    return Prepared(
        training_set, names, dev, to_check, encoder, tag_vocabulary, manifest, schedule, facts, initial, gold.targets,
        old, lesson, not_scored, pretrained,
    )  # fmt: skip


def _tags_of(piece: Piece, manifest: Manifest) -> Iterator[str]:
    """Yield the tags of a piece in the scheme that the network learns, without those of unknown tokens."""
    return (tag for tag in well_formed(piece.tags, manifest.scheme) if tag != UNKNOWN)


def _describe_lesson(lesson: Lesson, unlabelled: Sequence[Piece]) -> str:
    names = [relative_path(member.model.directory) for member in lesson.teachers.members]
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
    vectors = read_path_or_name(config.embeddings.path, config.embeddings.name)
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


def _subwords(config: Config, old: OldModel | None, train: Corpus, note: Tell) -> Subwords | None:
    """Return the subwords of the old model, or those that the config wants to be learned from the training data."""
    if not config.subwords:
        return None
    if old is not None:
        return old.model.encoder.computed.subwords
    counts = Counter(token for sentence in train.sentences for token in sentence.tokens)
    subwords = learn_subwords(counts, config.subwords)
    some = f"{MOST_LEARNED} most frequent of the " if len(counts) > MOST_LEARNED else ""
    n_tokens = counted(len(counts), "distinct token")
    note(f"features.subwords: {counted(len(subwords.pairs), 'merge')}, learned from the {some}{n_tokens} of train")
    return subwords


def _new_types(train: Corpus, scheme: str, old: OldModel) -> dict[str, str]:
    """Return each type that the old model does not know, with the place of its first token."""
    found: dict[str, str] = {}
    for sentence, tags in zip(train.sentences, train.tags, strict=True):
        for i, tag in enumerate(tags):
            for name in types_of([tag], scheme) - old.types:
                found.setdefault(name, f"{sentence.path}:{sentence.line_number(i)}")
    return found


def _check_number_of_tags(tags: TagVocabulary, manifest: Manifest, path: str) -> None:
    """Raise DataError if there are too many tags for a decoder that weighs each tag after each."""
    if len(tags) > MOST_TAGS and manifest.network.weighs_transitions(plain=manifest.scheme == NO_SCHEME):
        raise DataError(
            f"{path}: found {len(tags)} distinct tags, such as {', '.join(tags.tags[-3:])}, expected at most"
            f" {MOST_TAGS}; name the tag column with data.columns, or set model.decoder to softmax"
        )


def _with_size_of(vectors: Vectors, config: Config, manifest: Manifest) -> Manifest:
    """Return the manifest of a network whose embedding has the size of the vectors.

    Raises:
        ConfigError: the config sets another size, or the vectors are too large.
    """
    dim, source = vectors.dim, source_of(config)
    if config.model.sets("embedding_dim") and config.model.embedding_dim != dim:
        raise ConfigError(
            f"model.embedding_dim: found {config.model.embedding_dim}, expected {dim}, the size of the vectors from"
            f" {source}; delete the key"
        )
    if not SIZE.allows(dim):
        raise ConfigError(
            f"embeddings: found vectors of {dim} numbers in {source}, expected at most {SIZE.most}; use other vectors"
        )
    return dataclasses.replace(manifest, network=dataclasses.replace(manifest.network, embedding_dim=dim))


def _not_scored(types: frozenset[str], dev: Corpus | None, scheme: str, note: Tell) -> frozenset[str]:
    """Return those of some types that the dev set does not annotate, and say so."""
    if dev is None or not types:
        return frozenset()
    hidden = types - types_of({tag for tags in dev.tags for tag in tags}, scheme)
    if hidden:
        note(
            f"dev: {listed(sorted(hidden))}: not annotated there, so not scored, and training.calibrate has nothing to"
            " fit"
        )
    return hidden


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


def _manifest_of(config: Config, layout: Layout, notation: Notation) -> Manifest:
    """Return the manifest of the model as far as it is known before the training."""
    test, model_dir = config.data.test, str(config.output.model_dir)
    return Manifest(
        layout=layout,
        notation=notation,
        scheme=NO_SCHEME if notation.scheme == NO_SCHEME else config.model.scheme,
        normalization=config.normalization,
        n_trained_tokens=None,
        embedding_dtype=config.embeddings.dtype,
        network=config.model.spec(config.usual_decoder(notation.scheme)),
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


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "keras", "onnx", "numpy")
    return {
        "tagger": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
