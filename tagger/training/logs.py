"""The logs that `training.log` asks for, beside the model: two equal trainings leave equal model directories."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

from tagger.config.keys import Config
from tagger.errors import ConfigError
from tagger.network.distributed import read_task
from tagger.training.listener import Log

# The packages that each log needs, and that the extra of the same name installs.
_PACKAGES = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}


def logs_directory(model_dir: Path) -> Path:
    """Return the folder of the logs of a model."""
    return model_dir.with_name(f"{model_dir.name}.logs")


def configured_logs(config: Config, *, continues: bool) -> Sequence[Log]:
    """Return the logs of a training; of several workers only the chief has any.

    Args:
        continues: whether the training continues another one, whose logs are continued then.

    Raises:
        ConfigError: the library of a log is not installed.
    """
    if not config.training.log or not read_task().is_chief:
        return []
    for name in config.training.log:
        missing = next((package for package in _PACKAGES[name] if importlib.util.find_spec(package) is None), None)
        if missing is not None:
            raise ConfigError(
                f"training.log: found {name}, expected the package {missing} to be installed for it; run pip install"
                f" '.[{name}]' in a clone of tagger, or take {name} out of training.log"
            )
    model_dir = Path(str(config.output.model_dir))
    directory, logs = logs_directory(model_dir), list[Log]()
    if "tensorboard" in config.training.log:
        from tagger.training.tensorboard_log import TensorBoardLog

        logs.append(TensorBoardLog(directory / "tensorboard", continues=continues))
    if "mlflow" in config.training.log:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # which it reads when it is imported
        from tagger.training.mlflow_log import MlflowLog

        logs.append(MlflowLog(model_dir, directory / "mlflow.db", continues=continues))
    return logs
