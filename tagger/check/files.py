"""Read a corpus as `tagger train` would, but continue after each problem, and report everything that is odd.

An *error* is something that training or scoring would refuse. A *warning* is something that they would read, but that
was probably not intended.
"""

from __future__ import annotations

import codecs
import collections
import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tagger.check.characters import check_characters
from tagger.check.plausibility import signs_of_misreading, tags_that_look_unknown
from tagger.check.problems import (
    ERROR,
    WARNING,
    Problem,
    check_repeated_sentences,
    check_sequences,
    check_tokens,
    check_types,
    is_certain,
    quoted,
)
from tagger.check.sentences import check_marks, check_sentence_ends
from tagger.check.tokenization import check_tokenization
from tagger.corpus.conll import Sentence, read_sentences
from tagger.corpus.dataset import compare_columns, no_sentence, shown_sentences
from tagger.corpus.detection import Detected, Requested, detect_layout
from tagger.corpus.encodings import suggest_readings
from tagger.corpus.layout import Layout, own_delimiter
from tagger.corpus.lines import file_stamp, open_corpus, read_line_blocks, require_regular
from tagger.corpus.notation import (
    BadTag,
    Notation,
    looks_unknown,
    remedy_for_unknown,
)
from tagger.corpus.notation_detection import detect_notation, notation_of_other
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNKNOWN, spans_from_tags
from tagger.corpus.signs import named, signs_in_tag
from tagger.errors import DataError
from tagger.wording import with_options

# Options of the command, instead of keys of the config.
OPTIONS = {name: f"--{name}" for name in ("columns", "delimiter", "encoding", "scheme")}
OPTIONS["unknown_tag"] = "--unknown-tag"
_PERCENTILES = (50, 90, 99, 100)
_LINE_ENDS = {b"\n": "LF", b"\r\n": "CRLF", b"\r": "CR", b"\r\r\n": "CRCRLF"}
_DELIMITERS = {"\t": "TAB", " ": "space", None: "none"}


