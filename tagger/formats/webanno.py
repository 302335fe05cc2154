"""WebAnno TSV 3, as WebAnno and INCEpTION export it: one document a file; read only.

Each layer of annotations has columns of its own, which the head of the file names. The spans are those of the layer
NamedEntity, or of the only layer of spans; data.columns.layer names another one, and data.columns.tag the feature that
gives the type (`value`, or the only feature). An annotation without a value gets the type `_`. Parts of speech become
plain tags. Other layers are reported.

Offsets are UTF-16 units, or characters if the tokens fit these. The file does not say what is between sentences; a line
end and spaces stand for it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tagger.corpus.encodings import wrong_byte
from tagger.corpus.layout import check_encoding
from tagger.corpus.lines import open_corpus, read_lines, shown_name
from tagger.corpus.schemes import UNTYPED
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Format, Offsets, Place, ReadOptions
from tagger.formats.json_fields import error_at, shown
from tagger.formats.offsets import TextOffsets
from tagger.wording import listed

_FORMAT = "#FORMAT=WebAnno TSV "
_LAYER = re.compile(r"#T_(SP|CH|RL)=(.*)")
_ROW = re.compile(r"[0-9]+-[0-9]+(\.[0-9]+)?")
_OFFSETS = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")
_ITEM = re.compile(r"((?:\\.|[^\\|])*)(?:\||$)")  # of several annotations of a token, divided by |
_VALUE = re.compile(r"(?s)(.*?)(?:\[([0-9]{1,12})\])?")  # with the number of an annotation of several tokens
_ESCAPE = re.compile(r"(?s)\\(.)")
_BLANKS = {"t": "\t", "n": "\n", "r": "\r"}
_LONGEST_GAP = 1 << 20  # characters between two sentences; more would be a wrong offset
_PLAIN = ("POS", "Lemma")  # layers with a value for each token


class _Layer(NamedTuple):
    """A layer of annotations: its kind, its name, its features and its first column."""

    kind: str
    name: str
    features: list[str]
    column: int

    @property
    def short(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]


class _Row(NamedTuple):
    """A line of a token, or of a part of one: its offsets, its form and its columns."""

    start: int
    end: int
    form: str
    cells: list[str]
    is_part: bool
    place: Place


class _Sentence(NamedTuple):
    """A sentence: its text, if the file holds it, and its rows."""

    text: str | None
    rows: list[_Row]


class _Placed(NamedTuple):
    """The text of a document, and the edges of its rows in it."""

    text: str
    edges: list[list[tuple[int, int]]]


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the document of a file.

    Raises:
        DataError: the file is not WebAnno TSV 3, or is damaged.
    """
    place = Place(shown_name(path), 1)
    layers, sentences = _parse(path, options)
    if not sentences:
        return
    layer, column = _choose(layers, options, place)
    for text in _not_kept(sentences, layers, layer, column):
        options.report(error_at(place, f"{text} is not kept"))
    placed = _placed_by_any_unit(sentences, options)
    tokens = tuple(
        tuple(
            DocumentToken(start, end, _plain_tag(row, column) if layer.short in _PLAIN else None)
            for row, (start, end) in zip(sentence.rows, edges, strict=True)
            if not row.is_part
        )
        for sentence, edges in zip(sentences, placed.edges, strict=True)
    )
    spans = () if layer.short in _PLAIN else tuple(_spans(sentences, placed, column, options))
    name = Path(shown_name(path)).stem
    yield Document(text=placed.text, spans=spans, sentences=tokens, id=name, place=Place(shown_name(path)))


def _parse(path: Path, options: ReadOptions) -> tuple[list[_Layer], list[_Sentence]]:
    layers: list[_Layer] = []
    sentences: list[_Sentence] = []
    text: str | None = None
    rows: list[_Row] = []
    named = False
    column = 3
    for number, line in _lines(path, options.encoding):
        place = Place(shown_name(path), number)
        if number == 1:
            _check_version(line, place)
        elif match := _LAYER.fullmatch(line):
            name, *features = match[2].split("|")
            layers.append(_Layer(match[1], name, [feature for feature in features if feature], column))
            column += max(1, len(features))
        elif line.startswith("#Text="):
            if rows:
                sentences.append(_Sentence(text, rows))
                text, rows = None, []
            part = _unescaped(line.removeprefix("#Text="))
            text = part if text is None else f"{text}\n{part}"
        elif line.startswith("#"):
            named = named or line.startswith("#Sentence.id=")
        elif line.strip():
            rows.append(_row(line, column, place))
        elif rows:
            sentences.append(_Sentence(text, rows))
            text, rows = None, []
    if rows:
        sentences.append(_Sentence(text, rows))
    if named:
        found = "names of sentences are not kept"
        options.report(error_at(Place(shown_name(path)), found))
    return layers, sentences


