"""The exponential moving average of the weights, which often scores better than the weights themselves.

After each step  average ← d·average + (1 - d)·weight,  from the initial weights on (Polyak & Juditsky 1992; Keras's
`use_ema` begins with those after the first step). Kept densely for the embedding it would cost a pass over the
vocabulary at each step. But a row that no batch looks up for k steps does not change, and its average moves towards it
by d^k: so it is brought up to date when the row is looked up again, and when the average is asked for.
"""

from __future__ import annotations

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
        decay: d, from 0 to below 1.
        embedding: [V, E].
        dense: all other variables.
    """

    def __init__(self, decay: float, embedding: tf.Variable, dense: list[tf.Variable]) -> None:
        self._decay = decay
        self._embedding, self._dense = embedding, dense
        self._rows, *self._averages = (
            tf.Variable(tf.identity(variable), trainable=False) for variable in [embedding, *dense]
        )
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._seen = tf.Variable(tf.zeros(embedding.shape[0], tf.int64), trainable=False)  # step of each row's average

    def update(self, row_ids: Tensor, old_rows: Tensor) -> None:
        """Take a step of the optimizer into the average.

        Args:
            row_ids: [D], the rows of the embedding that it changed.
            old_rows: [D, E], what they were before.
        """
        step = self._steps + 1
        n_missed = step - 1 - tf.gather(self._seen, row_ids)
        rows = self._moved(tf.gather(self._rows, row_ids), old_rows, n_missed[:, None])
        rows = self._moved(rows, tf.gather(self._embedding, row_ids), tf.ones([], tf.int64))
        seen = tf.fill(tf.shape(row_ids), step)
        tf.raw_ops.ResourceScatterUpdate(resource=self._rows.handle, indices=row_ids, updates=rows)
        tf.raw_ops.ResourceScatterUpdate(resource=self._seen.handle, indices=row_ids, updates=seen)
        for average, variable in zip(self._averages, self._dense, strict=True):
            value = self._moved(tf.identity(average), tf.identity(variable), tf.ones([], tf.int64))
            tf.raw_ops.AssignVariableOp(resource=average.handle, value=value)
        tf.raw_ops.AssignVariableOp(resource=self._steps.handle, value=step)

    def _moved(self, average: Tensor, towards: Tensor, n_steps: Tensor) -> Tensor:
        return towards + (average - towards) * tf.pow(self._decay, tf.cast(n_steps, tf.float32))

    def arrays(self, read: Callable[[tf.Variable], Any]) -> tuple[Array, list[Array]]:
        """The average of the embedding, [V, E], and of each other variable.

        Args:
            read: a variable's value as an array.
        """
        embedding, n_missed = read(self._embedding), read(self._steps) - read(self._seen)
        remaining = np.power(np.float32(self._decay), n_missed.astype(np.float32))[:, None]
        return embedding + (read(self._rows) - embedding) * remaining, [read(average) for average in self._averages]
