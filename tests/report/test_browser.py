"""The page in a headless Chromium: it renders, its filters work, it complains of nothing and asks for nothing."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from chromium import Chromium
from helpers import needs, run_tagger
from report_pages import stub_in
from stub_model import TAG_OF_TOKEN, stub_models

pytestmark = needs("altair", "vl_convert", extra="report")

HOSTILE = "</script><img/src=http://localhost/x><script>window.hit=1</script>"
# The model tags EU as ORG, German as MISC, Peter and Blackburn as PER, and nothing else.
GOLD = (
    f"EU\tB-ORG\n{HOSTILE}\tO\nGerman\tB-LOC\n\nZüge\tO\nPeter\tB-PER\nvan\tI-PER\n\nin\tO\nWien\tB-LOC\n\nPeter\tO\n\n"
    "EU\tB-ORG\n\nשלום\tB-MISC\nעולם\tB-LOC\n"
)
SHOWN = "[...document.querySelectorAll('#wrong-sentences > li')].filter((one) => one.checkVisibility())"
NUMBERS = f"{SHOWN}.map((one) => Number.parseInt(one.querySelector('.place').textContent))"
STATUS = "document.querySelector('form[data-list=wrong-sentences] [role=status]').textContent"
NARROWEST = 320  # CSS pixels (WCAG 2.2, 1.4.10)
# The contrast of two colors of the page (WCAG 2.2, 1.4.3); a canvas reads them in any notation.
CONTRAST = """(one, other) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  const luminance = (name) => {
    canvas.fillStyle = getComputedStyle(document.documentElement).getPropertyValue(name);
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    (folder / "gold").write_text(GOLD)
    (folder / "train").write_text("EU\tB-ORG\n")
    tokens = tuple({"German": "x"}.get(token, token) for token in TAG_OF_TOKEN)
    models = {"one": stub_in(folder / "one"), "other": stub_in(folder / "other", tokens)}
    with stub_models(lambda name: models[name or "one"]):
        arguments = ["report", folder / "gold", "--against", "other", "-o", folder / "r.html"]
        assert run_tagger(*arguments).exit_code == 0
    return folder / "r.html"


@pytest.fixture
def opened(browser: Chromium, page: Path) -> Chromium:
    browser.show(1000, 900)
    browser.open(page)
    return browser


def choose(browser: Chromium, name: str, value: str) -> None:
    """Set a control of the form of the wrong sentences, an option by its text."""
    browser.run(
        f"""(() => {{
        const control = document.querySelector("form[data-list=wrong-sentences]").elements["{name}"];
        const option = [...(control.options ?? [])].find((one) => one.text === "{value}");
        control.value = option ? option.value : "{value}";
        control.dispatchEvent(new Event("input", {{bubbles: true}}));
        }})()"""
    )


def test_it_renders_without_a_complaint_or_a_request(opened: Chromium, page: Path) -> None:
    assert opened.run(NUMBERS) == [1, 2, 3, 4, 6]
    assert opened.run("document.querySelectorAll('svg').length") >= 6
    assert opened.run("document.scripts.length") == 1
    assert opened.run("typeof window.hit") == "undefined"
    assert opened.run("document.querySelector('#wrong-sentences li').textContent").count(HOSTILE) == 2
    opened.run("fetch('http://localhost:9/').catch(() => 'refused')")
    refused = opened.complaints()
    assert len(refused) >= 1, "the policy of the page refuses requests"
    assert all("Content Security Policy" in complaint for complaint in refused)
    assert opened.requests() == [page.resolve().as_uri()]


def test_the_page_itself_complains_of_nothing(opened: Chromium) -> None:
    opened.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert opened.complaints() == []


def test_filters_by_kind_and_type(opened: Chromium) -> None:
    assert opened.run(STATUS) == "5 of 5 sentences shown"
    choose(opened, "kind", "missed")
    assert opened.run(NUMBERS) == [3, 6]
    assert opened.run(STATUS) == "2 of 5 sentences shown"
    choose(opened, "type", "PER")
    assert opened.run(NUMBERS) == [], "the kind and the type are those of one error"
    choose(opened, "kind", "all")
    assert opened.run(NUMBERS) == [2, 4]
    opened.run("document.querySelector('form[data-list=wrong-sentences] button').click()")
    opened.run("new Promise((done) => setTimeout(done, 50))")
    assert opened.run(NUMBERS) == [1, 2, 3, 4, 6]


def test_search_ignores_case_and_labels(opened: Chromium) -> None:
    choose(opened, "search", "zu\u0308ge PETER")
    assert opened.run(NUMBERS) == [2]
    choose(opened, "search", "in wien")
    assert opened.run(NUMBERS) == [3], "the text goes on through spans"
    choose(opened, "search", "missed")
    assert opened.run(NUMBERS) == []
    choose(opened, "search", "עולם")
    assert opened.run(NUMBERS) == [6]


def test_sentences_are_sorted_by_how_sure_the_model_was(opened: Chromium) -> None:
    sure = f"{SHOWN}.map((one) => one.dataset.sure ?? null)"
    choose(opened, "order", "surest errors first")
    found = opened.run(sure)
    known = [float(value) for value in found if value is not None]
    assert found[len(known) :] == [None, None], "what was only missed comes last"
    assert known == sorted(known, reverse=True)
    assert len(set(known)) > 1
    choose(opened, "order", "least sure errors first")
    assert [float(value) for value in opened.run(sure)[: len(known)]] == sorted(known)
    choose(opened, "order", "as in the file")
    assert opened.run(NUMBERS) == [1, 2, 3, 4, 6]


def test_the_list_of_differences_has_a_filter_of_its_own(opened: Chromium) -> None:
    form = "document.querySelector('form[data-list=differences]')"
    assert opened.run(f"{form}.querySelector('[role=status]').textContent") == "1 of 1 sentences shown"
    kinds = opened.run(f"[...{form}.elements.kind.options].map((one) => one.text)")
    assert "only this model predicts it wrongly" in kinds
    choose(opened, "kind", "missed")
    assert opened.run(f"{form}.querySelector('[role=status]').textContent") == "1 of 1 sentences shown"


def test_everything_can_be_done_by_keyboard(opened: Chromium) -> None:
    opened.press("Tab", 9)
    assert opened.run("document.activeElement.textContent") == "Skip to the scores"
    seen = []
    for _ in range(80):
        opened.press("Tab", 9)
        seen.append(opened.run("document.activeElement.name || document.activeElement.tagName"))
        if seen[-4:] == ["kind", "type", "search", "order"]:
            break
    assert seen[-1] == "order"
    opened.press("ArrowDown", 40)
    assert opened.run("document.activeElement.value") == "surest"
    opened.run("document.activeElement.form.elements.search.focus()")
    for letter in "WIE":
        opened.press(letter, ord(letter), letter.lower())
    assert opened.run(NUMBERS) == [3]
    focus = "getComputedStyle(document.activeElement)"
    assert opened.run(f"{focus}.outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_have_enough_contrast(opened: Chromium, scheme: str) -> None:
    opened.show(1000, 900, scheme)
    backgrounds = ("--paper", "--soft")
    pairs = [*itertools.product(("--ink", "--quiet", "--first"), backgrounds), ("--ink", "--wrong")]
    for one, other in pairs:
        assert opened.run(f"({CONTRAST})('{one}', '{other}')") >= 4.5, (one, other)
    for mark in ("--first", "--second", "--quiet"):
        assert opened.run(f"({CONTRAST})('{mark}', '--paper')") >= 3, mark
    paper = opened.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_narrow_page_does_not_scroll_sideways(opened: Chromium) -> None:
    opened.show(NARROWEST, 900)
    assert opened.run("document.documentElement.scrollWidth") <= NARROWEST
    assert opened.run(f"{SHOWN}.length") == 5


def test_without_scripts_everything_is_listed(browser: Chromium, page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(page)
        assert browser.run(NUMBERS) == [1, 2, 3, 4, 6]
        assert browser.run("[...document.forms].every((form) => !form.checkVisibility())")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_text_keeps_its_direction(opened: Chromium) -> None:
    direction = "getComputedStyle([...document.querySelectorAll('#wrong-sentences .line')].at({})).direction"
    assert opened.run(direction.format(-1)) == "rtl"
    assert opened.run(direction.format(0)) == "ltr"
