"""From a config to what a training needs: encoded sentences, vocabularies, and the manifest of the model to be."""

from __future__ import annotations

import dataclasses
import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from tagger import __version__
from tagger.config import Config
from tagger.corpus.batching import TrainingSet
from tagger.corpus.dataset import Corpus, detect_layout, load_gold, load_training, split_dev, unseen_tags
from tagger.corpus.layout import Layout
from tagger.corpus.schemes import NO_SCHEME, convert
from tagger.corpus.vocabulary import (
    Normalization,
    TagVocabulary,
    TokenVocabulary,
    build_tag_vocabulary,
    build_vocabulary,
)
from tagger.runtime.model_dir import Manifest

INNER_SCHEME = "IOB2"  # the network's own, whatever the file's is

Tell = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a training needs besides its network.

    `manifest` lacks the dev scores, which only training can fill in.
    """

    training_set: TrainingSet
    dev: Corpus
    tokens: TokenVocabulary
    tags: TagVocabulary
    manifest: Manifest


def prepare(config: Config, *, note: Tell, warn: Tell) -> Prepared:
    """Read the corpora and build vocabularies from the training data alone.

    Args:
        config: with absolute paths.
        note, warn: are told what was found.

    Raises:
        DataError: a corpus cannot be read.
    """
    train, dev, manifest = _load_corpora(config, note, warn)
    tags = [convert(sentence, manifest.notation.scheme, manifest.scheme) for sentence in train.tags]
    tag_vocabulary = build_tag_vocabulary(tags)
    tokens, counts = build_vocabulary(
        (sentence.tokens for sentence in train.sentences),
        manifest.normalization,
        min_count=config.vocabulary.min_count,
        max_size=config.vocabulary.max_size,
    )
    training_set = TrainingSet(
        token_ids=[tokens.encode(sentence.tokens) for sentence in train.sentences],
        tag_ids=[tag_vocabulary.encode(sentence) for sentence in tags],
        rare=counts == 1,
        unk_probability=config.vocabulary.unk_probability,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
    )
    return Prepared(training_set, dev, tokens, tag_vocabulary, manifest)


def _load_corpora(config: Config, note: Tell, warn: Tell) -> tuple[Corpus, Corpus, Manifest]:
    data = config.data
    requested = Layout(columns=data.columns, delimiter=data.delimiter, encoding=data.encoding)
    layout = detect_layout(data.train, requested, data.comments)
    train, notation, spellings = load_training(data.train, layout, data.scheme)
    note(f"train: {_describe(train)}, scheme {notation.scheme}{' (detected)' if data.scheme == 'auto' else ''}")
    for text in spellings:
        note(f"train: {text}")
    if isinstance(data.dev, str):
        dev = load_gold(data.dev, layout, notation)
        note(f"dev: {_describe(dev)}")
    else:
        train, dev = split_dev(train, data.dev, config.training.seed)
        note(f"dev: {_describe(dev)}, held out of train by seed {config.training.seed}")
    _warn_of_unseen_tags(train, dev, "dev", warn)
    if data.test is not None:
        # Read now, so that an error shows before the training and not after it; used by `tagger eval` only.
        _warn_of_unseen_tags(train, load_gold(data.test, layout, notation), "test", warn)
    manifest = Manifest(
        layout=layout,
        notation=notation,
        scheme=NO_SCHEME if notation.scheme == NO_SCHEME else INNER_SCHEME,
        normalization=Normalization(config.vocabulary.lowercase, config.vocabulary.normalize_digits),
        network=config.model.model_dump(exclude={"decoder"}),
        decoder=config.model.decoder,
        seed=config.training.seed,
        dev={},
        test=os.path.relpath(data.test, str(config.output.model_dir)) if data.test is not None else None,
        versions=_versions(),
    )
    return train, dev, manifest


def _describe(corpus: Corpus) -> str:
    return f"{len(corpus)} sentences, {corpus.n_tokens} tokens from {Path(corpus.path).name}"


def _warn_of_unseen_tags(train: Corpus, other: Corpus, name: str, warn: Tell) -> None:
    unseen = unseen_tags(train, other)
    if unseen:
        listed = ", ".join(f"{tag} ({n})" for tag, n in list(unseen.items())[:10])
        more = f" and {len(unseen) - 10} more" if len(unseen) > 10 else ""
        warn(
            f"{other.path}: {name} has tags that are not in the training data: {listed}{more}; they count as errors"
            " in the scores"
        )


def _versions() -> dict[str, str]:
    packages = ("tensorflow", "keras", "numpy")
    return {
        "tagger": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }
