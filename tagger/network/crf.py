"""A linear-chain conditional random field (CRF) over the network's logits: the part that training needs.

The forward variables and the backward variables of a sentence follow the same recurrence. The backward variables run
over the reversed copy, with the transition weights transposed. Both are therefore stacked and computed in one loop over
the steps. Reversed copies are padded on the right, as everywhere in the network, so padding never reaches a real step
and no mask is needed.
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
    """The logits of a batch, prepared for both passes.

    Attributes:
        logits: float64 [T, B, K], minus the largest logit of each step; zeros at padding.
        mask: [T, B], True at real steps.
        is_last: [T, B], True at the last step of each sentence.
        order: [T, B], the source of each step of a reversed copy: the result of `reversal`.
    """

    logits: Tensor
    mask: Tensor
    is_last: Tensor
    order: Tensor

    @classmethod
    def of(cls, logits: Tensor, lengths: Tensor) -> Emissions:
        """Prepare the logits [T, B, K] of sentences with the lengths [B]."""
        n_steps = tf.shape(logits)[0]
        steps = tf.range(n_steps)[:, None]
        mask = steps < lengths
        # `tf.where` instead of a product, because values at padding may be NaN.
        shifted = tf.where(mask[..., None], tf.cast(logits, tf.float64), 0.0)
        shifted -= tf.reduce_max(shifted, axis=-1, keepdims=True)
        return cls(shifted, mask, steps == lengths - 1, reversal(lengths, n_steps))

    def within(self, allowed: Tensor) -> Emissions:
        """Return the emissions of sequences with an allowed tag at each step, `allowed` [T, B, K]."""
        # Minus infinity instead of a penalty, so that no logits, however far apart, outweigh it.
        shut_out = self.mask[..., None] & ~allowed
        logits = tf.where(shut_out, tf.constant(-np.inf, tf.float64), self.logits)
        return dataclasses.replace(self, logits=logits)


@dataclasses.dataclass(frozen=True)
class Chain:
    """The results of both passes over a batch, in float64.

    Attributes:
        is_narrow: whether the values of each step lie so close together that the passes could use probabilities instead
            of logarithms.
        log_z: [B], the log-partition function of the emissions (the logits after the shift in `Emissions`).
        marginals: [T, B, K], probabilities in both cases; zeros at padding.
        before: [T, B, K], the sum over all beginnings of the sentence that end in a tag at a step, up to a factor; its
            logarithm if `is_narrow` is false.
        after: [T, B, K], the sum over all ends of the sentence that begin with a tag at a step, up to a factor; its
            logarithm if `is_narrow` is false. The factors are chosen so that
            before[t, b, i] · exp(transition[i, j]) · after[t + 1, b, j] is the joint probability of tag i at step t and
            tag j at step t + 1.
    """

    is_narrow: Tensor
    log_z: Tensor
    marginals: Tensor
    before: Tensor
    after: Tensor


def run_chain(
    emissions: Emissions, weights: tuple[Tensor, Tensor, Tensor], is_narrow: Tensor, used: npt.NDArray[np.bool_] | None
) -> Chain:
    """Run both passes over a batch.

    Args:
        weights: float64, the weights of transitions [K, K], first tags [K] and last tags [K].
        is_narrow: whether no product of probabilities can underflow, which `Spread` decides.
        used: [K], the attribute of `Spread`; None if `is_narrow` is never true.
    """
    transition, start, end = weights
    both = tf.stack([emissions.logits, reverse_by_length(emissions.logits, emissions.order)], axis=1)  # [T, 2, B, K]
    first = tf.broadcast_to(tf.stack([start, end])[:, None], tf.shape(both)[1:])  # [2, B, K]
    transitions = tf.stack([transition, tf.transpose(transition)])  # [2, K, K]

    def in_order(arrived: Tensor) -> tuple[Tensor, Tensor]:
        return arrived[:, 0], reverse_by_length(arrived[:, 1], emissions.order)

    def by_logarithms() -> tuple[Tensor, ...]:
        return _by_logarithms(first, both, transitions, in_order)

    if used is None:
        scale, total, marginals, before, after = by_logarithms()
    else:
        scale, total, marginals, before, after = tf.cond(
            is_narrow, lambda: _by_products(first, both, transitions, used, in_order), by_logarithms
        )
    mask = emissions.mask
    parts = tf.where(mask, scale[..., 0], 0.0) + tf.where(emissions.is_last, total[..., 0], 0.0)
    return Chain(is_narrow, tf.reduce_sum(parts, axis=0), tf.where(mask[..., None], marginals, 0.0), before, after)


# Splits states [T, 2, B, K] into those of both directions, [T, B, K] each, in the order of the sentences.
_Ordering = Callable[[Tensor], tuple[Tensor, Tensor]]


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
    """Return the states [T, 2, B, K] before each of the inputs [T, 2, B, K].

    The first state is `first`. Each later one is `step(state, input)` of the previous state and the previous input.
    """
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
    """Return the expected number of each transition, [K, K], with sentences weighted by `weight` [B]."""
    moves = mask[1:, :, None]
    before = tf.where(moves, chain.before[:-1], 0.0)

    def by_products() -> Tensor:
        after = tf.where(moves, chain.after[1:] * weight[:, None], 0.0)
        return tf.einsum("tbi,tbj->ij", before, after) * tf.exp(transition)

    def by_logarithms() -> Tensor:
        # One step at a time, because the pairs of tags of all steps at once would fill the memory.
        after = tf.where(moves, chain.after[1:], 0.0)
        weights = tf.where(moves, weight[:, None], 0.0)  # [T - 1, B, 1]

        def body(t: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
            pairs = before[t][:, :, None] + transition + after[t][:, None, :]  # [B, K, K], at most 0 except at padding
            return t + 1, total + tf.reduce_sum(tf.exp(tf.minimum(pairs, 0.0)) * weights[t][..., None], axis=0)

        n_moves = tf.shape(before)[0]
        return tf.while_loop(lambda t, _: t < n_moves, body, (0, tf.zeros_like(transition)))[1]

    return tf.cond(chain.is_narrow, by_products, by_logarithms)


class CRF(keras.layers.Layer):
    """A CRF layer: learned transition weights in addition to the logits of each step.

    CRFs are described by Lafferty, McCallum and Pereira (2001), and CRFs over a BiLSTM by Huang et al. (2015) and
    Lample et al. (2016). The probability of a tag sequence is exp(sum of its logits and transition weights) / Z, where
    Z is the sum of the numerator over all legal sequences.

    Args:
        constraints: the transitions, first tags and last tags that are legal; None if all are. Illegal ones have a
            probability of exactly 0, and their weights are never trained.
        n_tags: K.
        kwargs: further arguments of the Keras layer, such as name.

    Attributes:
        transition: [K, K], the weights from the tag of the row to the tag of the column.
        start, end: [K], the weights of the first and of the last tag of a sentence.

    Raises:
        ValueError: the constraints are for another number of tags.
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
        """Create the weights as zeros: training begins with the rules alone, and there is no symmetry to break."""
        size = self.n_tags
        self.transition = self.add_weight(name="transition", shape=(size, size), initializer="zeros")
        self.start = self.add_weight(name="start", shape=(size,), initializer="zeros")
        self.end = self.add_weight(name="end", shape=(size,), initializer="zeros")
        self.built = True

    def transition_weights(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the weights of transitions [K, K], first tags [K] and last tags [K]; illegal ones are `ILLEGAL`."""
        weights = (self.transition, self.start, self.end)
        transition, start, end = (
            tf.where(legal, tf.convert_to_tensor(weight), tf.constant(ILLEGAL, tf.float32))
            for legal, weight in zip(self._legal, weights, strict=True)
        )
        return transition, start, end

    def log_likelihood(self, logits: Tensor, tag_ids: Tensor, lengths: Tensor, allowed: Tensor | None = None) -> Tensor:
        """Return the log-probabilities [B] of the tags of the sentences; 0 for a sentence of length 0.

        With `allowed`, they are those of all legal tag sequences together that have an allowed tag at each step: the
        marginal log-likelihood of sentences that are annotated in part (Tsuboi et al. 2008, "Training conditional
        random fields using incomplete annotations").

        Args:
            logits: float32 [T, B, K]; the logits of one step may differ by 1e5.
            tag_ids: [T, B].
            lengths: int32 [B]; values beyond a sentence's length affect neither results nor gradients.
            allowed: [T, B, K], the allowed tags, instead of those that `tag_ids` names. Some legal sequence must have
                them.
        """

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def compute(logits: Tensor, *weights: Tensor) -> tuple[Tensor, Any]:
            # The computation uses float64, because the result is a small difference between two large sums.
            transition, start, end = (tf.cast(weight, tf.float64) for weight in weights)
            emissions = Emissions.of(logits, lengths)
            chain = self._run(emissions, (transition, start, end))
            if allowed is not None:
                inside = run_chain(emissions.within(allowed), (transition, start, end), tf.constant(False), None)

                def gradient_of_sums(weight: Tensor) -> tuple[Tensor, ...]:
                    ours, all_ = (
                        gradients_of_sum(emissions, each, transition, tf.cast(weight, tf.float64))
                        for each in (inside, chain)
                    )
                    return tuple(tf.cast(one - other, tf.float32) for one, other in zip(ours, all_, strict=True))

                return tf.cast(inside.log_z - chain.log_z, tf.float32), gradient_of_sums
            gold = tf.where(emissions.mask, tf.cast(tag_ids, tf.int32), 0)
            log_likelihood = _path_sum(gold, emissions, (transition, start, end)) - chain.log_z

            def gradient(weight: Tensor) -> tuple[Tensor, ...]:
                with tf.name_scope("crf"):
                    return _gradients(gold, emissions, chain, transition, tf.cast(weight, tf.float64))

            return tf.cast(log_likelihood, tf.float32), gradient

        with tf.name_scope("crf"):
            return compute(logits, *self.transition_weights())

    def marginals(self, logits: Tensor, lengths: Tensor) -> Tensor:
        """Return the probability of each tag at each step, summed over all tags of the other steps: [T, B, K].

        The result is zero beyond a sentence's length and has no gradient. The arguments are those of `log_likelihood`.
        """
        transition, start, end = (tf.cast(weight, tf.float64) for weight in self.transition_weights())
        chain = self._run(Emissions.of(logits, lengths), (transition, start, end))
        return tf.stop_gradient(tf.cast(chain.marginals, tf.float32))

    def _run(self, emissions: Emissions, weights: tuple[Tensor, Tensor, Tensor]) -> Chain:
        sizes = [tf.where(legal, tf.abs(weight), 0.0) for legal, weight in zip(self._legal, weights, strict=True)]
        largest = tf.reduce_max([tf.reduce_max(size) for size in sizes])
        lengths = tf.reduce_sum(tf.cast(emissions.mask, tf.int32), axis=0)
        have_path = tf.reduce_all((lengths == 0) | (lengths >= self._spread.shortest))
        is_narrow = have_path & (2.0 * largest - tf.reduce_min(emissions.logits) <= self._spread.widest)
        return run_chain(emissions, weights, is_narrow, self._spread.used)


def _path_sum(gold: Tensor, emissions: Emissions, weights: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the sums [B] of the emissions and transition weights along the gold tags [T, B]."""
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


def gradients_of_sum(emissions: Emissions, chain: Chain, transition: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of the sum of the log-partition functions, each weighted by its `weight` [B].

    They are the expected counts, in float64: the gradients with respect to the logits and to the weights of
    transitions, first tags and last tags.
    """
    expected = chain.marginals * weight[:, None]
    end = tf.reduce_sum(tf.where(emissions.is_last[..., None], expected, 0.0), axis=[0, 1])
    start = tf.reduce_sum(expected[:1], axis=[0, 1])
    return expected, expected_moves(chain, transition, emissions.mask, weight), start, end


def _gradients(
    gold: Tensor, emissions: Emissions, chain: Chain, transition: Tensor, weight: Tensor
) -> tuple[Tensor, ...]:
    """Return the gradients of the sum of the log-likelihoods, each weighted by its `weight` [B].

    They are the gradients with respect to the logits and to the weights of transitions, first tags and last tags. Each
    gradient is the gold count minus the expected count, so no loop has to run again.
    """
    mask = emissions.mask
    counts = tf.one_hot(tf.where(mask, gold, -1), transition.shape[0], dtype=tf.float64)  # zeros at padding
    surplus = (counts - chain.marginals) * weight[:, None]  # [T, B, K]
    moves = tf.einsum("tbi,tbj->ij", counts[:-1], counts[1:] * weight[:, None])
    end = tf.reduce_sum(tf.where(emissions.is_last[..., None], surplus, 0.0), axis=[0, 1])
    start = tf.reduce_sum(surplus[:1], axis=[0, 1])
    gradients = (surplus, moves - expected_moves(chain, transition, mask, weight), start, end)
    return tuple(tf.cast(gradient, tf.float32) for gradient in gradients)
