"""Word vectors that are learned from sentences without labels (word2vec, fastText), with gensim.

The sentences are read once, because cutting raw text into tokens takes as long as an epoch or two: their normalized
tokens are stored in a temporary file, from which every epoch reads them. Memory grows with the number of distinct
tokens only. docs/decisions/0012-learned-vectors.md says why gensim.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any, Literal, Protocol

from tagger.errors import DataError, TaggerError
from tagger.inputs.vocabulary import Normalization
from tagger.vectors.matching import is_writable
from tagger.vectors.table import Vectors
from tagger.wording import counted

Algorithm = Literal["skip-gram", "cbow", "fasttext"]
_EXTRA = "vectors"
_LONGEST = 10_000  # tokens; gensim passes over the rest of a longer sentence
_MOST_DISTINCT = 5_000_000  # distinct tokens that are counted at a time, which take about 0.7 GB
_N_BUCKETS = 500_000  # rows for the n-grams of fastText; with its own two million, they take 0.8 GB at 100 numbers each


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningSettings:
    """The settings for learning vectors.

    Attributes:
        algorithm: `skip-gram` and `cbow` are those of word2vec (Mikolov et al. 2013, https://arxiv.org/abs/1301.3781),
            with negative sampling; `fasttext` is skip-gram with the n-grams of each token (Bojanowski et al. 2017,
            https://arxiv.org/abs/1607.04606).
        size: the length of each vector.
        window: the largest distance, in tokens, between a token and its context.
        min_count: how often a token must occur to get a vector.
        epochs: how often the text is read.
        seed: the seed of all random draws.
        workers: the number of threads that learn. More than one make the result depend on their timing.
        normalization: the changes to each token before anything else is done with it.

    Raises:
        ValueError: a number is too small.
    """

    algorithm: Algorithm = "skip-gram"
    size: int = 100
    window: int = 5
    min_count: int = 3
    epochs: int = 5
    seed: int = 1
    workers: int = 1
    normalization: Normalization = dataclasses.field(default_factory=Normalization)

    def __post_init__(self) -> None:
        for name in ("size", "window", "min_count", "epochs", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: found {getattr(self, name)}, expected 1 or more")


class Listener(Protocol):
    """What is told how far the learning is. `learn` may be called by another thread than the main one."""

    def read(self, n_tokens: int) -> None:
        """Say how many tokens have been read; called after each sentence."""

    def stored(self, text: StoredText) -> None:
        """Say that all sentences have been read."""

    def learn(self, epoch: int, n_tokens: int) -> None:
        """Say how many tokens of an epoch (from 1) have been given to learn from; called after each sentence."""


@dataclasses.dataclass(frozen=True, eq=False)
class StoredText:
    """Sentences in a file, each a JSON list of tokens on a line.

    Attributes:
        file: the file, which every reader reads from its beginning.
        counts: how often each token occurs, in the order of their first occurrences; rare ones may be missing.
        n_sentences, n_tokens: the numbers of what is in the file.
        notes: notes for the user on what was left out.
    """

    file: IO[str]
    counts: collections.Counter[str]
    n_sentences: int
    n_tokens: int
    notes: tuple[str, ...] = ()


def require_library() -> Any:
    """Import gensim, which takes a second, and return it.

    Raises:
        TaggerError: it is not installed.
        ImportError: it or a package that it needs is damaged.
    """
    try:
        import gensim
    except ModuleNotFoundError as error:
        if error.name != "gensim":
            raise
        raise TaggerError(
            "vectors: found no gensim, expected it to learn from text;"
            f" run pip install '.[{_EXTRA}]' in a clone of tagger"
        ) from None
    return gensim


def learn_vectors(sentences: Iterable[list[str]], settings: LearningSettings, listener: Listener) -> Vectors:
    """Learn the vectors of the tokens of sentences, the most frequent first (ties in order of appearance).

    With one worker, the same sentences and settings give the same bits.

    Args:
        sentences: the tokens of each sentence, which are read once.
        settings: the settings.
        listener: told how far it is.

    Raises:
        DataError: no token occurs often enough, or there is not enough memory or place for the temporary file.
        TaggerError: gensim is not installed.
    """
    require_library()
    try:
        # The file has no name, so that nothing is left of it even if the process is killed.
        with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as file:
            text = store(sentences, file, settings.normalization, listener)
            listener.stored(text)
            found = learn_model(text, settings, listener)
            return Vectors({token: row for row, token in enumerate(found.index_to_key)}, found.vectors, text.notes)
    except OSError as error:
        raise DataError(
            f"the text cannot be stored in the temporary folder {tempfile.gettempdir()}: {error.strerror or error};"
            " set TMPDIR to one with as much space as the text takes"
        ) from None


def store(
    sentences: Iterable[list[str]],
    file: IO[str],
    normalization: Normalization,
    listener: Listener,
    *,
    most_distinct: int = _MOST_DISTINCT,
) -> StoredText:
    """Normalize the tokens of sentences, count them, and write them to a file.

    Args:
        sentences: the tokens of each sentence. Longer ones than gensim reads are cut.
        file: the file, which is empty and can be read too; its line ends are LF.
        normalization: the changes to each token.
        listener: told how many tokens have been read.
        most_distinct: if more distinct tokens than that are counted, the rarest are forgotten, as word2vec does.

    Raises:
        OSError: the file cannot be written.
    """
    counts: collections.Counter[str] = collections.Counter()
    n_sentences = n_tokens = n_unwritable = n_forgotten = 0
    for sentence in sentences:
        tokens = [token for token in map(normalization, sentence) if token in counts or is_writable(token)]
        n_unwritable += len(sentence) - len(tokens)
        for start in range(0, len(tokens), _LONGEST):
            file.write(json.dumps(tokens[start : start + _LONGEST], ensure_ascii=False) + "\n")
            n_sentences += 1
        counts.update(tokens)
        n_tokens += len(tokens)
        listener.read(n_tokens)
        if len(counts) > most_distinct:
            n_forgotten = max(n_forgotten, _forget(counts, most_distinct))
    file.flush()
    notes = []
    if n_unwritable:
        notes.append(f"tokens left out because they hold a line end or are not valid text: {n_unwritable:,}")
    if n_forgotten:
        notes.append(
            f"found more than {most_distinct:,} distinct tokens, so those were forgotten that had occurred at most"
            f" {counted(n_forgotten, 'time')} when there were too many; their later occurrences are counted anew"
        )
    return StoredText(file, counts, n_sentences, n_tokens, tuple(notes))


def _forget(counts: collections.Counter[str], most: int) -> int:
    """Remove the rarest tokens until at most half of `most` remain, and return how often they occurred at most."""
    least = 0
    while len(counts) > most // 2:
        least += 1
        for token in [token for token, n in counts.items() if n <= least]:
            del counts[token]
    return least


def learn_model(text: StoredText, settings: LearningSettings, listener: Listener) -> Any:
    """Return gensim's `KeyedVectors` of a stored text; those of fastText also hold the vectors of n-grams.

    Raises:
        DataError: no token occurs often enough, or there is not enough memory.
    """
    kept = {token: n for token, n in text.counts.most_common() if n >= settings.min_count}
    if not kept:
        if not text.counts:
            raise DataError("found no token, expected raw text; check the files, and --from")
        most = max(text.counts.values())
        raise DataError(
            f"found {text.n_tokens:,} tokens, of which none occurs more than {most} times, expected some that occur"
            f" {settings.min_count} times; give more text, or lower --min-count"
        )
    try:
        model = _model(settings)
        model.build_vocab_from_freq(kept, corpus_count=text.n_sentences)
    except MemoryError:
        raise DataError(
            f"out of memory: found {counted(len(kept), 'token')} to learn vectors of {counted(settings.size, 'number')}"
            " for, expected fewer; lower --size, or raise --min-count"
        ) from None
    reader = _Reader(text.file, listener)
    model.train(reader, total_examples=text.n_sentences, total_words=text.n_tokens, epochs=settings.epochs)
    if reader.error is not None:
        raise reader.error
    return model.wv


def _model(settings: LearningSettings) -> Any:
    models = require_library().models
    # It warns of texts that are too small to need it, on standard error if nobody listens.
    logging.getLogger("gensim").addHandler(logging.NullHandler())
    common = {
        "vector_size": settings.size, "window": settings.window, "min_count": settings.min_count,
        "sg": int(settings.algorithm != "cbow"), "seed": settings.seed, "workers": settings.workers,
        "sorted_vocab": 0,  # the tokens come sorted
    }  # fmt: skip
    return (
        models.FastText(bucket=_N_BUCKETS, **common) if settings.algorithm == "fasttext" else models.Word2Vec(**common)
    )


class _Reader:
    """The sentences of a stored text, which gensim iterates over once for each epoch, in a thread of its own."""

    def __init__(self, file: IO[str], listener: Listener) -> None:
        self._file, self._listener, self._epoch = file, listener, 0
        self.error: Exception | None = None  # raised in that thread, it would let gensim wait for ever

    def __iter__(self) -> Iterator[list[str]]:
        self._epoch += 1
        n_tokens = 0
        try:
            self._file.seek(0)
            for line in self._file:
                tokens = json.loads(line)
                yield tokens
                n_tokens += len(tokens)
                self._listener.learn(self._epoch, n_tokens)
        except Exception as error:
            self.error = error
