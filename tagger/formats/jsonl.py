"""JSON lines: one document an object, on a line each, in an array, or one behind another.

These forms are read, by the names of their fields:

- the form of this format (below), which holds all that a document can have;
- doccano: `text`; `label` or `labels` of triples `[0, 5, "PER"]`, or `entities` with `start_offset`, `end_offset` and
  `label`;
- Prodigy: `text`, `spans` with `start`, `end`, `label`; `tokens` with `text`, `start`, `end`. An `answer` other than
  `accept` means that the annotator refused the document;
- spaCy's old training data: `["a text", {"entities": [[0, 5, "PER"]]}]`, or an object with `text` and `entities`;
- Hugging Face: `tokens` and `ner_tags`, with names, or with numbers if their names are given. Spans of tokens without
  a text count tokens.

All other fields are kept and written back. The form of this format:

    {"id": "7", "text": "Ann left. Bob", "scheme": "IOB2",
     "sentences": [{"tokens": ["Ann", "left", "."], "offsets": [[0, 3], [4, 8], [8, 9]], "tags": ["B-PER", "O", "O"]},
                   {"tokens": ["Bob"], "offsets": [[10, 13]], "tags": ["B-PER"]}],
     "spans": [{"start": 0, "end": 3, "type": "PER", "text": "Ann", "probability": 0.98},
               {"start": 10, "end": 13, "type": "PER", "text": "Bob"}]}

Without `scheme`, tags are plain tags (parts of speech), or absent. An end is exclusive.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagger.errors import DataError
from tagger.formats import label_studio
from tagger.formats.document import Document, DocumentSpan, Format, Place, ReadOptions
from tagger.formats.json_fields import error_at, kind_of, list_of, object_of, spans_of, take_id, text_of
from tagger.formats.json_text import is_json_start, read_values
from tagger.formats.jsonl_forms import blocks
from tagger.formats.jsonl_tokens import is_own, own_sentences, prodigy_tokens, tag_names, texts
from tagger.formats.offsets import TextOffsets
from tagger.formats.tag_reading import Draft, read_tags
from tagger.formats.tokens import Tokens, joined, located
from tagger.wording import listed

_SPAN_KEYS = ("spans", "entities", "label", "labels")
_TOKEN_KEYS = ("tokens", "words")
_TAG_KEYS = ("ner_tags", "ner_tag", "ner", "tags", "labels", "label")


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of a file.

    Raises:
        DataError: the file is not JSON, or a document in it is wrong.
    """
    return read_tags(RecordReader(options).drafts(path), options)


