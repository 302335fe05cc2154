"""A process that stands in for `tagger.runs.worker`: the score of each epoch is a function of the config.

After e of 8 epochs the score is units / 200 · e / 8. `model.layers: 3` fails, 4 is killed, and 5 dies. Each epoch
takes $EPOCH_SECONDS. What was done is kept beside the model, so that a training continues. Each start is a line of
$STARTED.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from tagger.evaluation.scores import Evaluation, Score
from tagger.runs.job import Job, JobResult, checksum_of_model
from tagger.runs.messages import Ended, Epoch, Failed, Message, Started, to_line

EPOCHS = 8


def send(message: Message) -> None:
    try:
        sys.stdout.write(to_line(message))
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)


def wait() -> None:
    sys.stdin.read()
    stop.set()


job = Job.from_line(sys.stdin.readline())
stop = threading.Event()
threading.Thread(target=wait, daemon=True).start()
state = job.model_dir.with_name(f"{job.model_dir.name}.training") / "epochs"
state.parent.mkdir(parents=True, exist_ok=True)
done = int(state.read_text()) if state.exists() else 0
with Path(os.environ["STARTED"]).open("a", encoding="utf-8") as started:
    started.write(f"{job.name} {done} {job.config.training.threads} {job.config.data.test} {os.getpid()}\n")
if job.config.model.layers == 3 and not Path("mended").exists():
    send(Failed(f"the loss of step {len(job.name)} is not finite", ["look there"]))
    sys.exit()
if job.config.model.layers == 4:
    os.kill(os.getpid(), 9)
if job.config.model.layers == 5:
    os._exit(3)
scores = [min(1.0, job.config.model.units / 200) * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)]
send(Started(EPOCHS, done, None, list(scores[:done])))
for epoch in range(done + 1, EPOCHS + 1):
    if stop.wait(float(os.environ.get("EPOCH_SECONDS", "0.02"))):
        send(Ended(None))
        time.sleep(0.05)
        os._exit(0)
    state.write_text(str(epoch))
    send(Epoch(epoch, scores[epoch - 1], scores[epoch - 1]))
job.model_dir.mkdir(exist_ok=True)
(job.model_dir / "manifest.json").write_text(job.name)
score = Score(scores[-1], scores[-1], scores[-1], 1)
dev = Evaluation(overall=score, strict=score, types={}, accuracy=0.5, sentences=1, tokens=1)
send(Ended(JobResult(job.name, EPOCHS, EPOCHS, dev, checksum_of_model(job.model_dir), 1.0, 1000).to_json()))
os._exit(0)
