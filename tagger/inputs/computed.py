"""Features that are computed from the tokens of a sentence: matches of word lists, cluster paths, and subwords."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tagger.inputs.clusters import Clusters
from tagger.inputs.subwords import Subwords
from tagger.inputs.vocabulary import UNK_ID, Ids, TokenVocabulary
from tagger.inputs.word_lists import LIST_VALUES, WordLists

MOST_LISTS = 100
_MOST_NAME = 100  # characters
_NAME = re.compile(r"[^\W\d][\w-]*")


def is_feature_name(name: str) -> bool:
    """Return whether a feature column or a word list can have this name."""
    return len(name) <= _MOST_NAME and _NAME.fullmatch(name) is not None


@dataclasses.dataclass(frozen=True)
class FeatureSpec:
    """The computed features of a model; a manifest holds them.

    Attributes:
        lists: the names of its word lists.
        ignore_case: whether these ignore upper and lower case.
        cluster_bits: the lengths of the beginnings of cluster paths.
        subwords: the number of merges that its subwords were to have; 0 without subwords.
    """

    lists: tuple[str, ...] = ()
    ignore_case: bool = False
    cluster_bits: tuple[int, ...] = ()
    subwords: int = 0

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each feature; a column of a file cannot have a name with a dot."""
        lists, clusters = (f"lists.{name}" for name in self.lists), (f"clusters.{n}" for n in self.cluster_bits)
        return (*lists, *clusters, *(("subwords.first", "subwords.last") if self.subwords else ()))


class Column(NamedTuple):
    """One computed feature of N tokens.

    Attributes:
        values: its values; these need not be distinct.
        rows: [N], the index of each token's value.
        absent: the value that stands for one that the vocabulary lacks; None for the unknown value.
    """

    values: Sequence[str]
    rows: Ids
    absent: str | None = None

    def per_token(self) -> list[str]:
        """Return the value of each token."""
        return [self.values[row] for row in self.rows.tolist()]

    def encode(self, vocabulary: TokenVocabulary) -> Ids:
        """Return the id of each token's value, [N]."""
        ids = vocabulary.encode(self.values)
        if self.absent is not None:
            ids[ids == UNK_ID] = vocabulary.encode([self.absent])[0]
        return ids[self.rows]


@dataclasses.dataclass(frozen=True, eq=False)
class ComputedFeatures:
    """All that is needed to compute the features of a model.

    Attributes:
        lists: its word lists, or None.
        clusters: its clusters, or None.
        subwords: its subwords, or None.
    """

    lists: WordLists | None = None
    clusters: Clusters | None = None
    subwords: Subwords | None = None

    @property
    def spec(self) -> FeatureSpec:
        """The features that are computed, in the order of `columns`."""
        names, ignore_case = (tuple(self.lists.phrases), self.lists.ignore_case) if self.lists else ((), False)
        bits = self.clusters.bits if self.clusters else ()
        return FeatureSpec(names, ignore_case, bits, self.subwords.size if self.subwords else 0)

    def columns(self, distinct: Sequence[str], rows: Ids, ends: Sequence[int]) -> Iterator[Column]:
        """Yield each feature of the tokens of some sentences; the arguments are those of `WordLists.columns`."""
        if self.lists is not None:
            for values in self.lists.columns(distinct, rows, ends):
                yield Column(LIST_VALUES, values, absent=LIST_VALUES[0])
        if self.clusters is not None:
            for beginnings in self.clusters.columns(distinct):
                yield Column(beginnings, rows)
        if self.subwords is not None:
            for subwords in self.subwords.columns(distinct):
                yield Column(subwords, rows)

    def of_sentences(self, sentences: Sequence[Sequence[str]]) -> list[Column]:
        """Return each feature of the tokens of sentences, one after the other."""
        return list(
            self.columns(
                *distinct_tokens([token for tokens in sentences for token in tokens]),
                np.cumsum([len(tokens) for tokens in sentences], dtype=np.int64).tolist(),
            )
        )


def distinct_tokens(tokens: Sequence[str]) -> tuple[list[str], Ids]:
    """Return the distinct tokens in order of appearance, and the index of each token in them, [N]."""
    rows = {token: row for row, token in enumerate(dict.fromkeys(tokens))}
    return list(rows), np.fromiter(map(rows.__getitem__, tokens), np.int32, len(tokens))
