"""The options of `tagger predict`, and its input in other forms than CoNLL."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console
from tagger.cli.options import with_own_options
from tagger.corpus.schemes import NO_SCHEME, split_tag
from tagger.errors import DataError
from tagger.wording import listed

if TYPE_CHECKING:
    from tagger.formats.document import Document, Format, ReadOptions
    from tagger.formats.reports import Reports
    from tagger.model_dir.manifest import Manifest
    from tagger.prediction.documents import Thresholds
    from tagger.prediction.predictor import Predictor

# The name in --format → the module in tagger.formats
FORMAT_MODULES = {
    "conll": "conll",
    "conllu": "conllu",
    "jsonl": "jsonl",
    "label-studio": "label_studio",
    "spans": "spans",
    "html": "html",
    "text": "marked",
}
OUTPUT_FORMATS = tuple(FORMAT_MODULES)
_DEFAULTS = {"conllu": "conllu", "text": "text"}  # format of the input → format of the output; jsonl for the others
_AS_TRAINED = ("delimiter", "encoding", "offsets")  # settings for other formats that are those of the training files
_WITH_PLAIN_TAGS = ("conll", "conllu", "jsonl")
_WITH_PROBABILITIES = ("jsonl", "label-studio", "spans", "html")


def chosen_thresholds(format_: str, text: str | None, *, scores: bool, is_stream: bool) -> Thresholds | None:
    """Return the value of `--min-probability`, or None without it.

    Args:
        is_stream: whether the input is a CoNLL stream.

    Raises:
        UsageError: an option does not fit the format.
    """
    if scores and not (format_ == "conll" and is_stream):
        found = f"--format {format_}" if format_ != "conll" else "an input that is not CoNLL"
        raise click.UsageError(
            f"--scores: found {found}, expected --format conll for a CoNLL file, which gets one more column;"
            f" {listed(_WITH_PROBABILITIES)} hold the probability of each span without it"
        )
    if text is None:
        return None
    if format_ == "conll":
        others = [name for name in OUTPUT_FORMATS if name != "conll"]
        raise click.UsageError(
            "--min-probability: found --format conll, whose tags are always the model's, expected --format"
            f" {', '.join(others[:-1])} or {others[-1]}"
        )
    return parse_thresholds(text)


def stored_thresholds(manifest: Manifest, format_: str) -> Thresholds | None:
    """Return the thresholds that `tagger threshold --save` stored with a model, for formats other than CoNLL."""
    if format_ == "conll":
        return None
    from tagger.prediction.documents import Thresholds

    return Thresholds.of_model(manifest)


def check_n_best(n_best: int, format_: str, *, scores: bool, is_stream: bool) -> None:
    """Raise UsageError if the output cannot hold several sequences of tags for each sentence."""
    if not n_best:
        return
    if scores:
        raise click.UsageError(
            "--nbest: found --scores too, expected one of them: with --format jsonl, each sequence has its probability"
        )
    if format_ != "jsonl" and not (format_ == "conll" and is_stream):
        raise click.UsageError(
            f"--nbest: found --format {format_}, expected jsonl, or conll for a CoNLL file, which gets a column for"
            " each sequence"
        )


def parse_thresholds(text: str) -> Thresholds:
    """Parse `--min-probability`: `0.5,PER=0.9` is 0.9 for PER and 0.5 for the other types."""
    from tagger.prediction.documents import Thresholds

    found: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.rpartition("="))
        try:
            number = float(value)
        except ValueError:
            number = -1
        if not 0 <= number <= 1 or name in found or ("=" in part and not name):
            raise click.BadParameter(
                f"found {part!r}, expected a number from 0 to 1 or TYPE=NUMBER, each type only once, as in 0.5,PER=0.9",
                param_hint="--min-probability",
            )
        found[name] = number
    return Thresholds(general=found.pop("", 0.0), by_type=found)


def check_model(
    predictor: Predictor, format_: str, thresholds: Thresholds | None, *, span_scores: bool = False
) -> None:
    """Raise DataError if a model has no spans to write, or not the types that thresholds are given for."""
    if predictor.model.manifest.notation.scheme == NO_SCHEME:
        if span_scores:
            raise DataError(
                "--span-scores: found a model that predicts plain tags, expected one that predicts spans; use --scores"
            )
        if format_ not in _WITH_PLAIN_TAGS:
            raise DataError(
                f"--format: found {format_}, expected {', '.join(_WITH_PLAIN_TAGS[:-1])} or {_WITH_PLAIN_TAGS[-1]}: the"
                " model predicts plain tags, which mark no spans"
            )
        if thresholds is not None:
            raise DataError(
                "--min-probability: found a model that predicts plain tags, expected one that predicts spans; leave"
                " the option out"
            )
    types = sorted({split_tag(tag)[1] for tag in predictor.model.tags.tags} - {""})
    for name in thresholds.by_type if thresholds is not None else ():
        if name not in types:
            raise DataError(f"--min-probability: found the type {name!r}, expected one of the model's: {listed(types)}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """The input of `tagger predict`: its name, and how it is read.

    Attributes:
        path: the file or folder, or `-`.
        format_: the format that it is read by way of documents in, or None for a CoNLL stream.
        options: the settings for reading documents.
        language: the language of text without tokens, or None for that of the model.
        not_kept: what reading found and could not keep.
    """

    path: str
    format_: Format | None
    options: ReadOptions
    language: str | None
    not_kept: Reports

    def default_format(self, manifest: Manifest) -> str:
        """Return the format that is written unless another one is asked for."""
        if self.format_ is None:
            return "conll"
        chosen = _DEFAULTS.get(self.format_.name, "jsonl")
        return "jsonl" if manifest.notation.scheme == NO_SCHEME and chosen not in _WITH_PLAIN_TAGS else chosen

    @property
    def prompt(self) -> str:
        """What a person at a terminal is told to type."""
        if self.format_ is None:
            return "type CoNLL lines: a token on each line; an empty line ends a sentence, Ctrl-D ends the input"
        if self.format_.name == "text":
            return "type text; an empty line ends a paragraph, Ctrl-D ends the input"
        return f"type {self.format_.name}; Ctrl-D ends the input"


def chosen_source(
    path: str,
    manifest: Manifest,
    say: Callable[[str], None] = console.say,
    /,
    *,
    is_text: bool,
    read_as: str | None,
    language: str | None,
    columns: str | None,
    **given: str | None,
) -> Source:
    """Return the input that the options describe.

    Standard input is CoNLL unless an option says something else. The format of a file is that which every command
    reads it in, and named on standard error unless it is CoNLL. What no option says about another format is as in the
    training files, if those were not CoNLL either.

    Args:
        say: shows a message.
        given: `delimiter`, `encoding` and `offsets`.

    Raises:
        UsageError: two options contradict each other.
        DataError: there is no format of the name.
    """
    if is_text and read_as not in (None, "text"):
        raise click.UsageError(f"--text: found --from {read_as} too, expected one of them; leave one out")
    if language == "":
        raise click.UsageError("--language: found an empty name, expected a language such as en; leave the option out")
    format_ = _format_of(path, "text" if is_text else read_as, say)
    if format_ is not None and _is_as_trained(format_, manifest):
        format_ = None
    from tagger.formats.document import ReadOptions
    from tagger.formats.reports import Reports

    not_kept = Reports(say)
    if format_ is None:
        for name, value in (("language", language), ("offsets", given["offsets"])):
            if value is not None:
                raise click.UsageError(f"--{name}: found CoNLL, expected text or another format; leave the option out")
        return Source(path=path, format_=None, options=ReadOptions(), language=None, not_kept=not_kept)
    if format_.name == "text":
        for name, value in (("columns", columns), ("delimiter", given["delimiter"])):
            if value is not None:
                raise click.UsageError(f"--{name}: found raw text, which has no columns; leave the option out")
    from tagger.cli.convert import parse_named_columns

    read: dict[str, Any] = {name: manifest.conversion[name] for name in _AS_TRAINED if name in manifest.conversion}
    read |= {name: value for name, value in given.items() if value is not None}
    if columns is not None:
        read["columns"] = parse_named_columns(columns)
    options = ReadOptions(
        **read,
        report=not_kept.add,
        note=lambda text: say(with_own_options(f"note: {text}")),
    )
    return Source(path=path, format_=format_, options=options, language=language, not_kept=not_kept)


def _format_of(path: str, name: str | None, say: Callable[[str], None]) -> Format | None:
    """Return the format of an input, or None for CoNLL."""
    if name is None and (path == "-" or not Path(path).exists()):
        return None  # opening a file that does not exist says so
    if name == "text":  # only its own module is imported, so that the command starts quickly
        from tagger.formats.text import FORMAT

        return FORMAT
    from tagger.formats.registry import guess_source, named

    if name is not None:
        format_ = named(name)
    else:
        try:
            format_, why = guess_source(Path(path))
        except DataError:
            return None
        if format_.name != "conll":
            say(f"reading {path} as {format_.name} {why}")
    return None if format_.name == "conll" else format_


def _is_as_trained(format_: Format, manifest: Manifest) -> bool:
    """Return whether an input is CoNLL-U, as the training file was: it is then read and written line by line."""
    return format_.name == "conllu" and manifest.layout.index_column is not None


def tokenizer_of(
    source: Source, manifest: Manifest, say: Callable[[str], None] = console.say
) -> Callable[[Document], Document]:
    """Return a function that cuts a document into tokens; the tokenizer is named when it is first used."""
    from tagger.formats.tokenizing import tokenizing

    return tokenizing(source.language or manifest.language, lambda text: say(with_own_options(text)))


def with_tokens(documents: Iterable[Document], cut: Callable[[Document], Document]) -> Iterator[Document]:
    """Yield documents, those without tokens cut into tokens.

    Raises:
        DataError: the tokenizer is not installed, or does not know the language.
    """
    for document in documents:
        yield cut(document) if document.sentences is None else document
