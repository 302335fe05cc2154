from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.inputs.characters import (
    MAX_CHARACTERS,
    Casing,
    CharacterVocabulary,
    build_characters,
    casing_of,
    encode_forms,
    grow_characters,
)
from tagger.inputs.vocabulary import UNK_ID


@pytest.mark.parametrize(
    ("token", "casing"),
    [
        ("1996", Casing.NUMERIC),
        ("٣٤", Casing.NUMERIC),
        ("1,000", Casing.MAINLY_NUMERIC),
        ("1990s", Casing.MAINLY_NUMERIC),
        ("F1", Casing.CONTAINS_DIGIT),  # half of the characters are not more than half
        ("B-52s", Casing.CONTAINS_DIGIT),
        ("says", Casing.LOWER),
        ("'s", Casing.LOWER),
        ("état", Casing.LOWER),
        ("EU", Casing.UPPER),
        ("A", Casing.UPPER),
        ("U.N.", Casing.UPPER),
        ("German", Casing.INITIAL_UPPER),
        ("McDonald", Casing.INITIAL_UPPER),
        ("iPhone", Casing.OTHER),
        ("日本", Casing.OTHER),
        ("--", Casing.OTHER),
        ("\u3000", Casing.OTHER),
        ("", Casing.OTHER),
    ],
)
def test_casings(token: str, casing: Casing) -> None:
    assert casing_of(token) is casing


def test_the_numbers_of_the_casings_are_part_of_the_model_format() -> None:
    names = ["PADDING", "NUMERIC", "LOWER", "UPPER", "INITIAL_UPPER", "MAINLY_NUMERIC", "CONTAINS_DIGIT", "OTHER"]
    assert [casing.name for casing in sorted(Casing)] == names


# --- Characters -----------------------------------------------------------------------------------------------------


def test_characters_are_counted_and_the_most_frequent_come_first() -> None:
    vocabulary, counts = build_characters(["abba", "ab", "日"])
    assert vocabulary.characters == ("a", "b", "日")
    assert counts.tolist() == [0, 0, 3, 3, 1]
    assert len(vocabulary) == 5


@given(st.lists(st.characters(), unique=True), st.text())
def test_ids_agree_with_a_dictionary(characters: list[str], text: str) -> None:
    text += "".join(characters[::2])
    ids = {character: i for i, character in enumerate(characters, start=2)}
    expected = [ids.get(character, UNK_ID) for character in text]
    assert CharacterVocabulary(tuple(characters)).encode(text).tolist() == expected


def test_lone_surrogates_are_unknown_characters() -> None:
    assert CharacterVocabulary(("a",)).encode("a\ud800a").tolist() == [2, UNK_ID, 2]


@pytest.mark.parametrize("characters", [("a", "a"), ("ab",), ("a", "")])
def test_a_vocabulary_must_hold_distinct_single_characters(characters: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="character"):
        CharacterVocabulary(characters)


# --- WordForms ------------------------------------------------------------------------------------------------------


def test_spellings_by_hand() -> None:
    forms = encode_forms(["EU", "", "ab?"], CharacterVocabulary(tuple("abEU")))
    assert forms.casing.tolist() == [Casing.PADDING, Casing.UPPER, Casing.OTHER, Casing.LOWER]
    assert forms.lengths.tolist() == [1, 2, 1, 3]
    assert forms.characters.tolist() == [UNK_ID, 4, 5, UNK_ID, 2, 3, UNK_ID]
    assert forms.padded().tolist() == [[1, 0, 0], [4, 5, 0], [1, 0, 0], [2, 3, 1]]


def test_nul_is_an_ordinary_character() -> None:
    assert encode_forms(["\0", ""], CharacterVocabulary(("\0",))).characters.tolist() == [UNK_ID, 2, UNK_ID]


def test_both_ends_of_a_long_token_are_read() -> None:
    half = MAX_CHARACTERS // 2
    token = "a" * half + "b" * 1000 + "c" * half
    forms = encode_forms([token, "a" * MAX_CHARACTERS], CharacterVocabulary(("a", "b", "c")))
    assert forms.lengths.tolist() == [1, MAX_CHARACTERS, MAX_CHARACTERS]
    assert forms.characters.tolist()[1:] == [2] * half + [4] * half + [2] * MAX_CHARACTERS


@given(st.lists(st.text("ab1", max_size=5), unique=True, min_size=1), st.data())
def test_select_returns_the_chosen_spellings(tokens: list[str], data: st.DataObject) -> None:
    vocabulary = CharacterVocabulary(("a", "b", "1"))
    rows = data.draw(st.lists(st.integers(0, len(tokens)), min_size=1))
    chosen = encode_forms(tokens, vocabulary).select(np.array(rows))
    one_by_one = [encode_forms([tokens[row - 1]] if row else [], vocabulary) for row in rows]
    assert chosen.lengths.tolist() == [int(one.lengths[-1]) for one in one_by_one]
    assert chosen.characters.tolist() == [i for one in one_by_one for i in one.characters[-one.lengths[-1] :].tolist()]
    assert chosen.casing.tolist() == [int(one.casing[-1]) for one in one_by_one]


def test_a_grown_vocabulary_keeps_the_ids_of_the_old_characters() -> None:
    new, counts = build_characters(["caa", "c"])
    grown, by_id = grow_characters(CharacterVocabulary(("b", "a")), new, counts)
    assert grown.characters == ("b", "a", "c")
    assert by_id.tolist() == [0, 0, 0, 2, 2]
