"""Optimizers that update only the rows of the embedding that a batch looks up.

A dense optimizer pays for the whole vocabulary at every step. These rules update the rows of the batch's distinct
tokens and leave all other rows and their moments unchanged. Other libraries call this a lazy or sparse Adam. It differs
from dense Adam in the steps that do not look up a row: the moments of the row do not decay, and the row does not keep
drifting. If every step looks up every row, both give the same result (tested against Keras).

The rules and constants are those of Keras: Adam (Kingma & Ba 2015), Nadam (Dozat 2016) and SGD with momentum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.config.keys import TrainingConfig
from tagger.network import Tensor

_BETA_1, _BETA_2, _EPSILON, _MOMENTUM = 0.9, 0.999, 1e-7, 0.9
# (gradient, slots) → (the change to add to the rows, the new slots)
_Update = Callable[[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]
# (learning rate, step from 1) → the update of every weight in this step. What depends on the step alone is computed
# there once, and not for each weight: the graph of a training is smaller by a quarter, and is built sooner.
_Rule = Callable[[Tensor, Tensor], _Update]
Array = npt.NDArray[np.float32]


def _adam(rate: Tensor, step: Tensor) -> _Update:
    alpha = rate * tf.sqrt(1.0 - tf.pow(_BETA_2, step)) / (1.0 - tf.pow(_BETA_1, step))

    def update(gradient: Tensor, slots: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        m, v = _moments(gradient, *slots)
        return -alpha * m / (tf.sqrt(v) + _EPSILON), [m, v]

    return update


def _nadam(rate: Tensor, step: Tensor) -> _Update:
    now, following = (_BETA_1 * (1.0 - 0.5 * tf.pow(0.96, t)) for t in (step, step + 1.0))
    # The product of the schedule so far. After 500 steps it is below 1e-20, so 1 minus the product is 1.
    earlier = _BETA_1 * (1.0 - 0.5 * tf.pow(0.96, tf.range(1.0, tf.minimum(step, 500.0) + 0.5)))
    product = tf.reduce_prod(earlier)
    of_gradient, until_now, until_following = 1.0 - now, 1.0 - product, 1.0 - product * following
    of_v, falling = 1.0 - tf.pow(_BETA_2, step), -rate

    def update(gradient: Tensor, slots: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        m, v = _moments(gradient, *slots)
        m_hat = following * m / until_following + of_gradient * gradient / until_now
        v_hat = v / of_v
        return falling * m_hat / (tf.sqrt(v_hat) + _EPSILON), [m, v]

    return update


def _sgd(rate: Tensor, step: Tensor) -> _Update:
    del step

    def update(gradient: Tensor, slots: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        velocity = _MOMENTUM * slots[0] - rate * gradient
        return velocity, [velocity]

    return update


def _moments(gradient: Tensor, m: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return m + (gradient - m) * (1.0 - _BETA_1), v + (tf.square(gradient) - v) * (1.0 - _BETA_2)


_RULES: dict[str, tuple[_Rule, int]] = {"adam": (_adam, 2), "nadam": (_nadam, 2), "sgd": (_sgd, 1)}


class Optimizer:
    """One rule that updates all weights: dense weights as a whole, the embedding row by row.

    It writes to variables through their handles, and each replica has its own copy of a variable. If all replicas are
    given the same gradients, as they must be, their copies stay equal bit for bit.

    Args:
        name: `adam`, `nadam` or `sgd`.
        embedding: [V, E], the variable whose rows a batch looks up.
        dense: all other variables.
        clip_norm: the largest global norm of the gradients; None: no clipping.
    """

    def __init__(self, name: str, embedding: tf.Variable, dense: list[tf.Variable], *, clip_norm: float | None) -> None:
        self._rule, n_slots = _RULES[name]
        self._clip_norm = clip_norm
        self.learning_rate = tf.Variable(1.0, trainable=False)
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
        # Each group holds a variable and its slots.
        self._embedding, *self._dense = (
            [variable, *(tf.Variable(tf.zeros(variable.shape), trainable=False) for _ in range(n_slots))]
            for variable in [embedding, *dense]
        )

    def variables(self) -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
        """Return all weights and slots that make up a state, by name.

        The first mapping has the variables with one row for each row of the embedding, and the second has all others.
        """
        rows = {f"rows.{i}": variable for i, variable in enumerate(self._embedding)}
        others = {f"dense.{j}.{i}": variable for j, group in enumerate(self._dense) for i, variable in enumerate(group)}
        return rows, {**others, "steps": self.steps}

    def apply(self, row_ids: Tensor, row_gradient: Tensor, dense_gradients: list[Tensor]) -> None:
        """Take one step.

        Args:
            row_ids: [D], distinct rows of the embedding.
            row_gradient: [D, E], the gradient of the loss with respect to those rows.
            dense_gradients: one gradient for each dense variable.
        """
        gradients = [row_gradient, *dense_gradients]
        if self._clip_norm is not None:
            gradients = _clipped(gradients, self._clip_norm)
        rate = tf.identity(self.learning_rate)
        step = tf.cast(self.steps, tf.float32) + 1.0
        rows, *slots = (tf.gather(variable, row_ids) for variable in self._embedding)
        update = self._rule(rate, step)
        change, slots = update(gradients[0], slots)
        for variable, values in zip(self._embedding, [rows + change, *slots], strict=True):
            tf.raw_ops.ResourceScatterUpdate(resource=variable.handle, indices=row_ids, updates=values)
        if self._rule is _adam:
            self._apply_adam(gradients[1:], rate, step)
        else:
            self._apply_dense(update, gradients[1:])
        tf.raw_ops.AssignAddVariableOp(resource=self.steps.handle, value=tf.ones([], tf.int64))

    def _apply_dense(self, update: _Update, gradients: list[Tensor]) -> None:
        for variables, gradient in zip(self._dense, gradients, strict=True):
            change, slots = update(gradient, [tf.identity(slot) for slot in variables[1:]])
            for variable, value in zip(variables, [variables[0] + change, *slots], strict=True):
                tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)

    def _apply_adam(self, gradients: list[Tensor], rate: Tensor, step: Tensor) -> None:
        """Update the dense weights with one operator each instead of a dozen, which would cost 3 % of a step."""
        powers = {"beta1_power": tf.pow(_BETA_1, step), "beta2_power": tf.pow(_BETA_2, step)}
        betas = {"beta1": _BETA_1, "beta2": _BETA_2, "epsilon": _EPSILON}
        for variables, gradient in zip(self._dense, gradients, strict=True):
            var, m, v = (variable.handle for variable in variables)
            tf.raw_ops.ResourceApplyAdam(var=var, m=m, v=v, lr=rate, grad=gradient, **powers, **betas)


def _clipped(gradients: list[Tensor], clip_norm: float) -> list[Tensor]:
    """Scale gradients to a global norm of at most `clip_norm`; smaller ones are not copied."""
    norm = tf.linalg.global_norm(gradients)

    def scaled() -> list[Tensor]:
        return tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)[0]  # type: ignore[no-any-return]

    # The comparison is true for NaN too, which then reaches all weights.
    return tf.cond(~(norm <= clip_norm), scaled, lambda: gradients)  # type: ignore[no-any-return]


class LossScale:
    """The factor of the loss that keeps float16 gradients from vanishing (Micikevicius et al. 2018).

    If a gradient overflows, the factor is halved and the step is skipped. After 2,000 steps without an overflow the
    factor is doubled.
    """

    def __init__(self) -> None:
        self.scale = tf.Variable(2.0**15, trainable=False)
        self._good_steps = tf.Variable(0, trainable=False)

    def variables(self) -> dict[str, tf.Variable]:
        """Return the variables that make up its state, by name."""
        return {"loss_scale": self.scale, "loss_scale.good_steps": self._good_steps}

    def update(self, finite: Tensor) -> None:
        """Update the factor after a step.

        Args:
            finite: whether all gradients of the step were finite.
        """
        good_steps = tf.where(finite, self._good_steps + 1, 0)
        doubles = good_steps >= 2000
        scale = self.scale * tf.where(finite, tf.where(doubles, 2.0, 1.0), 0.5)
        tf.raw_ops.AssignVariableOp(resource=self.scale.handle, value=tf.clip_by_value(scale, 1.0, 2.0**24))
        tf.raw_ops.AssignVariableOp(resource=self._good_steps.handle, value=tf.where(doubles, 0, good_steps))


class MovingAverage:
    """The moving average of an embedding, updated row by row, and of other variables.

    It writes to variables through their handles, as `Optimizer` does, and must be created in the scope of the replicas.

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
        self._seen = tf.Variable(tf.zeros(embedding.shape[0], tf.int64), trainable=False)  # each row's last update

    def variables(self) -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
        """Return the variables that make up its state, by name.

        The first mapping has the variables with one row for each row of the embedding, and the second has all others.
        """
        others = {f"average.{i}": variable for i, variable in enumerate(self._averages)}
        return {"average.rows": self._rows, "average.seen": self._seen}, {**others, "average.steps": self._steps}

    def update(self, row_ids: Tensor, old_rows: Tensor) -> None:
        """Update the average after a step of the optimizer.

        Args:
            row_ids: [D], the rows of the embedding that the step changed.
            old_rows: [D, E], the values of these rows before the step.
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
        """Return log(d_1 · … · d_t) in double precision, computed with TensorFlow or numpy.

        As long as d_t = (1 + t) / (10 + t), the product is 10! / ((t + 2) · … · (t + 10)).
        """
        warm = library.minimum(t, self._n_warm)
        log = library.math.log if library is tf else np.log
        t, warm = (library.cast(x, tf.float64) if library is tf else x.astype(np.float64) for x in (t, warm))
        return math.log(math.factorial(10)) - sum(log(warm + j) for j in range(2, 11)) + (t - warm) * self._log_decay

    def arrays(self, read: Callable[[tf.Variable], Any]) -> tuple[Array, list[Array]]:
        """Return the average of the embedding, [V, E], and of each other variable.

        Args:
            read: returns the value of a variable as an array.
        """
        embedding, now = read(self._embedding), np.asarray(read(self._steps))
        missed = np.exp(self._log_product(now, np) - self._log_product(read(self._seen), np)).astype(np.float32)
        averages = [read(average) for average in self._averages]
        return _moved(read(self._rows), embedding, missed[:, None]), averages


def _moved(average: Any, towards: Any, decay: Any) -> Any:
    return towards + (average - towards) * decay


def rate_of(settings: TrainingConfig, epoch: int) -> float:
    """Return the learning rate of an epoch (from 0)."""
    factor = math.prod(factor for first, factor in settings.steps.items() if epoch + 1 >= first)
    return factor * settings.learning_rate / (1.0 + settings.decay * epoch)
