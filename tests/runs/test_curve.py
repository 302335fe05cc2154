"""Check which sentences the trainings of a learning curve get, and what is made of their scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from watcher import Heard

from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.corpus.dataset import held_out
from tagger.errors import ConfigError, DataError
from tagger.evaluation.scores import evaluate
from tagger.runs.curve import CurveSettings, _curve, _jobs, learning_curve
from tagger.runs.job import JobResult


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("".join(f"w{i} {'B-X' if i % 2 else 'O'}\nx O\n\n" for i in range(200)))
    Path("c.yaml").write_text("data: {train: train, dev: 0.1}\ntraining: {seed: 5}\n")
    return load_config("c.yaml")


def silent(_: str) -> None: ...


def jobs_of(config: Config, **options: object):
    settings = CurveSettings(**{"directory": Path("out"), "shares": (20, 50, 100), "repeats": 2, **options})
    return _jobs(config, settings, sorted(settings.shares), silent, silent)


def test_shares_contain_each_other_and_all_have_the_same_dev(config: Config) -> None:
    jobs, sizes = jobs_of(config)
    assert [job.name for job in jobs] == [
        "share-100-seed-5", "share-100-seed-6", "share-050-seed-5", "share-050-seed-6", "share-020-seed-5",
        "share-020-seed-6",
    ]  # fmt: skip
    assert [sizes[job.name] for job in jobs] == [180, 180, 90, 90, 36, 36]
    assert [job.config.training.seed for job in jobs] == [5, 6] * 3
    rows = {job.name: job.rows for job in jobs}
    (dev,) = {tuple(one.dev) for one in rows.values() if one is not None and one.dev is not None}
    assert list(dev) == [i for i, held in enumerate(held_out(200, 0.1, 5)) if held]
    for seed in (5, 6):
        small, middle, large = (set(rows[f"share-{share}-seed-{seed}"].train) for share in ("020", "050", "100"))
        assert small < middle < large == set(range(200)) - set(dev)
        assert (len(small), len(middle)) == (36, 90)
    assert rows["share-020-seed-5"].train != rows["share-020-seed-6"].train


def test_what_is_said_about_reading_is_about_the_training_data(config: Config) -> None:
    notes = list[str]()
    _jobs(config, CurveSettings(directory=Path("out")), [50, 100], notes.append, silent)
    assert any(text.startswith("train: 200 sentences") for text in notes)
    assert not any("dev: none" in text for text in notes)  # each training has a dev set


def test_a_dev_file_stays_as_it_is(config: Config) -> None:
    Path("dev").write_text("a B-X\n")
    jobs, _ = jobs_of(load_config("c.yaml", ["data.dev=dev"]))
    assert {job.rows.dev for job in jobs if job.rows} == {None}
    assert len(jobs[0].rows.train) == 200


@pytest.mark.parametrize(
    ("settings", "options", "text"),
    [
        (["data.dev=null"], {}, "data.dev: found null, expected a dev set"),
        ([], {"shares": (50, 100)}, "--shares: found 50, 100, expected at least three different percentages"),
        ([], {"shares": (50, 100, 100)}, "--shares: found 50, 100, 100, expected at least three different"),
        ([], {"shares": (0, 50, 100)}, "--shares: found 0, 50, 100, expected"),
        ([], {"shares": (20, 50, 101)}, "--shares: found 20, 50, 101, expected"),
    ],
)
def test_what_gives_no_curve_is_refused(config: Config, settings, options, text: str) -> None:
    wanted = CurveSettings(directory=Path("out"), **options)
    with pytest.raises(ConfigError) as caught:
        learning_curve(load_config("c.yaml", settings), wanted, Heard(), note=silent, warn=silent)
    assert caught.value.message.startswith(text)
    assert not Path("out").exists()


def test_shares_of_a_few_sentences_are_refused(config: Config) -> None:
    with pytest.raises(DataError, match="found 180 sentences to train on, of which 2 % are 4, expected at least 10"):
        jobs_of(config, shares=(2, 50, 100))


def result(name: str, n_right: int) -> JobResult:
    tags = [["B-X"] * n_right + ["O"] * (10 - n_right)]
    return JobResult(name, 1, 1, evaluate([["B-X"] * 10], tags, "IOB2"), "")


def test_scores_are_grouped_by_size(config: Config) -> None:
    results = [result("a", 5), result("b", 7), result("c", 8), result("d", 9)]
    found = _curve(results, [100, 20, 100, 50])
    assert [(point.n, point.scores) for point in found.points] == [
        (20, (pytest.approx(2 * 7 / 17),)), (50, (pytest.approx(18 / 19),)),
        (100, (pytest.approx(2 / 3), pytest.approx(16 / 18))),
    ]  # fmt: skip
    assert found.what == "F1"
    gain = found.doubled()
    assert found.sentence() == (
        f"twice the labels (200 sentences) would bring about {100 * gain.value:+.1f} (±{100 * gain.margin:.1f}) points"
        " of dev F1"
    )
    assert found.to_json()["gain_of_twice_the_labels"]["value"] == gain.value
    assert [row["sentences"] for row in found.to_json()["fitted"]] == [20, 50, 100, 200, 400]


def test_scores_of_nothing_do_not_foretell_a_gain(config: Config) -> None:
    found = _curve([result(name, 0) for name in "abc"], [20, 50, 100])
    assert found.sentence() == (
        "all scores are 0, so nothing can be said of twice the labels; train longer, or raise --repeats or --shares"
    )
    assert found.to_json()["gain_of_twice_the_labels"] is None
