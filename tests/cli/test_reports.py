"""Tables for people: their values, and that they fit in 80 columns."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.cli.commands import cli
from tagger.cli.reports import format_comparison, format_report, format_results, format_seeds_results
from tagger.evaluation.scores import Evaluation, Score
from tagger.evaluation.significance import Comparison


def an_evaluation(types: dict[str, Score]) -> Evaluation:
    whole = Score(0.5, 0.25, 1 / 3, 7)
    return Evaluation(whole, whole, types, 0.9876, 1, 100)


def test_results_show_dev_and_test_side_by_side() -> None:
    dev = an_evaluation({"LOC": Score(1.0, 0.5, 2 / 3, 4), "PER": Score(0.0, 0.0, 0.0, 3)})
    test = an_evaluation({"LOC": Score(0.25, 0.5, 1 / 3, 6), "ORG": Score(1.0, 1.0, 1.0, 1)})
    assert format_results({"dev": dev, "test": test}).splitlines() == [
        "                  dev P      R     F1 support   test P      R     F1 support",
        "LOC              100.00  50.00  66.67       4    25.00  50.00  33.33       6",
        "ORG                   –      –      –       0   100.00 100.00 100.00       1",
        "PER                0.00   0.00   0.00       3        –      –      –       0",
        "all               50.00  25.00  33.33       7    50.00  25.00  33.33       7",
    ]


def test_results_of_several_seeds_are_means_with_the_standard_deviation_of_f1() -> None:
    first = an_evaluation({"LOC": Score(1.0, 0.5, 0.5, 4), "PER": Score(0.5, 0.5, 0.5, 3)})
    second = an_evaluation({"LOC": Score(0.5, 0.5, 0.6, 5)})
    assert format_seeds_results({"dev": [first, second], "test": [second, second]}).splitlines() == [
        "means             dev P      R     F1 ± sd      test P      R     F1 ± sd",
        "LOC               75.00  50.00  55.00 ±  7.07    50.00  50.00  60.00 ±  0.00",
        "PER               50.00  50.00  50.00 ±     –        –      –      –       –",
        "all               50.00  25.00  33.33 ±  0.00    50.00  25.00  33.33 ±  0.00",
    ]
    assert format_seeds_results({"dev": [Evaluation(None, None, {}, 0.9876, 1, 100)] * 2}) == ""
    assert format_seeds_results({}) == ""


def test_results_of_plain_tags_are_accuracies() -> None:
    plain = Evaluation(None, None, {}, 0.9876, 1, 100)
    assert format_results({"dev": plain, "test": plain}) == "dev accuracy 98.76\ntest accuracy 98.76\n"
    assert format_results({}) == ""


def test_results_list_the_commonest_types_only() -> None:
    types = {f"T{i:02}": Score(0.5, 0.5, 0.5, i) for i in range(1, 31)}
    rows = format_results({"dev": an_evaluation(types)}).splitlines()
    assert [row.split()[0] for row in rows[1:21]] == [f"T{i}" for i in range(11, 31)]
    assert rows[21] == "and 10 rarer types, which tagger eval lists"


@pytest.mark.parametrize("name", ["PER", "x" * 5_000, "\x1b[2J" * 20, "日本" * 50])
def test_tables_fit_in_80_columns_whatever_a_type_or_a_model_is_called(name: str) -> None:
    found = an_evaluation({name: Score(1.0, 1.0, 1.0, 1_000_000)})
    comparison = Comparison((1.0, 1.0), -1.0, (-1.0, 1.0), 1.0, 10_000)
    tables = [
        format_report(found),
        format_results({"dev": found, "test": found}),
        format_seeds_results({"dev": [found, found], "test": [found, found]}),
        format_comparison(comparison, (name, f"models/{name}"), "accuracy"),
    ]
    for table in tables:
        assert max(map(len, table.splitlines())) <= 80, table
        assert "\x1b" not in table


def test_models_in_a_comparison_are_told_apart_by_the_ends_of_their_paths() -> None:
    names = ("very/long/" * 10 + "first", "very/long/" * 10 + "second")
    rows = format_comparison(Comparison((0.5, 0.6), 0.1, (0.0, 0.2), 0.5, 100), names, "F1").splitlines()
    assert rows[0].startswith("…")
    assert "first  " in rows[0]
    assert "second  " in rows[1]


def test_one_of_a_kind_is_not_a_plural(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert format_report(Evaluation(None, None, {}, 1.0, 1, 1)) == "1 sentence, 1 token, accuracy 100.00\n"
    assert format_report(Evaluation(None, None, {}, 1.0, 2, 3)) == "2 sentences, 3 tokens, accuracy 100.00\n"
    monkeypatch.chdir(tmp_path)
    Path("one").write_bytes(b"EU\tB-ORG\n")
    rows = run_tagger("check", "one").output.decode()
    assert "1 sentence, 1 token (1 distinct), 1 entity, 1 tag\n" in rows


@pytest.mark.parametrize("command", [[], *([name] for name in cli.commands)])
def test_help_fits_in_80_columns_and_its_summaries_are_whole(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = run_tagger(*command, "--help").output.decode()
    assert max(map(len, text.splitlines())) <= 80
    assert not re.search(r"\w\.\.\.$", text, re.MULTILINE), "a summary is cut"


def test_naming_the_token_column_keeps_the_last_column_as_the_tag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.conll").write_text("x\tEU\tB-ORG\ny\trejects\tO\n\nz\tPeter\tB-PER\n")
    Path("c.yaml").write_text("data: {train: f.conll, dev: null, columns: {token: 1}}\n")
    for arguments in (["f.conll", "--columns", "token=1"], ["--config", "c.yaml"]):
        (report,) = json.loads(run_tagger("check", "--json", *arguments).output)["files"]
        assert report["format"]["columns"] == {"token": 1, "tag": -1}
        assert report["counts"]["types"] == {"ORG": 1, "PER": 1}
