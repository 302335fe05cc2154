"""Read a corpus as `tagger train` would, but go on after each problem, and say everything that is odd about it.

An *error* is what training or scoring would refuse. A *warning* is what they read, but what was probably not meant.
"""

from __future__ import annotations

import codecs
import collections
import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tagger.corpus.conll import Sentence, own_delimiter, read_sentences
from tagger.corpus.dataset import detect_layout
from tagger.corpus.encodings import suggest_encodings
from tagger.corpus.layout import Layout, looks_like_tag
from tagger.corpus.lines import open_corpus, read_line_blocks, require_regular
from tagger.corpus.notation import BadTag, Notation, detect_notation
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, is_legal, legal_transitions, spans_from_tags, tags_from_spans
from tagger.errors import DataError

ERROR, WARNING = "error", "warning"
_TAG_SHARE = 0.9  # of a column's values that look like tags, for the column to be taken for the tags'
_SAMPLE_LINES = 20_000  # from which the columns are guessed
_PERCENTILES = (50, 90, 99, 100)


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """Something wrong (`error`) or odd (`warning`) on a line of a file; line 0 is the file as a whole."""

    line: int
    severity: str
    message: str

    def format(self, path: str) -> str:
        where = f"{path}:{self.line}" if self.line else path
        return f"{where}: {self.severity}: {self.message}"


