"""The colors of the page for people who see colors differently, simulated as Machado et al. (2009) do."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import tagger.report

CSS = (Path(tagger.report.__file__).parent / "templates/report.css").read_text("utf-8")
SCHEMES = dict(zip(("light", "dark"), re.findall(r":root \{([^}]*)\}", CSS), strict=True))
# Of linear RGB, for a complete lack of one kind of cone (Machado, Oliveira and Fernandes 2009, table 1).
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.119192, 0.9503041]]
)
JUST_VISIBLE = 2.3  # Mahy, Van Eycken and Oosterlinck (1994)
CLEAR = 20.0  # of marks and series that are compared at a distance


def linear(color: str) -> np.ndarray:
    digits = color.lstrip("#")
    wide = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    share = np.array([int(wide[i : i + 2], 16) for i in (0, 2, 4)]) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def lab(color: str, sight: str) -> np.ndarray:
    """Return CIE L*a*b* (1976, D65) of a color as somebody sees it."""
    seen = np.clip(np.array(SIGHTS[sight]) @ linear(color), 0.0, 1.0)
    share = TO_XYZ @ seen / (TO_XYZ @ np.ones(3))
    f = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, sight: str) -> float:
    return float(np.linalg.norm(lab(one, sight) - lab(other, sight)))


def colors(scheme: str) -> dict[str, str]:
    found = dict(re.findall(r"--(\w+): (#\w+)", SCHEMES["light"]))
    return found | dict(re.findall(r"--(\w+): (#\w+)", SCHEMES[scheme]))


def test_the_distance_is_that_of_known_colors() -> None:
    """White and black are 100 apart; red and green of sRGB are 170.6 (L*a*b* 53.2, 80.1, 67.2 and 87.7, -86.2, 83.2)."""
    assert distance("#fff", "#000", "usual") == pytest.approx(100, abs=0.01)
    assert distance("#ff0000", "#00ff00", "usual") == pytest.approx(170.6, abs=0.1)
    assert distance("#ff0000", "#00ff00", "deuteranopia") < 80, "red and green are what such people mix up"
    for sight in SIGHTS:
        assert lab("#808080", sight)[1:] == pytest.approx([0, 0], abs=0.5), "gray stays gray"


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_colors_can_be_told_apart(scheme: str, sight: str) -> None:
    found = colors(scheme)
    for one, other in itertools.combinations(("first", "second", "paper", "ink"), 2):
        assert distance(found[one], found[other], sight) >= CLEAR, (one, other)
    for ground in ("paper", "soft"):
        assert distance(found["wrong"], found[ground], sight) >= JUST_VISIBLE, ground


def test_no_meaning_is_in_color_alone() -> None:
    """What is wrong has a dashed border too, and a right cell of the confusion a border and bold figures."""
    wrong = re.search(r"mark\.wrong \{([^}]*)\}", CSS)
    right = re.search(r"td\.right \{([^}]*)\}", CSS)
    assert wrong is not None
    assert "dashed" in wrong[1]
    assert right is not None
    assert "border" in right[1]
    assert "font-weight" in right[1]
