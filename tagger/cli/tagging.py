"""Tagging one input as the options of `tagger predict` say, into standard output or into a file."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tagger.cli.options import chosen_layout
from tagger.cli.predict import (
    FORMAT_MODULES,
    Source,
    check_model,
    check_n_best,
    chosen_source,
    chosen_thresholds,
    stored_thresholds,
    tokenizer_of,
    with_tokens,
)
from tagger.corpus.lines import open_corpus, shown_name
from tagger.corpus.schemes import SCHEMES
from tagger.wording import counted

if TYPE_CHECKING:
    from tagger.formats.document import Document, Format, Offsets
    from tagger.model_dir.manifest import Manifest
    from tagger.prediction.documents import Thresholds
    from tagger.prediction.predictor import Predictor
    from tagger.prediction.stream import Tagged


class Output(Protocol):
    """The place of what is tagged, and of the messages about it; the module `cli.console` is one."""

    def write(self, data: bytes, /) -> None:
        """Write data."""

    def flush(self) -> None:
        """Hand over what was written so far."""

    def say(self, text: str, /) -> None:
        """Show a message."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
    """The options of `tagger predict` that decide what is written.

    Attributes:
        is_text, read_as, language, offsets: how the input is read.
        scores, span_scores: whether to add a column of probabilities.
        format_: the format that is written; None for the usual one of the input.
        min_probability: the value of the option, or None.
        n_best: the number of sequences of tags, or 0.
        columns, delimiter, encoding: the layout of the input, where it is not that of the training files.
    """

    is_text: bool = False
    read_as: str | None = None
    language: str | None = None
    offsets: str | None = None
    scores: bool = False
    span_scores: bool = False
    format_: str | None = None
    min_probability: str | None = None
    n_best: int = 0
    columns: str | None = None
    delimiter: str | None = None
    encoding: str | None = None

    @property
    def layout(self) -> dict[str, str | None]:
        """The options for the layout."""
        return {"columns": self.columns, "delimiter": self.delimiter, "encoding": self.encoding}

    def source(self, path: str, manifest: Manifest, say: Callable[[str], None]) -> Source:
        """Return the input that the options describe, as `chosen_source` does."""
        return chosen_source(
            path,
            manifest,
            say,
            is_text=self.is_text,
            read_as=self.read_as,
            language=self.language,
            offsets=self.offsets,
            **self.layout,
        )


def output_format(wanted: Wanted, source: Source, manifest: Manifest) -> str:
    """Return the name of the format that is written."""
    return wanted.format_ or source.default_format(manifest)


def tag_input(
    predictor: Predictor,
    path: str,
    wanted: Wanted,
    out: Output,
    *,
    line_buffered: bool = False,
    begin: Callable[[Source], None] = lambda source: None,
) -> None:
    """Tag an input, and write it.

    What was tagged before an error is written, and then the error is raised.

    Args:
        path: the file or folder, or `-`.
        line_buffered: tag each sentence before the next one is read.
        begin: called before anything is read, once the options are known to fit.

    Raises:
        UsageError: an option does not fit the input.
        DataError: the input cannot be read or tagged.
    """
    manifest = predictor.model.manifest
    source = wanted.source(path, manifest, out.say)
    is_stream, has_scores = source.format_ is None, wanted.scores or wanted.span_scores
    format_ = output_format(wanted, source, manifest)
    thresholds = chosen_thresholds(format_, wanted.min_probability, scores=has_scores, is_stream=is_stream)
    stored = stored_thresholds(manifest, format_)
    check_n_best(wanted.n_best, format_, scores=has_scores, is_stream=is_stream)
    check_model(predictor, format_, thresholds, span_scores=wanted.span_scores)
    thresholds = thresholds or stored
    begin(source)
    if is_stream:
        _tag_stream(predictor, path, wanted, format_, thresholds, out, line_buffered=line_buffered)
    else:
        n_best = wanted.n_best
        _write_documents(predictor, source, format_, thresholds, out, n_best=n_best, line_buffered=line_buffered)


