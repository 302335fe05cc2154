"""The entities of CoNLL-U: tags under a key of MISC or in a column, or the brackets of `Entity=`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tagger.corpus.schemes import OUTSIDE
from tagger.formats.conllu_lines import Sentence, misc_of

_BRACKET = re.compile(r"\(([^()]*)|([^()]*)\)")
_PART = re.compile(r"\[\d+/\d+\]$")  # of a discontinuous span
_ENTITY = "Entity"
PLAIN_COLUMNS = ("UPOS", "XPOS", "LEMMA", "FEATS", "HEAD", "DEPREL", "DEPS")  # which never hold spans


class Source(NamedTuple):
    """The place of the entities in a file.

    Attributes:
        key: the key of MISC whose values are tags.
        column: the column whose values are tags.
        type_part: for brackets, the index of the entity type among the parts of an opening bracket.
    """

    key: str | None = None
    column: str | None = None
    type_part: int | None = None

    @staticmethod
    def of(kept: Mapping[str, Any]) -> Source:
        """Return the source that a document kept."""
        key, column, part = (kept.get(name) for name in Source._fields)
        return Source(
            key if isinstance(key, str) else None,
            column if isinstance(column, str) else None,
            part if type(part) is int else None,
        )

    def tags(self, sentence: Sentence) -> list[str]:
        """Return the tags of a sentence as they are spelled; a word without one is outside."""
        if self.column is not None:
            return sentence.cells(self.column)
        if self.key is None:
            return [OUTSIDE] * len(sentence.words)
        values = [misc_of(cell).get(self.key, OUTSIDE) for cell in sentence.cells("MISC")]
        return [OUTSIDE if value in ("", "_") else value for value in values]

    def bracketed(self, sentence: Sentence) -> Iterator[tuple[str, int, int] | str]:
        """Yield the spans that brackets mark in a sentence, or what is wrong with one."""
        if self.type_part is not None:
            yield from bracketed([misc_of(cell).get(_ENTITY, "") for cell in sentence.cells("MISC")], self.type_part)


def type_part(comment: str) -> int | None:
    """Return the index of the entity type among the parts that a `# global.Entity` comment names, or None.

    >>> type_part("GRP-etype-infstat")
    1
    """
    parts = comment.strip().split("-")
    return parts.index("etype") if "etype" in parts else None


def bracketed(values: Sequence[str], type_part: int) -> Iterator[tuple[str, int, int] | str]:
    """Yield the spans of a sentence as type, first word and word after the last, or what is wrong with one.

    >>> list(bracketed(["(e1-person-new(e2-place-new)", "", "e1)"], 1))
    [('place', 0, 1), ('person', 0, 3)]
    """
    opened: list[tuple[str, str, int]] = []
    for i, value in enumerate(values):
        for opening, closing in _brackets(value):
            if opening is not None:
                parts = opening.split("-")
                opened.append((parts[0], parts[type_part] if type_part < len(parts) else "", i))
                continue
            at = next((k for k in reversed(range(len(opened))) if closing in ("", opened[k][0])), None)
            if at is None:
                yield f"found the end of {closing[:40]!r} in Entity=, expected its beginning before"
                continue
            name, entity_type, start = opened.pop(at)
            if _PART.search(name):
                yield f"the part {name[:40]} of a discontinuous entity is left out"
            elif entity_type:
                yield entity_type, start, i + 1
            else:
                yield f"found no type of {name[:40]!r} in Entity=, expected one, as # global.Entity says"
    yield from (f"found no end of {name[:40]!r} in Entity=, expected one" for name, _, _ in opened)


def _brackets(value: str) -> Iterable[tuple[str | None, str]]:
    """Yield each opening bracket with what it says, and each closing one (None) with its name."""
    for match in _BRACKET.finditer(value):
        yield (match[1], "") if match[1] is not None else (None, match[2])
