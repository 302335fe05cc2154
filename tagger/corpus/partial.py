"""Sentences that are annotated only in part: the tags that each token may have in the scheme that the network learns.

A token that is not annotated has the tag `UNKNOWN` and may have any tag that is legal there. Beside it, a known tag of
one scheme may stand for several of another: in IOB2 `B-PER ?`, the first token is `S-PER` or `B-PER` in IOBES.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tagger.corpus.schemes import (
    NO_SCHEME,
    OUTSIDE,
    SCHEMES,
    UNKNOWN,
    is_legal,
    legal_transitions,
    spans_from_tags,
    split_tag,
    tags_from_spans,
)
from tagger.corpus.transitions import Transitions

Allowed = frozenset[str] | None  # the tags that a token may have; None for all tags
_OTHER = "\0"  # stands for all types but that of the neighbor


@dataclasses.dataclass(frozen=True, eq=False)
class SoftTargets:
    """What teachers say about the N tokens of the training sentences, beside the gold tags of some of them.

    Attributes:
        probabilities: [N, K], the probabilities of the tags of each token.
        gold: [N], the gold id of each token; -1 for the tokens of sentences without gold tags.
        gold_weight: the weight of the loss of the gold tags, from 0 to 1. The loss of the probabilities has the rest,
            and a weight of 1 where gold tags say nothing.
    """

    probabilities: npt.NDArray[np.float32]
    gold: npt.NDArray[np.int32]
    gold_weight: float

    def __post_init__(self) -> None:
        if len(self.gold) != len(self.probabilities):
            raise ValueError(f"gold: found {len(self.gold)} tokens, expected {len(self.probabilities)}")
        if not 0 <= self.gold_weight <= 1:
            raise ValueError(f"gold_weight: found {self.gold_weight}, expected a number from 0 to 1")


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """The meaning of gold ids, where an id is more than a tag.

    Attributes:
        allowed: [S, K], the tags that a token with each gold id may have. The first K ids are the tags themselves. None
            if these are all ids.
        weights: [S], the weight of the loss of a token with each gold id; None if all are 1.
        rules: the legal transitions that the sums over tag sequences keep to; None if all are legal.
        teacher: [N, K'], the probabilities of the first K' tags that an older model gives to N tokens whose gold tag
            says too little. Gold id S + i stands for row i, and such a token may have the tags of id S - 1. None if no
            token has a teacher.
        soft: what teachers say about every token. The id of a token is then its row there, whose gold id has the
            meaning above. None if there are no teachers of all tokens.
    """

    allowed: npt.NDArray[np.bool_] | None = None
    weights: npt.NDArray[np.float32] | None = None
    rules: Transitions | None = None
    teacher: npt.NDArray[np.float32] | None = None
    soft: SoftTargets | None = None

    def __post_init__(self) -> None:
        if self.teacher is not None and self.allowed is None:
            raise ValueError("teacher: expected `allowed` too, whose last row holds the tags of a token with a teacher")
        if self.teacher is not None and self.soft is not None:
            raise ValueError("soft: found it with `teacher`, expected one of them")

    def __bool__(self) -> bool:
        return self.allowed is not None or self.weights is not None or self.soft is not None


def allowed_tags(tags: Sequence[str], source: str, target: str) -> list[Allowed]:
    """Return the tags of another scheme that each token may have.

    Every legal sequence of `source` that agrees with the known tags is allowed in `target`. Known tags that are
    ill-formed are read as conlleval reads them. If no legal sequence agrees with the tags, spans end where the
    annotation ends. A few more sequences are allowed beside an unknown token: if `source` is IOB1, IOE1 or IO, where a
    tag alone does not say where a span begins or ends, two neighboring spans of one type; and if `target` is IOB2 but
    `source` marks the ends of spans, spans that end elsewhere.

    >>> [sorted(tags) if tags else tags for tags in allowed_tags(["B-PER", UNKNOWN, "I-LOC", "O"], "IOB2", "IOBES")]
    [['B-PER', 'S-PER'], None, ['E-LOC'], ['O']]
    """
    if source == NO_SCHEME:
        return [frozenset({tag}) if tag != UNKNOWN else None for tag in tags]
    neighbors = [OUTSIDE, *tags, OUTSIDE]
    found = [
        _readings(before, tag, after, source, target) if tag != UNKNOWN else None
        for before, tag, after in zip(neighbors, tags, neighbors[2:], strict=False)
    ]
    if is_possible(found, target):
        return found
    closed = tags_from_spans(spans_from_tags(tags), len(tags), target)
    return [frozenset({tag}) if old != UNKNOWN else None for tag, old in zip(closed, tags, strict=True)]


@functools.lru_cache(maxsize=1 << 16)
def _readings(before: str, tag: str, after: str, source: str, target: str) -> frozenset[str]:
    """Return the tags of the scheme `target` that a known tag between two others may stand for."""
    if tag == OUTSIDE:
        return frozenset({OUTSIDE})
    legal = legal_transitions(source)
    entity_type, table = split_tag(tag)[1], SCHEMES[target]
    any_tag = [OUTSIDE, *(f"{p}-{name}" for p in SCHEMES[source].prefixes for name in (entity_type, _OTHER))]
    befores = [before] if before != UNKNOWN else [one for one in any_tag if is_legal(one, tag, legal)]
    afters = [after] if after != UNKNOWN else [one for one in any_tag if is_legal(tag, one, legal)]
    begins = {any(span.start == 1 for span in spans_from_tags([one, tag])) for one in befores or [OUTSIDE]}
    ends = {any(span.end == 1 for span in spans_from_tags([tag, one])) for one in afters or [OUTSIDE]}
    prefixes = {
        (True, True): table.single, (True, False): table.first, (False, False): table.inner, (False, True): table.last,
    }  # fmt: skip
    return frozenset(f"{prefixes[first, last]}-{entity_type}" for first in begins for last in ends)


def is_possible(allowed: Sequence[Allowed], scheme: str) -> bool:
    """Return whether a legal sequence has an allowed tag at each token."""
    if scheme == NO_SCHEME:
        return True
    any_tag = frozenset(tags_of_types({split_tag(tag)[1] for tags in allowed if tags for tag in tags} - {""}, scheme))
    reached = frozenset({OUTSIDE})
    for tags in [*allowed, frozenset({OUTSIDE})]:
        reached = _reached(reached, any_tag if tags is None else tags, scheme)
    return bool(reached)


@functools.lru_cache(maxsize=1 << 14)
def _reached(before: frozenset[str], tags: frozenset[str], scheme: str) -> frozenset[str]:
    legal = legal_transitions(scheme)
    return frozenset(tag for tag in tags if any(is_legal(one, tag, legal) for one in before))


def tags_of_types(types: Iterable[str], scheme: str) -> set[str]:
    """Return `O` and the tags of a scheme with each of its prefixes and some types."""
    return {OUTSIDE, *(f"{prefix}-{name}" for name in types for prefix in SCHEMES[scheme].prefixes)}


def ids_of_allowed(
    sentences: Iterable[Sequence[Allowed]], tags: Sequence[str]
) -> tuple[list[npt.NDArray[np.int32]], npt.NDArray[np.bool_]]:
    """Return the gold ids of sentences, and the tags that a token with each id may have, [S, K].

    Args:
        sentences: the tags that each token may have.
        tags: the K tags of the network in the order of their ids.
    """
    numbers: dict[Allowed, int] = {frozenset({tag}): i for i, tag in enumerate(tags)}
    ids = [np.array([numbers.setdefault(one, len(numbers)) for one in row], np.int32) for row in sentences]
    allowed = np.array([[one is None or tag in one for tag in tags] for one in numbers], bool)
    return ids, allowed


def weights_of_ids(
    weights: Mapping[str, float], allowed: npt.NDArray[np.bool_], tags: Sequence[str], scheme: str
) -> npt.NDArray[np.float32]:
    """Return the weight of each gold id, [S]: that of the type of its tags; 1 without one, or with several.

    Args:
        weights: entity type → weight; for plain tags, tag → weight.
        allowed: [S, K], the tags of each id.
        tags: the K tags.
        scheme: their scheme.
    """
    names = [tag if scheme == NO_SCHEME else split_tag(tag)[1] for tag in tags]
    found = np.ones(len(allowed), np.float32)
    for i, row in enumerate(allowed):
        types = {name for name, is_allowed in zip(names, row, strict=True) if is_allowed}
        if len(types) == 1:
            found[i] = weights.get(types.pop(), 1.0)
    return found


def without_unknown(
    gold: Sequence[str], pred: Sequence[str], *, plain: bool = False
) -> tuple[list[str], list[str], list[bool]]:
    """Leave out of a sentence's tags what cannot be scored, because the gold tags do not say whether it is right.

    Gold spans that border on a token without annotation may go on there, so they are left out. So are predicted spans
    that share a token with one of those, or with a token without annotation.

    Args:
        gold, pred: canonical tags of any scheme.
        plain: whether the tags are plain and have no spans.

    Returns:
        The gold and the predicted tags, with `UNKNOWN` in both at tokens without annotation and `O` at the other tokens
        of the spans that are left out; and for each predicted span whether it is kept.
    """
    spans = [] if plain else spans_from_tags(pred)
    if UNKNOWN not in gold:
        return list(gold), list(pred), [True] * len(spans)
    unclear = [tag == UNKNOWN for tag in gold]
    at_edges = [False, *unclear, False]
    for span in () if plain else spans_from_tags(gold):
        if at_edges[span.start] or at_edges[span.end + 1]:
            unclear[span.start : span.end] = [True] * (span.end - span.start)
    kept = [not any(unclear[span.start : span.end]) for span in spans]
    new_gold = [OUTSIDE if out and tag != UNKNOWN else tag for tag, out in zip(gold, unclear, strict=True)]
    new_pred = list(pred)
    for span, is_kept in zip(spans, kept, strict=True):
        if not is_kept:
            new_pred[span.start : span.end] = [OUTSIDE] * (span.end - span.start)
    for i, tag in enumerate(gold):
        if tag == UNKNOWN:
            new_pred[i] = UNKNOWN
    return new_gold, new_pred, kept
