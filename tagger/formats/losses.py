"""Parts of documents that a format cannot hold, reported when documents are written to it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from tagger.formats.document import Document, DocumentSpan, WriteOptions
from tagger.formats.json_fields import error_at
from tagger.wording import listed


def has_plain_tags(document: Document) -> bool:
    """Return whether a token has a plain tag."""
    return any(token.tag is not None for tokens in document.sentences or () for token in tokens)


def has_text_outside(document: Document) -> bool:
    """Return whether a text has anything but blanks outside its tokens, which never overlap."""
    inside = "".join([document.text[token.start : token.end] for token in document.tokens])
    return "".join(document.text.split()) != "".join(inside.split())


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


def report_fields(document: Document, options: WriteOptions, kept: str | None = None) -> None:
    """Report the fields of a document, except for the one that the format keeps, and for a number as its name."""
    lost = [name for name in document.fields if name != kept and not (name == "id" and document.id is not None)]
    if lost:
        text = f"what is said of a document beside its text is not kept: {listed(lost)}"
        options.report(error_at(document.place, text))


def report_unfit(document: Document, options: WriteOptions, span: DocumentSpan, tokens: str = "tokens") -> None:
    """Report a span that does not fit the tokens of a document, or overlaps another one; `tokens` is their name."""
    text = f"the {span.type} span from {span.start} to {span.end} does not fit the {tokens}, or overlaps another one"
    common = f"spans that do not fit the {tokens}, or that overlap, are left out"
    options.report(error_at(document.place, f"{text}; it is left out", common=common))
