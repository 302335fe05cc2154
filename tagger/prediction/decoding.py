"""Decoding of logits to tag ids, by argmax or by Viterbi with the transitions of a scheme or of a CRF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.corpus.transitions import Transitions
from tagger.prediction.products import Products, are_narrow

Logits = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]
_MOST_NUMBERS = 1 << 22  # numbers that `decode` and `marginals` hold at a time


def log_softmax(logits: Logits) -> Logits:
    """Return the log-probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: Logits = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def viterbi(
    logits: Logits,
    lengths: npt.NDArray[np.int32],
    transitions: Transitions,
) -> npt.NDArray[np.intp]:
    """Return the best path of every sentence.

    If several paths are equally good, the result is the one with the lowest tag ids, compared from the end.

    Args:
        logits: [B, T, K], the logits or log-probabilities of each tag at each step.
        lengths: [B], 1 to T; values beyond a sentence's length are ignored.
        transitions: the weights that are added for consecutive tags.

    Returns:
        Tag ids [B, T], zeros beyond each sentence's length.
    """
    # The longest sentences come first, so that at each step the sentences that have not ended come first.
    order = np.argsort(-lengths, kind="stable")
    active = np.searchsorted(-lengths[order], -np.arange(logits.shape[1]), side="left").tolist()  # [T]
    n_steps = int(lengths.max())
    # Sentences are on the last axis, so that the inner loops are long and run over contiguous numbers.
    best = logits[order, :n_steps].transpose(1, 2, 0).astype(np.float64)  # [T, K, B]
    best[0] += transitions.start[:, None]
    by_tag = transitions.transition[:, :, None]  # [from, to, 1]
    for t in range(1, n_steps):
        n = active[t]
        # The predecessor of each tag is not stored. It is computed again for the few tags of the best path.
        best[t, :, :n] += (best[t - 1, :, None, :n] + by_tag).max(axis=0)
    path = np.zeros(logits.shape[:2], np.intp)
    path[order, :n_steps] = _walk_back(best, active, transitions).T
    return path


def _walk_back(best: npt.NDArray[np.float64], active: list[int], transitions: Transitions) -> npt.NDArray[np.intp]:
    """Return the best paths [T, B], given the sum of the best path to each tag at each step.

    Args:
        best: [T, K, B], these sums, with the longest sentences first.
        active: [T], the number of sentences that have not ended at a step.
        transitions: the weights with which the sums were computed.
    """
    n_steps = len(best)
    path = np.zeros((n_steps, best.shape[2]), np.intp)
    into = np.ascontiguousarray(transitions.transition.T)  # [to, from]
    n_after = 0
    for t in range(n_steps - 1, -1, -1):
        n = active[t]
        if n_after:
            path[t, :n_after] = (best[t, :, :n_after].T + into[path[t + 1, :n_after]]).argmax(axis=1)
        if n > n_after:
            path[t, n_after:n] = (best[t, :, n_after:n].T + transitions.end).argmax(axis=1)
        n_after = n
    return path


def are_legal(
    tag_ids: npt.NDArray[np.intp],
    lengths: npt.NDArray[np.int32],
    constraints: Transitions,
) -> npt.NDArray[np.bool_]:
    """Return which paths [B, T] are legal, as booleans [B].

    Args:
        tag_ids: [B, T], the paths.
        lengths: [B], 1 to T; values beyond a sentence's length are ignored.
        constraints: the legal transitions, first tags and last tags.
    """
    last = tag_ids[np.arange(len(tag_ids)), lengths - 1]
    transition, start, end = constraints.legal
    inside = np.arange(1, tag_ids.shape[1]) < lengths[:, None]
    legal: npt.NDArray[np.bool_] = (
        (transition[tag_ids[:, :-1], tag_ids[:, 1:]] | ~inside).all(axis=1) & start[tag_ids[:, 0]] & end[last]
    )
    return legal


def stacked(batches: Sequence[Logits]) -> Logits:
    """Return the logits of batches [B, T, K] as those of one batch, with as many steps as the first, longest one."""
    if len(batches) == 1:
        return batches[0]
    n_steps, n_tags = batches[0].shape[1:]
    together, start = np.zeros((sum(map(len, batches)), n_steps, n_tags), np.float32), 0
    for logits in batches:
        together[start : start + len(logits), : logits.shape[1]] = logits
        start += len(logits)
    return together


