"""Signs that another column would be the better choice for the tokens or the tags, from the values of the columns."""

from __future__ import annotations

import collections
import re
from collections.abc import Collection, Mapping, Sequence

from tagger.corpus.notation import is_outside

Values = collections.Counter[str]
# A word has a letter, and nothing that only identifiers, numbers and lists of features have.
_WORD = re.compile(r"[^\d=|/]*[^\W\d_][^\d=|/]*")
_FEWEST_WORDS = 10  # different words that a column of words has at least
_TIMES = 2  # as many different words as the token column has
_FEWEST_OUTSIDE = 0.3  # the share of outside tags in a column of entities
_MOST_LABELS = 50
_NEARLY_ALL = 0.95
_REPEATED = 3  # times that a plain tag occurs on average
_SAME = 0.5  # the share of equal tags that makes two columns two versions of the same tags
_DECIMAL = re.compile(r"-?[0-9]*[.,][0-9]+(?:[eE][-+]?[0-9]+)?|[01]")


def n_words(values: Values) -> int:
    """Return the number of different values that look like words."""
    return sum(1 for value in values if _WORD.fullmatch(value))


def better_token(columns: Sequence[Values], token: int, tag: int) -> int | None:
    """Return another column that has far more different words than the token column, or None."""
    others = [i for i in range(len(columns)) if i not in (token, tag) and not holds_labels(columns[i])]
    best = max(others, key=lambda i: n_words(columns[i]), default=None)
    if best is None or _holds_characters(columns[token]):
        return None
    return best if n_words(columns[best]) >= max(_FEWEST_WORDS, _TIMES * n_words(columns[token])) else None


def are_exchanged(columns: Sequence[Values], token: int, tag: int) -> bool:
    """Return whether the tag column holds words, and the token column a few values that repeat, as tags do."""
    few = columns[token]
    if not 1 < len(few) <= _MOST_LABELS or _REPEATED * len(few) > few.total() or holds_labels(columns[tag]):
        return False
    return n_words(columns[tag]) >= max(_FEWEST_WORDS, 2 * _TIMES * len(few))


def _holds_characters(values: Values) -> bool:
    """Return whether the values are the characters of a script with many of them, such as the Chinese one."""
    return len(values) > _MOST_LABELS and sum(n for value, n in values.items() if len(value) == 1) >= (
        _NEARLY_ALL * values.total()
    )


def holds_decimals(values: Values) -> bool:
    """Return whether all values are numbers such as 0.93, which are scores or times and never tags."""
    return all(map(_DECIMAL.fullmatch, values)) and any("." in value or "," in value for value in values)


def holds_labels(values: Values) -> bool:
    """Return whether a column may hold plain tags: a few values that are names and repeat."""
    names = [value for value in values if _WORD.fullmatch(value)]
    return len(names) > 1 and len(values) <= _MOST_LABELS and _REPEATED * len(values) <= values.total()


def lacks_outside(values: Values) -> bool:
    """Return whether a column of span tags leaves no token outside, as one of sentence positions or speakers does."""
    return not any(is_outside(value) for value in values)


def is_mostly_outside(values: Values) -> bool:
    """Return whether a column has as many outside tags as a column of entities has."""
    return sum(n for value, n in values.items() if is_outside(value)) >= _FEWEST_OUTSIDE * values.total()


def are_versions(joint: Mapping[tuple[str, ...], int], first: int, second: int) -> bool:
    """Return whether two columns hold the same tags by two annotators, or gold and predicted ones.

    Most of the tokens that have a tag in either column have the same in both, but not all of them. Layers of nested
    spans differ on most of their tokens.

    Args:
        joint: the number of lines with each combination of tags.
        first, second: the indexes of the columns in a combination.
    """
    tagged = [(row, n) for row, n in joint.items() if not (is_outside(row[first]) and is_outside(row[second]))]
    # A kind of the same type (`B-PER-artist` for `B-PER`) is no disagreement.
    n_same = sum(n for row, n in tagged if is_finer(row[first], row[second]) or is_finer(row[second], row[first]))
    n_tagged = sum(n for _, n in tagged)
    return _SAME * n_tagged <= n_same < n_tagged


def only_numbers(types: Collection[str]) -> bool:
    """Return whether all entity types are numbers, as those of coreference chains are."""
    return bool(types) and all(name.isdigit() for name in types)


def is_finer(name: str, other: str) -> bool:
    """Return whether a type or tag equals another one or is a kind of it: `pers.ind` is a kind of `pers`."""
    return name == other or (name.startswith(other) and name[len(other)] in ".-_:/")
