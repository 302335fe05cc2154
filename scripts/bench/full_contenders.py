"""Train the full recipe with tagger or PyTorch: characters, casing, other columns, several layers and a CRF.

bench_training.py starts this script: python scripts/bench/full_contenders.py '{"contender": "pytorch-full", …}'
It answers as training_contenders.py does. Each contender reads the same config and trains on the same batches. PyTorch
has the network as a careful user would write it: characters, casing and columns are read once for each distinct token
of a batch, a convolution and a maximum read the characters, the masks of dropout are constant over time, and the loss
is that of pytorch-crf. What it cannot know are the rules of the scheme, and the backward direction reads the padding
first. Both use the optimizer of the config. PyTorch has no moving average, so `--full` switches it off.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from tagger.config.loading import load_config
from tagger.inputs.batching import Batch


class Tagger:
    """tagger's own loop, `Trainer.train_epoch`."""

    def __init__(self, spec: dict[str, Any], config: Any, prepared: Any) -> None:
        import tensorflow as tf

        from tagger.network.devices import choose_device
        from tagger.network.trainer import Trainer
        from tagger.training.parts import initial_network

        device = choose_device(spec["device"])
        tf.config.experimental.enable_op_determinism()
        self.trainer = Trainer(initial_network(prepared, device), config.training)

    def epoch(self, batches: Iterator[Batch], epoch: int) -> dict[str, float]:
        result = self.trainer.train_epoch(batches, epoch)
        return {"tokens": result.tokens, "seconds": result.seconds}


class PyTorch:
    """The same network; the gradient of the word embedding is dense or sparse."""

    def __init__(self, spec: dict[str, Any], config: Any, prepared: Any) -> None:
        import torch
        from torchcrf import CRF

        self.torch, model, training = torch, prepared.manifest.network, config.training
        torch.manual_seed(1)
        self._model, self._clip_norm = model, training.clip_norm
        sizes, sparse = prepared.encoder.sizes(len(prepared.tags)), spec["contender"].endswith("sparse")
        nn = torch.nn
        self._words = nn.Embedding(sizes.n_tokens, model.embedding_dim, padding_idx=0, sparse=sparse)
        self._characters = nn.Embedding(sizes.n_characters, model.character_dim)
        self._convolution = nn.Conv1d(model.character_dim, model.character_units, 3, padding=1)
        self._casing = nn.Embedding(8, 10)
        self._columns = nn.Embedding(max(1, sizes.n_feature_ids), model.feature_dim)
        inputs = model.input_dim(sizes)
        self._lstms = nn.ModuleList(
            nn.LSTM(inputs if not i else 2 * model.units, model.units, batch_first=True, bidirectional=True)
            for i in range(model.layers)
        )
        self._dense, self._crf = nn.Linear(2 * model.units, sizes.n_tags), CRF(sizes.n_tags, batch_first=True)
        parts = [self._characters, self._convolution, self._casing, self._columns, self._lstms, self._dense, self._crf]
        dense = [parameter for part in parts for parameter in part.parameters()]
        words = list(self._words.parameters())
        kinds = {"adam": (torch.optim.Adam, {"fused": True}), "nadam": (torch.optim.NAdam, {"foreach": True})}
        kind, options = kinds[training.optimizer]
        self._clipped = dense if sparse else [*words, *dense]
        self._optimizers = [kind(self._clipped, training.learning_rate, **options)]
        if sparse:
            self._optimizers.append(torch.optim.SparseAdam(words, training.learning_rate))

    def _drop(self, x: Any, rate: float) -> Any:
        shape = (x.shape[0], 1, x.shape[2]) if x.ndim == 3 else x.shape  # one mask for all steps of a sentence
        return x * (self.torch.rand(shape) >= rate) / (1 - rate)

    def _table(self, batch: dict[str, Any]) -> Any:
        torch = self.torch
        characters = self._characters(batch["characters"]).transpose(1, 2)  # [D, E, C]
        found = self._convolution(characters).masked_fill(~batch["is_character"][:, None], -torch.inf).amax(dim=2)
        columns = self._columns(batch["columns"]).flatten(1)
        parts = [self._words(batch["ids"]), found, self._casing(batch["casing"]), columns]
        return torch.cat(parts, dim=1)

    def loss(self, batch: dict[str, Any]) -> Any:
        table = self._drop(self._table(batch), self._model.token_dropout)
        hidden = self._drop(table[batch["rows"]], self._model.input_dropout)
        for lstm in self._lstms:
            hidden = self._drop(lstm(hidden)[0], self._model.dropout)
        return -self._crf(self._dense(hidden), batch["tags"], batch["mask"], reduction="sum") / len(batch["rows"])

    def tensors(self, batch: Batch) -> dict[str, Any]:
        assert batch.forms is not None
        characters = batch.forms.padded()
        arrays = {
            "ids": batch.distinct_ids[batch.id_rows], "rows": batch.token_rows, "tags": batch.tag_ids,
            "characters": characters, "casing": batch.forms.casing, "columns": batch.feature_ids,
        }  # fmt: skip
        tensors = {name: self.torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}
        masks = {"mask": batch.mask, "is_character": characters > 0}
        return tensors | {name: self.torch.from_numpy(mask) for name, mask in masks.items()}

    def epoch(self, batches: Iterator[Batch], epoch: int) -> dict[str, float]:
        del epoch
        ready = [(self.tensors(batch), batch.n_tokens) for batch in batches]
        start, losses = time.perf_counter(), []
        for batch, _ in ready:
            for optimizer in self._optimizers:
                optimizer.zero_grad()
            loss = self.loss(batch)
            loss.backward()
            if self._clip_norm is not None:
                self.torch.nn.utils.clip_grad_norm_(self._clipped, self._clip_norm)
            for optimizer in self._optimizers:
                optimizer.step()
            losses.append(loss.detach())
        assert np.isfinite(float(self.torch.stack(losses).sum()))
        return {"tokens": sum(n for _, n in ready), "seconds": time.perf_counter() - start}


CONTENDERS = {"tagger-full": Tagger, "pytorch-full": PyTorch, "pytorch-full-sparse": PyTorch}


def main() -> None:
    spec = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # output of libraries must not mix with the answers
    if spec["contender"].startswith("pytorch"):
        import torch._dynamo  # noqa: F401  PyTorch crashes if it is loaded after TensorFlow, which the next import loads
    from tagger.training.preparation import prepare

    config = load_config(spec["config"], spec["settings"])
    prepared = prepare(config, note=lambda text: None, warn=lambda text: None)
    contender = CONTENDERS[spec["contender"]](spec, config, prepared)
    for line in sys.stdin:
        asked = json.loads(line)
        batches = itertools.islice(prepared.training_set.batches(asked["epoch"]), asked["steps"])
        print(json.dumps(contender.epoch(batches, asked["epoch"])), file=answers, flush=True)


if __name__ == "__main__":
    main()
