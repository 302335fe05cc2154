"""The exponential moving average of the weights, which often scores better than the weights themselves.

After step t  average ← d_t·average + (1 - d_t)·weight,  from the initial weights on (Polyak & Juditsky 1992). At first
d_t = (1 + t) / (10 + t), until that is d (as TensorFlow's `ExponentialMovingAverage` with `num_updates`): with a
constant d the initial weights, which are random, would make up most of the average of a short training.

Kept densely for the embedding it would cost a pass over the vocabulary at each step. But a row that no batch looks up
does not change, and its average moves towards it by the product of the d_t: so it is brought up to date when the row is
looked up again, and when the average is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Tensor = Any
Array = npt.NDArray[np.float32]


class MovingAverage:
    """The average of an embedding, row by row, and of other variables.

    It writes to variables through their handles, as `Optimizer` does; made in the scope of the replicas.

    Args:
        decay: d, above 0 and below 1.
        embedding: [V, E].
        dense: all other variables.
    """

    def __init__(self, decay: float, embedding: tf.Variable, dense: list[tf.Variable]) -> None:
        self._log_decay, self._n_warm = math.log(decay), max(0, math.floor((10 * decay - 1) / (1 - decay)))
        self._embedding, self._dense = embedding, dense
        self._rows, *self._averages = (
            tf.Variable(tf.identity(variable), trainable=False) for variable in [embedding, *dense]
        )
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._seen = tf.Variable(tf.zeros(embedding.shape[0], tf.int64), trainable=False)  # step of each row's average

    def variables(self) -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
        """All that a state of it is made of: what has a row for each of the embedding, the rest."""
        others = {f"average.{i}": variable for i, variable in enumerate(self._averages)}
        return {"average.rows": self._rows, "average.seen": self._seen}, {**others, "average.steps": self._steps}

    def update(self, row_ids: Tensor, old_rows: Tensor) -> None:
        """Take a step of the optimizer into the average.

        Args:
            row_ids: [D], the rows of the embedding that it changed.
            old_rows: [D, E], what they were before.
        """
        step = self._steps + 1
        before, now = (self._log_product(t, tf) for t in (step - 1, step))
        missed = tf.exp(before - self._log_product(tf.gather(self._seen, row_ids), tf))
        decay = tf.cast(tf.exp(now - before), tf.float32)
        rows = _moved(tf.gather(self._rows, row_ids), old_rows, tf.cast(missed, tf.float32)[:, None])
        rows = _moved(rows, tf.gather(self._embedding, row_ids), decay)
        seen = tf.fill(tf.shape(row_ids), step)
        tf.raw_ops.ResourceScatterUpdate(resource=self._rows.handle, indices=row_ids, updates=rows)
        tf.raw_ops.ResourceScatterUpdate(resource=self._seen.handle, indices=row_ids, updates=seen)
        for average, variable in zip(self._averages, self._dense, strict=True):
            value = _moved(tf.identity(average), tf.identity(variable), decay)
            tf.raw_ops.AssignVariableOp(resource=average.handle, value=value)
        tf.raw_ops.AssignVariableOp(resource=self._steps.handle, value=step)

    def _log_product(self, t: Any, library: Any) -> Any:
        """log(d_1 · … · d_t), in double precision, with TensorFlow or numpy.

        While d_t = (1 + t) / (10 + t) the product is 10! / ((t + 2) · … · (t + 10)).
        """
        warm = library.minimum(t, self._n_warm)
        log = library.math.log if library is tf else np.log
        t, warm = (library.cast(x, tf.float64) if library is tf else x.astype(np.float64) for x in (t, warm))
        return math.log(math.factorial(10)) - sum(log(warm + j) for j in range(2, 11)) + (t - warm) * self._log_decay

    def arrays(self, read: Callable[[tf.Variable], Any]) -> tuple[Array, list[Array]]:
        """The average of the embedding, [V, E], and of each other variable.

        Args:
            read: a variable's value as an array.
        """
        embedding, now = read(self._embedding), np.asarray(read(self._steps))
        missed = np.exp(self._log_product(now, np) - self._log_product(read(self._seen), np)).astype(np.float32)
        averages = [read(average) for average in self._averages]
        return _moved(read(self._rows), embedding, missed[:, None]), averages


def _moved(average: Any, towards: Any, decay: Any) -> Any:
    return towards + (average - towards) * decay
