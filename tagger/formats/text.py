"""Raw text, without tokens and spans.

Each block of lines, with the blank line after it, is a document, so that a long text is not in memory as a whole; one
behind another, the texts of the documents are the text of the file. A block of more than a million characters is cut at
a line end. A line is never cut, however long it is. A byte-order mark is not part of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tagger.corpus.encodings import wrong_byte
from tagger.corpus.layout import check_encoding, looks_like_tag
from tagger.corpus.lines import is_blank, open_corpus, read_lines, shown_name
from tagger.formats.document import Document, Format, Place, ReadOptions, WriteOptions, encoded
from tagger.formats.losses import report_losses

_MOST_CHARACTERS = 1_000_000
_MARK = "\ufeff"
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
        for lines in _blocks(_decoded(read_lines(stream, path=name), name, options.encoding)):
            text = "".join(lines)
            yield Document(text=text, place=Place(name, n_lines + 1), is_piece=True, offset=offset)
            offset, n_lines = offset + len(text), n_lines + len(lines)


def _decoded(lines: Iterable[bytes], path: str, encoding: str) -> Iterator[tuple[str, bool]]:
    """Yield each line, and whether it is blank."""
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError as error:
            raise wrong_byte(path, number, error) from None
        yield text.removeprefix(_MARK) if number == 1 else text, is_blank(line)


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
