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


def check_file(path: str, settings: CheckSettings, *, like: FileReport | None = None) -> FileReport:
    """Check one file.

    Args:
        path, settings: what to read, and how.
        like: read it in the layout and notation of this file instead, as training reads its dev and test files.

    Raises:
        DataError: the file cannot be opened, or a setting is unusable.
    """
    require_regular(path)
    problems: list[Problem] = []
    if like is not None:
        layout = like.layout
    else:
        encoding = settings.encoding or _detect_encoding(path, problems)
        layout = Layout(delimiter=settings.delimiter, encoding=encoding)
        layout = dataclasses.replace(layout, columns=settings.columns or _detect_columns(path, layout))
        layout = _detect_layout(path, layout, settings.comments)
    bytes_found = _scan_bytes(path, layout)
    problems += bytes_found.problems
    sentences = _read(path, layout, problems, n_columns=layout.n_columns if like is None else None)
    notation = like.notation if like is not None else _detect_notation(sentences, settings.scheme, problems)
    tags = _canonical_tags(sentences, notation, problems)
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


def _scan_bytes(path: str, layout: Layout) -> _Bytes:
    comments = None if layout.comments is None else layout.comments.encode(layout.encoding)
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
                if body.strip(b" \t") and (comments is None or not body.startswith(comments)):
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
            decoded = (line.decode(layout.encoding, "replace").strip("\ufeff\r\n") for line in lines)
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


def _read(path: str, layout: Layout, problems: list[Problem], n_columns: int | None) -> list[Sentence]:
    def report(error: DataError) -> None:
        problems.append(Problem(error.line, ERROR, error.text))

    with open_corpus(path) as stream:
        read = read_sentences(stream, layout, path=path, gold=True, n_columns=n_columns, report=report)
        return [sentence for sentence in read if sentence.tokens]


# --- Tags -------------------------------------------------------------------------------------------------------------


def _detect_notation(sentences: Sequence[Sentence], scheme: str, problems: list[Problem]) -> Notation:
    """The notation of all tags that fit one; plain tags if it cannot be told, which is reported."""
    bad = {""}  # a tag that is missing: reported by the reader
    while True:
        fitting = [[tag for tag in sentence.tags if tag not in bad] for sentence in sentences]
        try:
            notation, notes = detect_notation(fitting, scheme)
        except BadTag as found:
            bad |= set(found.tags)
        except DataError as error:
            problems.append(Problem(0, ERROR, error.message))
            return Notation(scheme=NO_SCHEME)
        else:
            problems += [Problem(0, WARNING, note) for note in notes if notation.scheme != NO_SCHEME]
            return notation


def _canonical_tags(sentences: Sequence[Sentence], notation: Notation, problems: list[Problem]) -> list[list[str]]:
    """Canonical tags, with `O` in the place of those that are missing or do not fit; each of the latter is reported."""
    spelled = {tag for sentence in sentences for tag in sentence.tags}
    cache = {tag: notation.canonical(tag) for tag in spelled if _is_certain(tag, notation)}
    for sentence in sentences:
        for i, tag in enumerate(sentence.tags):
            if tag and tag not in cache:
                text = f"tag {tag!r} of {sentence.tokens[i]!r} does not fit the scheme {notation.scheme}; mend it"
                problems.append(Problem(sentence.line_number(i), ERROR, text))
    return [[cache.get(tag, OUTSIDE) for tag in sentence.tags] for sentence in sentences]


def _is_certain(spelled: str, notation: Notation) -> bool:
    """Whether a tag is there, undamaged, and of the scheme."""
    return bool(spelled) and "\ufffd" not in spelled and notation.fits(spelled)


def _check_sequences(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Transitions that the scheme does not have, and how they are read."""
    if notation.scheme == NO_SCHEME:
        return []
    legal = legal_transitions(notation.scheme)
    problems = []
    verdicts: dict[tuple[str, str], bool] = {}
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        padded = [OUTSIDE, *sentence_tags, OUTSIDE]
        certain = [True, *(_is_certain(tag, notation) for tag in sentence.tags), True]
        for i, pair in enumerate(itertools.pairwise(padded)):
            if not (certain[i] and certain[i + 1]):
                continue  # nobody knows what stands there
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
        if n == 1 and len(where) > 1
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
        "tags": len(
            {
                notation.canonical(tag)
                for sentence in sentences
                for tag in set(sentence.tags)
                if _is_certain(tag, notation)
            }
        ),
        "lengths": {("max" if p == 100 else f"p{p}"): int(n) for p, n in zip(_PERCENTILES, percentiles, strict=True)},
    }


# --- Repairs ----------------------------------------------------------------------------------------------------------


def repaired(report: FileReport) -> tuple[list[bytes], list[Problem]]:
    """The file's lines with IOB2 tags in the place of its own, as conlleval reads them, and each change.

    What only a person can mend stays as it is, and so do the spans beside it: what they are depends on it.

    Raises:
        DataError: there are no spans, or it cannot be told what they are.
    """
    if report.notation.scheme == NO_SCHEME:
        unclear = next((problem.message for problem in report.problems if problem.message.startswith("scheme: ")), None)
        raise DataError(
            unclear or "--fix: found plain tags, expected tags of spans; there is nothing to repair", path=report.path
        )
    with open_corpus(report.path) as stream:
        lines = [line for block in read_line_blocks(stream, path=report.path) for line in block]
    spelling = Notation(scheme="IOB2", typed=report.notation.typed)
    changes = []
    for sentence, tags in zip(report.sentences, report.tags, strict=True):
        certain = [_is_certain(tag, report.notation) for tag in sentence.tags]
        spans = spans_from_tags(tags)
        for span in spans:
            if not all(certain[max(0, span.start - 1) : span.end + 1]):
                certain[span.start : span.end] = [False] * (span.end - span.start)
        for i, tag in enumerate(tags_from_spans(spans, len(tags), "IOB2")):
            old, new = sentence.tags[i], spelling.spell(tag)
            if certain[i] and old != new:
                number = sentence.line_number(i)
                raw = lines[number - 1]
                mark = codecs.BOM_UTF8 if number == 1 and raw.startswith(codecs.BOM_UTF8) else b""
                body = raw[len(mark) :].rstrip(b"\r\n")
                lines[number - 1] = mark + report.layout.replace_tag(body, old, new) + raw[len(mark) + len(body) :]
                changes.append(Problem(number, "repair", f"{sentence.tokens[i]!r}: {old} → {new}"))
    return lines, changes
