"""A process that stands in for `tagger.runs.worker`: it takes the job and behaves as the name of the job says.

`quick` and every other name: sends a result after $JOB_SECONDS. `fails`: sends an error. `full`: sends that of a full
disk. `dies`: ends without a result. `waits`: goes on until its standard input ends. Every job leaves a model whose
manifest is its name.

It imports nothing of tagger, because that would take half a second for each job. So it writes the lines of
`runs.messages` itself; the parent ignores a line that is not a message, and then the tests miss it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import yaml


def send(kind: str, **values: object) -> None:
    sys.stdout.write(json.dumps({"is": kind, **values}) + "\n")
    sys.stdout.flush()


job = json.loads(sys.stdin.readline())
name, model_dir = job["name"], Path(yaml.safe_load(job["config"])["output"]["model_dir"])
with Path(os.environ["STARTED"]).open("a", encoding="utf-8") as started:
    started.write(f"{name}\n")
send("Told", text="it is odd", is_warning=True)
send("Started", epochs=3, epochs_done=0, best=None)
send("Steps", done=0.5, n_tokens=10)
if name.startswith("fails"):
    send("Failed", message="data.train: found nothing", detail=["look there"])
    sys.exit()
if name.startswith("full"):
    send("Failed", message=f"{model_dir}: cannot be written; choose another place with --model", detail=[])
    sys.exit()
if name.startswith("dies"):
    sys.stderr.write("killed by hand\n")
    sys.stderr.flush()
    os.kill(os.getpid(), 9)
if name.startswith("waits"):
    sys.stdin.read()
    send("Ended", result=None)
    sys.exit()
time.sleep(float(os.environ.get("JOB_SECONDS", "0.5")))
send("Epoch", epoch=1, score=0.5, best=0.5)
model_dir.mkdir(exist_ok=True)
(model_dir / "manifest.json").write_text(name)
checksum = hashlib.sha256(name.encode()).hexdigest()
result = {"name": name, "epoch": 1, "epochs": 3, "dev": None, "model": checksum, "seconds": 0.5, "memory": 1000}
send("Ended", result=result)
