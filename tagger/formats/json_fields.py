"""Fields of JSON records, checked: texts, whole numbers, and the spans that tools write under many names.

The fields of documents that were records are written back as they were.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from tagger.errors import DataError, shortened
from tagger.formats.document import Document, DocumentSpan, Place, WriteOptions
from tagger.formats.offsets import TextOffsets
from tagger.wording import listed

_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
_STARTS = ("start", "start_offset", "start_char", "begin")
_ENDS = ("end", "end_offset", "end_char")
_TYPES = ("type", "label", "labels", "entity_group", "entity_type", "entity", "tag")
_PROBABILITIES = ("probability", "score")
# What follows from the rest of a span, or names it within its record only.
_IMPLIED = frozenset(("id", "token_start", "token_end", "word", "index", "text", "surface", "value"))
_USUAL = (  # the usual fields of spans, in which no two have the same meaning
    frozenset(("start", "end", "type", "text", "probability")),
    frozenset(("start", "end", "label", "token_start", "token_end")),
    frozenset(("id", "start_offset", "end_offset", "label")),
)
_SHOWN = 60  # characters


def error_at(place: Place, text: str, *, common: str = "") -> DataError:
    """Return the error for something at a place; `common` is what it has in common with others of its kind."""
    return DataError(text, path=place.path or None, line=place.line, kind=common, common=common)


def kind_of(value: Any) -> str:
    """Return the kind of a JSON value, as in `a list`."""
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def shown(value: Any) -> str:
    """Return the beginning of a value for a message."""
    return repr(value)[:_SHOWN] if isinstance(value, str) else shortened(value, _SHOWN)


def text_of(value: Any, name: str, place: Place) -> str:
    """Return a value that must be a text.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, str):
        raise error_at(place, f"found {kind_of(value)} as {name}, expected a text in quotes; fix it")
    return value


def list_of(value: Any, name: str, place: Place) -> list[Any]:
    """Return a value that must be a list.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, list):
        raise error_at(place, f"found {kind_of(value)} as {name}, expected a list; fix it")
    return value


def object_of(value: Any, name: str, place: Place) -> dict[str, Any]:
    """Return a value that must be an object.

    Raises:
        DataError: it is something else.
    """
    if not isinstance(value, dict):
        raise error_at(place, f"found {kind_of(value)} as {name}, expected an object; fix it")
    return value


def number_of(value: Any, name: str, place: Place) -> int:
    """Return a value that must be a whole number; true and false are not.

    Raises:
        DataError: it is something else.
    """
    if type(value) is not int:
        found = shown(value) if isinstance(value, float) else kind_of(value)
        raise error_at(place, f"found {found} as {name}, expected a whole number; fix it")
    return value


def first_key(record: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """Return the first of some names that a record has and that is not null."""
    for name in names:  # a loop, because it is called for every part of every span
        if record.get(name) is not None:
            return name
    return None


def take_id(fields: dict[str, Any], place: Place) -> str | None:
    """Take the `id` of a record out of its fields; a number stays there too, so that it is written as a number.

    Raises:
        DataError: it is something else.
    """
    value = fields.get("id")
    if value is None or isinstance(value, str):
        fields.pop("id", None)
        return value
    return str(number_of(value, "id", place))


def spans_of(
    values: list[Any], name: str, text: str | None, offsets: TextOffsets, place: Place
) -> Iterator[DocumentSpan | DataError]:
    """Yield the spans of a list of triples (`[0, 5, "PER"]`) or objects, and errors for what cannot be kept.

    Args:
        values: the list.
        name: the name of the list, for messages.
        text: the text of the document, to compare it with that of the spans; None if it cannot be compared.
        offsets: the offsets of the text.
        place: where the document stands.

    Raises:
        DataError: a span is wrong.
    """
    for value in values:
        span = _usual_span(value, text) if offsets.is_plain else None
        if span is not None:
            yield span
        elif isinstance(value, list):
            yield from _from_triple(value, name, offsets, place)
        else:
            yield from _from_object(object_of(value, f"a span of {name}", place), name, text, offsets, place)


def _usual_span(value: Any, text: str | None) -> DocumentSpan | None:
    """Return a span in this program's own form, in which nearly all are right, and checked here as fast as can be."""
    if text is None or type(value) is not dict or not value.keys() <= _USUAL[0]:
        return None
    start, end, entity_type, probability = map(value.get, ("start", "end", "type", "probability"))
    if not (type(start) is type(end) is int and 0 <= start < end <= len(text) and type(entity_type) is str):
        return None
    if not entity_type or value.get("text") != text[start:end]:
        return None
    if probability is not None and not (type(probability) is float and 0 <= probability <= 1):
        return None
    return DocumentSpan(entity_type, start, end, probability)


