"""Prediction of tags for tokens.

Sentences of similar length form batches, which run on all cores. The results are in the order of the sentences.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tagger.architecture import Decoder
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES, convert, split_tag
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.inputs.batching import batches_by_length, mask_of
from tagger.inputs.characters import WordForms
from tagger.inputs.encoder import Columns
from tagger.inputs.vocabulary import Ids
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits, decode, losses_of, tag_probabilities

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

DEFAULT_MAX_LENGTH = 512
_CONTEXT_SHARE = 8  # on each side, an eighth of a window's tokens are context
# Takes encoded sentences, none of them empty, and their forms; returns logits [B, T, K]. For a model with a CRF it also
# has the attribute `transitions`, the weights of the CRF.
ComputeLogits = Callable[[Sequence[Ids], WordForms | None], Logits]
# Small batches stay in a core's cache: batches of 1,024 padded tokens are 1.3 times as fast as batches of 4,096.
BATCH_TOKENS = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """An overlapping slice of one long sentence; the ends of both ranges are excluded.

    Attributes:
        start, end: the range of tokens that the network reads together.
        first, last: the range of tokens whose logits are used; the other tokens are context.
    """

    start: int
    end: int
    first: int
    last: int


def context_of(max_length: int) -> int:
    """Return the number of context tokens on each side of a window."""
    return max_length // _CONTEXT_SHARE


def windows(n_tokens: int, max_length: int) -> list[Window]:
    """Return windows whose ranges from `first` to `last` cover each token exactly once, in order.

    >>> windows(5, 8)
    [Window(start=0, end=5, first=0, last=5)]
    >>> windows(11, 8)
    [Window(start=0, end=8, first=0, last=7), Window(start=6, end=11, first=7, last=11)]
    """
    context = context_of(max_length)
    found, start = [], 0
    while start + max_length < n_tokens:
        first = start + context if start else 0
        found.append(Window(start, start + max_length, first, start + max_length - context))
        start += max_length - 2 * context
    found.append(Window(start, n_tokens, start + context if start else 0, n_tokens))
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedSentence:
    """The predicted tags of a sentence of T tokens.

    Attributes:
        tags: T canonical tags in the scheme of the training file.
        probabilities: T fractions, the probability of each tag: the marginal probability with a CRF, otherwise that of
            the softmax; empty if probabilities were not requested.
        loss: minus the log-probability of the gold tags; 0 if these were not given.
    """

    tags: list[str]
    probabilities: list[float]
    loss: float = 0.0


Tokens = Sequence[str]
_Job = Callable[[], list[TaggedSentence]]


class Predictor:
    """A tagger of sentences with a model; several threads may use it at the same time.

    The tags of a sentence depend neither on the other sentences nor on the number of threads.

    Args:
        model: a model whose network is any function that computes logits.
        threads: the number of batches to compute side by side; with 1, the calling thread computes them.
        batch_tokens: the number of tokens of a batch, padding included.
    """

    def __init__(self, model: Model[ComputeLogits], *, threads: int = 1, batch_tokens: int = BATCH_TOKENS) -> None:
        manifest = model.manifest
        self.model = model
        self._compute_logits, self._encoder, self._tags = model.network, model.encoder, model.tags
        self._scheme, self._file_scheme = manifest.scheme, manifest.notation.scheme
        self._max_length = manifest.max_length
        self._decoder = manifest.network.decoder
        self._constraints = (
            constraints_of(model.tags.tags, manifest.scheme)
            if manifest.network.decoder == Decoder.CONSTRAINED
            else None
        )
        self._threads, self._batch_tokens = threads, batch_tokens
        self._pool: ThreadPoolExecutor | None = None
        self._process, self._lock = os.getpid(), threading.Lock()
        self.spell = functools.cache(manifest.notation.spell)

    @property
    def spelled_tags(self) -> list[str]:
        """Every tag that can be written, in the spelling of the file."""
        if self._file_scheme in (NO_SCHEME, self._scheme):
            return [self.spell(tag) for tag in self._tags.tags]
        types = sorted({split_tag(tag)[1] for tag in self._tags.tags} - {""})
        prefixes = sorted(SCHEMES[self._file_scheme].prefixes)
        return [self.spell(OUTSIDE), *(self.spell(f"{prefix}-{name}") for name in types for prefix in prefixes)]

    def tag(
        self,
        sentences: Sequence[Tokens],
        features: Sequence[Columns] | None = None,
        *,
        probabilities: bool = True,
        gold: Sequence[Ids | None] | None = None,
    ) -> list[TaggedSentence]:
        """Tag sentences, which are lists of tokens; an empty sentence gets no tags.

        Args:
            sentences: the tokens of each sentence.
            features: the feature columns of each sentence, if the model reads any.
            probabilities: whether to compute the probabilities of the tags as well.
            gold: the ids of each sentence's gold tags, to compute its loss; None for a sentence whose loss is not
                needed.
        """
        return self.start(_columns(sentences, features), probabilities=probabilities, gold=gold).result()

    def logits(self, sentences: Sequence[Tokens], features: Sequence[Columns] | None = None) -> list[Logits]:
        """Return the logits [T_i, K] of each sentence, to compare networks; the arguments are those of `tag`."""
        ids, forms = self._encoder.encode(_columns(sentences, features))
        return [self._logits(tokens, forms) for tokens in ids]

    def _transitions(self) -> Transitions | None:
        """Return the transitions to decode with; those of a CRF change while it is trained."""
        if self._decoder != Decoder.CRF:
            return self._constraints
        learned: Transitions = self._compute_logits.transitions  # type: ignore[attr-defined]
        return learned

    def start(
        self, sentences: Sequence[Columns], *, probabilities: bool, gold: Sequence[Ids | None] | None = None
    ) -> Started:
        """Start to tag sentences; a single batch is left to the thread that asks for the result."""
        ids, forms = self._encoder.encode(sentences)
        batches = list(batches_by_length([len(tokens) for tokens in ids], self._max_length, self._batch_tokens))
        transitions = self._transitions()
        jobs = [
            functools.partial(
                self._decode,
                [ids[i] for i in rows],
                forms,
                transitions,
                probabilities,
                [None if gold is None else gold[i] for i in rows],
            )
            for rows in batches
        ]
        return Started(len(ids), batches, jobs, self._submit(jobs))

    def _submit(self, jobs: Sequence[_Job]) -> list[Future[list[TaggedSentence]]]:
        if self._threads == 1 or len(jobs) == 1:
            return []
        with self._lock:
            if self._pool is None or self._process != os.getpid():  # after a fork, the pool has no threads
                from concurrent.futures import ThreadPoolExecutor

                self._pool, self._process = ThreadPoolExecutor(self._threads), os.getpid()
            pool = self._pool
        return [pool.submit(job) for job in jobs]

    def _decode(
        self,
        sentences: list[Ids],
        forms: WordForms | None,
        transitions: Transitions | None,
        probabilities: bool,
        gold: list[Ids | None],
    ) -> list[TaggedSentence]:
        """Tag sentences of similar length, or a single sentence that is longer than a window."""
        if len(sentences[0]) > self._max_length:
            (ids,) = sentences
            logits = self._logits(ids, forms)[None]
        else:
            logits = self._compute_logits(sentences, forms)
        lengths = np.array([len(ids) for ids in sentences], np.int32)
        tag_ids = decode(logits, lengths, transitions)
        mask = mask_of(lengths)
        flat_tags, flat_probabilities = self._tags.decode(tag_ids[mask]), []
        if probabilities:
            flat_probabilities = tag_probabilities(logits, lengths, tag_ids, transitions)[mask].tolist()
        losses = _losses(logits, lengths, gold, transitions)
        tagged, start = [], 0
        for end, loss in zip(itertools.accumulate(lengths.tolist()), losses, strict=True):
            tagged.append(TaggedSentence(self._to_file(flat_tags[start:end]), flat_probabilities[start:end], loss))
            start = end
        return tagged

    def _logits(self, ids: Ids, forms: WordForms | None) -> Logits:
        """Return the logits [T, K] of one sentence; those of a long sentence are joined from its windows."""
        if not len(ids):
            return np.zeros((0, len(self._tags)), np.float32)
        parts: list[Logits] = []
        slices = windows(len(ids), self._max_length)
        n_at_once = max(1, self._batch_tokens // self._max_length)
        for start in range(0, len(slices), n_at_once):
            some = slices[start : start + n_at_once]
            logits = self._compute_logits([ids[window.start : window.end] for window in some], forms)
            parts += [
                part[window.first - window.start : window.last - window.start]
                for window, part in zip(some, logits, strict=True)
            ]
        return np.concatenate(parts)

    @property
    def n_context(self) -> int:
        """The number of context tokens on each side of a chunk of a sentence."""
        return context_of(self._max_length)

    def tag_chunk(
        self,
        before: Columns,
        chunk: Columns,
        after: Columns,
        last_tag: int | None,
        *,
        continues: bool,
        probabilities: bool,
    ) -> tuple[TaggedSentence, int]:
        """Tag a chunk, which is a part of a sentence that is read in parts.

        Args:
            before, after: the columns of the context tokens before and after the chunk.
            chunk: the columns of the chunk itself, with at least one token.
            last_tag: the id of the tag before the chunk, which the first tag of the chunk follows; None for the first
                chunk.
            continues: whether another chunk of the sentence follows.
            probabilities: whether to compute the probabilities of the tags as well.

        Returns:
            The tags of the chunk, and the id of the last tag.
        """
        columns = [[*a, *b, *c] for a, b, c in zip(before, chunk, after, strict=True)]
        (ids,), forms = self._encoder.encode([columns])
        n_tokens, transitions = len(chunk[0]), self._transitions()
        logits = self._logits(ids, forms)[len(before[0]) :]
        lengths = np.array([len(logits)], np.int32)
        rules = transitions and transitions.of_chunk(last_tag, continues=continues)
        tag_ids = decode(logits[None], lengths, rules)
        tags = self._to_file(self._tags.decode(tag_ids[0, :n_tokens]))
        chosen = (
            tag_probabilities(logits[None], lengths, tag_ids, rules)[0, :n_tokens].tolist() if probabilities else []
        )
        return TaggedSentence(tags, chosen), int(tag_ids[0, n_tokens - 1])

    def _to_file(self, tags: list[str]) -> list[str]:
        same = self._scheme == self._file_scheme
        return tags if same else convert(tags, self._scheme, self._file_scheme)


def _columns(sentences: Sequence[Tokens], features: Sequence[Columns] | None) -> list[Columns]:
    if features is None:
        return [[tokens] for tokens in sentences]
    return [[tokens, *columns] for tokens, columns in zip(sentences, features, strict=True)]


def _losses(
    logits: Logits, lengths: npt.NDArray[np.int32], gold: list[Ids | None], transitions: Transitions | None
) -> list[float]:
    """Return the loss of each sentence; 0 for the sentences whose gold tags are not given."""
    losses = np.zeros(len(gold))
    known = [(row, ids) for row, ids in enumerate(gold) if ids is not None]
    if known:
        rows, tag_ids = [row for row, _ in known], np.zeros(logits.shape[:2], np.intp)
        for row, ids in known:
            tag_ids[row, : len(ids)] = ids
        losses[rows] = losses_of(logits[rows], lengths[rows], tag_ids[rows], transitions)
    return [float(loss) for loss in losses]


class Started:
    """Sentences that are being tagged. Without futures, the thread that asks for the `result` tags them."""

    def __init__(
        self,
        n_sentences: int,
        batches: list[list[int]],
        jobs: Sequence[_Job],
        futures: list[Future[list[TaggedSentence]]],
    ) -> None:
        self._n_sentences, self._batches, self._jobs, self._futures = n_sentences, batches, jobs, futures
        self._process = os.getpid()

    def result(self) -> list[TaggedSentence]:
        """Return the tagged sentences in their original order; an empty sentence has no tags."""
        results: list[TaggedSentence | None] = [None] * self._n_sentences
        here = self._futures and self._process == os.getpid()  # after a fork, the pool has no threads to run the jobs
        try:
            for rows, get in zip(
                self._batches, [future.result for future in self._futures] if here else self._jobs, strict=True
            ):
                for row, tagged in zip(rows, get(), strict=True):
                    results[row] = tagged
        finally:
            self.cancel()
        return [tagged or TaggedSentence([], []) for tagged in results]

    def cancel(self) -> None:
        """Cancel all work that has not started, because nobody waits for it after an error or an interrupt."""
        for future in self._futures:
            future.cancel()
