"""From tokens to tags in the training file's spelling, and from a CoNLL stream to the same stream with tags."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

import numpy as np
import numpy.typing as npt

from tagger.corpus.batching import Batch, Ids, make_batch, mask_of
from tagger.corpus.conll import Sentence, read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES, convert, split_tag
from tagger.corpus.vocabulary import TagVocabulary, TokenVocabulary
from tagger.errors import DataError
from tagger.runtime.decoding import Scores, constraints_of, decode
from tagger.runtime.manifest import Manifest
from tagger.runtime.windows import context_of, windows

ScoreBatch = Callable[[Batch], Scores]  # a batch to its logits [B, T, K]

_BATCH_TOKENS = 8192  # padded tokens scored at once
_WINDOW_SENTENCES = 1024  # sentences read ahead to be batched by length
_WINDOW_LINES = 32768  # or fewer, if they are long
_VITERBI_NUMBERS = 1 << 22
PIECE_LINES = 8192  # a sentence of more lines is read and tagged in pieces

_NO_SCORES: Scores = np.zeros((0, 0), np.float32)


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedSentence:
    """What the network says of a sentence of T tokens.

    Attributes:
        tags: T canonical tags in the training file's scheme.
        scores: the softmax probability of each chosen tag, T fractions.
    """

    tags: list[str]
    scores: list[float]


Tagged = tuple[Sentence, TaggedSentence]


class Predictor:
    """Tags sentences with a model.

    Args:
        score: computes logits; the network behind it is not this class's business.
        manifest: of the model.
        tokens, tags: its vocabularies.
    """

    def __init__(self, score: ScoreBatch, manifest: Manifest, tokens: TokenVocabulary, tags: TagVocabulary) -> None:
        self._score = score
        self._tokens, self._tags = tokens, tags
        self._scheme, self._file_scheme = manifest.scheme, manifest.notation.scheme
        self._max_length = manifest.max_length
        self._constraints = constraints_of(tags.tags, manifest.scheme) if manifest.decoder == "constrained" else None
        self.spell = functools.cache(manifest.notation.spell)

    @property
    def spelled_tags(self) -> list[str]:
        """Every tag that can be written, in the file's spelling."""
        if self._file_scheme in (NO_SCHEME, self._scheme):
            return [self.spell(tag) for tag in self._tags.tags]
        types = sorted({split_tag(tag)[1] for tag in self._tags.tags} - {""})
        prefixes = sorted(SCHEMES[self._file_scheme].prefixes)
        return [self.spell(OUTSIDE), *(self.spell(f"{prefix}-{name}") for name in types for prefix in prefixes)]

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[TaggedSentence]:
        """Tag sentences (lists of tokens); an empty one gets no tags."""
        logits = self._logits([self._tokens.encode(tokens) for tokens in sentences])
        results = [TaggedSentence([], [])] * len(sentences)
        # Viterbi holds K² numbers a sentence.
        most = max(1, _VITERBI_NUMBERS // len(self._tags) ** 2)
        for rows in batches_by_length([len(scores) for scores in logits], most):
            lengths = np.array([len(logits[i]) for i in rows], np.int32)
            padded = np.zeros((len(rows), lengths.max(), len(self._tags)), np.float32)
            padded[mask_of(lengths)] = np.concatenate([logits[i] for i in rows])
            tag_ids, scores = decode(padded, lengths, self._constraints)
            for row, n, ids, probabilities in zip(rows, lengths, tag_ids, scores, strict=True):
                results[row] = self._tagged(ids[:n], probabilities[:n])
        return results

    def _logits(self, sentences: Sequence[Ids]) -> list[Scores]:
        """Logits [T_i, K] of each sentence of ids, the long ones put together from windows."""
        pieces = [(i, w) for i, ids in enumerate(sentences) if len(ids) for w in windows(len(ids), self._max_length)]
        counted: list[Scores] = [_NO_SCORES] * len(pieces)
        for rows in batches_by_length([window.end - window.start for _, window in pieces]):
            batch = make_batch([sentences[i][w.start : w.end] for i, w in (pieces[row] for row in rows)])
            for row, scores in zip(rows, self._score(batch), strict=True):
                window = pieces[row][1]
                counted[row] = scores[window.first - window.start : window.last - window.start]
        parts: list[list[Scores]] = [[] for _ in sentences]
        for (i, _), scores in zip(pieces, counted, strict=True):
            parts[i].append(scores)
        return [found[0] if len(found) == 1 else np.concatenate(found or [_NO_SCORES]) for found in parts]

    def _tagged(self, tag_ids: npt.NDArray[np.intp], scores: Scores) -> TaggedSentence:
        tags = convert(self._tags.decode(tag_ids), self._scheme, self._file_scheme)
        return TaggedSentence(tags, scores.tolist())

    def tag_stream(self, sentences: Iterable[Sentence]) -> Iterator[Tagged]:
        """Tag sentences as they come, in order."""
        return itertools.chain.from_iterable(self.tag_windows(sentences))

    def tag_windows(self, sentences: Iterable[Sentence], window: int = _WINDOW_SENTENCES) -> Iterator[list[Tagged]]:
        """Tag sentences as they come, in order, up to `window` of them at a time.

        A sentence that was cut in reading (`continues`) is tagged piece by piece, each with its neighbours' tokens
        as context and with tags that may follow the tags before it.
        """
        stream = iter(sentences)
        ahead: list[Sentence] = []
        n_lines = 0
        for sentence in stream:
            ahead.append(sentence)
            n_lines += len(sentence.lines)
            if sentence.continues:
                if ahead[:-1]:
                    yield self._tag_window(ahead[:-1])
                for tagged in self._tag_pieces(itertools.chain([sentence], _rest_of_sentence(stream))):
                    yield [tagged]
                ahead, n_lines = [], 0
            elif len(ahead) >= window or n_lines >= _WINDOW_LINES:
                yield self._tag_window(ahead)
                ahead, n_lines = [], 0
        if ahead:
            yield self._tag_window(ahead)

    def _tag_window(self, sentences: list[Sentence]) -> list[Tagged]:
        return list(zip(sentences, self.tag([sentence.tokens for sentence in sentences]), strict=True))

    def _tag_pieces(self, pieces: Iterable[Sentence]) -> Iterator[Tagged]:
        """Tag one sentence that was read in pieces, holding two of them at a time."""
        n_context = context_of(self._max_length)
        before, last_tag = np.zeros(0, np.int32), None
        for piece, following in _with_next(pieces):
            if piece.follows_docstart:
                before, last_tag = before[:0], None
            if not piece.tokens:
                yield piece, TaggedSentence([], [])
                continue
            ids = self._tokens.encode(piece.tokens)
            goes_on = following is not None and not following.follows_docstart
            after = self._tokens.encode(following.tokens[:n_context] if following and goes_on else [])
            (logits,) = self._logits([np.concatenate([before, ids, after])])
            logits = logits[len(before) :]
            lengths = np.array([len(logits)], np.int32)
            tag_ids, scores = decode(logits[None], lengths, self._constraints, after_tag=last_tag)
            yield piece, self._tagged(tag_ids[0, : len(ids)], scores[0, : len(ids)])
            before = np.concatenate([before, ids])[-n_context:] if n_context else before
            last_tag = int(tag_ids[0, len(ids) - 1])


def _rest_of_sentence(stream: Iterator[Sentence]) -> Iterator[Sentence]:
    for sentence in stream:
        yield sentence
        if not sentence.continues:
            return


def _with_next(pieces: Iterable[Sentence]) -> Iterator[tuple[Sentence, Sentence | None]]:
    earlier, later = itertools.tee(pieces)
    next(later, None)
    return itertools.zip_longest(earlier, later)


def batches_by_length(lengths: Sequence[int], most: int = _WINDOW_SENTENCES) -> Iterator[list[int]]:
    """Row numbers of batches of at most `most` sentences of like length; empty sentences are left out."""
    order = np.argsort(np.array(lengths, np.int64), kind="stable")
    batch: list[int] = []
    for row in order.tolist():
        if batch and ((len(batch) + 1) * lengths[row] > _BATCH_TOKENS or len(batch) == most):
            yield batch
            batch = []
        if lengths[row]:
            batch.append(row)
    if batch:
        yield batch


def tag_conll(
    predictor: Predictor,
    stream: IO[bytes],
    layout: Layout,
    *,
    path: str,
    scores: bool = False,
    line_buffered: bool = False,
) -> Iterator[bytes]:
    """A CoNLL stream with the predicted tag (and its score) as a further column.

    Args:
        line_buffered: tag each sentence as soon as it is read, for a stream that trickles.

    Yields:
        The bytes of all sentences that were tagged together.

    Raises:
        DataError: the stream does not fit the layout, or its encoding cannot hold the model's tags.
    """
    _check_encodable(predictor.spelled_tags, layout)
    outside = predictor.spell(OUTSIDE)
    sentences = read_sentences(stream, layout, path=path, max_lines=PIECE_LINES)
    for window in predictor.tag_windows(sentences, window=1 if line_buffered else _WINDOW_SENTENCES):
        blocks = []
        for sentence, tagged in window:
            added = [[predictor.spell(tag) for tag in tagged.tags]]
            docstart = [outside]
            if scores:
                added.append([f"{score:.4f}" for score in tagged.scores])
                docstart.append("1.0000")
            blocks.append(write_sentence(sentence, added, layout, docstart_columns=docstart))
        yield b"".join(blocks)


def _check_encodable(tags: Iterable[str], layout: Layout) -> None:
    for tag in tags:
        try:
            tag.encode(layout.encoding)
        except UnicodeEncodeError:
            raise DataError(
                f"encoding: {layout.encoding} cannot hold the model's tag {tag!r}; convert the file to utf-8 first"
            ) from None
