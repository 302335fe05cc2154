from __future__ import annotations

import collections
import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.inputs import vocabulary as vocabulary_module
from tagger.inputs.vocabulary import (
    LOOKUPS,
    N_RESERVED,
    PAD_ID,
    UNK_ID,
    Normalization,
    TagVocabulary,
    TokenVocabulary,
    build_tag_vocabulary,
    build_vocabulary,
    grow_tag_vocabulary,
    grow_vocabulary,
    lookup_variants,
)


def split(*sentences: str) -> list[list[str]]:
    return [sentence.split() for sentence in sentences]


def test_the_docstring_examples_hold() -> None:
    results = doctest.testmod(vocabulary_module)
    assert results.attempted > 0
    assert results.failed == 0


# --- Tokens --------------------------------------------------------------------------------------------------------


def test_padding_has_id_0_unknown_has_id_1_and_tokens_begin_at_2() -> None:
    assert (PAD_ID, UNK_ID, N_RESERVED) == (0, 1, 2)
    vocabulary = TokenVocabulary(("b", "a"))
    ids = vocabulary.encode(["a", "b", "c", "", "A"])
    assert ids.tolist() == [3, 2, 1, 1, 1]
    assert ids.dtype == np.int32
    assert len(vocabulary) == 4
    assert TokenVocabulary(()).encode(["a"]).tolist() == [1]
    assert TokenVocabulary(("a",)).encode([]).tolist() == []


def test_the_most_frequent_token_comes_first_and_ties_keep_their_order_of_appearance() -> None:
    vocabulary, counts = build_vocabulary(split("d b c b", "a c e c"))
    assert vocabulary.tokens == ("c", "b", "d", "a", "e")
    assert counts.tolist() == [0, 0, 3, 2, 1, 1, 1]
    assert len(counts) == len(vocabulary)


def test_rare_tokens_are_left_out_and_counted_as_unknown() -> None:
    vocabulary, counts = build_vocabulary(split("a b b c c c d"), min_count=2)
    assert vocabulary.tokens == ("c", "b")
    assert counts.tolist() == [0, 2, 3, 2]
    assert vocabulary.encode(["a", "b", "c"]).tolist() == [UNK_ID, 3, 2]


def test_at_most_max_size_tokens_are_kept_and_earlier_ones_win_ties() -> None:
    sentences = split("e d c b a b a c")
    vocabulary, counts = build_vocabulary(sentences, max_size=2)
    assert vocabulary.tokens == ("c", "b")
    assert counts.tolist() == [0, 4, 2, 2]
    assert build_vocabulary(sentences, max_size=4)[0].tokens == ("c", "b", "a", "e")
    assert build_vocabulary(sentences, max_size=99)[0].tokens == ("c", "b", "a", "e", "d")
    assert build_vocabulary(sentences, max_size=4, min_count=2)[0].tokens == ("c", "b", "a")


def test_tokens_are_normalized_before_they_are_counted_or_looked_up() -> None:
    vocabulary, counts = build_vocabulary(
        split("The the 12 34 B-52s"), Normalization(lowercase=True, normalize_digits=True)
    )
    assert vocabulary.tokens == ("the", "00", "b-00s")
    assert counts.tolist() == [0, 0, 2, 2, 1]
    assert vocabulary.encode(["THE", "99", "b-77S", "1"]).tolist() == [2, 3, 4, UNK_ID]


