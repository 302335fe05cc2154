"""The forms in which JSON lines are written: this format's own, doccano's, Prodigy's and Hugging Face's.

The own form holds everything. The others hold less, and what they cannot hold is reported:

- `doccano`: `text` and `label` triples; no tokens, no tags, no probabilities;
- `prodigy`: `text`, `tokens`, `spans`; no sentences, no plain tags, no probabilities;
- `hf`: an object for each sentence, `tokens` and `ner_tags` (plain tags: `tags`); no probabilities, no text but the
  tokens, so that the blanks between them are lost, and only spans of whole tokens that do not overlap.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tagger.corpus.schemes import SCHEMES
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, WriteOptions
from tagger.formats.json_fields import error_at, with_fields, written_id
from tagger.formats.json_text import as_line
from tagger.formats.losses import has_plain_tags, report_losses, report_unfit
from tagger.formats.offsets import TextOffsets
from tagger.formats.tag_writing import span_tags, tags_of
from tagger.formats.tokens import Tokens, sentences_of
from tagger.wording import listed

FLAT_FIELDS = ("hf",)  # the forms whose spans are tags of tokens
Record = dict[str, Any]


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield documents as lines of JSON.

    Raises:
        DataError: the form is unknown, or cannot hold a document at all.
    """
    form = _FORMS.get(options.fields)
    if form is None:
        known = listed([name for name in _FORMS if name])
        raise DataError(f"fields: found {options.fields!r}, expected {known}, or nothing for this format's own fields")
    for document in documents:
        yield b"".join([as_line(record, document.place) for record in form(document, options)])


def _own(document: Document, options: WriteOptions) -> Iterator[Record]:
    offsets = TextOffsets(document.text, options.offsets, document.place)
    record: Record = {**written_id(document), "text": document.text}
    if document.is_piece:
        record["offset"] = document.offset
    if document.sentences is not None:
        tags = _own_tags(document, options.scheme)
        if tags is not None and not has_plain_tags(document):
            record["scheme"] = options.scheme
        record["sentences"] = [
            {"tokens": _texts(document, tokens), "offsets": [_edges(token, offsets) for token in tokens]}
            for tokens in document.sentences
        ]
        for sentence, of_it in zip(record["sentences"], tags or (), strict=False):
            sentence["tags"] = of_it
    record["spans"] = [_own_span(document, span, offsets) for span in document.spans]
    yield with_fields(record, document, options)


def _edges(part: Any, offsets: TextOffsets) -> list[int]:
    return [part.start, part.end] if offsets.is_plain else [offsets.units(part.start), offsets.units(part.end)]


def _own_span(document: Document, span: DocumentSpan, offsets: TextOffsets) -> Record:
    start, end = _edges(span, offsets)
    record = {"start": start, "end": end, "type": span.type, "text": document.covered(span)}
    return record if span.probability is None else {**record, "probability": span.probability}


def _own_tags(document: Document, scheme: str) -> list[list[str]] | list[list[str | None]] | None:
    """Return the plain tags of tokens, or else the tags of the spans; None if tags cannot hold them all."""
    if has_plain_tags(document):
        return [[token.tag for token in tokens] for tokens in document.sentences or ()]
    if scheme not in SCHEMES:
        return None
    unfit: list[DocumentSpan] = []
    tags = span_tags(document.sentences or (), document.spans, scheme, unfit.append)
    return None if unfit else tags


def _doccano(document: Document, options: WriteOptions) -> Iterator[Record]:
    report_losses(document, options, "doccano", ("tokens", "plain tags", "probabilities"))
    offsets = TextOffsets(document.text, options.offsets, document.place)
    label = [[*_edges(span, offsets), span.type] for span in document.spans]
    yield with_fields({**written_id(document), "text": document.text, "label": label}, document, options)


def _prodigy(document: Document, options: WriteOptions) -> Iterator[Record]:
    report_losses(document, options, "prodigy", ("sentences", "plain tags", "probabilities"))
    text, offsets = document.text, TextOffsets(document.text, options.offsets, document.place)
    record = {**written_id(document), "text": text}
    tokens = document.tokens
    if document.sentences is not None:
        record["tokens"] = []
        for i, token in enumerate(tokens):
            start, end = _edges(token, offsets)
            blank = text[token.end : token.end + 1] == " "
            record["tokens"].append({"text": document.covered(token), "start": start, "end": end, "id": i, "ws": blank})
    firsts, lasts = {token.start: i for i, token in enumerate(tokens)}, {token.end: i for i, token in enumerate(tokens)}
    record["spans"] = []
    for span in document.spans:
        start, end = _edges(span, offsets)
        found = {"start": start, "end": end, "label": span.type}
        if span.start in firsts and span.end in lasts:
            found |= {"token_start": firsts[span.start], "token_end": lasts[span.end]}
        record["spans"].append(found)
    yield with_fields(record, document, options)


def hf_rows(document: Document, options: WriteOptions) -> Iterator[Record]:
    """Yield a record with tokens and tags for each sentence.

    Raises:
        DataError: the document has no tokens.
    """
    sentences = sentences_of(document)
    report_losses(document, options, "tokens with tags", ("characters outside tokens", "probabilities"))
    if len(sentences) != 1:
        text = "documents of several sentences, or of none, do not keep their boundaries"
        options.report(error_at(document.place, text))

    if document.spans and has_plain_tags(document):
        text = "plain tags beside spans cannot be written, and are left out"
        options.report(error_at(document.place, text))
    key = "tags" if has_plain_tags(document) and not document.spans else "ner_tags"
    rows = tags_of(document, options.scheme, functools.partial(report_unfit, document, options))
    for i, (tokens, tags) in enumerate(zip(sentences, rows, strict=True)):
        record = written_id(document)
        if len(rows) > 1 and record:
            record = {"id": f"{document.id}-{i + 1}"}
        record |= {"tokens": _texts(document, tokens), key: tags}
        yield with_fields(record, document, options)


def _texts(document: Document, tokens: Tokens) -> list[str]:
    text = document.text
    return [text[token.start : token.end] for token in tokens]


_FORMS: dict[str | None, Callable[[Document, WriteOptions], Iterator[Record]]] = {
    None: _own,
    "doccano": _doccano,
    "prodigy": _prodigy,
    "hf": hf_rows,
}
