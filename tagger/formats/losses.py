"""Parts of documents that a format cannot hold, reported when documents are written to it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tagger.formats.document import Document, WriteOptions
from tagger.formats.json_fields import error_at


def has_plain_tags(document: Document) -> bool:
    """Return whether a token has a plain tag."""
    return any(token.tag is not None for tokens in document.sentences or () for token in tokens)


def has_text_outside(document: Document) -> bool:
    """Return whether a text has anything but blanks outside its tokens."""
    end = 0
    for token in document.tokens:
        if document.text[end : token.start].strip():
            return True
        end = token.end
    return bool(document.text[end:].strip())


_LOSSES: dict[str, Callable[[Document], bool]] = {
    "tokens": lambda document: document.sentences is not None,
    "sentences": lambda document: len(document.sentences or ()) > 1,
    "plain tags": has_plain_tags,
    "characters outside tokens": has_text_outside,
    "probabilities": lambda document: any(span.probability is not None for span in document.spans),
    "spans": lambda document: bool(document.spans),
    "names of documents": lambda document: document.id is not None,
}


def report_losses(document: Document, options: WriteOptions, name: str, parts: Collection[str]) -> None:
    """Report what a format cannot hold of a document.

    Args:
        document: the document.
        options: whose `report` is called.
        name: the name of the format.
        parts: what the format never holds: keys of `_LOSSES`.
    """
    for part in parts:
        if _LOSSES[part](document):
            options.report(error_at(document.place, f"{name} cannot hold {part}, which are left out"))
