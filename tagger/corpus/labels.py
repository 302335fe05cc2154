"""The labels that a model learns where they are not those of the files: types that are renamed or left out.

Renaming comes first, so the types to keep are named as they are afterwards. The rules can be applied to a file that
has been changed by them before: it stays as it is.
"""

from __future__ import annotations

import collections
import dataclasses
import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from tagger.corpus.schemes import (
    NO_SCHEME,
    OUTSIDE,
    UNKNOWN,
    Span,
    spans_from_tags,
    split_tag,
    tags_from_spans,
    with_unknown,
)
from tagger.errors import DataError
from tagger.wording import counted, listed

_MOST_NAMED = 10  # types in a message


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labels:
    """The rules that change labels: entity types, or plain tags.

    Attributes:
        map: label → its new name.
        keep: the types that stay, by their new names, or None for all; spans of other types become outside.

    Raises:
        DataError: the rules contradict each other, or a name cannot be a label.
    """

    map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    keep: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in (*self.map, *self.map.values(), *(self.keep or ())):
            if not name.strip() or set(name) & set("\t\r\n"):
                raise DataError(f"found {name!r}, expected the name of a type; fix it")
        for old, new in self.map.items():
            if " " in new:  # predict writes it, and spaces may separate the columns
                raise DataError(f"map: found {new!r} for {old}, expected a name without blanks; choose another")
            if self.map.get(new, new) != new:
                raise DataError(
                    f"map: found {old}: {new} and {new}: {self.map[new]}, expected names that are not renamed"
                    f" again; give {old} its last name"
                )
        renamed = next((name for name in self.keep or () if self.map.get(name, name) != name), None)
        if renamed is not None:
            raise DataError(
                f"keep: found {renamed}, which map renames to {self.map[renamed]}, expected names as they"
                f" are afterwards; keep {self.map[renamed]}"
            )

    def __bool__(self) -> bool:
        return bool(self.map) or self.keep is not None

    @property
    def types_in_files(self) -> frozenset[str] | None:
        """The types of spans that are kept, as files name them, or None for all."""
        if self.keep is None:
            return None
        return frozenset(self.keep) | {old for old, new in self.map.items() if new in self.keep}

    def apply(self, tags: Sequence[list[str]], scheme: str) -> tuple[list[list[str]], list[str]]:
        """Change the labels of canonical tags.

        Returns:
            The tags, in the same scheme, and notes that count what was renamed and left out.

        Raises:
            DataError: types are to be kept, but the tags are plain.
        """
        if not self:
            return list(tags), []
        if scheme == NO_SCHEME:
            return self._apply_to_plain(tags)
        found = collections.Counter(span.type for sentence in tags for span in spans_from_tags(sentence))
        changed = [self._changed(sentence, scheme) for sentence in tags]
        notes = self._notes(found, "span")
        n_kept = sum(n for name, n in found.items() if self._new_name(name) is not None)
        n_merged = n_kept - sum(len(spans_from_tags(sentence)) for sentence in changed)
        if n_merged:
            notes.append(
                f"data.labels: merged {counted(n_merged, 'span')} with the one before, because the scheme {scheme}"
                " cannot separate neighbors of one type"
            )
        return changed, notes

    def _apply_to_plain(self, tags: Sequence[list[str]]) -> tuple[list[list[str]], list[str]]:
        if self.keep is not None:
            raise DataError(
                "data.labels.keep: found it with plain tags, which have no tag for the tokens that are left out,"
                " expected a scheme of spans; delete it, or rename tags with data.labels.map"
            )
        found = collections.Counter(tag for sentence in tags for tag in sentence)
        return [[self.map.get(tag, tag) for tag in sentence] for sentence in tags], self._notes(found, "token")

    def _new_name(self, name: str) -> str | None:
        """Return the new name of a label, or None if it is left out."""
        new = self.map.get(name, name)
        return new if self.keep is None or new in self.keep else None

    def _changed(self, tags: list[str], scheme: str) -> list[str]:
        """Return the tags of a sentence; prefixes change only where neighbors would become one span otherwise."""
        spans = [
            Span(new, span.start, span.end)
            for span in spans_from_tags(tags)
            if (new := self._new_name(span.type)) is not None
        ]
        renamed = [self._renamed(tag) for tag in tags]
        if spans_from_tags(renamed) == spans:
            return renamed
        return with_unknown(tags_from_spans(spans, len(tags), scheme), tags)

    def _renamed(self, tag: str) -> str:
        prefix, name = split_tag(tag)
        if tag == UNKNOWN:
            return tag
        new = None if tag == OUTSIDE else self._new_name(name)
        return OUTSIDE if new is None else f"{prefix}-{new}"

    def _notes(self, found: Mapping[str, int], noun: str) -> list[str]:
        """Return how many spans or tokens are renamed or left out."""
        new = {name: self._new_name(name) for name in found}
        renamed = [
            f"{name} to {new[name]} ({counted(n, noun)})" for name, n in found.items() if new[name] not in (None, name)
        ]
        left_out = [f"{name} ({counted(n, noun)})" for name, n in found.items() if new[name] is None]
        return [
            *([f"data.labels: renamed {listed(renamed)}"] if renamed else []),
            *([f"data.labels: left out {listed(left_out)}"] if left_out else []),
        ]

    def unknown(self, tags: Sequence[Sequence[str]], scheme: str) -> list[str]:
        """Return what is wrong with each name that the training data do not have: it is misspelled, as a rule.

        Args:
            tags: the canonical tags of the training data as they are in the files.
            scheme: their scheme.
        """
        distinct = {tag for sentence in tags for tag in sentence} - {UNKNOWN}
        types = distinct if scheme == NO_SCHEME else {split_tag(tag)[1] for tag in distinct - {OUTSIDE}}
        after = {self.map.get(name, name) for name in types}
        problems = [unknown_name("data.labels.map", name, types) for name in self.map if name not in types]
        return problems + [
            unknown_name("data.labels.keep", name, after) for name in self.keep or () if name not in after
        ]


def unknown_name(key: str, name: str, types: Collection[str]) -> str:
    """Return the message that the training data do not have a type that a key of the config names."""
    folded = {known.casefold(): known for known in sorted(types)}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    shown = sorted(types)[:_MOST_NAMED]
    more = f" and {len(types) - len(shown)} more" if len(types) > len(shown) else ""
    meant = f"did you mean {folded[near[0]]}?" if near else "fix it, or delete it"
    return (
        f"{key}: found {name}, which the training data do not have, expected one of"
        f" {', '.join(shown) or 'no type'}{more}; {meant}"
    )


def read_names(path: str | Path) -> tuple[str, ...]:
    """Return the names in a file, one on each line.

    Raises:
        DataError: the file cannot be read, or has no names.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise DataError(
            f"data.names {path}: cannot be read: {reason}; name a file with a name on each line, or the names"
            " themselves, as in O,B-PER,I-PER"
        ) from None
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise DataError(f"data.names {path}: found no names, expected one on each line; fix the file")
    return names
