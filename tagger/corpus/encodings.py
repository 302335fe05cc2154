"""Suggestions of encodings for a file that is not valid in the requested encoding."""

from __future__ import annotations

import codecs
import contextlib
import re
from pathlib import Path

from tagger.corpus.layout import check_encoding
from tagger.corpus.lines import open_corpus
from tagger.errors import DataError

_SAMPLE_BYTES = 1 << 20
# Tried in this order. Encodings in which most byte sequences are invalid come first, because a match with them is
# stronger evidence. (charset-normalizer, which is asked too, misses EUC-JP.)
_COMMON = ("euc_jp", "shift_jis", "euc_kr", "big5", "gb18030", "cp1252", "cp1251", "cp1250")
_CONTROL = re.compile("[\x80-\x9f]")
_MANY = 0.02  # the largest share of wrong non-ASCII characters with which a sample still counts as damaged UTF-8


def wrong_byte(path: str | Path, number: int, error: UnicodeDecodeError, *, advise: bool = True) -> DataError:
    """Return the error for a line with invalid bytes.

    Args:
        advise: whether to read the beginning of the file and suggest encodings that fit it, which takes a while.
    """
    rest = f"is not valid {error.encoding}; name the file's encoding with --encoding or data.encoding, or fix the line"
    return DataError(
        f"byte 0x{error.object[error.start]:02X} at offset {error.start} of the line {rest}",
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
    fitting = [name for name in suggest_encodings(sample) if codecs.lookup(name) != codecs.lookup(encoding)]
    if fitting:
        return [f"the file is valid {' and '.join(fitting[:3])}: try --encoding {fitting[0]}"]
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


def suggest_encodings(sample: bytes) -> list[str]:
    """Return common encodings in which the whole sample is valid text, the likeliest first.

    The list is empty if all but a few of its non-ASCII characters are valid UTF-8. The sample is then damaged UTF-8,
    and the fact that a single-byte encoding accepts its bytes proves nothing.
    """
    if _fits(sample, "utf-8"):
        return ["utf-8"]
    fitting = [encoding for encoding in _COMMON if _fits(sample, encoding)]
    text = sample.decode("utf-8", "replace")
    n_foreign = sum(character > "\x7f" for character in text)
    if text.count("\ufffd") <= _MANY * n_foreign:
        return []
    guess = _charset_normalizer(sample)
    return list(dict.fromkeys([guess, *fitting] if guess else fitting))


def _fits(sample: bytes, encoding: str) -> bool:
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return False
    return _CONTROL.search(text) is None  # text has no control characters


def _charset_normalizer(sample: bytes) -> str | None:
    import charset_normalizer

    best = charset_normalizer.from_bytes(sample[: 1 << 16]).best()
    if best is None or not _fits(sample, best.encoding):
        return None
    try:
        check_encoding(best.encoding)
    except DataError:
        return None
    return best.encoding
