"""Run the same trained network of the full recipe with ONNX Runtime, as `tagger predict` does, and with PyTorch.

bench_prediction.py --full starts this script: python scripts/bench/full_prediction_contenders.py
'{"contender": "tagger", "data": PATH, "model": DIR}'. It answers as prediction_contenders.py does, but the data are
the encoded sentences with their forms, and the best path of the CRF is part of the work: ids in, a tag for each token
out. PyTorch has the network as a careful user would write it: characters and casing are read once for each distinct
token of a batch, and pytorch-crf finds the best paths. Its batches are made before the clock starts, distinct tokens
included, and it first finds the batch size with which it is fastest; tagger pads while the clock runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from prediction_contenders import SIZES, seconds

from tagger.architecture import CASING_DIM, CRF_OUTPUTS
from tagger.inputs.batching import Ids, batches_by_length, mask_of, pad
from tagger.inputs.characters import Casing, WordForms
from tagger.inputs.encoder import FORM, TOKEN
from tagger.machine import available_cores
from tagger.model_dir.store import Model, Weights, load_model, read_weights
from tagger.prediction.decoding import decode, stacked
from tagger.prediction.jobs import in_jobs
from tagger.prediction.onnx_session import OnnxSession, load_predictor
from tagger.prediction.predictor import _BATCHES_PER_JOB, _JOBS_PER_THREAD, BATCH_TOKENS
from tagger.prediction.stream import READ_AHEAD_SENTENCES

_SENTENCES_TO_CHOOSE_BY, _SENTENCES_TO_COMPARE = 1024, 500


class Group(NamedTuple):
    """The sentences of one read-ahead: [T, 2] ids of tokens and rows of their forms, and the forms."""

    sentences: Sequence[Ids]
    forms: WordForms

    def batches(self, batch_tokens: int) -> list[list[Ids]]:
        rows = batches_by_length([len(ids) for ids in self.sentences], 1 << 30, batch_tokens)
        return [[self.sentences[i] for i in some] for some in rows]


class TaggerEngine:
    """The engine of tagger alone, with one thread for each core."""

    def __init__(self, spec: dict[str, Any], model: Model[Weights]) -> None:
        del model
        self._threads = spec.get("threads") or available_cores()
        self._engine = engine_of(spec["model"])
        self._pool = ThreadPoolExecutor(self._threads)

    def prepare(self, groups: Sequence[Group], size: int) -> Any:
        assert size == BATCH_TOKENS
        return groups

    def run(self, ready: Any) -> None:
        jobs = []
        for group in ready:
            forms = self._engine.represent(group.forms)
            for some in in_jobs(group.batches(BATCH_TOKENS), _BATCHES_PER_JOB, _JOBS_PER_THREAD * self._threads):
                jobs.append(self._pool.submit(self._tag, some, forms))
        for job in jobs:
            job.result()

    def _tag(self, batches: Sequence[Sequence[Ids]], forms: Any) -> Any:
        logits = stacked([self._engine(sentences, forms) for sentences in batches])
        lengths = np.array([len(ids) for sentences in batches for ids in sentences], np.int32)
        return decode(logits, lengths, self._engine.transitions)

    def logits(self, sentences: Sequence[Ids], forms: WordForms) -> Any:
        return self._engine(sentences, forms)

    def tags(self, sentences: Sequence[Ids], forms: WordForms) -> Any:
        lengths = np.array([len(ids) for ids in sentences], np.int32)
        return self._tag([sentences], forms)[mask_of(lengths)]


class PyTorch:
    """`nn.Conv1d` over characters, `nn.LSTM(bidirectional=True)` and `torchcrf.CRF.decode`.

    `pytorch-packed` has the same results as tagger. `pytorch-padded` is wrong, because its backward direction reads the
    padding first. They use all cores for one operator; those with `-workers` use one core for each batch.
    """

    def __init__(self, spec: dict[str, Any], model: Model[Weights]) -> None:
        import torch
        from torchcrf import CRF

        self.torch, network, cores = torch, model.manifest.network, available_cores()
        self._packed, self._workers = "packed" in spec["contender"], spec["contender"].endswith("workers")
        self._pool = ThreadPoolExecutor(cores) if self._workers else None
        torch.set_num_threads(1 if self._workers else cores)
        nn, sizes = torch.nn, model.encoder.sizes(len(model.tags))
        assert network.characters == "cnn" and network.casing and network.has_crf and not sizes.n_features
        weights = {name: torch.tensor(array) for name, array in model.network.items()}
        self._words = nn.Embedding.from_pretrained(weights["embedding"])
        self._characters = nn.Embedding.from_pretrained(weights["characters.embedding"])
        self._casing = nn.Embedding.from_pretrained(weights["casing.embedding"])
        assert self._casing.weight.shape == (len(Casing), CASING_DIM)
        self._convolution = nn.Conv1d(network.character_dim, network.character_units, 3)
        widths = [network.input_dim(sizes), *[2 * network.units] * (network.layers - 1)]
        self._lstms = nn.ModuleList(
            nn.LSTM(width, network.units, batch_first=True, bidirectional=True) for width in widths
        )
        self._softmax, self._crf = nn.Linear(2 * network.units, sizes.n_tags), CRF(sizes.n_tags, batch_first=True)
        transitions = engine_of(spec["model"]).transitions
        assert transitions is not None
        with torch.no_grad():
            self._convolution.weight.copy_(weights["characters.kernel"].permute(2, 1, 0))
            self._convolution.bias.copy_(weights["characters.bias"])
            for i, lstm in enumerate(self._lstms, start=1):
                for branch, suffix in (("forward", ""), ("backward", "_reverse")):
                    name = f"block_{i}.{branch}"
                    getattr(lstm, f"weight_ih_l0{suffix}").copy_(weights[f"{name}.kernel"].T)
                    getattr(lstm, f"weight_hh_l0{suffix}").copy_(weights[f"{name}.recurrent_kernel"].T)
                    getattr(lstm, f"bias_ih_l0{suffix}").copy_(weights[f"{name}.bias"])
                    getattr(lstm, f"bias_hh_l0{suffix}").zero_()
            self._softmax.weight.copy_(weights["softmax.kernel"].T)
            self._softmax.bias.copy_(weights["softmax.bias"])
            of_crf = (self._crf.transitions, self._crf.start_transitions, self._crf.end_transitions)
            for parameter, name in zip(of_crf, CRF_OUTPUTS, strict=True):
                parameter.copy_(torch.tensor(getattr(transitions, name), dtype=torch.float32))

    def prepare(self, groups: Sequence[Group], size: int) -> Any:
        return [self._batch(batch, group.forms) for group in groups for batch in group.batches(size)]

    def _batch(self, sentences: Sequence[Ids], forms: WordForms) -> dict[str, Any]:
        padded, lengths = pad(sentences)
        distinct, rows = np.unique(padded[..., FORM], return_inverse=True)
        some = forms.select(distinct)
        arrays = {
            "ids": padded[..., TOKEN], "rows": rows.reshape(padded.shape[:2]), "lengths": lengths,
            "characters": np.pad(some.padded(), ((0, 0), (1, 1))), "casing": some.casing,
        }  # fmt: skip
        tensors = {name: self.torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}
        return tensors | {"mask": self.torch.from_numpy(mask_of(lengths))}

    def _forward(self, batch: dict[str, Any]) -> Any:
        torch, rnn = self.torch, self.torch.nn.utils.rnn
        found = self._convolution(self._characters(batch["characters"]).transpose(1, 2))
        is_padding = batch["characters"][:, None, 1:-1] == 0
        forms = torch.cat([found.masked_fill(is_padding, -torch.inf).amax(dim=2), self._casing(batch["casing"])], dim=1)
        x = torch.cat([self._words(batch["ids"]), forms[batch["rows"]]], dim=2)
        if not self._packed:
            for lstm in self._lstms:
                x = lstm(x)[0]
            return self._softmax(x)
        packed = rnn.pack_padded_sequence(x, batch["lengths"], batch_first=True, enforce_sorted=False)
        for lstm in self._lstms:
            packed = lstm(packed)[0]
        return self._softmax(rnn.pad_packed_sequence(packed, batch_first=True)[0])

    def run(self, ready: Any) -> None:
        def tag(batch: dict[str, Any]) -> Any:
            with self.torch.inference_mode():
                return self._crf.decode(self._forward(batch), batch["mask"])

        list(map(tag, ready) if self._pool is None else self._pool.map(tag, ready))

    def logits(self, sentences: Sequence[Ids], forms: WordForms) -> Any:
        with self.torch.inference_mode():
            return self._forward(self._batch(sentences, forms)).numpy()

    def tags(self, sentences: Sequence[Ids], forms: WordForms) -> Any:
        batch = self._batch(sentences, forms)
        with self.torch.inference_mode():
            return np.concatenate(self._crf.decode(self._forward(batch), batch["mask"]))


def engine_of(directory: str) -> OnnxSession:
    engine = load_predictor(Path(directory)).model.network
    assert isinstance(engine, OnnxSession)
    return engine


CONTENDERS: dict[str, Callable[[dict[str, Any], Model[Weights]], Any]] = {
    "tagger": TaggerEngine,
    "pytorch-packed": PyTorch,
    "pytorch-packed-workers": PyTorch,
    "pytorch-padded": PyTorch,
    "pytorch-padded-workers": PyTorch,
}


def load_groups(path: str) -> list[Group]:
    with np.load(path) as data:
        groups = []
        for i in range(int(data["n"])):
            lengths, forms = data[f"lengths_{i}"], (data[f"{name}_{i}"] for name in ("casing", "characters", "sizes"))
            groups.append(Group(np.split(data[f"ids_{i}"], np.cumsum(lengths)[:-1]), WordForms(*forms)))
    return groups


def save_groups(path: Path, model: Model[Any], sentences: Sequence[Sequence[str]]) -> None:
    """Encode sentences and write them, in groups of the size of the read-ahead of `tagger predict`."""
    arrays: dict[str, Any] = {"n": -(-len(sentences) // READ_AHEAD_SENTENCES)}
    for i in range(arrays["n"]):
        some = sentences[i * READ_AHEAD_SENTENCES : (i + 1) * READ_AHEAD_SENTENCES]
        ids, forms = model.encoder.encode([[tokens] for tokens in some])
        assert forms is not None
        arrays |= {f"ids_{i}": np.concatenate(ids), f"lengths_{i}": [len(one) for one in ids]}
        arrays |= {f"casing_{i}": forms.casing, f"characters_{i}": forms.characters, f"sizes_{i}": forms.lengths}
    np.savez(path, **arrays)


def fastest_size(contender: Any, groups: Sequence[Group]) -> int:
    """Return the batch size, in tokens, with which a rival is fastest on a thousand sentences."""
    group = groups[0]._replace(sentences=groups[0].sentences[:_SENTENCES_TO_CHOOSE_BY])
    ready = {size: contender.prepare([group], size) for size in SIZES}
    contender.run(ready[SIZES[0]])
    return min(ready, key=lambda size: min(seconds(contender, ready[size]) for _ in range(2)))


def difference(contender: Any, reference: OnnxSession, group: Group) -> tuple[float, float]:
    """Return how far the logits of some sentences are from those of tagger at most, and the share of equal tags."""
    sentences = group.sentences[:_SENTENCES_TO_COMPARE]
    lengths = np.array([len(ids) for ids in sentences], np.int32)
    expected, mask = reference(sentences, group.forms), mask_of(lengths)
    by = float(np.abs(contender.logits(sentences, group.forms) - expected)[mask].max())
    tags = contender.tags(sentences, group.forms)
    return by, float((tags == decode(expected, lengths, reference.transitions)[mask]).mean())


def main() -> None:
    spec = json.loads(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr  # output of libraries must not mix with the answers
    model, groups = load_model(Path(spec["model"]), read_weights), load_groups(spec["data"])
    contender = CONTENDERS[spec["contender"]](spec, model)
    size = BATCH_TOKENS if spec["contender"] == "tagger" else fastest_size(contender, groups)
    ready = contender.prepare(groups, size)
    by, same = difference(contender, engine_of(spec.get("reference", spec["model"])), groups[0])
    n_tokens = sum(len(ids) for group in groups for ids in group.sentences)
    for _ in sys.stdin:
        took = seconds(contender, ready)
        answer = {"tokens": n_tokens, "seconds": took, "batch_tokens": size, "differs_by": by, "same_tags": same}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
