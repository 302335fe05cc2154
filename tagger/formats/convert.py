"""Conversion of a file from one format to another, by way of documents."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tagger.corpus.lines import shown_name
from tagger.errors import DataError
from tagger.formats import jsonl
from tagger.formats.alignment import REFUSED, Align, Case, Fitting, Overlap, fit
from tagger.formats.document import Document, Format, ReadOptions, WriteOptions
from tagger.formats.jsonl_forms import FLAT_FIELDS
from tagger.formats.output import check_target, write_documents
from tagger.formats.registry import guess_source, guess_target, named
from tagger.formats.reports import SHOWN, Reports
from tagger.formats.standard_input import read_standard_input
from tagger.wording import counted

_MOST_TYPES = 20
_MANY = 20  # sentences of one token each, so many that something must be wrong
NO_SUCH_TYPE = "warning: no span has the type"
_ONE_TOKEN_EACH = "warning: each sentence has one token; tagger check says what is wrong with a CoNLL file"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a conversion.

    Attributes:
        source, target: the names of the formats, or None to guess them.
        align, overlap: as in `Fitting`, or None: spans must then fit if the format that is written needs that.
        types: the entity types to keep, or None for all.
        read, write: the settings for reading and writing; what they report is part of the summary.
        force: whether to replace what is there.
        tokenize: returns a document with tokens, for documents without any and formats that need them.
    """

    source: str | None = None
    target: str | None = None
    align: Align | None = None
    overlap: Overlap | None = None
    types: frozenset[str] | None = None
    read: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    write: WriteOptions = dataclasses.field(default_factory=WriteOptions)
    force: bool = False
    tokenize: Callable[[Document], Document] | None = None


def convert(
    source: str,
    target: str,
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda text: None,
    out: Callable[[bytes], None] = lambda block: None,
) -> Summary:
    """Convert a file or folder; the result is there only if all of it could be written.

    Args:
        source: the file or folder to read; `-` is standard input.
        target: the file or folder to write; `-` is `out`.
        settings: the settings.
        say: called with each message: the formats, what was found, and what was changed or not kept.
        out: writes to standard output, where what was written stays even after an error.

    Raises:
        DataError: the source cannot be read, spans do not fit, or the target cannot be written.
    """
    read, why = (named(settings.source), "") if settings.source else guess_source(Path(source))
    written, why_written = (
        (named(settings.target, option="--to"), "") if settings.target else guess_target(Path(target))
    )
    say(_chosen("reading", shown_name(source), read, why))
    say(_chosen("writing", "<standard output>" if target == "-" else target, written, why_written))
    _check_formats(read, written, source, target)
    place = None if target == "-" else check_target(source, target, read, written, force=settings.force)
    summary = Summary(say, read, written)
    reading = dataclasses.replace(settings.read, report=summary.not_kept.add, note=lambda text: say(f"note: {text}"))
    writing = dataclasses.replace(settings.write, report=summary.not_kept.add)
    twice = source == "-" and read.flat
    found = read_standard_input(read, reading) if twice else read.read(Path(source), reading)
    documents = _fitted(found, settings, written, summary, shown_name(source))
    if place is not None:
        write_documents(documents, place, written, writing)
    elif written.blocks is not None:
        for block in written.blocks(documents, writing):
            out(block)
    for text in summary.lines(settings.types):
        say(text)
    return summary


def _chosen(verb: str, path: str, format_: Format, why: str) -> str:
    return f"{verb} {path} as {format_.name}{f' {why}' if why else ''}"


def _check_formats(read: Format, written: Format, source: str, target: str) -> None:
    """Raise DataError if a format cannot be written, or not through a pipe."""
    if not written.is_written:
        raise DataError(f"--to: found {written.name}, which can only be read, expected a format that can be written")
    if target == "-" and written.blocks is None:
        raise DataError(f"<standard output>: {written.name} cannot go to a pipe, expected a name; write it to a path")
    if source == "-" and read.folder:
        raise DataError(f"{shown_name(source)}: {read.name} is a folder of files, expected its name")


