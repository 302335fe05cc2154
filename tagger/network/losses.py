"""The losses of tokens that have weights, or that are annotated in part: the sum over all tags that a token may have.

Without either, a gold id is a tag, and the loss is that of `sequence_loss` or `CRF.log_likelihood`. All losses here
equal those if all weights are 1 and each token has one tag.

**Tokens without annotation.** The loss of a sentence is minus the logarithm of the probability of all legal sequences
that agree with the known tags (Tsuboi et al. 2008, "Training conditional random fields using incomplete annotations").
With a CRF, this is the log-partition function of the lattice minus that of the part that agrees. With the constrained
decoder, the probability of a sequence is the product of the softmaxes of its tags. With plain softmax, each token is by
itself. A sentence without any known tag contributes 0.

**Weights of types.** With softmax, the loss of a token is multiplied by the weight of its gold type. The loss of a CRF
belongs to the sentence, but it is the sum of a conditional loss of each token, -log p(tag | all tags before it), and
each of these is multiplied by the weight. A weighted sum of conditional log-likelihoods is a composite likelihood
(Lindsay 1988, "Composite likelihood methods"; Varin, Reid and Firth 2011). With transitions of 0, it is the weighted
softmax loss.

**Distillation.** A new training set may be annotated with some types only, and an older model knows the others. Then a
token whose gold tag is `O` has one of the tags D: `O`, and the tags of the types that are not annotated. With the
probabilities q of the older model at such a token t, restricted to D and divided by their sum, the loss of a sentence
is

    L = -log p(all sequences that agree with the annotation) + sum over such t of KL(q_t || p_t( . | D)),

where p_t is the softmax of the token; with a CRF, its marginal probability. With softmax, and with the constrained
decoder if nothing else is unknown, each such token adds -log p_t(D) + KL(q_t || p_t( . | D)) = KL(q_t || p_t): the
cross-entropy where the new types are annotated, and the divergence from the older model where the annotation says `O`.
That is the loss of Monaikul et al. 2021 ("Continual Learning for Named Entity Recognition", ExtendNER) with temperature
1 and equal weights of both terms, except that they do not restrict q. Types have no weights in the second term.

**Several teachers of all tags** (`tagger distill`). With the mean q of their distributions at each token (of their
softmax, or of the marginals of their CRF), the loss of a sentence with gold tags is

    L = w · (the loss of its gold tags) + (1 - w) · sum over its tokens of KL(q_t || p_t),

and that of a sentence without gold tags is the sum over its tokens of KL(q_t || p_t). Here, too, p_t is the softmax of
the token or its marginal probability. The first sum is that of Hinton, Vinyals and Dean 2015 ("Distilling the knowledge
in a neural network"), with a temperature of the teachers only; for CRFs, marginals as targets are the posterior
distillation of Wang et al. 2020 ("Structure-level knowledge distillation for multilingual sequence labeling"). With
several teachers it is the ensemble distillation of Buciluă, Caruana and Niculescu-Mizil 2006 ("Model compression"),
whose text without labels is the training data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.architecture import Decoder
from tagger.corpus.partial import SoftTargets, Targets
from tagger.corpus.transitions import Transitions
from tagger.network import Tensor
from tagger.network.bilstm import reversal, reverse_by_length
from tagger.network.crf import CRF, Emissions, gradients_of_sum, run_chain

_LOWEST = -100.0  # a lower log-probability counts as this one, so that a rounding error of the teacher cannot matter


class TargetLoss:
    """The loss of batches whose gold ids have the meaning that `targets` gives them.

    Args:
        targets: the tags and the weight of each gold id.
        n_tags: K.
        decoder: how tags are chosen, which decides the loss.
    """

    def __init__(self, targets: Targets, n_tags: int, decoder: Decoder) -> None:
        self._n_tags = n_tags
        self._allowed = targets.allowed if targets.allowed is not None else np.eye(n_tags, dtype=bool)
        # Not a constant of the compiled function, which may not be larger than 2 GB.
        self._teacher = None if targets.teacher is None else tf.convert_to_tensor(targets.teacher)
        self._has_sets = len(self._allowed) > n_tags
        self._is_partial = len(self._allowed) - (self._teacher is not None) > n_tags
        self._soft = None if targets.soft is None else _Soft(targets.soft, self._allowed)
        self._weights = targets.weights
        self._says_something = ~self._allowed.all(axis=1)  # [S], false for a token without annotation
        self._rules = targets.rules if decoder is not Decoder.SOFTMAX else None

    def __call__(
        self, logits: Tensor, gold_ids: Tensor, lengths: Tensor, *, crf: CRF | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Return the loss, summed over the tokens of a batch.

        Args:
            logits: float32 [T, B, K].
            gold_ids: [T, B].
            lengths: [B].
            crf: the CRF over the logits, if there is one.
            label_smoothing: as in `sequence_loss`; there is none at tokens without annotation or with a teacher.
        """
        mask = tf.range(tf.shape(gold_ids)[0])[:, None] < lengths  # [T, B]
        ids = tf.where(mask, gold_ids, 0)
        if self._soft is None:
            return self._of_gold(logits, ids, mask, mask, lengths, crf, label_smoothing)
        soft = self._soft.loss(logits, ids, mask, lengths, crf)
        if not self._soft.gold_weight:
            return soft
        gold_ids, has_gold = self._soft.gold(ids, mask)
        gold = self._of_gold(logits, gold_ids, mask, has_gold, lengths, crf, label_smoothing)
        return self._soft.gold_weight * gold + soft

    def _of_gold(
        self,
        logits: Tensor,
        ids: Tensor,
        mask: Tensor,
        has_gold: Tensor,
        lengths: Tensor,
        crf: CRF | None,
        label_smoothing: float,
    ) -> Tensor:
        """Return the loss of gold ids [T, B]; `has_gold` [T, B] is false at sentences without gold tags."""
        gold_ids = tf.minimum(ids, len(self._allowed) - 1)
        allowed = tf.gather(tf.constant(self._allowed), gold_ids)  # [T, B, K]
        weights = None if self._weights is None else tf.gather(tf.constant(self._weights, tf.float32), gold_ids)
        known = has_gold & tf.gather(tf.constant(self._says_something), gold_ids)
        says_something = tf.reduce_any(known, axis=0)  # [B]
        taught = self._of_teacher(logits, ids, mask, lengths, crf)
        if crf is not None:
            if weights is None:
                found = crf.log_likelihood(logits, gold_ids, lengths, allowed if self._has_sets else None)
            else:
                found = weighted_log_likelihood(logits, crf.transition_weights(), allowed, weights, lengths)
            return taught - tf.reduce_sum(tf.where(says_something, found, 0.0))
        # Values at padding may be NaN.
        log_probabilities = tf.nn.log_softmax(tf.where(mask[..., None], tf.cast(logits, tf.float32), 0.0))
        if self._rules is None or not self._is_partial:
            losses = -_log_sum(log_probabilities, allowed)
            total = tf.reduce_sum(tf.where(known, losses if weights is None else losses * weights, 0.0))
        else:
            if weights is None:
                found = legal_log_sum(log_probabilities, self._rules, allowed, lengths)
            else:
                rules = tuple(
                    tf.constant(rule, tf.float32)
                    for rule in (self._rules.transition, self._rules.start, self._rules.end)
                )
                found = weighted_log_likelihood(
                    log_probabilities, rules, allowed, weights, lengths, are_probabilities=True
                )
            total = -tf.reduce_sum(tf.where(says_something, found, 0.0))
        if not label_smoothing:
            return taught + total
        if self._teacher is not None:
            known &= ids < len(self._allowed)
        spread = -tf.reduce_mean(log_probabilities, axis=-1)  # [T, B]
        spread = tf.reduce_sum(tf.where(known, spread if weights is None else spread * weights, 0.0))
        return taught + (1.0 - label_smoothing) * total + label_smoothing * spread

    def _of_teacher(self, logits: Tensor, ids: Tensor, mask: Tensor, lengths: Tensor, crf: CRF | None) -> Tensor:
        """Return the divergence from the teacher, summed over the tokens that have one."""
        if self._teacher is None:
            return tf.constant(0.0)
        row = ids - len(self._allowed)  # [T, B]
        has_teacher = mask & (row >= 0)
        if crf is None:
            found = tf.where(mask[..., None], tf.cast(logits, tf.float32), 0.0)
        else:
            found = log_marginals(logits, crf.transition_weights(), lengths)
        may_be = self._allowed[-1]
        found = tf.where(may_be, found, tf.constant(-np.inf))
        found -= tf.reduce_logsumexp(found, axis=-1, keepdims=True)
        expected = tf.gather(self._teacher, tf.maximum(row, 0))  # [T, B, K']
        divergence = _divergence(expected, found[..., : self._teacher.shape[1]])
        return tf.reduce_sum(tf.where(has_teacher, divergence, 0.0))


