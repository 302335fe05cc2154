"""Matches of word lists, compared with a search by brute force."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.inputs.computed import distinct_tokens
from tagger.inputs.word_lists import LIST_VALUES, MOST_PHRASE_TOKENS, MOST_PHRASES, WordLists


def matched(lists: WordLists, *sentences: str | Sequence[str]) -> list[list[str]]:
    """Return the values of the tokens of all sentences together, for each list."""
    split = [sentence.split(" ") if isinstance(sentence, str) else sentence for sentence in sentences]
    distinct, rows = distinct_tokens([token for tokens in split for token in tokens])
    ends = np.cumsum([len(tokens) for tokens in split], dtype=np.int64).tolist()
    return [[LIST_VALUES[value] for value in column.tolist()] for column in lists.columns(distinct, rows, ends)]


def one(phrases: Sequence[str], sentence: str, *, ignore_case: bool = False) -> str:
    (values,) = matched(WordLists({"x": phrases}, ignore_case), sentence)
    return "".join(values)


@pytest.mark.parametrize(
    ("phrases", "sentence", "expected"),
    [
        (["New York"], "in New York City", "OBIO"),
        (["New York", "New York City"], "in New York City", "OBII"),  # the longest
        (["New York", "York City"], "New York City", "BIO"),  # the first; what overlaps it is not found
        (["New York", "York City Hall"], "New York City Hall", "BIOO"),  # even if it is longer
        (["New York City Hall", "York"], "New York City", "OBO"),  # a beginning alone is no match
        (["Paris"], "Paris Paris", "BB"),  # neighbours are two matches
        (["a a"], "a a a a a", "BIBIO"),
        (["York"], "New Yorker", "OO"),  # tokens are matched whole
        (["New York"], "NewYork New  York", "OOOO"),  # an empty token is a token too
        (["#nlp"], "# #nlp", "OB"),
        (["a\u3000b c"], "a\u3000b c", "BI"),  # only a space separates tokens
        ([], "a", "O"),
    ],
)
def test_matches_by_hand(phrases: list[str], sentence: str, expected: str) -> None:
    assert one(phrases, sentence) == expected


def test_case_counts_unless_it_is_ignored() -> None:
    assert one(["New York"], "new YORK") == "OO"
    assert one(["New York"], "new YORK", ignore_case=True) == "BI"
    assert one(["new york"], "New York", ignore_case=True) == "BI"


@pytest.mark.parametrize(
    ("phrase", "token"),
    [
        ("Stra\u00dfe", "STRASSE"),  # upper case has one more letter
        ("\u039f\u03b4\u03cc\u03c2", "\u039f\u0394\u038c\u03a3"),  # the sigma at the end of a word is another letter
        ("\u0130zmir", "I\u0307ZMIR"),  # a dotted capital I, as one character and as two
        ("\u0130zmir", "i\u0307zmir"),
        ("\u1fb3", "\u0391\u0399"),  # alpha with a subscript iota
    ],
)
def test_case_that_changes_the_number_of_letters_is_ignored(phrase: str, token: str) -> None:
    assert one([f"a {phrase}"], f"A {token}", ignore_case=True) == "BI"
    assert one([f"a {token}"], f"A {phrase}", ignore_case=True) == "BI"
    assert one([f"a {phrase}"], f"a {token}") == "OO"


def test_letters_with_accents_match_in_any_unicode_form() -> None:
    assert one(["S\u00e3o Paulo"], "Sa\u0303o Paulo") == "BI"
    assert one(["Sa\u0303o Paulo"], "S\u00e3o Paulo") == "BI"
    assert one(["Sao Paulo"], "S\u00e3o Paulo") == "OO"


def test_no_match_crosses_the_end_of_a_sentence() -> None:
    lists = WordLists({"x": ["New York"]})
    assert matched(lists, "New", "York", [], "New York") == [list("OOBI")]
    assert matched(lists) == [[]]
    assert matched(lists, [], []) == [[]]


def test_a_token_with_a_space_is_one_token() -> None:
    assert matched(WordLists({"x": ["New York"]}), ["New York"], ["New", "York"]) == [list("OBI")]
    lists = WordLists({"x": ["a b c d", "a x y"]})
    assert matched(lists, ["a", "b c", "d"], ["a", "b", "c", "d"]) == [list("OOOBIII")]


def test_lists_know_nothing_of_each_other() -> None:
    lists = WordLists({"city": ["New York"], "paper": ["York Times"], "all": ["New York Times"]})
    assert matched(lists, "New York Times") == [list("BIO"), list("OBI"), list("BII")]


WORDS = st.sampled_from(["a", "b", "c"])
PHRASES = st.lists(st.lists(WORDS, min_size=1, max_size=4).map(" ".join), max_size=6)


@given(PHRASES, st.lists(st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=9), max_size=4))
def test_matches_are_those_of_brute_force(phrases: list[str], sentences: list[list[str]]) -> None:
    expected = []
    for tokens in sentences:
        values = ["O"] * len(tokens)
        start = 0
        while start < len(tokens):
            ends = [end for end in range(start + 1, len(tokens) + 1) if " ".join(tokens[start:end]) in phrases]
            if ends:
                values[start : max(ends)] = ["B"] + ["I"] * (max(ends) - start - 1)
            start = max(ends, default=start + 1)
        expected += values
    assert matched(WordLists({"x": phrases}), *sentences) == [expected]


@pytest.mark.parametrize("phrase", ["", " ", "a  b", " a", "a ", " ".join(["a"] * (MOST_PHRASE_TOKENS + 1))])
def test_phrases_that_are_not_tokens_are_refused(phrase: str) -> None:
    with pytest.raises(ValueError, match="expected 1 to 100 tokens with one space between them"):
        WordLists({"x": ["a", phrase]})


def test_too_many_phrases_are_refused_before_they_take_memory() -> None:
    with pytest.raises(ValueError, match="found 2000001 phrases, expected at most 2000000"):
        WordLists({"x": range(MOST_PHRASES + 1)})  # type: ignore[dict-item]
