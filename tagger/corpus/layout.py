"""Rules that cut a line of a CoNLL file into columns and recognize comment lines.

Each rule looks at one line only. Whatever must be decided over a whole file is decided once, at training
(`dataset.detect_layout`), and stored with the model.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tagger.errors import DataError
from tagger.wording import counted

DOCSTART = "-DOCSTART-"
BLANKS = " \t"  # the only blank characters; U+3000 or NBSP can be a token
_LONGEST = 100  # characters of a delimiter or comment prefix; it may be written on every line
_LOOKS_LIKE_TAG = re.compile(r"(?:[BIOESLUM0]|[BIESLUM][-_.].+)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns, delimiter, comments and encoding of a file.

    Args:
        columns: column name → index. `token` is required, and only `tag` may be negative, which counts from the end.
            All other names are feature columns, which every token line must have.
        delimiter: `auto` (TAB if the line has one, otherwise runs of U+0020), `tab`, `space` (each single space), or
            any other string.
        comments: the prefix of comment lines, or None if the file has no comments.
        encoding: any ASCII-compatible encoding that Python knows.
        n_columns: the column count of the training file, for the comment rule; None if unknown.
        known_tags: the tags of the training file as spelled, for the comment rule.
        written_delimiter: the text before an added column on a line that has no delimiter of its own.

    Raises:
        DataError: a column, the encoding, the delimiter or the comment prefix is unusable.
    """

    columns: Mapping[str, int] = dataclasses.field(default_factory=lambda: {"token": 0, "tag": -1})
    delimiter: str = "auto"
    comments: str | None = None
    encoding: str = "utf-8"
    n_columns: int | None = None
    known_tags: frozenset[str] = frozenset()
    written_delimiter: str = "\t"

    def __post_init__(self) -> None:
        check_columns(self.columns)
        check_encoding(self.encoding)
        if codecs.lookup(self.encoding).name == "utf-8-sig":
            # A byte-order mark is read in any case, and this encoding would write one before each added column.
            object.__setattr__(self, "encoding", "utf-8")
        if self.delimiter == "\\t":
            raise DataError("delimiter: found a backslash and a t, expected the word tab")
        for name in ("delimiter", "comments", "written_delimiter"):
            text = getattr(self, name)
            if text is None:
                continue
            if not text or set(text) & {"\n", "\r"}:
                raise DataError(f"{name}: found {text!r}, expected some text without line ends")
            if len(text) > _LONGEST:
                raise DataError(f"{name}: found {len(text)} characters, expected at most {_LONGEST}; choose another")
            try:
                text.encode(self.encoding)
            except UnicodeEncodeError:
                raise DataError(
                    f"{name}: found {text!r}, which {self.encoding} cannot encode; choose another"
                ) from None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of all columns except token and tag, sorted, so that their order does not depend on the file."""
        return tuple(sorted(set(self.columns) - {"token", "tag"}))

    @property
    def separator(self) -> str | None:
        """The string that separates columns, or None if each line decides (`auto`)."""
        return {"auto": None, "tab": "\t", "space": " "}.get(self.delimiter, self.delimiter)

    def splitter(self) -> Callable[[str], list[str]]:
        """Return the function that cuts a line (without its line end) into columns; a blank line has no columns.

        >>> Layout().splitter()("EU  NNP B-ORG ")
        ['EU', 'NNP', 'B-ORG']
        >>> Layout().splitter()("New York\\tB-LOC")
        ['New York', 'B-LOC']
        """
        separator = self.separator
        return _split_auto if separator is None else lambda line: _split(line, separator)

    def replace_tag(self, body: bytes, old: str, new: str) -> bytes:
        """Return a line (without its line end) with another tag; all other bytes stay, whether or not they are valid.

        >>> Layout().replace_tag(b"EU  NNP I-ORG ", "I-ORG", "B-ORG")
        b'EU  NNP B-ORG '
        """
        # latin-1 maps each byte to one character, so nothing is lost. Blanks are the same bytes in every encoding that
        # is compatible with ASCII. Any other delimiter may be half of a character (such as | in Shift JIS), so that the
        # line must be decoded as text.
        codec = "latin-1"
        if self.separator not in (None, "\t", " "):
            with contextlib.suppress(UnicodeError):
                codec = self.encoding if body.decode(self.encoding).encode(self.encoding) == body else codec
        line = body.decode(codec)
        separator = self.separator or ("\t" if "\t" in line else None)
        encoded = separator and separator.encode(self.encoding).decode(codec)
        parts = line.split(encoded) if encoded else re.split("( +)", line)
        places = list(range(len(parts))) if encoded else [i for i, part in enumerate(parts) if part.strip(" ")]
        while places and not parts[places[-1]]:
            places.pop()
        place = places[self.columns["tag"]]
        old_text, new_text = (tag.encode(self.encoding).decode(codec) for tag in (old, new))
        parts[place] = parts[place].replace(old_text, new_text, 1)
        return (encoded or "").join(parts).encode(codec)

    def is_comment(self, line: str, fields: list[str]) -> bool:
        """Return whether a line begins with the comment prefix and is not a token line.

        A token line has the columns of the training file and a valid tag.
        """
        if self.comments is None or not line.startswith(self.comments):
            return False
        if not self.has_usual_columns(line, fields):
            return True
        tag = self.tag_of(fields)
        return tag not in self.known_tags and not looks_like_tag(tag)

    def has_usual_columns(self, line: str, fields: list[str]) -> bool:
        """Return whether a line has the column count and the delimiter of the training file's lines.

        In a file with four columns separated by TAB, `# sent_id = 0` has four words but does not have these columns.
        """
        same_delimiter = self.separator is not None or ("\t" in line) == (self.written_delimiter == "\t")
        return same_delimiter and len(fields) == self.n_columns

    def tag_of(self, fields: list[str]) -> str:
        """Return the tag column of a line, or an empty string if the line does not have one."""
        index = self.columns.get("tag")
        if index is None or not -len(fields) <= index < len(fields):
            return ""
        return fields[index].strip(BLANKS)


def looks_like_tag(tag: str) -> bool:
    """Return whether a tag has the form of a tag in some span scheme: `B-PER`, `I_LOC`, `O`, a bare `S`, …"""
    return _LOOKS_LIKE_TAG.fullmatch(tag) is not None


def _split_auto(line: str) -> list[str]:
    if "\t" in line:
        return _split(line, "\t")
    return [field for field in line.split(" ") if field]


def _split(line: str, separator: str) -> list[str]:
    if not line.strip(BLANKS):
        return []
    fields = line.split(separator)
    while fields and not fields[-1]:  # a trailing delimiter does not start another column
        fields.pop()
    return fields


def check_columns(columns: Mapping[str, int]) -> None:
    """Raise DataError unless there is a token column, no two columns share an index, and only tag's is negative."""
    if "token" not in columns:
        raise DataError(f"columns: found {dict(columns)}, expected a `token` column, as in {{token: 0, tag: -1}}")
    for name, index in columns.items():
        if index < 0 and name != "tag":
            raise DataError(f"columns.{name}: found {index}, expected 0 or more; only tag may be counted from the end")
    if len(set(columns.values())) < len(columns):
        raise DataError(f"columns: found {dict(columns)}, expected a different index for each name")


