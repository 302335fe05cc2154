"""Vocabularies, which convert tokens and tags to ids and back.

They are built from training data only. Two ids of the token vocabulary are reserved.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
PAD_ID = 0
UNK_ID = 1
N_RESERVED = 2  # ids before that of the first token
_DIGIT = re.compile(r"[0-9]")
# The ways to find a token among pretrained vectors, in the order in which they are tried; `lookup_variants` yields
# indices into them.
LOOKUPS = ("exactly", "in another Unicode form", "in lower case", "with digits as 0", "with digits as #")
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


def lookup_variants(token: str) -> Iterator[tuple[int, str]]:
    """Yield the variants under which a token may have a pretrained vector, best first, with indices into `LOOKUPS`.

    Vectors trained on lower-cased text have no capitals. Some training texts have each digit replaced with 0; that of
    the GoogleNews vectors of word2vec has each digit replaced with #. A letter with an accent may be one character or
    two, so each of these variants is followed by its composed form (NFC) and its decomposed form (NFD).

    >>> list(lookup_variants("B-52"))
    [(0, 'B-52'), (2, 'b-52'), (3, 'B-00'), (3, 'b-00'), (4, 'B-##'), (4, 'b-##')]
    """
    for lookup, variant in _spelling_variants(token):
        yield lookup, variant
        if not token.isascii():
            forms = [unicodedata.normalize(form, variant) for form in _FORMS]
            yield from ((1, form) for form in dict.fromkeys(forms) if form != variant)


def _spelling_variants(token: str) -> Iterator[tuple[int, str]]:
    lower = token.lower()
    yield 0, token
    if lower != token:
        yield 2, lower
    if _DIGIT.search(token):
        for lookup, digit in ((3, "0"), (4, "#")):
            yield lookup, _DIGIT.sub(digit, token)
            if lower != token:
                yield lookup, _DIGIT.sub(digit, lower)


def is_line(text: str) -> bool:
    """Return whether a text can be a line of a file in UTF-8, as the tokens and tags of a model are."""
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return "\n" not in text


@dataclasses.dataclass(frozen=True)
class Normalization:
    """The changes to a token before it is looked up."""

    lowercase: bool = False
    normalize_digits: bool = False

    def __call__(self, token: str) -> str:
        """Normalize a token.

        >>> Normalization(lowercase=True, normalize_digits=True)("B-52s")
        'b-00s'
        """
        if self.lowercase:
            token = token.lower()
        return _DIGIT.sub("0", token) if self.normalize_digits else token


@dataclasses.dataclass(frozen=True)
class TokenVocabulary:
    """Known tokens: `tokens[i]` has id `i + 2`, and every other token has id `UNK_ID`.

    Attributes:
        tokens: the tokens of the training data, then those that only the pretrained vectors have.
        normalization: the changes to a token before anything else is done with it.
        n_trained: the number of tokens from the training data; None without pretrained vectors. With pretrained
            vectors, a token that is not found is also looked up in its other variants (`lookup_variants`), like the
            tokens of the vectors.

    Raises:
        ValueError: a token occurs twice, or `n_trained` is greater than the number of tokens.
    """

    tokens: tuple[str, ...]
    normalization: Normalization = Normalization()
    n_trained: int | None = None
    _ids: dict[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = {token: i for i, token in enumerate(self.tokens, start=N_RESERVED)}
        if len(ids) < len(self.tokens):
            raise ValueError("a token occurs twice in the vocabulary")
        if self.n_trained is not None and not 0 <= self.n_trained <= len(self.tokens):
            raise ValueError(
                f"n_trained: found {self.n_trained}, expected 0 to {len(self.tokens)}, the number of tokens"
            )
        object.__setattr__(self, "_ids", ids)

    def __len__(self) -> int:
        """The number of ids, including the reserved ones."""
        return len(self.tokens) + N_RESERVED

    def encode(self, tokens: Iterable[str]) -> Ids:
        """Return the ids [T] of the tokens of a sentence."""
        get, normalize = self._ids.get, self.normalization
        if self.n_trained is not None:
            plain = [normalize(token) for token in tokens]
            return np.array([get(token) or self._find(token) for token in plain], np.int32)
        if normalize == Normalization():
            return np.array([get(token, UNK_ID) for token in tokens], np.int32)
        return np.array([get(normalize(token), UNK_ID) for token in tokens], np.int32)

    def _find(self, token: str) -> int:
        """Return the id of the first known variant of a token, or `UNK_ID` if no variant is known."""
        return next((self._ids[variant] for _, variant in lookup_variants(token) if variant in self._ids), UNK_ID)


def build_vocabulary(
    sentences: Iterable[Sequence[str]],
    normalization: Normalization = Normalization(),
    *,
    min_count: int = 1,
    max_size: int | None = None,
) -> tuple[TokenVocabulary, npt.NDArray[np.int64]]:
    """Build the vocabulary of tokens that occur at least `min_count` times, at most the `max_size` most frequent.

    Returns:
        The vocabulary, with the most frequent token first (ties in order of appearance), and the training count of each
        id, [len(vocabulary)].
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


def grow_vocabulary(
    old: TokenVocabulary, new: TokenVocabulary, counts: npt.NDArray[np.int64]
) -> tuple[TokenVocabulary, npt.NDArray[np.int64]]:
    """Add the tokens of another vocabulary to a vocabulary, whose tokens keep their ids.

    Args:
        counts: the count of each id of `new`.

    Returns:
        The vocabulary, all of whose tokens count as those of training data, and the count of each of its ids.
    """
    known = set(old.tokens)
    tokens = (*old.tokens, *(token for token in new.tokens if token not in known))
    by_token = dict(zip(new.tokens, counts[N_RESERVED:].tolist(), strict=True))
    by_id = np.array([*counts[:N_RESERVED].tolist(), *(by_token.get(token, 0) for token in tokens)], np.int64)
    n_trained = None if old.n_trained is None else len(tokens)
    return TokenVocabulary(tokens, new.normalization, n_trained), by_id


@dataclasses.dataclass(frozen=True)
class TagVocabulary:
    """The tags of a network: `tags[i]` has id `i`. No id is reserved for padding or unknown tags."""

    tags: tuple[str, ...]
    _ids: Mapping[str, int] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ids", {tag: i for i, tag in enumerate(self.tags)})

    def __len__(self) -> int:
        return len(self.tags)

    def encode(self, tags: Iterable[str]) -> Ids:
        """Return the ids [T] of the tags of a sentence.

        Raises:
            KeyError: a tag was not in the training data.
        """
        return np.array([self._ids[tag] for tag in tags], np.int32)

    def decode(self, ids: npt.NDArray[np.integer]) -> list[str]:
        """Return the tags of ids [T]."""
        return [self.tags[i] for i in ids.tolist()]


def build_tag_vocabulary(tags: Iterable[Sequence[str]]) -> TagVocabulary:
    """Build the vocabulary of all tags in the training data: sorted, but with `O` first if it occurs."""
    return TagVocabulary(
        tuple(sorted({tag for sequence in tags for tag in sequence}, key=lambda tag: (tag != "O", tag)))
    )


def grow_tag_vocabulary(old: TagVocabulary, new: TagVocabulary) -> TagVocabulary:
    """Add the tags of another vocabulary to a vocabulary, whose tags keep their ids."""
    return TagVocabulary((*old.tags, *(tag for tag in new.tags if tag not in old.tags)))
