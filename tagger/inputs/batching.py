"""Padded batches of encoded sentences: bucketed by length, zeros on the right, and a reversed copy of each sentence.

Two sentences, five steps:  token_ids [[7, 8, 9, 0, 0],   reversed_ids [[9, 8, 7, 0, 0],   lengths [3, 5]
                                       [4, 5, 6, 7, 8]]                 [8, 7, 6, 5, 4]]
Each copy is reversed by its sentence's own length and padded on the right again. Padding therefore comes after every
real step in both branches: a recurrence from left to right cannot carry it into a real step, and no branch needs a
mask.
"""

from __future__ import annotations

import contextlib
import dataclasses
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tagger.inputs.characters import WordForms
from tagger.inputs.encoder import FIRST_FEATURE, FORM, TOKEN
from tagger.inputs.vocabulary import Ids

_BATCHES_PER_BUCKET = 100  # sentences are sorted by length within this many: 1.9 % of CoNLL-2000 is padding then


@dataclasses.dataclass(frozen=True)
class Batch:
    """B sentences, padded to T steps.

    Whatever depends on a token alone is computed once for each distinct token, and both branches gather from that
    table. A batch therefore holds its D distinct tokens and, for each step, the row of its token.

    Attributes:
        distinct_ids: [V'], the token ids that occur, each once, `PAD_ID` first.
        id_rows: [D], the row of each distinct token in `distinct_ids`. Tokens with the same id, such as unknown ones,
            may differ in their forms and features. If the network reads neither, each id has one distinct token.
        token_rows: [B, T], the index of the distinct token at each step. Index 0 is padding, which is on the right.
        reversed_rows: [B, T], the same with each sentence reversed by its own length.
        lengths: [B], the sentence lengths, each at least 1 except in an empty share.
        tag_ids: [B, T], the gold tags; zeros at padding, and everywhere if there are no gold tags.
        forms: the forms of the D distinct tokens; None if the network does not read forms.
        feature_ids: [D, F], the feature ids of the distinct tokens.
    """

    distinct_ids: Ids
    id_rows: Ids
    token_rows: Ids
    reversed_rows: Ids
    lengths: Ids
    tag_ids: Ids
    forms: WordForms | None
    feature_ids: Ids

    @property
    def token_ids(self) -> Ids:
        """The token ids [B, T], zero-padded on the right."""
        return self.distinct_ids[self.id_rows][self.token_rows]

    @property
    def reversed_ids(self) -> Ids:
        """The token ids [B, T] with each sentence reversed by its own length, zero-padded on the right."""
        return self.distinct_ids[self.id_rows][self.reversed_rows]

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """A mask [B, T], true at real tokens."""
        return mask_of(self.lengths)

    @property
    def n_tokens(self) -> int:
        return int(self.lengths.sum())

    def share(self, i: int, n: int) -> Batch:
        """Return every n-th sentence from sentence i on, together with all distinct ids.

        If there is no such sentence, the share is one row of padding with length 0.
        """
        lengths = self.lengths[i::n]
        if not len(lengths):
            nothing = np.zeros((1, 1), np.int32)
            return dataclasses.replace(
                self, token_rows=nothing, reversed_rows=nothing, lengths=np.zeros(1, np.int32), tag_ids=nothing
            )
        arrays = (array[i::n, : lengths.max()] for array in (self.token_rows, self.reversed_rows, self.tag_ids))
        token_rows, reversed_rows, tag_ids = arrays
        return dataclasses.replace(
            self, token_rows=token_rows, reversed_rows=reversed_rows, lengths=lengths, tag_ids=tag_ids
        )


def mask_of(lengths: Ids) -> npt.NDArray[np.bool_]:
    """Return a mask [B, T] that is true at real tokens, from sentence lengths [B]."""
    steps: npt.NDArray[np.bool_] = np.arange(lengths.max(initial=0)) < lengths[:, None]
    return steps


def reverse_by_length(ids: Ids, lengths: Ids) -> Ids:
    """Reverse the first `lengths` ids of each row, and leave the padding where it is.

    Step t of a sentence of length n is taken from step n-1-t; for n = 3 and T = 5, from [2 1 0 3 4].
    """
    steps = np.arange(ids.shape[1])
    source = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    reversed_rows: Ids = np.take_along_axis(ids, source, axis=1)
    return reversed_rows


