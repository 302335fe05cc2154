"""One of many trainings, the messages that it sends while it runs, and its result."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tagger.config.keys import Config
from tagger.config.loading import dump_config, parse_config
from tagger.evaluation.scores import Evaluation
from tagger.model_dir.files import MANIFEST
from tagger.training.init_from import InitFrom
from tagger.training.rows import Rows


@dataclasses.dataclass(frozen=True)
class Job:
    """One of many trainings.

    Attributes:
        name: what tells it apart, such as `fold-1`; its files have this name.
        config: the config, whose `output.model_dir` is the place of its model.
        rows: the sentences of the training data that it uses; None for all.
        device: the device, as `tagger train --device` names it.
        config_file: the file of the config, which the model remembers; None for a model that nothing else replaces.
        data: the checksums of the data that `rows` belong to, by key, as `plan.data_checksums` returns them.
        init: the model that it begins with; None for random weights.
    """

    name: str
    config: Config
    rows: Rows | None = None
    device: str = "auto"
    config_file: str | None = None
    data: Mapping[str, str] | None = None
    init: InitFrom | None = None

    @property
    def model_dir(self) -> Path:
        """The directory of its model."""
        return Path(str(self.config.output.model_dir))

    def ready(self, threads: int, data: Mapping[str, str]) -> Job:
        """Return the job with a number of threads and the checksums of the data, as a plan has them."""
        training = self.config.training.model_copy(update={"threads": threads})
        return dataclasses.replace(self, config=self.config.model_copy(update={"training": training}), data=data)

    def to_line(self) -> str:
        """Return the job as a line of JSON."""
        rows = self.rows and {name: _numbers(found) for name, found in dataclasses.asdict(self.rows).items()}
        values: dict[str, Any] = {"config": dump_config(self.config, only_set=True), "rows": rows}
        plain = {name: getattr(self, name) for name in ("name", "device", "config_file", "data")}
        if self.init is not None:
            values["init"] = [str(self.init.directory.absolute()), self.init.replay]
        return json.dumps(plain | values) + "\n"

    @classmethod
    def from_line(cls, line: str) -> Job:
        """Return the job that `to_line` wrote."""
        values = json.loads(line)
        rows = values["rows"] and Rows(**values["rows"])
        init = values.get("init") and InitFrom(directory=Path(values["init"][0]), replay=values["init"][1])
        return cls(**{**values, "config": parse_config(values["config"]), "rows": rows, "init": init})

    @property
    def checksum(self) -> str:
        """A checksum of the rows, which together with the config and its data say what is trained."""
        digest = hashlib.sha256()
        for found in (self.rows.train, self.rows.dev) if self.rows is not None else ():
            digest.update(b"none" if found is None else np.asarray(found, np.int64).tobytes())
        return digest.hexdigest()[:16]


def _numbers(found: Any) -> list[int] | None:
    return None if found is None else [int(number) for number in found]


@dataclasses.dataclass(frozen=True)
class JobResult:
    """The result of a finished training.

    Attributes:
        name: the name of its job.
        epoch: the best epoch, from 1.
        epochs: the number of epochs that it had.
        dev: the scores on dev in that epoch, or None without a dev set.
        model: SHA-256 of the manifest of its model, which holds the hashes of all its other files.
        seconds: how long the process took; a training that was continued counts from its continuation.
        memory: the most bytes of memory that the process had.
    """

    name: str
    epoch: int
    epochs: int
    dev: Evaluation | None
    model: str
    seconds: float = dataclasses.field(default=0.0, compare=False)
    memory: int = dataclasses.field(default=0, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the values that a file holds; floats keep all their digits."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> JobResult:
        """Return the result that `to_json` wrote."""
        dev = None if values["dev"] is None else Evaluation.from_values(values["dev"])
        return cls(**{**values, "dev": dev})


def checksum_of_model(directory: Path) -> str:
    """Return SHA-256 of a model's manifest; empty if there is none."""
    try:
        return hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return ""
