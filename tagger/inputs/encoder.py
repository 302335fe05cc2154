"""Encoding of sentences as the numbers that a network reads."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tagger.inputs.characters import CharacterVocabulary, WordForms, encode_forms
from tagger.inputs.vocabulary import Ids, TokenVocabulary

TOKEN, FORM, FIRST_FEATURE = 0, 1, 2  # the columns of an encoded sentence
# The columns of a sentence that a network reads, each of T strings: its tokens, and each feature column.
Columns = Sequence[Sequence[str]]


class Encoded(NamedTuple):
    """Encoded sentences.

    Attributes:
        sentences: one array per sentence: [T, 2 + F] with the id of each token, the index of its form, and the ids of
            its features; or only token ids [T] if the network reads nothing else.
        forms: the forms that the indices refer to; None if the network reads no forms.
    """

    sentences: list[Ids]
    forms: WordForms | None


class Sizes(NamedTuple):
    """The numbers of ids, which are the lengths of a network's tables.

    Attributes:
        n_tokens: V, the number of token ids, including the reserved ones.
        n_tags: K, the number of tags.
        n_characters: the number of character ids, including the reserved ones; 0 if the network reads no characters.
        n_features: F, the number of feature columns.
        n_feature_ids: the number of feature ids of all these columns together.
    """

    n_tokens: int
    n_tags: int
    n_characters: int = 0
    n_features: int = 0
    n_feature_ids: int = 0


@dataclasses.dataclass(frozen=True)
class Encoder:
    """Everything that turns a sentence into numbers.

    Attributes:
        tokens: the ids of tokens.
        characters: the ids of characters; None if the network does not read characters.
        casing: whether the network reads the casing of tokens.
        features: the ids of the values of each feature column. In the network, the ids of the second column follow
            those of the first, and so on.
    """

    tokens: TokenVocabulary
    characters: CharacterVocabulary | None = None
    casing: bool = False
    features: tuple[TokenVocabulary, ...] = ()

    @property
    def feature_offsets(self) -> list[int]:
        """F + 1 numbers: the offset that is added to the ids of each feature column, and the number of feature ids."""
        return [0, *itertools.accumulate(map(len, self.features))]

    def sizes(self, n_tags: int) -> Sizes:
        """Return the sizes of a network with `n_tags` tags."""
        n_characters = len(self.characters) if self.characters is not None else 0
        return Sizes(len(self.tokens), n_tags, n_characters, len(self.features), self.feature_offsets[-1])

    def encode(self, sentences: Sequence[Columns]) -> Encoded:
        """Encode sentences all at once, which is faster than one by one; a sentence may be empty."""
        columns = [list(itertools.chain.from_iterable(parts)) for parts in zip(*sentences, strict=True)]
        tokens, *features = columns or [[]] * (1 + len(self.features))
        ends = list(itertools.accumulate(len(parts[0]) for parts in sentences))
        forms: WordForms | None = None
        if self.characters is None and not self.casing and not self.features:
            rows = self.tokens.encode(tokens)
        else:
            token_ids, form_rows, forms = self._encode_forms(tokens)
            feature_ids = [
                vocabulary.encode(values) + np.int32(offset)
                for vocabulary, values, offset in zip(self.features, features, self.feature_offsets, strict=False)
            ]
            rows = np.stack([token_ids, form_rows, *feature_ids], axis=1)
        return Encoded([rows[end - len(parts[0]) : end] for parts, end in zip(sentences, ends, strict=True)], forms)

    def _encode_forms(self, tokens: list[str]) -> tuple[Ids, Ids, WordForms | None]:
        """Return the id and the form of each token, and the distinct forms; each distinct token is looked up once."""
        rows = {token: row for row, token in enumerate(dict.fromkeys(tokens))}
        of_tokens = np.fromiter(map(rows.__getitem__, tokens), np.int32, len(tokens))
        ids = self.tokens.encode(rows)[of_tokens]
        if self.characters is None and not self.casing:
            return ids, np.zeros(len(tokens), np.int32), None
        return ids, of_tokens + np.int32(1), encode_forms(list(rows), self.characters)