@pytest.mark.parametrize(
    ("normalization", "expected"),
    [
        (Normalization(), "ÉA-52٣"),
        (Normalization(lowercase=True), "éa-52٣"),
        (Normalization(normalize_digits=True), "ÉA-00٣"),  # ASCII digits only
        (Normalization(lowercase=True, normalize_digits=True), "éa-00٣"),
    ],
)
def test_each_normalization_makes_only_its_own_change(normalization: Normalization, expected: str) -> None:
    assert normalization("ÉA-52٣") == expected
    vocabulary = TokenVocabulary((expected,), normalization)
    assert vocabulary.encode(["ÉA-52٣"]).tolist() == [2]


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=6), max_size=10),
    st.integers(1, 3),
    st.none() | st.integers(0, 6),
)
def test_a_vocabulary_lists_the_training_tokens_by_their_counts(
    sentences: list[list[str]], min_count: int, max_size: int | None
) -> None:
    tokens = [token for sentence in sentences for token in sentence]
    first_seen = {token: tokens.index(token) for token in tokens}
    ranked = sorted(first_seen, key=lambda token: (-tokens.count(token), first_seen[token]))
    kept = [token for token in ranked[:max_size] if tokens.count(token) >= min_count]
    vocabulary, counts = build_vocabulary(sentences, min_count=min_count, max_size=max_size)
    assert vocabulary.tokens == tuple(kept)
    by_id = collections.Counter(vocabulary.encode(tokens).tolist())
    assert counts.tolist() == [by_id[i] for i in range(len(vocabulary))]


def test_sentences_may_come_from_a_generator() -> None:
    vocabulary, _ = build_vocabulary(sentence for sentence in split("a b", "b"))
    assert vocabulary.tokens == ("b", "a")


def test_a_token_may_not_occur_twice() -> None:
    with pytest.raises(ValueError, match="twice"):
        TokenVocabulary(("a", "b", "a"))


# --- With pretrained vectors ---------------------------------------------------------------------------------------

FORMS = ["B-52", "b-52", "B-00", "b-00", "B-##", "b-##"]


@pytest.mark.parametrize("first", range(len(FORMS)))
def test_with_vectors_an_unknown_token_is_looked_up_in_its_other_forms_in_order(first: int) -> None:
    tokens = ("x", *reversed(FORMS[first:]))
    vocabulary = TokenVocabulary(tokens, n_trained=1)
    assert vocabulary.encode(["B-52", "x", "X", "y"]).tolist() == [1 + len(tokens), 2, 2, UNK_ID]
    assert vocabulary.encode(["B-52"]).dtype == np.int32
    # Without vectors, a token is looked up in one form only.
    exact = 1 + len(tokens) if first == 0 else UNK_ID
    assert TokenVocabulary(tokens).encode(["B-52", "X"]).tolist() == [exact, UNK_ID]


def test_lookup_forms_are_derived_from_the_normalized_token() -> None:
    vocabulary = TokenVocabulary(("b-##", "B-00"), Normalization(normalize_digits=True), n_trained=0)
    assert vocabulary.encode(["B-52", "b-52", "C"]).tolist() == [3, 2, UNK_ID]
    vocabulary = TokenVocabulary(("B-52", "b-##"), Normalization(lowercase=True), n_trained=2)
    assert vocabulary.encode(["B-52"]).tolist() == [3]


def test_each_lookup_form_occurs_once() -> None:
    assert list(lookup_variants("the")) == [(0, "the")]
    assert list(lookup_variants("The")) == [(0, "The"), (2, "the")]
    assert list(lookup_variants("7")) == [(0, "7"), (3, "0"), (4, "#")]
    assert list(lookup_variants("٣")) == [(0, "٣")]  # ASCII digits only
    assert [LOOKUPS[i] for i, _ in lookup_variants("7a")] == ["exactly", "with digits as 0", "with digits as #"]


def test_the_composed_and_the_decomposed_form_follow_each_lookup_form() -> None:
    composed, decomposed = "\u00c9t\u00e9", "E\u0301te\u0301"
    lower, lower_decomposed = "\u00e9t\u00e9", "e\u0301te\u0301"
    assert list(lookup_variants(composed)) == [(0, composed), (1, decomposed), (2, lower), (1, lower_decomposed)]
    assert list(lookup_variants(decomposed)) == [(0, decomposed), (1, composed), (2, lower_decomposed), (1, lower)]
    mixed = "\u00e9te\u0301"
    assert list(lookup_variants(mixed)) == [(0, mixed), (1, lower), (1, lower_decomposed)]
    assert LOOKUPS[1] == "in another Unicode form"


