"""The notation of tags in a file: their scheme, and the spelling of prefixes, separator and outside tag.

`detect_notation` reads all tags of a training file once. The `Notation` that it finds is stored with the model, and
`predict` writes its tags in this notation.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence

from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES, UNTYPED, is_legal, legal_transitions, split_tag
from tagger.errors import DataError

_SEPARATORS = "-_."
_OUTSIDE_SPELLINGS = ("O", "o", "0")
_LETTERS = "BIESLUM"
# Letters that only one scheme has. M (as in BMES) is another name for the inner prefix of IOBES.
_SCHEME_OF_LETTER = {"E": "IOBES", "S": "IOBES", "M": "IOBES", "L": "BILOU", "U": "BILOU"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Notation:
    """The scheme and the spelling of the tags in one file.

    Attributes:
        scheme: a name of `schemes.SCHEMES`, or `none` for plain tags.
        outside: the spelling of the outside tag: `O`, `o` or `0`.
        separator: the character between prefix and entity type: `-`, `_` or `.`.
        prefixes: canonical prefix → its spelling, for prefixes that differ, such as `{"I": "M"}` or `{"B": "b"}`.
        typed: whether all spans have an entity type. If not, a span without one is spelled as the prefix alone (`B`).
        bare: whether inside tags are written as the entity type alone (`PER`, in IO only).
    """

    scheme: str
    outside: str = OUTSIDE
    separator: str = "-"
    prefixes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    typed: bool = True
    bare: bool = False

    def describe(self) -> str:
        """Return the scheme, with examples of the spelling if it is unusual: `IOB2, spelled B_PER and 0`."""
        if self.scheme == NO_SCHEME:
            return NO_SCHEME
        entity_type = "PER" if self.typed else UNTYPED
        usual = Notation(scheme=self.scheme)
        examples = [
            (prefix, f"{prefix}-{entity_type}") for prefix in ("B", "I") if prefix in SCHEMES[self.scheme].prefixes
        ]
        spelled = [self.spell(tag) for _, tag in examples if self.spell(tag) != usual.spell(tag)]
        spelled += [self.outside] if self.outside != OUTSIDE else []
        return f"{self.scheme}, spelled {' and '.join(spelled)}" if spelled else self.scheme

    def canonical(self, tag: str) -> str:
        """Convert a tag as the file spells it to a canonical tag.

        >>> Notation(scheme="IOB2").canonical("B_PER")
        'B-PER'

        Raises:
            ValueError: the tag does not fit the scheme.
        """
        if self.scheme == NO_SCHEME:
            return tag
        if tag in _OUTSIDE_SPELLINGS:
            return OUTSIDE
        prefix, entity_type = parse_prefix(tag)
        if self.scheme == "IO" and tag and _is_bare_type(prefix, entity_type):
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
        if self.scheme == NO_SCHEME:
            return tag
        if tag == OUTSIDE:
            return self.outside
        prefix, entity_type = split_tag(tag)
        spelled = self.prefixes.get(prefix, prefix)
        if entity_type == UNTYPED and not self.typed:
            return spelled
        return entity_type if self.bare else f"{spelled}{self.separator}{entity_type}"


def parse_prefix(tag: str) -> tuple[str | None, str]:
    """Return the prefix letter (in upper case) and the entity type of a tag; (None, tag) if it has no prefix.

    >>> parse_prefix("b_per"), parse_prefix("S"), parse_prefix("PER")
    (('B', 'per'), ('S', ''), (None, 'PER'))
    """
    letter = tag[:1].upper()
    if letter in _LETTERS and letter:
        if len(tag) == 1:
            return letter, ""
        if len(tag) > 2 and tag[1] in _SEPARATORS:
            return letter, tag[2:]
    return None, tag


def _is_bare_type(prefix: str | None, entity_type: str) -> bool:
    """Return whether IO reads a tag as a type without a prefix: `PER`, or a single letter other than `B` and `I`."""
    return prefix is None or (not entity_type and prefix not in ("B", "I"))


def detect_notation(sentences: Sequence[Sequence[str]], scheme: str = "auto") -> tuple[Notation, list[str]]:
    """Find the notation of a file from all of its tags.

    Args:
        sentences: the tags of each sentence, as spelled.
        scheme: `auto`, or the scheme that the user names.

    Returns:
        The notation, and notes for the user on what was found and how unusual spellings are read.

    Raises:
        DataError: the tags do not fit any scheme, or fit several. The error does not name a path; `dataset`
            adds the path and lines.
        BadTag: some tags do not fit the scheme; the caller locates the first of them.
    """
    counts = collections.Counter(itertools.chain.from_iterable(sentences))
    if scheme == NO_SCHEME:
        return Notation(scheme=NO_SCHEME), []
    found = scheme if scheme != "auto" else _detect_scheme(counts, sentences)
    if found == NO_SCHEME:
        return Notation(scheme=NO_SCHEME), ["the tags have no prefixes: read as plain tags (scheme none)"]
    notation = _spelling(found, counts)
    bad = [tag for tag in counts if not notation.fits(tag)]
    if bad:
        raise BadTag(bad, found)
    return notation, _notes(notation, counts)


class BadTag(Exception):  # noqa: N818 (not an error for the user yet: the caller locates it and raises DataError)
    """Tags that do not fit the scheme, in the order in which they occur."""

    def __init__(self, tags: Sequence[str], scheme: str) -> None:
        super().__init__(tags, scheme)
        self.tags, self.scheme = tuple(tags), scheme

    @property
    def tag(self) -> str:
        return self.tags[0]


def _detect_scheme(counts: Mapping[str, int], sentences: Sequence[Sequence[str]]) -> str:
    parsed = {tag: parse_prefix(tag) for tag in counts if tag not in _OUTSIDE_SPELLINGS}
    if not parsed:
        return "IOB2"  # there are only outside tags, which all schemes share
    has_outside = len(parsed) < len(counts)
    letters = {prefix for prefix, entity_type in parsed.values() if prefix and entity_type}
    n_prefixed = sum(counts[tag] for tag, (prefix, entity_type) in parsed.items() if prefix and entity_type)
    few = n_prefixed <= sum(counts[tag] for tag in parsed) / 2
    # If `I-x` is the only prefixed form and rare, it may be a hyphenated part of speech.
    if not letters or (letters == {"I"} and few):
        bare = {prefix or "" for prefix, _ in parsed.values()}
        # Single letters can be plain tags too, so they are a scheme only if there are no other tags beside them.
        if "" in bare or not {"B", "I"} & bare:
            if has_outside:
                raise DataError(
                    "scheme: cannot tell whether tags without prefixes are spans or plain tags; set data.scheme"
                    " to IO (each run of one tag is a span) or none (plain tags)",
                    detail=[f"tags found: {', '.join(sorted(counts)[:10])}"],
                )
            return NO_SCHEME
        letters = bare
    special = {_SCHEME_OF_LETTER[letter] for letter in letters if letter in _SCHEME_OF_LETTER}
    if len(special) == 2:
        raise DataError(
            "scheme: found the prefixes of both IOBES (E, S, M) and BILOU (L, U), expected one of them; set"
            " data.scheme, or fix the tags",
            detail=[f"tags found: {', '.join(sorted(counts)[:20])}"],
        )
    if special:
        return special.pop()
    if letters == {"I"}:
        return "IO"
    return _iob_version(sentences)


def _iob_version(sentences: Sequence[Sequence[str]]) -> str:
    """Return IOB1 or IOB2, whichever has fewer ill-formed transitions in the file.

    A single annotation error therefore does not decide.
    """
    reader = Notation(scheme="IOB1")

    def canonical_or_outside(tag: str) -> str:
        try:
            return reader.canonical(tag)
        except ValueError:
            return OUTSIDE  # `detect_notation` reports it

    transitions: collections.Counter[tuple[str, str]] = collections.Counter()
    for tags in sentences:
        transitions.update(itertools.pairwise([OUTSIDE, *map(canonical_or_outside, tags)]))
    n_ill_formed = {
        scheme: sum(n for pair, n in transitions.items() if not is_legal(*pair, legal_transitions(scheme)))
        for scheme in ("IOB2", "IOB1")
    }
    return min(n_ill_formed, key=lambda scheme: n_ill_formed[scheme])


def _spelling(scheme: str, counts: Mapping[str, int]) -> Notation:
    """Return the notation with the most common spelling of each part of a tag."""
    outside: collections.Counter[str] = collections.Counter()
    separators: collections.Counter[str] = collections.Counter()
    letters: dict[str, collections.Counter[str]] = {}
    kinds: collections.Counter[str] = collections.Counter()
    for tag, n in counts.items():
        prefix, entity_type = parse_prefix(tag)
        if tag in _OUTSIDE_SPELLINGS:
            outside[tag] += n
        elif prefix is None or (scheme == "IO" and _is_bare_type(prefix, entity_type)):
            kinds["bare"] += n
        else:
            kinds["typed" if entity_type else "untyped"] += n
            if entity_type:
                separators[tag[1]] += n
            letters.setdefault("I" if prefix == "M" else prefix, collections.Counter())[tag[0]] += n
    prefixes = {prefix: _commonest(seen, prefix) for prefix, seen in letters.items()}
    return Notation(
        scheme=scheme,
        outside=_commonest(outside, OUTSIDE),
        separator=_commonest(separators, "-"),
        prefixes={prefix: spelled for prefix, spelled in sorted(prefixes.items()) if spelled != prefix},
        typed=not kinds["untyped"],
        bare=scheme == "IO" and kinds["bare"] > kinds["typed"] + kinds["untyped"],
    )


def _commonest(counts: collections.Counter[str], default: str) -> str:
    return max(counts, key=lambda key: (counts[key], key)) if counts else default


def _notes(notation: Notation, counts: Iterable[str]) -> list[str]:
    notes = []
    for tag in sorted(counts):
        if notation.spell(notation.canonical(tag)) != tag:
            notes.append(f"{tag} is read as {notation.spell(notation.canonical(tag))}")
    return notes