class _Soft:
    """The part of the loss that teachers of all tokens have.

    Args:
        targets: what they say.
        allowed: [S, K], the tags that a token with each gold id may have.
    """

    def __init__(self, targets: SoftTargets, allowed: npt.NDArray[np.bool_]) -> None:
        self.gold_weight = targets.gold_weight
        is_open: npt.NDArray[np.bool_] = np.all(allowed, axis=1)
        says_nothing = (targets.gold < 0) | is_open[np.maximum(targets.gold, 0)]
        weights = np.where(says_nothing, 1.0, 1.0 - targets.gold_weight).astype(np.float32)
        # Not constants of the compiled function, which may not be larger than 2 GB.
        self._probabilities = tf.convert_to_tensor(targets.probabilities)
        self._gold, self._weights = tf.convert_to_tensor(targets.gold), tf.convert_to_tensor(weights)

    def gold(self, rows: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gold ids [T, B], and where there are some."""
        ids = tf.gather(self._gold, rows)
        return tf.maximum(ids, 0), mask & (ids >= 0)

    def loss(self, logits: Tensor, rows: Tensor, mask: Tensor, lengths: Tensor, crf: CRF | None) -> Tensor:
        """Return the weighted divergence from the teachers, summed over the tokens of a batch."""
        if crf is None:
            found = tf.nn.log_softmax(tf.where(mask[..., None], tf.cast(logits, tf.float32), 0.0))
        else:
            found = log_marginals(logits, crf.transition_weights(), lengths)
        divergence = _divergence(tf.gather(self._probabilities, rows), found)
        return tf.reduce_sum(tf.where(mask, divergence * tf.gather(self._weights, rows), 0.0))


def _divergence(expected: Tensor, log_probabilities: Tensor) -> Tensor:
    """Return KL(expected || found) of distributions along the last axis."""
    found = tf.maximum(log_probabilities, _LOWEST)
    return tf.reduce_sum(tf.math.xlogy(expected, expected) - expected * found, axis=-1)


def log_marginals(logits: Tensor, transitions: tuple[Tensor, ...], lengths: Tensor) -> Tensor:
    """Return the logarithm of the probability of each tag at each step with a CRF, [T, B, K]; it has gradients.

    Args:
        logits: float32 [T, B, K].
        transitions: float32, the weights of transitions [K, K], first tags [K] and last tags [K].
        lengths: [B].
    """
    transition, start, end = (tf.cast(weight, tf.float64) for weight in transitions)
    mask = tf.range(tf.shape(logits)[0])[:, None] < lengths
    emissions = tf.where(mask[..., None], tf.cast(logits, tf.float64), 0.0)
    arrived = _arrivals(tf.broadcast_to(start, tf.shape(emissions)[1:]), emissions, transition)
    through = arrived + emissions + _following(emissions, transition, end, lengths)
    return tf.cast(through - tf.reduce_logsumexp(through, axis=-1, keepdims=True), tf.float32)


def _following(emissions: Tensor, transition: Tensor, end: Tensor, lengths: Tensor) -> Tensor:
    """Return the logarithms of the sums over all tags after each step, [T, B, K]."""
    order = reversal(lengths, tf.shape(emissions)[0])
    backwards = _arrivals(
        tf.broadcast_to(end, tf.shape(emissions)[1:]), reverse_by_length(emissions, order), tf.transpose(transition)
    )
    return reverse_by_length(backwards, order)


def _log_sum(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return the logarithm of the sum over allowed tags, [T, B]."""
    return tf.reduce_logsumexp(tf.where(allowed, logits, tf.constant(-np.inf, logits.dtype)), axis=-1)


def legal_log_sum(log_probabilities: Tensor, rules: Transitions, allowed: Tensor, lengths: Tensor) -> Tensor:
    """Return the log-probability [B] of all legal sequences of allowed tags, if each tag is drawn by itself.

    Args:
        log_probabilities: [T, B, K].
        rules: the transitions that are legal.
        allowed: [T, B, K].
        lengths: [B].
    """
    weights = tuple(tf.constant(rule, tf.float64) for rule in (rules.transition, rules.start, rules.end))

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def compute(log_probabilities: Tensor) -> tuple[Tensor, Any]:
        emissions = Emissions.of(log_probabilities, lengths)
        chain = run_chain(emissions.within(allowed), weights, tf.constant(False), None)
        largest = tf.reduce_max(tf.cast(log_probabilities, tf.float64), axis=-1)  # what the shift has taken away
        shifts = tf.reduce_sum(tf.where(emissions.mask, largest, 0.0), axis=0)

        def gradient(weight: Tensor) -> Tensor:
            expected, *_ = gradients_of_sum(emissions, chain, weights[0], tf.cast(weight, tf.float64))
            return tf.cast(expected, tf.float32)

        return tf.cast(chain.log_z + shifts, tf.float32), gradient

    return compute(log_probabilities)


def weighted_log_likelihood(
    logits: Tensor,
    transitions: tuple[Tensor, ...],
    allowed: Tensor,
    weights: Tensor,
    lengths: Tensor,
    *,
    are_probabilities: bool = False,
) -> Tensor:
    """Return the weighted log-likelihood [B] of allowed tags: a sum of conditional log-likelihoods of each token.

    The sum has weight[t] · log p(an allowed tag at t | allowed tags at all steps before t) for each token.

    Args:
        logits: float32 [T, B, K].
        transitions: float32, the weights of transitions [K, K], first tags [K] and last tags [K].
        allowed: [T, B, K].
        weights: [T, B].
        lengths: [B].
        are_probabilities: whether the logits are log-probabilities of tags that are drawn one by one, so that the sum
            over all continuations of a sequence is 1, legal or not.
    """
    transition, start, end = (tf.cast(weight, tf.float64) for weight in transitions)
    n_steps = tf.shape(logits)[0]
    steps = tf.range(n_steps)[:, None]
    mask, is_last = steps < lengths, steps == lengths - 1
    emissions = tf.where(mask[..., None], tf.cast(logits, tf.float64), 0.0)
    inside = tf.where(mask[..., None] & ~allowed, tf.constant(-np.inf, tf.float64), emissions)
    arrived = _arrivals(tf.broadcast_to(start, tf.shape(emissions)[1:]), inside, transition)
    if are_probabilities:
        following = tf.where(is_last[..., None], end, 0.0)
        total = tf.zeros_like(lengths, tf.float64)
    else:
        following = _following(emissions, transition, end, lengths)
        total = tf.reduce_logsumexp(start + emissions[0] + following[0], axis=-1)  # [B]
    sums = tf.reduce_logsumexp(arrived + inside + following, axis=-1)  # [T, B], of all that agree up to a step
    gains = sums - tf.concat([total[None], sums[:-1]], axis=0)
    return tf.cast(tf.reduce_sum(tf.where(mask, tf.cast(weights, tf.float64) * gains, 0.0), axis=0), tf.float32)


def _arrivals(first: Tensor, emissions: Tensor, transition: Tensor) -> Tensor:
    """Return the logarithms of the sums over all tags before each step, [T, B, K], without the step's own emission."""
    n_steps, n_tags = tf.shape(emissions)[0], emissions.shape[-1]
    read = tf.TensorArray(tf.float64, n_steps, element_shape=[None, n_tags]).unstack(emissions)
    states = tf.TensorArray(tf.float64, n_steps, element_shape=[None, n_tags]).write(0, first)

    def body(t: Tensor, state: Tensor, states: Any) -> tuple[Tensor, Tensor, Any]:
        state = _advanced(state + read.read(t - 1), transition)
        return t + 1, state, states.write(t, state)

    return tf.while_loop(lambda t, *_: t < n_steps, body, (1, first, states))[2].stack()


@tf.custom_gradient  # type: ignore[untyped-decorator]
def _advanced(here: Tensor, transition: Tensor) -> tuple[Tensor, Any]:
    """Return the logarithms [B, K] of the sums over the tags of the step before, whose logarithms are `here` [B, K].

    The gradient computes the shares of all pairs of tags again, because those of all steps would fill the memory.
    """
    arrived = tf.reduce_logsumexp(here[..., None] + transition, axis=-2)

    def gradient(of_arrived: Tensor) -> tuple[Tensor, Tensor]:
        shares = tf.exp(here[..., None] + transition - arrived[:, None]) * of_arrived[:, None]  # [B, K, K]
        return tf.reduce_sum(shares, axis=-1), tf.reduce_sum(shares, axis=0)

    return arrived, gradient
