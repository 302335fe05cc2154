"""The log for MLflow: parameters, curves by epoch and test scores, one run for each training."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from tagger.errors import TaggerError
from tagger.evaluation.scores import Evaluation
from tagger.filesystem import relative_path
from tagger.training.facts import Beginning
from tagger.training.history import EpochResult, Outcome
from tagger.training.listener import Log
from tagger.training.metrics import epoch_metrics, test_metrics
from tagger.wording import as_argument

_EVERY_EPOCH = "train_loss"  # the metric that has a value for each epoch
_MODEL, _SEED = "tagger.model", "tagger.seed"  # the tags that tell the runs apart
_MOST_PARAMS = 100  # in one call; a limit of MLflow


class MlflowLog(Log):
    """A log for MLflow, on the server that `MLFLOW_TRACKING_URI` names, otherwise in a file.

    The experiment is that of `MLFLOW_EXPERIMENT_NAME`, otherwise it has the name of the model directory.

    Args:
        model_dir: the directory of the model.
        file: the file that is the default, an SQLite database.
        continues: whether the training continues another one, so that the last run of its seed is continued too.
    """

    name = "training.log: mlflow"

    def __init__(self, model_dir: Path, file: Path, *, continues: bool) -> None:
        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)  # they say which tables they create
        self._model_dir, self._file, self._continues = model_dir, file, continues
        self._uri = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else f"sqlite:///{file}"
        self._client: MlflowClient | None = None
        self._run: str | None = None
        self._logged: set[int] = set()

    def begin(self, beginning: Beginning) -> None:
        try:
            if not mlflow.is_tracking_uri_set():
                self._file.parent.mkdir(parents=True, exist_ok=True)
            self._client = self._client or MlflowClient(tracking_uri=self._uri)
            self._begin_run(self._client, beginning)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            raise TaggerError(
                f"training.log: mlflow: {self._uri} cannot be written, expected a place for the run; set"
                " MLFLOW_TRACKING_URI to another one, or take mlflow out of training.log",
                detail=str(error).strip().splitlines()[:1],
            ) from None
        for result in beginning.history:
            self.end_epoch(result, None)

    def _begin_run(self, client: MlflowClient, beginning: Beginning) -> None:
        experiment = self._experiment(client)
        tags = {_MODEL: str(self._model_dir).replace("'", "_"), _SEED: str(beginning.seed)}
        found = []
        if beginning.history and self._continues:
            wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
            found = client.search_runs([experiment], wanted, max_results=1, order_by=["attributes.start_time DESC"])
        if found:
            self._run = found[0].info.run_id
            client.update_run(self._run, status="RUNNING")
            self._logged = {metric.step for metric in client.get_metric_history(self._run, _EVERY_EPOCH)}
            return
        name = f"{self._model_dir.name}, seed {beginning.seed}"
        self._run, self._logged = client.create_run(experiment, tags=tags, run_name=name).info.run_id, set()
        data = {"data.sentences": beginning.data.train.sentences, "data.tokens": beginning.data.train.tokens}
        params = [Param(key, str(value)) for key, value in {**beginning.settings, **data}.items()]
        for start in range(0, len(params), _MOST_PARAMS):
            client.log_batch(self._run, params=params[start : start + _MOST_PARAMS])

    def _experiment(self, client: MlflowClient) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self._model_dir.name
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        # Without a server, MLflow would put files into the working directory.
        place = None if mlflow.is_tracking_uri_set() else (self._file.parent / "mlflow-files").as_uri()
        return str(client.create_experiment(name, artifact_location=place))

    def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
        if result.epoch not in self._logged:
            self._logged.add(result.epoch)
            self._log(epoch_metrics(result), result.epoch)

    def end(self, outcome: Outcome, test: Evaluation | None) -> None:
        if test is not None and outcome.best is not None:
            self._log(test_metrics(test), outcome.best.epoch)
        self._end_run("KILLED" if outcome.stopped else "FINISHED")

    def places(self) -> list[str]:
        if mlflow.is_tracking_uri_set():
            return [f"MLflow has the training at {self._uri}"]
        place = as_argument(f"sqlite:///{relative_path(self._file)}")
        return [f"to see it in MLflow: mlflow ui --backend-store-uri {place}"]

    def close(self) -> None:
        self._end_run("FAILED")

    def _end_run(self, status: str) -> None:
        if self._client is not None and self._run is not None:
            self._client.set_terminated(self._run, status)
        self._run = None

    def _log(self, metrics: dict[str, float], step: int) -> None:
        if self._client is not None and self._run is not None:
            now = int(1000 * time.time())
            self._client.log_batch(self._run, [Metric(name, value, now, step) for name, value in metrics.items()])
