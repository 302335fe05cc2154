"""Run the same trained network with ONNX Runtime, as `tagger predict` does, with PyTorch, and with Keras.

bench_prediction.py starts this script: python scripts/bench/prediction_contenders.py '{"contender": "tagger", …}'
Each line on standard input asks for one pass over the sentences in the data file; each line on standard output answers
with {"tokens": …, "seconds": …, "batch_tokens": …, "differs_by": …}. All contenders get the ids of the same sentences
and return a tag for each token. The sentences are sorted by length within groups of the size of the read-ahead of
`tagger predict`. The padded batches of the rivals are made before the clock starts, and each rival first finds the
batch size with which it is fastest; tagger pads while the clock runs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tagger.inputs.batching import Ids, batches_by_length, mask_of, pad
from tagger.machine import available_cores
from tagger.model_dir.store import Model, Weights, load_model, read_weights
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import BATCH_TOKENS
from tagger.prediction.stream import READ_AHEAD_SENTENCES

SIZES = (1024, 2048, 4096, 8192)
Batches = Sequence[Sequence[Ids]]


class TaggerEngine:
    """The engine of tagger alone, with one thread for each core."""

    def __init__(self, spec: dict[str, Any], model: Model[Weights]) -> None:
        del model
        threads = spec.get("threads") or available_cores()
        self._engine = load_predictor(Path(spec["model"])).model.network
        self._pool = ThreadPoolExecutor(threads)

    def prepare(self, batches: Batches) -> Any:
        return batches

    def run(self, ready: Any) -> None:
        list(self._pool.map(lambda sentences: self.logits(sentences).argmax(axis=-1), ready))

    def logits(self, sentences: Sequence[Ids]) -> Any:
        return self._engine(sentences)


class PyTorch:
    """`nn.LSTM(bidirectional=True)`.

    `pytorch-packed` has the same results as tagger. `pytorch-padded` is faster but wrong, because its backward
    direction reads the padding first. Both use all cores for one operator; those with `-workers` use one core for each
    batch.
    """

    def __init__(self, spec: dict[str, Any], model: Model[Weights]) -> None:
        import torch

        self.torch = torch
        cores = available_cores()
        self._packed = "packed" in spec["contender"]
        self._pool = ThreadPoolExecutor(cores) if spec["contender"].endswith("workers") else None
        torch.set_num_threads(1 if self._pool else cores)
        weights = {name: torch.tensor(array) for name, array in model.network.items()}
        size, units = model.manifest.network.embedding_dim, model.manifest.network.units
        self._embedding = torch.nn.Embedding.from_pretrained(weights["embedding"])
        self._lstm = torch.nn.LSTM(size, units, batch_first=True, bidirectional=True)
        self._softmax = torch.nn.Linear(2 * units, len(model.tags))
        with torch.no_grad():
            for branch, suffix in (("forward", ""), ("backward", "_reverse")):
                name = f"block_1.{branch}"
                getattr(self._lstm, f"weight_ih_l0{suffix}").copy_(weights[f"{name}.kernel"].T)
                getattr(self._lstm, f"weight_hh_l0{suffix}").copy_(weights[f"{name}.recurrent_kernel"].T)
                getattr(self._lstm, f"bias_ih_l0{suffix}").copy_(weights[f"{name}.bias"])
                getattr(self._lstm, f"bias_hh_l0{suffix}").zero_()
            self._softmax.weight.copy_(weights["softmax.kernel"].T)
            self._softmax.bias.copy_(weights["softmax.bias"])

    def prepare(self, batches: Batches) -> Any:
        from_numpy = self.torch.from_numpy
        return [tuple(from_numpy(array.astype(np.int64)) for array in pad(sentences)) for sentences in batches]

    def _forward(self, ids: Any, lengths: Any) -> Any:
        rnn = self.torch.nn.utils.rnn
        with self.torch.inference_mode():
            x = self._embedding(ids)
            if not self._packed:
                return self._softmax(self._lstm(x)[0])
            packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return self._softmax(rnn.pad_packed_sequence(self._lstm(packed)[0], batch_first=True)[0])

    def run(self, ready: Any) -> None:
        def tag(batch: Any) -> Any:
            return self._forward(*batch).argmax(dim=-1).numpy()

        list(map(tag, ready) if self._pool is None else self._pool.map(tag, ready))

    def logits(self, sentences: Sequence[Ids]) -> Any:
        ((ids, lengths),) = self.prepare([sentences])
        return self._forward(ids, lengths).numpy()


class Keras:
    """`Embedding(mask_zero) → Bidirectional(LSTM) → Dense`, and `predict_on_batch`.

    `predict` over a dataset of the same batches has a third of the speed and cannot return batches of several lengths.
    """

    def __init__(self, spec: dict[str, Any], model: Model[Weights]) -> None:
        del spec
        import keras

        network = model.manifest.network
        embedding = keras.layers.Embedding(len(model.encoder.tokens), network.embedding_dim, mask_zero=True)
        lstm = keras.layers.Bidirectional(keras.layers.LSTM(network.units, return_sequences=True))
        softmax = keras.layers.Dense(len(model.tags))
        self._model = keras.Sequential([embedding, lstm, softmax])
        self._model.build((None, None))
        weights = model.network
        embedding.embeddings.assign(weights["embedding"])
        for branch, layer in (("forward", lstm.forward_layer), ("backward", lstm.backward_layer)):
            layer.set_weights([weights[f"block_1.{branch}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")])
        softmax.set_weights([weights["softmax.kernel"], weights["softmax.bias"]])

    def prepare(self, batches: Batches) -> Any:
        return [pad(sentences)[0] for sentences in batches]

    def run(self, ready: Any) -> None:
        for ids in ready:
            self._model.predict_on_batch(ids).argmax(axis=-1)

    def logits(self, sentences: Sequence[Ids]) -> Any:
        return self._model.predict_on_batch(pad(sentences)[0])


CONTENDERS: dict[str, Callable[[dict[str, Any], Model[Weights]], Any]] = {
    "tagger": TaggerEngine,
    "pytorch-packed": PyTorch,
    "pytorch-packed-workers": PyTorch,
    "pytorch-padded": PyTorch,
    "pytorch-padded-workers": PyTorch,
    "keras": Keras,
}


def load_sentences(path: str) -> list[Ids]:
    with np.load(path) as data:
        return np.split(data["token_ids"], np.cumsum(data["lengths"])[:-1])


def batches_of(sentences: Sequence[Ids], batch_tokens: int) -> list[list[Ids]]:
    """Return batches of sentences of similar length within groups of the read-ahead, as the predictor makes them."""
    found = []
    for start in range(0, len(sentences), READ_AHEAD_SENTENCES):
        group = sentences[start : start + READ_AHEAD_SENTENCES]
        rows = batches_by_length([len(ids) for ids in group], 1 << 30, batch_tokens)
        found += [[group[i] for i in some] for some in rows]
    return found


def seconds(contender: Any, ready: Any) -> float:
    start = time.perf_counter()
    contender.run(ready)
    return time.perf_counter() - start


def fastest_size(contender: Any, sentences: Sequence[Ids]) -> int:
    """Return the batch size, in tokens, with which a rival is fastest on a few thousand sentences."""
    ready = {size: contender.prepare(batches_of(sentences[: 3 * READ_AHEAD_SENTENCES], size)) for size in SIZES}
    for batches in ready.values():
        contender.run(batches)
    return min(SIZES, key=lambda size: min(seconds(contender, ready[size]) for _ in range(2)))


def difference(contender: Any, reference: Any, sentences: Sequence[Ids]) -> float:
    """Return the largest difference between the logits of a contender and those of tagger's engine."""
    lengths = np.array([len(ids) for ids in sentences], np.int32)
    return float(np.abs(contender.logits(sentences) - reference(sentences))[mask_of(lengths)].max())


def main() -> None:
    spec = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # output of libraries must not mix with the answers
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    model = load_model(Path(spec["model"]), read_weights)
    sentences = load_sentences(spec["data"])
    contender = CONTENDERS[spec["contender"]](spec, model)
    size = BATCH_TOKENS if spec["contender"] == "tagger" else fastest_size(contender, sentences)
    ready = contender.prepare(batches_of(sentences, size))
    by = difference(contender, load_predictor(Path(spec["model"])).model.network, sentences[:50])
    n_tokens = sum(map(len, sentences))
    for _ in sys.stdin:
        took = seconds(contender, ready)
        answer = {"tokens": n_tokens, "seconds": took, "batch_tokens": size, "differs_by": by}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
