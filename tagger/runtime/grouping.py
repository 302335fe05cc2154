"""Which sentences of a stream are tagged together: windows of them, and batches of like length within a window."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from tagger.corpus.conll import PAUSE, Sentence

WINDOW_SENTENCES = 4096  # sentences read ahead to be batched by length: with fewer a batch is padded more
_WINDOW_LINES = 65536  # or fewer, if they are long


def until_error(sentences: Iterable[Sentence], failures: list[Exception]) -> Iterator[Sentence]:
    """The sentences before an error, which is put into `failures`."""
    try:
        yield from sentences
    except Exception as error:  # whatever it is: it is raised again
        failures.append(error)


def groups(stream: Iterable[Sentence], window: int) -> Iterator[tuple[list[Sentence], bool]]:
    """Up to `window` sentences at a time, fewer if they are long; the first piece of a cut one alone, marked.

    At a pause: those that are there, then none.
    """
    group: list[Sentence] = []
    n_lines = 0
    for sentence in stream:
        if sentence.continues or sentence is PAUSE:
            if group:
                yield group, False
            yield ([sentence], True) if sentence.continues else ([], False)
            group, n_lines = [], 0
            continue
        group.append(sentence)
        n_lines += max(len(sentence.lines), len(sentence.tokens))
        if len(group) >= window or n_lines >= _WINDOW_LINES:
            yield group, False
            group, n_lines = [], 0
    if group:
        yield group, False


def rest_of_sentence(stream: Iterator[Sentence]) -> Iterator[Sentence]:
    """The pieces up to the last one of a sentence whose first was taken."""
    for sentence in stream:
        if sentence is PAUSE:
            continue
        yield sentence
        if not sentence.continues:
            return


def with_next(pieces: Iterable[Sentence]) -> Iterator[tuple[Sentence, Sentence | None]]:
    """Each piece with the one after it."""
    earlier, later = itertools.tee(pieces)
    next(later, None)
    return itertools.zip_longest(earlier, later)


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
