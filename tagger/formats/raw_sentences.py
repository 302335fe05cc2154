"""Sentences of files of any format, to learn from without labels; raw text is cut into tokens."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tagger.corpus.lines import shown_name
from tagger.corpus.schemes import NO_SCHEME
from tagger.formats.document import Document, ReadOptions
from tagger.formats.registry import guess_source, named
from tagger.formats.standard_input import read_standard_input
from tagger.text.tokenizer import DEFAULT_LANGUAGE, Tokenizer, load_tokenizer

_LINE_END = re.compile("\r\n|\r|\n")
_BLANKS = re.compile("[ \t]+")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawSettings:
    """The settings for reading sentences without their labels.

    Attributes:
        source: the name of the format of all files, or None to guess that of each.
        read: the settings for reading them. What they report of spans and tags is left out.
        language: the language of texts without tokens, or None if it is not known.
        lines: whether each line of a text without tokens ends a sentence.
        tokenized: whether each line of a text without tokens is a sentence of tokens that blanks separate.
    """

    source: str | None = None
    read: ReadOptions = dataclasses.field(default_factory=ReadOptions)
    language: str | None = None
    lines: bool = False
    tokenized: bool = False


def raw_sentences(paths: Sequence[str], settings: RawSettings, say: Callable[[str], None]) -> Iterator[list[str]]:
    """Yield the tokens of each sentence of files, one file after another. Tokens that a format has stay as they are.

    Args:
        paths: the files or folders; `-` is standard input.
        settings: the settings.
        say: called with the format of each file, and with the name of the tokenizer.

    Raises:
        DataError: a file cannot be read, or a tokenizer cannot be loaded.
    """

    @functools.cache
    def tokenizer() -> Tokenizer:
        found = load_tokenizer(settings.language or DEFAULT_LANGUAGE)
        unnamed = "" if settings.language else ", as no language is named; data.language names another"
        say(f"note: the text is cut into sentences and tokens by {found.name}{unnamed}")
        return found

    for path in paths:
        for document in _documents(path, settings, say):
            if document.sentences is not None:
                for sentence in document.sentences:
                    yield [document.covered(token) for token in sentence]
            elif settings.tokenized:
                yield from _split(document.text)
            else:
                yield from _cut(document.text, tokenizer(), lines=settings.lines)


def _documents(path: str, settings: RawSettings, say: Callable[[str], None]) -> Iterator[Document]:
    format_, why = (named(settings.source), "") if settings.source else guess_source(Path(path))
    name = shown_name(path)
    say(f"reading {name} as {format_.name}{f' {why}' if why else ''}")
    # Tags are not used, so they need not fit a scheme.
    read = dataclasses.replace(settings.read, scheme=NO_SCHEME, note=lambda text: say(f"note: {name}: {text}"))
    return read_standard_input(format_, read) if path == "-" and format_.flat else format_.read(Path(path), read)


def _split(text: str) -> Iterator[list[str]]:
    for line in _LINE_END.split(text):
        if tokens := [token for token in _BLANKS.split(line) if token]:
            yield tokens


def _cut(text: str, tokenizer: Tokenizer, *, lines: bool) -> Iterator[list[str]]:
    for part in _LINE_END.split(text) if lines else [text]:
        for sentence in tokenizer.sentences(part):
            yield [part[start:end] for start, end in sentence]
