"""How a line of a CoNLL file is cut into columns, and which lines are comments.

Nothing here looks at more than one line: what must be decided over a whole file is decided once, at training
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

DOCSTART = "-DOCSTART-"
BLANKS = " \t"  # the only blank characters; U+3000 or NBSP can be a token
_LOOKS_LIKE_TAG = re.compile(r"(?:[BIOESLUM0]|[BIESLUM][-_.].+)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """The columns, delimiter, comments and encoding of a file.

    Args:
        columns: column name → index; `token` is required, only `tag` may be negative (counted from the end). All
            other names are feature columns, which every token line must have.
        delimiter: `auto` (TAB if the line has one, else runs of U+0020), `tab`, `space` (each single one), or
            any other string.
        comments: the prefix of a comment line, or None where the file has none.
        encoding: any ASCII-compatible encoding that Python knows.
        n_columns: the training file's column count, for the comment rule; None if unknown.
        known_tags: the training file's tags as spelled, for the comment rule.
        written_delimiter: put before an added column on a line that has no delimiter of its own.

    Raises:
        DataError: a column or the encoding is unusable.
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
            # A byte-order mark is read in any case; as an encoding it would put one before each added column.
            object.__setattr__(self, "encoding", "utf-8")
        if self.delimiter == "\\t":
            raise DataError("delimiter: found a backslash and a t, expected the word tab")
        for name, text in (("delimiter", self.delimiter), ("comments", self.comments)):
            if text is None:
                continue
            if not text or set(text) & {"\n", "\r"}:
                raise DataError(f"{name}: found {text!r}, expected some text without line ends")
            try:
                text.encode(self.encoding)
            except UnicodeEncodeError:
                raise DataError(f"{name}: found {text!r}, which {self.encoding} cannot hold; choose another") from None

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The columns beside token and tag, in the order of their names: wherever a file has them, it is the same."""
        return tuple(sorted(set(self.columns) - {"token", "tag"}))

    @property
    def separator(self) -> str | None:
        """The one string that separates columns, or None where each line decides (`auto`)."""
        return {"auto": None, "tab": "\t", "space": " "}.get(self.delimiter, self.delimiter)

    def splitter(self) -> Callable[[str], list[str]]:
        """The function that cuts a line (without its line end) into columns; a blank line gives none.

        >>> Layout().splitter()("EU  NNP B-ORG ")
        ['EU', 'NNP', 'B-ORG']
        >>> Layout().splitter()("New York\\tB-LOC")
        ['New York', 'B-LOC']
        """
        separator = self.separator
        return _split_auto if separator is None else lambda line: _split(line, separator)

    def replace_tag(self, body: bytes, old: str, new: str) -> bytes:
        """A line (without its end) with another tag; all its other bytes stay, valid text or not.

        >>> Layout().replace_tag(b"EU  NNP I-ORG ", "I-ORG", "B-ORG")
        b'EU  NNP B-ORG '
        """
        # latin-1: a character a byte, so that nothing is lost. Blanks are the same in every encoding that contains
        # ASCII; another delimiter may be half of a character (as | in Shift JIS), for which the text must be read.
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
        """A line with the comment prefix, unless it has the training file's columns and a valid tag."""
        if self.comments is None or not line.startswith(self.comments):
            return False
        if not self.has_usual_columns(line, fields):
            return True
        tag = self.tag_of(fields)
        return tag not in self.known_tags and not looks_like_tag(tag)

    def has_usual_columns(self, line: str, fields: list[str]) -> bool:
        """As many columns as the training file's lines, and cut by the same delimiter.

        In a file of four columns by TAB, `# sent_id = 0` has four words and not one of its columns.
        """
        same_delimiter = self.separator is not None or ("\t" in line) == (self.written_delimiter == "\t")
        return same_delimiter and len(fields) == self.n_columns

    def tag_of(self, fields: list[str]) -> str:
        """The tag column of a line, `` if it has none."""
        index = self.columns.get("tag")
        if index is None or not -len(fields) <= index < len(fields):
            return ""
        return fields[index].strip(BLANKS)


def looks_like_tag(tag: str) -> bool:
    """Whether a tag has the form of some span scheme: `B-PER`, `I_LOC`, `O`, a bare `S`, …"""
    return _LOOKS_LIKE_TAG.fullmatch(tag) is not None


