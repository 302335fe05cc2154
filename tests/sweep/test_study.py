"""Check what is drawn and what is said to matter, without any training."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="optuna is not installed: pip install '.[sweep]'")

from tagger.errors import ModelError
from tagger.runs.job import JobResult
from tagger.sweep.space import Space, read_space
from tagger.sweep.study import Study

RESULT = JobResult("", 1, 1, None, "")


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Space:
    path = tmp_path_factory.mktemp("space") / "s.yaml"
    path.write_text(
        "model.units: {low: 10, high: 100}\nmodel.decoder: [crf, softmax, constrained]\nmodel.dropout: {low: 0.1, high: 0.5}\n"
    )
    return read_space(path)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def finished(space: Space, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of a study with one trial, which is finished."""
    path = tmp_path_factory.mktemp("finished") / "s"
    with contextlib.closing(Study(path, space, "random", 1)) as study:
        number = study.begin()
        study.values(number)
        study.finish(number, 0.5, RESULT, 1.0)
        assert [one.state for one in study.trials()] == ["finished"]
    return path.read_bytes()


def test_what_the_score_depends_on_matters(space: Space) -> None:
    with contextlib.closing(Study(Path("s"), space, "random", 1)) as study:
        for _ in range(3):
            number = study.begin()
            study.finish(number, study.values(number)["model.units"], RESULT, 1.0)
        assert study.importances() is None
        for _ in range(17):
            number = study.begin()
            values = study.values(number)
            bonus = 300 if values["model.decoder"] == "crf" else 0
            study.finish(number, values["model.units"] + bonus, RESULT, 1.0)
        found = study.importances()
    assert found is not None
    assert next(iter(found)) == "model.decoder"
    assert found["model.decoder"] > 0.8
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_what_is_drawn_does_not_depend_on_how_often_the_file_was_opened(space: Space, sampler) -> None:
    drawn = []
    for name, times in (("once", 1), ("always", 14)):
        values = []
        for _ in range(times):
            with contextlib.closing(Study(Path(name), space, sampler, 5)) as study:
                for _ in range(14 // times):
                    number = study.begin()
                    values.append(study.values(number))
                    study.finish(number, values[-1]["model.units"] / 100, RESULT, 1.0)
        drawn.append(values)
    assert drawn[0] == drawn[1]
    assert len({tuple(values.values()) for values in drawn[0]}) == 14


def test_values_that_an_interruption_kept_from_being_drawn_are_drawn_later(space: Space) -> None:
    with contextlib.closing(Study(Path("whole"), space, "tpe", 5)) as study:
        expected = study.values(study.begin())
    with contextlib.closing(Study(Path("cut"), space, "tpe", 5)) as study:
        number = study.begin()
        assert study.trials()[0].values == {}
    with contextlib.closing(Study(Path("cut"), space, "tpe", 5)) as study:
        assert [one.number for one in study.trials() if one.state == "unfinished"] == [number]
        assert study.values(number) == expected


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE trial_user_attributes SET value_json = '\"5\"' WHERE key = 'result'", "'int' object"),
        ("UPDATE trial_user_attributes SET value_json = '7' WHERE key = 'result'", "the JSON object must be"),
        ("UPDATE trial_user_attributes SET value_json = '\"x\"' WHERE key = 'seconds'", "could not convert string"),
        ("UPDATE study_user_attributes SET value_json = '\"x\"'", "found the sampler x"),
        ("UPDATE trial_params SET param_value = 9 WHERE param_name = 'model.decoder'", "tuple index out of range"),
        ("DELETE FROM trial_params WHERE param_name = 'model.units'", "trial 1 has no score, or not all values"),
        ("DELETE FROM trial_values", "trial 1 has no score, or not all values"),
        ("UPDATE alembic_version SET version_num = 'v0.9.0.a'", "The runtime optuna version"),
    ],
)
def test_what_no_sweep_has_written_is_an_error(space: Space, finished: bytes, change: str, reason: str) -> None:
    Path("s").write_bytes(finished)
    with contextlib.closing(sqlite3.connect("s")) as connection:
        connection.execute(change)
        connection.commit()
    message = rf"^s: is damaged, .*: {reason}.*; put a copy in its place, or start over"
    with pytest.raises(ModelError, match=message), contextlib.closing(Study(Path("s"), space, "random", 1)) as study:
        study.trials()