def _from_triple(value: list[Any], name: str, offsets: TextOffsets, place: Place) -> Iterator[DocumentSpan | DataError]:
    if len(value) < 3:
        raise error_at(place, f"found {shown(value)} in {name}, expected a start, an end and a type; fix it")
    for more in value[3:]:
        yield error_at(place, f"{name} holds {shown(more)} after a span's type, which is not kept")
    yield _span(value[0], value[1], type_of(value[2], name, place), None, name, offsets, place)


def _from_object(
    record: dict[str, Any], name: str, text: str | None, offsets: TextOffsets, place: Place
) -> Iterator[DocumentSpan | DataError]:
    keys = [first_key(record, names) for names in (_STARTS, _ENDS, _TYPES)]
    for key, wanted in zip(keys, ("start", "end", "type or label"), strict=True):
        if key is None:
            raise error_at(place, f"found a span without {wanted} in {name}, expected one; add it")
    start, end, entity_type = (record[key] for key in keys if key is not None)
    probability_key = first_key(record, _PROBABILITIES)
    probability = None if probability_key is None else probability_of(record[probability_key], name, place)
    if not any(record.keys() <= usual for usual in _USUAL) and (others := _others(record, {*keys, probability_key})):
        text_of_it = f"the spans of {name} hold {listed(others)}, which is not kept"
        yield error_at(place, text_of_it)
    for one in entity_type if isinstance(entity_type, list) and entity_type else [entity_type]:
        span = _span(start, end, type_of(one, name, place), probability, name, offsets, place)
        if text is not None and isinstance(span, DocumentSpan) and isinstance(record.get("text"), str):
            _check_text(record["text"], text[span.start : span.end], span, place)
        yield span


def _others(record: dict[str, Any], used: Container[str | None]) -> list[str]:
    """Return the names of the fields of a span that say something else."""
    others = record.keys() - _IMPLIED
    return sorted(other for other in others if other not in used and record[other] not in (None, [], {}))


def _span(
    start: Any, end: Any, entity_type: str, probability: float | None, name: str, offsets: TextOffsets, place: Place
) -> DocumentSpan | DataError:
    first = offsets.characters(number_of(start, f"the start of a span of {name}", place))
    last = offsets.characters(number_of(end, f"the end of a span of {name}", place))
    if first == last:
        found = f"found an empty {entity_type} span at {shown(start)}, expected at least one character; it is left out"
        return error_at(place, found, common="empty spans are left out")
    if first > last:
        raise error_at(
            place, f"found a span of {name} from {shown(start)} to {shown(end)}, expected start < end; fix its offsets"
        )
    return DocumentSpan(entity_type, first, last, probability)


def type_of(value: Any, name: str, place: Place) -> str:
    """Return the type of a span, which must be a text that is not empty.

    Raises:
        DataError: it is something else.
    """
    found = text_of(value, f"the type of a span of {name}", place)
    if not found:
        raise error_at(place, f"found an empty type of a span of {name}, expected a name such as PER; fix it")
    return found


def probability_of(value: Any, name: str, place: Place) -> float:
    """Return a probability.

    Raises:
        DataError: it is not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise error_at(place, f"found {shown(value)} as a probability in {name}, expected 0 to 1; fix it")
    return float(value)


def _check_text(said: str, covered: str, span: DocumentSpan, place: Place) -> None:
    """Raise DataError if a span's own text is not what it covers; blanks may differ."""
    if said != covered and said.split() != covered.split():
        raise error_at(
            place,
            f"found {shown(said)} as the text of the {span.type} span from {span.start} to {span.end}, which covers"
            f" {shown(covered)}, expected the same text; if the file counts in another unit, set data.offsets to"
            " utf-16 or bytes, otherwise fix the offsets",
        )


def written_id(document: Document) -> dict[str, Any]:
    """Return the `id` of a document as a field, and as a number if it was one."""
    if document.id is None:
        return {}
    known = document.fields.get("id")
    return {"id": known if type(known) is int and str(known) == document.id else document.id}


def with_fields(
    record: dict[str, Any], document: Document, options: WriteOptions, without: str | None = None
) -> dict[str, Any]:
    """Return a record with the other fields of its document; those whose names it uses itself are reported.

    Args:
        record: the record.
        document: the document.
        options: whose `report` is called.
        without: a field that the record has used.
    """
    fields = {name: value for name, value in document.fields.items() if name != without}
    taken = [name for name in fields if name in record and name != "id"]
    if taken:
        text = f"the fields {listed(taken)} have names that this format needs, and are left out"
        options.report(error_at(document.place, text))
    return record | {name: value for name, value in fields.items() if name not in record}
