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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tagger.architecture import Decoder
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES, Converter, Span, convert, spans_from_tags, split_tag
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.inputs.batching import batches_by_length, mask_of
from tagger.inputs.characters import WordForms
from tagger.inputs.encoder import Columns
from tagger.inputs.vocabulary import Ids
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits, chosen_of, decode, losses_of_some, stacked, tag_probabilities
from tagger.prediction.jobs import Job, Started, in_jobs, until
from tagger.prediction.lattice import Lattice, SpanRules
from tagger.prediction.n_best import Alternative, likeliest
from tagger.prediction.windows import context_of, windows

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

DEFAULT_MAX_LENGTH = 512
# Takes encoded sentences, none of them empty, and their forms; returns logits [B, T, K]. For a model with a CRF it also
# has the attribute `transitions`, the weights of the CRF.
ComputeLogits = Callable[[Sequence[Ids], WordForms | None], Logits]
# Small batches stay in a core's cache, have little padding and need little memory: batches of 512 padded tokens are 1.3
# times as fast as batches of 4,096.
BATCH_TOKENS = 512
# The sentences of neighboring batches are decoded together, because decoding calls NumPy for each step. Jobs are large
# enough for that, but so many that no thread waits long for the last job of another one.
_BATCHES_PER_JOB, _JOBS_PER_THREAD = 4, 4


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedSentence:
    """The predicted tags of a sentence of T tokens.

    Attributes:
        tags: T canonical tags in the scheme of the training file.
        probabilities: T fractions, the probability of each tag: the marginal probability with a CRF, otherwise that of
            the softmax; empty if probabilities were not requested.
        loss: minus the log-probability of the gold tags; 0 if these were not given.
        span_probabilities: the exact probability of each span that conlleval reads in the tags, in order: that the
            decoder's distribution has this span; empty if spans were not requested.
        probability: the probability of all tags together; 0 if spans were not requested.
        alternatives: the n likeliest sequences of tags, each with its probability; empty if they were not requested.
    """

    tags: list[str]
    probabilities: list[float]
    loss: float = 0.0
    span_probabilities: list[float] = dataclasses.field(default_factory=list)
    probability: float = 0.0
    alternatives: list[Alternative] = dataclasses.field(default_factory=list)


Tokens = Sequence[str]


