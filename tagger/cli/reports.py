"""Evaluations, comparisons and checks as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tagger.check.files import FileReport
from tagger.check.problems import Problem
from tagger.corpus.dataset import shown_sentences
from tagger.evaluation.scores import Evaluation, Score
from tagger.evaluation.significance import Comparison


def format_report(evaluation: Evaluation) -> str:
    """Return a table of precision, recall and F1 in percent; plain tags have accuracy only."""
    head = f"{evaluation.sentences} sentences, {evaluation.tokens} tokens, accuracy {100 * evaluation.accuracy:.2f}"
    if evaluation.overall is None or evaluation.strict is None:
        return f"{head}\n"
    width = max(len("all, strict"), *(len(name) for name in evaluation.types)) if evaluation.types else 11
    rows = [f"{'':{width}}  precision  recall      F1  support"]
    rows += [_row(name, score, width) for name, score in evaluation.types.items()]
    rows.append(_row("all", evaluation.overall, width))
    strict = evaluation.strict
    rows.append(
        _row(
            "all, strict",
            Score(strict.precision, strict.recall, strict.f1, evaluation.overall.support),
            width,
        )
    )
    return "\n".join([head, "scores by seqeval: conlleval's reading, and strict mode", "", *rows]) + "\n"


def _row(name: str, score: Score, width: int) -> str:
    return (
        f"{name:{width}}  {100 * score.precision:9.2f}  {100 * score.recall:6.2f}  {100 * score.f1:6.2f}"
        f"  {score.support:7d}"
    )


def format_comparison(comparison: Comparison, names: tuple[str, str], what: str) -> str:
    """Return the F1 (or accuracy) of two models in percent, and how significant their difference is."""
    width = max(map(len, names))
    low, high = (100 * end for end in comparison.interval)
    rows = [f"{name:{width}}  {what} {100 * f1:6.2f}" for name, f1 in zip(names, comparison.f1, strict=True)]
    rows += [
        f"difference {100 * comparison.difference:+.2f}",
        f"95 % interval {low:+.2f} to {high:+.2f} (bootstrap over sentences)",
        f"p = {comparison.p_value:.4f} (paired approximate randomisation, two-sided)",
        f"{comparison.samples} samples each",
    ]
    return "\n".join(rows) + "\n"


def format_check(reports: Sequence[FileReport], changes: Sequence[Problem] | None, *, as_json: bool) -> str:
    """Return the output of `tagger check`; `changes` are the repairs of `--fix`, or None without it."""
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
        *(
            f"  {'read as:' if i == 0 else '        '} {text}"
            for i, text in enumerate(shown_sentences(report.sentences))
        ),
        *(f"  note: {text}" for text in report.notes),
        f"  {report.n_errors} errors, {n_warnings} warnings",
        *(problem.format(report.path) for problem in report.problems),
    ]
