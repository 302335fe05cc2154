"""The command `tagger next`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console, models
from tagger.cli.options import chosen_layout, engine_options, layout_options
from tagger.cli.predict import Source, chosen_source, tokenizer_of, with_tokens
from tagger.corpus.lines import open_corpus, shown_name
from tagger.corpus.schemes import SCHEMES
from tagger.errors import DataError
from tagger.wording import cell, counted

if TYPE_CHECKING:
    from tagger.formats.document import Document, Format, WriteOptions
    from tagger.prediction.predictor import Predictor
    from tagger.prediction.selection import Chosen, Selection

_SHOWN, _TEXT = 5, 60  # sentences that are shown, and characters of each


@click.command("next")
@click.argument("file", type=click.Path(), default="-")
@click.option(
    "-n",
    "n_chosen",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar="N",
    help="Sentences to choose.",
)
@click.option("-o", "--output", "out", default="-", metavar="OUT", help="File to write. Default: standard output.")
@click.option("--rest", metavar="REST", help="File for all other sentences of FILE.")
@click.option("--format", "format_", metavar="FORMAT", help="Format of OUT. Default: that of its name, else conll.")
@click.option("--without-tags", is_flag=True, help="Do not write what the model predicts.")
@click.option("--force", is_flag=True, help="Replace OUT and REST if they exist.")
@click.option("--json", "as_json", is_flag=True, help="Print what was chosen as one JSON object. Needs -o.")
@click.option("--from", "read_as", metavar="FORMAT", help="Format of FILE. Default: that which it looks like.")
@click.option("--language", help="Language of text without tokens. Default: that of the training data.")
@click.option(
    "--offsets",
    type=click.Choice(["characters", "utf-16", "bytes"]),
    help="Unit in which FILE and OUT count characters. Default: characters.",
)
@engine_options
@layout_options
def next_(
    file: str,
    n_chosen: int,
    out: str,
    rest: str | None,
    format_: str | None,
    without_tags: bool,
    force: bool,
    as_json: bool,
    read_as: str | None,
    language: str | None,
    offsets: str | None,
    model_dir: str | None,
    device: str,
    threads: int | None,
    **layout_options: str | None,
) -> None:
    """Choose the sentences to label next.

    Writes the N sentences of FILE that teach the model most for the work of labelling them, the most useful first.
    FILE is CoNLL, raw text, or anything else that tagger convert reads. The tags that the model predicts are written
    too, so that they need only be corrected.
    """
    if as_json and out == "-":
        raise click.UsageError(
            "--json: found no -o OUT, expected one: standard output holds the JSON object; add -o OUT"
        )
    models.require_input(file)
    predictor = models.load_predictor(model_dir, device, threads)
    source = chosen_source(
        file,
        predictor.model.manifest,
        is_text=False,
        read_as=read_as,
        language=language,
        offsets=offsets,
        **layout_options,
    )
    targets = _targets(source, out, rest, format_, force=force)
    _check_model(predictor, targets.written)
    if file == "-" and sys.stdin is not None and sys.stdin.isatty():
        console.say(source.prompt)
    from tagger.prediction.selection import Selection

    selection: Selection[Any] = Selection(n_chosen)
    with _readable_twice(file, is_wanted=rest is not None) as path:
        pool: _Lines | _Documents
        if source.format_ is None:
            pool = _Lines(predictor, path, shown_name(file), layout_options)
        else:
            pool = _Documents(predictor, source, path)
        pool.add_to(selection)
        chosen = selection.choose()
        if not chosen:
            raise DataError(
                "found no sentence, expected at least one; check the file, and --from", path=shown_name(file)
            )
        # The rest comes first, because the reader of a pipe that gets the chosen sentences may go away.
        if targets.rest is not None and rest is not None:
            pool.write_rest(chosen, targets.rest, _rest_format(source, rest))
        pool.write(chosen, targets, with_tags=not without_tags)
    for text in _summary(selection, chosen, n_chosen, shown_name(file)):
        console.say(text)
    if as_json:
        console.write((json.dumps(_facts(selection, chosen), ensure_ascii=False) + "\n").encode())


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Targets:
    """Where the sentences are written to.

    Attributes:
        written: the format of the chosen ones.
        out: their file, or None for standard output.
        rest: the file of the others, or None.
    """

    written: Format
    out: Path | None
    rest: Path | None


def _targets(source: Source, out: str, rest: str | None, format_: str | None, *, force: bool) -> _Targets:
    """Return where the sentences are written to.

    Raises:
        DataError: there is no such format, or the files cannot be written.
    """
    from tagger.formats.conll import FORMAT as CONLL
    from tagger.formats.output import check_target
    from tagger.formats.registry import guess_target, named

    written = CONLL
    if format_ is not None:
        written = named(format_, option="--format")
        if not written.is_written:
            raise DataError(f"--format: found {format_}, which can only be read, expected one that can be written")
    elif out != "-":
        with contextlib.suppress(DataError):
            written, _ = guess_target(Path(out))
    if out == "-" and written.blocks is None:
        raise DataError(f"--format: found {written.name}, which cannot go to a pipe, expected a file; add -o OUT")
    read = source.format_ or CONLL
    place = None if out == "-" else check_target(source.path, out, read, written, force=force)
    rest_place = None
    if rest is not None:
        rest_place = check_target(source.path, rest, read, _rest_format(source, rest), force=force)
        if rest_place == place:
            raise DataError(f"--rest: found {rest}, which is also OUT, expected another file; choose one")
    return _Targets(written=written, out=place, rest=rest_place)


def _rest_format(source: Source, rest: str) -> Format:
    """Return the format of the sentences that were not chosen: CoNLL stays CoNLL, others follow the name."""
    from tagger.formats.conll import FORMAT as CONLL
    from tagger.formats.jsonl import FORMAT as JSONL
    from tagger.formats.registry import guess_target

    if source.format_ is None:
        return CONLL
    with contextlib.suppress(DataError):
        return guess_target(Path(rest))[0]
    return source.format_ if source.format_.is_written else JSONL


def _check_model(predictor: Predictor, written: Format) -> None:
    from tagger.cli.predict import OUTPUT_FORMATS, check_model

    if written.name in OUTPUT_FORMATS:
        check_model(predictor, written.name, None)


@contextlib.contextmanager
def _readable_twice(file: str, *, is_wanted: bool) -> Iterator[Path]:
    """Give the path of the input; standard input and pipes are stored if they are to be read twice."""
    from tagger.formats.standard_input import stored

    if is_wanted and (file == "-" or not (Path(file).is_file() or Path(file).is_dir())):
        with stored(file) as path:
            yield path
    else:
        yield Path(file)


class _Lines:
    """The sentences of a CoNLL file: where they are read, and how they are written."""

    def __init__(self, predictor: Predictor, path: Path, name: str, options: dict[str, Any]) -> None:
        from tagger.prediction.unlabelled_lines import UnlabelledLines

        self._predictor, self._path = predictor, path
        self._layout = chosen_layout(predictor.model.manifest, **options)
        self._unlabelled = UnlabelledLines(predictor, self._layout, name)

    def add_to(self, selection: Selection[Any]) -> None:
        with open_corpus(self._path) as stream:
            self._unlabelled.add_to(selection, stream, models.warn)

    def write(self, chosen: Sequence[Chosen[Any]], targets: _Targets, *, with_tags: bool) -> None:
        if targets.written.name == "conll":
            _write_blocks(
                (self._unlabelled.block(one.candidate.payload, with_tags=with_tags) for one in chosen), targets.out
            )
            return
        documents = (self._unlabelled.document(one.candidate.payload) for one in chosen)
        _write_documents(documents, targets.out, targets.written, _write_options(self._predictor), with_tags=with_tags)

    def write_rest(self, chosen: Sequence[Chosen[Any]], place: Path, written: Format) -> None:
        with open_corpus(self._path) as stream:
            _write_blocks(self._unlabelled.rest(stream, [one.candidate for one in chosen]), place)


class _Documents:
    """The sentences of documents: where they are read, and how they are written."""

    def __init__(self, predictor: Predictor, source: Source, path: Path) -> None:
        from tagger.prediction.unlabelled_documents import UnlabelledDocuments

        self._predictor, self._source, self._path = predictor, source, path
        self._unlabelled = UnlabelledDocuments(predictor, shown_name(source.path))
        self._tokenize = tokenizer_of(source, predictor.model.manifest)

    def _read(self) -> Iterator[Document]:
        from tagger.formats.standard_input import read_stored

        source = self._source
        assert source.format_ is not None  # noqa: S101 (the caller's choice)
        is_stored = str(self._path) != str(Path(source.path))
        return (
            read_stored(self._path, source.path, source.format_, source.options)
            if is_stored
            else source.format_.read(self._path, source.options)
        )

    def add_to(self, selection: Selection[Any]) -> None:
        self._unlabelled.add_to(selection, with_tokens(self._read(), self._tokenize))
        for line in self._source.not_kept.lines():
            console.say(line)
        # The second time, it would all be said again.
        quiet = dataclasses.replace(self._source.options, report=lambda error: None, note=lambda text: None)
        self._source = dataclasses.replace(self._source, options=quiet)

    def write(self, chosen: Sequence[Chosen[Any]], targets: _Targets, *, with_tags: bool) -> None:
        documents = (self._unlabelled.document(one.candidate.payload) for one in chosen)
        options = dataclasses.replace(_write_options(self._predictor), offsets=self._source.options.offsets)
        if targets.written.name == "conll" and not with_tags:
            _write_blocks(map(_only_tokens, documents), targets.out)
            return
        _write_documents(documents, targets.out, targets.written, options, with_tags=with_tags)

    def write_rest(self, chosen: Sequence[Chosen[Any]], place: Path, written: Format) -> None:
        from tagger.formats.output import write_documents
        from tagger.formats.reports import Reports

        not_kept = Reports(console.say)
        options = dataclasses.replace(
            _write_options(self._predictor),
            offsets=self._source.options.offsets,
            predicted=False,
            report=not_kept.add,
        )
        documents = self._unlabelled.rest(
            self._read(), [one.candidate for one in chosen], self._tokenize, with_tokens=written.flat
        )
        write_documents(documents, place, written, options)
        for line in not_kept.lines():
            console.say(line)
        if self._unlabelled.n_cut:
            text = (
                f"{counted(self._unlabelled.n_cut, 'span')} of the rest left out: each reaches into a chosen sentence"
            )
            console.say(f"note: {text}")


def _write_options(predictor: Predictor) -> WriteOptions:
    from tagger.formats.document import WriteOptions

    scheme = predictor.model.manifest.notation.scheme
    options = WriteOptions(predicted=True)
    return dataclasses.replace(options, scheme=scheme) if scheme in SCHEMES else options


def _only_tokens(document: Document) -> bytes:
    """Return the tokens of a document of one sentence, each on a line."""
    from tagger.formats.document import encoded

    return encoded("".join(f"{document.covered(token)}\n" for token in document.tokens) + "\n", document)


def _without_spans(document: Document) -> Document:
    sentences = tuple(
        tuple(dataclasses.replace(token, tag=None) for token in tokens) for tokens in document.sentences or ()
    )
    return dataclasses.replace(document, spans=(), sentences=sentences)


def _write_documents(
    documents: Iterator[Document], place: Path | None, written: Format, options: WriteOptions, *, with_tags: bool
) -> None:
    from tagger.formats.output import write_documents

    if not with_tags:
        documents, options = map(_without_spans, documents), dataclasses.replace(options, predicted=False)
    if place is not None:
        write_documents(documents, place, written, options)
        return
    assert written.blocks is not None  # noqa: S101 (checked with the options)
    for block in written.blocks(documents, options):
        console.write(block)


def _write_blocks(blocks: Iterator[bytes], place: Path | None) -> None:
    from tagger.atomic import write_blocks_atomically
    from tagger.formats.output import gzipped

    if place is None:
        for block in blocks:
            console.write(block)
        return
    try:
        write_blocks_atomically(place, gzipped(blocks) if place.name.endswith(".gz") else blocks)
    except OSError as error:
        raise DataError(f"{place}: cannot be written: {error.strerror}; choose another place") from None


def _summary(selection: Selection[Any], chosen: Sequence[Chosen[Any]], n_asked: int, name: str) -> Iterator[str]:
    """Yield what was chosen, as lines for a person."""
    n_tokens = sum(one.candidate.n_tokens for one in chosen)
    n_errors = sum(one.candidate.expected_errors for one in chosen)
    yield (
        f"chosen: {len(chosen)} of {counted(selection.n_sentences, 'sentence')}, {n_tokens} of"
        f" {counted(selection.n_tokens, 'token')}, the most useful first"
    )
    yield (
        f"expected errors of the model: {n_errors:.1f} in them, {100 * n_errors / n_tokens:.1f} per 100 tokens;"
        f" {100 * selection.expected_errors / selection.n_tokens:.1f} per 100 tokens in all"
    )
    for one in chosen[:_SHOWN]:
        found = one.candidate.payload
        place = f"{name}:{found.line}" if found.line else name
        errors, size = one.candidate.expected_errors, counted(one.candidate.n_tokens, "token")
        yield f"  {place}: {errors:.1f} expected errors in {size}: {cell(found.text, _TEXT)}"
    if selection.n_repeated:
        yield f"{counted(selection.n_repeated, 'sentence')} passed over: each is equal to one that could be chosen"
    if len(chosen) < n_asked:
        yield f"note: found fewer different sentences than -n {n_asked}, so all of them are chosen"


def _facts(selection: Selection[Any], chosen: Sequence[Chosen[Any]]) -> dict[str, Any]:
    """Return what was chosen, for programs."""
    return {
        "sentences": selection.n_sentences,
        "tokens": selection.n_tokens,
        "expected_errors": selection.expected_errors,
        "repeated": selection.n_repeated,
        "chosen": [
            {
                "line": one.candidate.payload.line or None,
                **one.candidate.payload.facts,
                "tokens": one.candidate.n_tokens,
                "expected_errors": one.candidate.expected_errors,
                "gain": one.gain,
                "text": one.candidate.payload.text,
            }
            for one in chosen
        ],
    }
