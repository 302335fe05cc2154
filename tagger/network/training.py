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
import tensorflow as tf

from tagger.config import TrainingConfig
from tagger.corpus.batching import Batch, prefetch
from tagger.corpus.training_set import Purpose
from tagger.errors import DeviceError, TaggerError
from tagger.network.averaging import MovingAverage
from tagger.network.distribution import Replicas
from tagger.network.feeding import PACKED_SIGNATURE, Fed, join, pack, unpack
from tagger.network.model import TwoBranchTagger, sequence_loss
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
    """

    def __init__(self, network: TwoBranchTagger, settings: TrainingConfig, replicas: Replicas | None = None) -> None:
        self.network = network
        self.settings = settings
        self._replicas = replicas or Replicas()
        embedding = network.embedding
        self._dense = [weight.value for weight in network.trainable_variables if weight is not embedding]
        self.optimizer = Optimizer(settings.optimizer, embedding.value, self._dense, clip_norm=settings.clip_norm)
        self._average = MovingAverage(settings.ema, embedding.value, self._dense) if settings.ema is not None else None
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
        self.optimizer.learning_rate.assign(self.settings.learning_rate / (1.0 + self.settings.decay * epoch))
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

        A call of one replica takes several steps; one of several replicas takes one step, a share for each.
        """
        seed, n = self.settings.seed, self._replicas.n
        numbered = enumerate(batches)
        n_units = sum(branch.units for block in self.network.blocks for branch in block.branches.values()) // 2
        most = max(1, min(_MOST_STEPS_PER_CALL, _UNITS_PER_CALL // max(1, n_units))) if n == 1 else 1
        while group := list(itertools.islice(numbered, most)):
            packed = [
                pack(
                    batch.share(replica, n),
                    dropout_seed(seed, epoch, step, replica),
                    n_sentences=len(batch.lengths),
                    stop=should_stop(),
                )
                for step, batch in group
                for replica in self._replicas.local
            ]
            yield sum(batch.n_tokens for _, batch in group), join(packed)

    def _weights_are_finite(self) -> bool:
        # The sum is no number if a part of it is none, and takes no second array of the embedding's size.
        return all(math.isfinite(weight.numpy().sum(dtype=np.float64)) for weight in self.network.trainable_variables)

    def _train_steps(self, packed: Any, starts: Any) -> Any:
        """One step for each batch, or for a share on each replica; returns the loss and the requests to stop: [2]."""
        if self._replicas.n > 1:
            return self._replicas.run(lambda i: self._train_step(unpack(packed, starts, i)))

        def body(i: Any, total: Any) -> tuple[Any, Any]:
            return i + 1, total + self._train_step(unpack(packed, starts, i))

        n_steps = tf.shape(starts)[0] - 1
        return tf.while_loop(lambda i, _: i < n_steps, body, (0, tf.zeros([2])))[1]

    def _train_step(self, batch: Fed) -> Any:
        rows = self.network.look_up(batch.distinct_ids)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            total = sequence_loss(self.network(rows, batch, training=True), batch.tag_ids, batch.lengths)
            loss = total / tf.cast(batch.n_sentences, tf.float32)
            if self._scale is not None:
                loss *= self._scale.scale
        row_gradient, dense = tape.gradient(loss, (rows, self._dense))
        result = tf.stack([total, tf.cast(batch.stop, tf.float32)])
        result, row_gradient, *dense = self._replicas.sum([result, row_gradient, *dense])
        self._apply(batch.distinct_ids, row_gradient, dense)
        return result

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Within it the network has the moving average of its weights, if one is kept: what is scored and saved."""
        if self._average is None:
            yield
            return
        embedding, dense = self._average.arrays(lambda variable: self._replicas.copies(variable)[0])
        variables = [self.network.embedding.value, *self._dense]
        trained = [self._replicas.copies(variable)[0].copy() for variable in variables]
        try:
            for variable, average in zip(variables, [embedding, *dense], strict=True):
                variable.assign(average)
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


def dropout_seed(seed: int, epoch: int, step: int, replica: int = 0) -> tuple[int, int]:
    """The seed of a step's dropout masks: a function of nothing else, so that a resumed run draws the same.

    `TwoBranchTagger` adds the place of the mask to the second number, so steps lie far enough apart.
    """
    return (seed ^ (Purpose.DROPOUT << 24) ^ (epoch << 8) ^ replica) & 0x7FFFFFFF, (step << 8) & 0x7FFFFFFF
