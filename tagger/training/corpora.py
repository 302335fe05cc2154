"""The training and the dev set of a config: read, described to the user, and refused if they make no sense."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

from tagger.check.plausibility import require_plausible, stop_or_warn, tags_that_look_unknown
from tagger.check.sentences import notes_on_sentences
from tagger.check.tokenization import check_tokenization
from tagger.config.keys import DataConfig
from tagger.corpus.dataset import (
    Corpus,
    compare_columns,
    load_gold,
    load_training,
    note_on_notation,
    shown_sentences,
    split_dev,
    unseen_tags,
)
from tagger.corpus.detection import Requested, detect_layouts
from tagger.corpus.layout import Layout
from tagger.corpus.lines import Files, files_of, names_of
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, UNKNOWN, spans_from_tags, split_tag, tags_from_spans, with_unknown
from tagger.errors import DataError
from tagger.formats.reading import CONVERTED, Readable, Readers, reading, settings_of
from tagger.training.rows import Rows
from tagger.wording import counted

Tell = Callable[[str], None]
_FEWEST_UNKNOWN = 100  # tokens of dev below which the share of unknown ones proves nothing
_MOST_EMPTY = 0.01  # the largest share of tokens that may be empty


@dataclasses.dataclass(frozen=True)
class Known:
    """What a model knows that the training begins with.

    Attributes:
        tags: its tags.
        scheme: their scheme.
        replay: a file that is annotated with its types, or None.
    """

    tags: frozenset[str]
    scheme: str
    replay: str | None = None


@dataclasses.dataclass(frozen=True)
class Corpora:
    """The corpora of a config, and how they were read.

    Attributes:
        train, dev: the sentences; `dev` is None if there is none.
        layout, notation: those of the training file.
        choices: what was chosen in reading the training file, and what else was possible.
        other_tags: the columns of the training file that could have been the tags, too.
        converted: whether the training file is not CoNLL, and was converted.
        replay: the sentences that an older model was trained on, to train on again; None if there are none.
    """

    train: Corpus
    dev: Corpus | None
    layout: Layout
    notation: Notation
    choices: tuple[str, ...] = ()
    other_tags: tuple[int, ...] = ()
    converted: bool = False
    replay: Corpus | None = None


def load_corpora(
    data: DataConfig, seed: int, note: Tell, warn: Tell, rows: Rows | None = None, known: Known | None = None
) -> Corpora:
    """Read the training and the dev set, whose layout and notation are those of the training file.

    Files of other formats than CoNLL are converted first.

    Args:
        seed: decides which sentences are held out if `data.dev` is a fraction.
        rows: the sentences to use; None for all.
        known: what a model knows that the training begins with.
    """
    settings = settings_of(data.conversion | {"language": data.language}, data.labels.rules())
    together = [*files_in(data), *([known.replay] if known is not None and known.replay is not None else [])]
    with reading(settings, note, together=together) as readers:

        def renamed(tell: Tell) -> Tell:
            return lambda text: tell(readers.original(text))

        found = _load(data, seed, readers, renamed(note), renamed(warn), rows, known)
        dev = None if found.dev is None else _named(found.dev, readers)
        replay = None if found.replay is None else _named(found.replay, readers)
        return dataclasses.replace(found, train=_named(found.train, readers), dev=dev, replay=replay)


def load_training_data(data: DataConfig, seed: int, note: Tell, warn: Tell) -> Corpora:
    """Read the training set alone, without holding out a dev set; trainings that follow have their own."""

    def without_dev(text: str) -> None:
        if not text.startswith("dev: none"):
            note(text)

    return load_corpora(data.model_copy(update={"dev": None, "test": None}), seed, without_dev, warn)


def _named(corpus: Corpus, readers: Readers) -> Corpus:
    """Return a corpus that names the files of the user, whose converted copies are about to be removed."""
    for sentence in corpus.sentences:
        sentence.path = readers.original(sentence.path)
    return dataclasses.replace(corpus, path=readers.original(corpus.path))


def _load(
    data: DataConfig,
    seed: int,
    readers: Readers,
    note: Tell,
    warn: Tell,
    rows: Rows | None = None,
    known: Known | None = None,
) -> Corpora:
    readable = readers.readable(data.train)
    found = _load_train(data, readable, readers, note, warn)
    _refuse_unknown_labels(data, found.train, warn)
    train, layout, notation = _with_labels(data, found.train, "train", note), found.layout, found.notation
    conll = None if readable.converted else layout
    complain = warn if data.trust else None
    require_plausible(train, layout, notation, complain)  # of the whole file, before a part of it is held out
    whole, dev = train, None
    if rows is not None:
        train = whole.part(rows.train)
    if rows is not None and rows.dev is not None:
        dev = whole.part(rows.dev)
    elif data.dev is None:
        note("dev: none; the last epoch is kept")
    elif isinstance(data.dev, float):
        train, dev = split_dev(train, data.dev, seed)
        note(f"dev: {_describe(dev)}, held out of train by seed {seed}")
    else:
        dev = _load_other(data, data.dev, "dev", readers, conll, notation, note, warn)
        _warn_of_sentences(dev, layout, warn)
    replay = None
    if known is not None and known.replay is not None:
        replay = _load_other(data, known.replay, "replay", readers, conll, notation, note, warn)
        note(f"replay: {_describe(replay)}")
    if dev is not None:
        _warn_of_unseen_tags(train, dev, "dev", warn, known)
        _warn_of_unknown(train, dev, warn)
        if notation.scheme != NO_SCHEME:
            stop_or_warn(dev.path, _without_entities(train, dev), complain)
    if data.test is not None:
        # Only `tagger eval` uses it. It is read now so that errors in it appear before the training
        # instead of after it.
        test = _load_other(data, data.test, "test", readers, conll, notation, note, warn)
        _warn_of_unseen_tags(train, test, "test", warn, known)
    return dataclasses.replace(found, train=train, dev=dev, replay=replay)


def _without_entities(train: Corpus, dev: Corpus) -> list[str]:
    """Return what is wrong if the training or the dev sentences have no entity, as when few sentences are divided."""
    remedy = "set data.dev to a file with entities, or to null to train on all sentences without a dev set"
    reasons = {"dev": "without them accuracy decides which epoch is best, not F1", "train": "dev holds all of them"}
    for (name, reason), corpus in zip(reasons.items(), (dev, train), strict=True):
        if not any(spans_from_tags(tags) for tags in corpus.tags):
            return [f"found no entity in {name}, expected some: {reason}; {remedy}"]
    return []


def _load_other(
    data: DataConfig,
    paths: Files,
    name: str,
    readers: Readers,
    layout: Layout | None,
    notation: Notation,
    note: Tell,
    warn: Tell,
) -> Corpus:
    """Read the dev or test set.

    Args:
        layout: the layout of the training file, or None if that is not CoNLL, so that this one has a layout of its own.
    """
    readable = readers.readable(paths)
    other = CONVERTED if readable.converted else layout
    if other is None:
        other = detect_layouts(readable.paths, requested_layout(data, readers.columns(files_of(paths)[0]))).layout
    corpus = load_gold(readable.paths, other, notation)
    if name == "dev":
        note(f"dev: {_describe(corpus)}")
    if corpus.n_unknown:
        _say_unknown(corpus, name, note, warn)
    _note_notation(corpus, notation, name, note)
    corpus = _with_labels(data, corpus, name, note)
    _compare_columns(corpus, other, name, data, note, warn)
    return corpus


def _load_train(data: DataConfig, readable: Readable, readers: Readers, note: Tell, warn: Tell) -> Corpora:
    """Read the training set, and say how it was read."""
    requested = Requested(delimiter="tab", comments="none")
    if not readable.converted:
        requested = requested_layout(data, readers.columns(files_of(data.train)[0]))
    # Spans are converted to IOB2, whatever the scheme of the original.
    scheme = "auto" if readable.converted and data.scheme != NO_SCHEME else data.scheme
    detected = detect_layouts(readable.paths, requested)
    layout = detected.layout
    stop_or_warn(names_of(readable.paths), detected.doubts, warn if data.trust else None)
    train, notation, notes = load_training(readable.paths, layout, scheme, data.unknown_tag)
    note(f"train: {_describe(train)}, scheme {notation.describe()}{' (detected)' if data.scheme == 'auto' else ''}")
    note(f"train: token in column {layout.columns['token']}, tag in {_tag_place(layout)}; read as:")
    for text in shown_sentences(train.sentences):
        note(f"  {text}")
    for text in (*detected.notes, *notes):
        note(f"train: {text}")
    _say_unknown(train, "train", note, warn)
    _refuse_empty_tokens(train, layout, warn)
    _warn_of_sentences(train, layout, warn)
    for problem in check_tokenization(train.sentences, data.language) if data.language is not None else ():
        note(f"train: {problem.message}")
    n_ill_formed = sum(
        tag != repaired
        for tags in train.tags
        if UNKNOWN not in tags  # beside such a token it is not clear what is ill-formed
        for tag, repaired in zip(tags, well_formed(tags, notation.scheme), strict=True)
    )
    if n_ill_formed:
        note(
            f"train: {n_ill_formed} {'tag is' if n_ill_formed == 1 else 'tags are'} ill-formed in {notation.scheme};"
            " training reads ill-formed tags as conlleval does (tagger check lists them)"
        )
    choices = (*detected.notes, *notes)
    return Corpora(train, None, layout, notation, choices, detected.other_tags, readable.converted)


def _say_unknown(corpus: Corpus, name: str, note: Tell, warn: Tell) -> None:
    """Say how many tokens are not annotated, and warn of tags that may mean that but are read as other tags."""
    if corpus.notation.unknown is not None:
        n = corpus.n_unknown
        share = f" ({100 * n / corpus.n_tokens:.1f} %)" if n else ""
        note(
            f"{name}: {n} of {counted(corpus.n_tokens, 'token')}{share} {'is' if n == 1 else 'are'} not annotated (tag"
            f" {corpus.notation.unknown})"
        )
    for text in tags_that_look_unknown(corpus.sentences, corpus.notation):
        warn(f"{corpus.path}: {text}")


def _refuse_unknown_labels(data: DataConfig, train: Corpus, warn: Tell) -> None:
    """Raise DataError for a name in `data.labels` that the training data do not have; warn if they are trusted."""
    unknown = data.labels.rules().unknown(train.tags, train.notation.scheme)
    if unknown and not data.trust:
        raise DataError(unknown[0], detail=unknown[1:])
    for text in unknown:
        warn(text)


def _with_labels(data: DataConfig, corpus: Corpus, name: str, note: Tell) -> Corpus:
    """Return a corpus with the labels that the config asks for."""
    tags, notes = data.labels.rules().apply(corpus.tags, corpus.notation.scheme)
    for text in notes:
        note(f"{name}: {text}")
    return dataclasses.replace(corpus, tags=tags)


def _refuse_empty_tokens(train: Corpus, layout: Layout, warn: Tell) -> None:
    """Warn of a few empty tokens.

    Raises:
        DataError: there are more, so the columns are not what they are taken for.
    """
    where = [
        (sentence.line_number(i), sentence)
        for sentence in train.sentences
        for i, token in enumerate(sentence.tokens)
        if not token
    ]
    if not where:
        return
    line, sentence = where[0]
    path = sentence.path
    body = sentence.lines[line - sentence.first_line].decode(layout.encoding, "replace").rstrip("\r\n")
    found = f"found {len(where)} empty token{'s' if len(where) > 1 else ''}"
    if len(where) > _MOST_EMPTY * train.n_tokens:
        column = layout.columns["token"]
        raise DataError(
            f"{found} of {train.n_tokens}, the first one here, expected text in column {column}; set data.columns and"
            " data.delimiter to what the file has, or remove the delimiter at the start of the lines",
            path=path,
            line=line,
            detail=[f"line {line}: {body!r:.200}"],
        )
    warn(f"{path}:{line}: {found}, the first one here; tagger check lists them")


def files_in(data: DataConfig) -> list[Files]:
    """Return the files of a config: train, then dev and test, as far as they are files."""
    return [files for files in (data.train, data.dev, data.test) if isinstance(files, str | list)]


def requested_layout(data: DataConfig, columns: Mapping[str, int | str] | None = None) -> Requested:
    """Return the settings of the config that say how to read a file.

    Args:
        columns: those of the columns that the file has; None for all of them.
    """
    return Requested(
        columns=data.columns if columns is None else columns,
        delimiter=data.delimiter,
        comments=data.comments,
        encoding=data.encoding,
        tag_key=data.tag_key,
        several_tags=data.several_tags,
        ragged=data.ragged,
    )


def _tag_place(layout: Layout) -> str:
    tag = layout.columns["tag"]
    place = "the last column" if tag == -1 else f"column {tag}"
    return f"{layout.tag_key}= of {place}" if layout.tag_key else place


def well_formed(tags: list[str], scheme: str) -> list[str]:
    """Convert canonical tags of any scheme to well-formed tags of `scheme`, which the network learns.

    A decoder that allows only legal transitions could never produce ill-formed tags.
    """
    if scheme == NO_SCHEME:
        return tags
    return with_unknown(tags_from_spans(spans_from_tags(tags), len(tags), scheme), tags)


def _describe(corpus: Corpus) -> str:
    return f"{counted(len(corpus), 'sentence')}, {counted(corpus.n_tokens, 'token')} from {Path(corpus.path).name}"


def _note_notation(corpus: Corpus, trained: Notation, name: str, note: Tell) -> None:
    text = note_on_notation(corpus, trained)
    if text is not None:
        note(f"{name}: {text}")


def _compare_columns(corpus: Corpus, layout: Layout, name: str, data: DataConfig, note: Tell, warn: Tell) -> None:
    """Stop if a dev or test file does not have its words where the training file has them, unless it is trusted."""
    found, doubt = compare_columns(corpus.sentences, layout)
    if found is not None:
        note(f"{name}: {found}")
    if doubt is not None:
        stop_or_warn(corpus.path, [doubt], warn if data.trust else None)


def _warn_of_unknown(train: Corpus, dev: Corpus, warn: Tell) -> None:
    """Warn if most tokens of dev do not occur in train, as where one of them is in another language."""
    known = {token.casefold() for sentence in train.sentences for token in sentence.tokens}
    n_unknown = sum(token.casefold() not in known for sentence in dev.sentences for token in sentence.tokens)
    if dev.n_tokens >= _FEWEST_UNKNOWN and n_unknown > dev.n_tokens / 2:
        warn(
            f"{dev.path}: {n_unknown} of {dev.n_tokens} tokens are not in the training data, expected fewer than half;"
            " check that the language and the columns are the same"
        )


def _warn_of_sentences(corpus: Corpus, layout: Layout, warn: Tell) -> None:
    for text in notes_on_sentences(corpus.sentences, layout.encoding):
        warn(f"{corpus.path}: {text}")


def _warn_of_unseen_tags(train: Corpus, other: Corpus, name: str, warn: Tell, known: Known | None) -> None:
    unseen = unseen_tags(train, other)
    if known is not None:  # the types of the model are known, whatever the training file has
        types = {tag if known.scheme == NO_SCHEME else split_tag(tag)[1] for tag in known.tags}
        unseen = {tag: n for tag, n in unseen.items() if tag not in types and split_tag(tag)[1] not in types - {""}}
    if unseen:
        what = "tags" if train.notation.scheme == other.notation.scheme else "types"
        listed = ", ".join(f"{tag} ({n})" for tag, n in list(unseen.items())[:10])
        more = f" and {len(unseen) - 10} more" if len(unseen) > 10 else ""
        warn(
            f"{other.path}: {name} has {what} that are not in the training data: {listed}{more}; they count as errors"
            " in the scores"
        )
