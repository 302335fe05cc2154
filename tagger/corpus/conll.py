"""Read CoNLL files sentence by sentence, keep every byte, and write the files back with added columns.

A `Sentence` owns all raw lines up to its closing blank line, including comments, blank lines and `-DOCSTART-` lines.
The sentences of a file, written one after the other, are therefore the file.
"""

from __future__ import annotations

import codecs
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from tagger.corpus.encodings import wrong_byte
from tagger.corpus.gold import GoldColumn, missing_column
from tagger.corpus.layout import BLANKS, DOCSTART, SUBTOKEN_NUMBER, Layout, own_delimiter
from tagger.corpus.lines import LineGroup, group_lines, read_line_blocks
from tagger.corpus.signs import named, seems_blank, unseen_blanks
from tagger.errors import DataError

Report = Callable[[DataError], None]
_DOCSTART_BYTES = DOCSTART.encode()
_ALL_BUT = {blank: bytes(set(range(256)) - {ord(blank), ord("\n")}) for blank in BLANKS}


@dataclasses.dataclass(slots=True)
class Sentence:
    """The tokens of one sentence and the raw lines that they came from.

    Attributes:
        tokens: the token column, unchanged. It may be empty: lines that do not belong to any sentence, such as
            comments and runs of blank lines, form sentences of their own.
        tags: the tag column; empty unless the file was read with its gold tags.
        lines: all raw lines with their line ends, in file order.
        token_rows: the indices of the token lines: `lines[token_rows[i]]` holds `tokens[i]`.
        docstart_rows: the indices of the `-DOCSTART-` lines, which are not tokens.
        first_line: the number of `lines[0]` in the file, from 1.
        delimiter: the text to put before an added column. It is None unless it is known to be the same on all token
            lines, these lines are consecutive, and each of them ends in LF.
        continues: whether the sentence was cut because of its length and the next one continues it.
        features: the feature columns, in the order of `Layout.feature_names`, each as long as `tokens`.
        path: the file, for messages, if the sentence belongs to a corpus.
    """

    tokens: list[str]
    tags: list[str]
    lines: list[bytes]
    token_rows: Sequence[int]
    docstart_rows: list[int]
    first_line: int
    delimiter: str | None = None
    continues: bool = False
    features: Sequence[list[str]] = ()
    path: str = ""

    @property
    def columns(self) -> list[list[str]]:
        """The columns that a network reads: the tokens and the feature columns."""
        return [self.tokens, *self.features]

    @property
    def follows_docstart(self) -> bool:
        """Whether a `-DOCSTART-` line comes before the first token.

        If so, this sentence does not continue another one.
        """
        return bool(self.docstart_rows) and (not self.token_rows or self.docstart_rows[0] < self.token_rows[0])

    def line_number(self, index: int) -> int:
        """Return the number (from 1) of the line in the file that holds token `index`."""
        return self.first_line + self.token_rows[index]


# Takes the place of a sentence when a stream has nothing to read for the moment.
PAUSE = Sentence([], [], [], [], [], 0)


def read_sentences(
    stream: IO[bytes],
    layout: Layout,
    *,
    path: str | Path = "<stream>",
    gold: bool = False,
    max_lines: int | None = None,
    n_columns: int | None = None,
    report: Report | None = None,
    pauses: bool = False,
) -> Iterator[Sentence]:
    """Read sentences one by one.

    Args:
        stream: a binary stream.
        layout: columns, delimiter, comments and encoding.
        path: the file name for error messages.
        gold: whether to read the tag column too, which every token line must then have.
        max_lines: the number of lines after which to cut a sentence; a cut sentence has `continues` set.
        n_columns: the column count of most lines, or None for that of the first line. If the tag is counted from the
            end, all token lines must have this count.
        report: a function that receives each error, after which reading continues: a wrong byte becomes U+FFFD, a
            line without a token is skipped, and a token without a tag gets an empty tag. If `report` is None, the first
            error is raised.
        pauses: whether to yield `PAUSE` before waiting for a pipe or a terminal.

    Raises:
        DataError: a byte is not valid in the encoding, or a line lacks a column that is needed; the message names
            `path:line`.
    """
    reader = _Reader(layout, path, GoldColumn(layout, path, n_columns) if gold else None, report)
    for groups in group_lines(read_line_blocks(stream, path=path, pauses=pauses), max_lines):
        yield from reader.parse(groups) if groups else [PAUSE]


