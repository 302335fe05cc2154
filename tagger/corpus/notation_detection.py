"""Detection of the notation of a file from all of its tags."""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

from tagger.corpus.notation import (
    BadTag,
    Notation,
    is_bare_type,
    is_outside,
    is_outside_word,
    means_outside,
    parse_prefix,
)
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES, UNTYPED, is_legal, legal_transitions
from tagger.errors import DataError

# Letters that exclude each other. M (as in BMES) is another name for the inner prefix of IOBES.
_SCHEME_OF_LETTER = {"E": "IOBES", "S": "IOBES", "M": "IOBES", "L": "BILOU", "U": "BILOU"}
# If several schemes fit a file equally well, the first of them is taken. A rare one must fit better than all others.
_COMMON = ("IOB2", "IO", "IOB1", "IOBES", "BILOU")
_RARE = ("BIOS", "IOE2", "IOE1", "BIOE")
_MOST_ODD = 0.2  # in a file that is read as spans without being asked: the largest share of tokens whose tag is odd
_MOST_RARE = 0.1  # the largest share of tokens whose prefix is another scheme's by mistake
_FEW = 5  # odd tokens that prove nothing


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
    tags = _Tags(counts, pairs, tuple(tag for tag in counts if means_outside(tag)))
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
    words = [tag for tag in without if is_outside_word(tag)]
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
        if prefix is None or (scheme == "IO" and is_bare_type(prefix, entity_type)):
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
    if not is_outside(notation.outside):
        notes.append(f"{notation.outside} is read as the outside tag: it is the only tag without a prefix")
    for tag in sorted(tags.counts):
        if notation.spell(notation.canonical(tag)) != tag:
            notes.append(f"{tag} is read as {notation.spell(notation.canonical(tag))}")
    return notes
