"""Forward and backward variables of a linear chain, over a batch whose steps come first.

The forward variables of a sentence, and the backward variables of the same sentence, are one recurrence: the latter run
over the reversed copy, with the transitions transposed. So both are computed in one loop over the steps, stacked. As
everywhere in the network reversed copies are padded on the right, so padding never reaches a real step, without a mask.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.network.layers import reversal, reverse_by_length
from tagger.network.lstm import Tensor


@dataclasses.dataclass(frozen=True)
class Emissions:
    """What the network says of a batch.

    Attributes:
        scores: float64 [T, B, K], logits less the largest of each step; zeros at padding.
        mask: [T, B], True at real steps.
        is_last: [T, B], True at the last step of each sentence.
        order: [T, B], where each step of a reversed copy comes from, as `reversal` gives it.
    """

    scores: Tensor
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
        scores = tf.where(mask[..., None], tf.cast(logits, tf.float64), 0.0)
        scores -= tf.reduce_max(scores, axis=-1, keepdims=True)
        return cls(scores, mask, steps == lengths - 1, reversal(lengths, n_steps))


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
    emissions: Emissions, scores: tuple[Tensor, Tensor, Tensor], is_narrow: Tensor, used: npt.NDArray[np.bool_]
) -> Chain:
    """Both passes over a batch.

    Args:
        scores: float64, of transitions [K, K], first [K] and last tags [K].
        is_narrow: whether no product of probabilities can underflow; `used`: [K]; both as `Spread` says.
    """
    transition, start, end = scores
    both = tf.stack([emissions.scores, reverse_by_length(emissions.scores, emissions.order)], axis=1)  # [T, 2, B, K]
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
