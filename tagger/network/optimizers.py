"""Optimizers that touch only the rows of the embedding that a batch looks up.

A dense optimizer pays for the whole vocabulary at every step. These rules update the rows of the batch's distinct
tokens and leave all others, moments included, as they are. Other libraries call that a lazy or sparse Adam. It
differs from dense Adam in that in steps that do not look a row up its moments do not decay and it does not drift on.
Where every step touches every row the two agree (tested against Keras).

The rules and constants are Keras's: Adam (Kingma & Ba 2015), Nadam (Dozat 2016), SGD with momentum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Tensor = Any

_BETA_1, _BETA_2, _EPSILON, _MOMENTUM = 0.9, 0.999, 1e-7, 0.9
# (gradient, slots, learning rate, step from 1) → (what is added to the rows, new slots)
_Rule = Callable[[Tensor, list[Tensor], Tensor, Tensor], tuple[Tensor, list[Tensor]]]


def _adam(gradient: Tensor, slots: list[Tensor], rate: Tensor, step: Tensor) -> tuple[Tensor, list[Tensor]]:
    m, v = _moments(gradient, *slots)
    alpha = rate * tf.sqrt(1.0 - tf.pow(_BETA_2, step)) / (1.0 - tf.pow(_BETA_1, step))
    return -alpha * m / (tf.sqrt(v) + _EPSILON), [m, v]


def _nadam(gradient: Tensor, slots: list[Tensor], rate: Tensor, step: Tensor) -> tuple[Tensor, list[Tensor]]:
    m, v = _moments(gradient, *slots)
    steps = tf.range(1.0, step + 1.5)  # 1 … step + 1
    schedule = _BETA_1 * (1.0 - 0.5 * tf.pow(0.96, steps))
    product = tf.reduce_prod(schedule[:-1])
    m_hat = schedule[-1] * m / (1.0 - product * schedule[-1]) + (1.0 - schedule[-2]) * gradient / (1.0 - product)
    v_hat = v / (1.0 - tf.pow(_BETA_2, step))
    return -rate * m_hat / (tf.sqrt(v_hat) + _EPSILON), [m, v]


def _sgd(gradient: Tensor, slots: list[Tensor], rate: Tensor, step: Tensor) -> tuple[Tensor, list[Tensor]]:
    del step
    velocity = _MOMENTUM * slots[0] - rate * gradient
    return velocity, [velocity]


def _moments(gradient: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return m + (gradient - m) * (1.0 - _BETA_1), v + (tf.square(gradient) - v) * (1.0 - _BETA_2)


_RULES: dict[str, tuple[_Rule, int]] = {"adam": (_adam, 2), "nadam": (_nadam, 2), "sgd": (_sgd, 1)}
_DENSE = {
    "adam": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "sgd": lambda **options: keras.optimizers.SGD(momentum=_MOMENTUM, **options),
}


class Optimizer:
    """One rule for all weights: Keras's for the dense ones, row by row for the embedding.

    Args:
        name: `adam`, `nadam` or `sgd`.
        embedding: [V, E], a variable of which a batch looks up some rows.
        dense: all other variables.
        clip_norm: bound of the norm of all gradients together, or None.
    """

    def __init__(
        self, name: str, embedding: tf.Variable, dense: list[keras.Variable], *, clip_norm: float | None
    ) -> None:
        self._rule, n_slots = _RULES[name]
        self._clip_norm = clip_norm
        self._embedding, self._dense_variables = embedding, dense
        self._dense = _DENSE[name](learning_rate=1.0)
        self._dense.build(dense)
        self._slots = [tf.Variable(tf.zeros_like(embedding), trainable=False) for _ in range(n_slots)]

    @property
    def learning_rate(self) -> float:
        """Of the next steps."""
        return float(self._dense.learning_rate)

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._dense.learning_rate = rate

    def apply(self, row_ids: Tensor, row_gradient: Tensor, dense_gradients: list[Tensor]) -> None:
        """One step.

        Args:
            row_ids: [D], distinct rows of the embedding.
            row_gradient: [D, E], of the loss with respect to those rows.
            dense_gradients: one for each dense variable.
        """
        gradients = [row_gradient, *dense_gradients]
        if self._clip_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self._clip_norm)
        rate = tf.cast(self._dense.learning_rate, tf.float32)
        step = tf.cast(self._dense.iterations, tf.float32) + 1.0
        slots = [tf.gather(slot, row_ids) for slot in self._slots]
        change, slots = self._rule(gradients[0], slots, rate, step)
        self._embedding.scatter_add(tf.IndexedSlices(change, row_ids))
        for variable, rows in zip(self._slots, slots, strict=True):
            variable.scatter_update(tf.IndexedSlices(rows, row_ids))
        self._dense.apply(gradients[1:], self._dense_variables)
