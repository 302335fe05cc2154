"""Pretrained vectors for the tokens of a vocabulary, and rows for the tokens that only the vectors know."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tagger.inputs.vocabulary import LOOKUPS, N_RESERVED, TokenVocabulary, lookup_variants
from tagger.vectors.table import Vectors

_NONE = -1


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """Where the vectors of V tokens are.

    Attributes:
        rows: [V], the row of each token's vector; -1: it has none.
        lookups: [V], how it was found, an index into `vocabulary.LOOKUPS`; -1: it was not.
    """

    rows: npt.NDArray[np.int64]
    lookups: npt.NDArray[np.int8]

    def counts(self, weights: npt.NDArray[np.int64] | None = None) -> list[int]:
        """How many tokens were found in each of the ways `LOOKUPS`; token i counts `weights[i]` times, or once."""
        ones = np.ones(len(self.rows), np.int64) if weights is None else weights
        return [int(ones[self.lookups == lookup].sum()) for lookup in range(len(LOOKUPS))]

    def coverage(self, weights: npt.NDArray[np.int64] | None = None) -> str:
        """How many tokens have a vector, for the user: `2 of 3 tokens (66.7 %) have a vector: 1 exactly, …`.

        Args:
            weights: [V], how often each token occurs in the training data; None: each distinct token counts once.
        """
        counts, n_tokens = self.counts(weights), len(self.rows) if weights is None else int(weights.sum())
        noun, n_found = "tokens" if weights is None else "occurrences", sum(counts)
        percent = f" ({100 * n_found / n_tokens:.1f} %)" if n_tokens else ""
        ways = ", ".join(f"{n:,} {lookup}" for n, lookup in zip(counts, LOOKUPS, strict=True) if n)
        return f"{n_found:,} of {n_tokens:,} {noun}{percent} have a vector{': ' * bool(ways)}{ways}"


def match(tokens: Sequence[str], vectors: Vectors) -> Matches:
    """The vector of each token: of the token itself, else of the first of its other forms that has one.

    The same order as that in which a vocabulary with pretrained vectors looks tokens up at prediction.
    """
    rows = np.full(len(tokens), _NONE, np.int64)
    lookups = np.full(len(tokens), _NONE, np.int8)
    for i, token in enumerate(tokens):
        for lookup, form in lookup_variants(token):
            row = vectors.row(form)
            if row != _NONE:
                rows[i], lookups[i] = row, lookup
                break
    return Matches(rows, lookups)


@dataclasses.dataclass(frozen=True, eq=False)
class Extension:
    """A vocabulary with the tokens that only the vectors know.

    Attributes:
        vocabulary: the training tokens with their old ids, then the others, in the vectors' order.
        rows: [len(vocabulary)], the row of `vectors.table` with which each id begins; -1: none, as for the reserved.
        matches: of the training tokens, `matches.rows[i]` for id i + 2.
        notes: what the user should know: what was left out.
    """

    vocabulary: TokenVocabulary
    rows: npt.NDArray[np.int64]
    matches: Matches
    notes: tuple[str, ...]


def extend_vocabulary(vocabulary: TokenVocabulary, vectors: Vectors, max_rows: int | None = None) -> Extension:
    """Add the tokens of pretrained vectors to those of the training data, so that prediction knows them.

    Left out are tokens that could never be looked up, since normalization would change them; those that the
    vocabulary has already; and, counted in `notes`, those that a file of one token a line cannot hold.

    Args:
        vocabulary: of the training data.
        max_rows: add so many tokens at most; None: all; 0: none, but training tokens still begin with their vectors.

    Raises:
        ValueError: the vocabulary has been extended before.
    """
    if vocabulary.n_trained is not None:
        raise ValueError("the vocabulary has been extended before")
    known, normalize = set(vocabulary.tokens), vocabulary.normalization
    new: dict[str, int] = {}
    n_changed = n_unwritable = 0
    for row, token in enumerate(vectors.tokens):
        if max_rows is not None and len(new) >= max_rows:
            break
        if token in known:
            continue
        if normalize(token) != token:
            n_changed += 1
        elif not _is_writable(token):
            n_unwritable += 1
        else:
            new[token] = row
    matches = match(vocabulary.tokens, vectors)
    n_trained = len(vocabulary.tokens)
    rows = np.concatenate([np.full(N_RESERVED, _NONE), matches.rows, np.array([*new.values()], np.int64)])
    notes = []
    if n_changed:
        notes.append(
            f"vectors not used, since vocabulary.lowercase or normalize_digits changes their token: {n_changed:,}"
        )
    if n_unwritable:
        notes.append(f"vectors not used, since their token has a line end or is no valid text: {n_unwritable:,}")
    extended = TokenVocabulary((*vocabulary.tokens, *new), vocabulary.normalization, n_trained)
    return Extension(extended, rows, matches, tuple(notes))


def _is_writable(token: str) -> bool:
    """Whether `tokens.txt` can hold a token: one line, valid UTF-8."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return not {"\n", "\r"} & set(token)
