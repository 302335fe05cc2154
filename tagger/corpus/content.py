"""Recognition of content that is not text: packed files, documents, tables, UTF-16 and other binary data."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

SAMPLE_BYTES = 1 << 16  # the beginning of a file that is looked at
GZIP = b"\x1f\x8b"


class Foreign(NamedTuple):
    """Content that cannot be a corpus: its name as in "is a zip archive", and what to do about it."""

    name: str
    remedy: str


_TABLE = "write it as text with the tool that made it: a token and its tag on each line"
_OFFICE = "save it as text, with a TAB between the columns"
_DOCUMENT = "a corpus is text: a token and its tag on each line"
# A pattern must not match text: it contains a control character, or is long enough to be no accident.
_SIGNATURES = tuple(
    (re.compile(pattern, re.DOTALL), Foreign(name, remedy))
    for pattern, name, remedy in (
        (rb"\x1f\x8b", "gzip", "unpack it with gunzip, or rename it so that its name ends in .gz"),
        (rb"PK\x03\x04.{26}(\[Content_Types\]|xl/|word/|_rels/|mimetype)", "an Office document", _OFFICE),
        (rb"PK(\x03\x04|\x05\x06)", "a zip archive", "unpack it with unzip"),
        (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", "bzip2", "unpack it with bunzip2"),
        (rb"\xfd7zXZ\x00", "xz", "unpack it with unxz"),
        (rb"\x28\xb5\x2f\xfd", "zstd", "unpack it with unzstd"),
        (rb"\x04\x22\x4d\x18", "lz4", "unpack it with unlz4"),
        (rb"\x1f\x9d", "compress (.Z)", "unpack it with uncompress"),
        (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it with 7z x"),
        (rb"Rar!\x1a\x07", "a RAR archive", "unpack it with unrar x"),
        (rb".{257}ustar[\x00 ]", "a tar archive", "unpack it with tar -xf"),
        (rb"%PDF-[0-9]\.[0-9]", "a PDF document", _DOCUMENT),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document", _OFFICE),
        (rb"PAR1[^\t\r\n -\xff]", "a Parquet table", _TABLE),
        (rb"ARROW1\x00\x00|\xff\xff\xff\xff.{3}\x00\x10\x00\x00\x00", "an Arrow table", _TABLE),
        (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _TABLE),
        (rb"\x93NUMPY", "a NumPy array", _TABLE),
        (rb"SQLite format 3\x00", "a SQLite database", _TABLE),
        (rb"Obj\x01", "an Avro table", _TABLE),
        (rb"\x80[\x02-\x05]", "a pickle", _TABLE),
    )
)
# UTF-32 comes first, because the mark of UTF-16-LE is the beginning of that of UTF-32-LE.
_WIDE = (
    ("UTF-32LE", codecs.BOM_UTF32_LE),
    ("UTF-32BE", codecs.BOM_UTF32_BE),
    ("UTF-16LE", codecs.BOM_UTF16_LE),
    ("UTF-16BE", codecs.BOM_UTF16_BE),
)
_NO_TEXT = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
_LINE_END, _LETTER = re.compile("[\r\n]"), re.compile(r"\w")
# NUL is the other half of each ASCII character in UTF-16, and in text each line has a few of those.
_LEAST_NULS, _WIDE_SHARE = 4, 1 / 32
# Control characters without ESC, which colors text. Of random bytes they are a tenth, of text next to nothing. A small
# file may have odd tokens, which `tagger check` reports one by one.
_CONTROL = bytes({*range(9), *range(14, 27), *range(28, 32), 127})
_LEAST_CONTROL, _CONTROL_SHARE = 16, 1 / 20


def recognize(sample: bytes) -> Foreign | None:
    """Return the kind of content that cannot be a corpus, or None for text in an encoding that extends ASCII.

    Args:
        sample: the first bytes of the content, at most `SAMPLE_BYTES`.
    """
    for pattern, foreign in _SIGNATURES:
        if pattern.match(sample):
            return foreign
    wide = _wide_encoding(sample)
    if wide is not None:
        return Foreign(wide.replace("LE", "").replace("BE", ""), f"convert it with iconv -f {wide} -t UTF-8")
    n_control = len(sample) - len(sample.translate(None, _CONTROL))
    if n_control >= _LEAST_CONTROL and n_control > _CONTROL_SHARE * len(sample):
        return Foreign("binary data", _DOCUMENT)
    return None


def _wide_encoding(sample: bytes) -> str | None:
    """Return the name of the encoding if the sample is text in UTF-16 or UTF-32.

    The name lacks LE or BE if there is a byte-order mark, which iconv then reads and removes.
    """
    for name, mark in _WIDE:
        if sample.startswith(mark):
            return name[:-2]
    n_nuls = sample.count(0)
    if n_nuls < _LEAST_NULS or n_nuls < _WIDE_SHARE * len(sample):
        return None
    return next((name for name, _ in _WIDE if _is_text_in(name, sample)), None)


def _is_text_in(encoding: str, sample: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(sample)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return not _NO_TEXT.search(text) and bool(_LINE_END.search(text)) and bool(_LETTER.search(text))
