"""brat standoff: a folder with a text (`a.txt`) and its annotations (`a.ann`) for each document, in and out.

A folder is read with the folders in it, in the order of the names; instead of a folder, the path of one `.ann` or
`.txt` file can be given. A text without annotations beside it is a document without spans. Text-bound annotations (`T`)
are spans. A discontinuous one (`0 3;8 12`) is reported and left out, unless nothing but a line end and blanks lie in
its gaps: brat itself cuts a span at line ends. Relations, events, attributes, normalizations and notes are reported.

Offsets are read in the unit in which the annotations cover the texts that stand beside them. The texts are written byte
for byte, with the spans, and with `annotation.conf`, without which brat shows nothing.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tagger.corpus.encodings import wrong_byte
from tagger.corpus.layout import check_encoding
from tagger.corpus.lines import open_corpus
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, Format, Place, ReadOptions, WriteOptions, encoded
from tagger.formats.json_fields import error_at, shown
from tagger.formats.losses import report_losses
from tagger.formats.offsets import TextOffsets
from tagger.formats.own_texts import Piece, edges_by_text

_TEXT, _ANNOTATIONS, _SETTINGS = ".txt", ".ann", "annotation.conf"
_FRAGMENT = re.compile(r"(-?[0-9]{1,18}) (-?[0-9]{1,18})")
_LINE_END, _BLANK = re.compile(r"[\r\n]"), re.compile(r"\s")
_LINE = re.compile(r"T[^\t ]*\t\S+ -?[0-9]+ -?[0-9]+")
_KINDS = {
    "R": "relations",
    "*": "equivalences",
    "E": "events",
    "A": "attributes",
    "M": "attributes",
    "N": "normalizations",
    "#": "notes",
}
# A name of a document that is a path below the folder, and that every system can write.
# Windows writes to a device instead of a file if the first part of its name is one of these.
_DEVICE = r"(?i:con|prn|aux|nul|com\d|lpt\d) *(?![^./])"
_PART = rf"(?!\.|{_DEVICE})[\w .()+,@-]{{1,100}}(?<![. ])"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,8}}")


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of a folder, or that of one pair of files.

    Raises:
        DataError: there is no text, or an annotation is wrong.
    """
    check_encoding(options.encoding)
    note = functools.cache(options.note)  # each text once
    for text_path, name in _texts(path):
        yield _document(text_path, name, options, note)


