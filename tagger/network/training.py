"""The training loop: a plain loop over one compiled step."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.config import TrainingConfig
from tagger.corpus.batching import Batch, prefetch
from tagger.corpus.training_set import Purpose
from tagger.errors import DeviceError, TaggerError
from tagger.network.averaging import MovingAverage
from tagger.network.distribution import Replicas
from tagger.network.feeding import PACKED_SIGNATURE, Fed, join, pack, unpack
from tagger.network.model import TwoBranchTagger
from tagger.network.optimizers import LossScale, Optimizer

# A call costs half a millisecond beside steps of ten: of 100 units, 16 at once are 1.1 times as fast as one by one.
# Larger networks need fewer, and Ctrl-C waits for them all.
_UNITS_PER_CALL, _MOST_STEPS_PER_CALL = 1600, 16


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


class Stopped(Exception):  # noqa: N818 (a request, not an error)
    """The user asked training to stop."""


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
        *,
        on_step: Callable[[int], None] = lambda n_tokens: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> EpochLoss:
        """Train on the batches of an epoch (from 0).

        Args:
            on_step: is told how many tokens were trained on, every few steps.
            should_stop: is asked every few steps; workers stop after the same step.

        Raises:
            Stopped: `should_stop` said so, here or on another worker.
            TaggerError: the loss is not a finite number.
            DeviceError: the replicas' weights are no longer equal.
        """
        self.optimizer.learning_rate.assign(rate_of(self.settings, epoch))
        start = time.perf_counter()
        results, tokens = [], 0
        for n_tokens, arguments in prefetch(self._calls(batches, epoch, should_stop)):
            loss, n_stops = self._compiled(*arguments).numpy()
            results.append(float(loss))
            tokens += n_tokens
            on_step(n_tokens)
            if n_stops or (len(self._replicas.task.workers) == 1 and should_stop()):
                raise Stopped
        total = math.fsum(results)
        seconds = time.perf_counter() - start
        # The weights too: the last step's can be wrong when its loss was not.
        if not math.isfinite(total) or not self._weights_are_finite():
            raise TaggerError(
                f"the loss of epoch {epoch + 1} is {total} or its weights are no numbers: training diverged; lower"
                " training.learning_rate, or set training.clip_norm"
            )
        if self._replicas.n > 1:
            self._check_replicas()
        return EpochLoss(total / tokens, tokens, seconds)

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
        self, batches: Iterable[Batch], epoch: int, should_stop: Callable[[], bool]
    ) -> Iterator[tuple[int, tuple[Any, Any]]]:
        """The arguments of each call and how many tokens all replicas train on in it.

        A call of one replica takes several steps; one of several replicas takes one step, a share for each. A share is
        handed over in as many parts as gradients are accumulated from.
        """
        seed, n, parts = self.settings.seed, self._replicas.n, self.settings.accumulate
        numbered = enumerate(batches)
        n_units = sum(branch.units for block in self.network.blocks for branch in block.branches.values()) // 2
        most = max(1, min(_MOST_STEPS_PER_CALL, _UNITS_PER_CALL // max(1, n_units))) if n == 1 else 1
        while group := list(itertools.islice(numbered, most)):
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
            yield sum(batch.n_tokens for _, batch in group), join(packed)

    def _weights_are_finite(self) -> bool:
        # The sum is no number if a part of it is none, and takes no second array of the embedding's size.
        return all(math.isfinite(weight.numpy().sum(dtype=np.float64)) for weight in self.network.trainable_variables)

    def _train_steps(self, packed: Any, starts: Any) -> Any:
        """One step for each batch, or for a share on each replica; returns the loss and the requests to stop: [2]."""
        parts = self.settings.accumulate

        def step(i: Any) -> Any:
            return self._train_step(lambda part: unpack(packed, starts, i * parts + part))

        if self._replicas.n > 1:
            return self._replicas.run(step)

        def body(i: Any, total: Any) -> tuple[Any, Any]:
            return i + 1, total + step(i)

        n_steps = (tf.shape(starts)[0] - 1) // parts
        return tf.while_loop(lambda i, _: i < n_steps, body, (0, tf.zeros([2])))[1]

    def _train_step(self, part: Callable[[Any], Fed]) -> Any:
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

    def _gradients(self, batch: Fed) -> list[Any]:
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


def rate_of(settings: TrainingConfig, epoch: int) -> float:
    """The learning rate of an epoch (from 0)."""
    factor = math.prod(factor for first, factor in settings.steps.items() if epoch + 1 >= first)
    return factor * settings.learning_rate / (1.0 + settings.decay * epoch)


def dropout_seed(seed: int, epoch: int, step: int, replica: int = 0) -> tuple[int, int]:
    """The seed of a step's dropout masks: a function of nothing else, so that a resumed run draws the same.

    `TwoBranchTagger` adds the place of the mask to the second number, so steps lie far enough apart.
    """
    return (seed ^ (Purpose.DROPOUT << 24) ^ (epoch << 8) ^ replica) & 0x7FFFFFFF, (step << 8) & 0x7FFFFFFF
