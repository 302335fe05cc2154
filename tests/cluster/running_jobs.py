"""Run jobs whose names are given on a Ray cluster, with processes that do not train, and print what comes of them.

Once `STOP` is in the folder, they are asked to stop.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tagger.cluster.connection import connected
from tagger.cluster.trainings import RayMachines
from tagger.config.keys import Config, DataConfig
from tagger.config.loading import with_model_dir
from tagger.errors import TaggerError
from tagger.runs.job import Job, JobResult
from tagger.runs.messages import Message
from tagger.runs.resources import Resources
from tagger.runs.runner import run_all


class Silent:
    def begin(self, names: object, done: object, resources: Resources) -> None:
        sys.stderr.write(f"{resources.n_at_once} at once, {resources.threads} thread\n")

    def hear(self, name: str, message: Message) -> None:
        sys.stderr.write(f"{name}: {type(message).__name__}\n")

    def finish(self, result: JobResult) -> None: ...


address, folder, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
config = Config(data=DataConfig(train=str(folder / "train")))
jobs = [Job(name, with_model_dir(config, folder / name)) for name in names]
found: dict[str, object] = {}
with connected(address):
    machines = RayMachines((str(Path(__file__).parents[1] / "runs/fake_worker.py"),))
    resources = machines.share_out(config, len(jobs), at_once=None, device="auto")
    try:
        results = run_all(
            jobs, folder, resources, Silent(), should_stop=lambda: (folder / "STOP").exists(), machines=machines
        )
        found["results"] = [result.name for result in results]
    except TaggerError as error:
        found["error"], found["detail"] = error.message, list(error.detail)
sys.stdout.write(json.dumps(found))