def _tag_stream(
    predictor: Predictor,
    path: str,
    wanted: Wanted,
    format_: str,
    thresholds: Thresholds | None,
    out: Output,
    *,
    line_buffered: bool,
) -> None:
    """Tag CoNLL, which is written back line by line, or as documents in another format."""
    from tagger.prediction.stream import tag_conll, tag_file

    layout = chosen_layout(predictor.model.manifest, **wanted.layout)
    with open_corpus(path) as stream:
        how: dict[str, Any] = {
            "path": shown_name(path),
            "line_buffered": line_buffered,
            "warn": lambda text: out.say(f"warning: {text}"),
            "n_best": wanted.n_best,
        }
        if format_ != "conll":
            groups = tag_file(predictor, stream, layout, probabilities=True, spans=True, **how)
            _write_conll_stream(predictor, groups, format_, thresholds, out, n_best=wanted.n_best, path=how["path"])
            return
        how |= {"scores": wanted.scores, "span_scores": wanted.span_scores}
        for block in tag_conll(predictor, stream, layout, **how):
            out.write(block)
            out.flush()


def _write_conll_stream(
    predictor: Predictor,
    groups: Iterable[list[Tagged]],
    format_: str,
    thresholds: Thresholds | None,
    out: Output,
    *,
    n_best: int,
    path: str,
) -> None:
    """Write the documents of a tagged CoNLL stream as they end.

    The sentences before an error are written, and then the error is raised.
    """
    from tagger.prediction.documents import Found, TaggedDocuments, Thresholds

    found = Found(predictor, thresholds or Thresholds())
    documents = TaggedDocuments(path, found, n_best=n_best > 0)
    _write(predictor, (documents.add(group) for group in groups), documents.end, format_, out)
    if documents.n_empty:
        out.say(
            f"warning: {path}: {counted(documents.n_empty, 'empty token')} left out; --format conll keeps the lines"
        )
    if thresholds is not None:
        out.say(found.left_out_text())


def _write_documents(
    predictor: Predictor,
    source: Source,
    format_: str,
    thresholds: Thresholds | None,
    out: Output,
    *,
    n_best: int,
    line_buffered: bool,
) -> None:
    """Tag the documents of an input, and write them.

    The documents before an error are written, and then the error is raised.
    """
    from tagger.prediction.document_tagging import DocumentTagger
    from tagger.prediction.documents import Found, Thresholds

    assert source.format_ is not None  # noqa: S101 (the caller's choice)
    found = Found(predictor, thresholds or Thresholds())
    tagger = DocumentTagger(predictor, found, n_best=n_best)
    documents = source.format_.read(Path(source.path), source.options)
    groups = tagger.tag(
        with_tokens(documents, tokenizer_of(source, predictor.model.manifest, out.say)), line_buffered=line_buffered
    )
    _write(predictor, groups, lambda: (), format_, out, offsets=source.options.offsets)
    for line in source.not_kept.lines():
        out.say(line)
    if tagger.n_replaced:
        out.say(
            f"note: {shown_name(source.path)}: {counted(tagger.n_replaced, 'span')} of the input replaced by the"
            " model's"
        )
    if thresholds is not None:
        out.say(found.left_out_text())


def _write(
    predictor: Predictor,
    groups: Iterable[Iterable[Document]],
    end: Callable[[], Iterable[Document]],
    format_: str,
    out: Output,
    offsets: Offsets = "characters",
) -> None:
    """Write groups of documents and those at the `end`, also after an error, which is raised afterwards."""
    from tagger.formats.document import WriteOptions

    failures: list[Exception] = []

    def documents() -> Iterator[Document]:
        try:
            for group in groups:
                yield from group
                out.flush()  # all that was yielded has been written
        except Exception as error:  # any error, because it is raised again
            failures.append(error)
        yield from end()

    blocks = _format(format_).blocks
    assert blocks is not None  # noqa: S101 (all of these formats have it)
    scheme = predictor.model.manifest.notation.scheme
    # What a format cannot hold is not reported: it was chosen for what it holds.
    options = WriteOptions(offsets=offsets, predicted=True)
    if scheme in SCHEMES:
        options = dataclasses.replace(options, scheme=scheme)
    for block in blocks(documents(), options):
        out.write(block)
    out.flush()
    if failures:
        raise failures[0]


def _format(name: str) -> Format:
    """Return a format; only its own module is imported, so that the command starts quickly."""
    format_: Format = importlib.import_module(f"tagger.formats.{FORMAT_MODULES[name]}").FORMAT
    return format_
