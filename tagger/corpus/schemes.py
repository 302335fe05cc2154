"""Tag schemes: reading tags as spans, writing spans as tags, and telling which scheme a file uses.

A *canonical* tag is `O` or `<prefix>-<type>` with the scheme's own prefixes in upper case; a span without a type
has the type `_`. `Notation` turns the spelling of a file (`B_PER`, `0`, `i-per`, BMES letters, bare `B`) into
canonical tags and back. Ill-formed sequences are read as conlleval reads them, everywhere: an inside tag after
`O` or after another type begins a span.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence

OUTSIDE = "O"
UNTYPED = "_"


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Span:
    """Tokens `start` to `end` (exclusive) of a sentence are one entity or chunk of a type."""

    type: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True, slots=True)
class Scheme:
    """Which prefix stands for a span of one token, and for the first, inner and last token of a longer one.

    `first_after_same` and `single_after_same` stand instead where a span of the same type ends just before.
    """

    single: str
    first: str
    inner: str
    last: str
    single_after_same: str
    first_after_same: str

    @property
    def prefixes(self) -> frozenset[str]:
        return frozenset(dataclasses.astuple(self))


SCHEMES: Mapping[str, Scheme] = {
    #                single first inner last, and after a span of the same type: single first
    "IOB1": Scheme("I", "I", "I", "I", "B", "B"),
    "IOB2": Scheme("B", "B", "I", "I", "B", "B"),
    "IOBES": Scheme("S", "B", "I", "E", "S", "B"),
    "BILOU": Scheme("U", "B", "I", "L", "U", "B"),
    "IO": Scheme("I", "I", "I", "I", "I", "I"),  # cannot hold two neighbouring spans of one type: merges them
}
NO_SCHEME = "none"  # plain tags (part of speech, …): no prefixes, no spans
SCHEME_NAMES = (*SCHEMES, NO_SCHEME)
_READ_AS = {"L": "E", "U": "S"}  # BILOU's names for IOBES's prefixes
# conlleval's reading of two neighbouring tags of one type: does a new span begin at the second? (Tjong Kim Sang
# 2000, conlleval.pl `startOfChunk`; S added as in seqeval's `start_of_chunk`.) Types that differ always begin one.
_BEGINS = {
    ("B", "B"): True, ("B", "I"): False, ("B", "E"): False, ("B", "S"): True,
    ("I", "B"): True, ("I", "I"): False, ("I", "E"): False, ("I", "S"): True,
    ("E", "B"): True, ("E", "I"): True, ("E", "E"): True, ("E", "S"): True,
    ("S", "B"): True, ("S", "I"): True, ("S", "E"): True, ("S", "S"): True,
}  # fmt: skip


@functools.lru_cache(maxsize=1 << 16)
def split_tag(tag: str) -> tuple[str, str]:
    """A canonical tag's prefix and type: `B-PER` → (`B`, `PER`), `O` → (`O`, ``)."""
    prefix, _, entity_type = tag.partition("-")
    return prefix, entity_type


def spans_from_tags(tags: Sequence[str]) -> list[Span]:
    """The spans of canonical tags of any scheme, in order, as conlleval reads them.

    >>> spans_from_tags(["B-PER", "I-PER", "O", "I-LOC", "B-LOC"])
    [Span(type='PER', start=0, end=2), Span(type='LOC', start=3, end=4), Span(type='LOC', start=4, end=5)]
    """
    spans: list[Span] = []
    start, previous_prefix, previous_type = 0, OUTSIDE, ""
    for i, tag in enumerate(tags):
        prefix, entity_type = split_tag(tag)
        prefix = _READ_AS.get(prefix, prefix)
        inside = previous_prefix != OUTSIDE
        begins = (
            prefix != OUTSIDE
            and (not inside or entity_type != previous_type or _BEGINS[previous_prefix, prefix])
        )  # fmt: skip
        if inside and (begins or prefix == OUTSIDE):
            spans.append(Span(previous_type, start, i))
        if begins:
            start = i
        previous_prefix, previous_type = prefix, entity_type
    if previous_prefix != OUTSIDE:
        spans.append(Span(previous_type, start, len(tags)))
    return spans


def tags_from_spans(spans: Iterable[Span], length: int, scheme: str) -> list[str]:
    """Canonical tags of a sentence of `length` tokens; the spans must be in order and not overlap.

    >>> tags_from_spans([Span("PER", 0, 2), Span("LOC", 3, 4)], 5, "IOBES")
    ['B-PER', 'E-PER', 'O', 'S-LOC', 'O']
    """
    table = SCHEMES[scheme]
    tags = [OUTSIDE] * length
    before = Span("", 0, 0)
    for span in spans:
        if not before.end <= span.start < span.end <= length:
            raise ValueError(f"{span} does not follow {before} inside a sentence of {length} tokens")
        after_same = before.type == span.type and before.end == span.start
        if span.end - span.start == 1:
            prefixes = [table.single_after_same if after_same else table.single]
        else:
            first = table.first_after_same if after_same else table.first
            prefixes = [first, *[table.inner] * (span.end - span.start - 2), table.last]
        tags[span.start : span.end] = [f"{prefix}-{span.type}" for prefix in prefixes]
        before = span
    return tags


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Canonical tags from one scheme to another, by way of their spans.

    Between equal schemes the tags come back as they are, ill-formed or not; otherwise the result is well-formed.
    """
    if source == target:
        return list(tags)
    return tags_from_spans(spans_from_tags(tags), len(tags), target)


@functools.cache
def legal_transitions(scheme: str) -> frozenset[tuple[str, str, bool]]:
    """All (prefix, next prefix, same type) that occur in well-formed tags; the edges of a sentence count as `O`.

    Not a second table: `tags_from_spans` writes every sequence of three neighbouring short spans of two types.
    """
    if scheme == NO_SCHEME:
        raise ValueError("plain tags have no illegal transitions")
    seen: set[tuple[str, str, bool]] = {(OUTSIDE, OUTSIDE, False)}
    shapes = [(length, entity_type) for length in (1, 2, 3, 4) for entity_type in ("a", "b")]
    for neighbours in itertools.product(shapes, repeat=3):
        spans, end = [], 1
        for length, entity_type in neighbours:
            spans.append(Span(entity_type, end, end + length))
            end += length
        tags = [split_tag(tag) for tag in tags_from_spans(spans, end + 1, scheme)]
        for (prefix, entity_type), (next_prefix, next_type) in itertools.pairwise(tags):
            same = entity_type == next_type and prefix != OUTSIDE
            seen.add((prefix, next_prefix, same))
    return frozenset(seen)


def is_legal(tag: str, next_tag: str, transitions: frozenset[tuple[str, str, bool]]) -> bool:
    """Whether one canonical tag may follow another."""
    (prefix, entity_type), (next_prefix, next_type) = split_tag(tag), split_tag(next_tag)
    return (prefix, next_prefix, entity_type == next_type and prefix != OUTSIDE) in transitions
