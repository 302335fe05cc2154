"""Evaluations, comparisons and checks as text for people and as JSON for programs."""

from __future__ import annotations

import collections
import itertools
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tagger.check.files import FileReport
from tagger.check.groups import format_problems
from tagger.check.problems import Problem, shown
from tagger.corpus.dataset import shown_sentences
from tagger.evaluation.scores import Evaluation, Score
from tagger.evaluation.significance import Comparison
from tagger.wording import as_text, cell, counted, visible

if TYPE_CHECKING:
    from tagger.evaluation.details import Details
    from tagger.evaluation.schemas import SchemaScores
    from tagger.evaluation.several import SeveralScores

_MOST_TYPES = 30  # in a summary
_NAME_WIDTH = 40  # of a name in a table, which then fits in 80 columns
_TYPE_WIDTH = 14  # of a type in a table of two sets
_MOST_ROWS = 20  # in a table of two sets


def format_report(evaluation: Evaluation, schemas: SchemaScores | None = None) -> str:
    """Return a table of precision, recall and F1 in percent; plain tags have accuracy only.

    Args:
        schemas: the scores of the four schemas, whose tables then take the place of seqeval's.
    """
    sizes = f"{counted(evaluation.sentences, 'sentence')}, {counted(evaluation.tokens, 'token')}"
    head = f"{sizes}, accuracy {100 * evaluation.accuracy:.2f}"
    left_out = _left_out(evaluation)
    if evaluation.overall is None or evaluation.strict is None:
        return as_text([head, *left_out])
    if schemas is not None:
        return as_text([head, *left_out, *_schema_tables(schemas)])
    names = {name: cell(name, _NAME_WIDTH) for name in evaluation.types}
    width = max(map(len, ["all, strict", *names.values()]))
    rows = [f"{'':{width}}  precision  recall      F1  support"]
    rows += [_row(names[name], score, width) for name, score in evaluation.types.items()]
    rows.append(_row("all", evaluation.overall, width))
    strict = evaluation.strict
    rows.append(
        _row(
            "all, strict",
            Score(strict.precision, strict.recall, strict.f1, evaluation.overall.support),
            width,
        )
    )
    return as_text([head, *left_out, "scores by seqeval: conlleval's reading, and strict mode", "", *rows])


def _left_out(evaluation: Evaluation) -> list[str]:
    """Return the line that says what is not scored because tokens are not annotated."""
    if not evaluation.unknown:
        return []
    gold, predicted = evaluation.left_out
    spans = f", {counted(gold, 'gold span')}, {counted(predicted, 'predicted span')}"
    tokens = f"{counted(evaluation.unknown, 'token')} without annotation"
    return [f"left out: {tokens}{spans if evaluation.overall is not None else ''}"]


def _row(name: str, score: Score, width: int) -> str:
    return (
        f"{name:{width}}  {100 * score.precision:9.2f}  {100 * score.recall:6.2f}  {100 * score.f1:6.2f}"
        f"  {score.support:7d}"
    )


def _schema_tables(schemas: SchemaScores) -> list[str]:
    """Return the counts and scores of each schema, and the F1 of each type in each schema."""
    widths = {name: max(8, len(name) + 1) for name in ("correct", "incorrect", "partial", "missed", "spurious")}
    rows = [f"{'':8}{''.join(f'{name:>{width}}' for name, width in widths.items())}{'P':>8}{'R':>8}{'F1':>8}"]
    for schema, score in schemas.overall.items():
        counts = "".join(f"{getattr(score, name):{width}d}" for name, width in widths.items())
        rows.append(f"{schema:8}{counts}{_percent(score.precision, score.recall, score.f1)}")
    types = [(cell(name, _NAME_WIDTH), scores) for name, scores in schemas.types.items()]
    width = max([2, *(len(name) for name, _ in types)])
    by_type = [f"{'F1':{width}}{''.join(f'{schema:>9}' for schema in schemas.overall)}  support"]
    for name, scores in types:
        f1 = "".join(f"{100 * score.f1:9.2f}" for score in scores.values())
        by_type.append(f"{name:{width}}{f1}{scores['strict'].possible:9d}")
    return ["scores by the four schemas of SemEval-2013, as nervaluate counts them", "", *rows, "", *by_type]


def _percent(*fractions: float) -> str:
    return "".join(f"{100 * fraction:8.2f}" for fraction in fractions)


def format_details(details: Details) -> str:
    """Return a table of the scores of seen and unseen entities, if they were wanted."""
    if details.unseen is None:
        return ""
    labels = details.unseen.labels
    width = max(map(len, labels.values()))
    rows = [f"{'':{width}}  precision  recall      F1  support"]
    rows += [_row(labels[part], score, width) for part, score in details.unseen.scores.items()]
    return as_text(["", "entities by what the model has seen, by conlleval's reading", "", *rows])


