"""The logs of `training.log`, in trainings that are interrupted and continued."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

from tagger.config.keys import Config
from tagger.errors import ConfigError, TaggerError
from tagger.training.history import Outcome
from tagger.training.listener import Listeners, Log, Silent
from tagger.training.logs import configured_logs
from tagger.training.train import train

pytestmark = pytest.mark.tensorflow


def log_of(config: Config, *, continues: bool = False) -> Any:
    (log,) = configured_logs(config, continues=continues)
    return log


def trained(config: Config, log: Log, **options: Any) -> Outcome:
    listeners = Listeners(Silent(), [log])
    outcome = train(config, listeners, **options)
    listeners.end(outcome, outcome.best.dev if outcome.best and not outcome.stopped else None)
    return outcome


def after(n: int) -> Callable[[], bool]:
    """Return a request to stop that comes when it was asked for n times."""
    calls = iter(range(n))
    return lambda: next(calls, None) is None


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_library_is_an_error_before_the_training(tiny_config, monkeypatch, name: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    message = rf"^training.log: found {name}, expected the package {name} to be installed for it; run pip install '.\[{name}\]'"
    with pytest.raises(ConfigError, match=message):
        configured_logs(tiny_config(f"training.log=[{name}]"), continues=False)
    assert configured_logs(tiny_config(), continues=False) == []


def test_only_the_chief_of_several_workers_logs(tiny_config, monkeypatch: pytest.MonkeyPatch) -> None:
    task = '{"cluster": {"worker": ["localhost:1", "localhost:2"]}, "task": {"type": "worker", "index": 1}}'
    monkeypatch.setenv("TF_CONFIG", task)
    assert configured_logs(tiny_config("training.log=[tensorboard]"), continues=False) == []


def test_tensorboard_shows_each_epoch_once_and_each_training_as_a_run(tiny_config, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def points(run: str, name: str) -> list[tuple[int, float]]:
        events = EventAccumulator(str(tmp_path / "m.logs/tensorboard" / run))
        events.Reload()
        return [(event.step, float(event.tensor_proto.float_val[0])) for event in events.Tensors(name)]

    config = tiny_config("training.epochs=3", f"output.model_dir={tmp_path}/m", "training.log=[tensorboard]")
    first = trained(config, log_of(config), should_stop=after(10))
    assert first.stopped
    assert 0 < len(first.history) < 3
    whole = trained(config, log_of(config, continues=True), resume=True)
    assert not whole.stopped
    assert points("seed-1", "train_loss") == [(r.epoch, pytest.approx(r.train.loss)) for r in whole.history]
    assert points("seed-1", "dev/f1") == [(r.epoch, pytest.approx(r.dev.overall.f1)) for r in whole.history]
    assert points("seed-1", "test/f1") == [(whole.best.epoch, pytest.approx(whole.best.dev.overall.f1))]
    trained(config, log_of(config))
    assert [step for step, _ in points("seed-1.2", "train_loss")] == [1, 2, 3]
    assert len(points("seed-1", "train_loss")) == 3
    assert sorted(path.name for path in (tmp_path / "m").iterdir() if "log" in path.name) == []


@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_mlflow_has_one_run_of_an_interrupted_training(tiny_config, tmp_path: Path, monkeypatch) -> None:
    for package in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(package)
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = tiny_config("training.epochs=3", f"output.model_dir={tmp_path}/m", "training.log=[mlflow]")
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/m.logs/mlflow.db")

    def runs() -> list[Any]:
        return list(client.search_runs([client.get_experiment_by_name("m").experiment_id]))

    first = trained(config, log_of(config), should_stop=after(10))
    assert [run.info.status for run in runs()] == ["KILLED"]
    assert 0 < len(first.history) < 3
    whole = trained(config, log_of(config, continues=True), resume=True)
    (run,) = runs()
    assert (run.info.status, run.data.params["training.epochs"]) == ("FINISHED", "3")
    losses = client.get_metric_history(run.info.run_id, "train_loss")
    assert [(m.step, m.value) for m in losses] == [(r.epoch, r.train.loss) for r in whole.history]
    assert run.data.metrics["test/f1"] == whole.best.dev.overall.f1
    trained(config, log_of(config))
    assert len(runs()) == 2


def test_mlflow_without_a_place_is_an_error_before_the_first_step(tiny_config, monkeypatch) -> None:
    for package in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(package)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nothing:of-this-kind")
    config = tiny_config("training.log=[mlflow]")
    with pytest.raises(TaggerError, match=r"^training.log: mlflow: nothing:of-this-kind cannot be written, expected"):
        trained(config, log_of(config))
    assert not Path(str(config.output.model_dir)).exists()


@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_mlflow_does_not_replace_a_file_that_is_no_database(tiny_config, tmp_path: Path, monkeypatch) -> None:
    for package in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(package)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = tiny_config(f"output.model_dir={tmp_path}/m", "training.log=[mlflow]")
    (tmp_path / "m.logs").mkdir()
    (tmp_path / "m.logs/mlflow.db").write_text("something else\n")
    with pytest.raises(
        TaggerError, match=r"^training.log: mlflow: sqlite:///.*mlflow.db cannot be written, expected"
    ) as found:
        trained(config, log_of(config))
    assert list(found.value.detail) == ["(sqlite3.DatabaseError) file is not a database"]
    assert (tmp_path / "m.logs/mlflow.db").read_text() == "something else\n"