def _lines(path: Path, encoding: str) -> Iterator[tuple[int, str]]:
    check_encoding(encoding)
    with open_corpus(path) as stream:
        number = 0
        for number, line in enumerate(read_lines(stream, path=shown_name(path)), start=1):
            try:
                text = line.rstrip(b"\r\n").decode(encoding)
            except UnicodeDecodeError as error:
                raise wrong_byte(path, number, error) from None
            yield number, text.removeprefix("\ufeff") if number == 1 else text
        if not number:
            raise error_at(Place(shown_name(path)), f"is empty, expected {_FORMAT}3 first; export the file again")


def _check_version(line: str, place: Place) -> None:
    if not line.startswith(f"{_FORMAT}3"):
        remedy = "export the document as WebAnno TSV 3" if "webanno" in line.lower() else "check the file"
        raise error_at(place, f"found {shown(line)}, expected {_FORMAT}3.3 or another 3; {remedy}")


def _row(line: str, n_columns: int, place: Place) -> _Row:
    cells = line.split("\t")
    match = _OFFSETS.fullmatch(cells[1]) if len(cells) > 2 else None
    kind = _ROW.fullmatch(cells[0])
    if match is None or kind is None:
        found = f"found {shown(line)}, expected the numbers of a sentence and a token, offsets and the token"
        raise error_at(place, f"{found}, as in `1-1`, TAB, `0-3`, TAB, `Ann`; export the file again")
    if not n_columns <= len(cells) <= n_columns + 1:  # a TAB ends a line
        found = f"found {len(cells)} columns, expected {n_columns}, as the layers of the file need"
        raise error_at(place, f"{found}; export the file again")
    return _Row(int(match[1]), int(match[2]), _unescaped(cells[2]), cells, kind[1] is not None, place)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda match: _BLANKS.get(match[1], match[1]), text)


def _choose(layers: Sequence[_Layer], options: ReadOptions, place: Place) -> tuple[_Layer, int]:
    """Return the layer of the spans, and the column of their types."""
    spans = [layer for layer in layers if layer.kind == "SP"]
    wanted = options.columns.get("layer")
    names = "NamedEntity" if wanted is None else str(wanted)
    found = [layer for layer in spans if names in (layer.short, layer.name)]
    if not found and wanted is None:
        found = [layer for layer in spans if layer.short not in _PLAIN] or spans
    if len(found) != 1:
        known = f"the layers {listed([layer.short for layer in spans])}" if spans else "no layer of spans"
        expected = "one of them" if wanted is None else f"the layer {names}"
        raise error_at(place, f"found {known}, expected {expected}; name it with data.columns.layer")
    layer = found[0]
    feature = options.columns.get("tag")
    usual = next((name for name in ("value", "PosValue") if name in layer.features), None)
    if feature is None and usual is None and len(layer.features) > 1:
        known = f"the features {listed(layer.features)} of {layer.short}"
        raise error_at(place, f"found {known}, expected one; name it with data.columns.tag")
    feature = feature or usual or (layer.features[0] if layer.features else "")
    if feature and feature not in layer.features:
        known = listed(layer.features) or "no features"
        raise error_at(place, f"found {known} of {layer.short}, expected {feature}; name another with data.columns.tag")
    options.note(f"the spans are those of the layer {layer.short}" + (f", by {feature}" if feature else ""))
    return layer, layer.column + (layer.features.index(str(feature)) if feature else 0)


def _not_kept(
    sentences: Sequence[_Sentence], layers: Sequence[_Layer], chosen: _Layer, chosen_column: int
) -> Iterator[str]:
    """Yield the layers and features that hold something and are not read."""

    def values(column: int) -> Iterator[str]:
        return (value for sentence in sentences for row in sentence.rows for value, _ in _items(row.cells[column]))

    for layer in layers:
        columns = range(layer.column, layer.column + max(1, len(layer.features)))
        if layer is not chosen:
            if any(True for column in columns for _ in values(column)):
                yield f"the layer {layer.short}"
            continue
        for feature, column in zip(layer.features, columns, strict=False):
            if column != chosen_column and any(value not in ("*", "") for value in values(column)):
                yield f"the feature {feature} of the layer {layer.short}"


def _placed_by_any_unit(sentences: Sequence[_Sentence], options: ReadOptions) -> _Placed:
    units: tuple[Offsets, ...] = ("bytes",) if options.offsets == "bytes" else ("utf-16", "characters")
    first: DataError | None = None
    for unit in units:
        try:
            return _placed(sentences, unit)
        except DataError as error:
            first = first or error
    assert first is not None  # noqa: S101 (each unit returns, or raises)
    raise first