def pad(sentences: Sequence[Ids]) -> tuple[Ids, Ids]:
    """Pad sentences [T_i, ...] with zeros on the right.

    Returns:
        The padded sentences [B, T, ...], and their lengths [B].

    Raises:
        ValueError: there are no sentences, or a sentence is empty (the cuDNN LSTM fails on empty sentences).
    """
    lengths = np.array([len(ids) for ids in sentences], np.int32)
    if not lengths.all() or not len(lengths):
        raise ValueError("a batch needs sentences of at least one token")
    mask = mask_of(lengths)
    padded = np.zeros(mask.shape + sentences[0].shape[1:], np.int32)
    padded[mask] = np.concatenate(sentences)
    return padded, lengths


def make_batch(sentences: Sequence[Ids], tag_ids: Sequence[Ids] | None = None, forms: WordForms | None = None) -> Batch:
    """Pad sentences to a batch.

    Args:
        sentences: token ids [T_i], or arrays [T_i, 2 + F] as in `encoder.Encoded`.
        tag_ids: the tag ids [T_i] of each sentence.
        forms: the forms that `sentences` refer to.

    Raises:
        ValueError: as in `pad`.
    """
    padded, lengths = pad(sentences)
    n_columns = 1 if padded.ndim == 2 else padded.shape[2]
    # An extra row of padding makes sure that padding occurs. Its ids are the lowest, so it is the table's first row.
    flat = np.concatenate([np.zeros((1, n_columns), np.int32), padded.reshape(-1, n_columns)])
    feature_ids: Ids
    if n_columns == 1:
        distinct, rows = np.unique(flat[:, TOKEN], return_inverse=True)
        id_rows = np.arange(len(distinct))
        feature_ids = np.zeros((len(distinct), 0), np.int32)
    else:
        tokens, rows = _distinct_rows(flat)
        distinct, id_rows = np.unique(tokens[:, TOKEN], return_inverse=True)
        feature_ids = tokens[:, FIRST_FEATURE:]
        forms = forms and forms.select(tokens[:, FORM])
    token_rows = rows.reshape(-1)[1:].reshape(padded.shape[:2]).astype(np.int32)
    padded_tags = np.zeros_like(token_rows) if tag_ids is None else pad(tag_ids)[0]
    reversed_rows = reverse_by_length(token_rows, lengths)
    return Batch(
        distinct, id_rows.astype(np.int32), token_rows, reversed_rows, lengths, padded_tags, forms, feature_ids
    )


def _distinct_rows(rows: Ids) -> tuple[Ids, npt.NDArray[np.intp]]:
    """Return the distinct rows of [N, C] in ascending order, and the index among them of each row."""
    sizes = rows.max(axis=0).astype(np.float64) + 1
    if sizes.prod() > 2.0**62:
        return np.unique(rows, axis=0, return_inverse=True)
    keys = rows[:, 0].astype(np.int64)  # rows as single numbers sort ten times as fast
    for column, size in zip(rows.T[1:], sizes[1:].astype(np.int64), strict=True):
        keys = keys * size + column
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], which


T = TypeVar("T")


def prefetch(items: Iterable[T], n_ahead: int = 2) -> Iterator[T]:
    """Yield the items of an iterable, computed up to `n_ahead` items in advance by another thread.

    The items must not depend on the time at which they are computed. If computing an item fails, the error is raised
    when that item is requested.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(n_ahead)
    abandoned = threading.Event()

    def put(item: T | None, error: BaseException | None) -> None:
        while not abandoned.is_set():
            with contextlib.suppress(queue.Full):
                ready.put((item, error), timeout=0.1)
                return

    def make() -> None:
        try:
            for item in items:
                put(item, None)
                if abandoned.is_set():
                    return
        except BaseException as error:
            put(None, error)
        else:
            put(None, StopIteration())

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        abandoned.set()
        thread.join()


def bucketed_order(lengths: Ids, batch_size: int, rng: np.random.Generator) -> list[npt.NDArray[np.intp]]:
    """Return the rows of each batch of an epoch.

    The sentences are shuffled and cut into buckets, each bucket is sorted by length and cut into batches, and the
    batches are shuffled.
    """
    order = rng.permutation(len(lengths))
    bucket = batch_size * _BATCHES_PER_BUCKET
    batches = []
    for start in range(0, len(order), bucket):
        rows = order[start : start + bucket]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def batches_by_length(lengths: Sequence[int], max_length: int, batch_tokens: int) -> Iterator[list[int]]:
    """Yield the row numbers of batches of sentences of similar length, the longest first.

    A sentence of more than `max_length` tokens is a batch of its own. Several sentences are batched together only if
    they have at most `batch_tokens` steps when padded. Empty sentences are left out.
    """
    order = np.argsort(-np.array(lengths, np.int64), kind="stable")
    batch: list[int] = []
    for row in order.tolist():
        if not lengths[row]:
            break
        longest = lengths[batch[0]] if batch else 0
        if batch and (longest > max_length or (len(batch) + 1) * longest > batch_tokens):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
