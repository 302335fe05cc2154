"""The clusters of words, read from a file of the user or from an installed package."""

from __future__ import annotations

import gzip
import importlib.util
import json
import zlib
from pathlib import Path

from tagger.errors import ConfigError, DataError
from tagger.inputs.clusters import MOST_BITS, MOST_CLUSTERED, is_path
from tagger.lexicons.lines import numbered_lines

LANGUAGES = ("de", "en", "es")  # of the clusters in spacy-lookups-data
_PACKAGE = "spacy_lookups_data"
_FORMS = "a word, a TAB and its bits, or bits, a TAB, a word, a TAB and a count as wcluster writes them"


def read_paths(path: str) -> dict[str, str]:
    """Read the paths of words from a file.

    Each line is a word, a TAB and its path (`London TAB 0110010`), or a path, a TAB, a word, a TAB and its count, as
    Percy Liang's wcluster writes them. The number of TABs in the first line decides which.

    Raises:
        DataError: the file cannot be read, has no words, or has a line of another form or a word with two paths.
    """
    found: dict[str, str] = {}
    n_fields = 0
    for number, line in numbered_lines(path, most=MOST_CLUSTERED, what="words"):
        fields = line.split("\t")
        n_fields = n_fields or len(fields)
        word, bits = fields[:2] if len(fields) == 2 else fields[1::-1] if len(fields) == 3 else ("", "")
        has_form = len(fields) == n_fields and word and is_path(bits)
        if not has_form or (len(fields) == 3 and not fields[2].isdecimal()):
            raise DataError(
                f"found {line[:60]!r}, expected {_FORMS}, with at most {MOST_BITS} bits, on all"
                " lines; fix the line, or name another file",
                path=path,
                line=number,
            )
        if found.setdefault(word, bits) != bits:
            raise DataError(
                f"found {word[:60]!r} with the bits {bits}, expected {found[word]} as in an earlier"
                " line; delete one of them",
                path=path,
                line=number,
            )
    if not found:
        raise DataError(f"found no words, expected lines of {_FORMS}; name another file", path=path)
    return found


def read_packaged_paths(language: str) -> dict[str, str]:
    """Read the paths of the words of a language from the package spacy-lookups-data.

    It stores a path as a number whose lowest bit is the first one, so zeros at the end are missing. All paths are
    filled up with zeros to the same length; no two become equal by that, because no cluster is inside another. The
    number 0 stands for no cluster.

    Raises:
        ConfigError: the package is not installed.
        DataError: its file is damaged.
    """
    spec = importlib.util.find_spec(_PACKAGE)  # the package is not imported, because only its data is needed
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"features.cluster_language: {language} needs the package spacy-lookups-data, which is not installed; run"
            " pip install '.[clusters]' in a clone of tagger"
        )
    path = Path(spec.submodule_search_locations[0], "data", f"{language}_lexeme_cluster.json.gz")
    try:
        numbers = json.loads(gzip.decompress(path.read_bytes()))
        n_bits = max(numbers.values()).bit_length()
        if min(numbers.values()) < 0:
            raise ValueError(f"found {min(numbers.values())}, expected numbers from 0")
        return {
            word: f"{number:0{n_bits}b}"[::-1]
            for word, number in numbers.items()
            if number and not set(word) & set("\t\r\n")
        }
    except (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"features.cluster_language: {path} cannot be read: {error}; run pip install --force-reinstall"
            " spacy-lookups-data"
        ) from None
