"""The training loop: a plain loop over one compiled step."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.config import TrainingConfig
from tagger.errors import DeviceError, TaggerError
from tagger.inputs.batching import Batch, prefetch
from tagger.inputs.training_set import Purpose
from tagger.network.distributed import Replicas
from tagger.network.model import TwoBranchTagger
from tagger.network.optimizers import LossScale, MovingAverage, Optimizer, rate_of
from tagger.network.packing import PACKED_SIGNATURE, BatchTensors, join, pack, unpack

# A call costs half a millisecond beside steps of ten: of 100 units, 16 at once are 1.1 times as fast as one by one, and
# five nearly so. Larger networks and batches need fewer, and Ctrl-C waits for them all.
_UNITS_PER_CALL, _MOST_STEPS_PER_CALL, _TOKENS_PER_CALL = 1600, 16, 4096
_MOST_LOSS = 1e6  # a token, beyond which training has diverged even if numbers are still finite; chance is below 15


@dataclasses.dataclass(frozen=True)
class EpochLoss:
    """One pass over the training data.

    Attributes:
        loss: mean cross-entropy per token.
        tokens, seconds: how many were trained on, in what time.
    """

    loss: float
    tokens: int
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


@dataclasses.dataclass
class Progress:
    """How far an epoch has come. `Trainer.train_epoch` goes on from there, and keeps it up to date.

    Attributes:
        steps: how many batches it has trained on.
        losses: summed over the tokens of each call.
        tokens, seconds: how many were trained on, in what time.
    """

    steps: int = 0
    losses: list[float] = dataclasses.field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    def loss(self) -> EpochLoss:
        """Of all that was trained on."""
        return EpochLoss(math.fsum(self.losses) / self.tokens, self.tokens, self.seconds)


class DivergedError(TaggerError):
    """Training came to numbers that are none, or too large to mean anything.

    Attributes:
        step: of which batch of the epoch (from 0), as far as one can say.
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
    """The seed of a step's dropout masks: a function of nothing else, so that a resumed run draws the same.

    `TwoBranchTagger` adds the place of the mask to the second number, so steps lie far enough apart.
    """
    return (seed ^ (Purpose.DROPOUT << 24) ^ (epoch << 8) ^ replica) & 0x7FFFFFFF, (step << 8) & 0x7FFFFFFF


