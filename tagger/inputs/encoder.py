"""Encoding of sentences as the numbers that a network reads."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tagger.inputs.characters import CharacterVocabulary, WordForms, encode_forms
from tagger.inputs.computed import ComputedFeatures, distinct_tokens
from tagger.inputs.vocabulary import Ids, TokenVocabulary

TOKEN, FORM, FIRST_FEATURE = 0, 1, 2  # the columns of an encoded sentence
# The columns of a sentence that a file has, each of T strings: its tokens, and each feature column.
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
        n_features: F, the number of feature columns, including the computed ones.
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
        features: the ids of the values of each feature column: those of the file, then the computed ones. In the
            network, the ids of the second column follow those of the first, and so on.
        computed: computes the features that are not in the file.
    """

    tokens: TokenVocabulary
    characters: CharacterVocabulary | None = None
    casing: bool = False
    features: tuple[TokenVocabulary, ...] = ()
    computed: ComputedFeatures = dataclasses.field(default_factory=ComputedFeatures)

    @property
    def n_in_file(self) -> int:
        """The number of feature columns that a file has."""
        return len(self.features) - len(self.computed.spec.names)

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
        tokens, *features = columns or [[]] * (1 + self.n_in_file)
        ends = list(itertools.accumulate(len(parts[0]) for parts in sentences))
        forms: WordForms | None = None
        if self.characters is None and not self.casing and not self.features:
            rows = self.tokens.encode(tokens)
        else:
            distinct, of_tokens = distinct_tokens(tokens)  # each distinct token is looked up once
            form_rows, forms = self._encode_forms(distinct, of_tokens)
            feature_ids = self._encode_features(features, distinct, of_tokens, ends)
            rows = np.stack([self.tokens.encode(distinct)[of_tokens], form_rows, *feature_ids], axis=1)
        return Encoded([rows[end - len(parts[0]) : end] for parts, end in zip(sentences, ends, strict=True)], forms)

    def _encode_forms(self, distinct: list[str], of_tokens: Ids) -> tuple[Ids, WordForms | None]:
        """Return the form of each token, and the distinct forms."""
        if self.characters is None and not self.casing:
            return np.zeros(len(of_tokens), np.int32), None
        return of_tokens + np.int32(1), encode_forms(distinct, self.characters)

    def _encode_features(
        self, features: Sequence[Sequence[str]], distinct: list[str], of_tokens: Ids, ends: Sequence[int]
    ) -> list[Ids]:
        """Return the ids of each feature of the tokens, [N] each."""
        in_file = self.features[: self.n_in_file]
        ids = [vocabulary.encode(values) for vocabulary, values in zip(in_file, features, strict=True)]
        computed = self.computed.columns(distinct, of_tokens, ends)
        ids += [
            column.encode(vocabulary)
            for vocabulary, column in zip(self.features[self.n_in_file :], computed, strict=True)
        ]
        return [column + np.int32(offset) for column, offset in zip(ids, self.feature_offsets, strict=False)]
