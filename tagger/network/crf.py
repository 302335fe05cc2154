"""A linear-chain conditional random field over the network's logits: what training needs of it.

The forward variables of a sentence, and the backward variables of the same sentence, are one recurrence: the latter run
over the reversed copy, with the transitions transposed. So both are computed in one loop over the steps, stacked. As
everywhere in the network reversed copies are padded on the right, so padding never reaches a real step, without a mask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.corpus.transitions import ILLEGAL, Transitions
from tagger.network import Tensor
from tagger.network.bilstm import reversal, reverse_by_length


@dataclasses.dataclass(frozen=True)
class Emissions:
    """What the network says of a batch.

    Attributes:
        logits: float64 [T, B, K], less the largest of each step; zeros at padding.
        mask: [T, B], True at real steps.
        is_last: [T, B], True at the last step of each sentence.
        order: [T, B], where each step of a reversed copy comes from, as `reversal` gives it.
    """

    logits: Tensor
    mask: Tensor
    is_last: Tensor
    order: Tensor

    @classmethod
    def of(cls, logits: Tensor, lengths: Tensor) -> Emissions:
        """Of logits [T, B, K] and lengths [B]."""
        n_steps = tf.shape(logits)[0]
        steps = tf.range(n_steps)[:, None]
        mask = steps < lengths
        # where, not a product: whatever stands at padding may be NaN.
        shifted = tf.where(mask[..., None], tf.cast(logits, tf.float64), 0.0)
        shifted -= tf.reduce_max(shifted, axis=-1, keepdims=True)
        return cls(shifted, mask, steps == lengths - 1, reversal(lengths, n_steps))


@dataclasses.dataclass(frozen=True)
class Chain:
    """All that is known of a batch once both passes are done, in float64.

    Attributes:
        is_narrow: whether it was computed with probabilities, and not with logarithms.
        log_z: [B], the logarithm of the sum over all sequences of tags, of emissions instead of logits.
        marginals: [T, B, K], probabilities in either case; zeros at padding.
        before: [T, B, K], of all beginnings that end in a tag at a step, up to a factor; or, if not narrow, logarithms.
        after: [T, B, K], of all ends that begin with a tag at a step, likewise, so that
            before[t, b, i] · exp(transition[i, j]) · after[t + 1, b, j] is the probability of i and j at t and t + 1.
    """

    is_narrow: Tensor
    log_z: Tensor
    marginals: Tensor
    before: Tensor
    after: Tensor


def run_chain(
    emissions: Emissions, weights: tuple[Tensor, Tensor, Tensor], is_narrow: Tensor, used: npt.NDArray[np.bool_]
) -> Chain:
    """Both passes over a batch.

    Args:
        weights: float64, of transitions [K, K], first [K] and last tags [K].
        is_narrow: whether no product of probabilities can underflow; `used`: [K]; both as `Spread` says.
    """
    transition, start, end = weights
    both = tf.stack([emissions.logits, reverse_by_length(emissions.logits, emissions.order)], axis=1)  # [T, 2, B, K]
    first = tf.broadcast_to(tf.stack([start, end])[:, None], tf.shape(both)[1:])  # [2, B, K]
    transitions = tf.stack([transition, tf.transpose(transition)])  # [2, K, K]

    def in_order(arrived: Tensor) -> tuple[Tensor, Tensor]:
        return arrived[:, 0], reverse_by_length(arrived[:, 1], emissions.order)

    scale, total, marginals, before, after = tf.cond(
        is_narrow,
        lambda: _by_products(first, both, transitions, used, in_order),
        lambda: _by_logarithms(first, both, transitions, in_order),
    )
    mask = emissions.mask
    parts = tf.where(mask, scale[..., 0], 0.0) + tf.where(emissions.is_last, total[..., 0], 0.0)
    return Chain(is_narrow, tf.reduce_sum(parts, axis=0), tf.where(mask[..., None], marginals, 0.0), before, after)


_Ordering = Callable[[Tensor], tuple[Tensor, Tensor]]  # states [T, 2, B, K] to those of both directions, in order


def _by_products(
    first: Tensor, both: Tensor, transitions: Tensor, used: npt.NDArray[np.bool_], in_order: _Ordering
) -> tuple[Tensor, ...]:
    likely, factors = tf.exp(both) * used.astype(np.float64), tf.exp(transitions)

    def step(arrived: Tensor, likely: Tensor) -> Tensor:
        here = arrived * likely
        return tf.matmul(here / tf.reduce_max(here, axis=-1, keepdims=True), factors)

    forward, backward = in_order(_scan(step, tf.exp(first), likely))
    here = forward * likely[:, 0]
    scale = tf.reduce_max(here, axis=-1, keepdims=True)
    before = here / scale
    through = before * backward
    total = tf.reduce_sum(through, axis=-1, keepdims=True)
    after = likely[:, 0] * backward / (scale * total)
    return tf.math.log(scale), tf.math.log(total), through / total, before, after


def _by_logarithms(first: Tensor, both: Tensor, transitions: Tensor, in_order: _Ordering) -> tuple[Tensor, ...]:
    def step(arrived: Tensor, emission: Tensor) -> Tensor:
        here = arrived + emission
        here -= tf.reduce_max(here, axis=-1, keepdims=True)
        return tf.reduce_logsumexp(here[..., None] + transitions[:, None], axis=-2)

    forward, backward = in_order(_scan(step, first, both))
    here = forward + both[:, 0]
    scale = tf.reduce_max(here, axis=-1, keepdims=True)
    before = here - scale
    through = before + backward
    total = tf.reduce_logsumexp(through, axis=-1, keepdims=True)
    return scale, total, tf.exp(through - total), before, both[:, 0] + backward - scale - total


def _scan(step: Callable[[Tensor, Tensor], Tensor], first: Tensor, inputs: Tensor) -> Tensor:
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


def expected_moves(chain: Chain, transition: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """How often the model expects each tag after each other, [K, K]; the sentences counted with a weight [B]."""
    moves = mask[1:, :, None]
    before = tf.where(moves, chain.before[:-1], 0.0)

    def by_products() -> Tensor:
        after = tf.where(moves, chain.after[1:] * weight[:, None], 0.0)
        return tf.einsum("tbi,tbj->ij", before, after) * tf.exp(transition)

    def by_logarithms() -> Tensor:
        # Step by step, since all steps' pairs of tags at once would fill the memory.
        after = tf.where(moves, chain.after[1:], 0.0)
        weights = tf.where(moves, weight[:, None], 0.0)  # [T - 1, B, 1]

        def body(t: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            pairs = before[t][:, :, None] + transition + after[t][:, None, :]  # [B, K, K], at most 0 but at padding
            return t + 1, total + tf.reduce_sum(tf.exp(tf.minimum(pairs, 0.0)) * weights[t][..., None], axis=0)

        n_moves = tf.shape(before)[0]
        return tf.while_loop(lambda t, _: t < n_moves, body, (0, tf.zeros_like(transition)))[1]

    return tf.cond(chain.is_narrow, by_products, by_logarithms)


class CRF(keras.layers.Layer):
    """Learned weights of tags that follow each other, beside the logits of tags at a step.

    Lafferty, McCallum and Pereira (2001); over a BiLSTM: Huang et al. (2015), Lample et al. (2016). The probability of
    a sequence of tags is exp(sum of their logits and weights) / Z, where Z is this summed over all legal sequences.

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

    def transition_weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights of transitions [K, K], first [K] and last tags [K]; `ILLEGAL` where one is illegal."""
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
        def compute(logits: Tensor, *weights: Tensor) -> tuple[Tensor, Any]:
            # In float64, also for the small difference between two large sums.
            transition, start, end = (tf.cast(weight, tf.float64) for weight in weights)
            emissions = Emissions.of(logits, lengths)
            chain = self._run(emissions, (transition, start, end))
            gold = tf.where(emissions.mask, tf.cast(tag_ids, tf.int32), 0)
            log_likelihood = _path_sum(gold, emissions, (transition, start, end)) - chain.log_z

            def gradient(weight: Tensor) -> tuple[Tensor, ...]:
                return _gradients(gold, emissions, chain, transition, tf.cast(weight, tf.float64))

            return tf.cast(log_likelihood, tf.float32), gradient

        return compute(logits, *self.transition_weights())

    def marginals(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """The probability of each tag at each step, summed over all that the others may be: [T, B, K].

        Zeros beyond a sentence's length. Arguments as of `log_likelihood`. It has no gradient.
        """
        transition, start, end = (tf.cast(weight, tf.float64) for weight in self.transition_weights())
        chain = self._run(Emissions.of(logits, lengths), (transition, start, end))
        return tf.stop_gradient(tf.cast(chain.marginals, tf.float32))

    def _run(self, emissions: Emissions, weights: tuple[Tensor, Tensor, Tensor]) -> Chain:
        of_legal = [tf.where(legal, tf.abs(weight), 0.0) for legal, weight in zip(self._legal, weights, strict=True)]
        largest = tf.reduce_max([tf.reduce_max(each) for each in of_legal])
        lengths = tf.reduce_sum(tf.cast(emissions.mask, tf.int32), axis=0)
        have_path = tf.reduce_all((lengths == 0) | (lengths >= self._spread.shortest))
        is_narrow = have_path & (2.0 * largest - tf.reduce_min(emissions.logits) <= self._spread.widest)
        return run_chain(emissions, weights, is_narrow, self._spread.used)


def _path_sum(gold: Tensor, emissions: Emissions, weights: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Sum the emissions and transition weights along gold tags [T, B]: [B]."""
    transition, start, end = weights
    mask = emissions.mask
    moves = tf.gather(tf.reshape(transition, [-1]), gold[:-1] * transition.shape[0] + gold[1:])
    parts = (
        tf.where(mask, tf.gather(emissions.logits, gold, batch_dims=2), 0.0),
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
