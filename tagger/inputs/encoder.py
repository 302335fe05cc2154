"""Sentences to the numbers that a network reads of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tagger.inputs.characters import CharacterVocabulary, WordForms, encode_forms
from tagger.inputs.vocabulary import Ids, TokenVocabulary

TOKEN, FORM, FIRST_FEATURE = 0, 1, 2  # what the columns of an encoded sentence are
# The columns of a sentence of T tokens that a network reads: its tokens, and each feature column.
Columns = Sequence[Sequence[str]]


class Encoded(NamedTuple):
    """Encoded sentences.

    Attributes:
        sentences: one array a sentence: [T, 2 + F] of the id of the token, its form, and the id of each feature; or
            just [T] token ids where the network reads nothing else.
        forms: what the forms are; None where the network reads none.
    """

    sentences: list[Ids]
    forms: WordForms | None


class Sizes(NamedTuple):
    """How many ids there are of everything: what a network's tables are as long as.

    Attributes:
        n_tokens: V, n_characters: reserved ones included; no character where the network reads none.
        n_tags: K.
        n_features: F, columns; n_feature_ids: of all of them together.
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
        tokens: ids of tokens.
        characters: ids of their characters; None if the network does not read them.
        casing: whether it reads their casing.
        features: ids of the values of each feature column; the network sees those of the second one after those of the
            first, and so on.
    """

    tokens: TokenVocabulary
    characters: CharacterVocabulary | None = None
    casing: bool = False
    features: tuple[TokenVocabulary, ...] = ()

    @property
    def feature_offsets(self) -> list[int]:
        """What is added to the ids of each feature column, and the number of all feature ids: F + 1 numbers."""
        return [0, *itertools.accumulate(map(len, self.features))]

    def sizes(self, n_tags: int) -> Sizes:
        """Those of a network with so many tags."""
        n_characters = len(self.characters) if self.characters is not None else 0
        return Sizes(len(self.tokens), n_tags, n_characters, len(self.features), self.feature_offsets[-1])

    def encode(self, sentences: Sequence[Columns]) -> Encoded:
        """Encode sentences, all at once, which is faster; a sentence may be empty."""
        columns = [list(itertools.chain.from_iterable(parts)) for parts in zip(*sentences, strict=True)]
        tokens, *features = columns or [[]] * (1 + len(self.features))
        token_ids = self.tokens.encode(tokens)
        ends = list(itertools.accumulate(len(parts[0]) for parts in sentences))
        forms: WordForms | None = None
        rows = token_ids
        if self.characters is not None or self.casing or self.features:
            form_rows, forms = self._encode_forms(tokens)
            feature_ids = [
                vocabulary.encode(values) + np.int32(offset)
                for vocabulary, values, offset in zip(self.features, features, self.feature_offsets, strict=False)
            ]
            rows = np.stack([token_ids, form_rows, *feature_ids], axis=1)
        return Encoded([rows[end - len(parts[0]) : end] for parts, end in zip(sentences, ends, strict=True)], forms)

    def _encode_forms(self, tokens: list[str]) -> tuple[Ids, WordForms | None]:
        if self.characters is None and not self.casing:
            return np.zeros(len(tokens), np.int32), None
        rows = {token: row for row, token in enumerate(dict.fromkeys(tokens), start=1)}
        return np.array([rows[token] for token in tokens], np.int32), encode_forms(list(rows), self.characters)
