"""Label Studio: JSON and JSON_MIN exports in, JSON tasks out.

A task is a document. Its text is the field of `data` that data.columns.text names, or `text`, or the only field that is
a text. Its spans are the regions of one annotation: the one marked as ground truth, otherwise the first that was not
cancelled. A task without annotations has the regions of its first prediction, if it has one. Other annotations, and
regions that are no spans of text (choices, relations, HTML), are reported. What else a task says is kept and written
back.

Versions before 1.5 count UTF-16 units, and some count CRLF as one character, without saying so. Each region also holds
its own text, however; offsets are read in the unit in which all regions of a document have their own texts.

Spans without probabilities are written as an annotation, and those with probabilities as a prediction.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, Format, Place, ReadOptions, WriteOptions, encoded
from tagger.formats.json_fields import (
    error_at,
    list_of,
    number_of,
    object_of,
    probability_of,
    shown,
    take_id,
    text_of,
    type_of,
    with_fields,
    written_id,
)
from tagger.formats.json_text import as_json, is_json_start, read_values
from tagger.formats.losses import report_losses
from tagger.formats.offsets import TextOffsets
from tagger.formats.own_texts import Piece, edges_by_text
from tagger.wording import listed

FIELD = "label_studio"  # the field of a document that keeps how its task was built
# Fields of regions that follow from others, or that only matter to the program that shows them.
_REGION = frozenset(("value", "id", "from_name", "to_name", "type", "origin", "score", "readonly", "hidden"))
_VALUE = frozenset(("start", "end", "text", "labels"))


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the tasks of a file as documents.

    Raises:
        DataError: the file is not a JSON export of Label Studio.
    """
    reader = _Reader(options)
    for value, place in read_values(path, options.encoding):
        yield reader.document(dict(object_of(value, "a task", place)), place)


class _Region(NamedTuple):
    """A region of a text: its offsets as written, its types, its own text and its probability."""

    start: int
    end: int
    types: list[str]
    text: str | None
    probability: float | None


