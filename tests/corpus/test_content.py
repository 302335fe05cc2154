"""Content that is not a corpus, and odd text that is one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import random
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus.content import SAMPLE_BYTES, recognize

TEXT = "Zürich\tB-LOC\nliegt\tO\n\n" * 50
SCRIPTS = {
    "utf-8": "Zürich 東京 Москва שלום 👩‍👩‍👧",
    "latin-1": "Zürich señaló",
    "cp1252": "Zürich “señaló” €",
    "cp1250": "Gęś żółć",
    "cp1251": "Москва столица",
    "koi8-r": "Москва столица",
    "euc_jp": "東京 大阪です",
    "shift_jis": "東京 大阪です",
    "gb18030": "北京 𠀀 中国",
    "big5": "台北 中國",
    "euc_kr": "서울 대한민국",
    "cp1256": "مرحبا",
}


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, TEXT)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("corpus.conll")
        info.size = len(TEXT.encode())
        archive.addfile(info, io.BytesIO(TEXT.encode()))
    return file.getvalue()


def saved_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(9.0))
    return file.getvalue()


FOREIGN: dict[str, tuple[bytes, str, str]] = {
    "gzip": (gzip.compress(TEXT.encode()), "gzip", "gunzip, or rename"),
    "zip": (zipped("corpus.conll"), "a zip archive", "unzip"),
    "xlsx": (zipped("[Content_Types].xml"), "an Office document", "TAB"),
    "bz2": (bz2.compress(TEXT.encode()), "bzip2", "bunzip2"),
    "empty bz2": (bz2.compress(b""), "bzip2", "bunzip2"),
    "xz": (lzma.compress(TEXT.encode()), "xz", "unxz"),
    "zstd": (b"\x28\xb5\x2f\xfd\x24\x05", "zstd", "unzstd"),
    "tar": (tarred(), "a tar archive", "tar -xf"),
    "pdf": (b"%PDF-1.7\n1 0 obj\n", "a PDF document", "text"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(50), "an Office document", "TAB"),
    "parquet": (b"PAR1\x15\x04\x15", "a Parquet table", "text"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(8), "an HDF5 file", "text"),
    "npy": (saved_array(), "a NumPy array", "text"),
    "pickle": (pickle.dumps({"a": 1}), "a pickle", "text"),
    "utf-16": (TEXT.encode("utf-16"), "UTF-16", "iconv -f UTF-16 -t UTF-8"),
    "utf-16-le": (TEXT.encode("utf-16-le"), "UTF-16", "iconv -f UTF-16LE -t UTF-8"),
    "utf-16-be": (TEXT.encode("utf-16-be"), "UTF-16", "iconv -f UTF-16BE -t UTF-8"),
    "utf-32": (TEXT.encode("utf-32"), "UTF-32", "iconv -f UTF-32 -t UTF-8"),
    "utf-32-le": (TEXT.encode("utf-32-le"), "UTF-32", "iconv -f UTF-32LE -t UTF-8"),
    "utf-32-be": (TEXT.encode("utf-32-be"), "UTF-32", "iconv -f UTF-32BE -t UTF-8"),
    "Japanese in utf-16-be": ("日本語\tO\n".encode("utf-16-be") * 9, "UTF-16", "iconv -f UTF-16BE"),
    "random": (random.Random(1).randbytes(40_000), "binary data", "text"),
    "few random": (random.Random(2).randbytes(400), "binary data", "text"),
    "floats": (struct.pack("<999f", *(i / 7 for i in range(999))), "binary data", "text"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_content_is_named(kind: str) -> None:
    data, name, remedy = FOREIGN[kind]
    for n in (len(data), min(len(data), 1001)):  # an odd number of bytes: half a character
        found = recognize(data[:n][:SAMPLE_BYTES])
        assert found is not None
        assert found.name == name
        assert remedy in found.remedy


@pytest.mark.parametrize("encoding", SCRIPTS)
def test_text_in_every_encoding_is_text(encoding: str) -> None:
    for text in (SCRIPTS[encoding], "".join(f"{word}\tB-X\n" for word in SCRIPTS[encoding].split()) * 300):
        assert recognize(text.encode(encoding)) is None


def test_text_that_looks_like_something_else_is_text() -> None:
    for text in (
        "PK O\n",
        "PAR1\tB-X\n",
        "PAR1",
        "BZh\tO\n",
        "BZh91AY O\n",
        "Rar!\tO\n",
        "%PDF O\n",
        "7z\tO\n",
        "ustar\n",
    ):
        assert recognize(text.encode()) is None
    assert recognize(b"") is None
    assert recognize("\ufeffa\tO\n".encode()) is None
    assert recognize(b"\x1b[31mred\x1b[0m\tO\n" * 100) is None  # colors


def test_a_few_nul_and_control_characters_are_text() -> None:
    assert recognize(b"a\0b\tO\n") is None
    assert recognize(b"ab\tO\n\0\tO\n") is None
    assert recognize(b"a\tO\n" * 200 + b"\0\tO\n" * 15) is None
    assert recognize((b"a\tO\n" * 99 + b"\0\tO\n") * 20) is None  # one token in a hundred
    assert recognize((b"a\tO\n" * 2 + b"\0\0\0\tO\n") * 20) is not None


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"), max_size=300))
def test_any_text_in_utf_8_and_gb18030_is_text(text: str) -> None:
    assert recognize(text.encode()) is None
    assert recognize(text.encode("gb18030")) is None
