"""What the scripts of docs/results.md exchange in a training does what they say."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
from helpers import ROOT

pytestmark = pytest.mark.tensorflow
tf = pytest.importorskip("tensorflow")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts/results"))
    return importlib.import_module


def test_a_flat_average_is_the_mean_of_the_steps_after_the_first_ones(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    averaged = script("train_averaged")
    monkeypatch.setattr(averaged, "FIRST", 7)
    number, table = tf.Variable(0.0), tf.Variable(tf.zeros([2, 1]))
    average = averaged.FlatAverage(0.9, table, [number])
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


def test_dropout_rates_depend_on_the_length_of_a_sentence(script: Any) -> None:
    bucketed = script("train_bucketed")
    lengths = tf.constant([1, 10, 11, 25, 26, 80])
    factors = bucketed.factors(lengths, short=0.5, long=1.5)
    assert factors.numpy().tolist() == [[0.5], [0.5], [1.0], [1.0], [1.5], [1.5]]
    mask = bucketed.model.dropout_mask(tf.constant([6, 20_000]), 0.4 * factors, tf.constant([1, 2])).numpy()
    assert (mask == 0).mean(axis=1) == pytest.approx([0.2, 0.2, 0.4, 0.4, 0.6, 0.6], abs=0.02)
    assert mask.mean(axis=1) == pytest.approx([1.0] * 6, abs=0.05)