def format_results(sets: Mapping[str, Evaluation]) -> str:
    """Return the scores of a trained model by type in percent, with the sets (`dev`, `test`) side by side."""
    spans = {name: found for name, found in sets.items() if found.overall is not None}
    rows = [f"{name} accuracy {100 * found.accuracy:.2f}" for name, found in sets.items() if name not in spans]
    if not spans:
        return as_text(rows)
    shown, left = _commonest(spans.values())
    columns = "".join(f"{name + ' P':>9} {'R':>6} {'F1':>6} {'support':>7}" for name in spans)
    rows.append(f"{'':{_TYPE_WIDTH}}{columns}")
    for name in shown:
        cells = (_cells(found.types.get(name)) for found in spans.values())
        rows.append(f"{cell(name, _TYPE_WIDTH):{_TYPE_WIDTH}}{''.join(cells)}")
    rows += left
    rows.append(f"{'all':{_TYPE_WIDTH}}{''.join(_cells(found.overall) for found in spans.values())}")
    return as_text(rows)


def _cells(score: Score | None) -> str:
    if score is None:
        return f"{'–':>9} {'–':>6} {'–':>6} {'0':>7}"
    return f"{100 * score.precision:9.2f} {100 * score.recall:6.2f} {100 * score.f1:6.2f} {score.support:7d}"


def format_seeds_results(sets: Mapping[str, Sequence[Evaluation]]) -> str:
    """Return the mean scores of several models by type in percent, with the standard deviation of F1.

    Args:
        sets: the evaluations of the models on each set (`dev`, `test`).
    """
    spans = {name: found for name, found in sets.items() if all(one.overall is not None for one in found)}
    if not spans:
        return ""
    shown, left = _commonest(itertools.chain.from_iterable(spans.values()))
    columns = "".join(f"{name + ' P':>9} {'R':>6} {'F1':>6} ± {'sd':<5}" for name in spans)
    rows = [f"{'means':{_TYPE_WIDTH}}{columns}".rstrip()]
    for name in shown:
        cells = (_mean_cells([one.types.get(name) for one in found]) for found in spans.values())
        rows.append(f"{cell(name, _TYPE_WIDTH):{_TYPE_WIDTH}}{''.join(cells)}")
    cells = (_mean_cells([one.overall for one in found]) for found in spans.values())
    return as_text([*rows, *left, f"{'all':{_TYPE_WIDTH}}{''.join(cells)}"])


def _mean_cells(scores: Sequence[Score | None]) -> str:
    """Return the means of scores and the sample standard deviation of F1; a dash where there is none."""
    known = [score for score in scores if score is not None]
    if not known:
        return f"{'–':>9} {'–':>6} {'–':>6} {'–':>7}"
    means = [100 * statistics.mean(getattr(one, name) for one in known) for name in ("precision", "recall", "f1")]
    spread = f"{100 * statistics.stdev(one.f1 for one in known):5.2f}" if len(known) > 1 else f"{'–':>5}"
    return f"{means[0]:9.2f} {means[1]:6.2f} {means[2]:6.2f} ± {spread}"


def _commonest(evaluations: Iterable[Evaluation]) -> tuple[list[str], list[str]]:
    """Return the types to show, in order, and the line that says how many others there are, if any."""
    support: collections.Counter[str] = collections.Counter()
    for found in evaluations:
        support.update({name: score.support for name, score in found.types.items()})
    shown = sorted(name for name, _ in support.most_common(_MOST_ROWS))
    n_left = len(support) - len(shown)
    return shown, [f"and {counted(n_left, 'rarer type')}, which tagger eval lists"] if n_left else []


def format_comparison(comparison: Comparison, names: tuple[str, str], what: str) -> str:
    """Return the F1 (or accuracy) of two models in percent, and how significant their difference is."""
    names = (_end_of(names[0]), _end_of(names[1]))
    width = max(map(len, names))
    low, high = (100 * end for end in comparison.interval)
    rows = [f"{name:{width}}  {what} {100 * f1:6.2f}" for name, f1 in zip(names, comparison.f1, strict=True)]
    rows += [
        f"difference {100 * comparison.difference:+.2f}",
        f"95 % interval {low:+.2f} to {high:+.2f} (bootstrap over sentences)",
        f"p = {comparison.p_value:.4f} (paired approximate randomisation, two-sided)",
        f"{comparison.samples} samples each",
    ]
    return as_text(rows)