def test_a_token_with_decomposed_letters_gets_the_id_of_the_composed_vector_and_stays_as_it_is() -> None:
    vocabulary = TokenVocabulary(("cafe\u0301", "\u00e9t\u00e9", "na\u0131\u0308ve"), n_trained=1)
    assert vocabulary.encode(["e\u0301te\u0301", "\u00e9t\u00e9", "caf\u00e9", "E\u0301TE\u0301"]).tolist() == [
        3,
        3,
        2,
        3,
    ]
    assert vocabulary.encode(["ete", "na\u00efve"]).tolist() == [UNK_ID, UNK_ID]  # no other signs are changed
    assert vocabulary.tokens[0] == "cafe\u0301"
    # Without pretrained vectors, a token is its characters.
    assert TokenVocabulary(("\u00e9t\u00e9",)).encode(["e\u0301te\u0301"]).tolist() == [UNK_ID]


@pytest.mark.parametrize("n_trained", [-1, 3])
def test_n_trained_must_not_exceed_the_number_of_tokens(n_trained: int) -> None:
    with pytest.raises(ValueError, match=f"n_trained: found {n_trained}, expected 0 to 2"):
        TokenVocabulary(("a", "b"), n_trained=n_trained)
    assert TokenVocabulary(("a", "b"), n_trained=2).n_trained == 2
    assert TokenVocabulary(("a", "b")).n_trained is None


# --- Tags ----------------------------------------------------------------------------------------------------------


def test_tags_are_sorted_with_o_first_and_no_id_is_reserved() -> None:
    vocabulary = build_tag_vocabulary(split("I-PER B-PER O", "B-LOC O A"))
    assert vocabulary.tags == ("O", "A", "B-LOC", "B-PER", "I-PER")
    assert len(vocabulary) == 5
    assert build_tag_vocabulary(split("VB NN NN")).tags == ("NN", "VB")
    assert build_tag_vocabulary([]).tags == ()


@given(st.lists(st.sampled_from(["O", "B-PER", "I-PER", "B-LOC"]), max_size=10))
def test_tags_are_recovered_from_their_ids(tags: list[str]) -> None:
    vocabulary = TagVocabulary(("O", "B-LOC", "B-PER", "I-PER"))
    ids = vocabulary.encode(tags)
    assert ids.dtype == np.int32
    assert ids.tolist() == [["O", "B-LOC", "B-PER", "I-PER"].index(tag) for tag in tags]
    assert vocabulary.decode(ids) == tags


def test_a_tag_that_is_not_in_the_training_data_has_no_id() -> None:
    with pytest.raises(KeyError, match="B-ORG"):
        TagVocabulary(("O", "B-PER")).encode(["O", "B-ORG"])


def test_a_grown_vocabulary_keeps_the_ids_of_the_old_tokens() -> None:
    old, (new, counts) = TokenVocabulary(("b", "a"), n_trained=1), build_vocabulary([["a", "c", "c", "d"]])
    grown, by_id = grow_vocabulary(old, new, counts)
    assert grown.tokens == ("b", "a", "c", "d")
    assert grown.n_trained == 4, "a token with a vector of its own, and one that was trained, are looked up alike"
    assert by_id.tolist() == [0, 0, 0, 1, 2, 1]
    assert grow_vocabulary(TokenVocabulary(("b",)), new, counts)[0].n_trained is None


def test_grown_tags_come_after_the_old_ones() -> None:
    old, new = TagVocabulary(("O", "B-b")), TagVocabulary(("O", "B-a", "B-b"))
    assert grow_tag_vocabulary(old, new).tags == ("O", "B-b", "B-a")
