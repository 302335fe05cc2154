"""Measure where the time of a training step goes; bench_training.py starts this script and reads one JSON object.

The time of each part is the difference between the times of two compiled functions, one of which does one thing more.
The functions take turns on the same batches.
"""

from __future__ import annotations

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from training_contenders import Tagger, load_training_set

from tagger.network.model import TwoBranchTagger, sequence_loss
from tagger.network.packing import PACKED_SIGNATURE, BatchTensors, join, pack, unpack

import tensorflow as tf  # isort: skip (after tagger.network, which silences its messages)

Step = Callable[..., Any]


def stages(network: TwoBranchTagger, dense: list[tf.Variable]) -> dict[str, Step]:
    """Return functions of a batch; each one does the work of the function before it and one thing more."""

    def loss_of(table: Any, batch: BatchTensors) -> Any:
        total = sequence_loss(network(table, batch, training=True), batch.tag_ids, batch.lengths)
        return total / tf.cast(batch.n_sentences, tf.float32)

    def call(batch: BatchTensors) -> Any:
        return batch.distinct_ids[0]

    def embed(batch: BatchTensors) -> Any:
        table = network.look_up(batch.distinct_ids)
        return tf.gather(table, batch.token_rows)[0, 0, 0] + tf.gather(table, batch.reversed_rows)[0, 0, 0]

    def forward(batch: BatchTensors) -> Any:
        return loss_of(network.look_up(batch.distinct_ids), batch)

    def backward(batch: BatchTensors) -> Any:
        table = network.look_up(batch.distinct_ids)
        with tf.GradientTape() as tape:
            tape.watch(table)
            loss = loss_of(table, batch)
        return [tf.reshape(gradient, [-1])[0] for gradient in tape.gradient(loss, [table, *dense])]

    return {"calling TensorFlow": call, "embedding": embed, "forward": forward, "backward": backward}


def compiled(stage: Step) -> Step:
    whole = tf.function(lambda packed, starts: stage(unpack(packed, starts, 0)), input_signature=PACKED_SIGNATURE)
    return whole.get_concrete_function()


def timed(step: Step, arguments: Any) -> float:
    start = time.perf_counter()
    for part in tf.nest.flatten(step(*arguments)):
        part.numpy()
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    spec = json.loads(sys.argv[1])
    data = load_training_set(spec["data"], spec["spread"])
    trainer = Tagger(spec, len(data.word_dropout.rare), 1 + max(int(tags.max()) for tags in data.tag_ids)).trainer
    functions = {name: compiled(stage) for name, stage in stages(trainer.network, trainer._dense).items()}
    functions["optimizer"] = compiled(lambda batch: trainer._train_step(lambda _: batch))
    times: dict[str, list[float]] = {name: [] for name in [*functions, "batch"]}
    batches = data.batches(0)
    for i in itertools.count():
        start = time.perf_counter()
        batch = next(batches, None)
        if batch is None or i == 220:
            break
        arguments = join([pack(batch, (1, 2))])
        times["batch"].append(1000 * (time.perf_counter() - start))
        for name, function in functions.items():
            times[name].append(timed(function, arguments))
    medians = {name: statistics.median(values[20:]) for name, values in times.items()}
    names = list(functions)
    parts = {names[0]: medians[names[0]]}
    parts |= {name: medians[name] - medians[before] for before, name in itertools.pairwise(names)}
    print(json.dumps({"parts": parts, "step": medians["optimizer"], "batch": medians["batch"]}))


if __name__ == "__main__":
    main()
