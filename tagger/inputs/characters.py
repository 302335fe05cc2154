"""Word forms: the characters and the casing of a token. They are available even if the token is unknown.

They depend on the letters alone, so they are computed only once for each distinct token.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tagger.inputs.vocabulary import N_RESERVED, UNK_ID, Ids

MAX_CHARACTERS = 64  # of a longer token, the network reads only the first and the last 32 characters


class Casing(enum.IntEnum):
    """The shapes of a token that Reimers & Gurevych (2017) distinguish; digits of any script are digits."""

    PADDING = 0
    NUMERIC = 1  # 1996
    LOWER = 2  # says
    UPPER = 3  # EU
    INITIAL_UPPER = 4  # German; but iPhone is OTHER
    MAINLY_NUMERIC = 5  # 1990s: more than half are digits
    CONTAINS_DIGIT = 6  # F16a
    OTHER = 7


def casing_of(token: str) -> Casing:
    """Return the casing of a token.

    >>> [casing_of(token).name for token in ("1996", "says", "EU", "German", "1990s", "F16ab", "%", "")]
    ['NUMERIC', 'LOWER', 'UPPER', 'INITIAL_UPPER', 'MAINLY_NUMERIC', 'CONTAINS_DIGIT', 'OTHER', 'OTHER']
    """
    n_digits = 0 if token.isalpha() else sum(map(str.isdigit, token))
    if n_digits:
        if n_digits == len(token):
            return Casing.NUMERIC
        return Casing.MAINLY_NUMERIC if n_digits > len(token) / 2 else Casing.CONTAINS_DIGIT
    if token.islower():
        return Casing.LOWER
    if token.isupper():
        return Casing.UPPER
    return Casing.INITIAL_UPPER if token[:1].isupper() else Casing.OTHER


@dataclasses.dataclass(frozen=True)
class CharacterVocabulary:
    """Known characters: `characters[i]` has id `i + 2`, and every other character has id `UNK_ID`.

    Raises:
        ValueError: an entry is not a single character, or a character occurs twice.
    """

    characters: tuple[str, ...]
    _codes: npt.NDArray[np.uint32] = dataclasses.field(init=False, repr=False, compare=False)
    _order: npt.NDArray[np.intp] = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if any(len(character) != 1 for character in self.characters):
            raise ValueError("found a line that is not a single character")
        if len(set(self.characters)) < len(self.characters):
            raise ValueError("a character occurs twice in the vocabulary")
        codes = np.array(list(map(ord, self.characters)), np.uint32)
        object.__setattr__(self, "_order", np.argsort(codes))
        object.__setattr__(self, "_codes", codes[self._order])

    def __len__(self) -> int:
        """The number of ids, including the reserved ones."""
        return len(self.characters) + N_RESERVED

    def encode(self, text: str) -> Ids:
        """Return the ids [N] of the characters of a text."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        if not self.characters:
            return np.full(len(codes), UNK_ID, np.int32)
        places = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        ids = np.where(self._codes[places] == codes, self._order[places] + N_RESERVED, UNK_ID)
        return ids.astype(np.int32)


def build_characters(tokens: Iterable[str]) -> tuple[CharacterVocabulary, npt.NDArray[np.int64]]:
    """Return the vocabulary of all characters in the tokens, the most frequent first, and the count of each id."""
    counts: collections.Counter[str] = collections.Counter()
    for token in tokens:
        counts.update(token)
    common = counts.most_common()
    return (
        CharacterVocabulary(tuple(character for character, _ in common)),
        np.array([0] * N_RESERVED + [n for _, n in common], np.int64),
    )


def grow_characters(
    old: CharacterVocabulary, new: CharacterVocabulary, counts: npt.NDArray[np.int64]
) -> tuple[CharacterVocabulary, npt.NDArray[np.int64]]:
    """Add the characters of another vocabulary to a vocabulary, whose characters keep their ids.

    Args:
        counts: the count of each id of `new`.

    Returns:
        The vocabulary, and the count of each of its ids.
    """
    known = set(old.characters)
    characters = (*old.characters, *(character for character in new.characters if character not in known))
    by_character = dict(zip(new.characters, counts[N_RESERVED:].tolist(), strict=True))
    by_id = [*counts[:N_RESERVED].tolist(), *(by_character.get(character, 0) for character in characters)]
    return CharacterVocabulary(characters), np.array(by_id, np.int64)


@dataclasses.dataclass(frozen=True)
class WordForms:
    """S distinct forms; the first is the form of padding.

    Attributes:
        casing: [S], the `Casing` of each form.
        characters: [N], the character ids of all forms, one form after the other. Each form has at least one, and none
            is `PAD_ID`.
        lengths: [S], the number of characters of each form.
    """

    casing: Ids
    characters: Ids
    lengths: Ids

    def select(self, rows: npt.NDArray[np.integer]) -> WordForms:
        """Return the forms of the given rows, in the order of the rows."""
        lengths = self.lengths[rows]
        ends = np.cumsum(self.lengths)
        offsets = np.repeat(ends[rows] - self.lengths[rows] - (np.cumsum(lengths) - lengths), lengths)
        return WordForms(self.casing[rows], self.characters[np.arange(len(offsets)) + offsets], lengths)

    def padded(self) -> Ids:
        """Return the character ids [S, C], with one row per form, zero-padded on the right."""
        mask = np.arange(self.lengths.max()) < self.lengths[:, None]
        rows = np.zeros(mask.shape, np.int32)
        rows[mask] = self.characters
        return rows


def encode_forms(tokens: Sequence[str], vocabulary: CharacterVocabulary | None) -> WordForms:
    """Return the forms of padding and of distinct tokens.

    Args:
        tokens: the distinct tokens.
        vocabulary: the known characters; None if the network does not read characters. Each form then has one
            placeholder character.
    """
    casing = np.array([Casing.PADDING, *map(casing_of, tokens)], np.int32)
    if vocabulary is None:
        ones = np.ones(len(casing), np.int32)
        return WordForms(casing, ones * UNK_ID, ones)
    read = ["", *map(_ends, tokens)] if max(map(len, tokens), default=0) > MAX_CHARACTERS else ["", *tokens]
    lengths = np.fromiter(map(len, read), np.int32, len(read))
    # Padding and an empty token are one unknown character each, so that every form has at least one.
    empty = np.flatnonzero(lengths == 0)
    for row in empty.tolist():
        read[row] = "\0"
    lengths[empty] = 1
    characters = vocabulary.encode("".join(read))
    characters[np.cumsum(lengths)[empty] - 1] = UNK_ID
    return WordForms(casing, characters, lengths)


def _ends(token: str) -> str:
    half = MAX_CHARACTERS // 2
    return token if len(token) <= MAX_CHARACTERS else token[:half] + token[-half:]