class Predictor:
    """A tagger of sentences with a model; several threads may use it at the same time.

    The tags of a sentence do not depend on the number of threads. They depend on the other sentences only if the
    network has 8-bit weights: a batch then has one scale for its numbers.

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
        self._to_file = Converter(self._scheme, self._file_scheme).convert
        self._max_length = manifest.max_length
        self._decoder = manifest.network.decoder
        self._constraints = (
            constraints_of(model.tags.tags, manifest.scheme)
            if manifest.network.decoder == Decoder.CONSTRAINED
            else None
        )
        self._temperature = 1.0 if manifest.calibration is None else manifest.calibration.temperature
        self._curve = None
        if manifest.calibration is not None and manifest.calibration.curve:
            self._curve = np.array(manifest.calibration.curve).T  # [2, points]
        self._rules = None
        if self._file_scheme != NO_SCHEME:
            # A file in IO cannot tell two neighboring spans of a type apart, which other schemes of the network can.
            as_read = (
                [convert([tag], self._scheme, "IO")[0] for tag in model.tags.tags]
                if self._file_scheme == "IO"
                else model.tags.tags
            )
            self._rules = SpanRules.of(as_read)
        # Other paths than legal ones, and spans that a file in IO cannot tell apart, may become the same tags.
        self._is_one_to_one = self._scheme == self._file_scheme or (
            self._decoder != Decoder.SOFTMAX and self._file_scheme != "IO"
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
        spans: bool = False,
        n_best: int = 0,
        gold: Sequence[Ids | None] | None = None,
        temperature: float | None = None,
    ) -> list[TaggedSentence]:
        """Tag sentences, which are lists of tokens; an empty sentence gets no tags.

        Args:
            sentences: the tokens of each sentence.
            features: the feature columns of each sentence, if the model reads any.
            probabilities: whether to compute the probabilities of the tags as well.
            spans: whether to compute the probabilities of the spans and of the whole sentence as well.
            n_best: the number of likeliest sequences to compute as well.
            gold: the ids of each sentence's gold tags, to compute its loss; None for a sentence whose loss is not
                needed.
        """
        return self.start(
            _columns(sentences, features),
            probabilities=probabilities,
            spans=spans,
            n_best=n_best,
            gold=gold,
            temperature=temperature,
        ).result()

    def logits(self, sentences: Sequence[Tokens], features: Sequence[Columns] | None = None) -> list[Logits]:
        """Return the logits [T_i, K] of each sentence, to compare networks; the arguments are those of `tag`."""
        ids, forms = self._encode(_columns(sentences, features))
        return [self._logits(tokens, forms) for tokens in ids]

    def _encode(self, sentences: Sequence[Columns]) -> tuple[list[Ids], Any]:
        """Encode sentences; a network in ONNX Runtime computes what it makes of their forms once for all batches."""
        ids, forms = self._encoder.encode(sentences)
        represent = getattr(self._compute_logits, "represent", None)
        return ids, forms if represent is None else represent(forms)

    def _transitions(self) -> Transitions | None:
        """Return the transitions to decode with; those of a CRF change while it is trained."""
        if self._decoder != Decoder.CRF:
            return self._constraints
        learned: Transitions = self._compute_logits.transitions  # type: ignore[attr-defined]
        return learned

    def start(
        self,
        sentences: Sequence[Columns],
        *,
        probabilities: bool,
        spans: bool = False,
        n_best: int = 0,
        gold: Sequence[Ids | None] | None = None,
        temperature: float | None = None,
    ) -> Started[TaggedSentence]:
        """Start to tag sentences; a single batch is left to the thread that asks for the result."""
        ids, forms = self._encode(sentences)
        lengths = [len(tokens) for tokens in ids]
        batches = list(batches_by_length(lengths, self._max_length, self._batch_tokens))
        n_long = sum(lengths[rows[0]] > self._max_length for rows in batches)  # each stays alone
        together = in_jobs(batches[n_long:], _BATCHES_PER_JOB, _JOBS_PER_THREAD * self._threads)
        of_jobs = [*([rows] for rows in batches[:n_long]), *together]
        transitions, stop = self._transitions(), threading.Event()
        jobs = [
            functools.partial(
                self._decode,
                [[ids[i] for i in rows] for rows in some],
                forms,
                transitions,
                probabilities,
                spans,
                n_best,
                [None if gold is None else gold[i] for rows in some for i in rows],
                temperature,
                stop,
            )
            for some in of_jobs
        ]
        rows = [list(itertools.chain.from_iterable(some)) for some in of_jobs]
        return Started(len(ids), rows, jobs, self._submit(jobs), lambda: TaggedSentence([], []), stop)

    def _submit(self, jobs: Sequence[Job[TaggedSentence]]) -> list[Future[list[TaggedSentence]]]:
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
        batches: list[list[Ids]],
        forms: Any,
        transitions: Transitions | None,
        probabilities: bool,
        spans: bool,
        n_best: int,
        gold: list[Ids | None],
        temperature: float | None,
        stop: threading.Event,
    ) -> list[TaggedSentence]:
        """Tag batches of sentences of similar length, or a single sentence that is longer than a window."""
        if len(batches[0][0]) > self._max_length:
            ((ids,),) = batches
            logits = self._logits(ids, forms)[None]
        else:
            logits = stacked([self._compute_logits(sentences, forms) for sentences in until(stop, batches)])
        lengths = np.array([len(ids) for sentences in batches for ids in sentences], np.int32)
        tag_ids = decode(logits, lengths, transitions)
        tags, start = self._tags.decode(tag_ids[mask_of(lengths)]), 0
        losses = losses_of_some(logits, lengths, gold, transitions)
        tagged = []
        for n, loss in zip(lengths.tolist(), losses, strict=True):
            tagged.append(TaggedSentence(self._to_file(tags[start : start + n]), [], loss))
            start += n
        if probabilities or spans or n_best:
            return self._with_probabilities(
                tagged, logits, lengths, tag_ids, transitions, temperature, spans=spans, n_best=n_best
            )
        return tagged

    def _with_probabilities(
        self,
        tagged: list[TaggedSentence],
        logits: Logits,
        lengths: npt.NDArray[np.int32],
        tag_ids: npt.NDArray[np.intp],
        transitions: Transitions | None,
        temperature: float | None,
        *,
        spans: bool,
        n_best: int = 0,
    ) -> list[TaggedSentence]:
        """Return tagged sentences with the probabilities of their tags, and of their spans if these are requested.

        Args:
            tagged: B sentences with their tags.
            logits: [B, T, K]; there may be more steps than the lengths say.
            lengths: [B].
            tag_ids: [B, T], the tags of the sentences in the network's scheme.
            transitions: the transitions that they were decoded with.
            temperature: what the logits and the weights of a CRF are divided by; None for the calibration of the model.
            spans: whether to add the probabilities of spans and of whole sentences.
            n_best: the number of likeliest sequences to add.
        """
        calibrated = temperature is None
        temperature = self._temperature if temperature is None else temperature
        if temperature != 1.0:
            logits = logits / np.float32(temperature)
            transitions = transitions and transitions.scaled(1 / temperature)
        lattice = Lattice(logits, lengths, transitions) if spans or n_best else None
        if lattice is not None and transitions is not None and transitions.learned:
            chosen = chosen_of(lattice.marginals(), tag_ids)
        else:
            chosen = tag_probabilities(logits, lengths, tag_ids, transitions)
        of_tags = [row[:n].tolist() for row, n in zip(chosen, lengths.tolist(), strict=True)]
        if lattice is None:
            changes = zip(tagged, of_tags, strict=True)
            return [dataclasses.replace(one, probabilities=values) for one, values in changes]
        found = [spans_from_tags(one.tags) if self._rules else [] for one in tagged]
        rows = [row for row, of_it in enumerate(found) for _ in of_it]
        flat = [span for of_it in found for span in of_it]
        of_spans = iter(self._of_spans(lattice, rows, flat, calibrated=calibrated))
        of_sentences = _exponentials(
            self._of_sequences(
                lattice, list(range(len(tagged))), [one.tags for one in tagged], lattice.log_probabilities(tag_ids)
            )
        )
        best = self._alternatives(logits, lengths, transitions, lattice, n_best) if n_best else [[] for _ in tagged]
        return [
            dataclasses.replace(
                one,
                probabilities=values,
                span_probabilities=list(itertools.islice(of_spans, len(of_it))),
                probability=whole,
                alternatives=others,
            )
            for one, values, of_it, whole, others in zip(tagged, of_tags, found, of_sentences, best, strict=True)
        ]

    def _of_spans(self, lattice: Lattice, rows: list[int], spans: list[Span], *, calibrated: bool) -> list[float]:
        """Return the probabilities of spans; `rows` are their sentences."""
        if self._rules is None:
            return []
        starts, ends, types = [one.start for one in spans], [one.end for one in spans], [one.type for one in spans]
        found = lattice.span_probabilities(self._rules, rows, starts, ends, types)
        found = found.astype(np.float32).astype(np.float64)  # without the bits that depend on the batch
        if calibrated and self._curve is not None:
            found = np.interp(found, *self._curve)
        probabilities: list[float] = found.tolist()
        return probabilities

    def _alternatives(
        self,
        logits: Logits,
        lengths: npt.NDArray[np.int32],
        transitions: Transitions | None,
        lattice: Lattice,
        n_best: int,
    ) -> list[list[Alternative]]:
        """Return the likeliest sequences of each sentence; the arguments are those of `_with_probabilities`."""
        rules = transitions or Transitions.free(logits.shape[-1])
        found = []
        for row, (length, log_total) in enumerate(zip(lengths.tolist(), lattice.log_total.tolist(), strict=True)):
            best = likeliest(logits[row, :length], rules, n_best, lambda path: self._to_file(self._tags.decode(path)))
            tags, of_paths = [one for one, _ in best], np.array([total - log_total for _, total in best])
            probabilities = _exponentials(self._of_sequences(lattice, [row] * len(tags), tags, of_paths))
            found.append(sorted(map(Alternative, tags, probabilities), key=lambda one: -one.probability))
        return found

    def _of_sequences(
        self, lattice: Lattice, rows: list[int], tags: list[list[str]], of_paths: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Return the log-probability of each sequence of tags as the file has them: that of all paths that become it.

        Args:
            rows: their sentences.
            of_paths: [S], the log-probabilities of the likeliest of these paths.
        """
        if self._rules is None or self._is_one_to_one:
            return np.minimum(of_paths, 0.0)
        return lattice.log_probabilities_of_readings(self._rules, rows, list(map(spans_from_tags, tags)))

    def _logits(self, ids: Ids, forms: Any) -> Logits:
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
        spans: bool = False,
    ) -> tuple[TaggedSentence, int]:
        """Tag a chunk, which is a part of a sentence that is read in parts.

        Args:
            before, after: the columns of the context tokens before and after the chunk.
            chunk: the columns of the chunk itself, with at least one token.
            last_tag: the id of the tag before the chunk, which the first tag of the chunk follows; None for the first
                chunk.
            continues: whether another chunk of the sentence follows.
            probabilities: whether to compute the probabilities of the tags as well.
            spans: whether to compute the probabilities of the spans as well; that of a span that the chunk cuts is
                the probability of the whole span, as far as the tokens after the chunk show it.

        Returns:
            The tags of the chunk, and the id of the last tag.
        """
        columns = [[*a, *b, *c] for a, b, c in zip(before, chunk, after, strict=True)]
        (ids,), forms = self._encode([columns])
        n_tokens, transitions = len(chunk[0]), self._transitions()
        logits = self._logits(ids, forms)[len(before[0]) :]
        lengths = np.array([len(logits)], np.int32)
        rules = transitions and transitions.of_chunk(last_tag, continues=continues)
        tag_ids = decode(logits[None], lengths, rules)
        last = int(tag_ids[0, n_tokens - 1])
        if not (probabilities or spans):
            return TaggedSentence(self._to_file(self._tags.decode(tag_ids[0, :n_tokens])), []), last
        # With the tokens after the chunk, so that a span that the chunk cuts is seen as far as they go.
        tagged = [TaggedSentence(self._to_file(self._tags.decode(tag_ids[0])), [])]
        (seen,) = self._with_probabilities(tagged, logits[None], lengths, tag_ids, rules, None, spans=spans)
        tags = seen.tags[:n_tokens]
        n_spans = len(spans_from_tags(tags)) if spans else 0
        return TaggedSentence(
            tags, seen.probabilities[:n_tokens], 0.0, seen.span_probabilities[:n_spans], seen.probability
        ), last


def _columns(sentences: Sequence[Tokens], features: Sequence[Columns] | None) -> list[Columns]:
    if features is None:
        return [[tokens] for tokens in sentences]
    return [[tokens, *columns] for tokens, columns in zip(sentences, features, strict=True)]


def _exponentials(logarithms: npt.NDArray[np.float64]) -> list[float]:
    """Return probabilities of logarithms, without the bits that depend on the other sentences of a batch."""
    probabilities: list[float] = np.exp(logarithms.astype(np.float32).astype(np.float64)).tolist()
    return probabilities
