"""A linear-chain conditional random field over the network's logits: what training needs of it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tagger.network.chain import Chain, Emissions, expected_moves, run_chain
from tagger.network.lstm import Tensor
from tagger.runtime.transitions import ILLEGAL, Transitions


class CRF(keras.layers.Layer):
    """Learned scores of tags that follow each other, beside the network's scores of tags at a step.

    Lafferty, McCallum and Pereira (2001); over a BiLSTM: Huang et al. (2015), Lample et al. (2016). The probability of
    a sequence of tags is exp(sum of their scores) / Z, where Z is the same, summed over all legal sequences.

    Args:
        constraints: which transitions, first and last tags are legal; None: all. The others have a probability of
            exactly 0, and their weights are never trained.
        n_tags: K.
        kwargs: of a Keras layer: name.

    Attributes:
        transition: [K, K], from the tag of a row to the tag of a column.
        start, end: [K], of the first and the last tag of a sentence.

    Raises:
        ValueError: the constraints are of another number of tags.
    """

    def __init__(self, constraints: Transitions | None, n_tags: int, **kwargs: Any) -> None:
        super().__init__(dtype="float32", **kwargs)
        rules = constraints or Transitions(np.zeros((n_tags, n_tags)), np.zeros(n_tags), np.zeros(n_tags))
        if len(rules.start) != n_tags:
            raise ValueError(f"constraints: found {len(rules.start)} tags, expected {n_tags}")
        self._legal, self._spread = rules.legal, rules.spread
        self.n_tags = n_tags
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights: zeros, so that training begins with the rules alone; there is no symmetry to break."""
        size = self.n_tags
        self.transition = self.add_weight(name="transition", shape=(size, size), initializer="zeros")
        self.start = self.add_weight(name="start", shape=(size,), initializer="zeros")
        self.end = self.add_weight(name="end", shape=(size,), initializer="zeros")
        self.built = True

    def scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """The scores of transitions [K, K], first [K] and last tags [K]; illegal ones have a large negative score."""
        weights = (self.transition, self.start, self.end)
        transition, start, end = (
            tf.where(legal, tf.convert_to_tensor(weight), tf.constant(ILLEGAL, tf.float32))
            for legal, weight in zip(self._legal, weights, strict=True)
        )
        return transition, start, end

    def log_likelihood(self, logits: Tensor, tag_ids: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities [B] of the sentences' tags; 0 for a sentence of length 0.

        Args:
            logits: float32 [T, B, K]; those of a step may lie 1e5 apart.
            tag_ids: [T, B].
            lengths: int32 [B]; what stands beyond them reaches neither results nor gradients.
        """

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def compute(logits: Tensor, *scores: Tensor) -> tuple[Tensor, Any]:
            # In float64, also for the small difference between two large sums.
            transition, start, end = (tf.cast(score, tf.float64) for score in scores)
            emissions = Emissions.of(logits, lengths)
            chain = self._run(emissions, (transition, start, end))
            gold = tf.where(emissions.mask, tf.cast(tag_ids, tf.int32), 0)
            log_likelihood = _score(gold, emissions, (transition, start, end)) - chain.log_z

            def gradient(weight: Tensor) -> tuple[Tensor, ...]:
                return _gradients(gold, emissions, chain, transition, tf.cast(weight, tf.float64))

            return tf.cast(log_likelihood, tf.float32), gradient

        return compute(logits, *self.scores())

    def marginals(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """The probability of each tag at each step, summed over all that the others may be: [T, B, K].

        Zeros beyond a sentence's length. Arguments as of `log_likelihood`. It has no gradient.
        """
        transition, start, end = (tf.cast(score, tf.float64) for score in self.scores())
        chain = self._run(Emissions.of(logits, lengths), (transition, start, end))
        return tf.stop_gradient(tf.cast(chain.marginals, tf.float32))

    def _run(self, emissions: Emissions, scores: tuple[Tensor, Tensor, Tensor]) -> Chain:
        of_legal = [tf.where(legal, tf.abs(score), 0.0) for legal, score in zip(self._legal, scores, strict=True)]
        largest = tf.reduce_max([tf.reduce_max(each) for each in of_legal])
        lengths = tf.reduce_sum(tf.cast(emissions.mask, tf.int32), axis=0)
        have_path = tf.reduce_all((lengths == 0) | (lengths >= self._spread.shortest))
        is_narrow = have_path & (2.0 * largest - tf.reduce_min(emissions.scores) <= self._spread.widest)
        return run_chain(emissions, scores, is_narrow, self._spread.used)


def _score(gold: Tensor, emissions: Emissions, scores: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """The score [B] of gold tags [T, B], with emissions instead of logits."""
    transition, start, end = scores
    mask = emissions.mask
    moves = tf.gather(tf.reshape(transition, [-1]), gold[:-1] * transition.shape[0] + gold[1:])
    parts = (
        tf.where(mask, tf.gather(emissions.scores, gold, batch_dims=2), 0.0),
        tf.where(mask[1:], moves, 0.0),
        tf.where(mask[:1], tf.gather(start, gold[:1]), 0.0),
        tf.where(emissions.is_last, tf.gather(end, gold), 0.0),
    )
    return tf.add_n([tf.reduce_sum(part, axis=0) for part in parts])


def _gradients(
    gold: Tensor, emissions: Emissions, chain: Chain, transition: Tensor, weight: Tensor
) -> tuple[Tensor, ...]:
    """Of the sum of log-likelihoods, weighted [B]: to logits, and to the scores of transitions, first and last tags.

    Each is what was counted in the gold tags less what the model expects: no loop has to run a second time.
    """
    mask = emissions.mask
    counts = tf.one_hot(tf.where(mask, gold, -1), transition.shape[0], dtype=tf.float64)  # zeros at padding
    surplus = (counts - chain.marginals) * weight[:, None]  # [T, B, K]
    moves = tf.einsum("tbi,tbj->ij", counts[:-1], counts[1:] * weight[:, None])
    of_end = tf.reduce_sum(tf.where(emissions.is_last[..., None], surplus, 0.0), axis=[0, 1])
    of_start = tf.reduce_sum(surplus[:1], axis=[0, 1])
    found = (surplus, moves - expected_moves(chain, transition, mask, weight), of_start, of_end)
    return tuple(tf.cast(gradient, tf.float32) for gradient in found)
