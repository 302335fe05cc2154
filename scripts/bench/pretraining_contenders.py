"""The contenders of bench_pretraining.py: each trains the same pair of language models in a process of its own.

The models have one embedding of E numbers, two LSTMs of H units, a projection to E numbers for each, and a sampled
softmax whose output layer is the embedding. All contenders get the same windows, computed before the time counts.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

N_WINDOWS = 24


def windows(spec: dict[str, Any]) -> list[Any]:
    """Return windows of a text whose tokens are drawn by Zipf's law."""
    from tagger.architecture import NetworkSpec
    from tagger.inputs.vocabulary import Normalization
    from tagger.pretraining.streams import Streams
    from tagger.pretraining.text_file import TextFile
    from tagger.pretraining.windows import Windows, build_text_vocabulary

    n, shares = spec["vocabulary"], 1.0 / (10.0 + np.arange(spec["vocabulary"]))
    length = spec["streams"] * (N_WINDOWS * spec["steps"] + 1)
    numbers = 2 + np.random.default_rng(0).choice(n, length, p=shares / shares.sum()).astype(np.uint32)
    numbers[::20] = 0  # ends of sentences
    counts = np.maximum(np.round(1e7 * shares / shares.sum()).astype(np.int64), 1)
    counts = np.concatenate([[counts.sum() // 20, 0], counts])
    text = TextFile(numbers, tuple(f"t{i}" for i in range(n)), counts, {})
    network = NetworkSpec(embedding_dim=spec["units"], units=spec["units"])
    vocabulary = build_text_vocabulary(text, network, Normalization(), min_count=1, max_size=None)
    found = Windows(vocabulary, Streams(numbers, spec["streams"], spec["steps"], 1), spec["samples"])
    return [found.window(0, i) for i in range(len(found))]


def tagger(spec: dict[str, Any], given: list[Any]) -> Iterator[float]:
    """Yield the loss of each step."""
    from tagger.architecture import NetworkSpec
    from tagger.inputs.encoder import Sizes
    from tagger.network.devices import choose_device, make_deterministic
    from tagger.network.language_model import LanguageModels
    from tagger.network.language_model_trainer import LanguageModelTrainer

    choose_device("cpu", threads=spec["threads"])
    make_deterministic()
    n_ids, units = spec["vocabulary"] + 2, spec["units"]
    models = LanguageModels(NetworkSpec(embedding_dim=units, units=units), Sizes(n_ids, 0), seed=1)
    trainer = LanguageModelTrainer(models, np.full(n_ids, 1.0 / n_ids), spec["streams"])
    for window in itertools.cycle(given):
        yield trainer.train_step(window, 0.001).loss


def pytorch(spec: dict[str, Any], given: list[Any], *, sparse: bool) -> Iterator[float]:
    """Yield the loss of each step; boundaries do not reset the states, which nn.LSTM cannot do."""
    import torch
    from torch import nn

    torch.set_num_threads(spec["threads"])
    torch.manual_seed(1)
    units = spec["units"]
    embedding = nn.Embedding(spec["vocabulary"] + 2, units, sparse=sparse)
    lstms = nn.ModuleList([nn.LSTM(units, units) for _ in range(2)])
    projections = nn.ModuleList([nn.Linear(units, units) for _ in range(2)])
    dense = [*lstms.parameters(), *projections.parameters()]
    optimizers = [torch.optim.Adam(dense if sparse else [*dense, embedding.weight], lr=0.001, foreach=True)]
    if sparse:
        optimizers.append(torch.optim.SparseAdam([embedding.weight], lr=0.001))
    states: list[Any] = [None, None]
    ready = []
    for window in given:
        ids = torch.from_numpy(window.distinct_ids.astype(np.int64))
        inputs = ids[torch.from_numpy(window.id_rows.astype(np.int64))][
            torch.from_numpy(window.inputs.astype(np.int64))
        ]
        samples = np.repeat(window.samples, window.sample_counts).astype(np.int64)
        ready.append((inputs, ids[torch.from_numpy(window.targets.astype(np.int64))], ids[samples]))
    for inputs, targets, samples in itertools.cycle(ready):
        outputs = []
        for i in range(2):
            h, state = lstms[i](embedding(inputs[i]), states[i])
            states[i] = tuple(part.detach() for part in state)
            outputs.append(projections[i](h))
        flat = torch.stack(outputs).reshape(-1, units)
        of_target = (flat * embedding(targets.reshape(-1))).sum(1)
        scores = torch.cat([of_target[:, None], flat @ embedding(samples).T], 1)
        scored = (inputs.reshape(-1) != 0).float()
        loss = ((torch.logsumexp(scores, 1) - of_target) * scored).sum() / scored.sum()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(dense, 5.0)
        for optimizer in optimizers:
            optimizer.step()
        yield float(loss.detach())


def main() -> None:
    spec = json.loads(sys.argv[1])
    given = windows(spec)
    name = spec["contender"]
    steps = tagger(spec, given) if name == "tagger" else pytorch(spec, given, sparse=name == "pytorch-sparse")
    for line in sys.stdin:
        n = json.loads(line)["steps"]
        start = time.perf_counter()
        losses = list(itertools.islice(steps, n))
        seconds = time.perf_counter() - start
        answer = {"tokens": n * spec["streams"] * spec["steps"], "seconds": seconds, "loss": losses[-1]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