class _Reader:
    """A parser of groups of lines.

    Groups in which nothing is unusual are parsed at once, which is ten times as fast; others are parsed line by line.
    """

    def __init__(self, layout: Layout, path: str | Path, gold: GoldColumn | None, report: Report | None) -> None:
        self._layout, self._path = layout, path
        self._split, self._decode = layout.splitter(), codecs.getdecoder(layout.encoding)
        self._token_index = layout.columns["token"]
        self._features = {name: layout.columns[name] for name in layout.feature_names}
        self._n_needed = max(self._token_index, *self._features.values(), 0) + 1
        self._gold = gold
        self._comments = (layout.comments or DOCSTART).encode(layout.encoding)
        self._header = (layout.header[0] if layout.header else DOCSTART).encode(layout.encoding)
        self._is_first = True  # whether no token line and no header has been read yet
        self._report = report

    def parse(self, groups: list[LineGroup]) -> Iterable[Sentence]:
        """Return the sentences of groups of lines."""
        sentences = self.parse_at_once(groups)
        if sentences is not None:
            return sentences
        if len(groups) == 1:
            (group,) = groups
            if group.is_blank and group.first_line > 1:  # the first line may hold a byte-order mark
                return [dataclasses.replace(self._empty_sentence([], group.first_line), lines=group.lines)]
            return self.parse_by_line(group)
        return itertools.chain.from_iterable(self.parse([group]) for group in groups)

    def parse_at_once(self, groups: list[LineGroup]) -> list[Sentence] | None:
        """Return one sentence per group, or None if parsing line by line might give another result."""
        lines: list[bytes] = []
        for group in groups:
            lines += group.lines[: group.n_filled]
        joined = b"".join(lines)
        unusual = (b"\r", _DOCSTART_BYTES, self._comments, self._header)
        if any(text in joined for text in unusual) or not joined.endswith(b"\n"):
            return None
        try:
            text = self._decode(joined)[0]
        except UnicodeDecodeError:
            return None
        if "\ufeff" in text:
            return None
        first_line = next(group.first_line for group in groups if group.n_filled)
        columns = self._columns_at_once(joined, text, len(lines), first_line)
        if columns is None:
            return None
        tokens, tags, delimiter, features = columns
        sentences, start = [], 0
        for group in groups:
            n_tokens = group.n_filled
            end = start + n_tokens
            sentences.append(
                Sentence(
                    tokens[start:end], tags[start:end], group.lines, range(n_tokens), [], group.first_line, delimiter,
                    group.continues, [column[start:end] for column in features],
                )
            )  # fmt: skip
            start = end
        self._is_first = False
        return sentences

    def _columns_at_once(
        self, joined: bytes, text: str, n_lines: int, first_line: int
    ) -> tuple[list[str], list[str], str, list[list[str]]] | None:
        """Return tokens, tags, delimiter and features of token lines, or None unless all have the same columns.

        Each delimiter is replaced by a line end, so that one split gives the cells of all lines in one list. Each
        column is then a slice of it: a 1 / b 2 / c 3  →  [a 1 b 2 c 3]  →  [a b c], [1 2 3].
        """
        separator = self._layout.separator or ("\t" if b"\t" in joined else " ")
        if separator not in _ALL_BUT or f"{separator}\n" in text:
            return None
        if separator == " " and ("  " in text or "\n " in text or text[0] == " "):
            return None
        # In encodings that are compatible with ASCII, the bytes of TAB, space and LF never occur inside another
        # character.
        shape = joined.translate(None, _ALL_BUT[separator])
        n_columns = shape.count(separator.encode()) // n_lines + 1
        if shape != (separator * (n_columns - 1) + "\n").encode() * n_lines or n_columns < self._n_needed:
            return None
        cells = text[:-1].replace(separator, "\n").split("\n")
        index = self._layout.index_column
        if index is not None and (index >= n_columns or not "".join(cells[index::n_columns]).isdecimal()):
            return None
        tags: list[str] = []
        if self._gold is not None:
            found = self._gold.tags_at_once(cells, n_columns, first_line)
            if found is None:
                return None
            tags = found
        if self._layout.separator is None and n_columns == 1:
            separator = self._layout.written_delimiter
        features = [cells[index::n_columns] for index in self._features.values()]
        return self._without_prefix(cells[self._token_index :: n_columns]), tags, separator, features

    def _without_prefix(self, tokens: list[str]) -> list[str]:
        prefix = self._layout.token_prefix
        return [token.removeprefix(prefix) or token for token in tokens] if prefix else tokens

    def parse_by_line(self, group: LineGroup) -> Iterator[Sentence]:
        """Yield the sentences of a group: more than one if a `-DOCSTART-` line separates its tokens."""
        rows: list[int] = []
        sentence = self._empty_sentence(rows, group.first_line)
        for number, raw in enumerate(group.lines, start=group.first_line):
            line = self._decoded(raw, number)
            fields = self._split(line)
            if self._is_docstart(line, fields):
                if sentence.tokens:
                    yield sentence
                    rows = []
                    sentence = self._empty_sentence(rows, number)
                sentence.docstart_rows.append(len(sentence.lines))
            elif line.strip(BLANKS) and not self._passes_through(line, fields):
                try:
                    tag = self._tag(fields, number)
                except DataError as error:
                    explained = _with_signs(error, line, self._path)
                    if self._report is None:
                        raise explained from None
                    self._report(explained)
                    if len(fields) <= self._token_index:
                        sentence.lines.append(raw)
                        continue
                    tag = ""
                sentence.tags += [tag] if self._gold else []
                sentence.tokens += self._without_prefix([fields[self._token_index]])
                for column, index in zip(sentence.features, self._features.values(), strict=True):
                    column.append(fields[index] if index < len(fields) else "")
                rows.append(len(sentence.lines))
            sentence.lines.append(raw)
        sentence.continues = group.continues
        yield sentence

    def _empty_sentence(self, rows: list[int], first_line: int) -> Sentence:
        return Sentence([], [], [], rows, [], first_line, features=[[] for _ in self._features])

    def _decoded(self, raw: bytes, number: int) -> str:
        content = raw.rstrip(b"\r\n")
        try:
            line = self._decode(content)[0]
        except UnicodeDecodeError as error:
            problem = wrong_byte(self._path, number, error, advise=self._report is None)
            if self._report is None:
                raise problem from None
            self._report(problem)
            line = self._decode(content, "replace")[0]
        return line.removeprefix("\ufeff")  # not only in the first line: files with a byte-order mark may be joined

    def _passes_through(self, line: str, fields: list[str]) -> bool:
        """Return whether a line is a comment, the header, or a range or an empty node of CoNLL-U: not a token."""
        if self._layout.is_comment(line, fields):
            return True
        first, self._is_first = self._is_first, False
        if self._layout.is_header(fields, first=first):
            return True
        index = self._layout.index_column
        return index is not None and index < len(fields) and SUBTOKEN_NUMBER.fullmatch(fields[index]) is not None

    def _is_docstart(self, line: str, fields: list[str]) -> bool:
        if DOCSTART not in line:
            return False
        # Its columns may be separated by spaces even where TABs separate those of the tokens.
        return DOCSTART in (*fields[:1], line.split(" ", 1)[0], *fields[self._token_index : self._token_index + 1])

    def _tag(self, fields: list[str], number: int) -> str:
        """Return the gold tag of a line, or an empty string if gold tags are not read.

        Raises:
            DataError: a column that is needed is missing.
        """
        if len(fields) < self._n_needed:
            needed = {"token": self._token_index} | self._features
            name = next(name for name, index in needed.items() if index >= len(fields))
            raise missing_column(self._path, number, name, needed[name], fields)
        return self._gold.tag(fields, number) if self._gold is not None else ""