class Summary:
    """The counts of a conversion, and its messages; of equal ones, the first few are shown as they come.

    Attributes:
        n_documents, n_sentences, n_tokens: the numbers of what was written.
        types: the number of written spans of each type.
        seen: the types of all spans that were read.
        changes: the number of spans that could not stay as they were, by the reason and what was done.
        not_kept: the things that could not be kept.
    """

    def __init__(self, say: Callable[[str], None], read: Format, written: Format) -> None:
        self.n_documents = self.n_sentences = self.n_tokens = 0
        self.types: collections.Counter[str] = collections.Counter()
        self.seen: set[str] = set()
        self.changes: collections.Counter[tuple[str, str]] = collections.Counter()
        self.not_kept = Reports(say)
        self._say, self._read, self._written = say, read, written

    def add_cases(self, cases: Iterable[Case]) -> None:
        """Count spans that could not stay as they were. All refused ones are shown, and the first few others."""
        for case in cases:
            kind = case.reason, case.action
            self.changes[kind] += 1
            if case.action == REFUSED or self.changes[kind] <= SHOWN:
                self._say(str(case))

    def add(self, document: Document) -> None:
        """Count a document that is written."""
        self.n_documents += 1
        self.n_sentences += len(document.sentences or ())
        self.n_tokens += len(document.tokens)
        self.types.update(span.type for span in document.spans)
        if document.fields and self._read.name != self._written.name:
            kept = self._written.fields
            for name in () if kept is None else document.fields.keys() - kept:
                text = f"what {self._read.name} says of a document beside its text is not kept: {name}"
                self.not_kept.counts[text] += 1

    @property
    def target_name(self) -> str:
        """The name of the format that is written."""
        return self._written.name

    @property
    def n_refused(self) -> int:
        """The number of spans that do not fit, without a setting that says what to do with them."""
        return sum(n for (_, action), n in self.changes.items() if action == REFUSED)

    def lines(self, types: frozenset[str] | None) -> list[str]:
        """Return the counts as text.

        Args:
            types: the entity types that were asked for.
        """
        spans = ", ".join(f"{name} {n}" for name, n in self.types.most_common(_MOST_TYPES))
        more = f" and {len(self.types) - _MOST_TYPES} more types" if len(self.types) > _MOST_TYPES else ""
        counts = (
            (self.n_documents, "document"), (self.n_sentences, "sentence"), (self.n_tokens, "token"),
            (self.types.total(), "span"),
        )  # fmt: skip
        missing = sorted((types or frozenset()) - self.seen)
        return [
            ", ".join(counted(n, noun) for n, noun in counts) + (f": {spans}{more}" if spans else ""),
            *(f"{counted(n, 'span')} {action}: each {reason}" for (reason, action), n in self.changes.items()),
            *self.not_kept.lines(),
            *(f"{NO_SUCH_TYPE} {name}" for name in missing),
            *([_ONE_TOKEN_EACH] if self.n_tokens == self.n_sentences >= _MANY else []),
        ]


def _fitted(
    documents: Iterable[Document], settings: Settings, written: Format, summary: Summary, source: str
) -> Iterator[Document]:
    """Yield documents as the format that is written can hold them.

    Once a span is refused, no more documents are written, but all of them are looked at.

    Raises:
        DataError: after the last document, if spans were refused or there was no document.
    """
    flat = written.flat or (written is jsonl.FORMAT and settings.write.fields in FLAT_FIELDS)
    fitting = Fitting(
        align=settings.align or ("error" if flat else None),
        overlap=settings.overlap or ("error" if flat else None),
        types=settings.types,
    )
    found = False
    for document in documents:
        found = True
        if flat and document.sentences is None and settings.tokenize is not None:
            document = settings.tokenize(document)
        summary.seen.update(span.type for span in document.spans)
        fitted, cases = fit(document, fitting)
        summary.add_cases(cases)
        if not summary.n_refused:
            summary.add(fitted)
            yield fitted
    if not found:
        raise DataError(
            "found no document, expected at least one; check the file, or name its format with data.format", path=source
        )
    if summary.n_refused:
        raise _refused(summary, source)


def _refused(summary: Summary, source: str) -> DataError:
    """Return the error that counts the spans that do not fit, by reason, and says what can be done."""
    refused = {reason: n for (reason, action), n in summary.changes.items() if action == REFUSED}
    overlapping = {reason: n for reason, n in refused.items() if "another span" in reason}
    remedies = []
    if len(refused) > len(overlapping):
        remedies.append("data.align to expand, contract, split or drop")
    if overlapping:
        remedies.append("data.overlap to longest, first, outer or inner")
    text = f"found {counted(summary.n_refused, 'span')} that {summary.target_name} cannot hold, all listed, expected"
    return DataError(
        f"{text} spans of whole tokens that do not overlap; fix them, or set {' and '.join(remedies)}",
        path=source,
        detail=[f"{n} × {reason}" for reason, n in sorted(refused.items(), key=lambda item: -item[1])],
    )
