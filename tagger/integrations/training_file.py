"""Sentences from memory as a file that training can read, with messages about them instead of about the file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from tagger.corpus.conll import read_sentences
from tagger.corpus.detection import Requested, detect_layout
from tagger.corpus.lines import open_corpus
from tagger.errors import DataError, TaggerError
from tagger.wording import counted

Rows = list[list[str]]
# How training must read the file: nothing but the columns is left to be found.
SETTINGS = {"data.columns": {"token": 0, "tag": 1}, "data.delimiter": "tab", "data.comments": "none"}
_IMPOSSIBLE = re.compile("[\t\n\r]")
# What messages about a file say and advise, and what the user of an estimator understands and can do instead.
_ADVICE = [
    (re.compile(pattern), advice)
    for pattern, advice in (
        (r"set data\.dev to a file with entities, or to null\b", "set dev to None"),
        (r"; set data\.dev(?=$|;)", ", or set dev to None"),
        (r"set data\.columns\.tag to the column of the tags, or label", "label"),
        (r"set data\.columns\.tag to the column of the tags", "check that y has the tags of the tokens"),
        (r"if they are not the words, set data\.columns\.token to their column", "check that X has the words"),
        (
            r"set data\.columns\.token to (?:their column|the column of the words)"
            r"(?:, such as \d+|, or set data\.delimiter \(.*?\))?",
            "check that X has the words",
        ),
        (r", or (?:set )?data\.columns\.tag to another column", ""),
        (r"name the tag column with data\.columns, or set", "check that y has the tags of the tokens, or set"),
        (r"the language and the columns are the same", "all sentences are in one language"),
        (r"the tag column holds the tokens", "y has the tokens"),
        (r"token in column 0, tag in column 1; read as:", "read as:"),
        (r"(tokens(?: among [\d,]+)?) in column 0\b", r"\1"),
        (r"; separate them, with one kind of delimiter on all lines", "; separate them"),
        (
            r" and no blank line, expected a blank line after each sentence; add them where sentences end",
            ", expected more than one; divide it where sentences end",
        ),
        (
            r"the file has no blank line, and (.*); put a blank line after each sentence",
            r"\1; divide it where sentences end",
        ),
        (
            r": a blank line follows each token line; keep only the blank lines between sentences",
            "; a sentence is a list of all of its tokens",
        ),
        (r" from train\.conll\b", ""),
        (r"(?<=^X, y: )line \d+: ", ""),
        (r" \(tagger check lists them\)|; tagger check lists them", ""),
        (r"\bset ((?:data|model)\.\w+) to true\b", r"set \1 in settings to True"),
        (r"\bset ((?:data|model)\.\w+)(?! in settings)\b", r"set \1 in settings"),
    )
]


def checked_rows(rows: Any, name: str) -> Rows:
    """Return sentences as lists of texts.

    Args:
        rows: the tokens or the tags of sentences.
        name: what they are called in messages: `X` or `y`.

    Raises:
        TypeError: a sentence is not a list, or what it holds is not text.
    """
    if not _is_sequence(rows):
        raise TypeError(f"{name}: found a {type(rows).__name__}, expected a list of sentences")
    checked = []
    for i, row in enumerate(rows):
        if not _is_sequence(row):
            raise TypeError(f"{name}[{i}]: found {row!r:.60}, expected a list of {'tokens' if name == 'X' else 'tags'}")
        checked.append(list(row))
        for j, text in enumerate(checked[-1]):
            if not isinstance(text, str):
                raise TypeError(f"{name}[{i}][{j}]: found {text!r:.60} of type {type(text).__name__}, expected str")
    return checked


def _is_sequence(rows: Any) -> bool:
    """Return whether this can be iterated over in an order that means something, and is not text."""
    is_scalar = getattr(rows, "shape", None) == ()  # an array without dimensions
    return isinstance(rows, Iterable) and not is_scalar and not isinstance(rows, str | bytes | Mapping | AbstractSet)


def check_together(sentences: Rows, tags: Rows) -> None:
    """Raise ValueError unless each token has a tag."""
    if len(sentences) != len(tags):
        raise ValueError(f"y: found {counted(len(tags), 'sentence')}, expected {len(sentences)}, as many as X has")
    for i, (tokens, of_it) in enumerate(zip(sentences, tags, strict=True)):
        if len(tokens) != len(of_it):
            raise ValueError(
                f"y[{i}]: found {counted(len(of_it), 'tag')}, expected {len(tokens)}, as many as X[{i}] has tokens"
            )


class TrainingFile:
    """A file of tagged sentences; those without tokens are left out, as nothing can be learned from them.

    Args:
        path: the file, which is written.
        sentences, tags: the tokens of each sentence and their tags.

    Raises:
        DataError: a file of tokens and tags cannot hold one of them.
    """

    def __init__(self, path: Path, sentences: Sequence[list[str]], tags: Sequence[list[str]]) -> None:
        self._path = path
        self._places = list[tuple[int, int]]()  # the sentence and the token of each line; those after it for the blank
        lines = list[str]()
        for i, (tokens, of_it) in enumerate(zip(sentences, tags, strict=True)):
            for j, (token, tag) in enumerate(zip(tokens, of_it, strict=True)):
                for name, text in (("X", token), ("y", tag)):
                    if not text or _IMPOSSIBLE.search(text):
                        raise _impossible(f"{name}[{i}][{j}]", text)
                lines.append(f"{token}\t{tag}\n")
                self._places.append((i, j))
            if tokens:
                lines.append("\n")
                self._places.append((i, len(tokens)))
        if not lines:
            raise DataError("X: found no tokens, expected sentences to learn from")
        try:
            path.write_text("".join(lines), "utf-8", newline="\n")
        except UnicodeEncodeError as error:
            raise DataError(f"X, y: found {error.object[error.start]!r}, which is not a character; fix it") from None
        with self.errors_named():
            self._check_read()

    def _check_read(self) -> None:
        """Raise DataError if reading the file gives anything but what was written."""
        requested = Requested(columns={"token": 0, "tag": 1}, delimiter="tab", comments="none")
        layout = detect_layout(self._path, requested).layout
        with open_corpus(self._path) as stream:
            sentences = [found for found in read_sentences(stream, layout, path=self._path, gold=True) if found.tokens]
        found = iter([pair for one in sentences for pair in (*zip(one.tokens, one.tags, strict=True), ("", ""))])
        for (i, j), line in zip(self._places, self._path.read_text("utf-8").split("\n"), strict=False):
            token, _, tag = line.partition("\t")
            if next(found, None) != (token, tag):
                raise DataError(
                    f"X[{i}][{j}]: found {token!r:.60} with the tag {tag!r:.60}, which is read as something else in a"
                    " file, such as a header, a boundary or a prefix of all tokens; replace it"
                )

    @contextlib.contextmanager
    def errors_named(self) -> Iterator[None]:
        """Make errors name the tokens of `X` in the place of the lines of the file."""
        try:
            yield
        except TaggerError as error:
            raise type(error)(self.named(error.message), detail=[self.named(line) for line in error.detail]) from None

    def named(self, text: str) -> str:
        """Return a message about the file as one about `X` and `y`."""

        def place(line: re.Match[str]) -> str:
            i, j = self._places[min(max(int(line[1]), 1), len(self._places)) - 1]
            return f"X[{i}][{j}]"

        found = re.sub(rf"(?:{re.escape(str(self._path))}:|^line (?=[0-9]+:))([0-9]+)", place, text)
        found = found.replace(str(self._path), "X, y")
        for pattern, advice in _ADVICE:
            found = pattern.sub(advice, found)
        return found


def _impossible(place: str, text: str) -> DataError:
    return DataError(
        f"{place}: found {text!r:.80}, expected text that a line of a token, a TAB and a tag can hold; replace it"
    )