def _split_auto(line: str) -> list[str]:
    if "\t" in line:
        return _split(line, "\t")
    return [field for field in line.split(" ") if field]


def _split(line: str, separator: str) -> list[str]:
    if not line.strip(BLANKS):
        return []
    fields = line.split(separator)
    while fields and not fields[-1]:  # a trailing delimiter opens no column
        fields.pop()
    return fields


def check_columns(columns: Mapping[str, int]) -> None:
    """Raise DataError unless the columns name a token and no two share an index."""
    if "token" not in columns:
        raise DataError(f"columns: found {dict(columns)}, expected a `token` column, as in {{token: 0, tag: -1}}")
    for name, index in columns.items():
        if index < 0 and name != "tag":
            raise DataError(f"columns.{name}: found {index}, expected 0 or more; only tag may be counted from the end")
    if len(set(columns.values())) < len(columns):
        raise DataError(f"columns: found {dict(columns)}, expected a different index for each name")


def check_encoding(encoding: str) -> None:
    """Raise DataError unless Python knows the encoding and its first 128 bytes are ASCII."""
    # The later probes rule out codecs in which some ASCII text means something else: escapes, internet names.
    probes = (bytes(range(128)), rb"\u0041\x41", b"xn--bcher-kva")
    try:
        compatible = all(codecs.decode(probe, encoding) == probe.decode("ascii") for probe in probes)
    except LookupError:
        raise DataError(
            f"encoding: {encoding!r} is unknown, expected one that Python knows, such as utf-8, latin-1, euc_jp"
        ) from None
    except Exception:  # codecs from bytes to bytes (zip, …) raise whatever their libraries do
        compatible = False
    if not compatible:
        raise DataError(
            f"encoding: {encoding!r} does not contain ASCII as it is; convert the file to utf-8 first"
            " (for instance with iconv)"
        )


class GoldColumn:
    """Finds the gold tag of a line; with `tag: -1` every line must have as many columns as most, or as the first."""

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
        self._model = "most lines"  # which lines have that many

    def tags_at_once(self, cells: list[str], n_columns: int, first_line: int) -> list[str] | None:
        """The tags of lines of so many columns, whose cells lie one after the other; None if a line is wrong."""
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
            self._n_columns, self._model = n_columns, f"line {first_line}"
        return tags

    def tag(self, fields: list[str], number: int) -> str:
        n_columns = len(fields)
        if self._index < 0 and n_columns != self._n_columns:
            if self._n_columns:
                raise DataError(
                    f"found {_count(n_columns)}, expected {self._n_columns} as on {self._model}: a tag"
                    f" counted from the end (tag: {self._index}) needs the same number on every line; mend the line,"
                    " or give the tag column a fixed index",
                    path=self._path,
                    line=number,
                    detail=[_show(number, fields)],
                )
            self._n_columns, self._model = n_columns, f"line {number}"
        index = self._index if self._index >= 0 else n_columns + self._index
        if not 0 <= index < n_columns or index in self._others:
            if self._model == f"line {number}":
                self._n_columns = 0
            raise missing_column(self._path, number, "tag", self._index, fields)
        tag = fields[index].strip(BLANKS)
        if not tag:
            raise DataError(
                f"column {self._index} (tag) is empty, expected a tag; mend the line",
                path=self._path,
                line=number,
                detail=[_show(number, fields)],
            )
        return tag


def missing_column(path: str | Path, number: int, name: str, index: int, fields: list[str]) -> DataError:
    """The error for a line that lacks a column that is needed."""
    needed = index + 1 if index >= 0 else max(1 - index, len(fields) + 1)
    return DataError(
        f"found {_count(len(fields))}, expected at least {needed}: column {index} ({name}) is missing;"
        " mend the line, or set columns and delimiter to what the file has",
        path=path,
        line=number,
        detail=[_show(number, fields)],
    )


def _count(n_columns: int) -> str:
    return f"{n_columns} column{'s' if n_columns != 1 else ''}"


def _show(number: int, fields: list[str]) -> str:
    return f"line {number}: {' | '.join(fields)[:200]}"


def own_delimiter(body: bytes) -> str | None:
    """What separates the columns of a line read by the `auto` rule; None where it has but one column."""
    if b"\t" in body:
        return "\t"
    return " " if b" " in body else None
