"""Check sweeps with processes that do not train but score as a function of their config."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from helpers import ROOT
from watcher import Heard

pytest.importorskip("optuna", reason="optuna is not installed: pip install '.[sweep]'")

from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.errors import ConfigError, DataError, ModelError, TaggerError
from tagger.runs.messages import Epoch
from tagger.runs.runner import ThisMachine
from tagger.sweep import run
from tagger.sweep.outcome import Outcome
from tagger.sweep.settings import SweepSettings
from tagger.sweep.space import read_space
from tagger.sweep.sweep import sweep

WORKER = (sys.executable, str(Path(__file__).with_name("fake_trainer.py")))
UNITS = "model.units: [20, 40, 60, 80, 100, 150]\nmodel.dropout: {low: 0.2, high: 0.6}\n"


class Watching(Heard):
    """A watcher that remembers what was given up too."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up: dict[str, str] = {}

    def give_up(self, name: str, why: str) -> None:
        self.given_up[name] = why


def prepare(folder: Path, monkeypatch: pytest.MonkeyPatch, epochs: int = 2) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("STARTED", str(folder / "started"))
    monkeypatch.setenv("EPOCHS", str(epochs))
    Path("train").write_text("a O\n\n" * 20)
    Path("c.yaml").write_text("data: {train: train, dev: 0.2, test: not-there}\nmodel: {units: 100, dropout: 0.3}\n")
    Path("s.yaml").write_text(UNITS)


