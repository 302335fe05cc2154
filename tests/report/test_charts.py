"""Charts: one picture for screen readers, colors from the page, nothing that runs or asks for anything."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET

import pytest
from helpers import needs

from tagger.errors import DataError
from tagger.evaluation.calibration import Bin
from tagger.evaluation.scores import Score
from tagger.report import charts
from tagger.report.history import Epoch
from tagger.report.slices import Part

pytestmark = needs("altair", "vl_convert", extra="report")

EPOCHS: list[Epoch] = [{"epoch": 1, "a": 2.0, "b": 1.0}, {"epoch": 2, "a": 1.0}]
HOSTILE = "<script>alert(1)</script>\u202e\"'"


def drawn() -> list[str]:
    return [
        charts.curves(EPOCHS, ["a", "b"], "loss", HOSTILE),
        charts.intervals([(HOSTILE, 0.5, 0.4, 0.6), *((f"T{i}", i / 20, 0.0, 1.0) for i in range(12))], HOSTILE),
        charts.bars([Part(HOSTILE, Score(0.5, 0.5, 0.5, 3), 4)], HOSTILE),
        charts.reliability_diagram([Bin(0, 0.1, 4, 0.05, 0.1), Bin(0.9, 1, 400, 0.95, 0.9)], HOSTILE),
    ]


def test_charts_are_pictures_with_a_label_in_the_colors_of_the_page() -> None:
    for svg in drawn():
        root = ET.fromstring(svg)
        assert root.get("role") == "img"
        assert root.get("aria-label") == HOSTILE
        assert "script>" not in re.sub('aria-label="[^"]*"', "", svg).replace("&lt;script&gt;", "")
        assert "\u202e" not in "".join(root.itertext())
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|\bid=|<image|<style", svg)
        colors = set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))
        assert colors <= {"none", "var(--ink)", "var(--line)", "var(--first)", "var(--second)"}


def test_the_rows_of_a_chart_keep_their_order() -> None:
    (texts,) = [re.findall(r">(T\d+)<", drawn()[1])]
    assert texts == [f"T{i}" for i in range(12)]


def test_series_differ_in_more_than_their_color() -> None:
    lines = re.findall(r'<path[^>]*stroke-dasharray="([^"]*)"', drawn()[0])
    assert {"1,0", "6,3"} <= set(lines)


@pytest.mark.parametrize(
    ("module", "name"), [("altair", "altair"), ("vl_convert", "vl-convert-python"), ("jinja2", "jinja2")]
)
def test_a_missing_library_is_one_error(monkeypatch: pytest.MonkeyPatch, module: str, name: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError) as caught:
        charts.require_libraries()
    assert caught.value.message == (
        f"tagger report: found no {name}, expected it to draw the page; run pip install '.[report]' in a clone of tagger"
    )
