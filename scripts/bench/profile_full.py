"""Measure where the time of a training step of the full recipe goes; bench_training.py --full starts this script.

It prints one JSON object: milliseconds a step, summed over both cores, for each part of the network and for each kind
of operator. TensorFlow's profiler gives the times of the operators, and the names of their scopes say what they are
part of. The profiler itself costs a tenth of the time.
"""

from __future__ import annotations

import collections
import itertools
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf
from full_contenders import Tagger
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from tagger.config.loading import load_config
from tagger.network.packing import join, pack
from tagger.training.preparation import prepare

N_WARM, N_STEPS = 20, 60
# The first part whose pattern is found in an operator's name is its part.
PARTS = {
    "branches": r"BlockLSTM|(^|/)lstm(_\d+)?/|block_\d",
    "CRF": r"(^|/)crf(_\d+)?/",
    "characters": r"characters",
    "optimizer": r"(^|/)optimizer",
    "moving average": r"(^|/)average",
    "the rest: embedding, casing, dropout, dense layer": r"",
}
KINDS = {
    "matrix products": r"MatMul|Einsum|BlockLSTM",
    "rows of tables": r"Gather|Segment|Scatter",
    "copies": r"Concat|Slice|Split|Pack|Transpose|TensorList|Reshape|Tile|BroadcastTo|Fill|ZerosLike|OneHot",
    "random numbers": r"Random",
    "elementwise and sums": r"",
}


def profiled(trainer: Any, arguments: list[Any]) -> list[tuple[str, float]]:
    """Return the name and the milliseconds a step of each operator, and of the work that schedules them."""
    step = trainer._compiled
    for one in arguments[:N_WARM]:
        step(*one).numpy()
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for one in arguments[N_WARM:]:
            step(*one).numpy()
        tf.profiler.experimental.stop()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    n_steps = len(arguments) - N_WARM
    found: dict[str, float] = collections.Counter()
    for plane in space.planes:
        for line in plane.lines if "CPU" in plane.name else ():
            for name, picoseconds in own_times(line, {i: one.name for i, one in plane.event_metadata.items()}):
                if name == "ExecutorState::Process" or ("::" not in name and re.search(r":\w+$", name)):
                    found[name] += picoseconds / 1e9 / n_steps
    return list(found.items())


def own_times(line: Any, names: dict[int, str]) -> list[tuple[str, int]]:
    """Return the name of each event of a thread and its time without that of the events inside it."""
    events = sorted(line.events, key=lambda event: (event.offset_ps, -event.duration_ps))
    times, open_ = [event.duration_ps for event in events], list[int]()
    for i, event in enumerate(events):
        while open_ and events[open_[-1]].offset_ps + events[open_[-1]].duration_ps <= event.offset_ps:
            open_.pop()
        if open_:
            times[open_[-1]] -= event.duration_ps
        open_.append(i)
    return [(names[event.metadata_id], time) for event, time in zip(events, times, strict=True)]


def grouped(times: list[tuple[str, float]]) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each kind of operator by part."""
    found: dict[str, dict[str, float]] = {}
    for name, milliseconds in times:
        if "::" in name:
            part, kind = "scheduling of operators", "scheduling"
        else:
            scopes, _, operator = name.rpartition(":")
            part = next(part for part, pattern in PARTS.items() if re.search(pattern, scopes))
            kind = next(kind for kind, pattern in KINDS.items() if re.search(pattern, operator))
        kinds = found.setdefault(part, {})
        kinds[kind] = kinds.get(kind, 0.0) + milliseconds
    return found


def main() -> None:
    spec = json.loads(sys.argv[1])
    config = load_config(spec["config"], spec["settings"])
    prepared = prepare(config, note=lambda text: None, warn=lambda text: None)
    trainer = Tagger(spec, config, prepared).trainer
    trainer.optimizer.learning_rate.assign(config.training.learning_rate)
    batches = itertools.islice(prepared.training_set.batches(0), N_WARM + N_STEPS)
    print(json.dumps(grouped(profiled(trainer, [join([pack(batch, (1, 2))]) for batch in batches]))))


if __name__ == "__main__":
    main()
