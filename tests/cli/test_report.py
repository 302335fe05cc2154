"""`tagger report`: its numbers are those of `tagger eval` and `compare`, and hostile text stays text."""

from __future__ import annotations

import collections
import contextlib
import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from helpers import needs, run_tagger
from report_pages import Page, stub_in
from stub_model import TAG_OF_TOKEN, span_probability, stub_manifest, stub_models, stub_predictor

from tagger.corpus.notation import Notation
from tagger.prediction.predictor import Predictor
from tagger.report import build

pytestmark = needs("altair", "vl_convert", extra="report")

# The model tags EU as ORG, German as MISC, Peter and Blackburn as PER, and nothing else.
GOLD = (
    "EU\tB-ORG\nrejects\tO\nGerman\tB-LOC\n\nPeter\tB-PER\nvan\tI-PER\nBlackburn\tI-PER\n\n"
    "-DOCSTART-\tO\n\nEU\tB-LOC\nArmy\tI-LOC\nin\tO\nOslo\tB-LOC\n\nGerman\tO\n\n"
    + "EU\tB-ORG\nPeter\tB-PER\nBlackburn\tI-PER\n\n" * 3
    + "German\tB-LOC\n\n"
)
TRAIN = "EU\tB-ORG\nx\tO\n\nOslo\tB-LOC\nEU\tB-LOC\n\n"


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[dict[str, Predictor]]:
    """Work in a folder with the models `one` and `other`, which takes German for no entity and Oslo for a place."""
    (folder / "gold").write_text(GOLD)
    (folder / "train").write_text(TRAIN)
    tokens = [{"German": "x", "Zürich": "Oslo"}.get(token, token) for token in TAG_OF_TOKEN]
    found = {"one": stub_in(folder / "one"), "other": stub_in(folder / "other", tuple(tokens))}
    with pytest.MonkeyPatch.context() as patch, stub_models(lambda name: found[name or "one"]):
        patch.chdir(folder)
        yield found


@pytest.fixture
def models(tmp_path: Path) -> Iterator[dict[str, Predictor]]:
    with inside(tmp_path) as found:
        yield found


class Pages(NamedTuple):
    """The pages that most tests look at, because drawing one takes half a second.

    Attributes:
        plain: that of the model `one`.
        compared: that of `one` against `other`.
    """

    folder: Path
    plain: Page
    compared: Page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("pages")
    with inside(folder):
        return Pages(folder, report("gold"), report("gold", "--against", "other"))


@pytest.fixture
def pages(made: Pages) -> Iterator[Pages]:
    """The pages, in the folder where they were made."""
    with inside(made.folder):
        yield made


def report(*arguments: str) -> Page:
    result = run_tagger("report", *arguments, "-o", "r.html")
    assert result.exit_code == 0, result.errors
    assert result.errors.splitlines()[-1] == "the report is in r.html"
    return Page(Path("r.html").read_bytes())


def percent(*fractions: float) -> list[str]:
    return [f"{100 * fraction:.2f}" for fraction in fractions]


def test_the_scores_are_those_of_eval(pages: Pages) -> None:
    page = pages.plain
    found = json.loads(run_tagger("eval", "gold", "--json").output)
    schemas = json.loads(run_tagger("eval", "gold", "--json", "--metric", "nervaluate").output)["schemas"]
    types = page.table("Scores by type")
    assert set(types) == {"type", *found["types"], "all types"}
    for name, score in [*found["types"].items(), ("all types", found)]:
        assert types[name][:3] == percent(score["precision"], score["recall"], score["f1"])
        low, high = map(float, types[name][3].split("–"))
        assert low <= 100 * score["f1"] + 0.01
        assert high >= 100 * score["f1"] - 0.01
    readings = page.table("The same predictions")
    assert readings["conlleval"] == types["all types"][:3]
    strict = found["strict"]
    assert readings["strict (seqeval)"] == percent(strict["precision"], strict["recall"], strict["f1"])
    for schema in ("strict", "exact", "partial", "ent_type"):
        score = schemas[schema]
        assert readings[f"SemEval-2013 {schema}"] == percent(score["precision"], score["recall"], score["f1"])
    assert f"{found['sentences']} sentences, {found['tokens']} tokens" in page.text