def decode(
    logits: Logits,
    lengths: npt.NDArray[np.int32],
    transitions: Transitions | None,
    *,
    most_numbers: int = _MOST_NUMBERS,
) -> npt.NDArray[np.intp]:
    """Return the tag ids [B, T]; `tag_probabilities` returns their probabilities.

    Args:
        logits: [B, T, K].
        lengths: [B], 1 to T; values beyond a sentence's length are meaningless.
        transitions: the transitions of a scheme or of a CRF, for Viterbi; None for argmax.
        most_numbers: the largest count of numbers that Viterbi holds at a time; it needs K² for each sentence.
    """
    tag_ids: npt.NDArray[np.intp] = logits.argmax(axis=-1)
    if transitions is None:
        return tag_ids
    if transitions.learned:
        wanted = np.arange(len(logits))
    else:
        # The path through the best tag of each token is the best path if it is legal, and it usually is.
        wanted = np.flatnonzero(~are_legal(tag_ids, lengths, transitions))
    most = max(1, most_numbers // logits.shape[-1] ** 2)
    for start in range(0, len(wanted), most):
        rows = wanted[start : start + most]
        n_steps = lengths[rows].max()
        tag_ids[rows, :n_steps] = viterbi(logits[rows, :n_steps], lengths[rows], transitions)
    return tag_ids


def tag_probabilities(
    logits: Logits,
    lengths: npt.NDArray[np.int32],
    tag_ids: npt.NDArray[np.intp],
    transitions: Transitions | None,
) -> Probabilities:
    """Return the probability of each chosen tag, [B, T]: the marginal probability with a CRF, otherwise the softmax.

    Args:
        logits: [B, T, K].
        lengths: [B], 1 to T; values beyond a sentence's length are meaningless.
        tag_ids: [B, T], the chosen tags.
        transitions: the transitions with which the tags were decoded.
    """
    if transitions is not None and transitions.learned:
        return chosen_of(marginals(logits, lengths, transitions), tag_ids)
    chosen: Logits = np.take_along_axis(log_softmax(logits), tag_ids[..., None], axis=-1)[..., 0]
    return np.exp(chosen)


def chosen_of(probabilities: _Doubles, tag_ids: npt.NDArray[np.intp]) -> Probabilities:
    """Return the probability of each chosen tag, [B, T], out of those of all tags, [B, T, K]."""
    return np.take_along_axis(probabilities, tag_ids[..., None], axis=-1)[..., 0].astype(np.float32)


def losses_of(
    logits: Logits,
    lengths: npt.NDArray[np.int32],
    tag_ids: npt.NDArray[np.intp],
    transitions: Transitions | None,
) -> _Doubles:
    """Return minus the log-probability of the given tags of each sentence, [B]: the loss that training minimizes.

    Args:
        logits: [B, T, K].
        lengths: [B], 1 to T; values beyond a sentence's length are ignored.
        tag_ids: [B, T], the gold tags.
        transitions: the transitions of the decoder; only those of a CRF are part of the loss.
    """
    inside = np.arange(logits.shape[1]) < lengths[:, None]
    emissions = np.where(inside[..., None], logits, 0.0).astype(np.float64)
    chosen = np.where(inside, np.take_along_axis(emissions, tag_ids[..., None], axis=-1)[..., 0], 0.0).sum(axis=1)
    if transitions is None or not transitions.learned:
        most = emissions.max(axis=-1)
        totals = most + np.log(np.exp(emissions - most[..., None]).sum(axis=-1))
        result: _Doubles = np.where(inside, totals, 0.0).sum(axis=1) - chosen
        return result
    moves = transitions.transition[tag_ids[:, :-1], tag_ids[:, 1:]]
    chosen += np.where(inside[:, 1:], moves, 0.0).sum(axis=1) + transitions.start[tag_ids[:, 0]]
    chosen += transitions.end[tag_ids[np.arange(len(tag_ids)), lengths - 1]]
    of_paths: _Doubles = _log_sum_of_paths(emissions, lengths, transitions) - chosen
    return of_paths


def losses_of_some(
    logits: Logits,
    lengths: npt.NDArray[np.int32],
    tag_ids: Sequence[npt.NDArray[np.integer] | None],
    transitions: Transitions | None,
) -> list[float]:
    """Return the loss of each of B sentences; 0 for those whose gold tags are None.

    Args:
        logits, lengths, transitions: those of `losses_of`.
        tag_ids: the gold tags of each sentence, as many as its length.
    """
    losses = np.zeros(len(tag_ids))
    known = [(row, ids) for row, ids in enumerate(tag_ids) if ids is not None]
    if known:
        rows, padded = [row for row, _ in known], np.zeros(logits.shape[:2], np.intp)
        for row, ids in known:
            padded[row, : len(ids)] = ids
        losses[rows] = losses_of(logits[rows], lengths[rows], padded[rows], transitions)
    result: list[float] = losses.tolist()
    return result


def _log_sum_of_paths(emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> _Doubles:
    """Return the logarithm of the summed exponentials of all paths of each sentence, [B]; emissions are [B, T, K]."""
    factors, ends = np.exp(transitions.transition), np.exp(transitions.end)  # forbidden transitions become 0
    least = np.finfo(np.float64).tiny
    arrived = transitions.start + emissions[:, 0]
    for t in range(emissions.shape[1]):
        if t:
            most = arrived.max(axis=-1, keepdims=True)
            sums = np.exp(arrived - most) @ factors
            moved = most + np.log(np.maximum(sums, least)) + emissions[:, t]
            arrived = np.where((t < lengths)[:, None], moved, arrived)
    most = arrived.max(axis=-1)
    result: _Doubles = most + np.log(np.maximum(np.exp(arrived - most[:, None]) @ ends, least))
    return result


def marginals(
    logits: Logits, lengths: npt.NDArray[np.int32], transitions: Transitions, *, most_numbers: int = _MOST_NUMBERS
) -> _Doubles:
    """Return the probability of each tag at each step, summed over all tags of the other steps (forward-backward).

    Args:
        logits: [B, T, K].
        lengths: [B], 1 to T; values beyond a sentence's length are ignored.
        transitions: the weights of a CRF. If a sentence has no legal path, its paths with the fewest illegal
            transitions decide.
        most_numbers: the largest count of numbers that are held at a time; each sentence needs a few numbers per tag
            and step, and K² more if logarithms are used.

    Returns:
        [B, T, K], zeros beyond each sentence's length.
    """
    n_steps, n_tags = logits.shape[1:]
    mask = np.arange(n_steps) < lengths[:, None]
    # Values at padding may be anything, even NaN.
    emissions = np.where(mask[..., None], logits, 0.0).astype(np.float64)
    emissions -= emissions.max(axis=-1, keepdims=True)
    narrow = are_narrow(emissions, lengths, transitions)
    result = np.zeros(logits.shape)
    for rows, compute, numbers in (
        (np.flatnonzero(narrow), _by_products, 8 * n_steps * n_tags),
        (np.flatnonzero(~narrow), _by_logarithms, 8 * n_steps * n_tags + 2 * n_tags**2),
    ):
        most = max(1, most_numbers // numbers)
        for start in range(0, len(rows), most):
            some = rows[start : start + most]
            width = lengths[some].max()
            result[some, :width] = compute(emissions[some, :width], lengths[some], transitions).swapaxes(0, 1)
    result[~mask] = 0.0
    return result


def _by_products(emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> _Doubles:
    """Return the marginals [T, B, K] of emissions [B, T, K] for which no product of probabilities can underflow."""
    return Products(emissions, lengths, transitions).marginals()


def _by_logarithms(emissions: _Doubles, lengths: npt.NDArray[np.int32], transitions: Transitions) -> _Doubles:
    """Return the marginals [T, B, K] of any emissions [B, T, K]."""
    both, order = _both_ways(emissions, lengths)
    weights = np.array([transitions.transition, transitions.transition.T])[:, None]  # [2, 1, K, K]
    arrived = np.empty_like(both)
    arrived[0] = np.array([transitions.start, transitions.end])[:, None]
    for t in range(len(both) - 1):
        here = arrived[t] + both[t]
        here -= here.max(axis=-1, keepdims=True)
        moved = here[..., None] + weights  # [2, B, from, to]
        best = moved.max(axis=-2)
        arrived[t + 1] = best + np.log(np.exp(moved - best[..., None, :]).sum(axis=-2))
    through = arrived[:, 0] + both[:, 0] + arrived[order, 1, np.arange(len(lengths))]
    through = np.exp(through - through.max(axis=-1, keepdims=True))
    result: _Doubles = through / through.sum(axis=-1, keepdims=True)
    return result


def _both_ways(emissions: _Doubles, lengths: npt.NDArray[np.int32]) -> tuple[_Doubles, npt.NDArray[np.intp]]:
    """Stack the sentences [B, T, K] and their reversed copies to [T, 2, B, K].

    The sum over all paths after a step equals the sum over all paths before it in the reversed copy.

    Returns:
        The stack, and the source of each step of a reversed copy, [T, B].
    """
    steps = np.arange(emissions.shape[1])[:, None]
    order = np.where(steps < lengths, lengths - 1 - steps, steps)
    return np.stack([emissions.swapaxes(0, 1), emissions[np.arange(len(lengths)), order]], axis=1), order
