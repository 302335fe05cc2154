"""How a file is to be read: the one decision that `check`, `train` and every other command share.

`detect_layout` reads a training file once (`survey`), takes what the user set as it is, and finds the rest: the
columns, the delimiter, the comments, a header, the numbers of CoNLL-U. What it found is stored with the model, so that
nothing is detected at prediction. What it had to choose is said in notes.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from tagger.corpus.columns import choose_columns, header_of, numbers_as_tags
from tagger.corpus.foreign import foreign_format
from tagger.corpus.layout import Layout, is_plain_comment, looks_like_tag
from tagger.corpus.lines import Files, files_of, require_regular
from tagger.corpus.survey import COMMENT_PREFIX, Shape, Survey, survey
from tagger.errors import DataError
from tagger.wording import counted

_FEWEST_FOR_PREFIX = 10  # token lines that must share a prefix such as `en:` before it counts as one
_MOST_SHOWN_COMMENT = 60
_MOST_KINDS = 100  # values of a column of parts of speech or the like
_FEWEST_AT_STARTS = 3  # lines at the start of sentences that show together that they are comments


@dataclasses.dataclass(frozen=True, kw_only=True)
class Requested:
    """The settings of the user about the layout of a file; what is not set is found in the file.

    Attributes:
        columns: column name → index, or the name that the file's header gives the column.
        delimiter: as in `Layout`, or None.
        comments: `auto`, `none`, or the prefix of comment lines.
        encoding: the encoding of the file, or None for UTF-8.
        tag_key, several_tags, ragged: as in `Layout`, or None.
    """

    columns: Mapping[str, int | str] = dataclasses.field(default_factory=dict)
    delimiter: str | None = None
    comments: str = "auto"
    encoding: str | None = None
    tag_key: str | None = None
    several_tags: str | None = None
    ragged: bool | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detected:
    """The layout of a file, and what a user should know about it.

    Attributes:
        layout: the layout.
        notes: what was chosen, and what else could have been.
        other_tags: the columns that look like tags, too.
        doubts: reasons to believe that the file is not what it was read as, each with what to do. Training stops on
            them.
    """

    layout: Layout
    notes: tuple[str, ...] = ()
    other_tags: tuple[int, ...] = ()
    doubts: tuple[str, ...] = ()


def detect_layout(path: str | Path, requested: Requested) -> Detected:
    """Find the layout of a training file.

    Raises:
        DataError: the file cannot be read, or a setting does not fit it.
    """
    require_regular(path)
    layout = Layout(delimiter=requested.delimiter or "auto", encoding=requested.encoding or "utf-8")
    prefix = {"auto": COMMENT_PREFIX, "none": None}.get(requested.comments, requested.comments)
    found = survey(path, layout, prefix)
    _count_hash_lines_without_others(found)
    layout = dataclasses.replace(layout, delimiter=_delimiter(found, requested), n_columns=found.usual)
    split = layout.splitter()
    found.prefixed = [(number, line, split(line)) for number, line, _ in found.prefixed]
    layout = dataclasses.replace(layout, written_delimiter=_written_delimiter(found, layout))
    header = header_of(found, [column for column in requested.columns.values() if isinstance(column, str)])
    chosen = choose_columns(path, found, layout, by_index(path, requested.columns, header), header, requested.tag_key)
    layout = dataclasses.replace(
        layout,
        columns=chosen.columns,
        header=header,
        index_column=chosen.index_column,
        tag_key=chosen.tag_key,
        several_tags=requested.several_tags,
    )
    layout = dataclasses.replace(layout, ragged=_ragged(found, layout, requested.ragged))
    layout, comment_notes = _with_comments(found, layout, requested.comments, prefix)
    token_prefix = _token_prefix(found, layout)
    notes = [*chosen.notes, *comment_notes]
    if header:
        notes.append(f"the first line names the columns: {', '.join(header)}")
    if token_prefix:
        notes.append(f"every token begins with {token_prefix}, which is not read as part of it")
    if layout.ragged and requested.ragged is None:
        shapes = " or ".join(str(n) for n in sorted(found.shapes))
        notes.append(f"lines have {shapes} columns; the last one is the tag on each of them")
    layout = dataclasses.replace(layout, token_prefix=token_prefix)
    foreign = foreign_format(found, path)
    if foreign is not None:  # notes on its columns would only be noise
        return Detected(layout=layout, doubts=(foreign,))
    tag = layout.columns.get("tag", -1)
    tags = found.columns[tag] if -len(found.columns) <= tag < len(found.columns) else collections.Counter[str]()
    numbers = numbers_as_tags(tags) if layout.tag_key is None else None
    doubts = (*chosen.doubts, *([numbers] if numbers else []))
    return Detected(layout=layout, notes=tuple(notes), other_tags=chosen.other_tags, doubts=doubts)


def detect_layouts(paths: Files, requested: Requested) -> Detected:
    """Find the one layout of one or more training files.

    Raises:
        DataError: a file cannot be read, a setting does not fit it, or it has another layout than the first one.
    """
    first, *others = files_of(paths)
    detected = detect_layout(first, requested)
    for path in others:
        other = detect_layout(path, requested)
        # Not all of the files show that lines can be comments, or all of the tags.
        comments = detected.layout.comments or other.layout.comments
        known_tags = detected.layout.known_tags | other.layout.known_tags
        layout = dataclasses.replace(detected.layout, comments=comments, known_tags=known_tags)
        if layout != dataclasses.replace(other.layout, comments=comments, known_tags=known_tags):
            raise DataError(
                f"{path}: found {other.layout.describe()}, expected {layout.describe()} as in {first}: several training"
                " files must have one layout; convert it, or leave it out",
                detail=_differences(other.layout, layout),
            )
        notes = dict.fromkeys((*detected.notes, *other.notes))
        doubts = dict.fromkeys((*detected.doubts, *other.doubts))
        detected = dataclasses.replace(detected, layout=layout, notes=tuple(notes), doubts=tuple(doubts))
    return detected


def _differences(found: Layout, expected: Layout) -> list[str]:
    """Return the parts of a layout that are not as expected."""
    names = [field.name for field in dataclasses.fields(Layout) if field.name not in ("comments", "known_tags")]
    pairs = [(name, getattr(found, name), getattr(expected, name)) for name in names]
    return [f"{name}: found {ours!r}, expected {theirs!r}" for name, ours, theirs in pairs if ours != theirs]


def _count_hash_lines_without_others(found: Survey) -> None:
    """Count the lines with the comment prefix if there are no others, as in a file of hashtags only."""
    if found.shapes:
        return
    for number, line, fields in found.prefixed:
        if len(fields) > 1 and not is_plain_comment(line) and any(map(looks_like_tag, fields[1:])):
            shape = found.shapes.setdefault(len(fields), Shape([collections.Counter() for _ in fields], number))
            shape.n_lines += 1
            for values, value in zip(shape.values, fields, strict=True):
                values[value] += 1


def by_index(path: str | Path, columns: Mapping[str, int | str], header: Sequence[str]) -> dict[str, int]:
    """Return the columns with the index of each name that the header gives one.

    Raises:
        DataError: the header does not have a name.
    """
    found = {}
    for name, column in columns.items():
        if isinstance(column, int):
            found[name] = column
        elif column in header:
            found[name] = list(header).index(column)
        else:
            names = f"one of {', '.join(header)}" if header else "an index, because the file has no header line"
            raise DataError(f"columns.{name}: found {column!r}, expected {names}; set it to one", path=path)
    return found


def _delimiter(found: Survey, requested: Requested) -> str:
    """Return the delimiter: `tab` if all lines of the training file have TABs, so that a blank never separates."""
    if requested.delimiter is not None:
        return requested.delimiter
    return "tab" if found.delimiters and set(found.delimiters) == {"\t"} else "auto"


def _written_delimiter(found: Survey, layout: Layout) -> str:
    if layout.separator is not None:
        return layout.separator
    return max(found.delimiters, key=lambda key: (found.delimiters[key], key), default="\t")


def _ragged(found: Survey, layout: Layout, requested: bool | None) -> bool:
    """Return whether lines may have different numbers of columns because their tag is always the last one.

    A token or a tag that holds a blank makes a line longer too, and must not be cut silently. So the tag of each line
    must be one that lines of the usual length have, and the column after the token must hold what it always holds.
    """
    if requested is not None:
        return requested
    token, tag = layout.columns["token"], layout.columns["tag"]
    if tag != -1 or layout.feature_names or found.usual is None or len(found.shapes) < 2:
        return False
    if min(found.shapes) < token + 3:
        return False
    usual = found.columns
    tokens, second = set(usual[token]), set(usual[token + 1])
    if len(second) > _MOST_KINDS or len(second & tokens) > len(second) // 10:
        return False  # the column holds words, such as lemmas, so half of a token could be one of its values
    return all(
        set(shape.values[-1]) <= {*usual[-1]} | {value for value in shape.values[-1] if looks_like_tag(value)}
        and any(looks_like_tag(value) for value in usual[-1])
        and set(shape.values[token + 1]) <= set(usual[token + 1])
        for shape in found.shapes.values()
    )


def _with_comments(found: Survey, layout: Layout, requested: str, prefix: str | None) -> tuple[Layout, list[str]]:
    """Return the layout with its comments and known tags, and a note on the lines that are comments."""
    if found.usual is None and not found.prefixed:
        return layout, []
    tag = layout.columns["tag"]
    columns = found.columns
    tags = set(columns[tag]) if columns and -len(columns) <= tag < len(columns) else set()
    if layout.header and columns:
        tags.discard(layout.header[tag])
    layout = dataclasses.replace(layout, comments=prefix, known_tags=frozenset(tags))
    if not all(map(looks_like_tag, tags)):
        # Plain tags have no form, so any is valid: in CoNLL-2000, the token `#` has the part of speech `#`.
        usual = [(number, fields) for number, line, fields in found.prefixed if layout.has_usual_columns(line, fields)]
        if not _are_comments([number for number, _ in usual], found):
            more = {layout.tag_of(fields) for _, fields in usual}
            layout = dataclasses.replace(layout, known_tags=layout.known_tags | more)
    comments = [(number, line) for number, line, fields in found.prefixed if layout.is_comment(line, fields)]
    certain = (
        requested != "auto"
        or any(is_plain_comment(line) for _, line in comments)
        or _are_comments([number for number, _ in comments], found)
    )
    if not comments or not certain:
        return dataclasses.replace(layout, comments=prefix if requested not in ("auto", "none") else None), []
    shown = " and ".join(f"{line[:_MOST_SHOWN_COMMENT]!r} (line {number})" for number, line in comments[:2])
    return layout, [f"{counted(len(comments), 'line is a comment', 'lines are comments')}: {shown}"]


def _are_comments(lines: Sequence[int], found: Survey) -> bool:
    """Return whether lines with the comment prefix are comments because all of them begin a sentence."""
    return len(lines) >= _FEWEST_AT_STARTS and found.starts.issuperset(lines)


def _token_prefix(found: Survey, layout: Layout) -> str:
    """Return the language that every token begins with, as in WikiANN's `en:Berlin`, or an empty text."""
    token = layout.columns["token"]
    tokens = [value for shape in found.shapes.values() if token < len(shape.values) for value in shape.values[token]]
    tokens = [value for value in tokens if value]
    if found.n_lines < _FEWEST_FOR_PREFIX or len(tokens) < 2:
        return ""
    language, colon, _ = tokens[0].partition(":")
    prefix = language + colon
    is_language = colon and 2 <= len(language) <= 12 and language.isascii() and language.islower()
    return prefix if is_language and all(value.startswith(prefix) for value in tokens) else ""
