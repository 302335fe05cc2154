"""Tokens and tags to ids and back. Built from training data only; two ids of the token vocabulary are reserved."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
PAD_ID = 0
UNK_ID = 1
N_RESERVED = 2  # ids before the first token's
_DIGIT = re.compile(r"[0-9]")
# How a token is found where there are pretrained vectors, in this order; `lookup_variants` gives indices into it.
LOOKUPS = ("exactly", "in lower case", "with digits as 0", "with digits as #")


def lookup_variants(token: str) -> Iterator[tuple[int, str]]:
    """The forms in which a token may have a pretrained vector, the best first, each with its index into `LOOKUPS`.

    Vectors of lower-cased text know no capitals; some training texts had each digit replaced by 0, those of
    word2vec's GoogleNews by #.

    >>> list(lookup_variants("B-52"))
    [(0, 'B-52'), (1, 'b-52'), (2, 'B-00'), (2, 'b-00'), (3, 'B-##'), (3, 'b-##')]
    """
    lower = token.lower()
    yield 0, token
    if lower != token:
        yield 1, lower
    if _DIGIT.search(token):
        for lookup, digit in ((2, "0"), (3, "#")):
            yield lookup, _DIGIT.sub(digit, token)
            if lower != token:
                yield lookup, _DIGIT.sub(digit, lower)


@dataclasses.dataclass(frozen=True)
class Normalization:
    """What is done to a token before it is looked up."""

    lowercase: bool = False
    normalize_digits: bool = False

    def __call__(self, token: str) -> str:
        """
        >>> Normalization(lowercase=True, normalize_digits=True)("B-52s")
        'b-00s'
        """
        if self.lowercase:
            token = token.lower()
        return _DIGIT.sub("0", token) if self.normalize_digits else token


@dataclasses.dataclass(frozen=True)
class TokenVocabulary:
    """Known tokens: `tokens[i]` has id `i + 2`; every other token has id `UNK_ID`.

    Attributes:
        tokens: those of the training data, then those that only the pretrained vectors know.
        normalization: what is done to a token before all else.
        n_trained: how many of the tokens are from the training data; None without pretrained vectors. With them, a
            token that is not known is looked up in its other forms too (`lookup_variants`), as its vector was.

    Raises:
        ValueError: a token stands twice, or `n_trained` is beyond the tokens.
    """

    tokens: tuple[str, ...]
    normalization: Normalization = Normalization()
    n_trained: int | None = None
    _ids: dict[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {token: i for i, token in enumerate(self.tokens, start=N_RESERVED)}
        if len(ids) < len(self.tokens):
            raise ValueError("a token stands twice in the vocabulary")
        if self.n_trained is not None and not 0 <= self.n_trained <= len(self.tokens):
            raise ValueError(f"n_trained: found {self.n_trained}, expected 0 to {len(self.tokens)}, the tokens' number")
        object.__setattr__(self, "_ids", ids)

    def __len__(self) -> int:
        """The number of ids, reserved ones included."""
        return len(self.tokens) + N_RESERVED

    def encode(self, tokens: Iterable[str]) -> Ids:
        """Ids of a sentence's tokens, [T]."""
        get, normalize = self._ids.get, self.normalization
        if self.n_trained is not None:
            plain = [normalize(token) for token in tokens]
            return np.array([get(token) or self._find(token) for token in plain], np.int32)
        if normalize == Normalization():
            return np.array([get(token, UNK_ID) for token in tokens], np.int32)
        return np.array([get(normalize(token), UNK_ID) for token in tokens], np.int32)

    def _find(self, token: str) -> int:
        """The id of the first form of a token that is known."""
        return next((self._ids[form] for _, form in lookup_variants(token) if form in self._ids), UNK_ID)


def build_vocabulary(
    sentences: Iterable[Sequence[str]],
    normalization: Normalization = Normalization(),
    *,
    min_count: int = 1,
    max_size: int | None = None,
) -> tuple[TokenVocabulary, npt.NDArray[np.int64]]:
    """The tokens that occur at least `min_count` times, the `max_size` commonest of them.

    Returns:
        The vocabulary, commonest token first (ties in order of appearance), and the training count of every id,
        [len(vocabulary)].
    """
    counts: collections.Counter[str] = collections.Counter()
    for tokens in sentences:
        counts.update(map(normalization, tokens))
    kept = [(token, n) for token, n in counts.most_common(max_size) if n >= min_count]
    vocabulary = TokenVocabulary(tuple(token for token, _ in kept), normalization)
    by_id = np.zeros(len(vocabulary), np.int64)
    by_id[N_RESERVED:] = [n for _, n in kept]
    by_id[UNK_ID] = counts.total() - by_id.sum()
    return vocabulary, by_id


@dataclasses.dataclass(frozen=True)
class TagVocabulary:
    """The network's tags: `tags[i]` has id `i`. No padding, no unknown."""

    tags: tuple[str, ...]
    _ids: Mapping[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {tag: i for i, tag in enumerate(self.tags)})

    def __len__(self) -> int:
        return len(self.tags)

    def encode(self, tags: Iterable[str]) -> Ids:
        """Ids of a sentence's tags, [T].

        Raises:
            KeyError: a tag was not in the training data.
        """
        return np.array([self._ids[tag] for tag in tags], np.int32)

    def decode(self, ids: npt.NDArray[np.integer]) -> list[str]:
        """The tags of ids [T]."""
        return [self.tags[i] for i in ids.tolist()]


def build_tag_vocabulary(tags: Iterable[Sequence[str]]) -> TagVocabulary:
    """All tags of the training data, sorted, `O` first where there is one."""
    return TagVocabulary(
        tuple(sorted({tag for sequence in tags for tag in sequence}, key=lambda tag: (tag != "O", tag)))
    )
