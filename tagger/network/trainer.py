"""The training loop: a plain loop over one compiled step."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.architecture import weights_of_parts
from tagger.config.keys import TrainingConfig
from tagger.corpus.partial import Targets
from tagger.errors import TaggerError
from tagger.inputs.batching import Batch, prefetch
from tagger.inputs.training_set import Purpose
from tagger.network.distributed import Replicas
from tagger.network.graphs import compiled
from tagger.network.losses import TargetLoss
from tagger.network.model import TwoBranchTagger
from tagger.network.optimizers import LossScale, MovingAverage, Optimizer, rate_of
from tagger.network.packing import PACKED_SIGNATURE, BatchTensors, join, pack, unpack

# A call costs half a millisecond, while a step takes about ten. With 100 units, 16 steps per call are 1.1 times as fast
# as one step per call, and five are nearly as fast as 16. Larger networks and batches need fewer steps per call. Ctrl-C
# waits for all steps of a call.
_UNITS_PER_CALL, _MOST_STEPS_PER_CALL, _TOKENS_PER_CALL = 1600, 16, 4096
# The loss per token beyond which training has diverged even if the loss is finite. The loss of random guessing is below
# 15.
MOST_LOSS = 1e6
# The magnitude beyond which a weight is meaningless even if it is finite. Useful weights stay below 1,000; pretrained
# vectors may hold any numbers.
_MOST_WEIGHT = 1e9


@dataclasses.dataclass(frozen=True)
class EpochLoss:
    """The loss of one pass over the training data.

    Attributes:
        loss: the mean cross-entropy per token.
        tokens: the number of tokens that were trained on.
        seconds: the duration of the pass.
    """

    loss: float
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


@dataclasses.dataclass
class Progress:
    """The progress of an epoch. `Trainer.train_epoch` continues from it and keeps it up to date.

    Attributes:
        steps: the number of batches that were trained on.
        losses: the loss of each call, summed over its tokens.
        tokens: the number of tokens that were trained on.
        seconds: the time that this took.
    """

    steps: int = 0
    losses: list[float] = dataclasses.field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    def loss(self) -> EpochLoss:
        """Return the loss over everything that was trained on so far."""
        return EpochLoss(math.fsum(self.losses) / self.tokens, self.tokens, self.seconds)


class DivergedError(TaggerError):
    """Training has reached numbers that are not finite, or too large to be meaningful.

    Attributes:
        step: the batch of the epoch (from 0) where this happened, as far as can be determined.
    """

    def __init__(self, epoch: int, found: str, step: int) -> None:
        super().__init__(
            f"epoch {epoch + 1}: found {found} at step {step + 1}: training diverged; lower training.learning_rate, or"
            " set training.clip_norm"
        )
        self.step = step


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The user asked training to stop."""


def dropout_seed(seed: int, epoch: int, step: int, replica: int = 0) -> tuple[int, int]:
    """Return the seed of the dropout masks of a step.

    It depends on the arguments only, so a resumed run draws the same masks. `TwoBranchTagger` adds the place of the
    mask to the second number, and the seeds of different steps are far enough apart for that.
    """
    return (seed ^ (Purpose.DROPOUT << 24) ^ (epoch << 8) ^ replica) & 0x7FFFFFFF, (step << 8) & 0x7FFFFFFF