def check_encoding(encoding: str) -> None:
    """Raise DataError unless Python knows the encoding and it decodes ASCII text as ASCII."""
    # The last two probes rule out codecs in which some ASCII text means something else: escapes and internet names.
    probes = (bytes(range(128)), rb"\u0041\x41", b"xn--bcher-kva")
    try:
        compatible = all(codecs.decode(probe, encoding) == probe.decode("ascii") for probe in probes)
    except LookupError:
        raise DataError(
            f"encoding: {encoding!r} is unknown, expected one that Python knows, such as utf-8, latin-1, euc_jp"
        ) from None
    except Exception:  # codecs from bytes to bytes (zip, …) raise any error of their libraries
        compatible = False
    if not compatible:
        raise DataError(
            f"encoding: {encoding!r} is not compatible with ASCII; convert the file to utf-8 first"
            " (for instance with iconv)"
        )


class GoldColumn:
    """The tag column of a file with gold tags.

    If the tag is counted from the end (`tag: -1`), every token line must have the same column count. The count is given
    as `n_columns`, which is that of most lines; if it is None, the first line decides.

    Raises:
        DataError: the layout has no tag column.
    """

    def __init__(self, layout: Layout, path: str | Path, n_columns: int | None) -> None:
        if "tag" not in layout.columns:
            raise DataError(
                f"{path}: columns: found {dict(layout.columns)}, expected a tag column to read gold tags from;"
                " add one, as in token=0,tag=-1"
            )
        self._index = layout.columns["tag"]
        self._others = [index for name, index in layout.columns.items() if name != "tag"]
        self._path = path
        self._n_columns = n_columns or 0
        self._counted_on = "most lines"  # the lines that have this count, for messages

    def tags_at_once(self, cells: list[str], n_columns: int, first_line: int) -> list[str] | None:
        """Return the tags of lines that all have `n_columns` columns, or None if a line is wrong.

        Args:
            cells: the cells of all lines, one line after the other.
            n_columns: the column count of each line.
            first_line: the number of the first line in the file.
        """
        index = self._index
        if index < 0:
            if n_columns != (self._n_columns or n_columns) or n_columns + index in self._others:
                return None
            index += n_columns
        if not 0 <= index < n_columns:
            return None
        tags = [tag.strip(BLANKS) for tag in cells[index::n_columns]]
        if "" in tags:
            return None
        if self._index < 0 and not self._n_columns:
            self._n_columns, self._counted_on = n_columns, f"line {first_line}"
        return tags

    def tag(self, fields: list[str], number: int) -> str:
        """Return the tag of a line.

        Args:
            fields: the columns of the line.
            number: the number of the line in the file.

        Raises:
            DataError: the tag is missing or empty, or the column count is wrong for a tag counted from the end.
        """
        n_columns = len(fields)
        if self._index < 0 and n_columns != self._n_columns:
            if self._n_columns:
                raise DataError(
                    f"found {_count(n_columns)}, expected {self._n_columns} as on {self._counted_on}: a tag"
                    f" counted from the end (tag: {self._index}) needs the same number on every line; fix the line,"
                    " or give the tag column a fixed index",
                    path=self._path,
                    line=number,
                    detail=[_show(number, fields)],
                    kind="column-count",
                )
            self._n_columns, self._counted_on = n_columns, f"line {number}"
        index = self._index if self._index >= 0 else n_columns + self._index
        if not 0 <= index < n_columns or index in self._others:
            if self._counted_on == f"line {number}":
                self._n_columns = 0
            raise missing_column(self._path, number, "tag", self._index, fields)
        tag = fields[index].strip(BLANKS)
        if not tag:
            raise DataError(
                f"column {self._index} (tag) is empty, expected a tag; fix the line",
                path=self._path,
                line=number,
                detail=[_show(number, fields)],
                kind="empty-tag",
            )
        return tag


def missing_column(path: str | Path, number: int, name: str, index: int, fields: list[str]) -> DataError:
    """Return the error for a line that lacks a column that is needed."""
    needed = index + 1 if index >= 0 else max(1 - index, len(fields) + 1)
    return DataError(
        f"found {_count(len(fields))}, expected at least {needed}: column {index} ({name}) is missing;"
        " fix the line, or set columns and delimiter to what the file has",
        path=path,
        line=number,
        detail=[_show(number, fields)],
        kind="missing-column",
    )


def _count(n_columns: int) -> str:
    return counted(n_columns, "column")


def _show(number: int, fields: list[str]) -> str:
    return f"line {number}: {' | '.join(fields)[:200]}"


def own_delimiter(body: bytes) -> str | None:
    """Return the delimiter of a line as the `auto` rule reads it, or None if the line has only one column."""
    if b"\t" in body:
        return "\t"
    return " " if b" " in body else None
