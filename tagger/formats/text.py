"""Raw text, without tokens and spans.

Each block of lines, with the blank line after it, is a document, so that a long text is not in memory as a whole; one
behind another, the texts of the documents are the text of the file. A block of more than a million characters is cut at
a line end. A line of more than two million bytes is cut too, behind a blank or, where it has none, between two
characters. A byte-order mark is not part of the text.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tagger.corpus.encodings import wrong_byte
from tagger.corpus.layout import check_encoding, looks_like_tag
from tagger.corpus.lines import is_blank, open_corpus, read_lines, shown_name
from tagger.formats.document import Document, Format, Place, ReadOptions, WriteOptions, encoded
from tagger.formats.losses import report_losses

_MOST_CHARACTERS = 1_000_000
_LONGEST_LINE = 1 << 21  # bytes
_MARK = "\ufeff"
_LINE_ENDS = ("\n", "\r")
_FEWEST_WORDS = 5  # of a line of running text: CoNLL has fewer columns, or tags in the last one
_SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]]*$")
# In scripts that use no blanks: what ends a sentence after some letters, and commas between letters.
_OTHER_ENDS, _FOUR_LETTERS, _OTHER_COMMA = "。！？।", re.compile(r"\w{4}"), re.compile(r"\w[、，]\w")


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of a file.

    Raises:
        DataError: the file cannot be read, or is not valid in its encoding.
    """
    check_encoding(options.encoding)
    name, offset, n_lines = shown_name(path), 0, 0
    with open_corpus(path) as stream:
        raw = read_lines(stream, path=name, max_bytes=_LONGEST_LINE)
        for lines in _blocks(_decoded(raw, name, options.encoding)):
            text = "".join(lines)
            yield Document(text=text, place=Place(name, n_lines + 1), is_piece=True, offset=offset)
            offset, n_lines = offset + len(text), n_lines + sum(line.endswith(_LINE_ENDS) for line in lines)


def _decoded(lines: Iterable[bytes], path: str, encoding: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, or each part of a very long one, and whether it is a blank line."""
    number, long = 1, None
    for line in lines:
        if long is None and len(line) >= _LONGEST_LINE and not line.endswith((b"\n", b"\r")):
            long = _LongLine(encoding)
        try:
            text = line.decode(encoding) if long is None else long.decode(line)
        except UnicodeDecodeError as error:
            n_before = 0 if long is None else long.n_before
            raise wrong_byte(path, number, error, n_before=n_before) from None
        yield text.removeprefix(_MARK) if number == 1 else text, long is None and is_blank(line)
        if long is None or line.endswith((b"\n", b"\r")):
            number, long = number + 1, None
    if long is not None:
        try:
            yield long.rest(), False
        except UnicodeDecodeError as error:
            raise wrong_byte(path, number, error, n_before=long.n_before) from None


class _LongLine:
    """A line that is decoded in parts.

    Attributes:
        n_before: the number of bytes before those that are decoded together.
    """

    def __init__(self, encoding: str) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._waiting, self._n_bytes, self.n_before = "", 0, 0

    def decode(self, part: bytes) -> str:
        """Return the text of a part up to its last blank, or all of it where it has none or ends the line."""
        ends = part.endswith((b"\n", b"\r"))
        self.n_before = self._n_bytes - len(self._decoder.getstate()[0])
        text = self._waiting + self._decoder.decode(part, final=ends)
        self._n_bytes += len(part)
        end = len(text) if ends else max(text.rfind(" "), text.rfind("\t")) + 1 or len(text)
        self._waiting = text[end:]
        return text[:end]

    def rest(self) -> str:
        """Return the end of a line without a line end."""
        self.n_before = self._n_bytes - len(self._decoder.getstate()[0])
        return self._waiting + self._decoder.decode(b"", final=True)


def _blocks(lines: Iterable[tuple[str, bool]]) -> Iterator[list[str]]:
    """Yield the lines of each document; further blank lines belong to the next one, so that none has to wait."""
    block, n_characters, is_filled = list[str](), 0, False
    for line, blank in lines:
        if block and n_characters + len(line) > _MOST_CHARACTERS:
            yield block
            block, n_characters, is_filled = [], 0, False
        block.append(line)
        n_characters += len(line)
        is_filled = is_filled or not blank
        if is_filled and blank:
            yield block
            block, n_characters, is_filled = [], 0, False
    if any(block):
        yield block


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield the texts, with an empty line between those that are not pieces of one text."""
    parts = ("spans", "plain tags", "probabilities", "names of documents")
    is_first = True
    for document in documents:
        report_losses(document, options, "text", parts)
        text = document.text
        if not document.is_piece:
            ends = "" if text.endswith(("\n", "\r")) else "\n"
            text = f"{'' if is_first else chr(10)}{text}{ends}"
        is_first = False
        yield encoded(text, document)


def recognize(lines: list[str]) -> bool:
    """Return whether lines are clearly running text, and not columns.

    >>> recognize(["Hanna Berg left Bonn on Monday.", "", "She went to Paris, by train."])
    True
    >>> recognize(["Hanna NNP B-PER", "left VBD O", ". . O"])
    False
    """
    filled = [line.strip() for line in lines if line.strip()]
    if not filled or any("\t" in line.strip() for line in filled):
        return False
    if sum(looks_like_tag(line.split()[-1]) for line in filled) > len(filled) / 3:
        return False
    long = sum(len(line.split()) >= _FEWEST_WORDS or _ends_otherwise(line) for line in filled)
    ended = sum(bool(_SENTENCE_END.search(line)) or _ends_otherwise(line) for line in filled)
    return long >= len(filled) / 2 and ended >= len(filled) / 10


def _ends_otherwise(line: str) -> bool:
    # One pattern for all of it would take a time that grows with the square of the length of a word.
    end = max(map(line.rfind, _OTHER_ENDS))
    return _FOUR_LETTERS.search(line, 0, max(0, end)) is not None or _OTHER_COMMA.search(line) is not None


FORMAT = Format(
    name="text",
    description="raw text without tokens and spans",
    suffixes=(".txt", ".text"),
    recognize=recognize,
    read=read,
    blocks=blocks,
)