def _texts(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the texts of a folder, or the one that a path means, with the names of the documents."""
    if str(path) == "-":
        raise DataError("<standard input>: found a stream, expected a folder of .txt and .ann files; name the folder")
    if not path.is_dir():
        if path.suffix not in (_TEXT, _ANNOTATIONS):
            raise DataError("is no folder, expected one of .txt and .ann files, or one such file; check it", path=path)
        yield path.with_suffix(_TEXT), path.stem
        return
    texts, annotated = (sorted(path.rglob(f"*{suffix}")) for suffix in (_TEXT, _ANNOTATIONS))
    known = {text.with_suffix("") for text in texts}
    alone = next((found for found in annotated if found.with_suffix("") not in known), None)
    if alone is not None:
        raise DataError(
            f"has no text beside it, expected {alone.with_suffix(_TEXT).name}; put it there, or remove this file",
            path=alone,
        )
    if not texts:
        raise DataError("holds no texts, expected .txt files with .ann files beside them; check the folder", path=path)
    for text in texts:
        yield text, text.with_suffix("").relative_to(path).as_posix()


class _Span(NamedTuple):
    """A text-bound annotation."""

    type: str
    fragments: list[Piece]
    place: Place


def _document(path: Path, name: str, options: ReadOptions, note: Callable[[str], None]) -> Document:
    text = _content(path, options.encoding)
    annotations = path.with_suffix(_ANNOTATIONS)
    if not annotations.exists():
        note("texts without an .ann file beside them are read as texts without spans")
        return Document(text=text, id=name, place=Place(str(path)))
    found = list(_annotations(annotations, options))
    pieces = [piece for one in found for piece in one.fragments]
    edges, unit = edges_by_text(pieces, text, options.offsets)
    if unit is not None:
        note(unit)
    spans, at = [], 0
    for one in found:
        of_it = edges[at : at + len(one.fragments)]
        at += len(of_it)
        gaps = [text[end:start] for (_, end), (start, _) in itertools.pairwise(of_it)]
        start, end = of_it[0][0], of_it[-1][1]
        if any(gap.strip() or not _LINE_END.search(gap) for gap in gaps):
            shown_it = " … ".join(text[start:end] for start, end in of_it)
            text_of_it = f"the discontinuous {one.type} {shown(shown_it)} is left out"
            common = "discontinuous annotations are left out"
            options.report(error_at(one.place, text_of_it, common=common))
        elif start == end:
            text_of_it = "empty annotations are left out"
            options.report(error_at(one.place, text_of_it))
        else:
            spans.append(DocumentSpan(one.type, start, end))
    return Document(text=text, spans=tuple(spans), id=name, place=Place(str(path)))


def _content(path: Path, encoding: str) -> str:
    with open_corpus(path) as stream:
        content = stream.read()
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        start = content.rfind(b"\n", 0, error.start) + 1
        line = UnicodeDecodeError(encoding, content[start:], error.start - start, error.end - start, error.reason)
        raise wrong_byte(path, content.count(b"\n", 0, error.start) + 1, line) from None


def _annotations(path: Path, options: ReadOptions) -> Iterator[_Span]:
    """Yield the text-bound annotations of a file; the other ones are reported."""
    for number, line in enumerate(_content(path, options.encoding).removeprefix("\ufeff").split("\n"), start=1):
        line = line.removesuffix("\r")
        place = Place(str(path), number)
        if line.startswith("T"):
            yield _span(line, place)
        elif line[:1] in _KINDS:
            text = f"{_KINDS[line[:1]]} are not kept"
            options.report(error_at(place, text))
        elif line.strip():
            found = f"found {shown(line)}, expected an annotation such as `T1`, TAB, `PER 0 3`, TAB, `Ann`"
            raise error_at(place, f"{found}; fix the line")


def _span(line: str, place: Place) -> _Span:
    _, _, rest = line.partition("\t")
    described, tab, text = rest.partition("\t")
    entity_type, _, offsets = described.strip().partition(" ")
    fragments = [_FRAGMENT.fullmatch(part.strip()) for part in offsets.split(";")]
    pieces = [
        Piece(int(match[1]), int(match[2]), text if tab and len(fragments) == 1 else None, place)
        for match in fragments
        if match is not None
    ]
    if not entity_type or len(pieces) < len(fragments):
        found = f"found {shown(line)}, expected an ID, TAB, a type, a start and an end, TAB, and the text"
        raise error_at(place, f"{found}, as in `T1`, TAB, `PER 0 3`, TAB, `Ann`; fix the line")
    return _Span(entity_type, pieces, place)


def write(documents: Iterable[Document], path: Path, options: WriteOptions) -> None:
    """Write documents to a new folder.

    Raises:
        DataError: a type or a text cannot be written, or the folder.
    """
    names: set[str] = set()
    types: dict[str, None] = {}
    try:
        path.mkdir(parents=True, exist_ok=True)
        for number, document in enumerate(documents, start=1):
            report_losses(document, options, "brat", ("tokens", "plain tags", "probabilities"))
            target = path / _name(document, number, names, options)
            target.parent.mkdir(parents=True, exist_ok=True)
            lines = list(_lines(document, options))
            types.update(dict.fromkeys(span.type for span in document.spans))
            target.with_name(target.name + _TEXT).write_bytes(encoded(document.text, document))
            target.with_name(target.name + _ANNOTATIONS).write_bytes(encoded("".join(lines), document))
        entities = "".join(f"{name}\n" for name in types)
        settings = f"[entities]\n{entities}\n[relations]\n\n[events]\n\n[attributes]\n"
        (path / _SETTINGS).write_text(settings, "utf-8", newline="")
    except OSError as error:
        raise DataError(
            f"cannot be written: {error.strerror}; check the folder and the free space", path=path
        ) from None


def _name(document: Document, number: int, names: set[str], options: WriteOptions) -> str:
    """Return the name of the files of a document: its own one, if that can be a name of a file, or else a number."""
    name = document.id
    if name is not None and _NAME.fullmatch(name) and name.casefold() not in names:
        names.add(name.casefold())
        return name
    if name is not None:
        text = "names of documents that cannot be names of files, or that are there twice, become numbers"
        options.report(error_at(document.place, text))
    while f"{number:06}" in names:
        number += 1
    names.add(f"{number:06}")
    return f"{number:06}"


def _lines(document: Document, options: WriteOptions) -> Iterator[str]:
    offsets = TextOffsets(document.text, options.offsets, document.place)
    number = 0
    for span in document.spans:
        if not span.type or _BLANK.search(span.type):
            text = f"found the type {shown(span.type)}, which brat cannot hold, expected no blanks; rename the type"
            raise error_at(document.place, text)
        # brat cuts a span at line ends.
        pieces = [
            (span.start + match.start(), span.start + match.end())
            for match in re.finditer(r"[^\r\n]+", document.covered(span))
        ]
        if not pieces or (pieces[0][0], pieces[-1][1]) != (span.start, span.end):
            text = "spans that begin or end with a line end lose it" if pieces else "spans of line ends are left out"
            options.report(error_at(document.place, text))
        if pieces:
            number += 1
            edges = ";".join(f"{offsets.units(start)} {offsets.units(end)}" for start, end in pieces)
            yield f"T{number}\t{span.type} {edges}\t{' '.join(document.text[start:end] for start, end in pieces)}\n"


def recognize(lines: list[str]) -> bool:
    """Return whether the first lines of a file are annotations of brat."""
    filled = [line for line in lines if line.strip()]
    return any(map(_LINE.match, filled)) and all(line[0] == "T" or line[0] in _KINDS for line in filled)


FORMAT = Format(
    name="brat",
    description="brat standoff: a folder of .txt and .ann files",
    suffixes=(_ANNOTATIONS,),
    recognize=recognize,
    read=read,
    write=write,
    folder=True,
    beside=(_TEXT, _SETTINGS),
)
