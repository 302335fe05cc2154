"""A linear-chain conditional random field over the network's logits: what training needs of it.

Forward variables of a sentence and backward variables of the same sentence are one recurrence, the latter over the
reversed copy and with the transitions transposed. So both run in one loop over the steps, stacked; and as everywhere
in the network, reversed copies are padded on the right, so padding never reaches a real step and the loop needs no mask.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tagger.network.layers import reversal, reverse_by_length
from tagger.network.lstm import Tensor
from tagger.runtime.transitions import ILLEGAL, Transitions


class CRF(keras.layers.Layer):
    """Scores of tags that follow each other, learned, beside the network's scores of tags at a step.

    Lafferty, McCallum and Pereira (2001); on a BiLSTM: Huang et al. (2015), Lample et al. (2016). The probability of
    tags is the exponential of the sum of their scores, divided by Z, the same summed over all legal sequences.

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
        everything = Transitions(np.zeros((n_tags, n_tags)), np.zeros(n_tags), np.zeros(n_tags))
        rules = constraints or everything
        if rules.transition.shape != (n_tags, n_tags):
            raise ValueError(f"constraints: found {len(rules.start)} tags, expected {n_tags}")
        self._legal, self._spread = rules.legal, rules.spread
        self.n_tags = n_tags
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Make the weights: zeros, so that training starts from the constrained softmax; no symmetry needs breaking."""
        for name, shape in (("transition", (self.n_tags, self.n_tags)), ("start", (self.n_tags,)),
                            ("end", (self.n_tags,))):  # fmt: skip
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer="zeros"))
        self.built = True

    def scores(self) -> tuple[Tensor, Tensor, Tensor]:
        """The transition [K, K], start [K] and end [K] scores; what is illegal has a large negative one."""
        weights = (self.transition, self.start, self.end)
        transition, start, end = (
            tf.where(legal, tf.convert_to_tensor(weight), tf.constant(ILLEGAL, tf.float32))
            for legal, weight in zip(self._legal, weights, strict=True)
        )
        return transition, start, end

    def log_likelihood(self, logits: Tensor, tag_ids: Tensor, lengths: Tensor) -> Tensor:
        """Log-probabilities [B] of the sentences' tags; 0 for a sentence of length 0.

        Args:
            logits: [T, B, K], float32; differences of up to 1e5 between tags are exact.
            tag_ids: [T, B], integers.
            lengths: [B]; what stands beyond them reaches neither results nor gradients.
        """

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def compute(logits: Tensor, *scores: Tensor) -> tuple[Tensor, Any]:
            chain = _chain(logits, scores, lengths, self._is_narrow)
            gold = _Gold(tag_ids, chain)
            result = tf.cast(gold.score() - chain.log_z, tf.float32)
            return result, lambda weight: _gradients(gold, chain, tf.cast(weight, tf.float64))

        return compute(logits, *self.scores())

    def marginals(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """The probability of each tag at each step, summed over all that the others may be: [T, B, K].

        Zeros beyond a sentence's length. Arguments as of `log_likelihood`; for reading, not for gradients.
        """
        logits = tf.stop_gradient(logits)
        return tf.cast(_chain(logits, self.scores(), lengths, self._is_narrow).marginals, tf.float32)

    def _is_narrow(self, emission: Tensor, lengths: Tensor) -> Tensor:
        """Whether no legal score can underflow in a product of probabilities, as `Spread` says."""
        largest = 0.0
        for legal, weight in zip(self._legal, (self.transition, self.start, self.end), strict=True):
            of_legal = tf.where(legal, tf.abs(tf.convert_to_tensor(weight)), 0.0)
            largest = tf.maximum(largest, tf.reduce_max(of_legal))
        spread = 2.0 * tf.cast(largest, tf.float64) - tf.reduce_min(emission)
        return (spread <= self._spread.widest) & tf.reduce_all((lengths == 0) | (lengths >= self._spread.shortest))


@dataclasses.dataclass(frozen=True)
class _Chain:
    """Forward and backward variables of a batch, in float64; as probabilities if `is_narrow`, else as logarithms.

    Attributes:
        emission: [T, B, K], logits less the largest of each step; zeros at padding.
        mask: [T, B], True at real steps.
        is_last: [T, B], True at the last step of each sentence.
        log_z: [B], the logarithm of the sum over all sequences, of emissions instead of logits.
        marginals: [T, B, K], probabilities in either case; zeros at padding.
        before: [T, B, K], of all beginnings that end in a tag at a step, up to a factor.
        after: [T, B, K], of all ends that begin with a tag at a step, so that
            before[t, b, i] · exp(transition[i, j]) · after[t + 1, b, j] is the probability of i and j at t and t + 1.
    """

    emission: Tensor
    transition: Tensor
    start: Tensor
    end: Tensor
    mask: Tensor
    is_last: Tensor
    is_narrow: Tensor
    log_z: Tensor
    marginals: Tensor
    before: Tensor
    after: Tensor


def _chain(logits: Tensor, scores: tuple[Tensor, ...], lengths: Tensor, is_narrow: Any) -> _Chain:
    """The forward and the backward pass over a batch; arguments as of `CRF.log_likelihood`."""
    n_steps = tf.shape(logits)[0]
    steps = tf.range(n_steps)[:, None]
    mask, is_last = steps < lengths, steps == lengths - 1
    # where, not a product: whatever stands at padding may be NaN.
    emission = tf.where(mask[..., None], tf.cast(logits, tf.float64), 0.0)
    emission -= tf.reduce_max(emission, axis=-1, keepdims=True)
    transition, start, end = (tf.cast(score, tf.float64) for score in scores)
    order = reversal(lengths, n_steps)
    both = tf.stack([emission, reverse_by_length(emission, order)], axis=1)  # [T, 2, B, K]
    shape = tf.shape(both)[1:]
    first = tf.broadcast_to(tf.stack([start, end])[:, None], shape)  # [2, B, K]
    transitions = tf.stack([transition, tf.transpose(transition)])  # [2, K, K]

    def put_in_order(arrived: Tensor) -> tuple[Tensor, Tensor]:
        return arrived[:, 0], reverse_by_length(arrived[:, 1], order)

    def by_products() -> tuple[Tensor, ...]:
        likely, factors = tf.exp(both), tf.exp(transitions)

        def step(arrived: Tensor, likely: Tensor) -> Tensor:
            here = arrived * likely
            return tf.matmul(here / tf.reduce_max(here, axis=-1, keepdims=True), factors)

        forward, backward = put_in_order(_scan(step, tf.exp(first), likely))
        here = forward * likely[:, 0]
        scale = tf.reduce_max(here, axis=-1, keepdims=True)
        before = here / scale
        through = before * backward
        total = tf.reduce_sum(through, axis=-1, keepdims=True)
        after = likely[:, 0] * backward / (scale * total)
        return tf.math.log(scale), tf.math.log(total), through / total, before, after

    def by_logarithms() -> tuple[Tensor, ...]:
        def step(arrived: Tensor, emission: Tensor) -> Tensor:
            here = arrived + emission
            here -= tf.reduce_max(here, axis=-1, keepdims=True)
            return tf.reduce_logsumexp(here[..., None] + transitions[:, None], axis=-2)

        forward, backward = put_in_order(_scan(step, first, both))
        here = forward + emission
        scale = tf.reduce_max(here, axis=-1, keepdims=True)
        before = here - scale
        through = before + backward
        total = tf.reduce_logsumexp(through, axis=-1, keepdims=True)
        return scale, total, tf.exp(through - total), before, emission + backward - scale - total

    narrow = is_narrow(emission, lengths)
    scale, total, marginals, before, after = tf.cond(narrow, by_products, by_logarithms)
    parts = tf.where(mask, scale[..., 0], 0.0) + tf.where(is_last, total[..., 0], 0.0)
    return _Chain(
        emission=emission, transition=transition, start=start, end=end, mask=mask, is_last=is_last, is_narrow=narrow,
        log_z=tf.reduce_sum(parts, axis=0), marginals=tf.where(mask[..., None], marginals, 0.0),
        before=before, after=after,
    )  # fmt: skip


def _scan(step: Any, first: Tensor, inputs: Tensor) -> Tensor:
    """The states [T, 2, B, K] before each of the inputs [T, 2, B, K]: `first`, and then `step(state, input)`."""
    n_steps = tf.shape(inputs)[0]
    state_shape = [2, None, inputs.shape[-1]]
    read = tf.TensorArray(tf.float64, n_steps, element_shape=state_shape).unstack(inputs)
    states = tf.TensorArray(tf.float64, n_steps, element_shape=state_shape).write(0, first)

    def body(t: Tensor, state: Tensor, states: Any) -> tuple[Tensor, Tensor, Any]:
        state = step(state, read.read(t - 1))
        return t + 1, state, states.write(t, state)

    _, _, states = tf.while_loop(lambda t, *_: t < n_steps, body, (1, first, states))
    return states.stack()


class _Gold:
    """The gold tags of a batch: tag ids [T, B]."""

    def __init__(self, tag_ids: Tensor, chain: _Chain) -> None:
        self._chain = chain
        self._ids = tf.where(chain.mask, tf.cast(tag_ids, tf.int32), 0)

    def score(self) -> Tensor:
        """The sum [B] of the scores of the tags, with emissions instead of logits."""
        chain, ids = self._chain, self._ids
        moves = tf.gather(tf.reshape(chain.transition, [-1]), ids[:-1] * chain.emission.shape[-1] + ids[1:])
        parts = (
            tf.where(chain.mask, tf.gather(chain.emission, ids, batch_dims=2), 0.0),
            tf.where(chain.mask[1:], moves, 0.0),
            tf.where(chain.mask[:1], tf.gather(chain.start, ids[:1]), 0.0),
            tf.where(chain.is_last, tf.gather(chain.end, ids), 0.0),
        )
        return tf.add_n([tf.reduce_sum(part, axis=0) for part in parts])

    def one_hot(self) -> Tensor:
        """[T, B, K], zeros at padding."""
        return tf.one_hot(tf.where(self._chain.mask, self._ids, -1), self._chain.emission.shape[-1], dtype=tf.float64)


def _gradients(gold: _Gold, chain: _Chain, weight: Tensor) -> tuple[Tensor, ...]:
    """Of the sum over sentences of weight [B] · log-likelihood, to logits, transition, start and end.

    What was counted in the gold tags less what the model expects: no loop is run a second time.
    """
    one_hot = gold.one_hot()
    surplus = (one_hot - chain.marginals) * weight[:, None]  # [T, B, K]
    moves = chain.mask[1:, :, None]
    counted = tf.einsum("tbi,tbj->ij", one_hot[:-1], one_hot[1:] * weight[:, None])
    before = tf.where(moves, chain.before[:-1], 0.0)

    def by_products() -> Tensor:
        after = tf.where(moves, chain.after[1:] * weight[:, None], 0.0)
        return tf.einsum("tbi,tbj->ij", before, after) * tf.exp(chain.transition)

    def by_logarithms() -> Tensor:
        after = tf.where(moves, chain.after[1:], 0.0)
        weights = tf.where(moves, weight[:, None], 0.0)  # [T - 1, B, 1]

        def body(t: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            # Clipped at padding, where zeros stand for what was not computed: transitions alone may overflow.
            together = before[t][:, :, None] + chain.transition + after[t][:, None, :]  # [B, K, K]
            return t + 1, total + tf.reduce_sum(tf.exp(tf.minimum(together, 0.0)) * weights[t][..., None], axis=0)

        n_moves = tf.shape(before)[0]
        return tf.while_loop(lambda t, _: t < n_moves, body, (0, tf.zeros_like(chain.transition)))[1]

    expected = tf.cond(chain.is_narrow, by_products, by_logarithms)
    of_end = tf.reduce_sum(tf.where(chain.is_last[..., None], surplus, 0.0), axis=[0, 1])
    found = (surplus, counted - expected, tf.reduce_sum(surplus[:1], axis=[0, 1]), of_end)
    return tuple(tf.cast(gradient, tf.float32) for gradient in found)
