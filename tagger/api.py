"""The Python interface: `from tagger import Tagger`."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from tagger.corpus.conll import Sentence
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.runtime.engine import load_predictor
from tagger.runtime.grouping import WINDOW_SENTENCES
from tagger.runtime.predictor import Predictor, TaggedSentence


@dataclasses.dataclass(frozen=True, slots=True)
class ScoredSpan:
    """Tokens `start` to `end` (exclusive) are one entity or chunk of a type.

    Attributes:
        type: `_` where the training file's tags have no types.
        score: the product of its tokens' scores: the probability that all of them have these tags, if each token's
            tag is drawn by itself.
    """

    type: str
    start: int
    end: int
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of a sentence of T tokens.

    Attributes:
        tags: T tags, as `tagger predict` writes them: in the training file's scheme and spelling.
        scores: T fractions, the softmax probability of each tag.
        spans: what the tags mark, in order, read as conlleval reads them; none where tags are plain.
    """

    tags: list[str]
    scores: list[float]
    spans: list[ScoredSpan]


class Tagger:
    """A trained model, loaded. Threads may share it.

        tagger = Tagger.load("models/sample")
        (prediction,) = tagger.tag([["EU", "rejects", "German", "call"]])

    A sentence's tags depend on neither the sentences beside it nor the number of threads.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._has_spans = predictor.model.manifest.notation.scheme != NO_SCHEME

    @classmethod
    def load(cls, directory: str | os.PathLike[str], *, threads: int | None = None, device: str = "cpu") -> Tagger:
        """Load a model directory; needs no TensorFlow.

        Args:
            threads: batches that are computed side by side; None: as many as there are cores.
            device: `cpu`, or `gpu` where onnxruntime-gpu is installed.

        Raises:
            tagger.errors.ModelError: the directory is missing, partial, altered, or of another format.
            tagger.errors.DeviceError: the GPU cannot be used.
            ValueError: `threads` or `device` is none of these.
        """
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ValueError(f"threads: found {threads!r}, expected a whole number from 1, or None for all cores")
        if device not in ("cpu", "gpu"):
            raise ValueError(f"device: found {device!r}, expected 'cpu' or 'gpu'")
        return cls(load_predictor(Path(directory), threads=threads, device=device))

    @property
    def tags(self) -> list[str]:
        """All tags that can come out, as the training file spells them."""
        return self._predictor.spelled_tags

    def tag(self, sentences: Iterable[Sequence[str]]) -> list[Prediction]:
        """Tag sentences, each a list of tokens; an empty one has no tags.

        Raises:
            TypeError: a sentence is text, or a token is not.
        """
        checked = [_checked(tokens, i) for i, tokens in enumerate(sentences)]
        return [self._prediction(tagged) for tagged in self._predictor.tag(checked)]

    def tag_stream(
        self, sentences: Iterable[Sequence[str]], *, read_ahead: int = WINDOW_SENTENCES
    ) -> Iterator[Prediction]:
        """Tag sentences as they come, in order, in constant memory.

        Args:
            read_ahead: sentences that are batched by length; with 1 each is tagged before the next one is read,
                otherwise up to three times as many are under way.

        Raises:
            TypeError: as `tag`. What `sentences` itself raises comes after the sentences before it.
            ValueError: `read_ahead` is none.
        """
        if type(read_ahead) is not int or read_ahead < 1:
            raise ValueError(f"read_ahead: found {read_ahead!r}, expected a whole number from 1")
        return self._stream(sentences, read_ahead)

    def _stream(self, sentences: Iterable[Sequence[str]], read_ahead: int) -> Iterator[Prediction]:
        stream = (
            Sentence(_checked(tokens, i), [], [], range(0), [], 0) for i, tokens in enumerate(sentences)
        )  # of no file: without lines
        how = {"ahead": 0} if read_ahead == 1 else {}
        for group in self._predictor.tag_windows(stream, read_ahead, **how):
            for _, tagged in group:
                yield self._prediction(tagged)

    def _prediction(self, tagged: TaggedSentence) -> Prediction:
        spans = spans_from_tags(tagged.tags) if self._has_spans else []
        return Prediction(
            [self._predictor.spell(tag) for tag in tagged.tags],
            tagged.scores,
            [
                ScoredSpan(span.type, span.start, span.end, math.prod(tagged.scores[span.start : span.end]))
                for span in spans
            ],
        )


def _checked(tokens: Sequence[str], i: int) -> list[str]:
    if isinstance(tokens, str | bytes):
        raise TypeError(f"sentence {i}: found the text {tokens[:40]!r}, expected a list of tokens; split it first")
    if isinstance(tokens, Mapping | AbstractSet) or not isinstance(tokens, Iterable):
        raise TypeError(f"sentence {i}: found a {type(tokens).__name__}, expected a list of tokens")
    tokens = list(tokens)
    if not set(map(type, tokens)) <= {str}:
        for token in tokens:
            if not isinstance(token, str):
                raise TypeError(f"sentence {i}: found a token of type {type(token).__name__}, expected str")
    return tokens