def _with_signs(error: DataError, line: str, path: str | Path) -> DataError:
    """Return the error about the columns of a line, explained if the cause is a character that looks like a blank."""
    if seems_blank(line):
        text = (
            f"the line holds only {named(line.strip(BLANKS))}, which is not a blank, expected a blank line, or a token"
            " with its columns; delete the sign"
        )
        return DataError(text, path=path, line=error.line, kind="not-blank")
    signs = unseen_blanks(line)
    if not signs:
        return error
    rest = f"; the line holds {named(signs)}, which does not separate columns"
    return DataError(
        error.text + rest,
        path=path,
        line=error.line,
        detail=error.detail,
        kind=error.kind,
        common=(error.common or error.text) + rest,
    )


def write_sentence(
    sentence: Sentence,
    columns: Sequence[Sequence[str]],
    layout: Layout,
    *,
    docstart_columns: Sequence[str] = ("O",),
) -> bytes:
    """Return the bytes of a sentence with columns added to each token line.

    Blank lines and comments are unchanged. An added column follows the delimiter that its line uses, or
    `layout.written_delimiter` if the line has none.

    Args:
        sentence: a sentence as it was read.
        columns: the columns to add, each with one value per token.
        layout: the layout that the sentence was read with.
        docstart_columns: the values to add to `-DOCSTART-` lines.
    """
    if sentence.delimiter is not None:
        return _write_at_once(sentence, columns, sentence.delimiter, layout.encoding)
    lines = list(sentence.lines)
    rows: list[tuple[int, Sequence[str]]] = [
        *zip(sentence.token_rows, zip(*columns, strict=True), strict=True),
        *((row, docstart_columns) for row in sentence.docstart_rows),
    ]
    for row, values in rows:
        raw = lines[row]
        body = raw.rstrip(b"\r\n")
        delimiter = layout.separator or own_delimiter(body) or layout.written_delimiter
        lines[row] = body + "".join(delimiter + value for value in values).encode(layout.encoding) + raw[len(body) :]
    return b"".join(lines)


def _write_at_once(sentence: Sentence, columns: Sequence[Sequence[str]], delimiter: str, encoding: str) -> bytes:
    n_tokens = len(sentence.tokens)
    values = columns[0] if len(columns) == 1 else [delimiter.join(row) for row in zip(*columns, strict=True)]
    # A sentence has few distinct tags, so encoding each of them only once makes this fast.
    tails = {value: f"{delimiter}{value}\n".encode(encoding) for value in set(values)}
    if len(values) != n_tokens:
        raise ValueError(f"found a column of {len(values)} values, expected {n_tokens}, one for each token")
    parts: list[bytes] = [b""] * (2 * n_tokens)
    parts[::2] = b"".join(sentence.lines[:n_tokens]).split(b"\n")[:n_tokens]
    parts[1::2] = map(tails.__getitem__, values)
    return b"".join(parts + sentence.lines[n_tokens:])
