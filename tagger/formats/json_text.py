"""JSON values read from a file one after another, whether they stand on lines, in an array or one behind another.

What JSON leaves open or Python reads loosely is an error here, because it would lose something: a key that an object
has twice, `NaN`, a number too large for a float, half of a surrogate pair.
"""

from __future__ import annotations

import codecs
import collections
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from tagger.corpus.layout import check_encoding
from tagger.corpus.lines import open_corpus, shown_name
from tagger.errors import DataError
from tagger.formats.document import Place

_BLOCK = 1 << 18
_BLANKS = re.compile(r"[ \t\r\n]*")
# An error this close to the end of what has been read may only mean that the rest is still to be read.
_NEAR_END = 16
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class _LossError(ValueError):
    """Something in a JSON value that would be lost."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = collections.Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise _LossError(f"found the key {twice[:80]!r} twice in one object, expected it once; remove one of the two")
    return found


def _finite(number: str) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        _refuse_constant(number)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _LossError(f"found {name[:80]}, expected a number that JSON and a float can hold; fix it, or write null")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_float=_finite, parse_constant=_refuse_constant)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False)


def read_values(path: str | Path, encoding: str = "utf-8") -> Iterator[tuple[Any, Place]]:
    """Yield the values of a file, each with the place where it begins, in constant memory.

    The values of an array at the top are yielded one by one, unless it begins with a string: such an array is one
    value, as in a line of spaCy's training data (`["a text", {"entities": []}]`).

    Raises:
        DataError: the file cannot be read, is not JSON, or holds something that would be lost.
    """
    check_encoding(encoding)
    with open_corpus(path) as stream:
        yield from _Text(stream, encoding, shown_name(path)).values()


def value_of(text: str) -> Any:
    """Return the one JSON value that a text is.

    Raises:
        ValueError: the text is not JSON, or holds something that would be lost.
    """
    try:
        value = _DECODER.decode(text)
        if _ESCAPED_SURROGATE.search(text):
            as_line(value, Place(""))
    except json.JSONDecodeError as error:
        raise ValueError(f"is not valid JSON: {error.msg.lower()} at character {error.pos}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(_refusal(error)) from None
    except DataError as error:
        raise ValueError(error.text) from None
    return value


def is_json_start(lines: list[str]) -> bool:
    """Return whether the first lines of a file begin an object, or an array of objects or arrays."""
    text = "".join(line.strip() for line in lines[:50]).removeprefix("\ufeff").lstrip()
    return re.match(r'\{\s*(?:"|\}|$)|\[\s*(?:[\[{]|"(?:[^"\\]|\\.)*"\s*,\s*\{|$)', text) is not None


def as_json(value: Any, place: Place) -> str:
    """Return a value as JSON on one line.

    Raises:
        DataError: JSON cannot hold the value.
    """
    try:
        return _ENCODER.encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise DataError(
            f"cannot be written as JSON: {reason}; fix the fields of the document", path=place.path, line=place.line
        ) from None


def as_line(value: Any, place: Place) -> bytes:
    """Return a value as JSON on a line of UTF-8.

    Raises:
        DataError: JSON or UTF-8 cannot hold the value.
    """
    text = as_json(value, place) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _half(error, place) from None


def _half(error: UnicodeEncodeError, place: Place) -> DataError:
    return DataError(
        f"found half of a surrogate pair (\\u{ord(error.object[error.start]):04x}), expected a whole character; write"
        " both halves, or remove it",
        path=place.path,
        line=place.line,
    )


def _refusal(error: Exception) -> str:
    """Return what is wrong with a value that the decoder refuses although its grammar is right."""
    if isinstance(error, _LossError):
        return str(error)
    if isinstance(error, RecursionError):
        return "found values nested too deeply to be read, expected a document; check the file"
    return "found a whole number of thousands of digits, expected a shorter one; fix it"


class _Text:
    """The text of a JSON file, of which only a part is held at a time."""

    def __init__(self, stream: IO[bytes], encoding: str, path: str) -> None:
        self._stream, self._path, self._encoding = stream, path, encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._text, self._at, self._line = "", 0, 1
        self._is_first, self._is_whole = True, False

    def values(self) -> Iterator[tuple[Any, Place]]:
        while self._sign():
            if self._sign() == "[" and self._begins_array():
                yield from self._items()
            else:
                yield self._value()

    def _items(self) -> Iterator[tuple[Any, Place]]:
        place = Place(self._path, self._line)
        self._at += 1
        while self._sign() != "]":
            yield self._value()
            sign = self._sign()
            if sign == ",":
                self._at += 1
                if self._sign() != "]":
                    continue
                raise self._error("found a comma before the end of the array, expected a value after it; remove it")
            if not sign:
                raise self._error(f"found no end of the array that begins on line {place.line}; the file seems cut off")
            if sign != "]":
                raise self._error(f"found {sign!r} after a value, expected a comma or the end of the array; fix it")
        self._at += 1

    def _begins_array(self) -> bool:
        """Return whether the array that begins here is to be read value by value."""
        found = _BLANKS.match(self._text, self._at + 1)
        while found is not None and found.end() == len(self._text) and self._read():
            found = _BLANKS.match(self._text, self._at + 1)
        return found is not None and self._text[found.end() : found.end() + 1] != '"'

    def _sign(self) -> str:
        """Return the next character that is not blank, or an empty string at the end."""
        while True:
            found = _BLANKS.match(self._text, self._at)
            end = self._at if found is None else found.end()
            if end > self._at:
                self._line += self._text.count("\n", self._at, end)
                self._at = end
            if end < len(self._text):
                return self._text[end]
            if not self._read():
                return ""

    def _value(self) -> tuple[Any, Place]:
        place = Place(self._path, self._line)
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - _NEAR_END
                if not (cut and self._read()):
                    raise self._malformed(error, place) from None
            except (ValueError, RecursionError) as error:
                raise DataError(_refusal(error), path=self._path, line=place.line) from None
            else:
                if end < len(self._text) or not self._read():
                    break
        self._refuse_halves(value, self._at, end, place)
        self._line += self._text.count("\n", self._at, end)
        self._at = end
        return value, place

    def _refuse_halves(self, value: Any, start: int, end: int, place: Place) -> None:
        """Raise DataError if a value holds half of a surrogate pair, which only an escape can bring."""
        if self._text.find("\\", start, end) < 0 or not _ESCAPED_SURROGATE.search(self._text, start, end):
            return
        try:
            as_json(value, place).encode()
        except UnicodeEncodeError as error:
            raise _half(error, place) from None

    def _read(self) -> bool:
        """Read more of the text, at least as much as is held; return whether there was more."""
        if self._is_whole:
            return False
        self._text = self._text[self._at :]
        self._at = 0
        # A pipe gives what it holds now, so that a document need not wait for those after it; but a long value is not
        # parsed again for each small piece.
        read = getattr(self._stream, "read1" if len(self._text) < _BLOCK else "read")
        block: bytes = read(max(_BLOCK, len(self._text)))
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            raise self._wrong_byte(error) from None
        if self._is_first:
            text = text.removeprefix("\ufeff")
            self._is_first = not (text or not block)
        self._text += text
        self._is_whole = not block
        return True

    def _wrong_byte(self, error: UnicodeDecodeError) -> DataError:
        line = self._line + self._text.count("\n") + error.object.count(b"\n", 0, error.start)
        text = f"byte 0x{error.object[error.start]:02X} is not valid {error.encoding}; name the file's encoding with"
        return DataError(f"{text} data.encoding, or fix the line", path=self._path, line=line)

    def _malformed(self, error: json.JSONDecodeError, place: Place) -> DataError:
        line = place.line + self._text.count("\n", self._at, error.pos)
        near = self._text[error.pos : error.pos + 20].partition("\n")[0]
        where = f"before {near!r}" if near else "at the end of the line"
        began = f" in the value that begins on line {place.line}" if line > place.line else ""
        found = error.msg.lower().removesuffix(" at").removesuffix(" starting")
        text = f"is not valid JSON: {found} {where}{began}; fix the line, or get the file again"
        return DataError(text, path=self._path, line=line)

    def _error(self, text: str) -> DataError:
        return DataError(text, path=self._path, line=self._line)
