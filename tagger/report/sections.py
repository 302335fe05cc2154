"""The sections of a report: what the template shows of the counts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tagger.evaluation.errors import BOTH, BOUNDARY, KINDS, MADE_UP, MISSED, TYPE
from tagger.evaluation.scores import Evaluation
from tagger.evaluation.unseen import SEEN, UNSEEN
from tagger.model_dir.manifest import Manifest
from tagger.report import charts
from tagger.report.analysis import Analysis, Interval
from tagger.report.history import Epoch
from tagger.report.slices import Part

MOST_TYPES = 30  # in the matrix and in the chart
_MOST_FORMS, _MOST_MISTAKES = 50, 3
_DARKEST = 45  # percent of a color in a cell, on which text can still be read
_MEANINGS = {
    BOUNDARY: "the same type, and some tokens in common",
    TYPE: "the same tokens, another type",
    BOTH: "some tokens in common, another type",
    MISSED: "a gold entity only",
    MADE_UP: "a predicted entity only",
}
_COLUMNS = {
    "epoch": "epoch",
    "train_loss": "train loss",
    "dev_loss": "dev loss",
    "dev_f1": "dev F1",
    "dev_accuracy": "dev accuracy",
    "seconds": "seconds",
    "tokens_per_second": "tokens/s",
}


def markup(text: str) -> Any:
    """Return HTML that was made here as a value that the templates do not escape again."""
    from markupsafe import Markup

    return Markup(text)


def history_section(epochs: Sequence[Epoch], best: object) -> dict[str, Any]:
    """Return the learning curves; empty if the model has no history."""
    names = [name for name in _COLUMNS if any(name in epoch for epoch in epochs)]
    rows = [[f"{epoch[name]:.6g}" if name in epoch else "–" for name in names] for epoch in epochs]
    percent = [name for name in names if name in ("dev_f1", "dev_accuracy")]
    shown: list[dict[str, float]] = [
        {_COLUMNS[name]: 100 * value if name in percent else value for name, value in epoch.items() if name in names}
        for epoch in epochs
    ]
    drawn = []
    losses = [_COLUMNS[name] for name in names if name.endswith("_loss")]
    if losses:
        drawn.append(charts.curves(shown, losses, "loss per token", f"Line chart of {' and '.join(losses)} by epoch"))
    for name in percent:
        label = f"Line chart of {_COLUMNS[name]} by epoch"
        drawn.append(charts.curves(shown, [_COLUMNS[name]], f"{_COLUMNS[name]} in percent", label))
    return {"charts": list(map(markup, drawn)), "names": [_COLUMNS[n] for n in names], "rows": rows, "best": best}


def type_chart(evaluation: Evaluation, every: Interval, intervals: Mapping[str, Interval]) -> Any:
    """Return a chart of the F1 of the commonest types and of all types."""
    by_support = sorted(evaluation.types, key=lambda name: -evaluation.types[name].support)
    shown = sorted(by_support[:MOST_TYPES])
    rows = [(name, evaluation.types[name].f1, *intervals[name]) for name in shown]
    overall = evaluation.overall.f1 if evaluation.overall else 0.0
    return markup(charts.intervals([*rows, ("all types", overall, *every)], "Chart of F1 by type, as in the table"))


def matrix_section(analysis: Analysis) -> dict[str, Any]:
    """Return the confusion matrix of the commonest types."""
    counts, types = analysis.confusion.counts, analysis.confusion.types
    totals = {name: sum(n for pair, n in counts.items() if name in pair) for name in types}
    shown = sorted(sorted(types, key=lambda name: -totals[name])[:MOST_TYPES])
    rows: list[tuple[str | None, list[dict[str, int | None]]]] = []
    for gold in [*shown, None]:
        of_row = [counts.get((gold, predicted), 0) for predicted in [*shown, None]]
        total = sum(n for (name, _), n in counts.items() if name == gold) or 1
        cells: list[dict[str, int | None]] = [
            {"n": n, "share": round(_DARKEST * n / total), "is_right": gold is not None and gold == predicted}
            for n, predicted in zip(of_row, [*shown, None], strict=True)
        ]
        if gold is None:
            cells[-1] = {"n": None, "share": 0, "is_right": False}
        rows.append((gold, cells))
    return {"types": shown, "rows": rows, "n_left_out": len(types) - len(shown)}


def kinds_section(analysis: Analysis, evaluation: Evaluation) -> dict[str, Any]:
    """Return the errors by kind and type, and the scores in each reading."""
    by_kind = analysis.by_kind
    total = sum(by_kind.values())
    types = sorted({name for _, name in analysis.kinds})
    readings = [
        ("conlleval", evaluation.overall),
        ("strict (seqeval)", evaluation.strict),
        *((f"SemEval-2013 {name}", score) for name, score in analysis.schemas.overall.items()),
    ]
    return {
        "n_errors": total,
        "kinds": [
            {"name": kind, "meaning": _MEANINGS[kind], "n": n, "share": n / total if total else 0.0}
            for kind, n in by_kind.items()
        ],
        "kinds_by_type": [(name, [analysis.kinds[kind, name] for kind in KINDS]) for name in types],
        "readings": readings,
    }


def parts_section(analysis: Analysis, *, has_training: bool) -> list[dict[str, Any]]:
    """Return the scores of parts of the entities."""
    of_model = [
        Part(analysis.unseen.labels[name], score, 0)
        for name, score in analysis.unseen.scores.items()
        if has_training or name not in (SEEN, UNSEEN)
    ]
    groups = [("What the model has seen", of_model), *((one.title, one.parts) for one in analysis.slices)]
    return [
        {
            "title": title,
            "chart": markup(charts.bars(parts, f"Bar chart of F1: {title}, as in the table")),
            "rows": [(part.name, part.score) for part in parts],
        }
        for title, parts in groups
        if parts
    ]


def calibration_section(analysis: Analysis, manifest: Manifest) -> dict[str, Any]:
    """Return the reliability diagram and the calibration error."""
    bins = analysis.reliability
    note = "The probabilities are those that the network learned; nothing was fitted on dev."
    if manifest.calibration is not None:
        note = f"The probabilities were fitted on dev, with a temperature of {manifest.calibration.temperature:.2f}."
    label = "Reliability diagram: precision of the predicted entities by their probability, as in the table"
    chart = markup(charts.reliability_diagram(bins, label)) if bins else ""
    return {"error": analysis.calibration_error, "bins": bins, "note": note, "chart": chart}


def forms_section(analysis: Analysis) -> dict[str, Any]:
    """Return the texts that are wrong most often, with their commonest errors."""
    forms = list(analysis.forms())
    rows = [(form, _commonest(form.mistakes)) for form in forms[:_MOST_FORMS]]
    return {"rows": rows, "n_left_out": len(forms) - len(rows)}


def _commonest(mistakes: Mapping[str, int]) -> list[tuple[str, int]]:
    return list(itertools.islice(sorted(mistakes.items(), key=lambda one: (-one[1], one[0])), _MOST_MISTAKES))
