"""Pretrained vectors for the tokens of a vocabulary, and ids for the tokens that only the vectors have."""

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
    """The rows in the table of vectors that belong to V tokens.

    Attributes:
        rows: [V], the row of each token's vector, or -1 if the token has none.
        lookups: [V], the way in which each vector was found, as an index into `vocabulary.LOOKUPS`, or -1 if none was.
    """

    rows: npt.NDArray[np.int64]
    lookups: npt.NDArray[np.int8]

    def counts(self, weights: npt.NDArray[np.int64] | None = None) -> list[int]:
        """Return the number of tokens found in each way of `LOOKUPS`.

        Args:
            weights: [V], how many times each token counts; None: each counts once.
        """
        ones = np.ones(len(self.rows), np.int64) if weights is None else weights
        return [int(ones[self.lookups == lookup].sum()) for lookup in range(len(LOOKUPS))]

    def coverage(self, weights: npt.NDArray[np.int64] | None = None) -> str:
        """Return a summary of how many tokens have a vector: `2 of 3 tokens (66.7 %) have a vector: 1 exactly, …`.

        Args:
            weights: [V], how often each token occurs in the training data; None: each distinct token counts once.
        """
        counts, n_tokens = self.counts(weights), len(self.rows) if weights is None else int(weights.sum())
        noun, n_found = "tokens" if weights is None else "occurrences", sum(counts)
        percent = f" ({100 * n_found / n_tokens:.1f} %)" if n_tokens else ""
        ways = ", ".join(f"{n:,} {lookup}" for n, lookup in zip(counts, LOOKUPS, strict=True) if n)
        return f"{n_found:,} of {n_tokens:,} {noun}{percent} have a vector{': ' * bool(ways)}{ways}"


def has_vector(token: str, vectors: Vectors) -> bool:
    """Return whether a token or a variant of it has a vector."""
    return _find(token, vectors)[0] != _NONE


def _find(token: str, vectors: Vectors) -> tuple[int, int]:
    """Return the row and the lookup of the first variant of a token that has a vector; both are -1 if none has."""
    for lookup, variant in lookup_variants(token):
        row = vectors.row(variant)
        if row != _NONE:
            return row, lookup
    return _NONE, _NONE


def match(tokens: Sequence[str], vectors: Vectors) -> Matches:
    """Find the vector of each token: that of the token itself, or of the first variant that has one.

    A vocabulary with pretrained vectors looks tokens up in the same order at prediction.
    """
    rows = np.full(len(tokens), _NONE, np.int64)
    lookups = np.full(len(tokens), _NONE, np.int8)
    for i, token in enumerate(tokens):
        rows[i], lookups[i] = _find(token, vectors)
    return Matches(rows, lookups)


@dataclasses.dataclass(frozen=True, eq=False)
class Extension:
    """A vocabulary to which the tokens that only the vectors have were added.

    Attributes:
        vocabulary: the training tokens with their old ids, followed by the other tokens in the order of the vectors.
        rows: [len(vocabulary)], the row of `vectors.table` that initializes each id, or -1 if none does, as for the
            reserved ids.
        matches: the matches of the training tokens; `matches.rows[i]` belongs to id i + 2.
        notes: notes for the user on what was left out.
    """

    vocabulary: TokenVocabulary
    rows: npt.NDArray[np.int64]
    matches: Matches
    notes: tuple[str, ...]


def extend_vocabulary(vocabulary: TokenVocabulary, vectors: Vectors, max_rows: int | None = None) -> Extension:
    """Add the tokens of pretrained vectors to those of the training data, so that they are known at prediction.

    Tokens that the vocabulary already has are not added again. Two kinds of tokens are left out and counted in `notes`:
    those that could never be looked up because normalization changes them, and those that a file with one token per
    line cannot hold.

    Args:
        vocabulary: the vocabulary of the training data.
        vectors: the pretrained vectors.
        max_rows: the largest number of tokens to add. None adds all. 0 adds none, but training tokens are still
            initialized with their vectors.

    Raises:
        ValueError: the vocabulary has already been extended.
    """
    if vocabulary.n_trained is not None:
        raise ValueError("the vocabulary has already been extended")
    known, normalize = set(vocabulary.tokens), vocabulary.normalization
    new_tokens, new_rows = list[str](), list[int]()
    n_changed = n_unwritable = 0
    for token, row in vectors.rows.items():
        if max_rows is not None and len(new_tokens) >= max_rows:
            break
        if token in known:
            continue
        if normalize(token) != token:
            n_changed += 1
        elif not is_writable(token):
            n_unwritable += 1
        else:
            new_tokens.append(token)
            new_rows.append(row)
    matches = match(vocabulary.tokens, vectors)
    n_trained = len(vocabulary.tokens)
    rows = np.concatenate([np.full(N_RESERVED, _NONE), matches.rows, np.array(new_rows, np.int64)])
    notes = []
    if n_changed:
        notes.append(
            f"vectors not used because vocabulary.lowercase or normalize_digits changes their token: {n_changed:,}"
        )
    if n_unwritable:
        notes.append(f"vectors not used because their token contains a line end or is not valid text: {n_unwritable:,}")
    extended = TokenVocabulary((*vocabulary.tokens, *new_tokens), vocabulary.normalization, n_trained)
    return Extension(extended, rows, matches, tuple(notes))


def is_writable(token: str) -> bool:
    """Return whether `tokens.txt` can hold a token, which must be one line of valid UTF-8."""
    try:
        token.encode()
    except UnicodeEncodeError:
        return False
    return not {"\n", "\r"} & set(token)