class _Reader:
    """The reading of one file."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._note = functools.cache(options.note)  # each text once

    def _report(self, text: str, place: Place) -> None:
        self._options.report(error_at(place, text))

    def document(self, task: dict[str, Any], place: Place) -> Document:
        name = take_id(task, place)
        if not isinstance(task.get("data"), dict):
            return self._from_minimal(task, name, place)
        data = dict(task.pop("data"))
        key = self._text_key(data, place)
        text = text_of(data.pop(key), key, place)
        annotation = self._annotation(task, place)
        results = list_of(annotation.pop("result", []), "result", place)
        regions = [region for result in results for region in self._regions(result, place)]
        names = next(((one.get("from_name"), one.get("to_name")) for one in results if isinstance(one, dict)), None)
        kept = {"text_key": key, "data": data, "annotation": annotation, "names": names and list(names)}
        task[FIELD] = {name: value for name, value in kept.items() if value not in (None, {}, [None, None])}
        return Document(text=text, spans=self._spans(regions, text, place), id=name, fields=task, place=place)

    def _text_key(self, data: dict[str, Any], place: Place) -> str:
        named = self._options.columns.get("text")
        texts = [key for key, value in data.items() if isinstance(value, str)]
        key = str(named) if named is not None else "text" if "text" in data or len(texts) != 1 else texts[0]
        if key not in data:
            found = f"the fields {listed([repr(name[:30]) for name in list(data)[:8]])}" if data else "no fields"
            raise error_at(
                place, f"found {found} in data, expected {key!r}; name the field of the text with data.columns.text"
            )
        return key

    def _annotation(self, task: dict[str, Any], place: Place) -> dict[str, Any]:
        """Take the annotations out of a task, and return the one to read."""
        key = "completions" if "completions" in task else "annotations"
        given = [object_of(one, "an annotation", place) for one in list_of(task.pop(key, []), key, place)]
        valid = [one for one in given if not one.get("was_cancelled") and not one.get("skipped")]
        if len(valid) < len(given):
            self._report("annotations that were cancelled are left out", place)
        if len(valid) > 1:
            self._report("a task has several annotations, of which one is read", place)
        chosen = next((one for one in valid if one.get("ground_truth") is True), valid[0] if valid else None)
        if chosen is not None:
            return dict(chosen)
        predictions = list_of(task.get("predictions") or [], "predictions", place)
        if not predictions:
            self._note("tasks without annotations are read as texts without spans")
            return {}
        self._report("a task has no annotation, and its prediction is read instead", place)
        return {"result": object_of(task.pop("predictions")[0], "a prediction", place).get("result", [])}

    def _regions(self, result: Any, place: Place) -> Iterator[_Region]:
        """Yield the region of a result, if it is a span of text."""
        result = object_of(result, "a result", place)
        kind = result.get("type", "labels")
        if kind == "relation":
            self._report("relations between regions are not kept", place)
            return
        value = object_of(result.get("value"), "the value of a result", place)
        if kind != "labels" or "labels" not in value or isinstance(value.get("start"), str):
            # A start that is a path is one into HTML.
            self._report(f"results of the type {shown(kind)} that are not spans of text are not kept", place)
            return
        others = sorted((result.keys() - _REGION) | (value.keys() - _VALUE))
        if others:
            self._report(f"regions hold {listed(others)}, which is not kept", place)
        yield self._region(value, result.get("score"), place)

    def _region(self, value: dict[str, Any], score: Any, place: Place) -> _Region:
        probability = None
        if score is not None:
            try:
                probability = probability_of(score, "score", place)
            except DataError:
                self._report("scores that are not probabilities (0 to 1) are not kept", place)
        return _Region(
            number_of(value.get("start"), "the start of a region", place),
            number_of(value.get("end"), "the end of a region", place),
            [type_of(label, "labels", place) for label in list_of(value["labels"], "labels", place)],
            value["text"] if isinstance(value.get("text"), str) else None,
            probability,
        )

    def _from_minimal(self, task: dict[str, Any], name: str | None, place: Place) -> Document:
        """Return the document of a task of JSON_MIN, whose fields are those of the data and of the labels."""
        sets = [key for key, value in task.items() if _are_minimal_regions(value)]
        regions = [self._region(value, None, place) for key in sets for value in task.pop(key)]
        known = {key: value for key, value in task.items() if key not in ("created_at", "updated_at", "annotator")}
        key = self._text_key(known, place)
        text = text_of(task.pop(key), key, place)
        if key != "text":
            task[FIELD] = {"text_key": key}
        return Document(text=text, spans=self._spans(regions, text, place), id=name, fields=task, place=place)

    def _spans(self, regions: Sequence[_Region], text: str, place: Place) -> tuple[DocumentSpan, ...]:
        edges, note = edges_by_text(
            [Piece(one.start, one.end, one.text, place) for one in regions], text, self._options.offsets
        )
        if note:
            self._note(note)
        spans = []
        for region, (start, end) in zip(regions, edges, strict=True):
            if start == end:
                self._report("empty regions are left out", place)
                continue
            if not region.types:
                self._report("regions without a label are left out", place)
            spans += [DocumentSpan(name, start, end, region.probability) for name in region.types]
        return tuple(spans)


def _are_minimal_regions(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(one, dict) and {"start", "end", "labels"} <= one.keys() for one in value)


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield documents as an array of tasks.

    Raises:
        DataError: a document cannot be written as JSON.
    """
    separator = "[\n"
    for document in documents:
        report_losses(document, options, "Label Studio", ("tokens", "plain tags"))
        text = separator + as_json(_task(document, options), document.place)
        yield encoded(text, document)
        separator = ",\n"
    yield b"[]\n" if separator == "[\n" else b"\n]\n"


def _task(document: Document, options: WriteOptions) -> dict[str, Any]:
    kept = _object(document.fields.get(FIELD))
    task = written_id(document)
    text_key = kept.get("text_key")
    task["data"] = {**_object(kept.get("data")), text_key if isinstance(text_key, str) else "text": document.text}
    results = list(_results(document, kept, options))
    if options.predicted or any(span.probability is not None for span in document.spans):
        task["predictions"] = [{"result": results}]
    else:
        task["annotations"] = [{**_object(kept.get("annotation")), "result": results}]
    return with_fields(task, document, options, without=FIELD)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _results(document: Document, kept: dict[str, Any], options: WriteOptions) -> Iterator[dict[str, Any]]:
    names = kept.get("names")
    from_name, to_name = names if isinstance(names, list) and len(names) == 2 else ("label", "text")
    offsets = TextOffsets(document.text, options.offsets, document.place)
    for i, span in enumerate(document.spans):
        value = {
            "start": offsets.units(span.start),
            "end": offsets.units(span.end),
            "text": document.covered(span),
            "labels": [span.type],
        }
        result = {"id": f"s{i}", "from_name": from_name, "to_name": to_name, "type": "labels", "value": value}
        yield result if span.probability is None else {**result, "score": span.probability}


def recognize(lines: list[str]) -> bool:
    """Return whether the first lines of a file hold tasks of Label Studio."""
    text = "\n".join(lines)
    if not is_json_start(lines):
        return False
    if re.search(r'"(?:annotations|completions|predictions)"\s*:\s*\[', text) and re.search(r'"data"\s*:\s*\{', text):
        return True
    return re.search(r'"(?:annotation_id|lead_time)"\s*:', text) is not None


FORMAT = Format(
    name="label-studio",
    description="Label Studio: JSON and JSON_MIN exports",
    suffixes=(".json",),
    recognize=recognize,
    read=read,
    blocks=blocks,
    fields=None,
)
