"""Other file formats, recognized by their first lines: JSON, CSV, `token/TAG`, WebAnno, CoNLL-2012, and more.

Each of them would be read as CoNLL without an error, or with thousands of errors. A file is named for what it is, with
the way to read it.
"""

from __future__ import annotations

import collections
import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from tagger.corpus.columns import holds_brackets
from tagger.corpus.layout import looks_like_tag
from tagger.corpus.survey import Survey
from tagger.wording import as_argument

_MOST = 0.9  # the share of the first lines that must have a format's form
_SLASHED = re.compile(r"\S+[/|](?:O|[BIESLUM]-[^\s/|]+|[A-Z][A-Z$.,:'`-]{0,5})")
_MANY_PAIRS = 3
_REWRITE = "convert it to lines of a token, a TAB and a tag, with a blank line after each sentence"
_CONVERT = "run the command"  # its place is taken by `tagger convert` with the names of the files


def foreign_format(found: Survey, path: str | Path) -> str | None:
    """Return what a file is and how to read it, or None if it may be CoNLL.

    >>> foreign_format(Survey(first_lines=["#FORMAT=WebAnno TSV 3.3"]), "data/my train.tsv")
    "the file is WebAnno TSV, expected CoNLL; run tagger convert 'data/my train.tsv' 'data/my train.conll'"
    """
    lines = found.first_lines
    if not lines:
        return None
    content = [line for line in lines if not line.startswith("#")]
    text = _webanno(lines) or next((text for test in _TESTS if content and (text := test(content, found))), None)
    return None if text is None else text.replace(_CONVERT, f"run {_conversion(path)}")


def _conversion(path: str | Path) -> str:
    """Return the command that converts a file, to copy."""
    name = Path(str(path).removesuffix(".gz"))
    ending = ".iob2" if name.suffix == ".conll" else ".conll"
    return f"tagger convert {as_argument(path)} {as_argument(name.with_suffix(ending))}"


def _json(lines: Sequence[str], found: Survey) -> str | None:
    if _share(lines, _is_json_object) >= _MOST:
        return f"the lines are JSON objects, expected CoNLL; {_CONVERT}"
    if lines[0].lstrip()[:1] in ("[", "{") and _is_json_start(lines):
        return f"the file is JSON, expected CoNLL; {_CONVERT}"
    return None