@dataclasses.dataclass(frozen=True)
class FileReport:
    """The report of `tagger check` on one file.

    Attributes:
        format: the detected properties: encoding, delimiter, columns, comments, scheme, line_ends, …
        counts: the numbers of sentences, tokens, entities, types, lengths, …
        problems: all problems, in the order of the file.
        sentences: the sentences that were read.
        tags: their canonical tags, with `O` in place of tags that do not fit the scheme.
        notation, layout: the notation and the layout that the file was read with.
        notes: what was chosen in reading the file, and what else was possible.
        stamp: the `file_stamp` of the file before it was read.
        is_converted: whether the file has another format, and was read by way of CoNLL.
    """

    path: str
    format: Mapping[str, Any]
    counts: Mapping[str, Any]
    problems: list[Problem]
    sentences: list[Sentence] = dataclasses.field(repr=False)
    tags: list[list[str]] = dataclasses.field(repr=False)
    notation: Notation = dataclasses.field(repr=False)
    layout: Layout = dataclasses.field(repr=False)
    notes: Sequence[str] = ()
    stamp: tuple[int, ...] | None = dataclasses.field(default=None, repr=False)
    is_converted: bool = False

    @property
    def n_errors(self) -> int:
        return sum(problem.severity == ERROR for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return the part of the output of `tagger check --json` that describes this file."""
        return {
            "path": self.path,
            "format": self.format,
            "counts": self.counts,
            "notes": list(self.notes),
            "first_sentences": shown_sentences(self.sentences),
            "problems": [problem.to_json() for problem in self.problems],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckSettings(Requested):
    """The settings for reading the files, from the config or the options; what is not set is detected.

    Attributes:
        unknown_tag: the tag of tokens that are not annotated, or None.
        language: the language of the text, or None; without it, nothing is said of the tokenizer.
    """

    scheme: str = "auto"
    unknown_tag: str | None = None
    language: str | None = None


@dataclasses.dataclass(frozen=True)
class Together:
    """The one layout and notation of several training files."""

    layout: Layout
    notation: Notation


def check_file(
    path: str, settings: CheckSettings, *, like: FileReport | None = None, together: Together | None = None
) -> FileReport:
    """Check one file.

    Args:
        path: the file to check.
        settings: the settings for reading it.
        like: a report on another file, whose layout and notation are used instead of the settings, as training reads
            its dev and test files.
        together: how all training files together are read, if this is one of several.

    Raises:
        DataError: the file cannot be opened, or a setting is unusable.
    """
    require_regular(path)
    stamp = file_stamp(path)
    problems: list[Problem] = []
    detected = Detected(layout=like.layout) if like is not None else None
    if detected is None:
        detected = _detect(path, settings, settings.encoding or _detect_encoding(path, problems))
    layout = detected.layout if together is None else together.layout
    bytes_found = _scan_bytes(path, layout)
    problems += bytes_found.problems
    sentences = _read(path, layout, problems, n_columns=layout.n_columns if like is None else None)
    notes = list(detected.notes)
    if like is not None:
        notation = notation_of_later(sentences, like.notation)
        note, doubt = compare_columns(sentences, layout)
        notes += [note] if note is not None else []
        problems += [Problem(0, ERROR, doubt, "columns")] if doubt is not None else []
    elif together is not None:
        notation = together.notation
    else:
        notation = notation_of_training(sentences, settings.scheme, problems, settings.unknown_tag)
    tags = _canonical_tags(sentences, notation, problems)
    signs = [*detected.doubts] or signs_of_misreading(sentences, tags, layout, notation)
    problems += [Problem(0, WARNING, sign, "misread") for sign in signs]
    problems += [Problem(0, WARNING, text, "unknown-tag") for text in tags_that_look_unknown(sentences, notation)]
    problems += check_sentence_ends(sentences) + check_marks(sentences, layout.encoding)
    for check in (check_sequences, check_tokens, check_types, check_repeated_sentences, check_characters):
        problems += check(sentences, tags, notation)
    if like is None and settings.language is not None:
        problems += check_tokenization(sentences, settings.language)
    if not sentences:
        problems.append(Problem(0, ERROR, no_sentence(layout), "no-sentence"))
    return FileReport(
        path,
        _format(layout, notation, bytes_found),
        _counts(sentences, tags, notation),
        sorted(_with_options(problem) for problem in problems),
        sentences,
        tags,
        notation,
        layout,
        notes=[with_options(note, OPTIONS) for note in notes],
        stamp=stamp,
    )


def _with_options(problem: Problem) -> Problem:
    message, common = (with_options(text, OPTIONS) for text in (problem.message, problem.common))
    return dataclasses.replace(problem, message=message, common=common)


# --- Bytes ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Bytes:
    line_ends: dict[str, int]
    delimiters: dict[str, int]
    byte_order_mark: bool
    final_newline: bool
    problems: list[Problem]


def _scan_bytes(path: str, layout: Layout) -> _Bytes:
    comments = None if layout.comments is None else layout.comments.encode(layout.encoding)
    n_ends: collections.Counter[bytes] = collections.Counter()
    n_delimiters: collections.Counter[str | None] = collections.Counter()
    problems, number, last = [], 0, b""
    mark = False
    with open_corpus(path) as stream:
        for lines in read_line_blocks(stream, path=path):
            mark = mark or (number == 0 and lines[0].startswith(codecs.BOM_UTF8))
            for line in lines:
                number += 1
                body = line.rstrip(b"\r\n")
                before, last = last, line[len(body) :]
                if not body and last == b"\r\n" and before == b"\r":
                    n_ends[b"\r"] -= 1
                    n_ends[b"\r\r\n"] += 1  # a line end and a blank line, but one kind of line end
                    continue
                n_ends[last] += 1
                if body.strip(b" \t") and (comments is None or not body.startswith(comments)):
                    n_delimiters[own_delimiter(body)] += 1
                if b"\0" in body:
                    text = "the line contains a NUL byte; is this a text file?"
                    problems.append(Problem(number, WARNING, text, "nul-byte"))
    final_newline = not n_ends.pop(b"", 0)
    ends = {_LINE_ENDS[end]: n for end, n in (+n_ends).items()}
    delimiters = {_DELIMITERS[delimiter]: n for delimiter, n in n_delimiters.items()}
    if len(ends) > 1:
        listed = ", ".join(f"{n} {_LINE_ENDS[end]}" for end, n in (+n_ends).most_common())
        problems.append(Problem(0, WARNING, f"mixed line ends: {listed}", "line-ends"))
    return _Bytes(ends, delimiters, mark, final_newline, problems)


def _detect_encoding(path: str, problems: list[Problem]) -> str:
    with open_corpus(path) as stream:
        data = stream.read()
    with contextlib.suppress(UnicodeDecodeError):
        data.decode("utf-8")
        return "utf-8"
    readings = suggest_readings(data)
    if not readings:
        return "utf-8"  # damaged UTF-8, whose wrong bytes are reported with their lines
    encoding, words = readings[0]
    others = "; or ".join(f"{other} would read {', '.join(forms)}" for other, forms in readings[1:])
    text = (
        f"the file is not valid utf-8; it is read here as {encoding}, with words such as {', '.join(words)}"
        f"{f' ({others})' if others else ''}; name the encoding with --encoding"
    )
    problems.append(Problem(0, ERROR, text, "encoding"))
    return encoding


# --- Layout -----------------------------------------------------------------------------------------------------------


def _detect(path: str, settings: CheckSettings, encoding: str) -> Detected:
    requested = dataclasses.replace(settings, encoding=encoding)
    try:
        return detect_layout(path, requested)
    except DataError as error:
        if not error.line:
            raise
    # A wrong byte is reported with its line later.
    found = detect_layout(path, dataclasses.replace(requested, encoding="latin-1"))
    return dataclasses.replace(found, layout=dataclasses.replace(found.layout, encoding=encoding))


def _read(path: str, layout: Layout, problems: list[Problem], n_columns: int | None) -> list[Sentence]:
    def report(error: DataError) -> None:
        problems.append(Problem(error.line, ERROR, error.text, error.kind, error.common))

    with open_corpus(path) as stream:
        read = read_sentences(stream, layout, path=path, gold=True, n_columns=n_columns, report=report)
        return [sentence for sentence in read if sentence.tokens]


# --- Tags -------------------------------------------------------------------------------------------------------------


def notation_of_training(
    sentences: Sequence[Sentence], scheme: str, problems: list[Problem], unknown: str | None = None
) -> Notation:
    """Detect the notation from all tags that fit one; report it and assume plain tags if none can be detected."""
    bad = {""}  # a missing tag, which the reader reports
    while True:
        fitting = [[tag for tag in sentence.tags if tag not in bad] for sentence in sentences]
        try:
            notation, notes = detect_notation(fitting, scheme, unknown)
        except BadTag as found:
            bad |= set(found.tags)
        except DataError as error:
            problems.append(Problem(0, ERROR, error.message, "scheme"))
            return Notation(scheme=NO_SCHEME, unknown=unknown)
        else:
            problems += [Problem(0, WARNING, note, "notation") for note in notes if notation.scheme != NO_SCHEME]
            return notation


def notation_of_later(sentences: Sequence[Sentence], trained: Notation) -> Notation:
    """Return the notation of a dev or test file, as training and scoring read it."""
    try:
        return notation_of_other([[tag for tag in sentence.tags if tag] for sentence in sentences], trained)
    except BadTag:  # `_canonical_tags` reports it
        return trained


def _canonical_tags(sentences: Sequence[Sentence], notation: Notation, problems: list[Problem]) -> list[list[str]]:
    """Return canonical tags, with `O` in place of tags that are missing or do not fit.

    Each tag that does not fit is reported.
    """
    spelled = {tag for sentence in sentences for tag in sentence.tags}
    cache = {tag: notation.canonical(tag) for tag in spelled if is_certain(tag, notation)}
    for sentence in sentences:
        for i, tag in enumerate(sentence.tags):
            if tag and tag not in cache:
                signs = signs_in_tag(tag)
                held = f" (it holds {named(signs)})" if signs else ""
                remedy = remedy_for_unknown(tag) if looks_unknown(tag) else "fix it"
                rest = f"does not fit the scheme {notation.scheme}{held}; {remedy}"
                text, common = f"tag {quoted(tag)} of {quoted(sentence.tokens[i])} {rest}", f"the tag {rest}"
                problems.append(Problem(sentence.line_number(i), ERROR, text, "bad-tag", common, quoted(tag)))
    return [[cache.get(tag, OUTSIDE) for tag in sentence.tags] for sentence in sentences]


# --- Report -----------------------------------------------------------------------------------------------------------


def _format(layout: Layout, notation: Notation, found: _Bytes) -> dict[str, Any]:
    delimiter = layout.delimiter
    if delimiter in ("auto", "tab"):
        usual = max(found.delimiters, key=lambda name: found.delimiters[name], default="none")
        delimiter = usual if len(found.delimiters) < 2 else f"{usual} (auto: {_listed(found.delimiters)} lines)"
    return {
        "encoding": layout.encoding,
        "byte_order_mark": found.byte_order_mark,
        "line_ends": found.line_ends,
        "final_newline": found.final_newline,
        "delimiter": delimiter,
        "n_columns": layout.n_columns,
        "columns": dict(layout.columns),
        "header": list(layout.header),
        "index_column": layout.index_column,
        "tag_key": layout.tag_key,
        "comments": layout.comments,
        "scheme": notation.scheme,
        "outside": notation.outside if notation.scheme != NO_SCHEME else None,
    }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda item: -item[1]))


def _counts(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> dict[str, Any]:
    lengths = [len(sentence.tokens) for sentence in sentences]
    percentiles = np.percentile(lengths, _PERCENTILES, method="inverted_cdf") if lengths else np.zeros(4)
    spelled = {tag for sentence in sentences for tag in sentence.tags}
    return {
        "sentences": len(sentences),
        "tokens": sum(lengths),
        "distinct_tokens": len({token for sentence in sentences for token in sentence.tokens}),
        **counts_of_tags(tags, notation.scheme),
        "tags": len(
            {notation.canonical(tag) for tag in spelled if is_certain(tag, notation) and tag != notation.unknown}
        ),
        **({} if notation.unknown is None else {"not_annotated": sum(row.count(UNKNOWN) for row in tags)}),
        "lengths": {("max" if p == 100 else f"p{p}"): int(n) for p, n in zip(_PERCENTILES, percentiles, strict=True)},
    }


def counts_of_tags(tags: Sequence[Sequence[str]], scheme: str) -> dict[str, Any]:
    """Return the part of `FileReport.counts` that canonical tags decide."""
    types: collections.Counter[str] = collections.Counter()
    if scheme != NO_SCHEME:
        types.update(span.type for sentence_tags in tags for span in spans_from_tags(sentence_tags))
    return {
        "entities": types.total(),
        "types": dict(types.most_common()),
        "tags": len({tag for sentence_tags in tags for tag in sentence_tags} - {UNKNOWN}),
    }
