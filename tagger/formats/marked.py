"""Text with its spans in brackets, to be read by people: `[Hanna Berg PER] left [Bonn LOC] .`

The type is what follows the last blank in a bracket. Brackets and backslashes of the text itself, and blanks in a type,
have a backslash before them, so that each of them can be told from the marks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from tagger.formats.document import Document, DocumentSpan, WriteOptions, encoded
from tagger.formats.losses import report_losses
from tagger.formats.written_only import rendered, written_only

_ESCAPES = str.maketrans({"\\": "\\\\", "[": "\\[", "]": "\\]"})
_BLANK = re.compile(r"(\s)")


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield the text of each document, with a blank line beside each that has several lines.

    Between the pieces of a longer text nothing is added, so that it stays as it is around the marks.
    """
    was_long, is_first = False, True
    for document in documents:
        report_losses(document, options, "marked", ("plain tags", "probabilities", "names of documents"))
        text = rendered(document, options, text=_text, opened=lambda span: "[", closed=_closed)
        if document.is_piece:
            yield encoded(text, document)
            continue
        text = text.removesuffix("\n")
        is_long = "\n" in text
        separator = "\n" if (was_long or is_long) and not is_first else ""
        was_long, is_first = is_long, False
        yield encoded(f"{separator}{text}\n", document)


def _text(text: str, inside: bool) -> str:
    return text.translate(_ESCAPES)


def _closed(span: DocumentSpan) -> str:
    type_ = _BLANK.sub(r"\\\1", span.type.translate(_ESCAPES))
    return f" {type_}]"


FORMAT = written_only("marked", "text with its spans in brackets: [Hanna Berg PER]", (".marked", ".marked.txt"), blocks)
