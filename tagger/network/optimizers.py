"""Optimizers that touch only the rows of the embedding that a batch looks up.

A dense optimizer pays for the whole vocabulary at every step. These rules update the rows of the batch's distinct
tokens and leave all others, moments included, as they are. Other libraries call that a lazy or sparse Adam. It
differs from dense Adam in that in steps that do not look a row up its moments do not decay and it does not drift on.
Where every step touches every row the two agree (tested against Keras).

The rules and constants are Keras's: Adam (Kingma & Ba 2015), Nadam (Dozat 2016), SGD with momentum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.config import TrainingConfig
from tagger.network import Tensor

_BETA_1, _BETA_2, _EPSILON, _MOMENTUM = 0.9, 0.999, 1e-7, 0.9
# (gradient, slots, learning rate, step from 1) → (what is added to the rows, new slots)
_Rule = Callable[[Tensor, list[Tensor], Tensor, Tensor], tuple[Tensor, list[Tensor]]]
Array = npt.NDArray[np.float32]


def _adam(gradient: Tensor, slots: list[Tensor], rate: Tensor, step: Tensor) -> tuple[Tensor, list[Tensor]]:
    m, v = _moments(gradient, *slots)
    alpha = rate * tf.sqrt(1.0 - tf.pow(_BETA_2, step)) / (1.0 - tf.pow(_BETA_1, step))
    return -alpha * m / (tf.sqrt(v) + _EPSILON), [m, v]


def _nadam(gradient: Tensor, slots: list[Tensor], rate: Tensor, step: Tensor) -> tuple[Tensor, list[Tensor]]:
    m, v = _moments(gradient, *slots)
    now, following = (_BETA_1 * (1.0 - 0.5 * tf.pow(0.96, t)) for t in (step, step + 1.0))
    # The product of the schedule so far; after 500 steps it is below 1e-20, and 1 less it is 1.
    earlier = _BETA_1 * (1.0 - 0.5 * tf.pow(0.96, tf.range(1.0, tf.minimum(step, 500.0) + 0.5)))
    product = tf.reduce_prod(earlier)
    m_hat = following * m / (1.0 - product * following) + (1.0 - now) * gradient / (1.0 - product)
    v_hat = v / (1.0 - tf.pow(_BETA_2, step))
    return -rate * m_hat / (tf.sqrt(v_hat) + _EPSILON), [m, v]


def _sgd(gradient: Tensor, slots: list[Tensor], rate: Tensor, step: Tensor) -> tuple[Tensor, list[Tensor]]:
    del step
    velocity = _MOMENTUM * slots[0] - rate * gradient
    return velocity, [velocity]


def _moments(gradient: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return m + (gradient - m) * (1.0 - _BETA_1), v + (tf.square(gradient) - v) * (1.0 - _BETA_2)


_RULES: dict[str, tuple[_Rule, int]] = {"adam": (_adam, 2), "nadam": (_nadam, 2), "sgd": (_sgd, 1)}


class Optimizer:
    """One rule for all weights: whole for the dense ones, row by row for the embedding.

    It writes to variables through their handles. Among several replicas that is each one's own copy: so all must be
    given the same gradients, and then their copies stay equal to the bit.

    Args:
        name: `adam`, `nadam` or `sgd`.
        embedding: [V, E], a variable of which a batch looks up some rows.
        dense: all other variables.
        clip_norm: bound of the norm of all gradients together, or None.
    """

    def __init__(self, name: str, embedding: tf.Variable, dense: list[tf.Variable], *, clip_norm: float | None) -> None:
        self._rule, n_slots = _RULES[name]
        self._clip_norm = clip_norm
        self.learning_rate = tf.Variable(1.0, trainable=False)
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Each variable with its slots.
        self._embedding, *self._dense = (
            [variable, *(tf.Variable(tf.zeros(variable.shape), trainable=False) for _ in range(n_slots))]
            for variable in [embedding, *dense]
        )

    def variables(self) -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
        """All that a state is made of, weights and slots: what has a row for each of the embedding, the rest."""
        rows = {f"rows.{i}": variable for i, variable in enumerate(self._embedding)}
        others = {f"dense.{j}.{i}": variable for j, group in enumerate(self._dense) for i, variable in enumerate(group)}
        return rows, {**others, "steps": self.steps}

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
        rate = tf.identity(self.learning_rate)
        step = tf.cast(self.steps, tf.float32) + 1.0
        rows, *slots = (tf.gather(variable, row_ids) for variable in self._embedding)
        change, slots = self._rule(gradients[0], slots, rate, step)
        for variable, values in zip(self._embedding, [rows + change, *slots], strict=True):
            tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=row_ids, updates=values)
        for variables, gradient in zip(self._dense, gradients[1:], strict=True):
            self._update(variables, gradient, rate, step)
        tf.raw_ops.AssignAddVariableOp(resource=self.steps.handle, value=tf.ones([], tf.int64))

    def _update(self, variables: list[tf.Variable], gradient: Tensor, rate: Tensor, step: Tensor) -> None:
        if self._rule is _adam:  # the same in one operator: a dozen of them for each weight cost 3 % of a step
            var, m, v = (variable.handle for variable in variables)
            powers = {"beta1_power": tf.pow(_BETA_1, step), "beta2_power": tf.pow(_BETA_2, step)}
            betas = {"beta1": _BETA_1, "beta2": _BETA_2, "epsilon": _EPSILON}
            tf.raw_ops.ResourceApplyAdam(var=var, m=m, v=v, lr=rate, grad=gradient, **powers, **betas)
            return
        change, slots = self._rule(gradient, [tf.identity(slot) for slot in variables[1:]], rate, step)
        for variable, value in zip(variables, [variables[0] + change, *slots], strict=True):
            tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


class LossScale:
    """What a loss is multiplied by, so that its float16 gradients do not vanish (Micikevicius et al. 2018).

    It halves when a gradient overflows, and that step is left out; it doubles after 2,000 steps without.
    """

    def __init__(self) -> None:
        self.scale = tf.Variable(2.0**15, trainable=False)
        self._good_steps = tf.Variable(0, trainable=False)

    def variables(self) -> dict[str, tf.Variable]:
        """All that a state of it is made of."""
        return {"loss_scale": self.scale, "loss_scale.good_steps": self._good_steps}

    def update(self, finite: Tensor) -> None:
        """After a step whose gradients were all finite, or not."""
        good_steps = tf.where(finite, self._good_steps + 1, 0)
        doubles = good_steps >= 2000
        scale = self.scale * tf.where(finite, tf.where(doubles, 2.0, 1.0), 0.5)
        tf.raw_ops.AssignVariableOp(resource=self.scale.handle, value=tf.clip_by_value(scale, 1.0, 2.0**24))
        tf.raw_ops.AssignVariableOp(resource=self._good_steps.handle, value=tf.where(doubles, 0, good_steps))


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


def rate_of(settings: TrainingConfig, epoch: int) -> float:
    """The learning rate of an epoch (from 0)."""
    factor = math.prod(factor for first, factor in settings.steps.items() if epoch + 1 >= first)
    return factor * settings.learning_rate / (1.0 + settings.decay * epoch)
