"""Train with two replicas (two logical CPUs) and with one replica on the joint batches; print the results as JSON.

test_distribution.py runs this in a process of its own, because devices must be split before TensorFlow starts.
"""

from __future__ import annotations

import dataclasses
import json
import sys

import numpy as np

import tagger.network  # noqa: F401

import tensorflow as tf  # isort: skip

from tagger.architecture import NetworkSpec
from tagger.config.keys import TrainingConfig
from tagger.corpus.partial import Targets
from tagger.corpus.transitions import Transitions
from tagger.inputs.batching import Batch, make_batch
from tagger.inputs.encoder import Sizes
from tagger.inputs.vocabulary import Normalization
from tagger.network.bilstm import Kernel
from tagger.network.distributed import Replicas, Task, connect
from tagger.network.language_model import LanguageModels
from tagger.network.language_model_trainer import FixedRows, LanguageModelTrainer
from tagger.network.model import TwoBranchTagger
from tagger.network.trainer import Trainer
from tagger.pretraining.streams import Streams
from tagger.pretraining.text_file import TextFile
from tagger.pretraining.windows import Windows, build_text_vocabulary

V, K = 40, 5
SPEC = NetworkSpec(embedding_dim=8, units=8)
# Some tokens are not annotated, some have a teacher, and some tags count more.
TARGETS = Targets(
    np.concatenate([np.eye(K, dtype=bool), np.ones((1, K), bool), np.arange(K)[None] < 3]),
    np.array([1, 2, 1, 0.5, 1, 1, 1], np.float32),
    Transitions.free(K),
    np.random.default_rng(4).dirichlet(np.ones(3), V).astype(np.float32),
)


def batches() -> list[Batch]:
    """Return 20 batches of sentences of uneven lengths; in some, one replica gets only one sentence or none."""
    rng = np.random.default_rng(3)
    made = []
    for n_sentences in [8] * 10 + [5, 1, 3, 1, 2] * 2:
        ids = [rng.integers(2, V, rng.integers(1, 9)).astype(np.int32) for _ in range(n_sentences)]
        made.append(make_batch(ids, [(row % K).astype(np.int32) for row in ids]))
    return made


def partly_annotated(batch: Batch) -> Batch:
    """Return a batch in which every third token has the gold id of those that are not annotated, or a teacher."""
    ids = np.where(batch.token_ids % 3 == 0, np.int32(K), batch.tag_ids)
    return dataclasses.replace(batch, tag_ids=np.where(batch.token_ids % 3 == 1, batch.token_ids + K + 2, ids))


def trained(replicas: Replicas, optimizer: str, targets: Targets | None = None) -> tuple[Trainer, list[float]]:
    with replicas.scope():
        network = TwoBranchTagger(SPEC, Sizes(V, K), kernel=Kernel.BLOCK, seed=1)
        settings = TrainingConfig(optimizer=optimizer, learning_rate=0.01, clip_norm=1.0, ema=0.9)
        trainer = Trainer(network, settings, replicas, targets=targets)
    made = batches() if targets is None else [partly_annotated(batch) for batch in batches()[8:]]
    # One epoch for each batch, so that the loss of every step is returned.
    return trainer, [trainer.train_epoch([batch], 0).loss for batch in made]


