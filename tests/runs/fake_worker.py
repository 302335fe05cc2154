"""A process that stands in for `tagger.runs.worker`: it takes the job and behaves as the name of the job says.

`quick` and every other name: sends a result. `fails`: sends an error. `full`: sends that of a full disk. `dies`: ends
without a result. `waits`: goes on until its standard input ends. Every job leaves a model whose manifest is its name.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tagger.runs.job import Job, JobResult, checksum_of_model
from tagger.runs.messages import Ended, Epoch, Failed, Message, Started, Steps, Told, to_line


def send(message: Message) -> None:
    sys.stdout.write(to_line(message))
    sys.stdout.flush()


job = Job.from_line(sys.stdin.readline())
with Path(os.environ["STARTED"]).open("a", encoding="utf-8") as started:
    started.write(f"{job.name} {time.monotonic()}\n")
send(Told("it is odd", is_warning=True))
send(Started(3, 0, None))
send(Steps(0.5, 10))
if job.name.startswith("fails"):
    send(Failed("data.train: found nothing", ["look there"]))
    sys.exit()
if job.name.startswith("full"):
    send(Failed(f"{job.model_dir}: cannot be written; choose another place with --model", []))
    sys.exit()
if job.name.startswith("dies"):
    sys.stderr.write("killed by hand\n")
    sys.stderr.flush()
    os.kill(os.getpid(), 9)
if job.name.startswith("waits"):
    sys.stdin.read()
    send(Ended(None))
    sys.exit()
time.sleep(0.5)
send(Epoch(1, 0.5, 0.5))
job.model_dir.mkdir(exist_ok=True)
(job.model_dir / "manifest.json").write_text(job.name)
send(Ended(JobResult(job.name, 1, 3, None, checksum_of_model(job.model_dir), 0.5, 1000).to_json()))