def _is_json_object(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return line.startswith('{"')


def _is_json_start(lines: Sequence[str]) -> bool:
    text = "".join(lines[:3]).replace(" ", "")
    return text.startswith(('[{"', '{"', '[["', '["', "[[{"))


def _markup(lines: Sequence[str], found: Survey) -> str | None:
    if re.match(r"\s*<(\?xml|!DOCTYPE|html|TEI|DOC|corpus|document)\b", lines[0], re.IGNORECASE):
        return f"the file is XML or HTML, expected CoNLL; {_REWRITE}"
    return None


def _webanno(lines: Sequence[str]) -> str | None:
    if lines[0].startswith("#FORMAT=WebAnno TSV"):
        return f"the file is WebAnno TSV, expected CoNLL; {_CONVERT}"
    return None


def _brat(lines: Sequence[str], found: Survey) -> str | None:
    if _share(lines, lambda line: bool(re.match(r"[TREAN#]\d+\t\S+ ", line))) >= _MOST:
        return "the file is brat standoff (.ann), which has no tokens, expected CoNLL; " + _CONVERT
    return None


def _conll_2012(lines: Sequence[str], found: Survey) -> str | None:
    bracketed = [i for i, values in enumerate(found.columns) if i > 0 and holds_brackets(values)]
    if not bracketed or any(map(_holds_prefixes, found.columns)):
        return None
    listed = ", ".join(map(str, bracketed))
    many = len(bracketed) > 1
    return (
        f"column{'s' if many else ''} {listed} hold{'' if many else 's'} spans in brackets, as CoNLL-2012 (OntoNotes)"
        f" writes them, expected one tag for each token; {_CONVERT}"
    )


def _holds_prefixes(values: collections.Counter[str]) -> bool:
    n = sum(values[value] for value in values if looks_like_tag(value))
    return n >= _MOST * values.total() and any("-" in value[1:2] for value in values)


def _csv(lines: Sequence[str], found: Survey) -> str | None:
    n_columns = csv_columns(lines)
    if not n_columns:
        return None
    return f"the file is CSV with {n_columns} columns, expected CoNLL; {_CONVERT}"


def csv_columns(lines: Sequence[str]) -> int:
    """Return the number of columns if lines are CSV with a tag in the last column; otherwise 0."""
    if any("\t" in line for line in lines) or _share(lines, lambda line: "," in line) < _MOST:
        return 0
    try:
        rows = list(csv.reader(io.StringIO("\n".join(lines)), strict=True))
    except csv.Error:
        return 0
    n_columns, n = collections.Counter(map(len, rows)).most_common(1)[0]
    if n < _MOST * len(rows) or n_columns < 2:
        return 0
    last = [row[-1] for row in rows if len(row) == n_columns]
    return n_columns if sum(map(looks_like_tag, last)) >= len(last) / 2 else 0


def _pairs(lines: Sequence[str], found: Survey) -> str | None:
    if are_pairs(lines, n_blank=found.n_blank):
        return f"each line holds a whole sentence of tokens and tags in turn, expected one token a line; {_CONVERT}"
    return None


def are_pairs(lines: Sequence[str], *, n_blank: int) -> bool:
    """Return whether each line holds the tokens and the tags of a sentence in turn.

    Args:
        lines: the lines that are not blank.
        n_blank: the number of blank lines of the file, which separate the sentences of others.
    """

    def fits(line: str) -> bool:
        fields = line.split("\t") if "\t" in line else line.split(" ")
        return len(fields) >= 2 * _MANY_PAIRS and len(fields) % 2 == 0 and all(map(looks_like_tag, fields[1::2]))

    same_length = len({len(line.split()) for line in lines}) == 1
    return _share(lines, fits) >= _MOST and not (same_length and n_blank)


def _slashes(lines: Sequence[str], found: Survey) -> str | None:
    if is_slashed(lines):
        return f"each line holds a sentence of token/TAG pairs, expected one token a line; {_CONVERT}"
    return None


def is_slashed(lines: Sequence[str]) -> bool:
    """Return whether each line holds a sentence of `token/TAG` or `token|POS|TAG`."""

    def fits(line: str) -> bool:
        fields = [field for field in re.split("[ \t]+", line) if field]
        fitting = sum(_SLASHED.fullmatch(field) is not None for field in fields)
        return len(fields) >= 2 and fitting >= _MOST * len(fields) and any("/" in f or "|" in f for f in fields)

    return _share(lines, fits) >= _MOST


def _parallel(lines: Sequence[str], found: Survey) -> str | None:
    """Recognize a file of sentences, or of the tags of sentences, one a line, as in `seq.in` and `seq.out`."""
    fields = [[field for field in re.split("[ \t]+", line) if field] for line in lines]
    long = [row for row in fields if len(row) >= 2 * _MANY_PAIRS]
    if len(long) < len(fields) / 2 or len({len(row) for row in fields}) < min(3, len(fields)):
        return None
    if sum(all(map(looks_like_tag, row)) for row in fields) >= _MOST * len(fields):
        return (
            "each line holds the tags of a sentence, as in parallel files (seq.in and seq.out), expected a token and a"
            " tag on each line; put both files into one folder under these names, and run tagger convert FOLDER"
            " train.conll"
        )
    if any("\t" in line for line in lines) or any(looks_like_tag(row[-1]) and len(row[-1]) > 1 for row in fields):
        return None
    return "each line seems to hold a whole sentence of text, expected one token a line with its tag; " + _REWRITE


def _share(lines: Sequence[str], fits: Callable[[str], bool]) -> float:
    return sum(map(fits, lines)) / len(lines) if lines else 0.0


_TESTS = (_json, _markup, _brat, _pairs, _slashes, _csv, _conll_2012, _parallel)
