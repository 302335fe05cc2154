"""Characters that nobody sees, or that look like others: their names, and where they change how a line is read."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Iterable

from tagger.corpus.layout import BLANKS

# The letters of prefixes and outside tags as other scripts have them. Compatibility forms (fullwidth letters, Roman
# numerals) are recognized by normalization.
_LOOK_ALIKES = dict(zip("ОоΟοВΒІіΙιЕеΕЅѕМΜԼ", "OoOoBBIiIiEeESsMML", strict=True))
_SEPARATORS = "-_."
_SPACES, _INVISIBLE, _DASHES = frozenset({"Zs", "Zl", "Zp"}), frozenset({"Cf", "Cc", "Cn", "Co"}), "\u2212"
# Signs without a width that tokens of some languages and emoji need.
_JOINERS = frozenset("\u200c\u200d\ufe0f")


def named(characters: Iterable[str]) -> str:
    """Return characters by code point and name, each once: `U+041E CYRILLIC CAPITAL LETTER O`."""
    return ", ".join(
        f"U+{ord(character):04X} {unicodedata.name(character, 'CONTROL CHARACTER')}"
        for character in dict.fromkeys(characters)
    )


def is_unseen(character: str) -> bool:
    """Return whether a character is a space other than U+0020, or has no width."""
    return character != " " and unicodedata.category(character) in _SPACES | _INVISIBLE and character not in BLANKS


def signs_in_tag(tag: str) -> list[str]:
    """Return the characters of a tag that cannot be seen, or that look like a character of a tag but are another.

    >>> signs_in_tag("О"), signs_in_tag("B–PER"), signs_in_tag("B-PER"), signs_in_tag("B-ОРГ")
    (['О'], ['–'], [], [])
    """
    if tag.isascii() and tag.isprintable():
        return []
    has_prefix = len(tag) < 2 or tag[1] in _SEPARATORS or _is_dash(tag[1])
    name = tag[2:] if has_prefix else tag
    mixed = any("A" <= character.upper() <= "Z" for character in name)
    return [
        character
        for i, character in enumerate(tag)
        if is_unseen(character)
        or (not character.isascii() and _is_dash(character))
        or (_is_look_alike(character) and (i == 0 if has_prefix and i < 2 else mixed))
    ]


def _is_dash(character: str) -> bool:
    return unicodedata.category(character) == "Pd" or character in _DASHES


def _is_look_alike(character: str) -> bool:
    if character.isascii():
        return False
    return character in _LOOK_ALIKES or unicodedata.normalize("NFKC", character).isascii()


def signs_in_token(token: str) -> list[str]:
    """Return the characters of a token that have no width and no meaning in any script."""
    return [
        character
        for character in ("" if token.isascii() else token)
        if unicodedata.category(character) == "Cf" and character not in _JOINERS
    ]


def decomposed_marks(token: str) -> list[str]:
    """Return the marks of a token that follow their letters, although each pair has a character of its own."""
    if token.isascii():
        return []
    marks = []
    for letter, mark in itertools.pairwise(token):
        if unicodedata.combining(mark) and len(unicodedata.normalize("NFC", letter + mark)) == 1:
            marks.append(mark)
    return marks


def seems_blank(line: str) -> bool:
    """Return whether a line shows nothing, although it holds more than spaces and TABs."""
    content = line.strip(BLANKS)
    return bool(content) and all(is_unseen(character) or character in BLANKS for character in content)


def unseen_blanks(line: str) -> list[str]:
    """Return the characters of a line that look like a space, or like nothing, but do not separate columns."""
    if line.isascii():
        return []
    return [character for character in line if is_unseen(character) and character not in _JOINERS]
