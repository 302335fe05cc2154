"""The choice of the token and the tag column of a file from the values that its columns hold."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tagger.corpus.column_names import Names
from tagger.corpus.layout import Layout, looks_like_tag
from tagger.corpus.notation import is_outside
from tagger.corpus.rivals import (
    are_exchanged,
    are_versions,
    better_token,
    holds_decimals,
    holds_labels,
    is_finer,
    is_mostly_outside,
    lacks_outside,
    n_words,
    only_numbers,
)
from tagger.corpus.survey import Survey, decoded_lines

Values = collections.Counter[str]
_TYPED = re.compile(r"[BIESLUM][-_.](.+)", re.IGNORECASE)  # B-PER
_SUFFIXED = re.compile(r"(.+)[-_.][BIESLU]")  # PER-B
_FILLERS = frozenset(("_", "-", "*", "-X-"))  # a cell without a value
_BEGINNINGS = ("B", "I", "S", "U")
_TAG_SHARE = 0.95  # the smallest share of a tag column's lines whose value is a tag
_COVERED = 0.9  # the smallest share of the tokens of nested spans that are inside an outer span
_FEW_TAGS, _MOST_TAGS = 50, 1000  # between them, a column holds tags if its values repeat three times on average
_TOKEN_NAMES = frozenset(("token", "tokens", "word", "words", "form", "text"))
_TAG_NAME = re.compile(
    r"(?:^|[-_. #])(?:tags?|ner|ne|labels?|iob\d?|bio|bioes|pos|upos|xpos|category|chunk|entity|entities)(?:$|[-_. ])"
)
_ENTITY_NAME = re.compile(r"(?:^|[-_. ])(?:ner?|names?|entity|entities)(?:$|[-_. ])")
_POS_NAME = re.compile(r"(?:^|[-_. ])[ux]?pos(?:$|[-_. ])")
_NUMBER = re.compile(r"-?[0-9.,:]+")
_NEARLY = 0.8  # of the most different values: a lemma column has fewer than its words, but not many fewer
_FEWER = 4  # how many times as many values as a column of tags a column of text has at least
_LETTERS = frozenset("BIESLUMO")  # of spans without types
_FLAGS = 2  # the most values of a column that says yes or no
NUMBERS_AS_TAGS = "the tags are the numbers"  # how the message of `numbers_as_tags` begins
_CONLLU_COLUMNS, _MISC, _UPOS = 10, 9, 3
_BRACKETED = re.compile(r"\(.*\*?\)*|\*\)+|\*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """The chosen columns of a file.

    Attributes:
        columns: `token`, `tag` and the feature columns that the user named, with their indexes.
        index_column: the column that numbers the tokens, or None.
        tag_key: the key that names the tag within the tag column, or None.
        other_tags: the columns that look like tags, too.
        notes: what was chosen although something else was possible, and what is not used.
        doubts: why the choice may be wrong, each with what to do.
    """

    columns: Mapping[str, int]
    index_column: int | None = None
    tag_key: str | None = None
    other_tags: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def choose_columns(
    path: str | Path,
    found: Survey,
    layout: Layout,
    given: Mapping[str, int],
    header: Sequence[str],
    tag_key: str | None,
) -> Columns:
    """Choose the token and the tag column, unless they are given.

    The token is the first column, or the one after the tokens' numbers. The tag is the last column, unless that one
    cannot hold tags, or holds the inner layer of nested spans. In a file with the tag first, it is the other way round.

    Args:
        path, layout: the file, which is read once more if two columns could hold tags.
        found: the survey of the file.
        given: the columns that the user set.
        header: the names of the columns, if the file has them.
        tag_key: the key that the user set for a tag within a MISC column, or None.
    """
    columns = found.columns
    if header:
        columns = [_without_header(values, name) for values, name in zip(columns, header, strict=True)]
    n = len(columns)
    names = Names(columns, header)
    index = next((i for i in found.numbered if i != given.get("token") and _precedes_tokens(columns, i)), None)
    if "token" in given and "tag" in given:
        return Columns(columns=dict(given), index_column=index, tag_key=tag_key)
    if n == 0:
        return Columns(columns={"token": 0, "tag": -1, **given})
    token = given.get("token", _named_token(header, 0 if index is None else index + 1))
    tags = [i for i in range(n) if _holds_span_tags(columns[i])]
    conllu = n == _CONLLU_COLUMNS and index == 0 and "tag" not in given
    if "tag" in given:
        tag = given["tag"]
        if "token" not in given and tag in (0, -n):
            token = _token_beside(columns, 0)
        return Columns(
            columns={**given, "token": token},
            index_column=index,
            tag_key=tag_key,
            notes=names.notes(token, tag % n, [], index) if -n <= tag < n else (),
        )
    if conllu and not tags:
        return _conllu(columns, given, token, tag_key, names)
    if "token" not in given and token == 0 and 0 in tags and n > 1 and not _holds_span_tags(columns[1]):
        token, tag = _token_beside(columns, 0), 0
        return Columns(
            columns={**given, "token": token, "tag": tag}, notes=names.notes(token, tag, tags, index), tag_key=tag_key
        )
    tags = [i for i in tags if i != token]
    named = _named_tag(header, token, tags)
    tag, doubts = (named, []) if named is not None else _tag_column(path, found, layout, columns, token, tags, names)
    if named is None:
        doubts = doubts or _doubts_of_tag(columns, token, tag, tags, names)
    if "token" not in given and token not in _named_tokens(header):
        doubts = _doubts_of_token(columns, token, tag, names) or doubts
    shown = -1 if tag == n - 1 else tag
    return Columns(
        columns={**given, "token": token, "tag": shown},
        index_column=index,
        tag_key=tag_key,
        other_tags=tuple(i for i in tags if i != tag),
        notes=names.notes(token, tag, tags, index),
        doubts=tuple(doubts),
    )


def _precedes_tokens(columns: Sequence[Values], i: int) -> bool:
    """Return whether a column of numbers has a token and a tag after it, and nothing but document names before it."""
    return i + 2 < len(columns) and all(2 * len(values) < len(columns[i + 1]) for values in columns[:i])


def _token_beside(columns: Sequence[Values], tag: int) -> int:
    """Return the column of words beside a tag column: the last one that has nearly the most different values."""
    words = [i for i in range(len(columns)) if i != tag and not all(map(_NUMBER.fullmatch, columns[i]))]
    most = max((len(columns[i]) for i in words), default=0)
    return max((i for i in words if len(columns[i]) >= _NEARLY * most), default=1 if tag == 0 else 0)


def _named_tokens(header: Sequence[str]) -> list[int]:
    return [i for i, name in enumerate(header) if name.casefold() in _TOKEN_NAMES]


def _named_token(header: Sequence[str], otherwise: int) -> int:
    return next(iter(_named_tokens(header)), otherwise)


def _doubts_of_token(columns: Sequence[Values], token: int, tag: int, names: Names) -> list[str]:
    """Return why the token column may be another one: the file has words, and they are elsewhere."""
    if are_exchanged(columns, token, tag):
        return [
            f"{names.listed([token])} has {len(columns[token])} different values, as tags have, and"
            f" {names.listed([tag])} {len(columns[tag]):,}, as words have; set data.columns.token to {tag} and"
            f" data.columns.tag to {token}, or data.columns.token to {token} if they are right"
        ]
    better = better_token(columns, token, tag)
    if better is None:
        return []
    shown = ", ".join(value[:20] for value, _ in columns[token].most_common(3))
    return [
        f"the tokens in {names.listed([token])} ({shown}, …) have {n_words(columns[token]):,} different words, and"
        f" {names.listed([better])} has {n_words(columns[better]):,}; set data.columns.token to {better}, or to {token}"
        " if it is right"
    ]


def _doubts_of_tag(columns: Sequence[Values], token: int, tag: int, tags: Sequence[int], names: Names) -> list[str]:
    """Return why the tag column may be another one."""
    others = [i for i in range(token + 1, len(columns)) if i != tag]
    spans = [i for i in others if i in tags]
    if tag in tags:
        rivals = [i for i in spans if lacks_outside(columns[tag]) and is_mostly_outside(columns[i])]
        rivals += [i for i in spans if only_numbers(_types(columns[tag])) and not only_numbers(_types(columns[i]))]
        rivals += [i for i in others if i not in spans and _is_bare_io(columns[i]) and len(columns[i]) > 1]
    else:
        values = {value for value in columns[tag] if not is_outside(value)}
        rivals = [i for i in others if not _is_bare_io(columns[tag]) and _is_bare_io(columns[i])]
        if 0 < len(values) <= _FLAGS and not _is_bare_io(columns[tag]) and not values <= _LETTERS:
            rivals += [i for i in others if holds_labels(columns[i]) and len(columns[i]) > len(values)]
    if not rivals:
        return []
    return [f"{names.listed(sorted({*rivals, tag}))} could all hold the tags; set data.columns.tag to the one to learn"]


def _named_tag(header: Sequence[str], token: int, tags: Collection[int]) -> int | None:
    """Return the tag column by the names of the columns, or None if they do not decide."""
    named = [i for i, name in enumerate(header) if i != token and _is_tag_name(name)]
    spans = [i for i in named if i in tags]
    last = len(header) - 1
    if not named or (last in named and not (spans and last not in tags and _POS_NAME.search(header[last].casefold()))):
        return None
    return (next((i for i in spans if _ENTITY_NAME.search(header[i].casefold())), spans[-1])) if spans else named[-1]


def _is_tag_name(name: str) -> bool:
    return _TAG_NAME.search(name.casefold()) is not None and not looks_like_tag(name)


def _tag_column(
    path: str | Path,
    found: Survey,
    layout: Layout,
    columns: Sequence[Values],
    token: int,
    tags: Sequence[int],
    names: Names,
) -> tuple[int, list[str]]:
    """Return the tag column of a file with the token first, and the doubts about it."""
    last = len(columns) - 1
    if not tags:
        labels = [i for i in range(token + 1, last) if holds_labels(columns[i])]
        if labels and holds_decimals(columns[last]):
            return labels[-1], []
        bracketed = [i for i in range(len(columns)) if holds_brackets(columns[i])]
        if bracketed and not holds_brackets(columns[last]) and _is_empty(columns[last]):
            return bracketed[-1], []
        fewer = [i for i in range(token + 1, last) if 1 < len(columns[i]) <= len(columns[last]) / _FEWER]
        if len(columns[last]) > _FEW_TAGS and fewer:
            return last, [
                f"column {last} has {len(columns[last]):,} different values, and {names.listed(fewer)} fewer, as tags"
                " have; set data.columns.tag to the column of the tags"
            ]
        return last, []
    if last in tags:
        chosen = last
    elif _is_all_outside(columns[last]) or _is_bare_io(columns[last]):
        return last, []
    elif _cannot_be_tags(columns[last]):
        chosen = tags[-1]
    else:
        return last, [
            f"{names.listed([*tags, last])} could all hold the tags; set data.columns.tag to the one to learn"
        ]
    if len(tags) > 1:
        joint = _joint(path, layout, found, tags)
        versions = [i for i in tags if i != chosen and are_versions(joint, tags.index(i), tags.index(chosen))]
        if versions:
            listed = names.listed(sorted([*versions, chosen]))
            return chosen, [
                f"{listed} hold nearly the same tags, as gold and predicted ones do; set data.columns.tag to the one to"
                " learn"
            ]
        for i in reversed(tags[: tags.index(chosen)]):
            if _is_layer_of(joint, tags.index(i), tags.index(chosen)):
                chosen = i
    return chosen, []


def _joint(
    path: str | Path, layout: Layout, found: Survey, tags: Sequence[int]
) -> collections.Counter[tuple[str, ...]]:
    """Count the combinations of values in the tag columns."""
    split, n = layout.splitter(), found.usual

    def rows() -> Iterator[tuple[str, ...]]:
        for _, line in decoded_lines(path, layout.encoding):
            fields = split(line)
            if len(fields) == n:
                yield tuple(fields[i] for i in tags)

    return collections.Counter(rows())


def _is_layer_of(joint: Mapping[tuple[str, ...], int], outer: int, inner: int) -> bool:
    """Return whether one column holds the inner layer (or a copy, or finer types) of the spans in another column.

    In GermEval's outer and inner entities, as in HIPE's coarse and nested ones, nearly every token of the inner layer
    is inside an outer span, and the types are the same ones. A chunk column covers the entities too, but with types
    of its own.
    """
    n_outer = sum(n for row, n in joint.items() if not is_outside(row[outer]))
    n_inner = sum(n for row, n in joint.items() if not is_outside(row[inner]))
    n_both = sum(n for row, n in joint.items() if not is_outside(row[outer]) and not is_outside(row[inner]))
    if n_inner > n_outer or n_both < _COVERED * n_inner:
        return False
    types = {kind: {_type_of(row[kind]) for row in joint} - {None} for kind in (outer, inner)}
    shared = [
        name
        for name in types[inner]
        if any(is_finer(str(name), str(other)) or is_finer(str(other), str(name)) for other in types[outer])
    ]
    return len(shared) >= _COVERED * len(types[inner])


def _conllu(
    columns: Sequence[Values], given: Mapping[str, int], token: int, tag_key: str | None, names: Names
) -> Columns:
    """Return the columns of a CoNLL-U file without a tag column of its own: the entities are in MISC, or nowhere."""
    keys = [tag_key] if tag_key is not None else misc_keys(columns[_MISC])
    if keys:
        others = f"; other keys that look like tags: {', '.join(keys[1:])} (data.tag_key)" if keys[1:] else ""
        notes = (f"CoNLL-U: the tags are the values of {keys[0]}= in column {_MISC} (MISC){others}",)
        return Columns(columns={**given, "token": token, "tag": _MISC}, index_column=0, tag_key=keys[0], notes=notes)
    return Columns(
        columns={**given, "token": token, "tag": _UPOS},
        index_column=0,
        notes=(
            "CoNLL-U without entities: the tags are the parts of speech (UPOS) in column 3",
            *names.notes(token, _UPOS, [], 0),
        ),
    )


def misc_keys(misc: Values) -> list[str]:
    """Return the keys of a MISC column whose values are tags of spans, the most frequent key first.

    >>> misc_keys(collections.Counter(["name=B-PER|SpaceAfter=No", "name=O", "SpaceAfter=No"]))
    ['name']
    """
    values: dict[str, Values] = {}
    for cell, n in misc.items():
        for item in cell.split("|"):
            key, equals, value = item.partition("=")
            if equals:
                values.setdefault(key, collections.Counter())[value] += n
    keys = [key for key, found in values.items() if _holds_span_tags(found)]
    return sorted(keys, key=lambda key: (_ENTITY_NAME.search(key.casefold()) is None, -values[key].total(), key))


def header_of(found: Survey, asked: Collection[str]) -> tuple[str, ...]:
    """Return the names of the columns if the first line of a file holds them, otherwise nothing.

    Args:
        asked: the names by which the user calls columns; a line that holds them all is a header.
    """
    names = found.first_fields
    if len(names) < 2 or len(names) != found.usual or len(set(names)) < len(names):
        return ()
    if asked and set(asked) <= set(names):
        return tuple(names)
    # A name occurs nowhere else in its column. A header may be repeated, though, where files were joined.
    n_repeated = min(values[name] for name, values in zip(names, found.columns, strict=True))
    unusual = [values[name] == n_repeated for name, values in zip(names, found.columns, strict=True)]
    lower = [name.casefold() for name in names]
    if not any(name in _TOKEN_NAMES for name in lower):
        return ()
    named = [i for i, name in enumerate(names) if _is_tag_name(name) and unusual[i]]
    return tuple(names) if named else ()


def _without_header(values: Values, name: str) -> Values:
    """Return the values of a column without its name, which the header line holds."""
    rest = collections.Counter(values)
    rest[name] -= 1
    return +rest


def _types(values: Values) -> set[str]:
    return {name for value in values if (name := _type_of(value)) is not None}


def _type_of(value: str) -> str | None:
    """Return the entity type of a span tag, or None if the value is not one."""
    if is_outside(value):
        return None
    match = _TYPED.fullmatch(value) or _SUFFIXED.fullmatch(value)
    return match[1] if match else None


def _holds_span_tags(values: Values) -> bool:
    """Return whether nearly all values of a column are outside, or a prefix with a type: `B-PER`, `PER_I`."""
    total = values.total()
    typed = {value: n for value, n in values.items() if _type_of(value) is not None}
    n_tags = sum(typed.values()) + sum(n for value, n in values.items() if is_outside(value))
    if not typed or n_tags < _TAG_SHARE * total:
        return False
    letters = {value[0].upper() for value in typed if _TYPED.fullmatch(value)}
    return bool(letters & set(_BEGINNINGS)) or any(_SUFFIXED.fullmatch(value) for value in typed)


def _is_empty(values: Values) -> bool:
    """Return whether a column holds nothing but one filler, such as `_`."""
    return len(values) <= 1 and set(values) <= _FILLERS | {""}


def _is_all_outside(values: Values) -> bool:
    return set(values) <= {"O", "o"}


def _is_bare_io(values: Values) -> bool:
    """Return whether most values are `O`, as where entity types have no prefix: `O O PER PER`."""
    return "O" in values and values["O"] >= values.total() / 2 and len(values) <= _FEW_TAGS


def _cannot_be_tags(values: Values) -> bool:
    """Return whether a column holds a filler, comments on single tokens, numbers, or text of its own."""
    total = values.total()
    if len(values) <= 1 or sum(values[value] for value in _FILLERS) >= total / 2:
        return True
    if all(map(_NUMBER.fullmatch, values)):
        return True
    return len(values) > max(_FEW_TAGS, min(_MOST_TAGS, total / 3))


def holds_brackets(values: Values) -> bool:
    """Return whether a column holds spans in brackets, as CoNLL-2012 and CoNLL-2005 write them: `(PER*`, `*)`."""
    bracketed = {value for value in values if _BRACKETED.fullmatch(value)}
    n = sum(values[value] for value in bracketed | (set(values) & {"-", "_"}))
    opens = any(value.startswith("(") and value not in ("(", "()") and len(value) > 1 for value in bracketed)
    return (
        opens and any(value.endswith(")") or "*" in value for value in bracketed) and n >= _TAG_SHARE * values.total()
    )


def numbers_as_tags(values: Values) -> str | None:
    """Return what is wrong if the tags are numbers, as the `ner_tags` of data sets of Hugging Face are."""
    if len(values) < 2 or not all(re.fullmatch(r"-?[0-9]{1,9}", value) for value in values):
        return None
    numbers = sorted(map(int, values))
    return (
        f"{NUMBERS_AS_TAGS} {numbers[0]} to {numbers[-1]}, as data sets of Hugging Face have them, expected"
        " names; set data.names to the names in their order (features['ner_tags'].feature.names lists them), or"
        " data.columns.tag to another column"
    )
