"""`tagger sweep`: what is wrong is said before anything is trained, and what is printed after it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest
from helpers import run_tagger

pytest.importorskip("optuna", reason="optuna is not installed: pip install '.[sweep]'")

from tagger.cli import sweep as command
from tagger.errors import DataError
from tagger.runs.job import JobResult
from tagger.sweep.outcome import Outcome
from tagger.sweep.study import Trial


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("".join(f"Ann{i % 7} B-PER\nleft O\n\n" for i in range(40)))
    Path("c.yaml").write_text("data: {train: train, dev: 0.2}\n")
    Path("s.yaml").write_text("model.units: [5, 6]\nmodel.dropout: {low: 0.1, high: 0.2}\n")
    Path("bad.yaml").write_text("model.units: [5, 6]\nmodel.dropuot: [0.1]\n")


CASES: list[tuple[list[str], int, str]] = [
    (["c.yaml"], 2, "Missing option '--space'"),
    (["c.yaml", "--space", "none"], 1, "--space: found no file none, expected one with keys and the values to try"),
    (["c.yaml", "--space", ""], 1, "--space: found an empty name, expected a file with keys and the values to try; name"),
    (["c.yaml", "--space", "."], 1, ".: found a directory, expected a space of values, which is a YAML file"),
    (["c.yaml", "--space", "train"], 1, "train: found the lines of a corpus, expected a space of values"),
    (["c.yaml", "--space", "c.yaml"], 1, "c.yaml:1: data.train: found it in the space, expected keys that change what"),
    (["c.yaml", "--space", "bad.yaml"], 1, "bad.yaml:2: model.dropuot: is not a known key; did you mean model.dropout?"),
    (["c.yaml", "--space", "s.yaml", "--study", ""], 1, "--study: found an empty name, expected a directory"),
    (["c.yaml", "--space", "s.yaml", "--study", "train"], 1, "train: cannot be written: "),
    (["c.yaml", "--space", "s.yaml", "--sampler", "grid"], 1, "s.yaml:2: model.dropout: found a range without a step"),
    (["c.yaml", "--space", "s.yaml", "--trials", "0"], 2, "'--trials'"),
    (["c.yaml", "--space", "s.yaml", "--minutes", "nan"], 2, "'--minutes'"),
    (["c.yaml", "--space", "s.yaml", "--set", "data.dev=null"], 1, "data.dev: found null, expected a dev set"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "text"), CASES)
def test_errors_before_the_first_trial(arguments: list[str], code: int, text: str) -> None:
    before = sorted(Path().rglob("*"))
    found = run_tagger("sweep", *arguments)
    assert (found.exit_code, found.output) == (code, b"")
    assert text in found.first_error
    assert sorted(Path().rglob("*")) == before


def test_a_directory_of_something_else_is_refused() -> None:
    Path("out").mkdir()
    Path("out/mine").touch()
    found = run_tagger("sweep", "c.yaml", "--space", "s.yaml", "--study", "out")
    assert "out: found mine in it, expected nothing but trainings of this command" in found.first_error
    assert {path.name for path in Path("out").iterdir()} <= {"mine", "lock"}


def test_without_optuna_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "optuna" else real(name, *more)
    )
    found = run_tagger("sweep", "c.yaml", "--space", "s.yaml")
    assert found.first_error == (
        "error: tagger sweep: found no optuna, expected it to choose what is tried; run pip install '.[sweep]' in a clone"
        " of tagger"
    )


def outcome() -> Outcome:
    result = JobResult("trial-2", 4, 9, None, "")
    return Outcome(
        [
            Trial(2, "finished", {"model.units": 6, "model.decoder": "crf"}, 0.9012, 9, 125.0, result),
            Trial(1, "finished", {"model.units": 5, "model.decoder": "crf"}, 0.85, 10, 60.0, result),
            Trial(3, "pruned", {"model.units": 50, "model.decoder": "softmax"}, 0.2, 5, 30.0),
            Trial(5, "unfinished", {}, None, 0),
            Trial(4, "failed", {"model.units": 7, "model.decoder": "crf"}, None, 0, 1.0, error="data.dev: \x1b[1mno"),
        ],
        "F1",
        {"model.units": 0.75, "model.decoder": 0.25},
        Path("out/best.yaml"),
        n_open=1,
        first=1,
    )


def test_the_table_has_the_best_first_and_says_what_mattered() -> None:
    assert command._table(outcome()).splitlines() == [
        "trial  dev F1  epochs  minutes  model.units  model.decoder",
        "    2   90.12       9      2.1            6            crf",
        "    1   85.00      10      1.0            5            crf  the config",
        "    3   20.00       5      0.5           50        softmax  stopped early",
        "    5               0      0.0                              not finished",
        "    4               0      0.0            7            crf  failed: data.dev: \\x1b[1mno",
        "",
        "what mattered (share of the variance of dev F1 among finished trials):",
        " 75.0 %  model.units",
        " 25.0 %  model.decoder",
    ]
    stopped = command._table(dataclasses.replace(outcome(), first=3))
    assert "softmax  the config, stopped early\n" in stopped
    (first, *_, last) = json.loads(json.dumps(outcome().to_json()))["trials"]
    assert first == {
        "trial": 2, "state": "finished", "dev": 0.9012, "epoch": 4, "epochs": 9, "seconds": 125.0,
        "values": {"model.units": 6, "model.decoder": "crf"}, "error": None,
    }  # fmt: skip
    assert last["error"] == "data.dev: \x1b[1mno"


def test_the_advice_warns_of_the_score_of_the_best() -> None:
    assert command._advice(outcome(), "") == [
        "the trials took 3.6 minutes in all",
        "1 trial more to come: give the same command again",
        "the best of 3 dev scores is optimistic; the test set was not read",
        "the best config is out/best.yaml",
        "next: tagger train out/best.yaml --seeds 5, then tagger eval on the test set",
    ]


def test_what_mattered_is_drawn_if_the_extra_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    charts = pytest.importorskip("tagger.report.charts")
    pytest.importorskip("vl_convert", reason="the extra report is not installed")
    assert command._draw(outcome(), Path()) == "the chart of what mattered is importance.svg"
    drawn = Path("importance.svg").read_text()
    assert drawn.startswith("<!-- Written by tagger. -->\n<svg ")
    assert 'aria-label="what mattered for dev F1: model.units 75.0 %, model.decoder 25.0 %"' in drawn
    for text in ("model.units", "model.decoder", "75.0", "25.0"):
        assert f">{text}</text>" in drawn
    assert "cannot be written" in command._draw(outcome(), Path("none"))

    def missing() -> None:
        raise DataError("no altair")

    monkeypatch.setattr(charts, "require_libraries", missing)
    Path("importance.svg").unlink()
    assert "pip install '.[report]'" in command._draw(outcome(), Path())
    assert not Path("importance.svg").exists()
