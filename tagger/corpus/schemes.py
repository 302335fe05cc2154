"""Tag schemes: spans read from tags, tags written for spans, and the transitions that each scheme allows.

A *canonical* tag is `O` or `<prefix>-<type>` with the scheme's own prefixes in upper case; a span without an entity
type has the type `_`. `Notation` converts the spelling of a file (`B_PER`, `0`, `i-per`, BMES letters, bare `B`) to
canonical tags and back. Ill-formed sequences are always read as conlleval reads them: an inside tag after `O` or after
another type begins a span.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Mapping, Sequence

OUTSIDE = "O"
UNTYPED = "_"
UNKNOWN = ""  # the tag of a token that is not annotated; no file has an empty tag, so it cannot be any other tag


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Span:
    """One entity or phrase of a type: the tokens from `start` to `end` (exclusive) of a sentence."""

    type: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class Scheme:
    """The prefixes for a span of one token, and for the first, inner and last tokens of a longer span.

    `after_same` replaces the prefix of a span's first token if a span of the same type ends directly before it, and
    `before_same` that of a span's last token if a span of the same type begins directly after it.
    """

    single: str
    first: str
    inner: str
    last: str
    after_same: str | None = None
    before_same: str | None = None

    @functools.cached_property
    def prefixes(self) -> frozenset[str]:
        return frozenset(prefix for prefix in dataclasses.astuple(self) if prefix is not None)


SCHEMES: Mapping[str, Scheme] = {
    # columns: single, first, inner, last, after_same, before_same
    "IOB1": Scheme("I", "I", "I", "I", after_same="B"),
    "IOB2": Scheme("B", "B", "I", "I"),
    "IOE1": Scheme("I", "I", "I", "I", before_same="E"),
    "IOE2": Scheme("E", "I", "I", "E"),
    "IOBES": Scheme("S", "B", "I", "E"),
    "BILOU": Scheme("U", "B", "I", "L"),
    "BIOS": Scheme("S", "B", "I", "I"),
    "BIOE": Scheme("B", "B", "I", "E"),
    "IO": Scheme("I", "I", "I", "I"),  # merges two adjacent spans of one type, which it cannot express
}
NO_SCHEME = "none"  # plain tags (parts of speech, …) without prefixes and spans
SCHEME_NAMES = (*SCHEMES, NO_SCHEME)
# BILOU's names for prefixes of IOBES; a span is read no further than to a token that is not annotated.
_READ_AS = {"L": "E", "U": "S", UNKNOWN: OUTSIDE}
# Whether conlleval begins a new span at the second of two adjacent tags of one type (Tjong Kim Sang 2000, conlleval.pl
# `startOfChunk`; S added as in seqeval's `start_of_chunk`). A tag of another type always begins one.
_BEGINS = {
    ("B", "B"): True, ("B", "I"): False, ("B", "E"): False, ("B", "S"): True,
    ("I", "B"): True, ("I", "I"): False, ("I", "E"): False, ("I", "S"): True,
    ("E", "B"): True, ("E", "I"): True, ("E", "E"): True, ("E", "S"): True,
    ("S", "B"): True, ("S", "I"): True, ("S", "E"): True, ("S", "S"): True,
}  # fmt: skip


@functools.lru_cache(maxsize=1 << 16)
def split_tag(tag: str) -> tuple[str, str]:
    """Return the prefix and entity type of a canonical tag: `B-PER` → (`B`, `PER`), `O` → (`O`, an empty string)."""
    prefix, _, entity_type = tag.partition("-")
    return prefix, entity_type


def spans_from_tags(tags: Sequence[str]) -> list[Span]:
    """Return the spans of canonical tags of any scheme, in order, as conlleval reads them.

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
    """Return the canonical tags of a sentence of `length` tokens; the spans must be in order and must not overlap.

    >>> tags_from_spans([Span("PER", 0, 2), Span("LOC", 3, 4)], 5, "IOBES")
    ['B-PER', 'E-PER', 'O', 'S-LOC', 'O']
    """
    table = SCHEMES[scheme]
    tags = [OUTSIDE] * length
    before = Span("", 0, 0)
    for span in spans:
        if not before.end <= span.start < span.end <= length:
            raise ValueError(f"{span} does not follow {before} inside a sentence of {length} tokens")
        n_inner = span.end - span.start - 2
        prefixes = [table.single] if n_inner < 0 else [table.first, *[table.inner] * n_inner, table.last]
        if before.type == span.type and before.end == span.start:
            prefixes[0] = table.after_same or prefixes[0]
            if table.before_same:
                tags[span.start - 1] = f"{table.before_same}-{span.type}"
        tags[span.start : span.end] = [f"{prefix}-{span.type}" for prefix in prefixes]
        before = span
    return tags


