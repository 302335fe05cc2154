"""Sentences of ids to padded batches: bucketed by length, zeros on the right, and a reversed copy of each.

Five steps, two sentences:  token_ids [[7, 8, 9, 0, 0],   reversed_ids [[9, 8, 7, 0, 0],   lengths [3, 5]
                                       [4, 5, 6, 7, 8]]                 [8, 7, 6, 5, 4]]
The copy is reversed by each sentence's own length and padded on the right again. So padding comes after every
real step in both branches, a recurrence from left to right cannot carry it into one, and no branch needs a mask.
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

_BATCHES_PER_BUCKET = 50  # sentences are sorted by length within this many batches


@dataclasses.dataclass(frozen=True)
class Batch:
    """B sentences, padded to T steps.

    What is computed of a token alone is computed once for each distinct one, and both branches gather from that
    table: so what a batch holds is its D distinct tokens and, for each step, the row of its token.

    Attributes:
        distinct_ids: [V'], the token ids that occur, each once, `PAD_ID` first.
        id_rows: [D], the row of `distinct_ids` that each distinct token has. Tokens of one id, as the unknown ones, may
            be spelled in several ways; where the network does not read that, there is one row an id.
        token_rows: [B, T], which distinct token stands there; the first, which is padding, on the right.
        reversed_rows: [B, T], each sentence reversed by its own length.
        lengths: [B], all at least 1, except in an empty share.
        tag_ids: [B, T]; zeros where padded, and everywhere if there are no gold tags.
        forms: of the D distinct tokens; None if the network reads none.
        feature_ids: [D, F], of the distinct tokens.
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
        """[B, T], zero-padded on the right."""
        return self.distinct_ids[self.id_rows][self.token_rows]

    @property
    def reversed_ids(self) -> Ids:
        """[B, T], each sentence reversed by its own length, zero-padded on the right."""
        return self.distinct_ids[self.id_rows][self.reversed_rows]

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """[B, T], true at real tokens."""
        return mask_of(self.lengths)

    @property
    def n_tokens(self) -> int:
        return int(self.lengths.sum())

    def share(self, i: int, n: int) -> Batch:
        """Every n-th sentence from sentence i on, beside all distinct ids.

        Where there is none: a row of padding, of length 0.
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
    """[B, T], true at real tokens."""
    steps: npt.NDArray[np.bool_] = np.arange(lengths.max(initial=0)) < lengths[:, None]
    return steps


def reverse_by_length(ids: Ids, lengths: Ids) -> Ids:
    """Each row's first `lengths` ids reversed, the padding left where it is.

    Step t of a sentence of length n is taken from n-1-t:  n = 3, T = 5:  [2 1 0 3 4].
    """
    steps = np.arange(ids.shape[1])
    source = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    reversed_rows: Ids = np.take_along_axis(ids, source, axis=1)
    return reversed_rows


def pad(sentences: Sequence[Ids]) -> tuple[Ids, Ids]:
    """Sentences [T_i, ...], zero-padded on the right to [B, T, ...], and their lengths [B].

    Raises:
        ValueError: there is no sentence, or one has no token (a cuDNN LSTM fails on it).
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
        sentences: [T_i] token ids, or [T_i, 2 + F] as `encoder.Encoded` has them.
        tag_ids: [T_i] each.
        forms: what the forms in `sentences` are.

    Raises:
        ValueError: as `pad`.
    """
    padded, lengths = pad(sentences)
    n_columns = 1 if padded.ndim == 2 else padded.shape[2]
    # One row of padding more, whose ids are the least of all: so it is there, and the table's first row.
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
    """The distinct rows of [N, C], in order, and which of them each row is."""
    sizes = rows.max(axis=0).astype(np.float64) + 1
    if sizes.prod() > 2.0**62:
        return np.unique(rows, axis=0, return_inverse=True)
    keys = rows[:, 0].astype(np.int64)  # each row as one number sorts ten times as fast
    for column, size in zip(rows.T[1:], sizes[1:].astype(np.int64), strict=True):
        keys = keys * size + column
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], which


T = TypeVar("T")


def prefetch(items: Iterable[T], n_ahead: int = 2) -> Iterator[T]:
    """The same items, made up to `n_ahead` ahead by another thread.

    What the items are must not depend on when they are made. An error in making one is raised where it is taken.
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
    """The rows of each batch of an epoch: sentences shuffled, then neighbours of like length, batches shuffled."""
    order = rng.permutation(len(lengths))
    bucket = batch_size * _BATCHES_PER_BUCKET
    batches = []
    for start in range(0, len(order), bucket):
        rows = order[start : start + bucket]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def batches_by_length(lengths: Sequence[int], max_length: int, batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers of batches of sentences of like length, long ones first and alone; empty ones are left out."""
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