class Trainer:
    """Holds a network and its optimizer; each call of `train_epoch` is one pass over the data.

    Args:
        network: with weights made in the scope of `replicas`, and so must the trainer be.
        replicas: the devices that train it.
        frozen: [V], true at the rows of the embedding that stay as they are.
        embedding_dtype: in which the embedding will be stored.
    """

    def __init__(
        self,
        network: TwoBranchTagger,
        settings: TrainingConfig,
        replicas: Replicas | None = None,
        *,
        frozen: npt.NDArray[np.bool_] | None = None,
        embedding_dtype: str = "float32",
    ) -> None:
        self.network = network
        self.settings = settings
        self._replicas = replicas or Replicas()
        embedding = network.embedding
        self._dense = [weight.value for weight in network.trainable_variables if weight is not embedding]
        self.optimizer = Optimizer(settings.optimizer, embedding.value, self._dense, clip_norm=settings.clip_norm)
        self._average = MovingAverage(settings.ema, embedding.value, self._dense) if settings.ema is not None else None
        self._moves = None if frozen is None else tf.constant(~frozen, tf.float32)
        self._embedding_dtype = embedding_dtype
        self._scale = LossScale() if network.mixed_precision else None
        self._steps = tf.function(self._train_steps, input_signature=PACKED_SIGNATURE, autograph=False)

    @functools.cached_property
    def _compiled(self) -> Any:
        # Called as it is: to look for the right signature again at every call costs half a millisecond.
        return self._steps.get_concrete_function()

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
            batches: those of the epoch that are still to come.
            progress: how far the epoch has come already; kept up to date. Bits are the same only if it was left between
                two calls of `on_step`.
            on_step: is told how many tokens were trained on, every few steps.
            should_stop: is asked every few steps; workers stop after the same step.

        Raises:
            Stopped: `should_stop` said so, here or on another worker.
            DivergedError: the loss or a weight is not a finite number.
            DeviceError: the replicas' weights are no longer equal.
        """
        progress = progress or Progress()
        self.optimizer.learning_rate.assign(rate_of(self.settings, epoch))
        start = time.perf_counter() - progress.seconds
        for n_steps, n_tokens, arguments in prefetch(self._calls(batches, epoch, progress.steps, should_stop)):
            loss, n_stops, n_good = self._compiled(*arguments).numpy()
            if not abs(loss) <= _MOST_LOSS * n_tokens:
                raise DivergedError(
                    epoch, f"loss {loss / n_tokens:.3g} a token", progress.steps + min(int(n_good), n_steps - 1)
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
            self._check_replicas()
        return progress.loss()

    def check_weights(self, epoch: int, progress: Progress) -> None:
        """Raise DivergedError if a weight is no number: the last step's can be wrong when its loss was not."""
        # The sum is no number if a part of it is none, and takes no second array of the embedding's size.
        for weight in self.network.trainable_variables:
            if not math.isfinite(weight.numpy().sum(dtype=np.float64)):
                raise DivergedError(epoch, "weights that are no numbers", progress.steps - 1)

    def state(self, n_rows: int) -> dict[str, npt.NDArray[Any]]:
        """All numbers that the next step depends on, as `restore` takes them; of the embedding the first rows."""
        rows, others = self._variables()
        values = {name: self._replicas.copies(variable)[0].copy() for name, variable in others.items()}
        return values | {name: self._replicas.copies(variable)[0][:n_rows].copy() for name, variable in rows.items()}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Go back to a state; rows that it does not have stay as they are.

        Raises:
            ValueError: it is of another network or optimizer.
        """
        rows, others = self._variables()
        if set(state) != {*rows, *others}:
            raise ValueError(f"found other numbers than this network's: {sorted(set(state) ^ {*rows, *others})[:4]}")
        for name, variable in {**rows, **others}.items():
            value, shape, dtype = state[name], tuple(variable.shape), variable.dtype.as_numpy_dtype
            if name in rows:
                value = np.concatenate([value, self._replicas.copies(variable)[0][len(value) :]])
            if value.shape != shape or value.dtype != dtype:
                raise ValueError(f"{name}: found {value.dtype} {value.shape}, expected {dtype} {shape}")
            variable.assign(value)

    def _variables(self) -> tuple[dict[str, tf.Variable], dict[str, tf.Variable]]:
        rows, others = self.optimizer.variables()
        if self._average is not None:
            more_rows, more = self._average.variables()
            rows, others = rows | more_rows, others | more
        return rows, others | (self._scale.variables() if self._scale is not None else {})

    def _check_replicas(self) -> None:
        """A replica that went its own way would train a network of its own, and nothing else would show it."""
        equal, crc = True, 0
        for weight in self.network.trainable_variables:
            first, *others = self._replicas.copies(weight.value)
            equal = equal and all(np.array_equal(first, other) for other in others)
            crc = zlib.crc32(first.tobytes(), crc)
        # Asked even if these here differ already: the others wait for the answer.
        if not self._replicas.are_same(crc) or not equal:
            raise DeviceError(
                "the replicas' weights have come apart, expected them equal to the bit; use devices and libraries of"
                " one kind, and report this"
            )

    def _calls(
        self, batches: Iterable[Batch], epoch: int, first: int, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, int, tuple[Any, Any]]]:
        """The arguments of each call, and on how many batches and tokens all replicas train in it.

        A call of one replica takes several steps; one of several replicas takes one step, a share for each. A share is
        handed over in as many parts as gradients are accumulated from.
        """
        seed, n, parts = self.settings.seed, self._replicas.n, self.settings.accumulate
        n_units = sum(branch.units for block in self.network.blocks for branch in block.branches.values()) // 2
        most = max(1, min(_MOST_STEPS_PER_CALL, _UNITS_PER_CALL // max(1, n_units))) if n == 1 else 1
        for group in _groups(enumerate(batches, first), most):
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
        """One step for each batch, or for a share on each replica.

        Returns the loss, the requests to stop, and how many steps there were before the loss was no number: [3].
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
        """One step over a batch, or over a replica's share of it, given in parts; returns as `_train_steps`."""
        first = part(0)
        n_parts = self.settings.accumulate
        sums = self._gradients(first)
        if n_parts > 1:

            def body(i: Any, *sums: Any) -> tuple[Any, ...]:
                return i + 1, *map(tf.add, sums, self._gradients(part(i)))

            # One after the other: to hold one part's activations at a time is what parts are for.
            sums = tf.while_loop(lambda i, *_: i < n_parts, body, (1, *sums), parallel_iterations=1)[1:]
        total, row_gradient, *dense = sums
        result = tf.stack([total, tf.cast(first.stop, tf.float32)])
        result, row_gradient, *dense = self._replicas.sum([result, row_gradient, *dense])
        self._apply(first.distinct_ids, row_gradient, dense)
        return result

    def _gradients(self, batch: BatchTensors) -> list[Any]:
        """The loss, and the gradients of its part in the whole batch: of the rows of the embedding, of the others."""
        rows = self.network.look_up(batch.distinct_ids)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = self.network.training_loss(rows, batch, label_smoothing=self.settings.label_smoothing)
            loss = total / tf.cast(batch.n_sentences, tf.float32)
            if self._scale is not None:
                loss *= self._scale.scale
        row_gradient, dense = tape.gradient(loss, (rows, self._dense))
        if self._moves is not None:
            row_gradient *= tf.gather(self._moves, batch.distinct_ids)[:, None]
        # Those of the smaller tables come as some of their rows.
        return [total, *map(tf.convert_to_tensor, [row_gradient, *dense])]

    @contextlib.contextmanager
    def saved_weights(self) -> Iterator[None]:
        """Within it the network has the weights that are saved, which are those to score.

        That is their moving average, if one is kept, and an embedding of as many digits as it is stored with.
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
        if self._average is None:
            self.optimizer.apply(row_ids, row_gradient, dense)
            return
        old_rows = tf.gather(self.network.embedding.value, row_ids)
        self.optimizer.apply(row_ids, row_gradient, dense)
        self._average.update(row_ids, old_rows)


def _groups(numbered: Iterable[tuple[int, Batch]], most: int) -> Iterator[list[tuple[int, Batch]]]:
    """Batches for one call each: as many as may be, or as reach so many tokens. From the same batch on, the same."""
    group: list[tuple[int, Batch]] = []
    for step, batch in numbered:
        group.append((step, batch))
        if len(group) == most or sum(batch.n_tokens for _, batch in group) >= _TOKENS_PER_CALL:
            yield group
            group = []
    if group:
        yield group