def test_the_errors_are_those_of_eval(pages: Pages) -> None:
    page = pages.plain
    assert run_tagger("eval", "gold", "--errors", "e.tsv").exit_code == 0
    with Path("e.tsv").open(newline="") as file:
        errors = list(csv.DictReader(file, dialect="excel-tab"))
    kinds = collections.Counter(error["kind"] for error in errors)
    assert kinds == {"type": 2, "boundary": 1, "made up": 2, "both": 1, "missed": 1}
    of_page = page.table("Errors by kind, as")
    assert {name: int(of_page[name][1]) for name in kinds} == kinds
    assert int(of_page["all kinds"][1]) == len(errors)
    by_type = page.table("Errors by type and kind")
    for name in set(by_type) - {"type"}:
        expected = collections.Counter(e["kind"] for e in errors if (e["gold type"] or e["predicted type"]) == name)
        assert dict(zip(by_type["type"], map(int, by_type[name]), strict=True)) == {
            kind: expected[kind] for kind in ("boundary", "type", "both", "missed", "made up")
        }
    sentences = page.sentences()
    assert len(sentences) == len({error["sentence"] for error in errors})
    (chance,) = {e["probability"] for e in errors if e["sentence"] == "1"}
    of_eu = span_probability(["EU", "rejects", "German"], 0, 1)
    assert sentences[0] == (
        f"1 · gold:1 gold EU ORG rejects German LOC type predicted EU ORG {of_eu:.2f} rejects German MISC type"
        f" {float(chance):.2f}"
    )


def test_the_matrix_has_each_entity_once(pages: Pages) -> None:
    page = pages.plain
    matrix = page.table("Number of entities by")
    support = {name: int(row[-1]) for name, row in page.table("Scores by type").items() if name.isupper()}
    for name, n in support.items():
        assert sum(map(int, matrix[name])) == n, "the right ones, the confused ones and the missed ones"
    assert matrix["gold"] == ["LOC", "MISC", "ORG", "PER", "missed"]
    assert matrix["LOC"] == ["0", "2", "1", "0", "1"]
    assert matrix["made up"] == ["0", "1", "0", "1", "–"]


def test_parts_use_the_training_data(pages: Pages) -> None:
    page = pages.plain
    unseen = json.loads(run_tagger("eval", "gold", "--json", "--unseen").output)["unseen"]
    parts = page.table("What the model has seen")
    for label, name in (("seen in the training data", "seen"), ("with unknown tokens", "unknown_tokens")):
        score = unseen[name]
        assert parts[label] == [*percent(score["precision"], score["recall"], score["f1"]), str(score["support"])]
    frequency = page.table("Times that the training data")
    assert {name: row[-1] for name, row in frequency.items()} == {"part": "gold", "0": "7", "1": "1", "2–5": "4"}


def test_without_the_training_data_the_page_says_what_is_left_out(models: object) -> None:
    Path("train").rename("moved")
    page = report("gold")
    assert "parts of this section are left out" in page.text
    assert "pass it with --train FILE" in page.text
    assert "seen in the training data" not in page.table("What the model has seen")
    assert not any(caption.startswith("Times that") for caption in page.tables)
    assert page.tables != report("gold", "--train", "moved").tables
    assert run_tagger("report", "gold", "-o", "r.html", "--train", "nowhere").exit_code == 1


def test_another_model_is_compared_as_compare_does(pages: Pages) -> None:
    page = pages.compared
    found = json.loads(run_tagger("compare", "one", "other", "gold", "--json").output)
    assert f"p = {found['p_value']:.4f}" in page.text
    assert f"a difference of {100 * found['difference']:+.2f}" in page.text
    assert page.table("Gold entities by which")["LOC"] == ["0", "0", "1", "3"]
    assert "Wrong entities that only this model predicts: 3; that only the other one predicts: 0." in page.text
    (missed,) = [text for text in page.sentences() if "Oslo" in text and "the other" in text]
    assert missed == (
        "3 · gold:11 gold EU Army LOC in Oslo LOC this model EU ORG wrong Army in Oslo the other EU ORG wrong Army in"
        " Oslo LOC"
    )


def test_the_curves_and_the_calibration_have_their_numbers(pages: Pages) -> None:
    page = pages.plain
    assert page.table("Epochs")["2"] == ["1", "1.25", "0.5", "1", "9"]
    bins = page.table("Predicted entities by their probability")
    assert sum(int(row[-1]) for name, row in bins.items() if name != "probability") == 13
    n_right = sum(float(row[1]) * int(row[2]) / 100 for name, row in bins.items() if name != "probability")
    assert round(n_right, 1) == 7


def test_two_reports_are_equal(pages: Pages) -> None:
    assert report("gold", "--against", "other").source == pages.compared.source


