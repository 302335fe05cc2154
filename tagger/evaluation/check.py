"""`tagger check`: several files together, as text or JSON, and the repaired copy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.corpus.checking import CheckSettings, FileReport, check_file, check_overlap
from tagger.corpus.problems import Problem
from tagger.corpus.repair import repaired
from tagger.errors import DataError
from tagger.runtime.publish import write_atomically


def check_files(paths: Sequence[str], settings: Mapping[str, Any], *, as_training: bool = False) -> list[FileReport]:
    """Check files; the later ones are compared with the first, which is taken for the training file.

    With `as_training` they are read in the first one's layout and notation, as training reads dev and test.

    Raises:
        DataError: a file cannot be opened, or a setting is unusable.
    """
    first = check_file(paths[0], CheckSettings(**settings))
    like = first if as_training else None
    reports = [first, *(check_file(path, CheckSettings(**settings), like=like) for path in paths[1:])]
    for report in reports[1:]:
        overlap = check_overlap(reports[0], report)
        if overlap is not None:
            report.problems.insert(0, overlap)
    return reports


def fix_file(report: FileReport, target: str) -> list[Problem]:
    """Write the repaired IOB2 copy (compressed if `target` ends in .gz) and say what was changed.

    Raises:
        DataError: there is nothing to repair, or the copy cannot be written.
    """
    path = Path(target).resolve()  # through a link, what it points to is written
    if path == Path(report.path).resolve():
        raise DataError(f"--fix {target}: is the file itself, expected another name; the original is never replaced")
    if not target or (path.exists() and not path.is_file()):
        raise DataError(f"--fix {target}: is no regular file, expected the name of the copy; choose another")
    lines, changes = repaired(report)
    content = b"".join(lines)
    try:
        # mtime=0: the same input gives the same bytes.
        write_atomically(path, gzip.compress(content, mtime=0) if target.endswith(".gz") else content)
    except OSError as error:
        raise DataError(f"--fix {target}: cannot be written: {error.strerror}; choose another place") from None
    return changes


def format_check(reports: Sequence[FileReport], changes: Sequence[Problem] | None, *, as_json: bool) -> str:
    """What `tagger check` prints; `changes` are those of `--fix`, None without it."""
    if as_json:
        found: dict[str, Any] = {"files": [report.to_json() for report in reports]}
        if changes is not None:
            found["repairs"] = [{"line": change.line, "message": change.message} for change in changes]
        return json.dumps(found) + "\n"
    blocks = [_format_file(report) for report in reports]
    if changes:
        blocks.append([change.format(reports[0].path) for change in changes])
    return "\n".join("\n".join(block) + "\n" for block in blocks)


def _format_file(report: FileReport) -> list[str]:
    found, counts = report.format, report.counts
    ends = ", ".join(found["line_ends"]) or "none"
    columns = ", ".join(f"{name} {index}" for name, index in found["columns"].items())
    lengths = ", ".join(f"{name} {n}" for name, n in counts["lengths"].items())
    types = ", ".join(f"{name} {n}" for name, n in counts["types"].items())
    outside = "" if found["outside"] in ("O", None) else f", outside {found['outside']}"
    n_warnings = len(report.problems) - report.n_errors
    return [
        report.path,
        f"  encoding {found['encoding']}{', byte-order mark' if found['byte_order_mark'] else ''}; line ends {ends}"
        f"{'' if found['final_newline'] else ', no newline at the end'}",
        f"  {found['n_columns'] or 'no'} columns by {found['delimiter']}: {columns};"
        f" comments {found['comments'] or 'none'}; scheme {found['scheme']}{outside}",
        f"  {counts['sentences']} sentences, {counts['tokens']} tokens ({counts['distinct_tokens']} distinct),"
        f" {counts['entities']} entities, {counts['tags']} tags",
        *([f"  entities: {types}"] if types else []),
        f"  sentence lengths: {lengths}",
        f"  {report.n_errors} errors, {n_warnings} warnings",
        *(problem.format(report.path) for problem in report.problems),
    ]
