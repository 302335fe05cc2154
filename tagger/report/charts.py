"""Charts as SVG that takes its colors from the page, so that it follows light and dark.

Series differ in the shape of their points and the dashes of their lines too, never in color alone.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tagger.errors import DataError
from tagger.evaluation.calibration import Bin
from tagger.report.slices import Part
from tagger.wording import cell

_INK, _FAINT, _FIRST, _SECOND = "var(--ink)", "var(--line)", "var(--first)", "var(--second)"
_WIDTH = 340
_STEP = 24  # height of a row
_MOST_TICKS = 10  # on an axis of epochs
_LONGEST_NAME = 26  # characters
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "font": "sans-serif",
    "padding": {"left": 30, "right": 10, "top": 5, "bottom": 5},  # a reader's font may be wider than the one here
    "view": {"stroke": None},
    "axis": {
        "labelColor": _INK, "titleColor": _INK, "gridColor": _FAINT, "domainColor": _INK, "tickColor": _INK,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 170,
    },
    "legend": {"labelColor": _INK, "titleColor": _INK, "labelFontSize": 12, "orient": "top", "title": None,
        "symbolDash": [1, 0]},
    "range": {"category": [_FIRST, _SECOND]},
    "text": {"color": _INK, "fontSize": 12},
}  # fmt: skip
_NO_LIBRARY = "expected it to draw the page; run pip install '.[report]' in a clone of tagger"


def require_libraries() -> None:
    """Raise DataError if a library of the extra `report` is missing."""
    for name, package in (("altair", "altair"), ("vl_convert", "vl-convert-python"), ("jinja2", "jinja2")):
        try:
            __import__(name)
        except ImportError:
            raise DataError(f"tagger report: found no {package}, {_NO_LIBRARY}") from None


def _svg(chart: Any, label: str) -> str:
    """Return a chart as an SVG element that screen readers take for one picture with a label."""
    import altair as alt
    import vl_convert

    chart = chart.configure(**_CONFIG)
    drawn = vl_convert.vegalite_to_svg(chart.to_dict(), vl_version=alt.SCHEMA_VERSION.rpartition(".")[0])
    start = re.match(r"<svg [^>]*>", drawn)
    width, height = re.findall(r' viewBox="0 0 (\d+)(?:\.\d+)? (\d+)', drawn)[0]
    # The groups inside have labels of their own, which add nothing to the tables.
    inside = re.sub(r' (?:aria-[a-z]+|role)="[^"]*"', "", drawn[start.end() if start else 0 :])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(label)}" width="{width}"'
        f' height="{height}" viewBox="0 0 {width} {height}">{inside}'
    )


def _data(values: Sequence[Mapping[str, object]]) -> Any:
    import altair as alt

    return alt.Data(values=list(values))  # type: ignore[no-untyped-call]


def curves(rows: Sequence[Mapping[str, float]], names: Sequence[str], title: str, label: str) -> str:
    """Return a chart of lines over the epochs.

    Args:
        rows: `epoch` and the values of each epoch by name; one that is missing has no point.
        names: the one or two values to draw.
        title: the title of the axis.
        label: the chart in words.
    """
    import altair as alt

    values = [
        {"epoch": row["epoch"], "what": name, "value": row[name]} for row in rows for name in names if name in row
    ]
    domain = list(names)
    scale = alt.Scale(domain=domain, range=[_FIRST, _SECOND][: len(names)])
    legend: Any = alt.Legend() if len(names) > 1 else None
    epochs = sorted({int(row["epoch"]) for row in rows})
    ticks = epochs[:: -(-len(epochs) // _MOST_TICKS)]
    chart = (
        alt.Chart(_data(values), width=_WIDTH, height=200)
        .mark_line(point={"filled": True, "size": 50})
        .encode(
            x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(values=ticks, format="d", grid=False)),
            y=alt.Y("value:Q", title=title, scale=alt.Scale(zero=False)),
            color=alt.Color("what:N", scale=scale, legend=legend),
            shape=alt.Shape("what:N", scale=alt.Scale(domain=domain, range=["circle", "square"]), legend=legend),
            strokeDash=alt.StrokeDash("what:N", scale=alt.Scale(domain=domain, range=[[1, 0], [6, 3]]), legend=None),
        )
    )
    return _svg(chart, label)


def intervals(rows: Sequence[tuple[str, float, float, float]], label: str) -> str:
    """Return a chart of points with intervals, in percent.

    Args:
        rows: name, value, and the two ends of the interval, as fractions.
        label: the chart in words.
    """
    import altair as alt

    values = [
        {"row": f"{i}", "name": name, "value": 100 * value, "low": 100 * low, "high": 100 * high}
        for i, (name, value, low, high) in enumerate(rows)
    ]
    base = alt.Chart(_data(values), width=_WIDTH, height=alt.Step(_STEP)).encode(y=_rows([r[0] for r in rows]))
    title, ticks = "F1 in percent, with 95 % interval", alt.Axis(tickCount=5)
    x = alt.X("low:Q", title=title, scale=alt.Scale(domain=[0, 100]), axis=ticks)
    lines = base.mark_rule(color=_FIRST, strokeWidth=2).encode(x=x, x2="high:Q")
    points = base.mark_point(color=_FIRST, filled=True, size=80, opacity=1).encode(x="value:Q")
    return _svg(lines + points, label)


def bars(parts: Sequence[Part], label: str) -> str:
    """Return a chart of the F1 of parts in percent."""
    import altair as alt

    values = [
        {"row": f"{i}", "value": 100 * part.score.f1, "text": f"{100 * part.score.f1:.1f}"}
        for i, part in enumerate(parts)
    ]
    base = alt.Chart(_data(values), width=_WIDTH - 100, height=alt.Step(_STEP)).encode(
        y=_rows([part.name for part in parts]),
        x=alt.X("value:Q", title="F1 in percent", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(tickCount=5)),
    )
    drawn = base.mark_bar(color=_FIRST, height=14)
    numbers = base.mark_text(align="left", dx=4).encode(text="text:N")
    return _svg(drawn + numbers, label)


def _rows(names: Sequence[str]) -> Any:
    """Return a vertical axis with a row for each name; the rows are told apart by their numbers."""
    import altair as alt

    shown = f"{json.dumps([cell(name, _LONGEST_NAME) for name in names])}[+datum.value]"
    return alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelExpr=shown, domain=False, ticks=False))


def reliability_diagram(bins: Sequence[Bin], label: str) -> str:
    """Return a chart of precision over probability, beside the line on which both are equal."""
    import altair as alt

    values = [{"p": 100 * one.probability, "precision": 100 * one.precision, "n": one.n} for one in bins]
    percent = alt.Scale(domain=[0, 100])
    x = alt.X("p:Q", title="mean probability in percent", scale=percent)
    y = alt.Y("precision:Q", title="precision in percent", scale=percent)
    ideal = [{"p": 0, "precision": 0}, {"p": 100, "precision": 100}]
    diagonal = (
        alt.Chart(_data(ideal), width=260, height=260)
        .mark_line(strokeDash=[4, 4], color=_INK, opacity=0.6)
        .encode(x=x, y=y)
    )
    base = alt.Chart(_data(values)).encode(x=x, y=y)
    size = alt.Size("n:Q", scale=alt.Scale(range=[30, 500]), legend=None)
    points = base.mark_point(filled=True, color=_FIRST, opacity=0.9).encode(size=size)
    return _svg(diagonal + base.mark_line(color=_FIRST) + points, label)


def learning_curve(
    points: Sequence[tuple[int, float]], band: Sequence[tuple[int, float, float, float]], what: str, label: str
) -> str:
    """Return a chart of scores by the number of sentences, with a fitted curve and its interval, in percent.

    Args:
        points: the number of sentences and the score of each training, as a fraction.
        band: the number of sentences, the fitted score and the two ends of its interval, in order.
        what: the name of the score.
        label: the chart in words.
    """
    import altair as alt

    drawn = [{"n": n, "value": 100 * value} for n, value in points]
    fitted = [{"n": n, "value": 100 * value, "low": 100 * low, "high": 100 * high} for n, value, low, high in band]
    x = alt.X("n:Q", title="sentences", axis=alt.Axis(grid=False, tickCount=6, format=","))
    scale = alt.Scale(zero=False)
    area = alt.Chart(_data(fitted), width=2 * _WIDTH, height=280).mark_area(opacity=0.2, color=_FIRST)
    line = alt.Chart(_data(fitted)).mark_line(color=_FIRST)
    marks = alt.Chart(_data(drawn)).mark_point(filled=True, size=50, color=_SECOND)
    title = f"dev {what} in percent, with 95 % interval"
    chart = alt.layer(
        area.encode(x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q"),
        line.encode(x=x, y=alt.Y("value:Q", scale=scale)),
        marks.encode(x=x, y=alt.Y("value:Q", scale=scale)),
    )
    return _svg(chart, label)


def importances(shares: Mapping[str, float], what: str) -> str:
    """Return a chart of what keys of a config mattered.

    Args:
        shares: the share of each key in the variance of the scores, as a fraction.
        what: the name of the score.
    """
    import altair as alt

    values = [
        {"row": f"{i}", "value": 100 * share, "text": f"{100 * share:.1f}"} for i, share in enumerate(shares.values())
    ]
    base = alt.Chart(_data(values), width=_WIDTH, height=alt.Step(_STEP)).encode(
        y=_rows(list(shares)),
        x=alt.X(
            "value:Q",
            title=f"share of the variance of {what} in percent",
            scale=alt.Scale(domain=[0, 100]),
            axis=alt.Axis(tickCount=5),
        ),
    )
    numbers = base.mark_text(align="left", dx=4).encode(text="text:N")
    label = f"what mattered for {what}: " + ", ".join(f"{key} {100 * share:.1f} %" for key, share in shares.items())
    return _svg(base.mark_bar(color=_FIRST, height=14) + numbers, label)


STANDALONE = b"<!-- Written by tagger. -->\n"  # a file that begins so may be replaced


def standalone(svg: str) -> str:
    """Return a chart as a file that begins with `STANDALONE`; it has the colors of a page, for light and dark."""
    style = (
        "<style>:root{color-scheme:light dark;--ink:#222;--line:#ddd;--first:#0b5fa5;--second:#a8500a}"
        "@media(prefers-color-scheme:dark){:root{--ink:#eee;--line:#444;--first:#6cb6ff;--second:#ffa657}}</style>"
    )
    end = svg.index(">") + 1
    return f"{STANDALONE.decode()}{svg[:end]}{style}{svg[end:]}"
