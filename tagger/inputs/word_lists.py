"""Word lists (gazetteers): the tokens of sentences that the phrases of a list match."""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

# The values of a list's feature: outside of all matches, the first token of a match, and the others.
LIST_VALUES = ("O", "B", "I")
MOST_PHRASES = 2_000_000  # of all lists together
MOST_PHRASE_TOKENS = 100
_BEGIN, _INSIDE = LIST_VALUES.index("B"), LIST_VALUES.index("I")


@dataclasses.dataclass(frozen=True, eq=False)
class WordLists:
    """Lists of phrases, and the search for them.

    A phrase matches where its tokens follow each other in one sentence. Matches of one list do not overlap: from left
    to right, the next match is the one that begins first, and of those, the longest; the search continues behind it.
    The lists know nothing of each other. Letters with accents match in any Unicode form (NFC and NFD are equal).

    Attributes:
        phrases: name → the phrases of a list, each with one space between its tokens.
        ignore_case: whether upper and lower case are equal, which is decided by full case folding (`ß` is `SS`).

    Raises:
        ValueError: a phrase has no token, an empty one or too many, or there are too many phrases.
    """

    phrases: Mapping[str, Sequence[str]]
    ignore_case: bool = False
    _lists: list[_Phrases] = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        n_phrases = sum(map(len, self.phrases.values()))
        if n_phrases > MOST_PHRASES:
            raise ValueError(f"found {n_phrases} phrases, expected at most {MOST_PHRASES}")
        lists = [_Phrases([self._comparable(phrase) for phrase in phrases]) for phrases in self.phrases.values()]
        object.__setattr__(self, "_lists", lists)

    def _comparable(self, text: str) -> str:
        """Return what two texts that match have in common."""
        if text.isascii():
            return text.lower() if self.ignore_case else text
        if self.ignore_case:  # not lower(), because the upper case of `ß` is `SS`, and `Σ` has two lower cases
            text = unicodedata.normalize("NFD", text).casefold()
        return unicodedata.normalize("NFC", text)

    def columns(
        self, distinct: Sequence[str], rows: npt.NDArray[np.int32], ends: Sequence[int]
    ) -> list[npt.NDArray[np.int32]]:
        """Return the feature of each list, [N] with indices into `LIST_VALUES`.

        Args:
            distinct: the distinct tokens of the sentences.
            rows: [N], the index of each token of all sentences in `distinct`.
            ends: the end of each sentence in `rows`.
        """
        comparable = list(map(self._comparable, distinct))
        tokens = [comparable[row] for row in rows.tolist()]
        return [phrases.values(comparable, rows, tokens, ends) for phrases in self._lists]


class _Phrases:
    """The phrases of one list."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._n_tokens: dict[str, int] = {}
        lengths: dict[str, set[int]] = {}
        for phrase in phrases:
            tokens = phrase.split(" ")
            if "" in tokens or len(tokens) > MOST_PHRASE_TOKENS:
                raise ValueError(
                    f"found the phrase {phrase[:60]!r}, expected 1 to {MOST_PHRASE_TOKENS} tokens with one space"
                    " between them"
                )
            self._n_tokens[phrase] = len(tokens)
            lengths.setdefault(tokens[0], set()).add(len(tokens))
        # First token → the numbers of tokens of the phrases that begin with it, the longest first.
        self._lengths = {token: tuple(sorted(some, reverse=True)) for token, some in lengths.items()}

    def values(
        self, distinct: list[str], rows: npt.NDArray[np.int32], tokens: list[str], ends: Sequence[int]
    ) -> npt.NDArray[np.int32]:
        """Return the value of each token, [N]; only tokens that begin a phrase cost more than an array operation."""
        values = np.zeros(len(rows), np.int32)
        begins = np.fromiter((token in self._lengths for token in distinct), bool, len(distinct))
        places = np.flatnonzero(begins[rows])
        last = np.asarray(ends, np.int64)[np.searchsorted(ends, places, "right")]
        done = 0
        for place, end in zip(places.tolist(), last.tolist(), strict=True):
            if place >= done and (n := self._longest(tokens, place, end)):
                done = place + n
                values[place], values[place + 1 : done] = _BEGIN, _INSIDE
        return values

    def _longest(self, tokens: list[str], place: int, end: int) -> int:
        """Return the number of tokens of the longest phrase that begins at a place; 0 if there is none."""
        for n in self._lengths[tokens[place]]:
            # A token may contain a space, so fewer tokens than those of a phrase may have its text.
            if n <= end - place and self._n_tokens.get(" ".join(tokens[place : place + n])) == n:
                return n
        return 0
