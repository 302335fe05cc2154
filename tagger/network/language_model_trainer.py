"""The training step of the language models, and their perplexity on held-out text.

Several workers divide the streams of each window among them. Each looks up all distinct ids of the window, so the
gradient of the embedding has the same rows on every replica and is summed like any other. The states of all streams
are summed as well, so that every worker can save or continue the training.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.network import Tensor
from tagger.network.block_lstm import LSTMState
from tagger.network.distributed import Replicas
from tagger.network.graphs import compiled
from tagger.network.language_model import BRANCHES, WINDOW_SIGNATURE, LanguageModels, WindowTensors, sampled_loss
from tagger.network.optimizers import Optimizer

_CLIP_NORM = 5.0


class Perplexities(NamedTuple):
    """The perplexity per token on held-out text, ends of sentences included, of the models of both branches."""

    forward: float
    backward: float


class Step(NamedTuple):
    """A step of the training.

    Attributes:
        loss: the loss per prediction: an estimate of the cross-entropy in nats.
        is_last: whether a worker asked to stop.
    """

    loss: float
    is_last: bool


class FixedRows(NamedTuple):
    """The first columns of some rows of the embedding, which are not trained.

    Attributes:
        rows: [V], true at those rows.
        n_columns: the number of columns.
    """

    rows: npt.NDArray[np.bool_]
    n_columns: int

    def of_trained(self, row_gradient: Tensor, ids: Tensor) -> Tensor:
        """Return the gradient [n, E] of the rows of ids [n] with zeros where nothing is trained."""
        is_fixed = tf.gather(tf.constant(self.rows), ids)[:, None] & (tf.range(row_gradient.shape[1]) < self.n_columns)
        return tf.where(is_fixed, 0.0, row_gradient)


class LanguageModelTrainer:
    """The language models of a text, their optimizer (Adam), and the states that go from window to window.

    Both the models and the trainer must be created in the scope of `replicas`.

    Args:
        models: the models to train.
        frequencies: [V], the share of each token id in the text.
        n_streams: B, the number of streams that are read at once.
        fixed: the numbers of the embedding that are not trained; None: all are trained.
        replicas: the devices that train the models.
    """

    def __init__(
        self,
        models: LanguageModels,
        frequencies: npt.NDArray[np.float64],
        n_streams: int,
        fixed: FixedRows | None = None,
        replicas: Replicas | None = None,
    ) -> None:
        self.models, self.replicas = models, replicas or Replicas()
        self._fixed = fixed
        self._log_frequencies = tf.constant(np.log(frequencies), tf.float32)
        self._dense = [weight.value for name, weight in models.named_weights().items() if name != "embedding"]
        self._optimizer = Optimizer("adam", models.embedding.value, self._dense, clip_norm=_CLIP_NORM)
        zeros = tf.zeros([n_streams, models.spec.units])
        self._states = [LSTMState(*(tf.Variable(zeros, trainable=False) for _ in LSTMState._fields)) for _ in BRANCHES]
        number = tf.TensorSpec([], tf.float32)
        self._step = compiled(self._train_steps, [*WINDOW_SIGNATURE, number, number])
        states = [tf.TensorSpec([None, models.spec.units]) for _ in range(4)]
        self._evaluate = compiled(self._exact_losses, [*WINDOW_SIGNATURE, *states])

    def train_step(self, window: Iterable[npt.NDArray[np.int32]], learning_rate: float, *, stop: bool = False) -> Step:
        """Take one step on a window, of which each replica reads its share of the streams.

        Args:
            window: the arrays of `WindowTensors`, the same on all workers.
            stop: whether this worker asks to stop.
        """
        arguments = [tf.constant(array, tf.int32) for array in window]
        numbers = [tf.constant(number, tf.float32) for number in (learning_rate, stop)]
        loss, n_stops = self._step(*arguments, *numbers).numpy()
        return Step(float(loss), bool(n_stops))

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

    def _train_steps(self, *arguments: Tensor) -> Tensor:
        """Take one step on each replica; return [2]: the loss and the number of requests to stop."""
        *arrays, rate, stop = arguments
        window, first = WindowTensors(*arrays), self.replicas.local[0]
        return self.replicas.run(lambda i: self._train_step(window, first + i, rate, stop))

    def _train_step(self, window: WindowTensors, replica: Tensor, rate: Tensor, stop: Tensor) -> Tensor:
        models, n_replicas = self.models, self.replicas.n
        rows = tf.gather(models.embedding.value, window.distinct_ids)
        states = [LSTMState(*(tf.identity(cell)[replica::n_replicas] for cell in state)) for state in self._states]
        share = window._replace(
            inputs=window.inputs[:, :, replica::n_replicas], targets=window.targets[:, :, replica::n_replicas]
        )
        scored, n = self._scored(share), tf.maximum(tf.reduce_sum(self._scored(window)), 1.0)  # n counts all shares
        with tf.GradientTape() as tape:
            tape.watch(rows)
            outputs, after = models(rows, share, states)
            # Each branch has a loss of its own, so that both are computed side by side.
            samples = share.samples, share.sample_counts
            losses = [
                tf.reduce_sum(scored[i] * sampled_loss(output, rows, share.targets[i], *samples))
                for i, output in enumerate(outputs)
            ]
            loss = tf.add_n(losses) / n
        row_gradient, dense = tape.gradient(loss, (rows, self._dense))
        loss -= tf.reduce_sum(scored * self._log_frequencies_of(share)) / n
        gradients = [tf.convert_to_tensor(gradient) for gradient in (row_gradient, *dense)]
        cells = [self._among_all_streams(cell, replica) for state in after for cell in state]
        result, *sums = self.replicas.sum([tf.stack([loss, stop]), *gradients, *cells])
        row_gradient, *dense = sums[: len(gradients)]
        if self._fixed is not None:
            row_gradient = self._fixed.of_trained(row_gradient, window.distinct_ids)
        tf.raw_ops.AssignVariableOp(resource=self._optimizer.learning_rate.handle, value=rate)
        self._optimizer.apply(window.distinct_ids, row_gradient, dense)
        variables = [variable for state in self._states for variable in state]
        for variable, value in zip(variables, sums[len(gradients) :], strict=True):
            tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
        return result

    def _among_all_streams(self, cell: Tensor, replica: Tensor) -> Tensor:
        """Return a state [B, H] that is that of a replica's share of the streams, and zero for the others."""
        if self.replicas.n == 1:
            return cell
        shape = self._states[0][0].shape
        return tf.scatter_nd(tf.range(replica, shape[0], self.replicas.n)[:, None], cell, shape)

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

    def check_replicas(self) -> None:
        """Raise DeviceError if what the next step depends on differs between replicas, which nothing else reveals."""
        if self.replicas.n > 1:
            self.replicas.check_equal(self._variables().values())

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return everything that the next step depends on, in the form that `restore` takes."""
        return {name: self.replicas.copies(variable)[0] for name, variable in self._variables().items()}

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
