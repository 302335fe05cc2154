"""A table of spans: a header, then a line of TAB-separated cells for each span.

The cells are the name or else the number of the document, the start and the end (exclusive) in its text, the type, the
probability (empty if unknown) and the text of the span. In names, types and texts, a backslash, a TAB, a line feed and
a carriage return are written as `\\\\`, `\\t`, `\\n` and `\\r`. Quotes have no meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tagger.formats.document import Document, DocumentSpan, Format, WriteOptions, encoded
from tagger.formats.json_fields import error_at
from tagger.formats.offsets import TextOffsets
from tagger.formats.written_only import never, refusing

HEADER = ("document", "start", "end", "type", "probability", "text")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield the header, and the lines of each document."""
    yield ("\t".join(HEADER) + "\n").encode()
    for number, document in enumerate(documents, start=1):
        options.report(error_at(document.place, "spans cannot hold the text outside spans, which is left out"))
        name = str(number) if document.id is None else document.id
        offsets = TextOffsets(document.text, options.offsets, document.place)
        lines = ["\t".join(_cells(document, span, name, offsets)) + "\n" for span in document.spans]
        yield encoded("".join(lines), document)


def _cells(document: Document, span: DocumentSpan, name: str, offsets: TextOffsets) -> tuple[str, ...]:
    start, end = (edge if offsets.is_plain else offsets.units(edge) for edge in (span.start, span.end))
    probability = "" if span.probability is None else f"{span.probability:.4f}"
    text = document.covered(span).translate(_ESCAPES)
    return name.translate(_ESCAPES), str(start), str(end), span.type.translate(_ESCAPES), probability, text


FORMAT = Format(
    name="spans",
    description="a table of spans: document, start, end, type, probability, text",
    suffixes=(".spans", ".spans.tsv"),
    recognize=never,
    read=refusing("spans"),
    is_read=False,
    blocks=blocks,
)
