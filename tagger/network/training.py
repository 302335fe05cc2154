"""The training loop: a plain loop over one compiled step."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from tagger.config import TrainingConfig
from tagger.corpus.batching import Batch, Purpose, prefetch
from tagger.errors import TaggerError
from tagger.network.model import BATCH_SIGNATURE, TwoBranchTagger, feed, sequence_loss
from tagger.network.optimizers import Optimizer


@dataclasses.dataclass(frozen=True)
class EpochLoss:
    """One pass over the training data.

    Attributes:
        loss: mean cross-entropy per token.
        accuracy: share of tokens that argmax got right, with dropout on.
        tokens, seconds: how many were trained on, in what time.
    """

    loss: float
    accuracy: float
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
        self._dense = [weight for weight in network.trainable_variables if weight is not embedding]
        self.optimizer = Optimizer(settings.optimizer, embedding.value, self._dense, clip_norm=settings.clip_norm)
        self._step = tf.function(
            self._train_step,
            input_signature=[
                *BATCH_SIGNATURE.values(),
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([2], tf.int32),
            ],
        )

    def train_epoch(
        self,
        batches: Iterable[Batch],
        epoch: int,
        *,
        on_step: Callable[[int], None] = lambda n_tokens: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> EpochLoss:
        """Train on the batches of an epoch (from 0).

        Raises:
            Stopped: `should_stop` said so after a step.
            TaggerError: the loss is not a finite number.
        """
        self.optimizer.learning_rate = self.settings.learning_rate / (1.0 + self.settings.decay * epoch)
        start = time.perf_counter()
        results, tokens = [], 0
        for step, batch in enumerate(prefetch(batches)):
            seed = tf.constant(dropout_seed(self.settings.seed, epoch, step), tf.int32)
            results.append(self._step(*feed(batch).values(), tf.constant(batch.tag_ids), seed))
            tokens += batch.n_tokens
            on_step(batch.n_tokens)
            if should_stop():
                raise Stopped
        loss = math.fsum(float(total) for total, _ in results)
        right = sum(int(right) for _, right in results)
        # The weights too: the last step's can be wrong when its loss was not.
        if not math.isfinite(loss) or not self._weights_are_finite():
            raise TaggerError(
                f"the loss of epoch {epoch + 1} is {loss} or its weights are no numbers: training diverged; lower"
                " training.learning_rate, or set training.clip_norm"
            )
        return EpochLoss(loss / tokens, right / tokens, tokens, time.perf_counter() - start)

    def _weights_are_finite(self) -> bool:
        return all(np.isfinite(weight.numpy()).all() for weight in self.network.trainable_variables)

    def _train_step(self, distinct_ids, token_rows, reversed_rows, lengths, tag_ids, seed):  # type: ignore[no-untyped-def]
        table = self.network.look_up(distinct_ids)
        with tf.GradientTape() as tape:
            tape.watch(table)
            logits = self.network(table, token_rows, reversed_rows, lengths, dropout_seed=seed)
            total, right = sequence_loss(logits, tag_ids, lengths)
            loss = total / tf.cast(tf.shape(lengths)[0], tf.float32)
        row_gradient, dense = tape.gradient(loss, (table, self._dense))
        self.optimizer.apply(distinct_ids, tf.convert_to_tensor(row_gradient), dense)
        return total, right


def dropout_seed(seed: int, epoch: int, step: int) -> tuple[int, int]:
    """The seed of a step's dropout masks: a function of nothing else, so that a resumed run draws the same.

    `TwoBranchTagger` adds the place of the mask to the second number, so steps lie far enough apart.
    """
    return (seed ^ (Purpose.DROPOUT << 24) ^ (epoch << 8)) & 0x7FFFFFFF, (step << 8) & 0x7FFFFFFF
