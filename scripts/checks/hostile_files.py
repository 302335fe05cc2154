"""Damaged configs, word vectors and corpora, each with what must be said of it. Used by the fuzzer."""

from __future__ import annotations

import bz2
import copy
import gzip
import io
import json
import lzma
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

ODD_VALUES: list[Any] = [
    None, True, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, -1e-300, "", "x", "..", "/etc/passwd",
    "../../etc", "a\x00b", "\ud800", "é" * 1000, [], [1], [[[[]]]], {}, {"a": 1}, {"": {}}, "nan", "1e999", "O", "B-X",
    "crf", "lstm", "\n", "\t", " ", "ascii", 12_000, 1000, 64, "a\tb",
]  # fmt: skip
YAML_PARTS = [
    "&a", "*a", "<<: *a", "!!python/object/apply:os.system ['true']", "!!binary AAAA", "---", "...", "? x", "- -",
    "{", "}", "[", "]", "|", ">", "\t", "#", "%YAML 1.2", "!!set {}", "!!timestamp 2001-01-01", "!!timestamp x",
    '!!int ""', '!!int "-"', '!!float ""', "!!bool x", "!!null x", "!!omap x", "1:59:59.5", ".inf", ".nan", "0x1F",
    "1_000", "1:30", "\u2028", "\ufeff", "'", '"', "~", "on", "1e3", "9" * 5000, "data: {train: x}",
    "model: {units: 1e999}", "training: {steps: {1: 2}}", '"a\\0b"', '"\\ud800"',
    '!!python/name:os.system ""', "!!python/object/apply:os.system ['true']",
]  # fmt: skip
ALIAS_BOMB = "data:\n  a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"  a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
MOST_CHARACTERS = 1 << 17  # of a config, as SECURITY.md says


