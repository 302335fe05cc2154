"""Train the same two-branch network with tagger, PyTorch or Keras, each in a process of its own.

bench_training.py starts this script: python scripts/bench/training_contenders.py '{"contender": "tagger", …}'
Each line on standard input asks for one pass, {"epoch": 0, "steps": null}; each line on standard output answers with
{"tokens": …, "seconds": …}. All contenders see the same batches. The batches of the rivals are made before the clock
starts; tagger makes them while the clock runs, as in a real training.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import numpy as np

from tagger.inputs.batching import Batch
from tagger.inputs.training_set import TrainingSet, WordDropout

RATE, CLIP_NORM, DROPOUT = 0.001, 5.0, 0.5  # the same for all contenders


def load_training_set(path: str, spread: int) -> TrainingSet:
    """Load the training data that bench_training.py wrote.

    Args:
        spread: a factor that puts the ids further apart, as in a vocabulary larger by this factor.
    """
    with np.load(path) as data:
        cuts = np.cumsum(data["lengths"])[:-1]
        token_ids = np.split(data["token_ids"] * np.int32(spread), cuts)
        rare = np.repeat(data["rare"], spread)
        tag_ids = np.split(data["tag_ids"], cuts)
        word_dropout = WordDropout(rare=rare, unk_probability=0.3)
        return TrainingSet(
            sentences=token_ids, tag_ids=tag_ids, word_dropout=word_dropout, batch_size=int(data["batch_size"]), seed=1
        )


class Tagger:
    """tagger's own loop, `Trainer.train_epoch`."""

    def __init__(self, spec: dict[str, Any], n_tokens: int, n_tags: int) -> None:
        import tensorflow as tf

        from tagger.architecture import NetworkSpec
        from tagger.config.keys import TrainingConfig
        from tagger.inputs.encoder import Sizes
        from tagger.network.devices import choose_device
        from tagger.network.model import TwoBranchTagger
        from tagger.network.trainer import Trainer

        device = choose_device(spec["device"])
        if spec.get("deterministic", True):
            tf.config.experimental.enable_op_determinism()
        size = spec["units"]
        network = TwoBranchTagger(
            NetworkSpec(embedding_dim=size, units=size, dropout=DROPOUT, input_dropout=DROPOUT),
            Sizes(n_tokens, n_tags),
            kernel=device.kernel,
        )
        self.trainer = Trainer(
            network, TrainingConfig(learning_rate=RATE, clip_norm=CLIP_NORM, optimizer="adam", ema=None)
        )

    def epoch(self, batches: Iterator[Batch], epoch: int) -> dict[str, float]:
        result = self.trainer.train_epoch(batches, epoch)
        return {"tokens": result.tokens, "seconds": result.seconds}


class PyTorch:
    """`nn.LSTM(bidirectional=True)` over padded batches; rows of the embedding are updated densely or sparsely.

    This is the fastest way to write it: the backward direction reads the padding first, and sparse gradients are not
    clipped.
    """

    def __init__(self, spec: dict[str, Any], n_tokens: int, n_tags: int) -> None:
        import torch

        self.torch = torch
        self.device = "cuda" if spec["device"] == "gpu" else "cpu"
        torch.manual_seed(1)
        size = spec["units"]
        sparse = spec["contender"] == "pytorch-sparse"
        self.embedding = torch.nn.Embedding(n_tokens, size, padding_idx=0, sparse=sparse).to(self.device)
        self.lstm = torch.nn.LSTM(size, size, batch_first=True, bidirectional=True).to(self.device)
        self.softmax = torch.nn.Linear(2 * size, n_tags).to(self.device)
        self.parameters = [*self.lstm.parameters(), *self.softmax.parameters()]
        if sparse:
            self.optimizers = [
                torch.optim.SparseAdam(self.embedding.parameters(), RATE),
                torch.optim.Adam(self.parameters, RATE, fused=True),
            ]
        else:
            self.parameters += list(self.embedding.parameters())
            self.optimizers = [torch.optim.Adam(self.parameters, RATE, fused=True)]

    def _drop(self, x: Any) -> Any:
        keep = self.torch.rand(x.shape[0], 1, x.shape[2], device=self.device) >= DROPOUT
        return x * keep / (1 - DROPOUT)

    def epoch(self, batches: Iterator[Batch], epoch: int) -> dict[str, float]:
        del epoch
        torch, tokens = self.torch, 0
        ready = [
            (*(torch.from_numpy(array).to(self.device) for array in arrays), b.n_tokens)
            for b in batches
            for arrays in [(b.token_ids.astype(np.int64), b.tag_ids.astype(np.int64), b.mask)]
        ]
        start = time.perf_counter()
        losses = []
        for ids, tags, mask, n_tokens in ready:
            hidden, _ = self.lstm(self._drop(self.embedding(ids)))
            logits = self.softmax(self._drop(hidden))
            each = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tags.flatten(), reduction="none")
            loss = (each * mask.flatten()).sum() / len(ids)
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.parameters, CLIP_NORM)
            for optimizer in self.optimizers:
                optimizer.step()
            losses.append(loss.detach())
            tokens += n_tokens
        total = float(torch.stack(losses).sum())
        assert np.isfinite(total)
        return {"tokens": tokens, "seconds": time.perf_counter() - start}


