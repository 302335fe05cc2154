"""The page of the server in a headless Chromium: somebody types, and sees the entities."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import Chromium
from served_model import LIGHT, write_model
from serving import Served, serving

import tagger.server

CSS = (Path(tagger.server.__file__).parent / "page/page.css").read_text("utf-8")
MARKS = "[...document.querySelectorAll('#result mark')]"
SHOWN = f"{MARKS}.map((one) => [one.children[0].textContent, one.querySelector('b').textContent])"
EXPECTED = [["Hanna Berg", "PER"], ["Bonn", "LOC"]]
NARROWEST = 320  # CSS pixels (WCAG 2.2, 1.4.10)
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3


@pytest.fixture(scope="module")
def served(model: Path, other: Path) -> Iterator[Served]:
    with serving("--model", model, "--model", other) as served:
        yield served


@pytest.fixture
def page(browser: Chromium, served: Served) -> Chromium:
    browser.show(1000, 900)
    browser.open(f"http://127.0.0.1:{served.port}/")
    until(browser, "document.getElementById('model').options.length", 2)
    choose(browser, "kind", "tokens")  # the extra text need not be installed
    browser.run("document.getElementById('input').focus()")
    return browser


def until(page: Chromium, script: str, expected: Any) -> None:
    """Wait until an expression has a value."""
    deadline = time.monotonic() + 30
    while (found := page.run(script)) != expected:
        assert time.monotonic() < deadline, (script, found)
        time.sleep(0.05)


def choose(page: Chromium, name: str, value: str) -> None:
    page.run(
        f"""(() => {{ const control = document.getElementById("{name}"); control.value = "{value}";
        control.dispatchEvent(new Event("change", {{bubbles: true}})); }})()"""
    )


def type_(page: Chromium, text: str) -> None:
    """Type a text where the focus is, key by key."""
    for letter in text:
        page.call("Input.dispatchKeyEvent", type="keyDown", text="\r" if letter == "\n" else letter, key=letter)
        page.call("Input.dispatchKeyEvent", type="keyUp", key=letter)


def n_asked(page: Chromium) -> int:
    return sum(url.endswith("/v1/tag") for url in page.requests())


def test_who_types_sees_the_entities(page: Chromium, served: Served) -> None:
    type_(page, "Hanna Berg left Bonn .")
    until(page, SHOWN, EXPECTED)
    assert page.run("document.getElementById('status').textContent") == "2 spans"
    assert page.run("document.getElementById('result').innerText.trim()").startswith("Hanna Berg")
    assert 1 <= n_asked(page) <= 8, "not at each of the 22 keys"
    fills = page.run(f"{MARKS}.map((one) => getComputedStyle(one).backgroundColor)")
    assert len(set(fills)) == 2
    own = f"http://127.0.0.1:{served.port}/"
    assert [url for url in page.requests() if not url.startswith((own, "data:"))] == []
    assert page.complaints() == []


def test_an_answer_that_comes_after_the_text_is_gone_is_not_shown(page: Chromium) -> None:
    record = {"text": "Bonn", "scheme": "IOB2", "sentences": [], "spans": [{"start": 0, "end": 4, "type": "LOC"}]}
    page.run(
        f"""window.fetch = () => Promise.resolve({{ok: true, status: 200, json: () => new Promise((resolve) => {{
        window.arrive = () => resolve({{documents: [{json.dumps(record)}]}}); }})}}); 0"""
    )
    type_(page, "Bonn")
    until(page, "typeof window.arrive", "function")
    clear = "const one = document.getElementById('input'); one.value = ''; one.dispatchEvent(new Event('input'));"
    page.run(f"(() => {{ {clear} }})()")
    time.sleep(0.5)
    page.run("window.arrive(); 0")
    time.sleep(0.2)
    assert page.run(f"{MARKS}.length") == 0
    assert page.run("document.getElementById('status').textContent") == ""


def test_it_asks_nobody_else(page: Chromium) -> None:
    page.run("fetch('http://localhost:9/').catch(() => 'refused')")
    complaints = page.complaints()
    assert complaints
    assert all("Content Security Policy" in one for one in complaints)


def test_probabilities_are_shown_on_hover_and_focus(page: Chromium) -> None:
    type_(page, "Bonn")
    until(page, SHOWN, [["Bonn", "LOC"]])
    tip = "getComputedStyle(document.querySelector('#result .tip')).display"
    assert page.run(tip) == "none"
    x, y = page.run(f"(() => {{ const at = {MARKS}[0].getBoundingClientRect(); return [at.x + 5, at.y + 5]; }})()")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    until(page, tip, "block")
    assert page.run("document.querySelector('#result .tip').textContent") == "97.0 %"
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    until(page, tip, "none")
    assert page.run(f"{MARKS}[0].getAttribute('aria-label')") == "Bonn, LOC, probability 97.0 %"


def test_everything_can_be_done_by_keyboard(page: Chromium) -> None:
    type_(page, "Hanna Berg left Bonn\nPeter")
    until(page, f"{MARKS}.length", 3)
    page.press("Tab", 9)
    seen = [page.run("document.activeElement.children[0].textContent")]
    for key, code in (("ArrowRight", 39), ("ArrowDown", 40), ("ArrowRight", 39), ("ArrowLeft", 37)):
        page.press(key, code)
        seen.append(page.run("document.activeElement.children[0].textContent"))
    assert seen == ["Hanna Berg", "Bonn", "Peter", "Peter", "Bonn"]
    assert page.run("getComputedStyle(document.activeElement.querySelector('.tip')).display") == "block"
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    names = []
    for _ in range(2):
        page.press("Tab", 9)
        names.append(page.run("document.activeElement.id"))
    assert names == ["copy-json", "copy-conll"], "the marks take one stop together"


def test_models_are_switched(page: Chromium) -> None:
    type_(page, "Peter")
    until(page, SHOWN, [["Peter", "PER"]])
    choose(page, "model", "other")
    until(page, SHOWN, [["Peter", "NAME"]])


def test_results_are_copied(page: Chromium, served: Served) -> None:
    page.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    type_(page, "Hanna Berg\nÄrzte in Bonn")
    until(page, f"{MARKS}.length", 3)
    status = "document.getElementById('status').textContent"
    page.run("document.getElementById('copy-conll').click()")
    until(page, status, "Copied as CoNLL.")
    conll = page.run("navigator.clipboard.readText()")
    assert conll == "Hanna\tB-PER\nBerg\tI-PER\n\nÄrzte\tB-ORG\nin\tO\nBonn\tB-LOC\n\n"
    page.run("document.getElementById('copy-json').click()")
    until(page, status, "Copied as JSON.")
    lines = page.run("navigator.clipboard.readText()").splitlines()
    asked = {"documents": [{"tokens": ["Hanna", "Berg"]}, {"tokens": ["Ärzte", "in", "Bonn"]}], "scores": True}
    assert [json.loads(line) for line in lines] == served.tag(asked).json["documents"]


def test_text_is_only_text_and_characters_of_two_units_count_once(page: Chromium) -> None:
    hostile = "<img/src=x/onerror=window.hit=1> 😀 Bonn"
    page.call("Input.insertText", text=hostile)
    until(page, SHOWN, [["😀", "LOC"], ["Bonn", "LOC"]])
    assert page.run("document.querySelectorAll('#result img').length") == 0
    assert page.run("typeof window.hit") == "undefined"
    assert page.run("document.querySelector('#result p').firstChild.textContent") == "<img/src=x/onerror=window.hit=1> "


def test_names_of_types_and_models_are_only_text(browser: Chromium, tmp_path: Path) -> None:
    hostile = "<img/src=x/onerror=document.title='taken'>"
    model = write_model(tmp_path / "<b>bold&amp;", hostile, LIGHT)
    with serving("--model", model) as served:
        browser.open(f"http://127.0.0.1:{served.port}/")
        until(browser, "document.getElementById('model').options.length", 1)
        assert browser.run("document.getElementById('model').options[0].text") == "<b>bold&amp;"
        choose(browser, "kind", "tokens")
        browser.run("document.getElementById('input').focus()")
        type_(browser, "Peter")
        until(browser, SHOWN, [["Peter", hostile]])
        assert browser.run("document.querySelectorAll('#types img, #result img, b b').length") == 0
        assert browser.run("document.title") == "tagger"


def test_what_is_refused_is_said(page: Chromium) -> None:
    page.run("document.getElementById('input').value = 'x '.repeat(60000)")
    page.run("document.getElementById('input').dispatchEvent(new Event('input'))")
    until(page, "document.getElementById('status').className", "wrong")
    assert "expected at most 50000" in page.run("document.getElementById('status').textContent")


def test_a_narrow_page_does_not_scroll_sideways(page: Chromium) -> None:
    page.show(NARROWEST, 700)
    type_(page, "Hanna Berg left Bonn " + "x" * 80)
    until(page, SHOWN, EXPECTED)
    assert page.run("document.documentElement.scrollWidth") <= NARROWEST
    smallest = page.run("Math.min(...[...document.querySelectorAll('button, select')].map((one) => one.offsetHeight))")
    assert smallest >= 44, "large enough for a finger"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_color_scheme(page: Chromium, scheme: str) -> None:
    page.show(1000, 900, scheme)
    paper = page.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def colors(scheme: str) -> dict[str, str]:
    """Return the colors of the style sheet by name."""
    light, dark = re.findall(r":root \{([^}]*)\}", CSS)
    found = dict(re.findall(r"--(\w+): (#\w+)", light))
    return found if scheme == "light" else found | dict(re.findall(r"--(\w+): (#\w+)", dark))


def luminance(color: str) -> float:
    digits = color.lstrip("#")
    wide = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    shares = [int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    r, g, b = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(scheme: str) -> None:
    found = colors(scheme)
    fills = [f"fill{i}" for i in range(6)]
    for one, other in [
        *itertools.product(("ink", "quiet"), ("paper", "soft")),
        *itertools.product(("ink",), fills),
        ("wrong", "paper"),
    ]:
        assert contrast(found[one], found[other]) >= LEAST_CONTRAST, (one, other)
    for i in range(6):
        assert contrast(found[f"edge{i}"], found["soft"]) >= 3, "the border of a mark can be seen (WCAG 2.2, 1.4.11)"