def damaged_config(rng: random.Random, texts: list[str]) -> bytes:
    kind = rng.random()
    if kind < 0.002:  # longer than a config may be, and otherwise valid
        return b"data: {train: t}\n#" + b"x" * rng.randrange(MOST_CHARACTERS, 2 * MOST_CHARACTERS) + b"\n"
    if kind < 0.004:
        return ALIAS_BOMB.encode()
    if kind < 0.04:  # a valid config with a value that would run code, or a path that no file can have
        value = rng.choice([part for part in YAML_PARTS if part.startswith(("!!", '"'))])
        key = rng.choice(
            ["data: {train: t, dev: %s}", "data: {train: %s}", "data: {train: t}\noutput: {model_dir: %s}"]
        )
        return (key % value).encode()
    lines = rng.choice(texts).splitlines()
    start = rng.randrange(len(lines))
    lines = lines[start : start + rng.randint(1, 12)] if rng.random() < 0.8 else lines
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines) + 1)
        kind = rng.random()
        if kind < 0.3:
            lines.insert(at, rng.choice(["", "  ", "    "]) + rng.choice(YAML_PARTS))
        elif kind < 0.5 and lines:
            del lines[rng.randrange(len(lines))]
        elif kind < 0.7 and lines:
            line = rng.choice(lines)
            key, colon, _ = line.partition(":")
            value = rng.choice([*YAML_PARTS, *map(_yaml, ODD_VALUES)])
            lines.insert(at, f"{key}{colon or ':'} {value}")
        else:
            lines.insert(at, rng.choice(rng.choice(texts).splitlines() or [""]))
    if rng.random() < 0.5:
        lines.insert(0, "data: {train: t}")
    content = bytearray("\n".join(lines).encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    return bytes(content)


def _yaml(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, int) or abs(value) < 10**300 else "1" * 400


def put_odd_value(rng: random.Random, values: Any) -> None:
    """Replace, delete or add one value somewhere in `values`."""
    while isinstance(values, dict) and values:
        key = rng.choice(sorted(values))
        if isinstance(values[key], dict) and values[key] and rng.random() < 0.8:
            values = values[key]
            continue
        kind = rng.random()
        if kind < 0.1:
            del values[key]
        elif kind < 0.2:
            values[str(rng.choice(ODD_VALUES))[:50]] = odd_value(rng)
        else:
            values[key] = odd_value(rng)
        return


def odd_value(rng: random.Random) -> Any:
    # A copy: the next change may be made inside the value.
    return copy.deepcopy(rng.choice(ODD_VALUES))


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Change bits of a file, or its length."""
    data = bytearray(content)
    kind = rng.random()
    if kind < 0.7 and data:
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind < 0.8:
        del data[rng.randrange(len(data) + 1) :]
    elif kind < 0.9:
        data += rng.randbytes(rng.randint(1, 20))
    else:
        data[rng.randrange(len(data) + 1) :] = rng.choice(
            [b"\x00", b"\n\n", b"\xff\xfe", "\u2028\n".encode(), b"O\nO\n", b"\t\n", b"B-a\tb\n"]
        )
    return bytes(data)


def odd_tags(rng: random.Random, content: bytes) -> bytes:
    """Add a tag, or change one, so that it breaks rows or does not belong to the scheme."""
    tags = content.decode().split("\n")[:-1]
    odd = rng.choice(["B-a\tb", "B-a b", "B-\r", "", "X-Y", "B-X", "\t", "B-\u2028", "I-" + "x" * 1000])
    if rng.random() < 0.5:
        tags.insert(rng.randrange(len(tags) + 1), odd)
    else:
        tags[rng.randrange(len(tags))] = odd
    return "".join(f"{tag}\n" for tag in tags).encode()


def with_odd_numbers(rng: random.Random, content: bytes) -> bytes:
    """Write numbers that are not finite, or too large, over some in the second half of a file."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 2, 40])):
        at = len(data) - 4 * rng.randint(1, max(1, len(data) // 8))
        data[at : at + 4] = np.array(rng.choice([np.nan, np.inf, -np.inf, 3e38]), "<f4").tobytes()
    return bytes(data)


# --- Corpora ---------------------------------------------------------------------------------------------------------

_CORPUS = "".join(f"w{i}\tN\tB-X\nw{i * i}\tV\tO\n\n" for i in range(60)).encode()


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("corpus.conll", content)
    return file.getvalue()


def corpus_file(rng: random.Random) -> tuple[str, bytes, tuple[bytes, ...]]:
    """Return the name and the content of a file, and what reading it may give: nothing if it must be refused."""
    text = _CORPUS[: rng.randrange(1, len(_CORPUS))]
    packed = gzip.compress(text, 1, mtime=0)
    match rng.randrange(8):
        case 0:
            return "f", text, (text,)
        case 1:
            return "f.gz", packed, (text,)
        case 2:
            return "f.gz", packed + packed + bytes(rng.choice([0, 512])), (text + text,)
        case 3:
            return "f.gz", packed[: rng.randrange(len(packed))], ()
        case 4:
            return "f.gz", packed + rng.randbytes(rng.randint(1, 9)) + b"x", ()
        case 5:
            at = rng.randrange(len(packed))
            changed = packed[:at] + bytes([packed[at] ^ 1 << rng.randrange(8)]) + packed[at + 1 :]
            return "f.gz", changed, (text,)  # some bits, such as the time in the header, do not matter
        case 6:
            return "f", rng.choice([gzip.compress, bz2.compress, lzma.compress, _zipped])(text), ()
        case _:
            wide = rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32"])
            return "f", rng.choice([rng.randbytes(rng.randint(2000, 9000)), _CORPUS.decode().encode(wide)]), ()


# --- Vectors ---------------------------------------------------------------------------------------------------------

_VECTORS = b"".join(b"w%d 0.5 -1e-3 %d\n" % (i, i) for i in range(20))
_GIANT = b""


def _giant() -> bytes:
    """Return a small gzip file that unpacks to more than 100 MiB."""
    global _GIANT
    if not _GIANT:
        # Blank lines are skipped, so it would be read if nobody limited what it unpacks to.
        _GIANT = gzip.compress(b"w 1\n" + (b" " * (1 << 20) + b"\n") * 110, 1, mtime=0)
    return _GIANT


class Payload:
    """An object whose unpickling would run a command."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.system, ("true",)


def vector_files(rng: random.Random, folder: Path) -> tuple[Path, bool]:
    """Write a file of vectors; return its path and whether it must be refused."""
    kind = rng.random()
    if kind < 0.004:
        path = folder / "giant.gz"
        path.write_bytes(_giant())
        return path, True
    if kind < 0.4:
        data = damaged(rng, _VECTORS)
        path = folder / rng.choice(["v.txt", "v.vec"])
        path.write_bytes(gzip.compress(data, 1) if rng.random() < 0.3 else data)
        return path, False
    array: Any = rng.choice([np.ones((8, 3)), np.ones((8, 3), np.float32), np.ones(8), np.ones((8, 3), int)])
    if kind < 0.5:
        array = np.array([[Payload()] * 3] * 8, object)
    file = io.BytesIO()
    np.save(file, array)
    data = file.getvalue()
    if kind > 0.6:
        data = damaged(rng, data)
    (folder / "v.npy").write_bytes(data)
    (folder / "v.txt").write_bytes(b"".join(b"w%d\n" % i for i in range(8)))
    return folder / "v.npy", array.dtype.kind != "f" and kind <= 0.6
