"""From tokens to tags: batches of like length, on all cores, given back in order."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tagger.architecture import Decoder
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES, convert, split_tag
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.inputs.batching import batches_by_length, mask_of
from tagger.inputs.characters import WordForms
from tagger.inputs.encoder import Columns
from tagger.inputs.vocabulary import Ids
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits, decode, tag_probabilities

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

DEFAULT_MAX_LENGTH = 512
_CONTEXT_SHARE = 8  # of a window's tokens, on each side
# Encoded sentences, none of them empty, and what their forms are, to logits [B, T, K]. That of a model with a CRF
# also has its `transitions`.
ComputeLogits = Callable[[Sequence[Ids], WordForms | None], Logits]
# Small batches stay in a core's cache: 1,024 padded tokens at once are 1.3 times as fast as 4,096.
BATCH_TOKENS = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """The network sees tokens `start` to `end` together; its logits of those from `first` to `last` count."""

    start: int
    end: int
    first: int
    last: int


def context_of(max_length: int) -> int:
    """How many tokens on each side of a window are context."""
    return max_length // _CONTEXT_SHARE


def windows(n_tokens: int, max_length: int) -> list[Window]:
    """Windows whose counted parts are all tokens, each once, in order.

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
    """What the network says of a sentence of T tokens.

    Attributes:
        tags: T canonical tags in the training file's scheme.
        probabilities: of each chosen tag, T fractions: its marginal under a CRF, else that of the softmax; empty if
            they were not asked for.
    """

    tags: list[str]
    probabilities: list[float]


Tokens = Sequence[str]
_Job = Callable[[], list[TaggedSentence]]


class Predictor:
    """Tags sentences with a model; several threads may use it at once.

    A sentence's tags depend on neither the other sentences nor the number of threads.

    Args:
        model: its network computes logits; what it is otherwise is not this class's business.
        threads: batches that are computed side by side; 1: in the thread that asks.
        batch_tokens: tokens of a batch, padding included.
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
        """Every tag that can be written, in the file's spelling."""
        if self._file_scheme in (NO_SCHEME, self._scheme):
            return [self.spell(tag) for tag in self._tags.tags]
        types = sorted({split_tag(tag)[1] for tag in self._tags.tags} - {""})
        prefixes = sorted(SCHEMES[self._file_scheme].prefixes)
        return [self.spell(OUTSIDE), *(self.spell(f"{prefix}-{name}") for name in types for prefix in prefixes)]

    def tag(
        self, sentences: Sequence[Tokens], features: Sequence[Columns] | None = None, *, probabilities: bool = True
    ) -> list[TaggedSentence]:
        """Tag sentences (lists of tokens); an empty one gets no tags.

        Args:
            features: the feature columns of each sentence, where the model reads any.
            probabilities: whether to compute the probabilities of the tags too.
        """
        return self.start(_columns(sentences, features), probabilities=probabilities).result()

    def logits(self, sentences: Sequence[Tokens], features: Sequence[Columns] | None = None) -> list[Logits]:
        """Logits [T_i, K] of each sentence, for whoever compares networks; arguments as of `tag`."""
        ids, forms = self._encoder.encode(_columns(sentences, features))
        return [self._logits(tokens, forms) for tokens in ids]

    def _transitions(self) -> Transitions | None:
        """What decides which tag may follow which, and how gladly; those of a CRF change while it is trained."""
        if self._decoder != Decoder.CRF:
            return self._constraints
        learned: Transitions = self._compute_logits.transitions  # type: ignore[attr-defined]
        return learned

    def start(self, sentences: Sequence[Columns], *, probabilities: bool) -> Started:
        """Begin to tag sentences; a single batch is for the thread that asks."""
        ids, forms = self._encoder.encode(sentences)
        batches = list(batches_by_length([len(tokens) for tokens in ids], self._max_length, self._batch_tokens))
        transitions = self._transitions()
        jobs = [
            functools.partial(self._decode, [ids[i] for i in rows], forms, transitions, probabilities)
            for rows in batches
        ]
        return Started(len(ids), batches, jobs, self._submit(jobs))

    def _submit(self, jobs: Sequence[_Job]) -> list[Future[list[TaggedSentence]]]:
        if self._threads == 1 or len(jobs) == 1:
            return []
        with self._lock:
            if self._pool is None or self._process != os.getpid():  # a fork has no threads but the one that made it
                from concurrent.futures import ThreadPoolExecutor

                self._pool, self._process = ThreadPoolExecutor(self._threads), os.getpid()
            pool = self._pool
        return [pool.submit(job) for job in jobs]

    def _decode(
        self, sentences: list[Ids], forms: WordForms | None, transitions: Transitions | None, probabilities: bool
    ) -> list[TaggedSentence]:
        """Tag sentences of like length, or a single long one."""
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
        tagged, start = [], 0
        for end in itertools.accumulate(lengths.tolist()):
            tagged.append(TaggedSentence(self._to_file(flat_tags[start:end]), flat_probabilities[start:end]))
            start = end
        return tagged

    def _logits(self, ids: Ids, forms: WordForms | None) -> Logits:
        """Logits [T, K] of one sentence, put together from windows if it is long."""
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
        """How many tokens on each side of a chunk of a sentence are context."""
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
        """Tag a chunk: a part of a sentence that is read in parts.

        Args:
            before, after: the columns of the tokens beside it, which are context.
            chunk: its own columns, of at least one token.
            last_tag: the id of the tag before it, which its first tag may follow; None if it is the first chunk.
            continues: it is not the last chunk.
            probabilities: whether to compute the probabilities of the tags too.

        Returns:
            Its tags, and the id of the last of them.
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


class Started:
    """Sentences that are being tagged, or will be by whoever asks for the `result`, if there are no futures."""

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
        """In the order of the sentences; an empty one has no tags."""
        results: list[TaggedSentence | None] = [None] * self._n_sentences
        here = self._futures and self._process == os.getpid()  # in a fork nobody works on them
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
        """Whatever has not begun never will; after an error or an interrupt nobody waits for it."""
        for future in self._futures:
            future.cancel()
