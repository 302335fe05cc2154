"""What `tagger check` says of word lists and clusters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.inputs.clusters import Clusters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.word_lists import WordLists
from tagger.lexicons.features import coverage_of


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a function that checks two files with a section `features`, and returns the exit code, notes and problems."""
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("in O\nNew B-LOC\nYork I-LOC\n's O\npark O\n\nsee O\nRome B-LOC\n\n")
    Path("dev").write_text("in O\nOslo B-LOC\n\nto O\nNew B-LOC\nYork I-LOC\n\n")

    def checked(features: str) -> tuple[int, list[str], list[dict[str, object]]]:
        Path("c.yaml").write_text(f"data: {{train: train, dev: dev}}\nfeatures: {features}\n")
        result = run_tagger("check", "--config", "c.yaml", "--json")
        train, dev = json.loads(result.output)["files"]
        assert not any("features" in note for note in dev["notes"])
        problems = [one for one in train["problems"] if one["kind"] == "features"]
        return result.exit_code, [note for note in train["notes"] if note.startswith("features.")], problems

    return checked


def test_the_tokens_that_each_source_covers_are_counted(checked, tmp_path: Path) -> None:
    Path("city").write_text("# cities\nNew York\nRome\nNew York\nOslo\n")
    Path("bits").write_text("in\t0\nto\t10\nOslo\t11\n")
    code, notes, problems = checked("{lists: {city: city}, clusters: bits}")
    assert (code, problems) == (0, [])
    dev = tmp_path / "dev"
    assert notes == [
        "features.lists.city: 3 phrases, 1 repeated line left out, 1 comment left out; tokens covered: 3 of 7 in train,"
        f" 3 of 5 in {dev}",
        f"features.clusters: 3 words; tokens covered: 1 of 7 in train, 3 of 5 in {dev}",
    ]


def test_a_list_without_a_match_is_a_warning_with_a_reason(checked) -> None:
    Path("city").write_text("NEW YORK\nNew York's\n")
    Path("bits").write_text("hu\t0\n")
    code, notes, problems = checked("{lists: {city: city}, clusters: bits}")
    assert code == 0
    assert [one["message"] for one in problems] == [
        "features.lists.city: found none of its phrases in train, expected some, because the network learns there what"
        " they mean; set features.ignore_case to true, which covers 2 tokens",
        "features.clusters: found no word of train, expected some; name clusters of the same language",
    ]
    assert notes[2].startswith("features.lists.city: 1 token that train may cut, such as York's (York 's); such")
    assert checked("{lists: {city: city}, ignore_case: true}")[2] == []
    Path("city").write_text("Kiel\n")
    (warning,) = checked("{lists: {city: city}}")[2]
    assert str(warning["message"]).endswith(
        "; write its phrases as train writes them, with spaces between the tokens, or delete the list"
    )


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("{lists: {city: none.txt}}", "features.lists.city: TMP/none.txt: no such file"),
        ("{lists: {city: train, x: empty}}", "features.lists.x: TMP/empty: found no phrases"),
        ("{clusters: none.txt}", "features.clusters: TMP/none.txt: no such file"),
        ("{clusters: train}", "features.clusters: TMP/train:1: found 'in O', expected a word, a TAB and its bits"),
    ],
)  # fmt: skip
def test_what_training_would_refuse_is_an_error(checked, tmp_path: Path, features: str, message: str) -> None:
    Path("empty").touch()
    code, _, (problem,) = checked(features)
    assert code == 1
    assert problem["severity"] == "error"
    assert str(problem["message"]).startswith(message.replace("TMP", str(tmp_path)))


def test_coverage_by_hand() -> None:
    features = ComputedFeatures(WordLists({"a": ["x y"], "b": ["q"]}), Clusters({"x": "0"}, (1, 2)))
    found = coverage_of(features, [["x", "y", "z"], [], ["x", "z"]])
    assert found.n_tokens == 5
    assert found.covered == {"features.lists.a": 2, "features.lists.b": 0, "features.clusters": 2}
    assert coverage_of(ComputedFeatures(), [["x"]]).covered == {}
