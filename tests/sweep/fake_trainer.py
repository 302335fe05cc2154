"""A process that stands in for `tagger.runs.worker`: the score of each epoch is a function of the config.

It has $EPOCHS epochs, and after e of 8 the score is units / 200 · e / 8. `model.layers: 3` fails, 4 is killed, and 5
dies. With $HOLD=`trial-2 3`, the third epoch of trial-2 goes on until it is stopped. What was done is kept beside the
model, so that a training continues. Each start is a line of $STARTED, and each trial that is stopped one of `stopped`.

It imports nothing of tagger, because that would take half a second for each trial. So it writes the lines of
`runs.messages` itself; the parent ignores a line that is not a message, and then the tests miss it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from pathlib import Path

import yaml

EPOCHS = int(os.environ["EPOCHS"])


def send(kind: str, **values: object) -> None:
    try:
        sys.stdout.write(json.dumps({"is": kind, **values}) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)


def wait() -> None:
    sys.stdin.read()
    stop.set()


job = json.loads(sys.stdin.readline())
name, config = job["name"], yaml.safe_load(job["config"])
layers, threads, test = config["model"].get("layers"), config["training"]["threads"], config["data"]["test"]
model_dir = Path(config["output"]["model_dir"])
stop = threading.Event()
threading.Thread(target=wait, daemon=True).start()
state = model_dir.with_name(f"{model_dir.name}.training") / "epochs"
state.parent.mkdir(parents=True, exist_ok=True)
done = int(state.read_text()) if state.exists() else 0
with Path(os.environ["STARTED"]).open("a", encoding="utf-8") as started:
    started.write(f"{name} {done} {threads} {test} {os.getpid()}\n")
if layers == 3 and not Path("mended").exists():
    send("Failed", message=f"the loss of step {len(name)} is not finite", detail=["look there"])
    sys.exit()
if layers == 4:
    os.kill(os.getpid(), 9)
if layers == 5:
    os._exit(3)
scores = [min(1.0, config["model"]["units"] / 200) * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)]
send("Started", epochs=EPOCHS, epochs_done=done, best=None, scores=scores[:done])
for epoch in range(done + 1, EPOCHS + 1):
    is_held = os.environ.get("HOLD") == f"{name} {epoch}"
    if stop.wait(60 if is_held else 0.02):
        with Path("stopped").open("a", encoding="utf-8") as stopped:
            stopped.write(f"{name}\n")
        send("Ended", result=None)
        time.sleep(0.05)
        os._exit(0)
    state.write_text(str(epoch))
    send("Epoch", epoch=epoch, score=scores[epoch - 1], best=scores[epoch - 1])
model_dir.mkdir(exist_ok=True)
(model_dir / "manifest.json").write_text(name)
score = {"precision": scores[-1], "recall": scores[-1], "f1": scores[-1], "support": 1}
dev = {"overall": score, "strict": score, "types": {}, "accuracy": 0.5, "sentences": 1, "tokens": 1}
checksum = hashlib.sha256(name.encode()).hexdigest()
result = {"name": name, "epoch": EPOCHS, "epochs": EPOCHS, "dev": dev, "model": checksum, "seconds": 1.0, "memory": 1}
send("Ended", result=result)
os._exit(0)
