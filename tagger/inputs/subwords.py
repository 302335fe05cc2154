"""Byte-pair subwords of tokens, and the first and the last subword of a token as features."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tagger.inputs.vocabulary import is_line

END = "</w>"  # the mark of the last character of a token
MOST_PAIRS = 100_000
MOST_LEARNED = 50_000  # tokens; rarer ones change little and would take minutes
_MOST_REMEMBERED = 1 << 16  # tokens
_LONGEST = 64  # characters of a token that are cut; of a longer one, half of them from each end
Pair = tuple[str, str]


@dataclasses.dataclass(frozen=True, eq=False)
class Subwords:
    """Byte-pair encoding (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units").

    A token begins as its characters, the last of which is marked. Then the earliest pair in `pairs` that two neighbours
    make up is joined wherever it occurs, from left to right, until no neighbours are a pair. Unlike the tokens of a
    vocabulary, those cut into subwords keep case and digits. Letters with accents are cut alike in any Unicode form.

    Attributes:
        pairs: the pairs of symbols that are joined, each of them once.
        size: the number of pairs that were to be learned; the tokens may have had fewer.

    Raises:
        ValueError: a pair has an empty part or occurs twice, or there are too many pairs.
    """

    pairs: tuple[Pair, ...]
    size: int
    _ranks: Mapping[Pair, int] = dataclasses.field(init=False, repr=False)
    _ends: dict[str, tuple[str, str]] = dataclasses.field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        ranks = {pair: rank for rank, pair in enumerate(self.pairs)}
        if len(self.pairs) > self.size:
            raise ValueError(f"found {len(self.pairs)} pairs, expected at most {self.size}")
        if len(ranks) < len(self.pairs):
            raise ValueError(f"found {len(self.pairs) - len(ranks)} pairs twice, expected each pair once")
        if bad := next((pair for pair in self.pairs if not all(pair)), None):
            raise ValueError(f"found the pair {str(bad)[:60]}, expected two symbols that are not empty")
        object.__setattr__(self, "_ranks", ranks)

    def cut(self, token: str) -> list[str]:
        """Return the subwords of a token; the last one ends with `END`.

        >>> Subwords((("g", "o"), ("go", "t</w>")), 2).cut("forgot")
        ['f', 'o', 'r', 'got</w>']
        """
        symbols = _symbols(_comparable(token))
        while len(symbols) > 1:
            rank = min(self._ranks.get(pair, len(self.pairs)) for pair in itertools.pairwise(symbols))
            if rank == len(self.pairs):
                break
            symbols = _joined(symbols, self.pairs[rank])
        return symbols

    def columns(self, distinct: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return the first and the last subword of each token."""
        ends = [self._ends.get(token) or self._cut_ends(token) for token in distinct]
        return [first for first, _ in ends], [last for _, last in ends]

    def _cut_ends(self, token: str) -> tuple[str, str]:
        """Return the first and the last subword of a token, and remember them: frequent tokens come in every batch."""
        subwords = self.cut(token)
        ends = subwords[0], subwords[-1]
        if len(token) <= _LONGEST:
            if len(self._ends) >= _MOST_REMEMBERED:
                self._ends.clear()
            self._ends[token] = ends
        return ends


def learn_subwords(counts: Mapping[str, int], size: int) -> Subwords:
    """Learn the pairs of symbols to join: the most frequent pair of neighbours is joined, over and over.

    Of pairs that are equally frequent, the one that sorts first is joined. Only the `MOST_LEARNED` most frequent tokens
    teach anything, and none of them that holds the mark `END`, or that a file of lines and TABs cannot hold.

    Args:
        counts: token → how often it occurs.
        size: the number of pairs; fewer are learned if no pair occurs twice any more.
    """
    texts = {token: _comparable(token) for token in counts}
    learnable = [token for token, text in texts.items() if END not in text and "\t" not in text and is_line(text)]
    learnable = heapq.nsmallest(MOST_LEARNED, learnable, key=lambda token: (-counts[token], token))
    words, numbers = [_symbols(texts[token]) for token in learnable], [counts[token] for token in learnable]
    frequencies, holders = defaultdict[Pair, int](int), defaultdict[Pair, set[int]](set)
    for i, word in enumerate(words):
        for pair in itertools.pairwise(word):
            frequencies[pair] += numbers[i]
            holders[pair].add(i)
    queue = [(-n, pair) for pair, n in frequencies.items()]
    heapq.heapify(queue)
    learned: dict[Pair, None] = {}  # a pair may come back, made up of symbols that were joined in another way
    for pair in _most_frequent(queue, frequencies):
        learned[pair] = None
        if len(learned) == size:
            break
        changed = set[Pair]()
        for i in holders.pop(pair):
            old, words[i] = words[i], _joined(words[i], pair)
            if len(old) == len(words[i]):  # other pairs have taken the symbols
                continue
            lost, found = _different(old, words[i])
            for neighbours in itertools.pairwise(lost):
                frequencies[neighbours] -= numbers[i]
                changed.add(neighbours)
            for neighbours in itertools.pairwise(found):
                frequencies[neighbours] += numbers[i]
                changed.add(neighbours)
                holders[neighbours].add(i)
        for neighbours in changed:
            heapq.heappush(queue, (-frequencies[neighbours], neighbours))
    return Subwords(tuple(learned), size)


def _most_frequent(queue: list[tuple[int, Pair]], frequencies: Mapping[Pair, int]) -> Iterator[Pair]:
    """Yield the most frequent pair, over and over, while it occurs twice; skip entries that are out of date."""
    while queue:
        n, pair = heapq.heappop(queue)
        if -n == frequencies[pair]:
            if -n < 2:
                return
            yield pair


def _comparable(token: str) -> str:
    """Return what two tokens that are cut alike have in common."""
    text = token if token.isascii() else unicodedata.normalize("NFC", token)
    return text if len(text) <= _LONGEST else text[: _LONGEST // 2] + text[-_LONGEST // 2 :]


def _symbols(text: str) -> list[str]:
    """Return the characters of a text, the last of which is marked."""
    return [*text[:-1], text[-1:] + END]


def _joined(symbols: Sequence[str], pair: Pair) -> list[str]:
    """Return the symbols with a pair joined wherever it occurs, from left to right."""
    joined: list[str] = []
    for symbol in symbols:
        if joined and (joined[-1], symbol) == pair:  # what was joined just now is longer than the first of the pair
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return joined


def _different(old: Sequence[str], new: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the parts in which two splits of a word differ, with a symbol on each side that they share."""
    start = next(i for i, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
    end = next(i for i, (one, other) in enumerate(zip(old[::-1], new[::-1], strict=False)) if one != other)
    start, end = max(start - 1, 0), max(end - 1, 0)
    return old[start : len(old) - end], new[start : len(new) - end]