class KerasFit:
    """`Embedding(mask_zero) → Bidirectional(LSTM) → Dense`, compiled and fitted as in the Keras guides."""

    def __init__(self, spec: dict[str, Any], n_tokens: int, n_tags: int) -> None:
        import keras
        import tensorflow as tf

        self.tf = tf
        if spec["device"] == "cpu":
            tf.config.set_visible_devices([], "GPU")
        size = spec["units"]
        self.model = keras.Sequential(
            [
                keras.layers.Embedding(n_tokens, size, mask_zero=True),
                keras.layers.Dropout(DROPOUT, noise_shape=(None, 1, None)),
                keras.layers.Bidirectional(keras.layers.LSTM(size, return_sequences=True)),
                keras.layers.Dropout(DROPOUT, noise_shape=(None, 1, None)),
                keras.layers.Dense(n_tags),
            ]
        )
        self.model.compile(
            keras.optimizers.Adam(RATE, global_clipnorm=CLIP_NORM),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        )

    def epoch(self, batches: Iterator[Batch], epoch: int) -> dict[str, float]:
        del epoch
        ready = [(b.token_ids, b.tag_ids, b.n_tokens) for b in batches]
        spec = self.tf.TensorSpec([None, None], self.tf.int32)
        dataset = self.tf.data.Dataset.from_generator(
            lambda: ((ids, tags) for ids, tags, _ in ready), output_signature=(spec, spec)
        ).prefetch(8)
        start = time.perf_counter()
        self.model.fit(dataset, epochs=1, verbose=0)
        return {"tokens": sum(n for *_, n in ready), "seconds": time.perf_counter() - start}


class TaggerTrain:
    """The training that `tagger train` runs, which waits before each epoch until it is asked for."""

    def __init__(self, spec: dict[str, Any]) -> None:
        from tagger.config.loading import load_config, with_model_dir

        config = with_model_dir(load_config(spec["config"], spec["settings"]), spec["model_dir"])
        self._asked: queue.Queue[None] = queue.Queue()
        self._results: queue.Queue[dict[str, float]] = queue.Queue()
        threading.Thread(target=self._train, args=(config, spec["device"]), daemon=True).start()

    def _train(self, config: Any, device: str) -> None:
        from tagger.training import train as train_module

        try:
            train_module.train(config, self, device=device)
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # in a thread, an exception would leave the process waiting for ever

    def note(self, text: str) -> None:
        print(text, file=sys.stderr)

    warn = note

    def begin(self, *_: object) -> None: ...
    def step(self, *_: object) -> None: ...
    def pretraining_step(self, *_: object) -> None: ...

    def start_epoch(self, *_: object) -> None:
        self._asked.get()

    def end_epoch(self, result: Any, *_: object) -> None:
        self._results.put({"tokens": result.train.tokens, "seconds": result.train.seconds})

    def epoch(self) -> dict[str, float]:
        self._asked.put(None)
        return self._results.get()


CONTENDERS = {"tagger": Tagger, "pytorch-dense": PyTorch, "pytorch-sparse": PyTorch, "keras-fit": KerasFit}


def main() -> None:
    spec = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # output of libraries must not mix with the answers
    if spec["contender"] == "tagger-train":
        train = TaggerTrain(spec)
        run = lambda epoch, steps: train.epoch()  # noqa: E731
    else:
        data = load_training_set(spec["data"], spec["spread"])
        n_tags = 1 + max(int(tags.max()) for tags in data.tag_ids)
        contender = CONTENDERS[spec["contender"]](spec, len(data.word_dropout.rare), n_tags)
        run = lambda epoch, steps: contender.epoch(itertools.islice(data.batches(epoch), steps), epoch)  # noqa: E731
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