class Trainer:
    """A network and its optimizer; each call of `train_epoch` is one pass over the data.

    Both the weights of the network and the trainer must be created in the scope of `replicas`.

    Args:
        network: the network to train.
        replicas: the devices that train it.
        frozen: [V], true at the rows of the embedding that are not trained.
        embedding_dtype: the type in which the embedding will be stored.
        targets: the meaning of gold ids; None if they are tags and all tokens have the same weight.
    """

    def __init__(
        self,
        network: TwoBranchTagger,
        settings: TrainingConfig,
        replicas: Replicas | None = None,
        *,
        frozen: npt.NDArray[np.bool_] | None = None,
        embedding_dtype: str = "float32",
        targets: Targets | None = None,
    ) -> None:
        self.network = network
        n_tags = network.softmax.units
        self._loss = TargetLoss(targets, n_tags, network.spec.decoder) if targets else None
        self.settings = settings
        self._replicas = replicas or Replicas()
        embedding = network.embedding
        named = network.named_weights()
        self._kept = {name: named[name] for name in weights_of_parts(settings.freeze, named)} if settings.freeze else {}
        kept = list(self._kept.values())
        trained = [weight for weight in network.trainable_variables if not any(weight is one for one in kept)]
        self._dense = [weight.value for weight in trained if weight is not embedding]
        if any(weight is embedding for weight in kept):
            frozen = np.ones(embedding.shape[0], bool)
        self.optimizer = Optimizer(settings.optimizer, embedding.value, self._dense, clip_norm=settings.clip_norm)
        self._average = MovingAverage(settings.ema, embedding.value, self._dense) if settings.ema is not None else None
        self._moves = None if frozen is None else tf.constant(~frozen, tf.float32)
        self._embedding_dtype = embedding_dtype
        self._scale = LossScale() if network.mixed_precision else None

    @functools.cached_property
    def _compiled(self) -> Any:
        return compiled(self._train_steps, PACKED_SIGNATURE)

    def train_epoch(
        self,
        batches: Iterable[Batch],
        epoch: int,
        progress: Progress | None = None,
        *,
        on_step: Callable[[int], None] = lambda n_tokens: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> EpochLoss:
        """Train on the batches of an epoch (from 0).

        Args:
            batches: the batches of the epoch that have not been trained on yet.
            progress: the progress of the epoch so far; this function keeps it up to date. A continued epoch gives
                the same result bit for bit only if it was interrupted right after a call of `on_step`.
            on_step: called every few steps with the number of tokens that were trained on.
            should_stop: called every few steps; all workers stop after the same step.

        Raises:
            Stopped: `should_stop` returned true, here or on another worker.
            DivergedError: the loss is not finite or too large, or a weight is not finite.
            DeviceError: the weights of the replicas are no longer equal.
        """
        progress = progress or Progress()
        self.optimizer.learning_rate.assign(rate_of(self.settings, epoch))
        start = time.perf_counter() - progress.seconds
        for n_steps, n_tokens, arguments in prefetch(self._calls(batches, epoch, progress.steps, should_stop)):
            loss, n_stops, n_good = self._compiled(*arguments).numpy()
            if not abs(loss) <= MOST_LOSS * n_tokens:
                raise DivergedError(
                    epoch, f"a loss of {loss / n_tokens:.3g} per token", progress.steps + min(int(n_good), n_steps - 1)
                )
            progress.steps += n_steps
            progress.losses.append(float(loss))
            progress.tokens += n_tokens
            progress.seconds = time.perf_counter() - start
            on_step(n_tokens)
            if n_stops or (len(self._replicas.task.workers) == 1 and should_stop()):
                raise Stopped
        self.check_weights(epoch, progress)
        if self._replicas.n > 1:
            self._replicas.check_equal(weight.value for weight in self.network.trainable_variables)
        return progress.loss()

    def check_weights(self, epoch: int, progress: Progress) -> None:
        """Raise DivergedError if a weight is not finite or too large: the last step may break it after a good loss."""
        for weight in self.network.trainable_variables:
            values = weight.numpy()
            # A sum is not finite if one of its terms is not, and it does not need a second array of the embedding's
            # size.
            if not math.isfinite(values.sum(dtype=np.float64)):
                raise DivergedError(epoch, "weights that are not finite", progress.steps - 1)
            if weight is not self.network.embedding and (largest := np.abs(values).max(initial=0.0)) > _MOST_WEIGHT:
                raise DivergedError(epoch, f"weights up to {largest:.3g}", progress.steps - 1)

    def state(self, n_rows: int) -> dict[str, npt.NDArray[Any]]:
        """Return everything that the next step depends on, in the form that `restore` takes.

        Args:
            n_rows: the number of rows of the embedding to include, from the first on.
        """
        rows, others = self.variables()
        values = {name: self._replicas.copies(variable)[0].copy() for name, variable in others.items()}
        return values | {name: self._replicas.copies(variable)[0][:n_rows].copy() for name, variable in rows.items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Restore a state; rows of the embedding that it does not include stay unchanged.

        Raises:
            ValueError: the state belongs to another network or optimizer.
        """
        rows, others = self.variables()
        if set(state) != {*rows, *others}:
            raise ValueError(
                f"found arrays that do not match those of this network: {sorted(set(state) ^ {*rows, *others})[:4]}"
            )
        for name, variable in {**rows, **others}.items():
            value, shape, dtype = state[name], tuple(variable.shape), variable.dtype.as_numpy_dtype
            if name in rows:
                value = np.concatenate([value, self._replicas.copies(variable)[0][len(value) :]])
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(f"{name}: found {value.dtype} {value.shape}, expected {dtype} {shape}")
            variable.assign(value)

    def restore_frozen(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Restore what a state does not include, because it is not trained (`training.freeze`).

        Args:
            weights: those of the network at any time of the training.
        """
        for name, weight in self._kept.items():
            if weight is not self.network.embedding:
                weight.assign(weights[name])

    def variables(self) -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
        """Return all variables that make up a state, by name.

        The first mapping has the variables with one row for each row of the embedding, and the second has all others.
        """
        rows, others = self.optimizer.variables()
        if self._average is not None:
            more_rows, more = self._average.variables()
            rows, others = rows | more_rows, others | more
        return rows, others | (self._scale.variables() if self._scale is not None else {})

    def _calls(
        self, batches: Iterable[Batch], epoch: int, first: int, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, int, tuple[Any, Any]]]:
        """Yield the number of batches, the number of tokens and the arguments of each call of the compiled step.

        With one replica a call takes several steps. With several replicas it takes one step, and each replica gets a
        share of the batch. A share is passed in `training.accumulate` parts, over which the gradients are accumulated.
        """
        seed, n, parts = self.settings.seed, self._replicas.n, self.settings.accumulate
        n_units = sum(branch.units for block in self.network.blocks for branch in block.branches.values()) // 2
        most = max(1, min(_MOST_STEPS_PER_CALL, _UNITS_PER_CALL // max(1, n_units))) if n == 1 else 1
        for group in call_groups(enumerate(batches, first), most):
            packed = [
                pack(
                    batch.share(share, n * parts),
                    dropout_seed(seed, epoch, step, share),
                    n_sentences=len(batch.lengths),
                    stop=should_stop(),
                )
                for step, batch in group
                for replica in self._replicas.local
                for share in range(replica * parts, (replica + 1) * parts)
            ]
            yield len(group), sum(batch.n_tokens for _, batch in group), join(packed)

    def _train_steps(self, packed: Any, starts: Any) -> Any:
        """Take one step for each batch, or one step with a share on each replica.

        Returns:
            [3]: the loss, the number of requests to stop, and the number of steps whose loss was still finite.
        """
        parts = self.settings.accumulate

        def step(i: Any) -> Any:
            return self._train_step(lambda part: unpack(packed, starts, i * parts + part))

        if self._replicas.n > 1:
            return tf.concat([self._replicas.run(step), [0.0]], 0)

        def body(i: Any, total: Any, n_good: Any) -> tuple[Any, Any, Any]:
            total += step(i)
            return i + 1, total, n_good + tf.cast(tf.math.is_finite(total[:1]), tf.float32)

        n_steps = (tf.shape(starts)[0] - 1) // parts
        _, total, n_good = tf.while_loop(lambda i, *_: i < n_steps, body, (0, tf.zeros([2]), tf.zeros([1])))
        return tf.concat([total, n_good], 0)

    def _train_step(self, part: Callable[[Any], BatchTensors]) -> Any:
        """Take one step on a batch, or on a replica's share of it.

        Args:
            part: returns the given part of the batch or share.

        Returns:
            [2]: the loss and the number of requests to stop.
        """
        first = part(0)
        n_parts = self.settings.accumulate
        sums = self._gradients(first)
        if n_parts > 1:

            def body(i: Any, *sums: Any) -> tuple[Any, ...]:
                return i + 1, *map(tf.add, sums, self._gradients(part(i)))

            # One after the other, because the purpose of parts is to hold the activations of only one at a time.
            sums = tf.while_loop(lambda i, *_: i < n_parts, body, (1, *sums), parallel_iterations=1)[1:]
        total, row_gradient, *dense = sums
        result = tf.stack([total, tf.cast(first.stop, tf.float32)])
        result, row_gradient, *dense = self._replicas.sum([result, row_gradient, *dense])
        self._apply(first.distinct_ids, row_gradient, dense)
        return result

    def _gradients(self, batch: BatchTensors) -> list[Any]:
        """Return the loss of a part of a batch, and the gradients of its contribution to the loss of the whole batch.

        The first gradient is that of the rows of the embedding. The gradients of all other weights follow.
        """
        rows = self.network.look_up(batch.distinct_ids)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = self.network.training_loss(
                rows, batch, label_smoothing=self.settings.label_smoothing, loss=self._loss
            )
            loss = total / tf.cast(batch.n_sentences, tf.float32)
            if self._scale is not None:
                loss *= self._scale.scale
        row_gradient, dense = tape.gradient(loss, (rows, self._dense))
        if self._moves is not None:
            row_gradient *= tf.gather(self._moves, batch.distinct_ids)[:, None]
        # The gradients of the smaller tables are sparse and must become dense.
        return [total, *map(tf.convert_to_tensor, [row_gradient, *dense])]

    @contextlib.contextmanager
    def saved_weights(self) -> Iterator[None]:
        """Return a context in which the network has the weights that will be saved, so that these are scored.

        These are the moving average of the weights, if there is one, with the embedding rounded to the type in which it
        is stored.
        """
        if self._average is None and self._embedding_dtype == "float32":
            yield
            return

        def read(variable: tf.Variable) -> Any:
            return self._replicas.copies(variable)[0]

        variables = [self.network.embedding.value, *self._dense]
        trained = [read(variable).copy() for variable in variables]
        embedding, *dense = trained
        if self._average is not None:
            embedding, dense = self._average.arrays(read)
        most = np.finfo(self._embedding_dtype).max
        embedding = embedding.clip(-most, most).astype(self._embedding_dtype).astype(np.float32)
        try:
            for variable, value in zip(variables, [embedding, *dense], strict=True):
                variable.assign(value)
            yield
        finally:
            for variable, value in zip(variables, trained, strict=True):
                variable.assign(value)

    def _apply(self, row_ids: Any, row_gradient: Any, dense: list[Any]) -> None:
        if self._scale is None:
            self._take_step(row_ids, row_gradient, dense)
            return
        row_gradient, *dense = (gradient / self._scale.scale for gradient in (row_gradient, *dense))
        finite = tf.math.is_finite(tf.linalg.global_norm([row_gradient, *dense]))

        def apply() -> bool:
            self._take_step(row_ids, row_gradient, dense)
            return True

        tf.cond(finite, apply, lambda: False)
        self._scale.update(finite)

    def _take_step(self, row_ids: Any, row_gradient: Any, dense: list[Any]) -> None:
        old_rows = None if self._average is None else tf.gather(self.network.embedding.value, row_ids)
        with tf.name_scope("optimizer"):
            self.optimizer.apply(row_ids, row_gradient, dense)
        if self._average is not None:
            with tf.name_scope("average"):
                self._average.update(row_ids, old_rows)


def call_groups(numbered: Iterable[tuple[int, Batch]], most: int) -> Iterator[list[tuple[int, Batch]]]:
    """Yield the batches of each call: `most` batches, or fewer if they have `_TOKENS_PER_CALL` tokens.

    If iteration starts at the first batch of a group, the groups from there on are the same.
    """
    group: list[tuple[int, Batch]] = []
    for step, batch in numbered:
        group.append((step, batch))
        if len(group) == most or sum(batch.n_tokens for _, batch in group) >= _TOKENS_PER_CALL:
            yield group
            group = []
    if group:
        yield group