def pretrained(replicas: Replicas, n_windows: int | None = None) -> tuple[LanguageModelTrainer, list[float]]:
    """Return language models that were trained on a text in five streams, and the loss of each window."""
    rng = np.random.default_rng(5)
    forms = tuple(f"{chr(97 + i % 7)}{i}" for i in range(20))
    numbers = np.where(rng.random(400) < 0.2, 0, rng.integers(2, 22, 400)).astype(np.uint32)
    text = TextFile(numbers, forms, np.bincount(numbers, minlength=22), {})
    vocabulary = build_text_vocabulary(text, SPEC, Normalization(), min_count=1, max_size=None)
    windows = Windows(vocabulary, Streams(numbers, 5, 6, 1), 10)
    with replicas.scope():
        models = LanguageModels(SPEC, vocabulary.sizes, seed=1)
        fixed = FixedRows(np.arange(len(vocabulary.frequencies)) % 2 == 1, 3)
        trainer = LanguageModelTrainer(models, vocabulary.frequencies, 5, fixed, replicas)
    return trainer, [trainer.train_step(window, 0.01).loss for window in list(windows.from_step(0, 0))[:n_windows]]


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.experimental.enable_op_determinism()
    two = connect(Task(), 0, devices=["CPU:0", "CPU:1"])
    found = {}
    for optimizer in ("adam", "nadam", "sgd"):
        shared, losses = trained(two, optimizer)
        single, expected = trained(Replicas(), optimizer)
        rows, others = shared.variables()
        variables = [*rows.values(), *others.values()]
        assert {"rows.0", "average.rows"} <= set(rows)
        with shared.saved_weights(), single.saved_weights():
            averages = shared.network.weights_as_arrays(), single.network.weights_as_arrays()
            in_use = [two.copies(weight.value) for weight in shared.network.trainable_variables]
        copies = [*(two.copies(variable) for variable in variables), *in_use]
        ours, theirs = shared.network.weights_as_arrays(), single.network.weights_as_arrays()
        found[optimizer] = {
            "losses": losses,
            "expected": expected,
            "replicas": [len(both) for both in copies],
            "equal": all(a.tobytes() == b.tobytes() for a, b in copies),
            "weights_differ_by": max(float(np.abs(ours[name] - theirs[name]).max()) for name in ours),
            "averages_differ_by": max(float(np.abs(averages[0][name] - averages[1][name]).max()) for name in ours),
            "averages_moved": float(np.abs(averages[0]["embedding"] - ours["embedding"]).max()),
            "moved": float(np.abs(ours["embedding"] - a_fresh_embedding()).max()),
        }
    (_, losses), (_, expected) = (trained(replicas, "sgd", TARGETS) for replicas in (two, Replicas()))
    found["partly annotated"] = {"losses": losses, "expected": expected}
    (shared_models, losses), (single_models, expected) = (pretrained(replicas) for replicas in (two, Replicas()))
    ours, theirs = shared_models.state(), single_models.state()
    untrained = pretrained(Replicas(), n_windows=0)[0].state()
    shared_models.check_replicas()
    found["pretrained"] = {
        "losses": losses,
        "expected": expected,
        "differ_by": {name: float(np.abs(ours[name] - theirs[name]).max()) for name in ours},
        "fixed": float(np.abs(ours["rows.0"] - untrained["rows.0"])[1::2, :3].max()),
        "trained": float(np.abs(ours["rows.0"] - untrained["rows.0"])[3::2, 3:].max(1).min()),
        "streams": [np.flatnonzero(ours[name].any(axis=1)).tolist() for name in ours if name.startswith("state.")],
    }
    rows = np.full((2, 8), 5, np.float32)
    with two.scope():
        shared.network.set_embedding_rows([(np.array([3, 30]), rows)])
    found["set rows"] = [copy[[3, 30]].tolist() == rows.tolist() for copy in two.copies(shared.network.embedding.value)]
    # A change that one replica alone makes to its copy is detected at the end of the epoch.
    second = two._strategy.experimental_local_results(shared.network.embedding.value)[1]
    second.assign_add(tf.ones_like(second))
    try:
        shared.train_epoch(batches()[:1], 0)
    except Exception as error:
        found["broken"] = f"{type(error).__name__}: {error}"
    state = shared_models.replicas._strategy.experimental_local_results(shared_models._states[0][0])[1]
    state.assign_add(tf.ones_like(state))
    try:
        shared_models.check_replicas()
    except Exception as error:
        found["pretrained"]["broken"] = f"{type(error).__name__}: {error}"
    json.dump(found, sys.stdout)


def a_fresh_embedding() -> np.ndarray:
    return TwoBranchTagger(SPEC, Sizes(V, K), seed=1).weights_as_arrays()["embedding"]


if __name__ == "__main__":
    main()
