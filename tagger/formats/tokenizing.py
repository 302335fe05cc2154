"""Documents without tokens, which get them from a tokenizer of `tagger.text`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tagger.formats.document import Document, DocumentToken
from tagger.text.tokenizer import DEFAULT_LANGUAGE, Tokenizer, load_tokenizer


def tokenized(document: Document, tokenizer: Tokenizer) -> Document:
    """Return a document with the sentences of a tokenizer."""
    sentences = tuple(
        tuple(DocumentToken(start, end) for start, end in sentence) for sentence in tokenizer.sentences(document.text)
    )
    return dataclasses.replace(document, sentences=sentences)


def tokenizing(language: str | None, note: Callable[[str], None]) -> Callable[[Document], Document]:
    """Return a function that cuts documents into tokens; the tokenizer is loaded for the first of them.

    Args:
        language: the language of the texts, or None if it is not known.
        note: called with the name of the tokenizer.
    """
    loaded: list[Tokenizer] = []

    def tokenize(document: Document) -> Document:
        if not loaded:
            tokenizer = load_tokenizer(language or DEFAULT_LANGUAGE)
            loaded.append(tokenizer)
            unnamed = "" if language else ", as no language is named; data.language names another"
            note(f"note: the text is cut into sentences and tokens by {tokenizer.name}{unnamed}")
        return tokenized(document, loaded[0])

    return tokenize
