"""Copies of checked files with well-formed IOB2 tags and no other changes."""

from __future__ import annotations

import codecs
import gzip
from pathlib import Path

from tagger.atomic import write_atomically
from tagger.check.files import FileReport
from tagger.check.problems import REPAIR, Problem, is_certain, quoted, shown
from tagger.corpus.lines import file_stamp, open_corpus, read_line_blocks
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags, tags_from_spans
from tagger.errors import DataError


def repaired(report: FileReport) -> tuple[list[bytes], list[Problem]]:
    """Rewrite the tags of a file as IOB2 tags of the spans that conlleval reads from the file.

    A tag that only a person can fix is unchanged. So are the spans next to it, because they depend on it.

    Returns:
        The lines of the file with the new tags, and each change.

    Raises:
        DataError: the tags are plain, it is unclear whether they mark spans, or the file has changed since the report.
    """
    if report.notation.scheme == NO_SCHEME:
        unclear = next((problem.message for problem in report.problems if problem.message.startswith("scheme: ")), None)
        raise DataError(
            unclear or "--fix: found plain tags, expected tags of spans; there is nothing to repair", path=report.path
        )
    with open_corpus(report.path) as stream:
        lines = [line for block in read_line_blocks(stream, path=report.path) for line in block]
    is_utf_8 = codecs.lookup(report.layout.encoding).name == "utf-8"
    checked = all(
        lines[sentence.first_line - 1 : sentence.first_line - 1 + len(sentence.lines)] == sentence.lines
        for sentence in report.sentences
    )
    if not checked or file_stamp(report.path) != report.stamp:
        raise DataError(
            "has changed since it was checked, expected the same file; run the command again", path=report.path
        )
    spelling = Notation(scheme="IOB2", typed=report.notation.typed)
    changes = []
    for sentence, tags in zip(report.sentences, report.tags, strict=True):
        certain = [is_certain(tag, report.notation) and tag != report.notation.unknown for tag in sentence.tags]
        spans = spans_from_tags(tags)
        for span in spans:
            if not all(certain[max(0, span.start - 1) : span.end + 1]):
                certain[span.start : span.end] = [False] * (span.end - span.start)
        for i, tag in enumerate(tags_from_spans(spans, len(tags), "IOB2")):
            old, new = sentence.tags[i], spelling.spell(tag)
            if certain[i] and old != new:
                number = sentence.line_number(i)
                raw = lines[number - 1]
                mark = codecs.BOM_UTF8 if is_utf_8 and raw.startswith(codecs.BOM_UTF8) else b""
                body = raw[len(mark) :].rstrip(b"\r\n")
                lines[number - 1] = mark + report.layout.replace_tag(body, old, new) + raw[len(mark) + len(body) :]
                change = f"{shown(old)} → {shown(new)}"
                text = f"{quoted(sentence.tokens[i])}: {change}"
                changes.append(Problem(number, REPAIR, text, "repair", change))
    return lines, changes


def fix_file(report: FileReport, target: str, *, force: bool = False) -> list[Problem]:
    """Write the repaired IOB2 copy (compressed if `target` ends in .gz), and return each change.

    Args:
        force: whether to replace an existing file.

    Raises:
        DataError: there is nothing to repair, or the copy cannot be written.
    """
    if report.is_converted:
        raise DataError("--fix: found another format, expected CoNLL; convert the file first", path=report.path)
    path = Path(target).resolve()  # a link stays a link: the file that it leads to is written
    if path == Path(report.path).resolve() or (path.exists() and path.samefile(report.path)):  # a hard link, too
        raise DataError(f"--fix {target}: is the file itself, expected another name; the original is never replaced")
    if not target or (path.exists() and not path.is_file()):
        raise DataError(f"--fix {target}: is not a regular file, expected the name of the copy; choose another")
    if path.exists() and not force:
        raise DataError(
            f"--fix {target}: already exists, expected a new name; choose another, or replace the file with --force"
        )
    lines, changes = repaired(report)
    content = b"".join(lines)
    try:
        # With mtime=0, the same input always gives the same bytes.
        write_atomically(path, gzip.compress(content, mtime=0) if target.endswith(".gz") else content)
    except OSError as error:
        raise DataError(f"--fix {target}: cannot be written: {error.strerror}; choose another place") from None
    return changes