@dataclasses.dataclass(frozen=True)
class FileReport:
    """All that `tagger check` says of one file.

    Attributes:
        format: what was detected: encoding, delimiter, columns, comments, scheme, line_ends, …
        counts: sentences, tokens, entities, types, lengths, …
        problems: in the order of the file.
        sentences, tags: what was read; canonical tags, `O` in the place of those that fit no scheme.
        notation, layout: by which it was read.
    """

    path: str
    format: Mapping[str, Any]
    counts: Mapping[str, Any]
    problems: list[Problem]
    sentences: list[Sentence] = dataclasses.field(repr=False)
    tags: list[list[str]] = dataclasses.field(repr=False)
    notation: Notation = dataclasses.field(repr=False)
    layout: Layout = dataclasses.field(repr=False)

    @property
    def n_errors(self) -> int:
        return sum(problem.severity == ERROR for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """The file's part of what `tagger check --json` prints."""
        return {
            "path": self.path,
            "format": self.format,
            "counts": self.counts,
            "problems": [dataclasses.asdict(problem) for problem in self.problems],
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """What the config or the options say of the files; None is detected."""

    columns: Mapping[str, int] | None = None
    delimiter: str = "auto"
    comments: str = "auto"
    scheme: str = "auto"
    encoding: str | None = None


def check_file(path: str, settings: CheckSettings) -> FileReport:
    """Check one file.

    Raises:
        DataError: the file cannot be opened, or a setting is unusable.
    """
    require_regular(path)
    bytes_found = _scan_bytes(path)
    problems = [*bytes_found.problems]
    encoding = settings.encoding or _detect_encoding(path, problems)
    layout = Layout(delimiter=settings.delimiter, encoding=encoding)
    layout = dataclasses.replace(layout, columns=settings.columns or _detect_columns(path, layout))
    layout = _detect_layout(path, layout, settings.comments)
    sentences = _read(path, layout, problems)
    notation, tags = _read_tags(sentences, settings.scheme, problems)
    for check in (_check_sequences, _check_tokens, _check_types, _check_repeated_sentences):
        problems += check(sentences, tags, notation)
    if not sentences:
        problems.append(Problem(0, ERROR, "found no sentence, expected lines with a token and a tag"))
    return FileReport(
        path,
        _format(layout, notation, bytes_found),
        _counts(sentences, tags, notation),
        sorted(problems),
        sentences,
        tags,
        notation,
        layout,
    )


# --- Bytes ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Bytes:
    line_ends: dict[str, int]
    delimiters: dict[str, int]
    byte_order_mark: bool
    final_newline: bool
    problems: list[Problem]


def _scan_bytes(path: str) -> _Bytes:
    ends: collections.Counter[str] = collections.Counter()
    delimiters: collections.Counter[str] = collections.Counter()
    problems, number, last = [], 0, b"\n"
    mark = False
    with open_corpus(path) as stream:
        for lines in read_line_blocks(stream, path=path):
            mark = mark or (number == 0 and lines[0].startswith(codecs.BOM_UTF8))
            for last in lines:
                number += 1
                body = last.rstrip(b"\r\n")
                ends[{b"\n": "LF", b"\r\n": "CRLF", b"\r": "CR", b"": "none"}[last[len(body) :]]] += 1
                if body.strip(b" \t"):
                    delimiters[{"\t": "TAB", " ": "space", None: "none"}[own_delimiter(body)]] += 1
                if b"\0" in body:
                    problems.append(Problem(number, WARNING, "the line holds a NUL byte; is the file text?"))
    final_newline = not ends.pop("none", 0)
    if len(ends) > 1:
        listed = ", ".join(f"{n} {name}" for name, n in ends.most_common())
        problems.append(Problem(0, WARNING, f"mixed line ends: {listed}"))
    return _Bytes(dict(ends), dict(delimiters), mark, final_newline, problems)


def _detect_encoding(path: str, problems: list[Problem]) -> str:
    with open_corpus(path) as stream:
        data = stream.read()
    fitting = suggest_encodings(data)
    if not fitting or fitting[0] == "utf-8":
        return "utf-8"  # valid, or damaged: then each wrong byte is reported where it stands
    others = f" ({' and '.join(fitting[1:3])} would fit too)" if fitting[1:] else ""
    problems.append(
        Problem(0, ERROR, f"not valid utf-8, read here as {fitting[0]}{others}; set data.encoding or pass --encoding")
    )
    return fitting[0]


# --- Layout -----------------------------------------------------------------------------------------------------------


def _detect_columns(path: str, layout: Layout) -> dict[str, int]:
    """Token first and tag last, unless the file says otherwise: other columns of tags, numbered tokens (CoNLL-U)."""
    split = layout.splitter()
    rows: list[list[str]] = []
    with open_corpus(path) as stream:
        for lines in read_line_blocks(stream, path=path):
            decoded = (line.decode(layout.encoding, "replace").rstrip("\r\n") for line in lines)
            rows += [fields for line in decoded if (fields := split(line))]
            if len(rows) >= _SAMPLE_LINES:
                break
    rows = [fields for fields in rows if not fields[0].startswith("#")]
    counts = collections.Counter(len(fields) for fields in rows)
    if not counts:
        return {"token": 0, "tag": -1}
    usual = counts.most_common(1)[0][0]
    rows = [fields for fields in rows if len(fields) == usual]

    def share(index: int, fits: Any) -> float:
        return sum(bool(fits(fields[index])) for fields in rows) / len(rows)

    token = 1 if usual > 2 and share(0, re.compile(r"\d+(?:[-.]\d+)?").fullmatch) == 1.0 else 0
    tagged = [i for i in range(usual - 1, token, -1) if share(i, looks_like_tag) >= _TAG_SHARE]
    # A column of one value (CoNLL-U's empty ones) tells nothing.
    varied = [i for i in tagged if len({fields[i] for fields in rows}) > 1] or tagged
    tag = varied[0] if varied else usual - 1
    return {"token": token, "tag": -1 if tag == usual - 1 else tag}


def _detect_layout(path: str, layout: Layout, comments: str) -> Layout:
    try:
        return detect_layout(path, layout, comments)
    except DataError:  # a wrong byte: reported line by line later
        lossy = dataclasses.replace(layout, encoding="latin-1")
        return dataclasses.replace(detect_layout(path, lossy, comments), encoding=layout.encoding)


def _read(path: str, layout: Layout, problems: list[Problem]) -> list[Sentence]:
    def report(error: DataError) -> None:
        problems.append(Problem(error.line, ERROR, error.text))

    with open_corpus(path) as stream:
        return [s for s in read_sentences(stream, layout, path=path, gold=True, report=report) if s.tokens]


# --- Tags -------------------------------------------------------------------------------------------------------------


def _read_tags(sentences: Sequence[Sentence], scheme: str, problems: list[Problem]) -> tuple[Notation, list[list[str]]]:
    """The notation, and canonical tags with `O` in the place of those that do not fit, each of which is reported."""
    spelled = [sentence.tags for sentence in sentences]
    bad = {""}  # a tag that is missing: reported by the reader
    while True:
        try:
            notation, notes = detect_notation([[tag for tag in tags if tag not in bad] for tags in spelled], scheme)
            break
        except BadTag as found:
            bad.add(found.tag)
        except DataError as error:
            problems.append(Problem(0, ERROR, error.message))
            notation, notes = Notation(scheme=NO_SCHEME), []
            break
    problems += [Problem(0, WARNING, note) for note in notes if notation.scheme != NO_SCHEME]
    for sentence in sentences if bad else ():
        for i, tag in enumerate(sentence.tags):
            if tag and tag in bad:
                text = f"tag {tag!r} of {sentence.tokens[i]!r} does not fit the scheme {notation.scheme}; mend it"
                problems.append(Problem(sentence.line_number(i), ERROR, text))
    cache = {tag: OUTSIDE if tag in bad else notation.canonical(tag) for tags in spelled for tag in set(tags)}
    return notation, [[cache[tag] for tag in tags] for tags in spelled]


def _check_sequences(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Transitions that the scheme does not have, and how they are read."""
    if notation.scheme == NO_SCHEME:
        return []
    legal = legal_transitions(notation.scheme)
    problems = []
    verdicts: dict[tuple[str, str], bool] = {}
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        padded = [OUTSIDE, *sentence_tags, OUTSIDE]
        for i, pair in enumerate(itertools.pairwise(padded)):
            if pair not in verdicts:
                verdicts[pair] = is_legal(*pair, legal)
            if not verdicts[pair]:
                problems.append(_ill_formed(sentence, i, pair, notation))
    return problems


def _ill_formed(sentence: Sentence, i: int, pair: tuple[str, str], notation: Notation) -> Problem:
    before, after = (notation.spell(tag) for tag in pair)
    if i == len(sentence.tokens):
        text = f"{before} ends the sentence, which {notation.scheme} does not have; the span is read as it stands"
        return Problem(sentence.line_number(i - 1), WARNING, text)
    where = "at the start of a sentence" if i == 0 else f"after {before}"
    text = f"{after} {where}, which {notation.scheme} does not have; read as conlleval reads it"
    return Problem(sentence.line_number(i), WARNING, text)


def _check_types(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Tags that occur once, and types that differ only in case."""
    where: dict[str, tuple[int, int]] = {}
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        for i, tag in enumerate(sentence_tags):
            if not sentence.tags[i]:
                continue
            n, line = where.get(tag, (0, sentence.line_number(i)))
            where[tag] = (n + 1, line)
    problems = [
        Problem(line, WARNING, f"tag {notation.spell(tag)} occurs only here")
        for tag, (n, line) in where.items()
        if n == 1 and tag != OUTSIDE
    ]
    totals: collections.Counter[str] = collections.Counter()
    first: dict[str, int] = {}
    for tag, (n, line) in where.items():
        name = tag.partition("-")[2] if notation.scheme != NO_SCHEME else tag
        totals[name] += n
        first[name] = min(line, first.get(name, line))
    commonest: dict[str, str] = {}
    for name, _ in totals.most_common():
        usual = commonest.setdefault(name.casefold(), name)
        if usual != name:
            text = f"{name} ({totals[name]} tokens) differs from {usual} ({totals[usual]}) only in case"
            problems.append(Problem(first[name], WARNING, text))
    return problems


# --- Tokens and sentences ---------------------------------------------------------------------------------------------


def _check_tokens(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Tokens that are empty, or that look like the next column: the line may have lost its first."""
    typed = {notation.spell(tag) for sentence_tags in tags for tag in sentence_tags if "-" in tag}
    problems = []
    for sentence in sentences:
        for i, token in enumerate(sentence.tokens):
            if not token.strip(" \t"):
                text = f"the token is {'empty' if not token else 'a blank'}; its tag is {sentence.tags[i]}"
                problems.append(Problem(sentence.line_number(i), WARNING, text))
            elif token in typed and notation.scheme != NO_SCHEME:
                text = f"the token {token!r} is a tag of this file; is the line's first column missing?"
                problems.append(Problem(sentence.line_number(i), WARNING, text))
    return problems


def _check_repeated_sentences(
    sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation
) -> list[Problem]:
    """Identical sentences with different tags."""
    seen: dict[tuple[str, ...], tuple[list[str], int]] = {}
    problems = []
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        line = sentence.line_number(0)
        other_tags, other_line = seen.setdefault(tuple(sentence.tokens), (sentence_tags, line))
        if other_tags != sentence_tags:
            i = next(i for i, pair in enumerate(zip(other_tags, sentence_tags, strict=True)) if pair[0] != pair[1])
            text = (
                f"the sentence of line {other_line} again with other tags: {sentence.tokens[i]!r} is"
                f" {notation.spell(sentence_tags[i])} here and {notation.spell(other_tags[i])} there"
            )
            problems.append(Problem(line, WARNING, text))
    return problems


def check_overlap(first: FileReport, other: FileReport) -> Problem | None:
    """A warning about the sentences of `other` that stand in `first` too (a test set in its training set)."""
    known = {tuple(sentence.tokens) for sentence in first.sentences}
    shared = [sentence for sentence in other.sentences if tuple(sentence.tokens) in known]
    if not shared:
        return None
    share = 100 * len(shared) / len(other.sentences)
    longest = max(shared, key=lambda sentence: len(sentence.tokens))
    return Problem(
        0,
        WARNING,
        f"{len(shared)} of {len(other.sentences)} sentences ({share:.1f} %) stand in {first.path} too, the longest on"
        f" line {longest.line_number(0)} ({len(longest.tokens)} tokens)",
    )


# --- What is reported -------------------------------------------------------------------------------------------------


def _format(layout: Layout, notation: Notation, found: _Bytes) -> dict[str, Any]:
    delimiter = layout.delimiter
    if delimiter == "auto":
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
        "comments": layout.comments,
        "scheme": notation.scheme,
        "outside": notation.outside if notation.scheme != NO_SCHEME else None,
    }


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=lambda item: -item[1]))


def _counts(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> dict[str, Any]:
    lengths = [len(sentence.tokens) for sentence in sentences]
    percentiles = np.percentile(lengths, _PERCENTILES, method="inverted_cdf") if lengths else np.zeros(4)
    types: collections.Counter[str] = collections.Counter()
    if notation.scheme != NO_SCHEME:
        types.update(span.type for sentence_tags in tags for span in spans_from_tags(sentence_tags))
    return {
        "sentences": len(sentences),
        "tokens": sum(lengths),
        "distinct_tokens": len({token for sentence in sentences for token in sentence.tokens}),
        "entities": types.total(),
        "types": dict(types.most_common()),
        "tags": len({tag for sentence_tags in tags for tag in sentence_tags}),
        "lengths": {("max" if p == 100 else f"p{p}"): int(n) for p, n in zip(_PERCENTILES, percentiles, strict=True)},
    }


# --- Repairs ----------------------------------------------------------------------------------------------------------


def repaired(report: FileReport) -> tuple[list[bytes], list[Problem]]:
    """The file's lines with IOB2 tags in the place of its own, as conlleval reads them, and each change.

    Raises:
        DataError: the tags are plain, so that there is nothing to repair.
    """
    if report.notation.scheme == NO_SCHEME:
        raise DataError(f"{report.path}: --fix: found plain tags, expected tags of spans; there is nothing to repair")
    with open_corpus(report.path) as stream:
        lines = [line for block in read_line_blocks(stream, path=report.path) for line in block]
    layout, changes = report.layout, []
    for sentence, tags in zip(report.sentences, report.tags, strict=True):
        mended = tags_from_spans(spans_from_tags(tags), len(tags), "IOB2")
        for i, (spelled, new) in enumerate(zip(sentence.tags, mended, strict=True)):
            if new == spelled or not _fits(spelled, report.notation):
                continue  # right, or an error that only a person can mend
            number = sentence.line_number(i)
            body = lines[number - 1].rstrip(b"\r\n")
            lines[number - 1] = layout.replace_tag(body, spelled, new) + lines[number - 1][len(body) :]
            changes.append(Problem(number, "repair", f"{sentence.tokens[i]!r}: {spelled} → {new}"))
    return lines, changes


def _fits(spelled: str, notation: Notation) -> bool:
    try:
        notation.canonical(spelled)
    except ValueError:
        return False
    return bool(spelled)