def convert(tags: Sequence[str], source: str, target: str) -> list[str]:
    """Convert canonical tags from one scheme to another, by way of their spans.

    If the schemes are equal, the tags are returned unchanged, ill-formed or not. Otherwise the result is well-formed.
    Tokens that are not annotated stay so, and spans end at them; `partial.allowed_tags` knows the other readings.
    """
    if source == target:
        return list(tags)
    return with_unknown(tags_from_spans(spans_from_tags(tags), len(tags), target), tags)


class Converter(dict[tuple[str, str, str], str]):
    """Converts tags as `convert` does, many sentences faster: how a tag is written depends only on its two neighbors.

    The spans of a scheme begin and end by two adjacent tags, so each triple of tags is converted once and kept.
    """

    def __init__(self, source: str, target: str) -> None:
        super().__init__()
        self._source, self._target = source, target

    def __missing__(self, triple: tuple[str, str, str]) -> str:
        self[triple] = tag = convert(triple, self._source, self._target)[1]
        return tag

    def convert(self, tags: list[str]) -> list[str]:
        """Return the tags of a sentence in the target scheme."""
        if self._source == self._target:
            return tags
        padded = [OUTSIDE, *tags, OUTSIDE]
        return list(map(self.__getitem__, zip(padded, tags, padded[2:], strict=False)))


def with_unknown(tags: list[str], original: Sequence[str]) -> list[str]:
    """Return tags with `UNKNOWN` wherever the original tags have it."""
    if UNKNOWN not in original:
        return tags
    return [UNKNOWN if old == UNKNOWN else tag for tag, old in zip(tags, original, strict=True)]


@functools.cache
def legal_transitions(scheme: str) -> frozenset[tuple[str, str, bool]]:
    """Return all (prefix, next prefix, same type) that occur in well-formed tags; sentence edges count as `O`.

    This does not need a second table: `tags_from_spans` writes every sequence of three adjacent short spans of two
    types.
    """
    if scheme == NO_SCHEME:
        raise ValueError("plain tags have no illegal transitions")
    seen: set[tuple[str, str, bool]] = {(OUTSIDE, OUTSIDE, False)}
    shapes = [(length, entity_type) for length in (1, 2, 3, 4) for entity_type in ("a", "b")]
    for neighbors in itertools.product(shapes, repeat=3):
        spans, end = [], 1
        for length, entity_type in neighbors:
            spans.append(Span(entity_type, end, end + length))
            end += length
        tags = [split_tag(tag) for tag in tags_from_spans(spans, end + 1, scheme)]
        for (prefix, entity_type), (next_prefix, next_type) in itertools.pairwise(tags):
            same = entity_type == next_type and prefix != OUTSIDE
            seen.add((prefix, next_prefix, same))
    return frozenset(seen)


def is_legal(tag: str, next_tag: str, transitions: frozenset[tuple[str, str, bool]]) -> bool:
    """Return whether one canonical tag may follow another."""
    (prefix, entity_type), (next_prefix, next_type) = split_tag(tag), split_tag(next_tag)
    return (prefix, next_prefix, entity_type == next_type and prefix != OUTSIDE) in transitions
