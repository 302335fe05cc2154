"""The computed features that a config asks for, and how much of a corpus they cover."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tagger.errors import ConfigError, DataError
from tagger.inputs.clusters import NO_CLUSTER, Clusters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.word_lists import WordLists
from tagger.lexicons.paths import read_packaged_paths, read_paths
from tagger.lexicons.phrases import PhraseFile, cut_otherwise, read_lists
from tagger.wording import counted

_MOST_SHOWN = 3  # tokens in a message
Sentences = Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Lexicons:
    """Computed features with the files they come from.

    Attributes:
        features: computes them.
        files: the content of the file of each word list that was read, by name.
    """

    features: ComputedFeatures = dataclasses.field(default_factory=ComputedFeatures)
    files: Mapping[str, PhraseFile] = dataclasses.field(default_factory=dict)


def read_lexicons(
    *,
    lists: Mapping[str, str],
    ignore_case: bool,
    clusters: str | None,
    cluster_language: str | None,
    cluster_bits: Sequence[int],
    old: ComputedFeatures | None = None,
) -> Lexicons:
    """Read word lists and clusters.

    Args:
        lists: name → file of phrases.
        ignore_case: whether lists ignore upper and lower case.
        clusters: the file of clusters, or None.
        cluster_language: the language of the clusters of spacy-lookups-data, or None.
        cluster_bits: the lengths of the beginnings of paths.
        old: what an older model has, which takes the place of lists or clusters that are not given.

    Raises:
        DataError: a file cannot be read or holds something else.
        ConfigError: a package is not installed.
    """
    word_lists, files = None if old is None else old.lists, dict[str, PhraseFile]()
    if lists:
        word_lists, files = read_lists(lists, ignore_case=ignore_case)
    paths = None
    if clusters is not None:
        try:
            paths = read_paths(clusters)
        except DataError as error:
            raise DataError(f"features.clusters: {error.message}", detail=error.detail) from None
    elif cluster_language is not None:
        paths = read_packaged_paths(cluster_language)
    if paths is None:
        return Lexicons(ComputedFeatures(word_lists, None if old is None else old.clusters), files)
    try:
        return Lexicons(ComputedFeatures(word_lists, Clusters(paths, tuple(cluster_bits))), files)
    except ValueError as error:
        raise ConfigError(f"features.clusters: {error}; name other clusters") from None


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The number of tokens of a corpus that word lists and clusters know.

    Attributes:
        n_tokens: the number of tokens of the corpus.
        covered: key of the config → the number of tokens inside matches of that list, or that have a cluster.
    """

    n_tokens: int
    covered: Mapping[str, int]


def coverage_of(features: ComputedFeatures, sentences: Sentences) -> Coverage:
    """Count the tokens of sentences that word lists and clusters know."""
    columns, covered = iter(features.of_sentences(sentences)), {}
    for name in features.lists.phrases if features.lists is not None else ():
        covered[f"features.lists.{name}"] = int(np.count_nonzero(next(columns).rows))
    if features.clusters is not None:
        covered["features.clusters"] = sum(value != NO_CLUSTER for value in next(columns).per_token())
    return Coverage(sum(map(len, sentences)), covered)


def describe(lexicons: Lexicons, corpora: Mapping[str, Sentences]) -> tuple[list[str], list[str]]:
    """Say how much of some corpora word lists and clusters know.

    Args:
        corpora: name → the tokens of its sentences; the first is the training data.

    Returns:
        Notes, and warnings about lists that the network cannot learn from.
    """
    features, train = lexicons.features, next(iter(corpora.values()))
    of_corpora = {name: coverage_of(features, sentences) for name, sentences in corpora.items()}
    notes, warnings = [], []
    for key in next(iter(of_corpora.values())).covered:
        name = key.removeprefix("features.lists.")
        is_list = name != key
        shares = [f"{one.covered[key]:,} of {one.n_tokens:,} in {corpus}" for corpus, one in of_corpora.items()]
        notes.append(f"{key}: {_size(lexicons, name if is_list else None)}; tokens covered: {', '.join(shares)}")
        if not next(iter(of_corpora.values())).covered[key]:
            warnings.append(_without_match(lexicons, key, name if is_list else None, train))
    known = {token for tokens in train for token in tokens} if lexicons.files else set()
    for name, file in lexicons.files.items():
        if cut := cut_otherwise(file.phrases, known):
            shown = ", ".join(cut[:_MOST_SHOWN])
            notes.append(
                f"features.lists.{name}: {counted(len(cut), 'token')} that train may cut, such as {shown}; such phrases"
                " match only if they are written as the tokens of the corpus, with spaces between them"
            )
    return notes, warnings


def _size(lexicons: Lexicons, name: str | None) -> str:
    features = lexicons.features
    if name is None:
        return counted(len(features.clusters.paths), "word") if features.clusters is not None else ""
    if name in lexicons.files:
        return lexicons.files[name].description
    n_phrases = len(features.lists.phrases[name]) if features.lists is not None else 0
    return f"{counted(n_phrases, 'phrase')}, as in the model"


def _without_match(lexicons: Lexicons, key: str, name: str | None, train: Sentences) -> str:
    """Return the warning that nothing in the training data is known, with a reason if one is found."""
    lists = lexicons.features.lists
    if name is None or lists is None:
        return f"{key}: found no word of train, expected some; name clusters of the same language"
    found = f"{key}: found none of its phrases in train, expected some, because the network learns there what they mean"
    if not lists.ignore_case:
        folded = ComputedFeatures(WordLists({name: lists.phrases[name]}, ignore_case=True))
        if n := coverage_of(folded, train).covered[key]:
            return f"{found}; set features.ignore_case to true, which covers {counted(n, 'token')}"
    return f"{found}; write its phrases as train writes them, with spaces between the tokens, or delete the list"
