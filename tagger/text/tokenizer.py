"""Tokenizers: raw text in, sentences of tokens out, as places in the text.

sentencex finds the sentences of all languages, and spaCy's rules the tokens of most. ICU's dictionaries cut the
languages for which spaCy has no rules of its own, most of which are written without blanks. None of them is imported
before a tokenizer is loaded. docs/decisions/0007-tokenizers.md says why these, with numbers.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import re
import sys
import threading
import types
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tagger.errors import DataError
from tagger.stand_ins import standing_in

DEFAULT_LANGUAGE = "en"
Tokens = list[tuple[int, int]]
# spaCy would need other libraries for these, or cut them into single characters.
_WITH_DICTIONARY = frozenset(("bo", "ja", "km", "ko", "lo", "my", "th", "vi", "zh"))
_WITHOUT_BLANKS = _WITH_DICTIONARY - {"ko", "vi"}
_EMPTY_LINE = re.compile(r"(?>\r\n|\r|\n)[ \t]*(?>\r\n|\r|\n)\s*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FILLED, _BLANKS = re.compile(r"\S+"), re.compile(r"\s+")
# The time of spaCy's rules grows with the square of the signs at the edges of a word, and no word is so long.
_LONGEST = 1000
_MOST_SIGNS = 32  # brackets, emoji or quotes in a row that the rules get at once
_SIGNS = re.compile(rf"[^\w\s]{{{_MOST_SIGNS + 1},}}")
# The rules cut off each of the former, and one or two of the latter; dots and dashes may be parts of longer tokens.
_SINGLE, _SINGLE_CATEGORIES = frozenset("()[]{}?!,"), frozenset(("Ps", "Pe", "So"))
_QUOTES, _QUOTE_CATEGORIES = frozenset("\"'"), frozenset(("Pi", "Pf"))
# sentencex looks from each opening quote for the closing one, to the end of the text that it is given.
_LONGEST_WINDOW = 10_000
_MOST_STRINGS = 500_000  # spaCy remembers each distinct token; it starts over when there are so many
# spaCy's rule cuts words at all of these; in the Penn Treebank, and nearly everywhere else, a hyphen is part of a word.
_ALL_DASHES, _DASHES = "(?:-|–|—|--|---|——|~)", "(?:–|—|--|---|——)"


class Tokenizer:
    """The tokenizer of a language, which `load_tokenizer` returns.

    Attributes:
        name: its name and version, as in `spaCy en 3.8`.
        language: the language, as in `en`.
        joiner: what stands between most tokens of a text: a blank, or nothing.
    """

    def __init__(
        self, name: str, language: str, cut: Callable[[str], Tokens], split: Callable[[str], list[str]]
    ) -> None:
        self.name, self.language = name, language
        self.joiner = "" if language in _WITHOUT_BLANKS else " "
        self._cut, self._split = cut, split

    def sentences(self, text: str) -> Iterator[list[tuple[int, int]]]:
        """Yield the sentences of a text in order, each as the start and the end (exclusive) of its tokens.

        Each character of the text that is not blank is in exactly one token, and no token holds a blank. An empty line
        always ends a sentence.
        """
        text = _SURROGATE.sub("\ufffd", text)
        start = 0
        for end in [*(match.end() for match in _EMPTY_LINE.finditer(text)), len(text)]:
            for first, last in self._edges(text, start, end):
                tokens = list(self._tokens(text[first:last], first))
                if tokens:
                    yield tokens
            start = end

    def _edges(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the sentences of a paragraph; one that is longer than a window is cut, at a blank if there is one."""
        while start < end:
            last = _end_of_window(text, start, end)
            found = list(self._parts(text, start, last))
            if last < end and len(found) > 1:
                last = found.pop()[0]  # the next window may continue it
            yield from found
            start = last

    def _parts(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        parts = self._split(text[start:end]) if not text[start:end].isspace() else []
        for part in parts:
            last = start + len(part)
            if text[start:last] != part:  # the library has changed it: the rest is one sentence
                break
            yield start, last
            start = last
        if start < end:
            yield start, end

    def _tokens(self, sentence: str, offset: int) -> Iterator[tuple[int, int]]:
        """Yield the tokens of a sentence that begins at an offset."""
        at = 0
        for start, end in self._cut(sentence):
            if start > at:  # what the library has left out, if it is not blank
                yield from _filled(sentence, at, start, offset)
            yield from _filled(sentence, max(at, start), end, offset)
            at = max(at, end)
        yield from _filled(sentence, at, len(sentence), offset)


def _end_of_window(text: str, start: int, end: int) -> int:
    last = start + _LONGEST_WINDOW
    if last >= end:
        return end
    blanks = _BLANKS.finditer(text, last - _LONGEST, last)
    return max((match.end() for match in blanks), default=last)


def _filled(text: str, start: int, end: int, offset: int) -> Iterator[tuple[int, int]]:
    for match in _FILLED.finditer(text, start, end):
        yield offset + match.start(), offset + match.end()


def languages() -> list[str]:
    """Return the languages that a tokenizer can be loaded for.

    Raises:
        DataError: the libraries are not installed.
    """
    found = importlib.util.find_spec("spacy")
    if found is None or found.origin is None:
        raise _missing("spaCy")
    folders = (
        folder.name for folder in (Path(found.origin).parent / "lang").iterdir() if (folder / "__init__.py").exists()
    )
    return sorted({*folders, *_WITH_DICTIONARY})


def tokenizer_name(language: str) -> str | None:
    """Return the name of the tokenizer of a language without loading it, or None if its library is not installed."""
    library, package = ("ICU", "icu4py") if language in _WITH_DICTIONARY else ("spaCy", "spacy")
    try:
        return f"{library} {language} {_version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def is_installed() -> bool:
    """Return whether the libraries of the extra are there, without importing them."""
    return all(importlib.util.find_spec(name) is not None for name in ("spacy", "sentencex", "icu4py"))


def load_tokenizer(language: str) -> Tokenizer:
    """Return the tokenizer of a language.

    Raises:
        DataError: there is no such language, or the libraries are not installed.
    """
    sentencex = _library("sentencex")
    unknown = unknown_language(language)
    if unknown is not None:
        raise DataError(f"data.language: {unknown}")
    cut = _dictionary(language) if language in _WITH_DICTIONARY else _rules(language)
    return Tokenizer(str(tokenizer_name(language)), language, cut, lambda text: list(sentencex.segment(language, text)))


def unknown_language(language: str) -> str | None:
    """Return what is wrong with the name of a language, or None if a tokenizer can be loaded for it.

    Raises:
        DataError: the libraries are not installed.
    """
    known = languages()
    if language in known:
        return None
    near = difflib.get_close_matches(language.casefold().partition("-")[0], known, n=3)
    meant = f" (did you mean {' or '.join(near)}?)" if near else ""
    return f"found {language!r}, expected one of {', '.join(known)}{meant}"


def _missing(name: str) -> DataError:
    return DataError(
        f"raw text: found no {name}, expected it to cut text into tokens and sentences; pip install"
        " 'twobranch-tagger[text]'"
    )


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise _missing(name) from None


def _version(package: str) -> str:
    return ".".join(importlib.metadata.version(package).split(".")[:2])


def _dictionary(language: str) -> Callable[[str], Tokens]:
    breakers = _library("icu4py.breakers")

    def cut(text: str) -> Tokens:
        tokens, start = [], 0
        for part in breakers.WordBreaker(text, language):
            end = start + len(part)
            tokens.append((start, end))
            start = end
        return tokens

    return cut


@functools.lru_cache(maxsize=1)
def _rules(language: str) -> Callable[[str], Tokens]:
    """Return the rules of spaCy for a language; those of the last one are kept, as most files of a folder have one."""
    try:
        import_spacy()
    except ImportError:
        raise _missing("spacy") from None
    return _SpacyRules(language).cut


def import_spacy() -> None:
    """Import spaCy without its command line, whose libraries for downloads take a quarter of the time of the import.

    Empty modules stand in for it meanwhile, so a later `import spacy.cli` finds the real one.

    Raises:
        ImportError: spaCy is not installed.
    """
    if "spacy" in sys.modules:
        return
    stand_ins = {name: types.ModuleType(name) for name in ("spacy.cli", "spacy.cli.info")}
    stand_ins["spacy.cli.info"].info = None  # type: ignore[attr-defined]
    with standing_in(stand_ins):
        importlib.import_module("spacy")


class _SpacyRules:
    """spaCy's rules of a language, but for words with hyphens, which stay whole; several threads may share them."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._tokenizer = self._loaded()
        self._lock = threading.Lock()  # spaCy's tokenizers are not made for several threads

    def _loaded(self) -> Any:
        """Return the tokenizer of spaCy, without a pipeline around it.

        The infixes are those of the class, because spaCy reads all special cases again when they are changed later. The
        vocabulary has no attributes, which take more time than the cutting: whether a word looks like a URL, its shape…
        """
        from spacy.util import get_lang_class
        from spacy.vocab import Vocab

        base = get_lang_class(self._language)
        infixes = [str(rule).replace(_ALL_DASHES, _DASHES) for rule in base.Defaults.infixes or ()]
        defaults = type("Defaults", (base.Defaults,), {"infixes": infixes})
        return type(base.__name__, (base,), {"Defaults": defaults})(vocab=Vocab()).tokenizer

    def cut(self, text: str) -> Tokens:
        tokens = Tokens()
        with self._lock:
            if len(self._tokenizer.vocab.strings) > _MOST_STRINGS:
                self._tokenizer = self._loaded()
            for start, end in _pieces(text):
                tokens += [
                    (start + token.idx, start + token.idx + len(token)) for token in self._tokenizer(text[start:end])
                ]
        return tokens


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of pieces of a text that the rules cut in a time that grows with its length.

    No run of other characters than blanks is longer than a limit, and no run of signs that are tokens of their own.
    """
    cuts: set[int] = set()
    if len(text) > _LONGEST:
        for match in _FILLED.finditer(text):
            cuts.update(range(match.start() + _LONGEST, match.end(), _LONGEST))
    for match in _SIGNS.finditer(text):
        cuts.update(_between_signs(text, match.start(), match.end()))
    start = 0
    for end in sorted(cuts):
        yield start, end
        start = end
    yield start, len(text)


def _between_signs(text: str, start: int, end: int) -> Iterator[int]:
    """Yield places in a run of signs so that no run of brackets, emoji and quotes is much longer than the limit."""
    n, after_single = 0, False
    for i in range(start, end):
        single = text[i] in _SINGLE or unicodedata.category(text[i]) in _SINGLE_CATEGORIES
        if not single and text[i] not in _QUOTES and unicodedata.category(text[i]) not in _QUOTE_CATEGORIES:
            n = 0
            continue
        if n >= _MOST_SIGNS and (single or after_single):
            yield i
            n = 0
        n, after_single = n + 1, single
