"""`tagger check`: several files together, as text or JSON, and the repaired copy."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger.corpus.checking import CheckSettings, FileReport, Problem, check_file, check_overlap, repaired
from tagger.errors import DataError
from tagger.runtime.publish import write_atomically


def check_files(paths: Sequence[str], settings: Mapping[str, Any]) -> list[FileReport]:
    """Check files; the later ones are compared with the first, which is taken for the training file.

    Raises:
        DataError: a file cannot be opened, or a setting is unusable.
    """
    reports = [check_file(path, CheckSettings(**settings)) for path in paths]
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
    if Path(target).resolve() == Path(report.path).resolve():
        raise DataError(f"--fix {target}: is the file itself, expected another name; the original is never replaced")
    lines, changes = repaired(report)
    content = b"".join(lines)
    try:
        # mtime=0: the same input gives the same bytes.
        write_atomically(Path(target), gzip.compress(content, mtime=0) if target.endswith(".gz") else content)
    except OSError as error:
        raise DataError(f"--fix {target}: cannot be written: {error.strerror}; choose another place") from None
    return changes


def format_check(reports: Sequence[FileReport], changes: Sequence[Problem], *, as_json: bool) -> str:
    """What `tagger check` prints."""
    if as_json:
        found: dict[str, Any] = {"files": [report.to_json() for report in reports]}
        if changes:
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
    n_warnings = len(report.problems) - report.n_errors
    return [
        report.path,
        f"  encoding {found['encoding']}{', byte-order mark' if found['byte_order_mark'] else ''}; line ends {ends}"
        f"{'' if found['final_newline'] else ', no newline at the end'}",
        f"  {found['n_columns']} columns by {found['delimiter']}: {columns}; comments {found['comments'] or 'none'};"
        f" scheme {found['scheme']}{'' if found['outside'] in ('O', None) else ', outside ' + found['outside']}",
        f"  {counts['sentences']} sentences, {counts['tokens']} tokens ({counts['distinct_tokens']} distinct),"
        f" {counts['entities']} entities, {counts['tags']} tags",
        *([f"  entities: {types}"] if types else []),
        f"  sentence lengths: {lengths}",
        f"  {report.n_errors} errors, {n_warnings} warnings",
        *(problem.format(report.path) for problem in report.problems),
    ]
