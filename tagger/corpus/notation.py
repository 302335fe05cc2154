"""The notation of tags in a file: their scheme, and the spelling of prefixes, separator and outside tag.

`notation_detection` finds the `Notation` of a training file. It is stored with the model, and `predict` writes its tags
in this notation.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence

from tagger.corpus.schemes import (
    NO_SCHEME,
    OUTSIDE,
    SCHEMES,
    UNKNOWN,
    UNTYPED,
    split_tag,
)
from tagger.corpus.signs import named, signs_in_tag
from tagger.errors import DataError

_SEPARATORS = "-_."
_OUTSIDE_SPELLINGS = ("O", "o", "0")
# Words for outside, in any case, in a file that has none of the usual spellings.
_OUTSIDE_WORDS = frozenset({"_", "-", "other", "no", "none", "nil", "null", "out", "outside"})
_LETTERS = "BIESLUM"
_SHOWN = 3  # lines with a tag that does not fit
_UNKNOWN_SPELLINGS = frozenset({"?", "??", "???"})  # tags that probably mean that a token is not annotated


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notation:
    """The scheme and the spelling of the tags in one file.

    Attributes:
        scheme: a name of `schemes.SCHEMES`, or `none` for plain tags.
        outside: the spelling of the outside tag: `O`, `o`, `0`, or a word such as `_` or `OTHER`.
        separator: the character between prefix and entity type: `-`, `_` or `.`.
        prefixes: canonical prefix → its spelling, for prefixes that differ, such as `{"I": "M"}` or `{"B": "b"}`.
        typed: whether all spans have an entity type. If not, a span without one is spelled as the prefix alone (`B`).
        bare: whether inside tags are written as the entity type alone (`PER`, in IO only).
        suffix: whether the prefix comes after the entity type (`PER-B`).
        unknown: the spelling of the tag of tokens that are not annotated, such as `?`; None if there is none.
    """

    scheme: str
    outside: str = OUTSIDE
    separator: str = "-"
    prefixes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    typed: bool = True
    bare: bool = False
    suffix: bool = False
    unknown: str | None = None

    def describe(self) -> str:
        """Return the scheme, with examples of the spelling if it is unusual: `IOB2, spelled B_PER and 0`."""
        if self.scheme == NO_SCHEME:
            return NO_SCHEME
        entity_type = "PER" if self.typed else UNTYPED
        usual = Notation(scheme=self.scheme)
        examples = [f"{prefix}-{entity_type}" for prefix in ("B", "I") if prefix in SCHEMES[self.scheme].prefixes]
        spelled = [self.spell(tag) for tag in examples if self.spell(tag) != usual.spell(tag)]
        spelled += [self.outside] if self.outside != OUTSIDE else []
        return f"{self.scheme}, spelled {' and '.join(spelled)}" if spelled else self.scheme

    def canonical(self, tag: str) -> str:
        """Convert a tag as the file spells it to a canonical tag.

        >>> Notation(scheme="IOB2").canonical("B_PER")
        'B-PER'

        Raises:
            ValueError: the tag does not fit the scheme.
        """
        if tag == self.unknown:
            return UNKNOWN
        if self.scheme == NO_SCHEME:
            return tag
        if tag in _OUTSIDE_SPELLINGS or tag == self.outside:
            return OUTSIDE
        prefix, entity_type = parse_prefix(tag, suffix=self.suffix)
        if self.scheme == "IO" and tag and is_bare_type(prefix, entity_type):
            return f"I-{tag}"
        if prefix == "M":
            prefix = "I"
        if prefix not in SCHEMES[self.scheme].prefixes:
            raise ValueError(tag)
        return f"{prefix}-{entity_type or UNTYPED}"

    def fits(self, tag: str) -> bool:
        """Return whether `canonical` accepts the tag."""
        try:
            self.canonical(tag)
        except ValueError:
            return False
        return True

    def spell(self, tag: str) -> str:
        """Convert a canonical tag to the spelling of the file; the inverse of `canonical`."""
        if tag == UNKNOWN and self.unknown is not None:
            return self.unknown
        if self.scheme == NO_SCHEME:
            return tag
        if tag == OUTSIDE:
            return self.outside
        prefix, entity_type = split_tag(tag)
        spelled = self.prefixes.get(prefix, prefix)
        if entity_type == UNTYPED and not self.typed:
            return spelled
        if self.bare:
            return entity_type
        return f"{entity_type}{self.separator}{spelled}" if self.suffix else f"{spelled}{self.separator}{entity_type}"


def is_outside(value: str) -> bool:
    """Return whether a value is a spelling of the outside tag, or a word that files use for it: `O`, `_`, `OTHER`."""
    return means_outside(value) or is_outside_word(value)


def is_outside_word(value: str) -> bool:
    """Return whether a value is a word that some files use for the outside tag: `_`, `OTHER`."""
    return value.casefold() in _OUTSIDE_WORDS


def means_outside(tag: str) -> bool:
    """Return whether a tag always means outside: `O`, `o` or `0`."""
    return tag in _OUTSIDE_SPELLINGS


def looks_unknown(tag: str) -> bool:
    """Return whether a tag that does not fit probably means that its token is not annotated: `?`."""
    return tag in _UNKNOWN_SPELLINGS


def remedy_for_unknown(tag: str) -> str:
    """Return the advice on a tag that `looks_unknown`, in CoNLL files whose reading can be set."""
    return f"set data.unknown_tag to {tag!r} if the tokens with it are not annotated; otherwise fix it"


def remedy_elsewhere(tag: str) -> str:
    """Return the advice on a tag that `looks_unknown` where it cannot mean that a token is not annotated."""
    return (
        "expected a tag for each token: only CoNLL files may have tokens that are not annotated, for tagger train with"
        f" data.unknown_tag: {tag!r} and the commands that use its model"
    )


def parse_prefix(tag: str, *, suffix: bool = False) -> tuple[str | None, str]:
    """Return the prefix letter (in upper case) and the entity type of a tag; (None, tag) if it has no prefix.

    >>> parse_prefix("b_per"), parse_prefix("S"), parse_prefix("PER"), parse_prefix("PER-B", suffix=True)
    (('B', 'per'), ('S', ''), (None, 'PER'), ('B', 'PER'))
    """
    letter, separator, entity_type = (tag[-1:], tag[-2:-1], tag[:-2]) if suffix else (tag[:1], tag[1:2], tag[2:])
    if letter and letter.upper() in _LETTERS and (len(tag) == 1 or (entity_type and separator in _SEPARATORS)):
        return letter.upper(), entity_type
    return None, tag


def is_bare_type(prefix: str | None, entity_type: str) -> bool:
    """Return whether IO reads a tag as a type without a prefix: `PER`, or a single letter other than `B` and `I`."""
    return prefix is None or (not entity_type and prefix not in ("B", "I"))


class BadTag(Exception):  # noqa: N818 (not an error for the user yet: the caller locates it and raises DataError)
    """Tags that do not fit the scheme, in the order in which they occur.

    It is `doubtful` that tags mark spans at all if most of them do not fit, or if none means outside.
    """

    def __init__(self, tags: Sequence[str], scheme: str, *, doubtful: bool = False) -> None:
        super().__init__(tags, scheme)
        self.tags, self.scheme, self.doubtful = tuple(tags), scheme, doubtful

    @property
    def tag(self) -> str:
        return self.tags[0]

    @property
    def remedy(self) -> str:
        """The advice that ends the error."""
        if looks_unknown(self.tag):
            return remedy_for_unknown(self.tag)
        if self.doubtful:
            return "set data.scheme to none if these are plain tags, which have no spans; otherwise fix it"
        return "fix it, or set data.scheme ('none' means plain tags, which have no spans)"

    def located(self, where: Iterable[tuple[str, int, str]], remedy: str | None = None) -> DataError:
        """Return the error with the first lines that have the tag.

        Args:
            where: the path, the line and the token of all lines with the tag, at least one.
            remedy: what was expected and what to do, instead of the usual advice.
        """
        lines = iter(where)
        (path, number, _), *_ = first = list(itertools.islice(lines, _SHOWN))
        n_left = sum(1 for _ in lines)
        signs = signs_in_tag(self.tag)
        held = f" (it holds {named(signs)})" if signs else ""
        return DataError(
            f"{path}:{number}: tag {self.tag!r} does not fit the scheme {self.scheme}{held}"
            f"{f'; {self.remedy}' if remedy is None else f', {remedy}'}",
            detail=[
                *(f"{'line ' if other == path else f'{other}:'}{n}: {token} {self.tag}" for other, n, token in first),
                *([f"… and {n_left} more"] if n_left else []),
            ],
        )