def _records(value: Any, place: Place) -> Iterator[dict[str, Any]]:
    """Yield the documents of a JSON value: one, or those of a list within it."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str):
        fields = object_of(value[1], "what follows a text", place)
        if "text" in fields:
            raise error_at(place, "found a text twice, expected it once; remove one of the two")
        yield {"text": value[0], **fields}
        return
    if not isinstance(value, dict):
        raise error_at(place, f"found {kind_of(value)}, expected an object with a text or tokens; check the file")
    if isinstance(value.get("annotations"), list) and not {"text", *_TOKEN_KEYS} & value.keys():
        for part in value["annotations"]:
            if part is not None:  # a text that was skipped, in the NER Annotator for spaCy
                yield from _records(part, place)
        return
    yield value


def _may_be_spans(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(part, list | dict) for part in value)


def _own_spans(fields: dict[str, Any], place: Place) -> list[Any]:
    return list_of(fields.pop("spans", []), "spans", place)


class RecordReader:
    """The reading of one file, which remembers the field of tags that its first documents had."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._tag_key: str | None = None
        self._noted = False

    def drafts(self, path: Path) -> Iterator[Draft]:
        """Yield the documents of a JSON file."""
        for value, place in read_values(path, self._options.encoding):
            for record in _records(value, place):
                answer = record.get("answer")
                if isinstance(answer, str) and answer in ("reject", "ignore"):
                    self._report(f"the annotator's answer is {answer}, so the document is left out", place)
                else:
                    yield self.draft(dict(record), place)

    def _report(self, text: str, place: Place) -> None:
        self._options.report(error_at(place, text))

    def draft(self, fields: dict[str, Any], place: Place) -> Draft:
        """Return the document of a record, whose fields are taken out one by one.

        Raises:
            DataError: the record is not a document, or something in it is wrong.
        """
        name = take_id(fields, place)
        if isinstance(fields.get("relations"), list) and fields.pop("relations"):
            # They refer to the numbers of spans, which change as soon as spans do.
            self._report("relations between spans are not kept", place)
        if is_own(fields.get("sentences")):
            return self._from_own(fields, name, place)
        named = self._options.columns.get("token")
        names = _TOKEN_KEYS if named is None else (str(named),)
        key = next((one for one in names if isinstance(fields.get(one), list)), None)
        if key is None:
            text = self._text(fields, place)
            return Draft(text, place, spans=self._spans(fields, text, place), id=name, fields=fields)
        tokens = fields.pop(key)
        if any(isinstance(token, dict) for token in tokens):
            return self._from_prodigy(fields, tokens, name, place)
        return self._from_words(fields, tokens, name, place)

    def _text(self, fields: dict[str, Any], place: Place) -> str:
        key = str(self._options.columns.get("text", "text"))
        if key not in fields:
            found = f"the fields {listed([repr(name[:30]) for name in list(fields)[:8]])}" if fields else "no fields"
            remedy = "name the field of the text with data.columns.text"
            if "paragraphs" in fields:
                remedy = "it is spaCy 2's training data: make a .spacy file of it with `spacy convert`"
            raise error_at(place, f"found {found}, expected {key!r} or 'tokens'; {remedy}")
        return text_of(fields.pop(key), key, place)

    def _spans(self, fields: dict[str, Any], text: str, place: Place) -> tuple[DocumentSpan, ...]:
        """Take the spans of characters out of the fields of a document."""
        key, values = self._take_spans(fields, place)
        offsets = TextOffsets(text, self._options.offsets, place)
        return self._kept(spans_of(values, key, text, offsets, place)) if values else ()

    def _take_spans(self, fields: dict[str, Any], place: Place) -> tuple[str, list[Any]]:
        named = self._options.columns.get("span")
        keys = [key for key in (_SPAN_KEYS if named is None else (str(named),)) if _may_be_spans(fields.get(key))]
        filled = [key for key in keys if fields[key]]
        if len(filled) > 1:
            text = f"found spans in {listed(filled)}, expected one field of spans; name it with data.columns.span"
            raise error_at(place, text)
        values = {key: fields.pop(key) for key in keys}
        return (filled[0], values[filled[0]]) if filled else ("spans", [])

    def _kept(self, found: Iterator[DocumentSpan | DataError]) -> tuple[DocumentSpan, ...]:
        spans = []
        for one in found:
            if isinstance(one, DocumentSpan):
                spans.append(one)
            else:
                self._options.report(one)
        return tuple(spans)

    def _from_own(self, fields: dict[str, Any], name: str | None, place: Place) -> Draft:
        """Return a document in the form of this format."""
        text = self._text(fields, place)
        offsets = TextOffsets(text, self._options.offsets, place)
        own = own_sentences(fields.pop("sentences"), fields.pop("scheme", None), text, offsets, place)
        if own.unknown:
            self._report(f"the sentences hold {listed(own.unknown)}, which is not kept", place)
        has_spans = "spans" in fields
        spans = self._kept(spans_of(_own_spans(fields, place), "spans", text, offsets, place))
        tags = own.tags
        if tags is not None and has_spans:
            if not own.fits(spans):
                self._report("the tags differ from the spans, and are not kept", place)
            tags = None
        return Draft(text, place, own.sentences, tags, spans, name, fields)

    def _from_prodigy(self, fields: dict[str, Any], values: list[Any], name: str | None, place: Place) -> Draft:
        """Return a document whose tokens have offsets of their own."""
        text = self._text(fields, place)
        offsets = TextOffsets(text, self._options.offsets, place)
        tokens, unknown = prodigy_tokens(values, text, offsets, place)
        if unknown:
            self._report(f"the tokens hold {listed(unknown)}, which is not kept", place)
        return Draft(text, place, (tokens,), spans=self._spans(fields, text, place), id=name, fields=fields)

    def _from_words(self, fields: dict[str, Any], values: list[Any], name: str | None, place: Place) -> Draft:
        """Return a sentence of tokens without offsets, with tags or spans if there are any."""
        words = texts(values, place)
        tags = self._tags(fields, len(words), place)
        kept = [word for word in words if word]
        text = text_of(fields.pop("text"), "text", place) if fields.get("text") is not None else None
        tokens = None if text is None else located(text, kept)
        if text is not None and tokens is None:
            lost, rest = ("tokens", "text") if tags is None else ("text", "tokens")
            self._report(f"the {lost} and the {rest} do not fit, and the {lost} is not kept", place)
            if tags is None:
                return Draft(text, place, spans=self._spans(fields, text, place), id=name, fields=fields)
        spans: tuple[DocumentSpan, ...] = ()
        if text is not None and tokens is not None:
            spans = self._spans(fields, text, place) if tags is None else ()
        else:
            text, (tokens,) = joined([kept])
            spans = self._spans_of_words(fields, words, tokens, place) if tags is None else ()
        if len(kept) < len(words):
            self._report("empty tokens are left out", place)
            tags = None if tags is None else [tag for tag, word in zip(tags, words, strict=True) if word]
        return Draft(text, place, (tokens,), None if tags is None else [tags], spans, name, fields)

    def _tags(self, fields: dict[str, Any], n_words: int, place: Place) -> list[str] | None:
        """Take the tags out of the fields of a sentence."""
        key = self._key_of_tags(fields, place)
        if key is None:
            return None
        if self._tag_key not in (None, key):
            found = f"found the tags in {key!r}, and in {self._tag_key!r} before"
            raise error_at(place, f"{found}, expected one field; name it with data.columns.tag")
        self._tag_key = key
        return tag_names(fields.pop(key), key, n_words, self._options.names, place)

    def _key_of_tags(self, fields: dict[str, Any], place: Place) -> str | None:
        named = self._options.columns.get("tag")
        if named is not None:
            if not isinstance(fields.get(str(named)), list):
                text = f"found no list {str(named)!r}, expected one of tags; name another field with data.columns.tag"
                raise error_at(place, text)
            return str(named)
        for key in _TAG_KEYS:
            if isinstance(fields.get(key), list) and not any(isinstance(value, list | dict) for value in fields[key]):
                return key
        others = [key for key, value in fields.items() if key.endswith("_tags") and isinstance(value, list)]
        if len(others) > 1:
            text = f"found {listed(others)}, expected one list of tags; name it with data.columns.tag"
            raise error_at(place, text)
        return others[0] if others else None

    def _spans_of_words(
        self, fields: dict[str, Any], words: list[str], tokens: Tokens, place: Place
    ) -> tuple[DocumentSpan, ...]:
        """Take spans that count tokens out of the fields of a sentence; `tokens` are the words that are not empty."""
        key, values = self._take_spans(fields, place)
        if not values:
            return ()
        if not self._noted:
            self._options.note(f"the spans of {key} count tokens, as there is no text")
            self._noted = True
        n_before = list(itertools.accumulate(map(bool, words), initial=0))
        counted = self._kept(spans_of(values, key, None, TextOffsets(" " * len(words), "characters", place), place))
        spans = []
        for span in counted:
            first, last = n_before[span.start], n_before[span.end]
            if first == last:
                self._report("empty spans are left out", place)
            else:
                start, end = tokens[first].start, tokens[last - 1].end
                spans.append(DocumentSpan(span.type, start, end, span.probability))
        return tuple(spans)


def recognize(lines: list[str]) -> bool:
    """Return whether a file begins as JSON with documents in one of the forms."""
    return is_json_start(lines) and not label_studio.recognize(lines)


FORMAT = Format(
    name="jsonl",
    description="JSON, one document a line: this program's own, doccano, Prodigy, spaCy's old form, Hugging Face",
    suffixes=(".jsonl", ".ndjson", ".json"),
    recognize=recognize,
    read=read,
    blocks=blocks,
    fields=None,
)