def _placed(sentences: Sequence[_Sentence], unit: Offsets) -> _Placed:
    text, end = "", 0
    parts: list[str] = []
    edges: list[list[tuple[int, int]]] = []
    length = 0
    for sentence in sentences:
        first = sentence.rows[0]
        text = sentence.text if sentence.text is not None else _text_of(sentence.rows, unit)
        before = max(0, text.find(first.form))
        offsets = TextOffsets(text, unit, first.place)
        start = first.start - offsets.units(before)
        if not 0 <= start - end <= _LONGEST_GAP:
            found = f"found a sentence from {start} to {start + offsets.units(len(text))} after one that ends at {end}"
            raise error_at(first.place, f"{found}, expected it there or a little later; export the file again")
        gap = ("\n" + " " * (start - end - 1)) if start > end else ""
        length += len(gap)
        edges.append([_edges(row, start, text, offsets, length) for row in sentence.rows])
        parts += [gap, text]
        length += len(text)
        end = start + offsets.units(len(text))
    return _Placed("".join(parts), edges)


def _edges(row: _Row, start: int, text: str, offsets: TextOffsets, before: int) -> tuple[int, int]:
    first = offsets.characters(row.start - start, row.place)
    last = offsets.characters(row.end - start, row.place)
    if text[first:last] != row.form:
        found = f"found the token {shown(row.form)} at {row.start}-{row.end}, where the text has"
        raise error_at(row.place, f"{found} {shown(text[first:last])}, expected the same; export the file again")
    return before + first, before + last


def _text_of(rows: Sequence[_Row], unit: Offsets) -> str:
    """Return the text of a sentence that has none of its own: its tokens, with spaces where none is."""
    parts: list[str] = []
    end = rows[0].start
    for row in rows:
        if not row.is_part:
            if not 0 <= row.start - end <= _LONGEST_GAP:
                found = f"found an offset of {row.start} after a token that ends at {end}"
                raise error_at(row.place, f"{found}, expected it there or a little later; export the file again")
            parts += [" " * (row.start - end), row.form]
            end = row.start + TextOffsets(row.form, unit).units(len(row.form))
    return "".join(parts)


def _items(cell: str) -> list[tuple[str, str | None]]:
    """Return the annotations of a cell: their values, and their numbers if they have one.

    >>> _items(r"PER[1]|a\\|b"), _items("_")
    ([('PER', '1'), ('a\\\\|b', None)], [])
    """
    if cell in ("_", ""):
        return []
    found = [match[1] for match in _ITEM.finditer(cell)]
    items = found[:-1] if not cell.endswith("|") and len(found) > 1 and not found[-1] else found
    return [(match[1], match[2]) for item in items if (match := _VALUE.fullmatch(item)) is not None]


def _type(value: str) -> str:
    return UNTYPED if value in ("*", "") else _unescaped(value)


def _plain_tag(row: _Row, column: int) -> str | None:
    items = _items(row.cells[column])
    return _type(items[0][0]) if items else None


def _spans(
    sentences: Sequence[_Sentence], placed: _Placed, column: int, options: ReadOptions
) -> Iterator[DocumentSpan]:
    """Yield the spans of a document, in the order in which they begin in the file."""
    rows = [row for sentence in sentences for row in sentence.rows]
    edges = list(itertools.chain.from_iterable(placed.edges))
    found: dict[tuple[int, int], list[int]] = {}
    types: dict[tuple[int, int], str] = {}
    for i, row in enumerate(rows):
        for k, (value, number) in enumerate(_items(row.cells[column])):
            key = (i, k) if number is None else (-1, int(number))
            found.setdefault(key, []).append(i)
            types.setdefault(key, _type(value))
    for key, of_it in found.items():
        start, end = min(edges[i][0] for i in of_it), max(edges[i][1] for i in of_it)
        if start == end:
            text = "empty annotations are left out"
            options.report(error_at(rows[of_it[0]].place, text))
        elif _has_gap(of_it, rows):
            text = f"the discontinuous {types[key]} {shown(placed.text[start:end])} is left out"
            common = "discontinuous annotations are left out"
            options.report(error_at(rows[of_it[0]].place, text, common=common))
        else:
            yield DocumentSpan(types[key], start, end)


def _has_gap(of_it: Sequence[int], rows: Sequence[_Row]) -> bool:
    """Return whether a token lies between the rows of an annotation and belongs to none of them."""
    inside = set(of_it)
    for i in range(of_it[0], of_it[-1]):
        if rows[i].is_part or i in inside:
            continue
        parts = itertools.takewhile(lambda j: rows[j].is_part, range(i + 1, len(rows)))
        if not inside.intersection(parts):
            return True
    return False


def recognize(lines: list[str]) -> bool:
    """Return whether a file begins as WebAnno TSV does."""
    return bool(lines) and lines[0].removeprefix("\ufeff").startswith(_FORMAT)


FORMAT = Format(
    name="webanno-tsv",
    description="WebAnno TSV 3, as WebAnno and INCEpTION export it",
    suffixes=(".tsv",),
    recognize=recognize,
    read=read,
)
