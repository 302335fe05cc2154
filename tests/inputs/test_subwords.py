from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from tagger.inputs.subwords import END, Pair, Subwords, learn_subwords


def joining(*pairs: Pair) -> Subwords:
    return Subwords(pairs, len(pairs))


def test_pairs_are_joined_in_the_order_in_which_they_were_learned() -> None:
    learned = joining(("e", "s"), ("es", "t</w>"), ("l", "o"), ("lo", "w"), ("n", "e"))
    assert learned.cut("lowest") == ["low", "est</w>"]
    assert learned.cut("newest") == ["ne", "w", "est</w>"]
    assert learned.cut("estes") == ["es", "t", "e", "s</w>"], "the end of a token is marked"
    # In "nes", both pairs could be joined; the one that was learned first is.
    assert learned.cut("nesx") == ["n", "es", "x</w>"]


def test_a_pair_of_equal_symbols_is_joined_from_left_to_right() -> None:
    assert joining(("a", "a")).cut("aaaab") == ["aa", "aa", "b</w>"]
    assert joining(("a", "a")).cut("aaab") == ["aa", "a", "b</w>"]


def test_the_columns_are_the_first_and_the_last_subword() -> None:
    learned = joining(("u", "n"), ("e", "d</w>"))
    assert learned.columns(["undone", "tied", "a", "ed"]) == (
        ["un", "t", "a</w>", "ed</w>"],
        ["e</w>", "ed</w>", "a</w>", "ed</w>"],
    )
    assert learned.columns([]) == ([], [])


def test_not_all_tokens_of_an_endless_stream_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagger.inputs.subwords._MOST_REMEMBERED", 3)
    learned = joining(("a", "b</w>"))
    tokens = ["ab", "cab", "ab", "d", "e", "f", "ab"]
    assert learned.columns(tokens) == (
        ["ab</w>", "c", "ab</w>", "d</w>", "e</w>", "f</w>", "ab</w>"],
        ["ab</w>", "ab</w>", "ab</w>", "d</w>", "e</w>", "f</w>", "ab</w>"],
    )
    assert len(learned._ends) <= 3
    learned.columns(["ab" * 1000])
    assert max(map(len, learned._ends)) < 10, "a long token is not remembered"


def test_the_most_frequent_pair_is_learned_first_and_ties_are_sorted() -> None:
    counts = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    # es 9, then est</w> 9; then lo 7; then ew, ne and west… 6, of which the first in order is taken.
    assert learn_subwords(counts, 4).pairs == (("e", "s"), ("es", "t</w>"), ("l", "o"), ("e", "w"))


def test_no_pair_that_occurs_once_is_learned() -> None:
    assert learn_subwords({"abc": 1, "xyz": 1}, 10).pairs == ()
    assert learn_subwords({"ab": 2}, 10).pairs == (("a", "b</w>"),)
    assert learn_subwords({}, 10).pairs == ()


def _learned_slowly(counts: dict[str, int], n_pairs: int) -> tuple[tuple[str, str], ...]:
    """Return the pairs that the definition gives, counting all of them again after each."""
    words = {word: [*word[:-1], word[-1] + END] for word in counts}
    learned: list[tuple[str, str]] = []
    while len(learned) < n_pairs:
        frequencies = Counter[tuple[str, str]]()
        for word, symbols in words.items():
            for pair in itertools.pairwise(symbols):
                frequencies[pair] += counts[word]
        best = min(frequencies, key=lambda pair: (-frequencies[pair], pair), default=None)
        if best is None or frequencies[best] < 2:
            break
        if best not in learned:
            learned.append(best)
        for word, symbols in words.items():
            joined, i = [], 0
            while i < len(symbols):
                n = 2 if tuple(symbols[i : i + 2]) == best else 1
                joined.append("".join(symbols[i : i + n]))
                i += n
            words[word] = joined
    return tuple(learned)


def test_learning_agrees_with_its_definition() -> None:
    drawn = random.Random(1)
    for _ in range(200):
        words = {"".join(drawn.choices("aabc", k=drawn.randint(1, 9))) for _ in range(drawn.randint(1, 25))}
        counts = {word: drawn.randint(1, 4) for word in sorted(words)}
        assert learn_subwords(counts, 30).pairs == _learned_slowly(counts, 30), counts


def test_only_the_most_frequent_tokens_teach_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"zz": 2, "abc": 3, "abd": 3, "xy": 9}
    expected = learn_subwords({"xy": 9, "abc": 3}, 9)
    assert learn_subwords(counts, 9).pairs != expected.pairs
    monkeypatch.setattr("tagger.inputs.subwords.MOST_LEARNED", 2)
    assert learn_subwords(counts, 9).pairs == expected.pairs


def test_letters_with_accents_are_cut_alike_in_any_form() -> None:
    learned = learn_subwords({"cafe\u0301": 2}, 10)
    assert learned.cut("cafe\u0301") == learned.cut("caf\u00e9") == ["caf\u00e9</w>"]
    long = "b" + "\u00e9" * 63  # 127 characters in its other form
    assert learn_subwords({long: 9}, 100).cut("b" + "e\u0301" * 63) == [long + END]


def test_a_token_that_a_file_cannot_hold_teaches_nothing() -> None:
    assert learn_subwords({"a\tb": 9, "a\nb": 9, "a\udc80b": 9, "a</w>b": 9, "xy": 2}, 10).pairs == (("x", "y</w>"),)
    two_ends = "q" * 30 + "</" + "m" * 10 + "w>" + "q" * 30
    assert learn_subwords({two_ends: 9}, 10).pairs == (), "what is left of a long token has the mark"
    learned = joining(("x", "y</w>"))
    assert learned.cut("x\ty") == ["x", "\t", "y</w>"]
    assert learned.cut("xy</w>") == ["x", "y", "<", "/", "w", "></w>"]
    assert learned.cut("a\u3000\u00a0") == ["a", "\u3000", "\u00a0</w>"]


def test_of_a_long_token_both_ends_are_cut() -> None:
    token = "ab" * 500_000 + "yz"
    subwords = joining(("a", "b"), ("y", "z</w>")).cut(token)
    assert (subwords[0], subwords[-1], len("".join(subwords))) == ("ab", "yz</w>", 64 + len(END))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ((("a", ""),), "expected two symbols that are not empty"),
        ((("a", "b"), ("a", "b")), "found 1 pairs twice"),
        ((("a", "b"), ("c", "d"), ("e", "f")), "found 3 pairs, expected at most 2"),
    ],
)
def test_pairs_that_cannot_be_joined_are_refused(pairs: tuple[tuple[str, str], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Subwords(pairs, 2)