def test_what_is_left_out_is_counted(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = pages.plain.sentences()
    monkeypatch.setattr(build, "MOST_SENTENCES", 2)
    page = report("gold")
    assert page.sentences() == everything[:2]
    assert f"{len(everything) - 2} wrong sentences are left out" in page.text
    assert "tagger eval --errors" in page.text
    monkeypatch.setattr(build, "_MOST_BYTES", 1)
    assert f"{len(everything)} wrong sentences are left out" in report("gold").text


def test_a_file_without_entities_or_errors_has_a_report(models: object) -> None:
    Path("none").write_text("x\tO\n\ny\tO\n")
    page = report("none")
    assert "There are no errors." in page.text
    assert page.table("Scores by type")["all types"][:3] == ["0.00", "0.00", "0.00"]
    assert page.sentences() == []


def test_hostile_text_stays_text(models: dict[str, Predictor]) -> None:
    token, kind = "</script><script>alert(1)</script>", "<img/src=x/onerror=alert(1)>"
    odd = "\"'><b>\u202e\x1b[31m"
    Path("gold<i>").write_text(f"{token}\tB-{kind}\n{odd}\tB-LOC\nGerman\tO\n\n{{{{ 7*7 }}}}\tB-LOC\n")
    page = report("gold<i>")
    raw = Path("r.html").read_bytes().decode()
    names = collections.Counter(name for name, _ in page.elements)
    assert (names["script"], names["img"]) == (1, 0)
    assert not [name for name, attributes in page.elements for key in attributes if key.startswith("on")]
    assert token in page.text
    assert kind in page.text
    assert "{{ 7*7 }}" in page.text
    assert "\\u202e\\x1b[31m" in page.text
    assert not set(raw) & {"\u202e", "\x1b"}
    for piece in (token, kind, "gold<i>", odd[:5]):
        assert piece not in raw


def test_only_a_report_is_replaced(made: Pages, models: object) -> None:
    Path("r.html").write_text("<!doctype html>\n<p>mine\n")
    result = run_tagger("report", "gold", "-o", "r.html")
    assert (result.exit_code, result.output) == (1, b"")
    assert result.first_error == (
        "error: r.html: is there and is not a page of tagger report, expected a new name, or that of a page of tagger"
        " report to replace; choose another"
    )
    assert Path("r.html").read_text().endswith("mine\n")
    Path("r.html").write_bytes(made.compared.source)
    assert report("gold").sentences()
    assert run_tagger("report", "gold", "-o", "no/r.html").first_error.startswith("error: no/r.html: found no folder")
    assert run_tagger("report", "gold", "-o", "gold").first_error.startswith("error: gold: is there and is not a page")
    assert Path("gold").read_text() == GOLD


def test_models_of_plain_tags_have_no_report(models: object) -> None:
    manifest = dataclasses.replace(stub_manifest(notation=Notation(scheme="none")), scheme="none")
    with stub_models(lambda _: stub_predictor(manifest)):
        result = run_tagger("report", "gold", "-o", "r.html")
    assert result.first_error.startswith("error: --model: found a model of plain tags (scheme none), expected one of")
    plain = stub_predictor(manifest)
    with stub_models(lambda name: plain if name == "plain" else stub_predictor()):
        result = run_tagger("report", "gold", "--against", "plain", "-o", "r.html")
    assert result.first_error.startswith("error: --against: found a model of plain tags (scheme none), expected one of")
    assert not Path("r.html").exists()


def test_the_page_is_marked_up_for_screen_readers(pages: Pages) -> None:
    elements = pages.compared.elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for name, attributes in elements:
        if name == "th":
            assert attributes["scope"] in ("row", "col")
        if name == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if name == "a":
            assert str(attributes["href"]).removeprefix("#") in ids
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
    names = [name for name, _ in elements]
    assert names.count("table") == names.count("caption")
    assert names.count("h1") == names.count("main") == names.count("nav") == 1
    live = [attributes for _, attributes in elements if attributes.get("aria-live") == "polite"]
    assert [attributes["role"] for attributes in live] == ["status", "status"]


def test_the_matrix_and_the_chart_hold_the_commonest_of_many_types(models: object) -> None:
    Path("many").write_text("".join(f"x\tB-T{i}\n\n" * (2 if i < 30 else 1) for i in range(35)))
    page = report("many")
    matrix = page.table("Number of entities by")
    assert set(matrix) == {"gold", *(f"T{i}" for i in range(30)), "made up"}
    assert "5 rarer types are left out of this table." in page.text
    assert len(page.table("Scores by type")) == 37, "the table of scores holds all of them"
