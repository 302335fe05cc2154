"""The parts that the scripts of docs/results.md put into a training do what the page says."""

from __future__ import annotations

import importlib
import math
import runpy
import sys
from typing import Any

import numpy as np
import pytest
from helpers import ROOT
from small_models import small_network

from tagger.architecture import NetworkSpec
from tagger.cli import commands
from tagger.config.keys import TrainingConfig
from tagger.inputs.encoder import Sizes
from tagger.inputs.training_set import TrainingSet, WordDropout

tf = pytest.importorskip("tensorflow")

from tagger.network import model, trainer  # noqa: E402
from tagger.network.packing import join, pack, unpack  # noqa: E402

pytestmark = pytest.mark.tensorflow


def run_script(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a script whose training is left out; return its names. What it exchanged stays so until the test ends."""
    given = list[list[str]]()
    for module, attribute in ((commands, "run"), (trainer, "MovingAverage"), (model, "TwoBranchTagger")):
        monkeypatch.setattr(module, attribute, getattr(module, attribute))  # put back at the end
    monkeypatch.setattr(commands, "run", lambda arguments: given.append(arguments) or 0)
    monkeypatch.setattr(sys, "argv", [name, *arguments, "c.yaml"])
    monkeypatch.syspath_prepend(str(ROOT / "scripts/results"))
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(ROOT / f"scripts/results/{name}.py"), run_name="__main__")
    assert given == [["train", "c.yaml"]]
    return vars(importlib.import_module(name))


def test_a_flat_average_is_the_mean_of_the_steps_after_the_first_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    run_script("train_averaged", monkeypatch=monkeypatch)
    network = small_network(n_tokens=3, n_tags=2, embedding_dim=4, units=4, dropout=0.0)
    used = type(trainer.Trainer(network, TrainingConfig())._average)
    assert used.__name__ == "FlatAverage"
    monkeypatch.setitem(used._log_product.__globals__, "FIRST", 7)
    number, table = tf.Variable(0.0), tf.Variable(tf.zeros([2, 1]))
    average = used(0.9, table, [number])
    expected, rows = 0.0, [0.0, 0.0]
    for step in range(1, 20):
        value = math.sin(step)
        number.assign(value)
        changed = [0] if step % 3 else [0, 1]  # the second row is not in every batch
        old = tf.gather(table.value(), changed)
        for row in changed:
            table[row, 0].assign(value + row)
        average.update(tf.constant(changed), old)
        decay = min(0.9, (1 + step) / (10 + step)) if step <= 7 else (step - 7) / (step - 6)
        expected = decay * expected + (1 - decay) * value
        rows = [decay * rows[i] + (1 - decay) * float(table[i, 0]) for i in range(2)]
    found_rows, (found,) = average.arrays(lambda variable: variable.numpy())
    assert found == pytest.approx(expected, abs=1e-6)
    assert found_rows[:, 0] == pytest.approx(rows, abs=1e-5)


def test_dropout_rates_depend_on_the_length_of_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    names = run_script("train_bucketed", "0.0", "1.5", monkeypatch=monkeypatch)
    factors = names["factors"](tf.constant([1, 10, 11, 25, 26, 80]), short=0.5, long=1.5)
    assert factors.numpy().tolist() == [[0.5], [0.5], [1.0], [1.0], [1.5], [1.5]]

    ids = [np.full(n, 2, np.int32) for n in (10, 11, 26)]
    data = TrainingSet(
        sentences=ids, tag_ids=ids, word_dropout=WordDropout(rare=np.zeros(3, bool), unk_probability=0.0),
        batch_size=3, seed=1,
    )  # fmt: skip
    (batch,) = data.batches(0)
    tensors = unpack(*join([pack(batch, (1, 2))]), 0)
    settings = {"embedding_dim": 4, "units": 200, "dropout": 0.4, "input_dropout": 0.4}
    network = model.TwoBranchTagger(NetworkSpec(**settings), Sizes(n_tokens=3, n_tags=3))
    rows = network.look_up(tensors.distinct_ids)
    with_dropout, without = (network(rows, tensors, training=training).numpy() for training in (True, False))
    changed = {int(n): bool(np.abs(with_dropout - without)[:, i].max() > 1e-5) for i, n in enumerate(batch.lengths)}
    assert changed == {10: False, 11: True, 26: True}

    network._factors = factors[:3]  # rates 0.2, 0.2 and 0.4
    mask = network._mask(tf.constant([3, 20_000]), 0.4, tf.constant([1, 2]), 1).numpy()
    assert (mask == 0).mean(axis=1) == pytest.approx([0.2, 0.2, 0.4], abs=0.02)
    assert mask.mean(axis=1) == pytest.approx([1.0] * 3, abs=0.05)
    of_tokens = network._mask(tf.constant([1, 20_000]), 0.4, tf.constant([1, 2]), model._TOKEN_PLACE).numpy()
    assert (of_tokens == 0).mean() == pytest.approx(0.4, abs=0.02)
