"""The output of `tagger predict` in other forms than CoNLL, and its options."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import click

from tagger.cli import console
from tagger.corpus.schemes import NO_SCHEME, SCHEMES, split_tag
from tagger.errors import DataError
from tagger.wording import counted, listed

if TYPE_CHECKING:
    from tagger.formats.document import Document, Format
    from tagger.prediction.documents import Thresholds
    from tagger.prediction.predictor import Predictor
    from tagger.prediction.stream import Tagged

# The name in --format → the module in tagger.formats
_MODULES = {"jsonl": "jsonl", "spans": "spans", "html": "html", "text": "marked"}
DOCUMENT_FORMATS = tuple(_MODULES)
_WITH_PLAIN_TAGS = ("conll", "jsonl")


def chosen_thresholds(format_: str, text: str | None, *, scores: bool) -> Thresholds | None:
    """Return the value of `--min-probability`, or None without it.

    Raises:
        UsageError: an option does not fit the format.
    """
    if scores and format_ != "conll":
        raise click.UsageError(
            f"--scores: found --format {format_}, expected conll, which gets one more column; jsonl, spans and html"
            " hold the probability of each span without it"
        )
    if text is None:
        return None
    if format_ == "conll":
        raise click.UsageError(
            "--min-probability: found --format conll, whose tags are always the model's, expected --format"
            f" {', '.join(DOCUMENT_FORMATS[:-1])} or {DOCUMENT_FORMATS[-1]}"
        )
    return parse_thresholds(text)


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


def check_model(predictor: Predictor, format_: str, thresholds: Thresholds | None) -> None:
    """Raise DataError if a model has no spans to write, or not the types that thresholds are given for."""
    if predictor.model.manifest.notation.scheme == NO_SCHEME:
        if format_ not in _WITH_PLAIN_TAGS:
            raise DataError(
                f"--format: found {format_}, expected conll or jsonl: the model predicts plain tags, which mark no"
                " spans"
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


def write_documents(
    predictor: Predictor,
    groups: Iterable[list[Tagged]],
    format_: str,
    thresholds: Thresholds | None,
    *,
    path: str,
    warn: Callable[[str], None],
) -> None:
    """Write the documents of a tagged stream to standard output as they end.

    The sentences before an error are written, and then the error is raised.
    """
    from tagger.formats.document import WriteOptions
    from tagger.prediction.documents import TaggedDocuments, Thresholds

    found = TaggedDocuments(predictor, path, thresholds or Thresholds())
    failures: list[Exception] = []

    def documents() -> Iterator[Document]:
        try:
            for group in groups:
                yield from found.add(group)
                console.flush()  # all that was yielded has been written
        except Exception as error:  # any error, because it is raised again
            failures.append(error)
        yield from found.end()

    blocks = _format(format_).blocks
    assert blocks is not None  # noqa: S101 (all of these formats have it)
    scheme = predictor.model.manifest.notation.scheme
    # What a format cannot hold is not reported: it was chosen for what it holds.
    options = WriteOptions(scheme=scheme) if scheme in SCHEMES else WriteOptions()
    for block in blocks(documents(), options):
        console.write(block)
    console.flush()
    if found.n_empty:
        warn(f"{path}: {counted(found.n_empty, 'empty token')} left out; --format conll keeps the lines")
    if thresholds is not None:
        console.say(found.left_out_text())
    if failures:
        raise failures[0]


def _format(name: str) -> Format:
    """Return a format; only its own module is imported, so that the command starts quickly."""
    format_: Format = importlib.import_module(f"tagger.formats.{_MODULES[name]}").FORMAT
    return format_
