"""Check that trainings are continued only if they are the same, and that nothing foreign is touched."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path

import pytest

from tagger.config.keys import Config
from tagger.config.loading import load_config, with_model_dir
from tagger.errors import ConfigError, ModelError
from tagger.model_dir.checkpoints import Checkpoints
from tagger.runs.job import Job
from tagger.runs.plan import RunsDirectory, plan_of
from tagger.runs.resources import Resources
from tagger.training.rows import Rows


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("a O\n")
    Path("c.yaml").write_text("data: {train: train}\n")
    return load_config("c.yaml")


def plan(config: Config, rows: tuple[int, ...] = (0, 1), **choices: object) -> dict[str, object]:
    jobs = [Job("fold-1", with_model_dir(config, "out/fold-1"), Rows(rows))]
    return plan_of("crossval", config, jobs, **choices)


def test_the_same_plan_is_continued(config: Config) -> None:
    directory = RunsDirectory(Path("out"))
    with directory.lock():
        assert not directory.begin(plan(config), resume=True, force=False)
        assert directory.begin(plan(config), resume=True, force=False)
        with pytest.raises(ConfigError, match=r"^out: found trainings of an earlier command, .* --resume, .* --force"):
            directory.begin(plan(config), resume=False, force=False)


@pytest.mark.parametrize(
    ("settings", "rows", "choices", "text"),
    [
        (["training.seed=2"], (0, 1), {}, "--resume: training.seed: found 2, expected 1, as in the training so far"),
        (["data.labels.map={A: B}"], (0, 1), {}, "--resume: data.labels: found "),
        (["output.quantize=int8"], (0, 1), {}, "--resume: output.quantize: found int8, expected null"),
        ([], (0, 2), {}, "--resume: fold-1: found "),
        ([], (0, 1), {"-k": 3}, "--resume: -k: found 3, expected null"),
    ],
)
def test_what_differs_is_named(config: Config, settings, rows, choices, text: str) -> None:
    directory = RunsDirectory(Path("out"))
    with directory.lock():
        directory.begin(plan(config), resume=False, force=False)
        with pytest.raises(ConfigError) as caught:
            directory.begin(plan(load_config("c.yaml", settings), rows, **choices), resume=True, force=False)
    assert caught.value.message.startswith(text)


def test_other_data_is_named(config: Config) -> None:
    directory = RunsDirectory(Path("out"))
    with directory.lock():
        directory.begin(plan(config), resume=False, force=False)
        Path("train").write_text("b O\n")
        with pytest.raises(ConfigError, match=r"^--resume: data.train: found SHA-256 "):
            directory.begin(plan(config), resume=True, force=False)


def test_force_removes_earlier_trainings_and_nothing_else(config: Config) -> None:
    directory = RunsDirectory(Path("out"))
    with directory.lock():
        directory.begin(plan(config), resume=False, force=False)
        for name in ("fold-1", "fold-1.training", "mine"):
            Path("out", name).mkdir()
            Path("out", name, "file").touch()
        Path("out/fold-1.json").touch()
        Path("out/fold-1.log").touch()
        directory.begin(plan(config, rows=(5,)), resume=False, force=True)
    assert {path.name for path in Path("out").iterdir()} == {"plan.json", "lock", "mine"}


@pytest.mark.parametrize("name", ["..", ".", "", "../mine", "/tmp", "a/b", "-x", ".hidden"])
def test_names_in_a_damaged_plan_lead_nowhere_else(config: Config, name: str) -> None:
    directory = RunsDirectory(Path("out"))
    Path("mine").mkdir()
    with directory.lock():
        directory.begin(plan(config), resume=False, force=False)
        stored = json.loads(Path("out/plan.json").read_text())
        Path("out/plan.json").write_text(json.dumps(stored | {"runs": {name: ""}}))
        directory.begin(plan(config), resume=False, force=True)
    assert Path("mine").is_dir()
    assert {path.name for path in Path("out").iterdir()} == {"plan.json", "lock"}


@pytest.mark.parametrize("force", [False, True])
def test_a_directory_with_other_things_is_refused(config: Config, force: bool) -> None:
    Path("out").mkdir()
    Path("out/thesis").touch()
    directory = RunsDirectory(Path("out"))
    with (
        directory.lock(),
        pytest.raises(ConfigError, match=r"^out: found thesis in it, expected nothing but trainings"),
    ):
        directory.begin(plan(config), resume=False, force=force)
    assert Path("out/thesis").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"runs": 1}'])
def test_a_damaged_plan_is_named(config: Config, content: str) -> None:
    Path("out").mkdir()
    Path("out/plan.json").write_text(content)
    with pytest.raises(ConfigError, match=r"^out/plan.json: is damaged, expected the plan of trainings"):
        RunsDirectory(Path("out")).begin(plan(config), resume=True, force=False)


def test_a_second_command_is_refused(config: Config) -> None:
    first, second = RunsDirectory(Path("out")).lock(), RunsDirectory(Path("out")).lock()
    with first, pytest.raises(ModelError, match=r"^out: another command is training there"), second:
        pass


def test_a_file_in_the_way_is_named(config: Config) -> None:
    Path("out").touch()
    with pytest.raises(ModelError, match=r"^out: cannot be written: "), RunsDirectory(Path("out")).lock():
        pass


def test_what_a_killed_command_left_is_not_in_the_way(config: Config) -> None:
    Path("out").mkdir()
    Path("out/.plan.json.123.new").touch()
    directory = RunsDirectory(Path("out"))
    with directory.lock():
        directory.begin(plan(config), resume=False, force=False)
    assert {path.name for path in Path("out").iterdir()} == {"plan.json", "lock"}


def test_force_removes_the_results_of_all_trainings_too(config: Config) -> None:
    Path("out").mkdir()
    Path("out/predictions.conll").touch()
    directory = RunsDirectory(Path("out"), results=("predictions.conll",))
    with pytest.raises(ConfigError, match=r"^out: found predictions.conll in it"):  # it may be the user's
        directory.begin(plan(config), resume=False, force=True)
    Path("out/predictions.conll").unlink()
    directory.begin(plan(config), resume=False, force=False)
    Path("out/predictions.conll").touch()
    directory.begin(plan(config), resume=False, force=True)
    assert {path.name for path in Path("out").iterdir()} == {"plan.json"}


def test_force_waits_for_a_training_whose_parent_was_killed(config: Config) -> None:
    Path("out").mkdir()
    directory, order = RunsDirectory(Path("out")), list[str]()
    directory.begin(plan(config), resume=False, force=False)

    def end() -> None:
        order.append("ended")
        held.close()

    with contextlib.ExitStack() as held:
        held.enter_context(Checkpoints(Path("out/fold-1")).lock())
        Path("out/fold-1.training/state-000001.safetensors").touch()
        timer = threading.Timer(0.3, end)
        timer.start()
        directory.begin(plan(config, rows=(5,)), resume=False, force=True)
        order.append("begun")
        timer.join()
    assert order == ["ended", "begun"]
    assert not Path("out/fold-1.training").exists()


@pytest.mark.parametrize(("given", "expected"), [(None, 2), (3, 3)])
def test_continued_trainings_keep_their_threads(config: Config, given: int | None, expected: int) -> None:
    Path("out").mkdir()
    directory = RunsDirectory(Path("out"))
    first = directory.begin_with(plan(config), Resources(1, 2, 0), config, resume=False, force=False)
    assert first == Resources(1, 2, 0)
    config = config.model_copy(update={"training": config.training.model_copy(update={"threads": given})})
    again = directory.begin_with(plan(config), Resources(4, given or 1, 0), config, resume=True, force=False)
    assert again == Resources(4, expected, 0)


def test_a_command_that_fails_leaves_no_directory_behind(config: Config) -> None:
    Path("there").mkdir()
    for path in (Path("new/deep"), Path("there"), Path("there/new")):
        with pytest.raises(ConfigError), RunsDirectory(path).lock():
            assert (path / "lock").exists()
            raise ConfigError("wrong")
    assert not Path("new").exists()
    assert list(Path("there").iterdir()) == []  # it was there before
    with pytest.raises(ConfigError), RunsDirectory(Path("out")).lock():
        RunsDirectory(Path("out")).begin(plan(config), resume=False, force=False)
        raise ConfigError("wrong")
    assert sorted(path.name for path in Path("out").iterdir()) == ["lock", "plan.json"]
