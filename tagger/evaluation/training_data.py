"""What a model was trained on, read from the files that the config in its directory names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.corpus.dataset import Corpus, load_gold, split_dev
from tagger.corpus.lines import files_of
from tagger.corpus.schemes import spans_from_tags
from tagger.errors import DataError
from tagger.evaluation.unseen import Entities, entity_of
from tagger.formats.reading import CONVERTED, reading, settings_of
from tagger.model_dir.files import CONFIG, ModelFiles, read_directory
from tagger.model_dir.store import Model


def training_entities(model: Model[object], given: Sequence[str], note: Callable[[str], None]) -> Entities:
    """Read the entities of a model's training data; everything else is as for `training_corpus`."""
    return entities_of(training_corpus(model, given, note))


def training_corpus(model: Model[object], given: Sequence[str], note: Callable[[str], None]) -> Corpus:
    """Read a model's training data with canonical tags, without the sentences that were held out for dev.

    Args:
        given: the training files, if they are not where the model's config says.
        note: called with how files were converted.

    Raises:
        DataError: a training file is missing or cannot be read.
    """
    manifest, data = model.manifest, read_directory(model.directory, _config).data
    paths = given or files_of(data.train)
    for path in paths:
        if not given and not Path(path).is_file():
            raise DataError(
                f"{path}: the config's training file is no longer there, or is not a file; pass it with --train FILE"
            )
    conversion = {**manifest.conversion, "language": manifest.language}
    if given:
        conversion.pop("format", None)  # that of the config's files
    with reading(settings_of(conversion, manifest.labels), note, stored=True) as readers:
        readable = readers.readable(paths)
        layout = CONVERTED if readable.converted else manifest.layout
        corpus = load_gold(readable.paths, layout, manifest.notation)
    tags, _ = manifest.labels.apply(corpus.tags, corpus.notation.scheme)
    corpus = dataclasses.replace(corpus, tags=tags)
    if isinstance(data.dev, float):
        corpus, _ = split_dev(corpus, data.dev, manifest.seed)
    return corpus


def _config(files: ModelFiles) -> Config:
    """Return the config in a model directory, verified."""
    files.manifest()
    files.verify(CONFIG)
    config = load_config(files.path(CONFIG))
    files.check_not_replaced()
    return config


def entities_of(corpus: Corpus) -> Entities:
    """Return the types with the texts of all spans of a corpus."""
    return frozenset(
        entity_of(span, sentence.tokens)
        for sentence, tags in zip(corpus.sentences, corpus.tags, strict=True)
        for span in spans_from_tags(tags)
    )
