"""The vocabularies of feature columns, those of the file and those that are computed from its tokens."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.encoder import Columns, Encoder
from tagger.inputs.training_set import ListDropout
from tagger.inputs.vocabulary import UNK_ID, Ids, TokenVocabulary, build_vocabulary, grow_vocabulary
from tagger.inputs.word_lists import LIST_VALUES


class FeatureVocabularies(NamedTuple):
    """The vocabularies of the feature columns, and how training hides their values.

    Attributes:
        vocabularies: one for each column: those of the file, then the computed ones.
        unknown: for each id of all columns, the id of the unknown value if it is rare, otherwise the id itself; None
            without columns.
        lists: the hiding of matches of word lists; None without lists.
    """

    vocabularies: tuple[TokenVocabulary, ...]
    unknown: Ids | None
    lists: ListDropout | None


def build_features(
    sentences: Sequence[Columns],
    n_in_file: int,
    computed: ComputedFeatures,
    known: Encoder | None,
    *,
    list_dropout: float,
) -> FeatureVocabularies:
    """Build the vocabularies of the feature columns of the training data.

    Args:
        sentences: the columns of the file: the tokens and `n_in_file` feature columns.
        computed: computes the other columns.
        known: the vocabularies of an older model, which grow; what it knows is never rare.
        list_dropout: the probability with which a match of a word list is hidden.
    """
    of_file = [[columns[1 + i] for columns in sentences] for i in range(n_in_file)]
    of_tokens = computed.of_sentences([columns[0] for columns in sentences])
    # A list has the value for tokens outside of matches, even if the training data has no such token.
    values: list[Iterable[Sequence[str]]] = [
        *of_file,
        *([[column.absent] if column.absent is not None else [], column.per_token()] for column in of_tokens),
    ]
    vocabularies, unknown = list[TokenVocabulary](), list[Ids]()
    for i, column in enumerate(values):
        vocabulary, counts = build_vocabulary(column)
        n_known = 0
        if known is not None:
            n_known = len(known.features[i])
            vocabulary, counts = grow_vocabulary(known.features[i], vocabulary, counts)
        # The values of a list are hidden by its dropout instead.
        is_list = i >= n_in_file and of_tokens[i - n_in_file].absent is not None
        rare = rare_ids(counts, n_known) & (not is_list)
        unknown.append(np.where(rare, UNK_ID, np.arange(len(vocabulary))) + sum(map(len, vocabularies)))
        vocabularies.append(vocabulary)
    n_lists = len(computed.spec.lists)
    offsets = list(itertools.accumulate(map(len, vocabularies), initial=0))[n_in_file : n_in_file + n_lists]
    lists = None
    if n_lists:
        ids = [_ids_of_list(vocabularies[n_in_file + i]) + offset for i, offset in enumerate(offsets)]
        lists = ListDropout(list_dropout, n_in_file, np.array(ids, np.int32))
    return FeatureVocabularies(
        tuple(vocabularies), np.concatenate(unknown).astype(np.int32) if unknown else None, lists
    )


def _ids_of_list(vocabulary: TokenVocabulary) -> Ids:
    """Return the ids of a list's values as the encoder gives them."""
    ids = vocabulary.encode(LIST_VALUES)
    return np.where(ids == UNK_ID, ids[0], ids)


def rare_ids(counts: npt.NDArray[np.int64], n_known: int) -> npt.NDArray[np.bool_]:
    """Return which ids occur once, except those below `n_known`, which an old model has learned from more data."""
    rare: npt.NDArray[np.bool_] = (counts == 1) & (np.arange(len(counts)) >= n_known)
    return rare
