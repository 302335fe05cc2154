"""Score a model on a file, or compare two models on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tagger.corpus.dataset import Corpus, compare_columns, load_gold, note_on_notation
from tagger.corpus.layout import Layout, looks_like_tag
from tagger.corpus.lines import Files, files_of, names_of, require_regular
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.errors import DataError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.evaluation.significance import Comparison, compare, span_counts
from tagger.formats.convert import Settings
from tagger.formats.reading import CONVERTED, reading, settings_of
from tagger.model_dir.store import Model
from tagger.prediction.doubts import InputDoubts
from tagger.prediction.predictor import Predictor
from tagger.prediction.stream import CHUNK_LINES, tag_stream
from tagger.wording import counted

Tell = Callable[[str], None]


def _nothing(*_: str) -> None:
    """Do nothing, in the place of whoever wants to be told."""


def gold_files(model: Model[object], given: str | None) -> list[str]:
    """Return the files to score: the given one, or else the config's test files.

    Raises:
        DataError: there is no such file.
    """
    if given is not None:
        return [given]
    if model.manifest.test is None:
        raise DataError("FILE: found none, and the model's config does not set data.test; pass the file to score")
    paths = [model.directory / path for path in files_of(model.manifest.test)]
    for path in paths:
        if not path.is_file():  # a model from elsewhere could name a pipe or an endless device
            raise DataError(f"{path}: the config's test file is no longer there, or is not a file; pass FILE")
    return [str(path) for path in paths]


def evaluate_file(
    predictor: Predictor,
    paths: Files,
    layout: Layout,
    look: Callable[[], None] = _nothing,
    note: Tell = _nothing,
    warn: Tell = _nothing,
) -> Evaluation:
    """Score a model on one or more files, with exactly the tags that `tagger predict` would write.

    Args:
        look: called after each sentence; an exception that it raises ends the evaluation.
        note: called with how the files were read.
        warn: called with what may be wrong with them.

    Raises:
        DataError: the file has no gold tags, or its tags do not fit the model.
    """
    gold, pred, gold_scheme = _gold_and_pred(predictor, paths, layout, look, note, warn)
    return evaluate(gold, pred, predictor.model.manifest.notation.scheme, gold_scheme)


def compare_on_file(
    first: Predictor,
    second: Predictor,
    paths: Files,
    layouts: tuple[Layout, Layout],
    *,
    samples: int,
    seed: int,
    note: Tell = _nothing,
) -> Comparison:
    """Compare two models on the sentences of one or more files, which each model reads by its own layout.

    Raises:
        DataError: the file is a pipe, has fewer than two sentences, or has no gold tags that fit the models; or the
            models read different sentences or spans in it.
    """
    for file in files_of(paths):
        require_regular(file)
    path = names_of(paths)
    counts = []
    for predictor, layout in zip((first, second), layouts, strict=True):
        gold, pred, _ = _gold_and_pred(predictor, paths, layout, note=note)
        counts.append((gold, span_counts(gold, pred, predictor.model.manifest.notation.scheme)))
    (gold, ours), (other_gold, theirs) = counts
    manifests = [predictor.model.manifest for predictor in (first, second)]
    schemes = [manifest.notation.scheme for manifest in manifests]
    if list(map(len, gold)) != list(map(len, other_gold)) or _meaning(gold, schemes[0]) != _meaning(
        other_gold, schemes[1]
    ):
        differ = "; they were trained with different data.labels" if manifests[0].labels != manifests[1].labels else ""
        raise DataError(
            f"{path}: the two models read different sentences or spans in it, expected the same{differ}; compare models"
            " for the same kind of file, or name its columns with --columns"
        )
    if len(gold) < 2:
        raise DataError(
            f"{path}: found {counted(len(gold), 'sentence')}, expected at least two; compare on a larger file"
        )
    return compare(ours, theirs, samples=samples, seed=seed)


def _meaning(tags: list[list[str]], scheme: str) -> list[Any]:
    return [some if scheme == NO_SCHEME else spans_from_tags(some) for some in tags]


def _doubts_of_gold(corpus: Corpus, layout: Layout, trained: Notation) -> list[str]:
    """Return a note on which column is gold if the one before or after it holds tags of the model too.

    In the output of `tagger predict` on a gold file, the last column is the model's own prediction.
    """
    if layout.tag_key is not None or trained.scheme == NO_SCHEME:
        return []
    split = layout.splitter()
    sides: dict[int, set[str]] = {-1: set(), 1: set()}  # the tags in the column before and after the gold column
    differing = set[int]()
    for sentence in corpus.sentences:
        for gold, row in zip(sentence.tags, sentence.token_rows, strict=True):
            fields = split(sentence.lines[row].decode(layout.encoding, "replace").strip("\ufeff\r\n"))
            for side in list(sides):
                place = layout.columns["tag"] % len(fields) + side
                tag = fields[place] if place != layout.columns["token"] and 0 <= place < len(fields) else ""
                if tag not in layout.known_tags or not looks_like_tag(tag):
                    del sides[side]  # one such value proves that the column holds something else
                    continue
                sides[side].add(tag)
                if tag != gold:
                    differing.add(side)
        if not sides:
            return []
    notes = []
    for side, tags in sides.items():
        if len(tags) > 1:
            where = "before" if side < 0 else "after"
            text = f"the tag column (tag: {layout.columns['tag']}) is taken as gold; the column {where} it also holds"
            text += " tags of the model"
            if side not in differing:
                text += ", and the two are equal on every line: is one of them a prediction?"
            notes.append(f"{text}; pass --columns to choose the gold column, as in token=0,tag=1")
    return notes


def _gold_and_pred(
    predictor: Predictor,
    paths: Files,
    layout: Layout,
    look: Callable[[], None] = _nothing,
    note: Tell = _nothing,
    warn: Tell = _nothing,
) -> tuple[list[list[str]], list[list[str]], str]:
    """Tag gold files, which are converted if they are not CoNLL.

    Returns:
        Gold tags in the files' scheme and predicted tags in the scheme of the model's training file, canonical, for
        each sentence; and the files' scheme.
    """
    with reading(_settings(predictor.model, paths, layout), note) as readers:
        readable = readers.readable(paths)
        corpus = _load(
            predictor,
            readable.paths,
            CONVERTED if readable.converted else layout,
            lambda text: note(readers.original(text)),
            lambda text: warn(readers.original(text)),
        )
        gold: list[list[str]] = []
        pred: list[list[str]] = []
        continues = False
        for tags, (sentence, tagged) in zip(
            corpus.tags, tag_stream(predictor, corpus.sentences, probabilities=False), strict=True
        ):
            if not continues or sentence.follows_docstart:
                gold.append([])
                pred.append([])
            gold[-1] += tags
            pred[-1] += tagged.tags
            continues = sentence.continues
            look()
    return [tags for tags in gold if tags], [tags for tags in pred if tags], corpus.notation.scheme


def _settings(model: Model[object], paths: Files, layout: Layout) -> Settings:
    """Return the settings for converting files: those of the training, except for what the user has changed.

    The name of the format is that of the config's files.
    """
    manifest = model.manifest
    given = {**manifest.conversion, "language": manifest.language}
    for name in ("columns", "delimiter", "encoding"):
        if getattr(layout, name) != getattr(manifest.layout, name):
            given[name] = getattr(layout, name)
    if manifest.test is None or files_of(paths) != gold_files(model, None):
        given.pop("format", None)
    return settings_of(given, manifest.labels)


def _load(predictor: Predictor, paths: Files, layout: Layout, note: Tell, warn: Tell) -> Corpus:
    """Read gold files with the labels of the model, and say what is odd about them."""
    manifest = predictor.model.manifest
    corpus = load_gold(paths, layout, manifest.notation, max_lines=CHUNK_LINES)
    if (text := note_on_notation(corpus, manifest.notation)) is not None:
        note(f"{corpus.path}: {text}")
    if layout.columns == manifest.layout.columns:  # otherwise the user has chosen them
        _, doubt = compare_columns(corpus.sentences, layout)
        if doubt is not None:
            warn(f"{corpus.path}: {doubt}")
    for doubt in _doubts_of_gold(corpus, layout, manifest.notation):
        warn(f"{corpus.path}: {doubt}")
    for _ in InputDoubts(predictor.model.encoder, layout, corpus.path, warn).watch(corpus.sentences):
        pass
    tags, notes = manifest.labels.apply(corpus.tags, corpus.notation.scheme)
    for text in notes:
        note(f"{corpus.path}: {text}, as in training")
    return dataclasses.replace(corpus, tags=tags)
