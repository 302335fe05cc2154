"""The description of a text, which decides whether it must be cut into tokens again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tagger.errors import ConfigError, DataError
from tagger.formats.document import Format
from tagger.formats.raw_sentences import RawSettings
from tagger.formats.registry import guess_source, named
from tagger.text.tokenizer import DEFAULT_LANGUAGE, tokenizer_name

_FORMAT = 2


def describe(paths: Sequence[str], settings: RawSettings) -> dict[str, Any]:
    """Return what decides the tokens of a text, as JSON values: the content of the files, and how they are read.

    Raises:
        ConfigError: a path is neither a file nor a folder, so that it could not be read twice.
        DataError: a file cannot be read, or its format is not known.
    """
    for path in paths:
        if path == "-" or (Path(path).exists() and not (Path(path).is_file() or Path(path).is_dir())):
            raise ConfigError(f"RAW: found {path}, expected files, because --resume reads them again; name a file")
    formats = [named(settings.source) if settings.source else guess_source(Path(path))[0] for path in paths]
    read = settings.read
    return {
        "format": _FORMAT,
        "files": [_described(path, format_) for path, format_ in zip(paths, formats, strict=True)],
        "reading": {
            "lines": settings.lines,
            "tokenized": settings.tokenized,
            "encoding": read.encoding,
            "delimiter": read.delimiter,
            "columns": dict(read.columns),
        },
        "tokenizer": _tokenizer(formats, settings),
    }


def _described(path: str, format_: Format) -> dict[str, Any]:
    """Return the format of a file or folder, and the size and the checksum of its content."""
    digest, n_bytes, place = hashlib.sha256(), 0, Path(path)
    try:
        for part in sorted(part for part in place.rglob("*") if part.is_file()) if place.is_dir() else [place]:
            with part.open("rb") as file:
                own = hashlib.file_digest(file, "sha256")
                n_bytes += file.tell()
            if part == place:
                digest = own
            else:
                digest.update(f"{own.hexdigest()} {part.relative_to(place)}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}; check the path") from None
    return {"bytes": n_bytes, "sha256": digest.hexdigest(), "gzip": path.endswith(".gz"), "format": format_.name}


def _tokenizer(formats: Sequence[Format], settings: RawSettings) -> str | None:
    """Return the name of the tokenizer that texts without tokens would be cut by, if there may be some."""
    if settings.tokenized or all(format_.flat for format_ in formats):
        return None
    return tokenizer_name(settings.language or DEFAULT_LANGUAGE)
