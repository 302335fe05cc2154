"""Raw text files in, sentences of tokens out, however large the files are.

Each line of a file is a text of its own: a paragraph, a sentence, a tweet. Lines are never joined.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tagger.corpus.encodings import wrong_byte
from tagger.corpus.lines import open_corpus
from tagger.text.tokenizer import Tokenizer

_LONGEST = 1 << 20  # bytes of a line that are held at once; a longer line is cut at a blank
_BLANKS = re.compile("[ \t]+")


def read_sentences(
    paths: Sequence[str | Path], tokenizer: Tokenizer | None, *, on_line: Callable[[int], None] = lambda n_bytes: None
) -> Iterator[list[str]]:
    """Yield the sentences of raw text, each as its tokens, in constant memory.

    Args:
        paths: UTF-8 files; a `.gz` file is decompressed as it is read, and `-` is standard input.
        tokenizer: cuts a line into sentences and tokens; None if each line already is a sentence whose tokens are
            separated by blanks.
        on_line: called with the number of bytes of each line after it was read.

    Raises:
        DataError: a file cannot be opened, is damaged, or is not UTF-8.
    """
    for path in paths:
        for number, line in _lines(path):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise wrong_byte(path, number, error) from None
            yield from _sentences(text.rstrip("\r\n"), tokenizer)
            on_line(len(line))


def _lines(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file with their numbers; parts of a line that is very long have the same number."""
    with open_corpus(path) as file:
        number, rest = 1, b""
        while line := rest + file.readline(_LONGEST):
            ends = line.endswith(b"\n")
            end = len(line) if ends or len(line) < _LONGEST else _place_to_cut(line)
            yield number, line[:end]
            rest, number = line[end:], number + ends


def _place_to_cut(line: bytes) -> int:
    """Return a place to cut a part of a long line: behind its last blank, or else before its last character."""
    blank = max(line.rfind(b" "), line.rfind(b"\t"))
    if blank > 0:
        return blank + 1
    end = len(line) - 1
    while end > len(line) - 4 and line[end] & 0xC0 == 0x80:  # a continuation byte of UTF-8
        end -= 1
    return end


def _sentences(text: str, tokenizer: Tokenizer | None) -> Iterator[list[str]]:
    if tokenizer is not None:
        for sentence in tokenizer.sentences(text):
            yield [text[start:end] for start, end in sentence]
    elif tokens := [token for token in _BLANKS.split(text) if token]:
        yield tokens
