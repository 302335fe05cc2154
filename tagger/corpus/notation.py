"""The notation of tags in a file: their scheme, and the spelling of prefixes, separator and outside tag.

`detect_notation` reads all tags of a training file once. The `Notation` that it finds is stored with the model, and
`predict` writes its tags in this notation.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

from tagger.corpus.schemes import (
    NO_SCHEME,
    OUTSIDE,
    SCHEMES,
    UNKNOWN,
    UNTYPED,
    is_legal,
    legal_transitions,
    split_tag,
)
from tagger.corpus.signs import named, signs_in_tag
from tagger.errors import DataError

_SEPARATORS = "-_."
_OUTSIDE_SPELLINGS = ("O", "o", "0")
# Words for outside, in any case, in a file that has none of the usual spellings.
_OUTSIDE_WORDS = frozenset({"_", "-", "other", "no", "none", "nil", "null", "out", "outside"})
_LETTERS = "BIESLUM"
# Letters that exclude each other. M (as in BMES) is another name for the inner prefix of IOBES.
_SCHEME_OF_LETTER = {"E": "IOBES", "S": "IOBES", "M": "IOBES", "L": "BILOU", "U": "BILOU"}
# If several schemes fit a file equally well, the first of them is taken. A rare one must fit better than all others.
_COMMON = ("IOB2", "IO", "IOB1", "IOBES", "BILOU")
_RARE = ("BIOS", "IOE2", "IOE1", "BIOE")
_MOST_ODD = 0.2  # in a file that is read as spans without being asked: the largest share of tokens whose tag is odd
_MOST_RARE = 0.1  # the largest share of tokens whose prefix is another scheme's by mistake
_SHOWN = 3  # lines with a tag that does not fit
_FEW = 5  # odd tokens that prove nothing
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
    return value in _OUTSIDE_SPELLINGS or value.casefold() in _OUTSIDE_WORDS


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


def _is_bare_type(prefix: str | None, entity_type: str) -> bool:
    """Return whether IO reads a tag as a type without a prefix: `PER`, or a single letter other than `B` and `I`."""
    return prefix is None or (not entity_type and prefix not in ("B", "I"))


def detect_notation(
    sentences: Iterable[Sequence[str]], scheme: str = "auto", unknown: str | None = None
) -> tuple[Notation, list[str]]:
    """Find the notation of a file from all of its tags, which are read once.

    Args:
        sentences: the tags of each sentence, as spelled.
        scheme: `auto`, or the scheme that the user names.
        unknown: the tag of tokens that are not annotated; nothing is concluded from it.

    Returns:
        The notation, and notes for the user on what was found and how unusual spellings are read.

    Raises:
        DataError: the tags do not fit any scheme, or fit several. The error does not name a path; `dataset`
            adds the path and lines.
        BadTag: some tags do not fit the scheme; the caller locates the first of them.
    """
    if scheme == NO_SCHEME:
        return Notation(scheme=NO_SCHEME, unknown=unknown), []
    tags = _divided(*_counted(sentences, unknown), scheme)
    found = scheme if scheme != "auto" else _detect_scheme(tags)
    if found == NO_SCHEME:
        why = "most tags do not fit a scheme" if tags.letters else "the tags have no prefixes"
        return Notation(scheme=NO_SCHEME, unknown=unknown), [f"{why}: read as plain tags (scheme none)"]
    notation = dataclasses.replace(_spelling(found, tags), unknown=unknown)
    bad = [tag for tag in tags.counts if not notation.fits(tag)]
    if bad:
        n_bad = sum(tags.counts[tag] for tag in bad)
        raise BadTag(bad, found, doubtful=not tags.outside or n_bad > tags.n_tagged / 2)
    return notation, _notes(notation, tags)


def notation_of_other(sentences: Sequence[Sequence[str]], trained: Notation) -> Notation:
    """Return the notation of a dev or test file: that of the training file, unless it clearly has another one.

    Raises:
        BadTag: some tags do not fit the notation of the training file, and no other notation fits them all.
    """
    if trained.scheme == NO_SCHEME:
        return trained
    counts, pairs = _counted(sentences, trained.unknown)
    canonical = {tag: trained.canonical(tag) for tag in counts if trained.fits(tag)}
    bad = [tag for tag in counts if tag not in canonical]
    n_odd = _n_ill_formed(pairs, {OUTSIDE: OUTSIDE, **canonical}, trained.scheme)
    n_tagged = sum(n for tag, n in counts.items() if canonical.get(tag) != OUTSIDE)
    # In IO anything is a type, so a file with another word for outside fits, but has no token outside.
    all_tagged = trained.scheme == "IO" and n_tagged == counts.total()
    if not bad and n_odd <= max(_FEW, _MOST_ODD * n_tagged) and not all_tagged:
        return trained
    try:
        own, _ = detect_notation(sentences, unknown=trained.unknown)
    except (BadTag, DataError):
        own = Notation(scheme=NO_SCHEME)
    if own.scheme != NO_SCHEME:
        n_own_odd = _n_ill_formed(pairs, {tag: own.canonical(tag) for tag in (OUTSIDE, *counts)}, own.scheme)
        if all_tagged and not any(own.canonical(tag) == OUTSIDE for tag in counts):
            return trained
        if bad or all_tagged or 2 * n_own_odd <= n_odd:
            return own
    if bad:
        raise BadTag(bad, trained.scheme)
    return trained


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


@dataclasses.dataclass(frozen=True)
class _Tags:
    """All tags of a file, divided into prefixes and entity types.

    Attributes:
        counts: the number of tokens with each tag, in the order in which they occur.
        pairs: the number of times that one tag follows another.
        outside: the tags that mean outside.
        suffix: whether the prefix comes after the entity type.
    """

    counts: Mapping[str, int]
    pairs: Mapping[tuple[str, str], int]
    outside: tuple[str, ...]
    suffix: bool = False

    @functools.cached_property
    def parsed(self) -> dict[str, tuple[str | None, str]]:
        """The prefix and the entity type of each tag that is not outside."""
        return {tag: parse_prefix(tag, suffix=self.suffix) for tag in self.counts if tag not in self.outside}

    @functools.cached_property
    def letters(self) -> set[str]:
        """The prefixes of tags that have an entity type too."""
        return {prefix for prefix, entity_type in self.parsed.values() if prefix and entity_type}

    @functools.cached_property
    def n_tagged(self) -> int:
        """The number of tokens that are not outside."""
        return sum(self.counts[tag] for tag in self.parsed)

    @functools.cached_property
    def n_prefixed(self) -> int:
        """The number of tokens whose tag has a prefix and an entity type."""
        return sum(self.counts[tag] for tag, (prefix, entity_type) in self.parsed.items() if prefix and entity_type)

    @functools.cached_property
    def fit(self) -> tuple[str, int, int]:
        """The scheme that fits best, and how many tags do not fit it, or follow each other in a way that it forbids.

        A few annotation errors therefore do not decide.
        """

        def oddness(scheme: str) -> tuple[int, bool, int, int]:
            prefixes = SCHEMES[scheme].prefixes
            canonical = dict.fromkeys((OUTSIDE, *self.outside), OUTSIDE)
            for tag, (prefix, entity_type) in self.parsed.items():
                letter = "I" if prefix == "M" else prefix
                if letter in prefixes:
                    canonical[tag] = f"{letter}-{entity_type or UNTYPED}"
            n_unfit = sum(n for tag, n in self.counts.items() if tag not in canonical)
            n_ill_formed = _n_ill_formed(self.pairs, canonical, scheme)
            return n_unfit + n_ill_formed, scheme in _RARE, n_unfit, n_ill_formed

        odd = {scheme: oddness(scheme) for scheme in (*_COMMON, *_RARE)}
        best = min(odd, key=lambda scheme: odd[scheme])
        return best, *odd[best][2:]


def _counted(
    sentences: Iterable[Sequence[str]], unknown: str | None
) -> tuple[collections.Counter[str], collections.Counter[tuple[str, str]]]:
    """Count the tags, and the tags that follow each other; the edges of a sentence count as `O`, `unknown` does not."""
    counts: collections.Counter[str] = collections.Counter()
    pairs: collections.Counter[tuple[str, str]] = collections.Counter()
    for tags in sentences:
        counts.update(tags)
        pairs.update(itertools.pairwise([OUTSIDE, *tags, OUTSIDE]))
    if unknown is not None:
        del counts[unknown]
        for pair in [pair for pair in pairs if unknown in pair]:
            del pairs[pair]
    return counts, pairs


def _n_ill_formed(pairs: Mapping[tuple[str, str], int], canonical: Mapping[str, str], scheme: str) -> int:
    """Count the transitions that a scheme does not allow, among the tags that have a canonical form."""
    legal = legal_transitions(scheme)
    return sum(
        n
        for (tag, after), n in pairs.items()
        if tag in canonical and after in canonical and not is_legal(canonical[tag], canonical[after], legal)
    )


def _divided(counts: Mapping[str, int], pairs: Mapping[tuple[str, str], int], scheme: str) -> _Tags:
    """Find out which tags mean outside, and at which end of a tag its prefix is."""
    tags = _Tags(counts, pairs, tuple(tag for tag in counts if tag in _OUTSIDE_SPELLINGS))
    suffixed = _with_outside_word(dataclasses.replace(tags, suffix=True), scheme)
    # Plain tags may end in such letters too, as in `N-M`.
    if suffixed.n_prefixed > tags.n_prefixed and suffixed.outside and suffixed.letters & {"B", "I"}:
        if scheme == "auto" and sum(suffixed.fit[1:]) <= _MOST_ODD * suffixed.n_tagged:
            return suffixed
        if scheme != "auto" and suffixed.letters <= SCHEMES[scheme].prefixes | {"M"}:
            return suffixed
    return _with_outside_word(tags, scheme)


def _with_outside_word(tags: _Tags, scheme: str) -> _Tags:
    """Find the word for outside in a file without `O`.

    Any other word counts if it is the only tag without a prefix and on at least half of all tokens.
    """
    if tags.outside:
        return tags
    half = tags.n_tagged / 2
    without = [tag for tag, (prefix, _) in tags.parsed.items() if prefix is None]
    words = [tag for tag in without if tag.casefold() in _OUTSIDE_WORDS]
    found = max(words, key=lambda tag: tags.counts[tag], default=None)
    if found is not None:
        bare = {prefix or "" for tag, (prefix, _) in tags.parsed.items() if tag != found}
        # Without prefixes, rare words may be plain tags.
        if tags.letters or _are_prefixes(bare) or scheme != "auto" or tags.counts[found] >= half:
            return dataclasses.replace(tags, outside=(found,))
    if tags.letters and len(without) == 1 and tags.counts[without[0]] >= max(half, 2 * _FEW):
        return dataclasses.replace(tags, outside=(without[0],))
    return tags


def _are_prefixes(letters: Collection[str]) -> bool:
    """Return whether tags without types are prefixes; single letters beside other tags can be plain tags too."""
    return "" not in letters and not {"B", "I"}.isdisjoint(letters)


def _detect_scheme(tags: _Tags) -> str:
    if not tags.parsed:
        return "IOB2"  # there are only outside tags, which all schemes share
    few = tags.n_prefixed <= tags.n_tagged / 2
    # If `I-x` is the only prefixed form and rare, it may be a hyphenated part of speech.
    if not tags.letters or (tags.letters == {"I"} and few):
        bare = {prefix or "" for prefix, _ in tags.parsed.values()}
        if not _are_prefixes(bare):
            if tags.outside:
                raise DataError(
                    "scheme: cannot tell whether tags without prefixes are spans or plain tags; set data.scheme"
                    " to IO (each run of one tag is a span) or none (plain tags)",
                    detail=[f"tags found: {', '.join(sorted(tags.counts)[:10])}"],
                )
            return NO_SCHEME
    groups: collections.Counter[str] = collections.Counter()
    for tag, (prefix, _) in tags.parsed.items():
        if prefix in _SCHEME_OF_LETTER:
            groups[_SCHEME_OF_LETTER[prefix]] += tags.counts[tag]
    if len(groups) == 2 and min(groups.values()) > _MOST_RARE * tags.n_tagged:
        raise DataError(
            "scheme: found the prefixes of both IOBES (E, S, M) and BILOU (L, U), expected one of them; set"
            " data.scheme, or fix the tags",
            detail=[f"tags found: {', '.join(sorted(tags.counts)[:20])}"],
        )
    scheme, _, n_ill_formed = tags.fit
    few = few and tags.n_tagged > 2 * _FEW
    if not tags.outside and tags.letters and (few or n_ill_formed > max(_FEW, _MOST_ODD * tags.n_prefixed)):
        return NO_SCHEME
    return scheme


def _spelling(scheme: str, tags: _Tags) -> Notation:
    """Return the notation with the most common spelling of each part of a tag."""
    outside = collections.Counter({tag: tags.counts[tag] for tag in tags.outside})
    separators: collections.Counter[str] = collections.Counter()
    letters: dict[str, collections.Counter[str]] = {}
    kinds: collections.Counter[str] = collections.Counter()
    for tag, (prefix, entity_type) in tags.parsed.items():
        n = tags.counts[tag]
        if prefix is None or (scheme == "IO" and _is_bare_type(prefix, entity_type)):
            kinds["bare"] += n
        else:
            kinds["typed" if entity_type else "untyped"] += n
            letter, separator = (tag[-1], tag[-2:-1]) if tags.suffix else (tag[0], tag[1:2])
            if entity_type:
                separators[separator] += n
            letters.setdefault("I" if prefix == "M" else prefix, collections.Counter())[letter] += n
    prefixes = {prefix: _commonest(seen, prefix) for prefix, seen in letters.items()}
    return Notation(
        scheme=scheme,
        outside=_commonest(outside, OUTSIDE),
        separator=_commonest(separators, "-"),
        prefixes={prefix: spelled for prefix, spelled in sorted(prefixes.items()) if spelled != prefix},
        typed=not kinds["untyped"],
        bare=scheme == "IO" and kinds["bare"] > kinds["typed"] + kinds["untyped"],
        suffix=tags.suffix,
    )


def _commonest(counts: collections.Counter[str], default: str) -> str:
    return max(counts, key=lambda key: (counts[key], key)) if counts else default


def _notes(notation: Notation, tags: _Tags) -> list[str]:
    notes = []
    if notation.outside not in _OUTSIDE_SPELLINGS and notation.outside.casefold() not in _OUTSIDE_WORDS:
        notes.append(f"{notation.outside} is read as the outside tag: it is the only tag without a prefix")
    for tag in sorted(tags.counts):
        if notation.spell(notation.canonical(tag)) != tag:
            notes.append(f"{tag} is read as {notation.spell(notation.canonical(tag))}")
    return notes
