"""A table of spans: a header, then a line of TAB-separated cells for each span.

The cells are the name or else the number of the document, the start and the end (exclusive) in its text (or in the text
that it is a piece of), the type, the probability (empty if unknown) and the text of the span. In names, types and
texts, a backslash, a TAB, a line feed and a carriage return are written as `\\\\`, `\\t`, `\\n` and `\\r`. Quotes
have no meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tagger.formats.document import Document, DocumentSpan, WriteOptions, encoded
from tagger.formats.json_fields import error_at
from tagger.formats.offsets import TextOffsets
from tagger.formats.written_only import written_only

HEADER = ("document", "start", "end", "type", "probability", "text")
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield the header, and the lines of each document."""
    yield ("\t".join(HEADER) + "\n").encode()
    whole = _Whole()
    for number, document in enumerate(documents, start=1):
        options.report(error_at(document.place, "spans cannot hold the text outside spans, which is left out"))
        name = str(number) if document.id is None else document.id
        offsets = TextOffsets(document.text, options.offsets, document.place)
        before = whole.before(document, offsets)
        lines = ["\t".join(_cells(document, span, name, offsets, before)) + "\n" for span in document.spans]
        yield encoded("".join(lines), document)


class _Whole:
    """The text that documents are pieces of, as far as they have been written."""

    def __init__(self) -> None:
        self._n_characters = self._n_units = 0

    def before(self, document: Document, offsets: TextOffsets) -> int:
        """Return how many units of the whole text come before a document.

        Raises:
            DataError: that is not known, because other pieces are missing.
        """
        n_units = document.offset
        if document.offset and not offsets.counts_characters:
            if document.offset != self._n_characters:
                text = f"found a piece of a text at character {document.offset}, expected {self._n_characters}"
                raise document.error(f"{text}, the end of the one before; write all pieces, or count characters")
            n_units = self._n_units
        self._n_characters = document.offset + len(document.text)
        self._n_units = n_units + offsets.units(len(document.text))
        return n_units


def _cells(document: Document, span: DocumentSpan, name: str, offsets: TextOffsets, before: int) -> tuple[str, ...]:
    start, end = (before + (edge if offsets.is_plain else offsets.units(edge)) for edge in (span.start, span.end))
    probability = "" if span.probability is None else f"{span.probability:.4f}"
    text = document.covered(span).translate(_ESCAPES)
    return name.translate(_ESCAPES), str(start), str(end), span.type.translate(_ESCAPES), probability, text


FORMAT = written_only(
    "spans", "a table of spans: document, start, end, type, probability, text", (".spans", ".spans.tsv"), blocks
)
