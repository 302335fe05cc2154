"""The choice of a vector for each token of the vocabulary, and the tokens that the vectors add."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.inputs.vocabulary import UNK_ID, Normalization, TokenVocabulary
from tagger.vectors.matching import Extension, extend_vocabulary, match
from tagger.vectors.table import Vectors


def vectors_of(*tokens: str) -> Vectors:
    return Vectors({token: row for row, token in enumerate(tokens)}, np.arange(len(tokens), dtype=np.float32)[:, None])


# The forms of B-52 in order, written out so that they do not depend on the code.
ORDER = ["B-52", "b-52", "B-00", "b-00", "B-##", "b-##"]
HOW = [0, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("first", range(len(ORDER)))
def test_a_token_gets_the_vector_of_its_best_form(first: int) -> None:
    worse_first = [*reversed(ORDER[first:])]
    matches = match(["B-52"], vectors_of("x", *worse_first))
    assert matches.rows.tolist() == [len(worse_first)]
    assert matches.lookups.tolist() == [HOW[first]]


def test_a_token_has_no_vector_if_none_of_its_forms_has_one() -> None:
    matches = match(["B-52", "IT", "٣", ""], vectors_of("B-5#", "It", "0", "B-53", "#"))
    assert matches.rows.tolist() == matches.lookups.tolist() == [-1, -1, -1, -1]
    assert matches.rows.dtype == np.int64
    assert match([], vectors_of("a")).rows.shape == (0,)


def test_coverage_is_reported_by_distinct_tokens_and_by_occurrences() -> None:
    tokens = ["a", "b", "IT", "77", "X9", "none", "1"]
    matches = match(tokens, vectors_of("1", "x#", "it", "00", "b", "a"))
    assert matches.rows.tolist() == [5, 4, 2, 3, 1, -1, 0]
    assert matches.counts() == [3, 0, 1, 1, 1]
    assert matches.coverage() == (
        "6 of 7 tokens (85.7 %) have a vector: 3 exactly, 1 in lower case, 1 with digits as 0, 1 with digits as #"
    )
    weights = np.array([9000, 1, 900, 87, 0, 2357, 0])
    assert matches.counts(weights) == [9001, 0, 900, 87, 0]
    assert matches.coverage(weights) == (
        "9,988 of 12,345 occurrences (80.9 %) have a vector: 9,001 exactly, 900 in lower case, 87 with digits as 0"
    )
    assert match(["x"], vectors_of("a")).coverage() == "0 of 1 tokens (0.0 %) have a vector"
    assert match([], vectors_of("a")).coverage() == "0 of 0 tokens have a vector"


def test_decomposed_letters_find_the_vectors_of_composed_ones_and_the_other_way_round() -> None:
    # 1 of these 7 tokens had a vector when only the exact characters were looked up.
    composed = ["árvíz", "tűrő", "fúró", "gép", "Ír", "üt", "ok"]
    decomposed = [unicodedata.normalize("NFD", token) for token in composed]
    for tokens, known in ((decomposed, composed), (composed, decomposed)):
        matches = match(tokens, vectors_of(*known))
        assert matches.rows.tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert matches.coverage() == "7 of 7 tokens (100.0 %) have a vector: 1 exactly, 6 in another Unicode form"
    both = match(decomposed[4:5], vectors_of("\u00edr", composed[4], decomposed[4]))
    assert both.rows.tolist() == [2]
    assert match(decomposed[4:5], vectors_of("\u00edr", composed[4])).rows.tolist() == [1]
    assert match(decomposed[4:5], vectors_of("\u00edr")).lookups.tolist() == [1]


# --- Tokens that only the vectors have -----------------------------------------------------------------------------


def extended(tokens: str, vectors: str, max_rows: int | None = None, *normal: bool) -> Extension:
    return extend_vocabulary(TokenVocabulary((*tokens.split(),), Normalization(*normal)), vectors_of(*vectors.split()), max_rows)  # fmt: skip


def test_training_tokens_keep_their_ids_and_the_others_follow_in_the_order_of_the_vectors() -> None:
    extension = extended("The b Zz", "the d b The2 c")
    assert extension.vocabulary.tokens == ("The", "b", "Zz", "the", "d", "The2", "c")
    assert extension.vocabulary.n_trained == 3
    assert extension.rows.tolist() == [-1, -1, 0, 2, -1, 0, 1, 3, 4]
    assert extension.rows.dtype == np.int64
    assert len(extension.rows) == len(extension.vocabulary)
    assert extension.matches.rows.tolist() == [0, 2, -1]
    assert extension.matches.lookups.tolist() == [2, 0, -1]
    assert extension.notes == ()


@pytest.mark.parametrize(
    ("max_rows", "added", "rows"),
    [(0, "", []), (1, "the", [0]), (2, "the d", [0, 1]), (3, "the d c", [0, 1, 3]), (9, "the d c", [0, 1, 3])],
)
def test_at_most_max_rows_tokens_are_added(max_rows: int, added: str, rows: list[int]) -> None:
    extension = extended("The b", "the d b c", max_rows)
    assert extension.vocabulary.tokens == ("The", "b", *added.split())
    assert extension.vocabulary.n_trained == 2
    assert extension.rows.tolist() == [-1, -1, 0, 2, *rows]


@pytest.mark.parametrize(
    ("normal", "added", "n"),
    [
        ((False, False), "The the 52 00 B-5 b-0 ##", 0),
        ((True, False), "the 52 00 b-0 ##", 2),
        ((False, True), "The the 00 b-0 ##", 2),
        ((True, True), "the 00 b-0 ##", 3),
    ],
)
def test_tokens_that_normalization_would_change_are_left_out(normal: tuple[bool, bool], added: str, n: int) -> None:
    extension = extended("a", "The the 52 00 B-5 a b-0 ##", None, *normal)
    assert extension.vocabulary.tokens == ("a", *added.split())
    why = "vectors not used because vocabulary.lowercase or normalize_digits changes their token"
    assert extension.notes == ((f"{why}: {n}",) if n else ())
    assert extension.vocabulary.normalization == Normalization(*normal)


def test_tokens_that_a_line_of_a_text_file_cannot_hold_are_left_out() -> None:
    good = ("a b", "\u2028", "\x85", "\u00a0", "\t", "𝄞")
    vectors = vectors_of("x\ny", *good[:3], "\r", "\ud800z", *good[3:])
    extension = extend_vocabulary(TokenVocabulary(()), vectors, 6)
    assert extension.vocabulary.tokens == good
    assert extension.rows.tolist() == [-1, -1, 1, 2, 3, 6, 7, 8]
    assert extension.notes == ("vectors not used because their token contains a line end or is not valid text: 3",)


def test_a_vocabulary_can_be_extended_only_once() -> None:
    with pytest.raises(ValueError, match="already been extended"):
        extend_vocabulary(extended("a", "b").vocabulary, vectors_of("c"))


words = st.text("aA1#0ß\u00e9e\u0301", max_size=3)


@given(
    st.lists(words, max_size=5, unique=True),
    st.lists(words, max_size=8, unique=True),
    st.none() | st.integers(0, 5),
    st.booleans(),
    st.booleans(),
    st.lists(words, max_size=5),
)
def test_prediction_and_matching_find_the_same_vectors(
    trained: list[str], known: list[str], max_rows: int | None, lowercase: bool, digits: bool, unseen: list[str]
) -> None:
    normalization = Normalization(lowercase, digits)
    trained = list(dict.fromkeys(map(normalization, trained)))
    vectors = vectors_of(*known)
    extension = extend_vocabulary(TokenVocabulary((*trained,), normalization), vectors, max_rows)
    vocabulary, rows = extension.vocabulary, extension.rows
    # Every token of the extended vocabulary is found as itself, and every added token starts with its own vector.
    assert vocabulary.encode(vocabulary.tokens).tolist() == list(range(2, len(vocabulary)))
    assert [known[row] for row in rows[2 + len(trained) :]] == list(vocabulary.tokens[len(trained) :])
    assert rows[2 : 2 + len(trained)].tolist() == match(trained, vectors).rows.tolist()
    if max_rows is None and not trained:
        # Here the vocabulary consists of the vectors that can be looked up, so both searches use the same order.
        usable = [token for token in known if normalization(token) == token]
        found = match(list(map(normalization, unseen)), vectors_of(*usable)).rows
        expected = [known.index(usable[row]) if row >= 0 else -1 for row in found]
        ids = vocabulary.encode(unseen)
        assert rows[ids].tolist() == expected
        assert (ids == UNK_ID).tolist() == [row == -1 for row in expected]
