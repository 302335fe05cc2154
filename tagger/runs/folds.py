"""Divide the sentences of a corpus into folds, document by document where it has documents."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import numpy.typing as npt

from tagger.corpus.dataset import Corpus
from tagger.errors import DataError
from tagger.wording import counted

By = Literal["auto", "document", "sentence"]


@dataclasses.dataclass(frozen=True, eq=False)
class Folds:
    """The folds of a corpus of N sentences.

    Attributes:
        of: [N], the fold of each sentence, from 0.
        k: the number of folds.
        by: `document` or `sentence`.
        n_units: the number of documents or sentences that were divided.
    """

    of: npt.NDArray[np.int64]
    k: int
    by: str
    n_units: int

    def inside(self, fold: int) -> list[int]:
        """Return the indices of the sentences in a fold."""
        return [int(i) for i in np.flatnonzero(self.of == fold)]

    def outside(self, fold: int) -> list[int]:
        """Return the indices of the sentences in all other folds."""
        return [int(i) for i in np.flatnonzero(self.of != fold)]


def divide(corpus: Corpus, k: int, by: By, seed: int) -> Folds:
    """Divide a corpus into k folds with about as many tokens each.

    Sentences of a document share names and subjects, so a model that was trained on some of them is tested on the
    others too kindly. `auto` therefore divides documents if there are at least two for each fold.

    Args:
        seed: decides which units come together.

    Raises:
        DataError: there are fewer units than folds.
    """
    documents = np.asarray(corpus.documents())
    n_documents = int(documents.max(initial=-1)) + 1
    if by == "auto":
        by = "document" if n_documents >= 2 * k else "sentence"
    unit_of = documents if by == "document" else np.arange(len(corpus))
    n_units = n_documents if by == "document" else len(corpus)
    if n_units < k:
        more = "; divide by sentence" if by == "document" and len(corpus) >= k else ""
        raise DataError(
            f"{corpus.path}: found {counted(n_units, by)}, expected at least {k}, one for each fold; use fewer folds"
            f"{more}"
        )
    lengths = np.array([len(sentence.tokens) for sentence in corpus.sentences], np.float64)
    tokens = np.bincount(unit_of, lengths, minlength=n_units).astype(np.float64)
    return Folds(_balanced(tokens, k, seed)[unit_of], k, by, n_units)


def _balanced(sizes: npt.NDArray[np.floating], k: int, seed: int) -> npt.NDArray[np.int64]:
    """Return a fold for each unit: in an order drawn with the seed, each unit goes to the fold with the least in it.

    No fold stays empty, because a unit without tokens counts as one with a little.
    """
    sizes = np.maximum(sizes, 0.5)
    folds, filled = np.zeros(len(sizes), np.int64), np.zeros(k)
    order = np.random.default_rng([seed, len(sizes), k]).permutation(len(sizes))
    # The largest come first, as they fit nowhere later; equal ones keep the drawn order.
    for unit in order[np.argsort(-sizes[order], kind="stable")]:
        fold = int(filled.argmin())
        folds[unit] = fold
        filled[fold] += sizes[unit]
    return folds
