"""The training loop: a plain loop over one compiled step."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tagger.config import TrainingConfig
from tagger.corpus.batching import Batch, Purpose, prefetch
from tagger.errors import TaggerError
from tagger.network.feeding import PACKED_SIGNATURE, Fed, join, pack, unpack
from tagger.network.model import TwoBranchTagger, sequence_loss
from tagger.network.optimizers import Optimizer

# Measured: 1 step a call, 8 and 16: 1.00, 1.08 and 1.09 times as fast. Ctrl-C waits for the calls that are queued.
_STEPS_PER_CALL = 8
_CALLS_AHEAD = 2


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
    """Holds a network and its optimizer; each call of `train_epoch` is one pass over the data."""

    def __init__(self, network: TwoBranchTagger, settings: TrainingConfig) -> None:
        self.network = network
        self.settings = settings
        embedding = network.embedding
        self._dense = [weight.value for weight in network.trainable_variables if weight is not embedding]
        self.optimizer = Optimizer(settings.optimizer, embedding.value, self._dense, clip_norm=settings.clip_norm)
        self._steps = tf.function(self._train_steps, input_signature=PACKED_SIGNATURE)

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
            should_stop: is asked every few steps.

        Raises:
            Stopped: `should_stop` said so.
            TaggerError: the loss is not a finite number.
        """
        self.optimizer.learning_rate.assign(self.settings.learning_rate / (1.0 + self.settings.decay * epoch))
        start = time.perf_counter()
        losses, tokens = [], 0
        with _calls_queued():
            for n_tokens, arguments in prefetch(self._calls(batches, epoch)):
                losses.append(self._compiled(*arguments))
                losses[-min(len(losses), _CALLS_AHEAD)].numpy()  # waits for that call
                tokens += n_tokens
                on_step(n_tokens)
                if should_stop():
                    raise Stopped
        loss = math.fsum(float(total) for total in losses)
        # The weights too: the last step's can be wrong when its loss was not.
        if not math.isfinite(loss) or not self._weights_are_finite():
            raise TaggerError(
                f"the loss of epoch {epoch + 1} is {loss} or its weights are no numbers: training diverged; lower"
                " training.learning_rate, or set training.clip_norm"
            )
        return EpochLoss(loss / tokens, tokens, time.perf_counter() - start)

    def _calls(self, batches: Iterable[Batch], epoch: int) -> Iterator[tuple[int, tuple[Any, Any]]]:
        """The arguments of each call and how many tokens it trains on."""
        numbered = enumerate(batches)
        while group := list(itertools.islice(numbered, _STEPS_PER_CALL)):
            packed = [pack(batch, dropout_seed(self.settings.seed, epoch, step)) for step, batch in group]
            yield sum(batch.n_tokens for _, batch in group), join(packed)

    def _weights_are_finite(self) -> bool:
        return all(np.isfinite(weight.numpy()).all() for weight in self.network.trainable_variables)

    def _train_steps(self, packed: Any, starts: Any) -> Any:
        """One step for each batch; returns the sum of their losses."""

        def body(i: Any, total: Any) -> tuple[Any, Any]:
            return i + 1, total + self._train_step(unpack(packed, starts, i))

        n_steps = tf.shape(starts)[0] - 1
        return tf.while_loop(lambda i, _: i < n_steps, body, (0, 0.0))[1]

    def _train_step(self, batch: Fed) -> Any:
        table = self.network.look_up(batch.distinct_ids)
        with tf.GradientTape() as tape:
            tape.watch(table)
            rows = batch.token_rows, batch.reversed_rows, batch.lengths
            total = sequence_loss(self.network(table, *rows, batch.dropout_seed), batch.tag_ids, batch.lengths)
            loss = total / tf.cast(batch.n_sentences, tf.float32)
        row_gradient, dense = tape.gradient(loss, (table, self._dense))
        self.optimizer.apply(batch.distinct_ids, row_gradient, dense)
        return total


@contextlib.contextmanager
def _calls_queued() -> Iterator[None]:
    """A call returns before it has run: so the next is prepared meanwhile, and no core waits in between."""
    tf.config.experimental.set_synchronous_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.set_synchronous_execution(True)  # waits for the calls that are queued


def dropout_seed(seed: int, epoch: int, step: int) -> tuple[int, int]:
    """The seed of a step's dropout masks: a function of nothing else, so that a resumed run draws the same.

    `TwoBranchTagger` adds the place of the mask to the second number, so steps lie far enough apart.
    """
    return (seed ^ (Purpose.DROPOUT << 24) ^ (epoch << 8)) & 0x7FFFFFFF, (step << 8) & 0x7FFFFFFF
