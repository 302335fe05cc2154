from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats import offsets
from tagger.formats.document import Offsets, Place
from tagger.formats.offsets import TextOffsets

CODECS: dict[Offsets, tuple[str, int]] = {
    "characters": ("utf-32-le", 4),
    "utf-16": ("utf-16-le", 2),
    "bytes": ("utf-8", 1),
}
# Emoji, a skin tone and a joined family, a combining mark, a flag, CRLF, and text beyond the basic plane.
SIGNS = [
    "a",
    "é",
    "e\u0301",
    "😀",
    "👍🏽",
    "👨‍👩‍👧",
    "🇫🇷",
    "\r\n",
    "漢",
    "𠮷",
    "𝒜",
    "\u00a0",
    "\ufeff",
    " ",
    "߿",
    "ࠀ",
    "\uffff",
    "𐀀",
]


@given(st.lists(st.sampled_from(SIGNS)).map("".join) | st.text(), st.sampled_from(sorted(CODECS)))
def test_offsets_are_those_of_the_encoded_text(text: str, unit: Offsets) -> None:
    codec, size = CODECS[unit]
    found = TextOffsets(text, unit)
    edges = [len(text[:i].encode(codec)) // size for i in range(len(text) + 1)]
    assert [found.units(i) for i in range(len(text) + 1)] == edges
    for offset in range(-2, edges[-1] + 3):
        if offset in edges:
            assert found.characters(offset) == edges.index(offset)
        else:
            with pytest.raises(DataError):
                found.characters(offset)


def test_an_offset_inside_a_character_is_an_error_that_shows_the_character() -> None:
    with pytest.raises(DataError) as error:
        TextOffsets("hé 😀", "utf-16", Place("a.jsonl", 3)).characters(4)
    assert error.value.message == (
        "a.jsonl:3: found an offset of 4 UTF-16 units, which is inside the character 😀 (U+1F600, from 3 to 5),"
        " expected one between characters; if the file counts in another unit, set data.offsets to characters or bytes,"
        " otherwise fix the offset"
    )


@pytest.mark.parametrize("text", ["abc", "äbc", "a😀c"])
@pytest.mark.parametrize("unit", sorted(CODECS))
def test_an_offset_outside_the_text_is_an_error(text: str, unit: Offsets) -> None:
    for offset in (-1, 10, 10**5000):
        with pytest.raises(DataError, match="expected 0 to"):
            TextOffsets(text, unit).characters(offset)


def test_the_examples() -> None:
    assert doctest.testmod(offsets).failed == 0
