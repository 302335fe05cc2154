"""Suggestions of encodings for a file that is not valid in the requested encoding."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tagger.corpus.languages import ENCODINGS, plausibility
from tagger.corpus.lines import open_corpus
from tagger.errors import DataError

_SAMPLE_BYTES = 1 << 20
_MOST_JUDGED, _LONGEST_JUDGED = 1000, 200  # words, and bytes of a word
_SHOWN, _SHOWN_WORDS = 3, 3
_LONGEST_SHOWN = 24  # characters of a word
_NO_TEXT = re.compile("[\x80-\x9f\ue000-\uf8ff]")  # control characters, and characters that have no meaning
# A reading is not shown if the logarithm of its probability is lower than the best one's by more than this for each
# byte beyond ASCII.
_WORSE = 3.5
_MANY = 0.02  # the largest share of wrong non-ASCII characters with which a sample still counts as damaged UTF-8


class Reading(NamedTuple):
    """An encoding in which bytes are valid text, and some words as they read in it."""

    encoding: str
    words: tuple[str, ...]


def wrong_byte(
    path: str | Path, number: int, error: UnicodeDecodeError, *, advise: bool = True, n_before: int = 0
) -> DataError:
    """Return the error for a line with invalid bytes.

    Args:
        advise: whether to read the beginning of the file and suggest encodings that fit it, which takes a while.
        n_before: the number of bytes of the line before those that could not be decoded together.
    """
    rest = f"is not valid {error.encoding}; name the file's encoding with data.encoding, or fix the line"
    return DataError(
        f"byte 0x{error.object[error.start]:02X} at offset {n_before + error.start} of the line {rest}",
        path=path,
        line=number,
        detail=_advice(path, error.encoding) if advise else (),
        kind="wrong-byte",
        common=f"a byte of the line {rest}",
    )


def _advice(path: str | Path, encoding: str) -> list[str]:
    sample = _sample(path)
    if sample is None:
        return []
    # If the encoding that failed fits the sample, the wrong byte only lies beyond the sample.
    found = [
        reading for reading in suggest_readings(sample) if codecs.lookup(reading.encoding) != codecs.lookup(encoding)
    ]
    if found:
        return [f"--set data.encoding={name} reads {', '.join(words)}" for name, words in found]
    return [f"no common encoding fits the whole file: it seems to be {encoding} with damaged bytes"]


def _sample(path: str | Path) -> bytes | None:
    if not Path(path).is_file():
        return None
    sample = b""
    # A damaged .gz is an error of its own, which is raised where the file is read.
    with contextlib.suppress(DataError), open_corpus(path) as stream:
        sample = stream.read(_SAMPLE_BYTES)
        if len(sample) == _SAMPLE_BYTES:  # cut at a line end, so that no character is cut
            sample = sample[: max(sample.rfind(b"\n"), sample.rfind(b"\r")) + 1]
    return sample


def encoding_of(path: str | Path) -> list[Reading]:
    """Return the likeliest encodings of a file that is not UTF-8; nothing if it is, or if no common encoding fits."""
    sample = _sample(path)
    if sample is None:
        return []
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError:
        return suggest_readings(sample)
    return []


def suggest_encodings(sample: bytes) -> list[str]:
    """Return common encodings in which the whole sample is valid and plausible text, the likeliest first.

    The list is empty if all but a few of its non-ASCII characters are valid UTF-8. The sample is then damaged UTF-8,
    and the fact that a single-byte encoding accepts its bytes proves nothing.
    """
    if _decoded(sample, "utf-8") is not None:
        return ["utf-8"]
    text = sample.decode("utf-8", "replace")
    n_foreign = len(text) - len(text.encode("ascii", "ignore"))
    if text.count("\ufffd") <= _MANY * n_foreign:
        return []
    words = b"\n".join(_foreign_words(sample))
    scores = {
        encoding: plausibility(words.decode(encoding, "replace"), encoding)
        for encoding in ENCODINGS
        if _decoded(sample, encoding) is not None
    }
    worst = max(scores.values(), default=0.0) - _WORSE * sum(byte > 0x7F for byte in words)
    plausible = [encoding for encoding in scores if scores[encoding] >= worst]
    return sorted(plausible, key=lambda encoding: -scores[encoding])  # equal ones stay in the order of ENCODINGS


def suggest_readings(sample: bytes) -> list[Reading]:
    """Return the likeliest encodings of a sample with some words in which they differ.

    Encodings in which the sample is the same text are one suggestion.
    """
    words = _foreign_words(sample)
    readings: dict[tuple[str, ...], str] = {}
    for encoding in suggest_encodings(sample):
        readings.setdefault(tuple(word.decode(encoding, "replace") for word in words), encoding)
    likeliest = list(itertools.islice(readings.items(), _SHOWN))
    telling = _telling_words([texts for texts, _ in likeliest])
    return [Reading(encoding, tuple(texts[i][:_LONGEST_SHOWN] for i in telling)) for texts, encoding in likeliest]


def _telling_words(readings: Sequence[Sequence[str]]) -> list[int]:
    """Return the indices of a few words: the first ones that read differently everywhere, or else in most readings."""
    if not readings:
        return []
    n_forms = [len({texts[i] for texts in readings}) for i in range(len(readings[0]))]
    chosen = sorted(range(len(n_forms)), key=lambda i: (len(readings[0][i]) > _LONGEST_SHOWN, -n_forms[i]))
    return sorted(chosen[:_SHOWN_WORDS])


def _foreign_words(sample: bytes) -> list[bytes]:
    """Return the first distinct words that hold a byte beyond ASCII."""
    # The bytes of blanks never occur inside a character of an encoding that is compatible with ASCII.
    found = (word[:_LONGEST_JUDGED] for word in sample.split() if not word.isascii())
    return list(itertools.islice(dict.fromkeys(itertools.islice(found, 20 * _MOST_JUDGED)), _MOST_JUDGED))


def _decoded(sample: bytes, encoding: str) -> str | None:
    """Return a sample as text, or None if it is not text in an encoding."""
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _NO_TEXT.search(text) else text