def format_several(found: SeveralScores) -> str:
    """Return a table of the scores of several models, of their mean and of their ensemble, in percent."""
    ensemble = found.ensemble
    keys = ["accuracy"] if ensemble.overall is None else ["precision", "recall", "f1", "accuracy"]
    names = [*map(_end_of, found.names), "mean", "ensemble"]
    width = max(map(len, names))
    scores = [*map(_by_key, found.models), found.mean, _by_key(ensemble)]
    heads = ["F1" if key == "f1" else key for key in keys]
    rows = [f"{'':{width}}{''.join(f'{head:>11}' for head in heads)}"]
    for name, score in zip(names, scores, strict=True):
        rows.append(f"{name:{width}}{''.join(f'{100 * score[key]:11.2f}' for key in keys)}")
    sizes = f"{counted(ensemble.sentences, 'sentence')}, {counted(ensemble.tokens, 'token')}"
    return as_text([sizes, *_left_out(ensemble), "", *rows])


def _by_key(evaluation: Evaluation) -> dict[str, float]:
    overall = evaluation.overall
    of_spans = {} if overall is None else {key: getattr(overall, key) for key in ("precision", "recall", "f1")}
    return {"accuracy": evaluation.accuracy, **of_spans}


def _end_of(path: str) -> str:
    """Return the end of a path, which tells models apart, if the whole of it does not fit in a line."""
    shown = visible(path)
    return shown if len(shown) <= _NAME_WIDTH else f"…{shown[1 - _NAME_WIDTH :]}"


def format_check(
    reports: Sequence[FileReport], changes: Sequence[Problem] | None, *, as_json: bool, all_problems: bool = False
) -> str:
    """Return the output of `tagger check`.

    Args:
        reports: the reports on the files.
        changes: the repairs of `--fix`, or None without it.
        as_json: whether to return one JSON object with every problem.
        all_problems: whether to show each problem on a line of its own instead of grouping equal ones.
    """
    if as_json:
        found: dict[str, Any] = {"files": [report.to_json() for report in reports]}
        if changes is not None:
            found["repairs"] = [{"line": change.line, "message": change.message} for change in changes]
        return json.dumps(found) + "\n"
    blocks = []
    for report in reports:
        problems = format_problems([*report.problems, *(changes or ())], report.path, one_by_one=all_problems)
        summary = _summary(report, None if changes is None else len(changes))
        blocks.append([*problems, *([""] if problems else []), *summary])
    return "\n".join(map(as_text, blocks))


def _summary(report: FileReport, n_repairs: int | None) -> list[str]:
    found, counts = report.format, report.counts
    ends = ", ".join(found["line_ends"]) or "none"
    columns = ", ".join(f"{name} {index}" for name, index in found["columns"].items())
    lengths = ", ".join(f"{name} {n}" for name, n in counts["lengths"].items())
    outside = "" if found["outside"] in ("O", None) else f", outside {found['outside']}"
    n_columns = counted(found["n_columns"], "column") if found["n_columns"] else "no columns"
    totals = [counted(report.n_errors, "error"), counted(len(report.problems) - report.n_errors, "warning")]
    if n_repairs is not None:
        totals.append(counted(n_repairs, "repair"))
    return [
        report.path,
        f"  encoding {found['encoding']}{', byte-order mark' if found['byte_order_mark'] else ''}; line ends {ends}"
        f"{'' if found['final_newline'] else ', no newline at the end'}",
        f"  {n_columns} by {found['delimiter']}: {columns};"
        f" comments {found['comments'] or 'none'}; scheme {found['scheme']}{outside}",
        f"  {counted(counts['sentences'], 'sentence')}, {counted(counts['tokens'], 'token')}"
        f" ({counts['distinct_tokens']} distinct), {counted(counts['entities'], 'entity', 'entities')},"
        f" {counted(counts['tags'], 'tag')}",
        *_not_annotated(counts),
        *([f"  entities: {_types(counts['types'])}"] if counts["types"] else []),
        f"  sentence lengths: {lengths}",
        *(
            f"  {'read as:' if i == 0 else '        '} {text}"
            for i, text in enumerate(shown_sentences(report.sentences))
        ),
        *(f"  note: {text}" for text in report.notes),
        f"  {', '.join(totals)}",
    ]


def _not_annotated(counts: Mapping[str, Any]) -> list[str]:
    n = counts.get("not_annotated")
    if n is None:
        return []
    share = f" ({100 * n / counts['tokens']:.1f} %)" if counts["tokens"] else ""
    return [f"  not annotated: {counted(n, 'token')}{share}"]


def _types(counts: Mapping[str, int]) -> str:
    """Return the commonest entity types with their numbers."""
    listed = [f"{shown(name)} {n}" for name, n in itertools.islice(counts.items(), _MOST_TYPES)]
    n_left = len(counts) - len(listed)
    return ", ".join([*listed, f"and {counted(n_left, 'more type')}"] if n_left > 0 else listed)
