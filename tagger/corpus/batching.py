"""Sentences of ids to padded batches: bucketed by length, zeros on the right, and a reversed copy of each.

Five steps, two sentences:  token_ids [[7, 8, 9, 0, 0],   reversed_ids [[9, 8, 7, 0, 0],   lengths [3, 5]
                                       [4, 5, 6, 7, 8]]                 [8, 7, 6, 5, 4]]
The copy is reversed by each sentence's own length and padded on the right again. So padding comes after every
real step in both branches, a recurrence from left to right cannot carry it into one, and no branch needs a mask.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tagger.corpus.vocabulary import PAD_ID, UNK_ID

Ids = npt.NDArray[np.int32]

_BATCHES_PER_BUCKET = 50  # sentences are sorted by length within this many batches


class Purpose(enum.IntEnum):
    """What a random draw is for. Every draw is a function of (seed, epoch, step, purpose) and nothing else."""

    ORDER = 0
    UNKNOWN = 1
    DROPOUT = 2


def generator(seed: int, epoch: int, step: int, purpose: Purpose) -> np.random.Generator:
    """The generator of one draw."""
    return np.random.default_rng([seed, epoch, step, purpose])


@dataclasses.dataclass(frozen=True)
class Batch:
    """B sentences, padded to T steps.

    What is computed of a token alone is computed once for each distinct one, and both branches gather from that
    table: so what a batch holds is its distinct ids and, for each step, their row.

    Attributes:
        distinct_ids: [D], the ids that occur, each once, `PAD_ID` first.
        token_rows: [B, T], rows of `distinct_ids`; the row of `PAD_ID` on the right.
        reversed_rows: [B, T], each sentence reversed by its own length.
        lengths: [B], all at least 1, except in an empty share.
        tag_ids: [B, T]; zeros where padded, and everywhere if there are no gold tags.
    """

    distinct_ids: Ids
    token_rows: Ids
    reversed_rows: Ids
    lengths: Ids
    tag_ids: Ids

    @property
    def token_ids(self) -> Ids:
        """[B, T], zero-padded on the right."""
        return self.distinct_ids[self.token_rows]

    @property
    def reversed_ids(self) -> Ids:
        """[B, T], each sentence reversed by its own length, zero-padded on the right."""
        return self.distinct_ids[self.reversed_rows]

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
            return Batch(self.distinct_ids, nothing, nothing, np.zeros(1, np.int32), nothing)
        arrays = (array[i::n, : lengths.max()] for array in (self.token_rows, self.reversed_rows, self.tag_ids))
        token_rows, reversed_rows, tag_ids = arrays
        return Batch(self.distinct_ids, token_rows, reversed_rows, lengths, tag_ids)


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
    """Sentences [T_i], zero-padded on the right to [B, T], and their lengths [B].

    Raises:
        ValueError: there is no sentence, or one has no token (a cuDNN LSTM fails on it).
    """
    lengths = np.array([len(ids) for ids in sentences], np.int32)
    if not lengths.all() or not len(lengths):
        raise ValueError("a batch needs sentences of at least one token")
    mask = mask_of(lengths)
    padded = np.zeros(mask.shape, np.int32)
    padded[mask] = np.concatenate(sentences)
    return padded, lengths


def make_batch(token_ids: Sequence[Ids], tag_ids: Sequence[Ids] | None = None) -> Batch:
    """Pad sentences [T_i] to a batch.

    Raises:
        ValueError: as `pad`.
    """
    padded, lengths = pad(token_ids)
    # PAD_ID is the least id: one more of it makes sure that it is there, in the table's first row.
    distinct, rows = np.unique(np.append(padded, np.int32(PAD_ID)), return_inverse=True)
    token_rows = rows[:-1].reshape(padded.shape).astype(np.int32)
    padded_tags = np.zeros_like(token_rows) if tag_ids is None else pad(tag_ids)[0]
    return Batch(distinct, token_rows, reverse_by_length(token_rows, lengths), lengths, padded_tags)


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


@dataclasses.dataclass(frozen=True)
class TrainingSet:
    """Encoded training sentences, batched anew each epoch.

    Attributes:
        token_ids, tag_ids: one array [T_i] a sentence.
        rare: [V], true at the ids that are sometimes replaced by UNK, so that unknown tokens are learned.
        unk_probability: how often they are.
    """

    token_ids: Sequence[Ids]
    tag_ids: Sequence[Ids]
    rare: npt.NDArray[np.bool_]
    unk_probability: float
    batch_size: int
    seed: int

    def batches(self, epoch: int) -> Iterator[Batch]:
        """The batches of an epoch (from 0): the same for the same seed and epoch, in any process."""
        lengths = np.array([len(ids) for ids in self.token_ids], np.int32)
        order = bucketed_order(lengths, self.batch_size, generator(self.seed, epoch, 0, Purpose.ORDER))
        for step, rows in enumerate(order):
            rng = generator(self.seed, epoch, step, Purpose.UNKNOWN)
            token_ids = self._with_unknowns([self.token_ids[i] for i in rows], rng)
            yield make_batch(token_ids, [self.tag_ids[i] for i in rows])

    def _with_unknowns(self, token_ids: Sequence[Ids], rng: np.random.Generator) -> Sequence[Ids]:
        if not self.unk_probability:
            return token_ids
        flat = np.concatenate(token_ids)
        replaced = self.rare[flat] & (rng.random(len(flat)) < self.unk_probability)
        flat[replaced] = UNK_ID
        ends = np.cumsum([len(ids) for ids in token_ids]).tolist()
        return [flat[end - len(ids) : end] for ids, end in zip(token_ids, ends, strict=True)]