@pytest.fixture(autouse=True)
def folder(whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(tmp_path, monkeypatch)


@pytest.fixture
def eight_epochs(folder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make trainings so long that they can be stopped, which they cannot be before the fifth epoch."""
    monkeypatch.setenv("EPOCHS", "8")


def search(watcher: Watching | None = None, *, config: str = "c.yaml", **options: Any) -> Outcome | None:
    more = {name: options.pop(name) for name in ("should_stop", "clock", "note") if name in options}
    settings = SweepSettings(
        **{"directory": Path("out"), "trials": 8, "at_once": 1, "machines": ThisMachine(WORKER), **options}
    )
    found = watcher or Watching()
    more = {"note": lambda text: None, **more}
    return sweep(load_config(config), read_space(Path("s.yaml")), settings, found, **more)


def shown(outcome: Outcome | None) -> list[tuple[Any, ...]]:
    assert outcome is not None
    return [(one.number, one.state, one.score, one.epochs, tuple(one.values.items())) for one in outcome.trials]


class Whole(NamedTuple):
    """A sweep that nothing has interrupted."""

    outcome: Outcome
    watcher: Watching
    best: bytes
    starts: list[str]
    directories: list[str]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    with pytest.MonkeyPatch.context() as patch:
        prepare(tmp_path_factory.mktemp("whole"), patch, epochs=8)
        watcher = Watching()
        outcome = search(watcher)
        assert outcome is not None
        directories = [path.name for path in Path("out").iterdir() if path.is_dir() and path.suffix == ""]
        return Whole(outcome, watcher, Path("out/best.yaml").read_bytes(), starts(), directories)


@pytest.fixture(scope="module")
def folder_of_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        prepare(folder, patch)
        search(trials=2)
    shutil.copytree(folder / "out", folder / "kept", copy_function=shutil.copy2)
    return folder


@pytest.fixture
def two(folder_of_two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the working directory one with a sweep of two trials in `out`, as `search(trials=2)` leaves it."""
    prepare(folder_of_two, monkeypatch)
    shutil.rmtree("out")
    shutil.copytree("kept", "out", copy_function=shutil.copy2)


def content(folder: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def starts() -> list[str]:
    return Path("started").read_text().splitlines()


def test_the_best_trial_is_found_and_those_that_fall_behind_are_stopped(whole: Whole) -> None:
    outcome = whole.outcome
    by_number = sorted(outcome.trials, key=lambda one: one.number)
    assert by_number[0].values == {"model.units": 100, "model.dropout": 0.3}, "the first trial is the config"
    assert outcome.first == 1
    # The fake trainer scores units / 200 · e / 8: the median rule, by hand.
    finished: list[int] = []
    for one in by_number:
        units = one.values["model.units"]
        median = (
            sorted(finished)[len(finished) // 2]
            if len(finished) % 2
            else sum(sorted(finished)[len(finished) // 2 - 1 :][:2]) / 2
            if finished
            else 0
        )
        behind = len(finished) >= 3 and units < median
        assert (one.state, one.epochs) == (("pruned", 5) if behind else ("finished", 8)), one
        assert one.score == pytest.approx(units / 200 * (5 / 8 if behind else 1))
        if not behind:
            finished.append(units)
    assert any(one.state == "pruned" for one in by_number)
    assert set(whole.watcher.given_up) == {one.name for one in by_number if one.state == "pruned"}
    assert outcome.best.score == max(finished) / 200
    states = [one.state for one in outcome.trials]
    assert states == sorted(states, key=["finished", "pruned"].index)
    # Only the best model stays.
    assert whole.directories == [outcome.best.name]
    # No score depends on dropout.
    assert outcome.importances is not None
    assert list(outcome.importances) == ["model.units", "model.dropout"]
    assert sum(outcome.importances.values()) == pytest.approx(1)
    # No training knows of a test set, and the best config does.
    assert {line.split()[3] for line in whole.starts} == {"None"}
    Path("out").mkdir()
    Path("out/best.yaml").write_bytes(whole.best)
    best = load_config("out/best.yaml")
    assert {"model.units": best.model.units, "model.dropout": best.model.dropout} == outcome.best.values
    assert best.data.test == str(Path("not-there").absolute())
    assert best.output.model_dir == str(Path("models/best").absolute())
    assert str(best.training.threads) == whole.starts[0].split()[2]


def test_the_same_seed_gives_the_same_trials_and_another_one_others(whole: Whole, eight_epochs: None) -> None:
    first = sorted(shown(whole.outcome))
    assert sorted(shown(search(trials=5))) == first[:5]
    assert sorted(shown(search(trials=3, directory=Path("other"), seed=7)))[:2] != first[:2]


def test_without_stopping_all_trials_come_to_their_end(eight_epochs: None) -> None:
    outcome = search(trials=6, prune=False, at_once=2)
    assert outcome is not None
    assert {(one.state, one.epochs) for one in outcome.trials} == {("finished", 8)}


SCRIPT = (
    "import sys; from pathlib import Path\n"
    "from test_sweep import *\n"
    "search(trials=8)\n"
)  # fmt: skip


def run_and_kill(number: int, epochs: int) -> None:
    """Run the sweep, kill it once a trial has had so many epochs, and wait until its training has ended."""
    running = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests"), str(Path(__file__).parent)]),
            "HOLD": f"trial-{number} {epochs + 1}",
        },
    )
    done, until = Path(f"out/trial-{number}.training/epochs"), time.monotonic() + 120
    while not (done.exists() and done.read_text() == str(epochs)):
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    training = Path("/proc", starts()[-1].split()[4])
    while training.exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_sweep_that_is_killed_twice_goes_on_as_if_nothing_had_been(whole: Whole, eight_epochs: None) -> None:
    run_and_kill(2, 3)
    run_and_kill(4, 2)
    continued = search()
    begun = starts()
    assert begun[1].split()[:2] == ["trial-2", "0"]
    assert begun[2].split()[0] == "trial-2"
    assert begun[2].split()[1] == "3", "the trial continues where it was"
    assert shown(continued) == shown(whole.outcome)
    assert Path("out/best.yaml").read_bytes() == whole.best


def test_a_stopped_sweep_goes_on_and_a_finished_one_is_shown_or_extended(whole: Whole, eight_epochs: None) -> None:
    watcher = Watching()
    assert search(watcher, should_stop=lambda: len(watcher.finished) == 2) is None
    n = len(starts())
    outcome = search()
    assert shown(outcome) == shown(whole.outcome)
    n_all = len(starts())
    watcher = Watching()
    assert shown(search(watcher)) == shown(outcome)
    assert len(starts()) == n_all > n
    assert len(watcher.done) == 8
    extended = search(trials=9)
    assert extended is not None
    assert len(extended.trials) == 9
    assert len(starts()) == n_all + 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: Path("s.yaml").write_text(UNITS.replace("150", "160")), r"the values of model.units: found \[20, 40"),
        (lambda: Path("c.yaml").write_text("data: {train: train, dev: 0.2}\nmodel: {units: 100}\n"), r"model.dropout: found 0.5, expected 0.3"),
        (lambda: Path("train").write_text("b O\n\n" * 20), r"data.train: found SHA-256"),
        (lambda: Path("s.yaml").write_text("".join(reversed(UNITS.splitlines(keepends=True)))), r"the keys in their order: found model.dropout, model.units, expected model.units"),
        (lambda: {"seed": 5}, r"--seed: found 5, expected 1"),
        (lambda: {"sampler": "random"}, r"--sampler: found random, expected tpe"),
        (lambda: {"prune": False}, r"--no-prune: found true, expected false"),
    ],
)  # fmt: skip
def test_another_sweep_in_the_same_place_is_refused(two: None, change: Callable[[], Any], message: str) -> None:
    before = content("out")
    options = change()
    options = options if isinstance(options, dict) else {}
    with pytest.raises(ConfigError, match=rf"^--study out: {message}.*; change it back, or start over with --force"):
        search(trials=2, **options)
    assert content("out") == before


def test_force_starts_over_and_leaves_other_files_alone(two: None) -> None:
    Path("out/mine").write_text("x")
    Path("s.yaml").write_text("model.units: {low: 10, high: 19, step: 3}\n")
    outcome = search(trials=4, force=True)
    assert outcome is not None
    assert sorted(one.values["model.units"] for one in outcome.trials) == [10, 13, 16, 19]
    assert Path("out/mine").read_text() == "x"
    assert not Path("out/trial-1").exists()


def test_a_grid_tries_each_combination_once_and_a_small_space_is_one() -> None:
    Path("s.yaml").write_text("model.units: [20, 40]\nmodel.dropout: {low: 0.2, high: 0.4, step: 0.1}\n")
    notes: list[str] = []
    for options in ({"sampler": "grid", "trials": None}, {"sampler": "random", "directory": Path("small")}):
        outcome = search(at_once=2, note=notes.append, **options)
        assert outcome is not None
        found = sorted(tuple(one.values.values()) for one in outcome.trials)
        assert found == [(20, 0.2), (20, 0.3), (20, 0.4), (40, 0.2), (40, 0.3), (40, 0.4)]
    assert "the space has 6 combinations, so each is tried once, as with --sampler grid" in notes
    Path("s.yaml").write_text("model.units: [20, 100]\nmodel.dropout: {low: 0.2, high: 0.4, step: 0.1}\n")
    assert outcome.first is None
    for n, first in ((5, 5), (3, None)):
        outcome = search(sampler="grid", trials=n, directory=Path(f"first-{n}"))
        assert outcome is not None
        assert outcome.first == first
    Path("s.yaml").write_text(UNITS)
    with pytest.raises(
        ConfigError, match=r"^s.yaml:2: model.dropout: found a range without a step, .* for --sampler grid"
    ):
        search(sampler="grid")


def test_the_same_values_are_not_trained_twice() -> None:
    Path("s.yaml").write_text("model.units: {low: 1, high: 10}\n")
    watcher = Watching()
    outcome = search(watcher, trials=9, sampler="random", prune=False)
    assert outcome is not None
    different = {one.values["model.units"] for one in outcome.trials}
    assert len(different) < 9, "the seed should draw a value twice"
    assert len(starts()) == len(different)
    assert len([why for why in watcher.given_up.values() if "has the values of trial-" in why]) == 9 - len(different)
    for one in outcome.trials:
        assert one.score == one.values["model.units"] / 200


def test_a_trial_that_fails_is_recorded_and_the_others_go_on() -> None:
    Path("c.yaml").write_text("data: {train: train, dev: 0.2}\n")
    Path("s.yaml").write_text("model.units: [20, 40]\nmodel.layers: [1, 3]\n")
    outcome = search(sampler="grid")
    assert outcome is not None
    assert [(one.number, one.state, one.error) for one in outcome.trials] == [
        (3, "finished", ""),
        (1, "finished", ""),
        (2, "failed", "the loss of step 7 is not finite"),
        (4, "failed", "the loss of step 7 is not finite"),
    ]
    assert not list(Path("out").glob("trial-2.t*"))
    n = len(starts())
    assert shown(search(sampler="grid")) == shown(outcome)
    assert len(starts()) == n, "what failed is not repeated"


def test_the_same_error_three_times_ends_the_sweep_and_is_repeated_once_mended() -> None:
    Path("s.yaml").write_text("model.units: [20, 40, 60, 80]\nmodel.layers: [3]\n")
    with pytest.raises(
        TaggerError, match=r"^trial-1, trial-2 and trial-3: found the same error each time, .*: the loss of"
    ) as caught:
        search(sampler="grid")
    assert caught.value.detail[0] == "look there"
    assert caught.value.detail[-1].startswith("once the cause is gone, give the same command again: it repeats these")
    assert len(starts()) == 3
    Path("mended").touch()
    outcome = search(sampler="grid")
    assert outcome is not None
    assert [(one.state, one.score, one.error) for one in outcome.trials] == [
        ("finished", score, "") for score in (0.4, 0.3, 0.2, 0.1)
    ]


def test_trials_that_fail_alike_in_two_commands_have_failed_if_others_have_not() -> None:
    Path("s.yaml").write_text("model.layers: [1, 3, 2]\nmodel.units: [20, 40, 60]\n")
    with pytest.raises(TaggerError, match=r"^trial-4, trial-5 and trial-6: found the same error each time") as caught:
        search(sampler="grid", trials=9, prune=False)
    assert caught.value.detail[-1].endswith("repeats these trials, and gives up those that end with the same error")
    outcome = search(sampler="grid", trials=9, prune=False)
    assert outcome is not None
    assert sorted((one.number, one.state) for one in outcome.trials if one.error) == [
        (4, "failed"),
        (5, "failed"),
        (6, "failed"),
    ]
    assert sum(one.state == "finished" for one in outcome.trials) == 6
    assert len(starts()) == 6 + 6
    Path("s.yaml").write_text("model.layers: [3]\n")
    for _ in range(3):  # nothing is lost that is to be kept, and the cause may be the machine
        with pytest.raises(TaggerError, match=r"^trial-1: found an error"):
            search(sampler="grid", directory=Path("none"))


def test_a_process_that_dies_is_a_trial_that_fails() -> None:
    Path("s.yaml").write_text("model.layers: [1, 4]\n")
    outcome = search(sampler="grid")
    assert outcome is not None
    assert outcome.trials[1].error == (
        "the process ended with signal SIGKILL, expected a result: the system ends the process that takes the most memory"
        " when there is too little; a lower --jobs leaves more"
    )
    Path("s.yaml").write_text("model.layers: [5, 1]\n")
    outcome = search(sampler="grid", directory=Path("other"))
    assert outcome is not None
    assert outcome.trials[1].error == "the process ended with exit code 3, expected a result: see its log"


def test_values_that_do_not_go_together_cost_no_training() -> None:
    Path("s.yaml").write_text("model.decoder: [crf, constrained]\ntraining.label_smoothing: [0.1, 0.2, 0.3, 0.4]\n")
    outcome = search(sampler="grid")
    assert outcome is not None
    assert [one.number for one in outcome.trials if one.state == "finished"] == [5, 6, 7, 8]
    assert all("expected 0 with a CRF" in one.error for one in outcome.trials[4:])
    assert len(starts()) == 4
    Path("s.yaml").write_text("model.decoder: [crf]\ntraining.label_smoothing: [0.1, 0.2]\n")
    with pytest.raises(
        TaggerError, match=r"^--study none: found no trial that is finished, expected one: trial-1: s.yaml:2: training"
    ):
        search(sampler="grid", directory=Path("none"))


def test_after_the_given_minutes_no_trial_begins() -> None:
    times = iter(range(0, 100_000, 20))
    outcome = search(minutes=2, clock=lambda: float(next(times)))
    assert outcome is not None
    assert 1 <= len(outcome.trials) < 8
    assert outcome.n_open == 8 - len(outcome.trials)
    assert all(one.state == "finished" for one in outcome.trials)
    with pytest.raises(TaggerError, match=r"^--minutes: found 0.1, in which no trial was finished"):
        search(minutes=0.1, clock=lambda: float(next(times)), directory=Path("none"))


@pytest.mark.parametrize("content", [b"this is not SQLite" * 100, b"", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_study_is_an_error(two: None, content: bytes) -> None:
    Path("out/study.sqlite").write_bytes(content)
    if not content:  # an empty file is an empty study
        assert search(trials=1) is not None
        return
    with pytest.raises(ModelError, match=r"out/study.sqlite: cannot be read or written: "):
        search(trials=2)
    assert search(trials=1, force=True) is not None


def test_any_name_of_the_directory_will_do() -> None:
    outcome = search(trials=1, directory=Path("a {b} ?c=%20 #d/ü"))
    assert outcome is not None
    assert outcome.best.score == 0.5
    assert json.loads(json.dumps(outcome.to_json()))["trials"][0]["values"] == {
        "model.units": 100,
        "model.dropout": 0.3,
    }


def test_a_sweep_needs_a_dev_set() -> None:
    Path("c.yaml").write_text("data: {train: train, dev: null}\n")
    with pytest.raises(ConfigError, match=r"^data.dev: found null, expected a dev set"):
        search()
    assert not Path("out").exists()


def test_what_a_stopped_trial_still_says_is_not_shown(eight_epochs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLD", "trial-4 7")
    watcher = Watching()
    Path("s.yaml").write_text("model.units: [200, 160, 180, 20]\n")
    assert search(watcher, sampler="grid") is not None
    assert watcher.given_up == {"trial-4": "stopped after epoch 5, because it has fallen behind"}
    epochs = [message.epoch for name, message in watcher.messages if name == "trial-4" and isinstance(message, Epoch)]
    assert epochs == [1, 2, 3, 4, 5]
    assert Path("stopped").read_text() == "trial-4\n"


def test_several_workers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:1"]}}))
    with pytest.raises(ConfigError, match=r"^TF_CONFIG: found several"):
        search()


def test_a_sweep_of_a_small_space_can_be_extended_until_all_was_tried() -> None:
    Path("s.yaml").write_text("model.units: {low: 1, high: 6}\n")
    outcome = search(trials=3, prune=False)
    assert outcome is not None
    assert outcome.first is None
    notes: list[str] = []
    extended = search(trials=8, prune=False, note=notes.append)  # a new sweep would have been a grid
    assert extended is not None
    assert len(extended.trials) == 8
    assert {(one.number, one.values["model.units"]) for one in outcome.trials} < {
        (one.number, one.values["model.units"]) for one in extended.trials
    }
    assert len(starts()) == len({one.values["model.units"] for one in extended.trials})
    assert not any("each is tried once" in text for text in notes)


def test_one_failure_does_not_hide_another_error() -> None:
    Path("s.yaml").write_text("model.layers: [3, 1]\nmodel.units: [20, 40]\n")

    class Failing(Watching):
        def give_up(self, name: str, why: str) -> None:
            if self.given_up:
                raise ModelError("the disk is full")
            super().give_up(name, why)

    with pytest.raises(ModelError, match=r"^the disk is full"):
        search(Failing(), sampler="grid")
    Path("s.yaml").write_text("model.layers: [3]\n")
    with pytest.raises(TaggerError, match=r"^trial-1: found an error, expected that only some values fail: the loss"):
        search(sampler="grid", directory=Path("one"))


def test_a_file_that_cannot_be_read_is_a_trial_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("v.txt").write_text("a 1 2\n")
    Path("s.yaml").write_text("embeddings.path: [null, v.txt]\nmodel.units: [10, 20]\n")
    real = run.data_checksums

    def checksums(config: Config) -> dict[str, str]:
        if config.embeddings.path is not None:
            raise DataError("v.txt: cannot be read")
        return real(config)

    monkeypatch.setattr(run, "data_checksums", checksums)
    outcome = search(sampler="grid")
    assert outcome is not None
    assert [(one.number, one.error) for one in outcome.trials] == [
        (2, ""),
        (1, ""),
        (3, "v.txt: cannot be read"),
        (4, "v.txt: cannot be read"),
    ]
    assert len(starts()) == 2


@pytest.mark.parametrize(("values", "changed"), [
    ("features.lists: [{}, {a: list.txt}]", "list.txt"),
    ("embeddings.path: [v.npy]", "v.txt"),
])  # fmt: skip
def test_a_file_of_a_value_that_has_changed_is_an_error(values: str, changed: str) -> None:
    for name in ("list.txt", "v.npy", "v.txt"):
        Path(name).write_text("a\n")
    Path("s.yaml").write_text(f"{values}\n")
    search(trials=2)
    best = Path("out/best.yaml").read_text()
    assert f"../{values.rpartition(' ')[2].strip('[]}')}" in best.partition("# found among ")[2]
    assert str(Path.cwd()) not in best
    Path(changed).write_text("b\n")
    with pytest.raises(ConfigError, match=rf"^--study out: .*{changed}: found SHA-256"):
        search(trials=2)


def test_a_deleted_study_begins_anew_without_the_trainings_of_the_old_one() -> None:
    search(trials=2, prune=False)
    n = len(starts())
    Path("out/study.sqlite").unlink()
    Path("out/trial-9.training").mkdir()
    Path("out/trial-mine").mkdir()
    notes: list[str] = []
    outcome = search(trials=2, prune=False, note=notes.append)
    assert outcome is not None
    assert [line.split()[:2] for line in starts()[n:]] == [["trial-1", "0"], ["trial-2", "0"]]
    assert f"{outcome.best.name}: study.sqlite does not know this training, so it is removed" in notes
    assert Path("out/trial-mine").is_dir()
    assert not Path("out/trial-9.training").exists()


def test_what_a_kill_left_half_written_is_removed(two: None) -> None:
    for name in ("best.yaml", "importance.svg", "plan.json", "mine"):
        Path(f"out/.{name}.123.new").touch()
    search(trials=2)
    assert [path.name for path in Path("out").glob(".*.new")] == [".mine.123.new"]


def test_a_trial_that_fails_took_the_time_until_it_failed() -> None:
    Path("s.yaml").write_text("model.layers: [3, 1]\n")
    ticks = iter(range(1_000_000))
    outcome = search(sampler="grid", clock=lambda: float(next(ticks)))
    assert outcome is not None
    assert (outcome.trials[1].state, outcome.trials[1].seconds) == ("failed", 1.0)


def test_of_two_at_once_those_that_are_stopped_leave_no_process_and_no_directory(eight_epochs: None) -> None:
    Path("s.yaml").write_text("model.units: [200, 180, 160, 20, 10, 100, 30]\n")
    outcome = search(sampler="grid", at_once=2)
    assert outcome is not None
    assert outcome.best.number == 1
    assert sum(one.state == "pruned" for one in outcome.trials) >= 2
    assert {path.name for path in Path("out").iterdir() if path.is_dir()} == {"trial-1", "trial-1.training"}
    for line in starts():
        with pytest.raises(ProcessLookupError):
            os.kill(int(line.split()[4]), 0)


def test_two_sweeps_in_one_place_are_refused() -> None:
    class Second(Watching):
        def begin(self, *arguments: Any) -> None:
            super().begin(*arguments)
            with pytest.raises(ModelError, match=r"^out: another command is training there, expected none; .* --study"):
                search(force=True)

    assert search(Second(), trials=1) is not None
