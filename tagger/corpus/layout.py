"""Rules that cut a line of a CoNLL file into columns and recognize comment lines.

Each rule looks at one line only. Whatever must be decided over a whole file is decided once, at training
(`detection.detect_layout`), and stored with the model.
"""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import itertools
import re
from collections.abc import Callable, Mapping

from tagger.errors import DataError
from tagger.wording import counted

DOCSTART = "-DOCSTART-"
BLANKS = " \t"  # the only blank characters; U+3000 or NBSP can be a token
# CoNLL-U: the range of a multiword token (2-3), or the number of an empty node (8.1).
SUBTOKEN_NUMBER = re.compile(r"[0-9]{1,6}[-.][0-9]{1,6}")
# Lines that can be nothing but comments: `# text`, `#key = value`, `#` alone, and CoNLL-2012's `#begin document`.
_PLAIN_COMMENT = re.compile(r"#+(?:\s|$)|#\S*?\s*=|#(?:begin|end) document\b")
_LONGEST = 100  # characters of a delimiter or comment prefix; it may be written on every line
_KEY_AND_VALUE = re.compile(r"#\s*\S+ = ")  # never a token, even in a file with four columns separated by spaces
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
        header: the names of the columns, if the training file begins with a line of them; a line that repeats them is
            not a token.
        index_column: the column that numbers the tokens of a sentence, or None. As in CoNLL-U, a line with a range
            (`2-3`) or the number of an empty node (`3.1`) is not a token.
        tag_key: the key in the tag column that names the tag (`name` in `SpaceAfter=No|name=B-LOC`), or None if the
            column holds nothing but the tag.
        several_tags: `first` or `last` if a tag such as `B-PER|B-LOC` stands for several ones, of which one is read.
        token_prefix: a text that every token of the file begins with and that is not part of it (`en:` in WikiANN).
        ragged: whether lines may have different numbers of columns.

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
    header: tuple[str, ...] = ()
    index_column: int | None = None
    tag_key: str | None = None
    several_tags: str | None = None
    token_prefix: str = ""
    ragged: bool = False

    def __post_init__(self) -> None:
        if "token" not in self.columns:
            raise DataError(
                f"columns: found {dict(self.columns)}, expected a `token` column, as in {{token: 0, tag: -1}}"
            )
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

    def describe(self) -> str:
        """Return the columns and the delimiter in words, to compare files."""
        between = {"\t": "TAB", " ": "space"}.get(self.separator or self.written_delimiter, self.delimiter)
        columns = ", ".join(f"{name} {index}" for name, index in self.columns.items())
        return f"{counted(self.n_columns or 0, 'column')} by {between} ({columns})"

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
        parts[place] = _replace_text(parts[place].encode(codec), old, new, self.encoding, key=self.tag_key).decode(
            codec
        )
        return (encoded or "").join(parts).encode(codec)

    def is_comment(self, line: str, fields: list[str]) -> bool:
        """Return whether a line begins with the comment prefix and is not a token line.

        A token line has the columns of the training file and a valid tag. A hashtag (`#word`) with these columns is a
        token line whatever its tag, so that a mistyped tag is an error and not a comment that nobody sees.
        """
        if self.comments is None or not line.startswith(self.comments):
            return False
        if not self.has_usual_columns(line, fields):
            return True
        tag = self.tag_of(fields)
        if self.comments == "#" and _KEY_AND_VALUE.match(line):
            return True
        if tag in self.known_tags or (looks_like_tag(tag) and tag != "0"):
            return False
        return self.comments != "#" or is_plain_comment(line)

    def is_header(self, fields: list[str], *, first: bool) -> bool:
        """Return whether a line holds the names of the columns; the first line may lack some of the last ones."""
        return bool(self.header) and tuple(fields) == (self.header[: len(fields)] if first else self.header)

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


def is_plain_comment(line: str) -> bool:
    """Return whether a line that begins with `#` can be nothing but a comment: `# text`, `#key = value`, `#`."""
    return _PLAIN_COMMENT.match(line) is not None


def looks_like_tag(tag: str) -> bool:
    """Return whether a tag has the form of a tag in some span scheme: `B-PER`, `I_LOC`, `O`, a bare `S`, …"""
    return _LOOKS_LIKE_TAG.fullmatch(tag) is not None


def _replace_text(field: bytes, old: str, new: str, encoding: str, *, key: str | None = None) -> bytes:
    """Replace the first occurrence of a text in an encoded field, after `key=` if a key is given.

    Damaged bytes beside it stay.

    Only the part that differs is encoded anew, because some encodings have two spellings of a character: in cp932,
    0xFA43 and 0xEEF2 both mean ⅳ, and Python writes one of them.
    """
    n_same = _n_common(old, new)
    n_same_at_end = _n_common(old[n_same:][::-1], new[n_same:][::-1])
    text = field.decode(encoding, "ignore")
    named = None if key is None else re.search(rf"(?:^|\|){re.escape(key)}=", text)
    at = text.index(old, named.end() if named else 0)
    decoder = codecs.getincrementaldecoder(encoding)("ignore")
    n_decoded = [0, *itertools.accumulate(len(decoder.decode(field[i : i + 1])) for i in range(len(field)))]
    start, end = n_decoded.index(at + n_same), n_decoded.index(at + len(old) - n_same_at_end)
    return field[:start] + new[n_same : len(new) - n_same_at_end].encode(encoding) + field[end:]


def _n_common(first: str, second: str) -> int:
    """Return the number of characters with which both texts begin."""
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))


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
    """Raise DataError if two columns share an index, or if one other than tag's is negative."""
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


def own_delimiter(body: bytes) -> str | None:
    """Return the delimiter of a line as the `auto` rule reads it, or None if the line has only one column."""
    if b"\t" in body:
        return "\t"
    return " " if b" " in body else None
