"""From tokens to tags in the training file's spelling, and from a CoNLL stream to the same stream with tags."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO

import numpy as np

from tagger.corpus.batching import Batch, make_batch
from tagger.corpus.conll import Sentence, read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, convert
from tagger.corpus.vocabulary import TagVocabulary, TokenVocabulary
from tagger.errors import DataError
from tagger.runtime.decoding import Scores, constraints_of, decode
from tagger.runtime.model_dir import Manifest

ScoreBatch = Callable[[Batch], Scores]  # a batch to its logits [B, T, K]

_BATCH_TOKENS = 8192  # padded tokens scored at once
_WINDOW_SENTENCES = 2048  # sentences read ahead to be batched by length


@dataclasses.dataclass(frozen=True, slots=True)
class TaggedSentence:
    """What the network says of a sentence of T tokens.

    Attributes:
        tags: T canonical tags in the training file's scheme.
        scores: the softmax probability of each chosen tag, T fractions.
    """

    tags: list[str]
    scores: list[float]


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
        self._constraints = constraints_of(tags.tags, manifest.scheme) if manifest.decoder == "constrained" else None
        self.spell = functools.cache(manifest.notation.spell)

    @property
    def spelled_tags(self) -> list[str]:
        """Every tag that can be written, in the file's spelling."""
        types = {tag.partition("-")[2] for tag in self._tags.tags} - {""}
        if self._file_scheme in (NO_SCHEME, self._scheme):
            return [self.spell(tag) for tag in self._tags.tags]
        return [self.spell(OUTSIDE), *(self.spell(f"{p}-{t}") for t in sorted(types) for p in "BI")]

    def tag(self, sentences: Sequence[Sequence[str]]) -> list[TaggedSentence]:
        """Tag sentences (lists of tokens); an empty one gets no tags."""
        encoded = [self._tokens.encode(tokens) for tokens in sentences]
        results = [TaggedSentence([], [])] * len(sentences)
        for rows in batches_by_length([len(ids) for ids in encoded]):
            batch = make_batch([encoded[i] for i in rows])
            tag_ids, scores = decode(self._score(batch), batch.lengths, self._constraints)
            for row, n, ids, probabilities in zip(rows, batch.lengths, tag_ids, scores, strict=True):
                tags = convert(self._tags.decode(ids[:n]), self._scheme, self._file_scheme)
                results[row] = TaggedSentence(tags, probabilities[:n].tolist())
        return results

    def tag_stream(self, sentences: Iterable[Sentence]) -> Iterator[tuple[Sentence, TaggedSentence]]:
        """Tag sentences as they come, a window at a time, in order."""
        stream = iter(sentences)
        while window := list(itertools.islice(stream, _WINDOW_SENTENCES)):
            yield from zip(window, self.tag([sentence.tokens for sentence in window]), strict=True)


def batches_by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Row numbers of batches of sentences of like length; empty sentences are left out."""
    order = np.argsort(np.array(lengths, np.int64), kind="stable")
    batch: list[int] = []
    for row in order.tolist():
        if batch and (len(batch) + 1) * lengths[row] > _BATCH_TOKENS:
            yield batch
            batch = []
        if lengths[row]:
            batch.append(row)
    if batch:
        yield batch


def tag_conll(
    predictor: Predictor, stream: IO[bytes], layout: Layout, *, path: str, scores: bool = False
) -> Iterator[bytes]:
    """A CoNLL stream with the predicted tag (and its score) as a further column, sentence by sentence.

    Raises:
        DataError: the stream does not fit the layout, or its encoding cannot hold the model's tags.
    """
    _check_encodable(predictor.spelled_tags, layout)
    outside = predictor.spell(OUTSIDE)
    for sentence, tagged in predictor.tag_stream(read_sentences(stream, layout, path=path)):
        added = [[predictor.spell(tag) for tag in tagged.tags]]
        docstart = [outside]
        if scores:
            added.append([f"{score:.4f}" for score in tagged.scores])
            docstart.append("1.0000")
        yield write_sentence(sentence, added, layout, docstart_columns=docstart)


def _check_encodable(tags: Iterable[str], layout: Layout) -> None:
    for tag in tags:
        try:
            tag.encode(layout.encoding)
        except UnicodeEncodeError:
            raise DataError(
                f"encoding: {layout.encoding} cannot hold the model's tag {tag!r}; convert the file to utf-8 first"
            ) from None
