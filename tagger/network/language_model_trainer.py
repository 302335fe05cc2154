"""The training step of the language models, and their perplexity on held-out text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.network import Tensor
from tagger.network.block_lstm import LSTMState
from tagger.network.graphs import compiled
from tagger.network.language_model import BRANCHES, WINDOW_SIGNATURE, LanguageModels, WindowTensors, sampled_loss
from tagger.network.optimizers import Optimizer

_CLIP_NORM = 5.0


class Perplexities(NamedTuple):
    """The perplexity per token on held-out text, ends of sentences included, of the models of both branches."""

    forward: float
    backward: float


class LanguageModelTrainer:
    """The language models of a text, their optimizer (Adam), and the states that go from window to window.

    Args:
        models: the models to train.
        frequencies: [V], the share of each token id in the text.
        n_streams: B, the number of streams that are read at once.
        trained: [V, E], 1 at the numbers of the embedding that are trained, and 0 at those that stay; None: all are
            trained.
    """

    def __init__(
        self,
        models: LanguageModels,
        frequencies: npt.NDArray[np.float64],
        n_streams: int,
        trained: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.models = models
        self._trained = None if trained is None else tf.constant(trained)
        self._log_frequencies = tf.constant(np.log(frequencies), tf.float32)
        self._dense = [weight.value for name, weight in models.named_weights().items() if name != "embedding"]
        self._optimizer = Optimizer("adam", models.embedding.value, self._dense, clip_norm=_CLIP_NORM)
        zeros = tf.zeros([n_streams, models.spec.units])
        self._states = [LSTMState(*(tf.Variable(zeros, trainable=False) for _ in LSTMState._fields)) for _ in BRANCHES]
        self._step = compiled(self._train_step, [*WINDOW_SIGNATURE, tf.TensorSpec([], tf.float32)])
        states = [tf.TensorSpec([None, models.spec.units]) for _ in range(4)]
        self._evaluate = compiled(self._exact_losses, [*WINDOW_SIGNATURE, *states])

    def train_step(self, window: Iterable[npt.NDArray[np.int32]], learning_rate: float) -> float:
        """Take one step on a window.

        Args:
            window: the arrays of `WindowTensors`.

        Returns:
            The loss per prediction: an estimate of the cross-entropy in nats.
        """
        arguments = [tf.constant(array, tf.int32) for array in window]
        return float(self._step(*arguments, tf.constant(learning_rate, tf.float32)))

    def reset_states(self) -> None:
        """Set the states to zeros, as at the beginning of a text."""
        for state in self._states:
            for variable in state:
                variable.assign(tf.zeros_like(variable))

    def perplexities(self, windows: Iterable[Iterable[npt.NDArray[np.int32]]]) -> Perplexities:
        """Return the perplexities on windows that follow each other, with the softmax over all tokens."""
        total, n, states = np.zeros(2), np.zeros(2), None
        for window in windows:
            arrays = [tf.constant(array, tf.int32) for array in window]
            if states is None:
                n_streams = WindowTensors(*arrays).inputs.shape[2]
                states = [tf.zeros([n_streams, self.models.spec.units])] * 4
            losses, counts, *states = self._evaluate(*arrays, *states)
            total, n = total + losses.numpy(), n + counts.numpy()
        return Perplexities(*(math.exp(min(value, 700.0)) for value in total / np.maximum(n, 1)))

    def _train_step(self, *arguments: Tensor) -> Tensor:
        *arrays, rate = arguments
        window, models = WindowTensors(*arrays), self.models
        rows = tf.gather(models.embedding.value, window.distinct_ids)
        states = [LSTMState(*map(tf.identity, state)) for state in self._states]
        with tf.GradientTape() as tape:
            tape.watch(rows)
            outputs, after = models(rows, window, states)
            scored = self._scored(window)
            n = tf.maximum(tf.reduce_sum(scored), 1.0)
            # Each branch has a loss of its own, so that both are computed side by side.
            losses = [
                tf.reduce_sum(scored[i] * sampled_loss(output, rows, window.targets[i], window.samples))
                for i, output in enumerate(outputs)
            ]
            loss = tf.add_n(losses) / n
        row_gradient, dense = tape.gradient(loss, (rows, self._dense))
        row_gradient = tf.convert_to_tensor(row_gradient)
        if self._trained is not None:
            row_gradient *= tf.gather(self._trained, window.distinct_ids)
        tf.raw_ops.AssignVariableOp(resource=self._optimizer.learning_rate.handle, value=rate)
        self._optimizer.apply(window.distinct_ids, row_gradient, [tf.convert_to_tensor(one) for one in dense])
        for state, values in zip(self._states, after, strict=True):
            for variable, value in zip(state, values, strict=True):
                tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
        return loss - tf.reduce_sum(scored * self._log_frequencies_of(window)) / n

    def _scored(self, window: WindowTensors) -> Tensor:
        """Return 1 where a prediction counts, [2, T, B]: nothing is known at a boundary that has reset the state."""
        return tf.cast(window.inputs > 0, tf.float32) if self.models.resets else tf.ones_like(window.inputs, tf.float32)

    def _log_frequencies_of(self, window: WindowTensors) -> Tensor:
        ids = tf.gather(window.distinct_ids, window.targets)
        return tf.gather(self._log_frequencies, ids)

    def _exact_losses(self, *arguments: Tensor) -> tuple[Tensor, ...]:
        """Return the sums [2] of the losses of both branches, the number of predictions, and the new states."""
        window = WindowTensors(*arguments[: len(WINDOW_SIGNATURE)])
        cells = arguments[len(WINDOW_SIGNATURE) :]
        states = [LSTMState(*cells[:2]), LSTMState(*cells[2:])]
        table = tf.convert_to_tensor(self.models.embedding)
        outputs, after = self.models(tf.gather(table, window.distinct_ids), window, states)
        ids = tf.gather(window.distinct_ids, window.targets)  # [2, T, B]

        def of_step(step: tuple[Tensor, Tensor]) -> Tensor:  # one step at a time, because V logits take much memory
            vectors, gold = step
            logits = tf.tensordot(vectors, table, [[2], [1]]) + self._log_frequencies
            return tf.nn.sparse_softmax_cross_entropy_with_logits(gold, logits)

        by_step = tf.stack(outputs, axis=1), tf.stack(tf.unstack(ids), axis=1)  # [T, 2, B, …]
        losses = tf.transpose(tf.map_fn(of_step, by_step, fn_output_signature=tf.float32), [1, 0, 2])
        scored = self._scored(window)
        return tf.reduce_sum(losses * scored, [1, 2]), tf.reduce_sum(scored, [1, 2]), *after[0], *after[1]

    def check_weights(self) -> bool:
        """Return whether all weights are finite."""
        return all(math.isfinite(weight.numpy().sum(dtype=np.float64)) for weight in self.models.trainable_variables)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that the next step depends on, in the form that `restore` takes."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore a state.

        Raises:
            ValueError: the state belongs to other models.
        """
        variables = self._variables()
        if set(state) != set(variables):
            raise ValueError(f"found other arrays: {sorted(set(state) ^ set(variables))[:4]}")
        for name, variable in variables.items():
            value, shape = state[name], tuple(variable.shape)
            if value.shape != shape or value.dtype != variable.dtype.as_numpy_dtype:
                raise ValueError(f"{name}: found {value.dtype} {value.shape}, expected {shape}")
            variable.assign(value)

    def _variables(self) -> dict[str, tf.Variable]:
        rows, others = self._optimizer.variables()
        states = {
            f"state.{branch}.{name}": getattr(state, name)
            for branch, state in zip(BRANCHES, self._states, strict=True)
            for name in LSTMState._fields
        }
        return {**rows, **others, **states}

    def weights(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return a copy of all weights by name."""
        return {name: weight.numpy().copy() for name, weight in self.models.named_weights().items()}
