"""spaCy's DocBin (`.spacy`), the format of its training data: texts with tokens, sentences and entities.

The entities are those of `Doc.ents`; without any, the spans of the only group of `Doc.spans`, or of the group that
data.columns.span names. Tokens of blanks, which spaCy makes of what is between others, are no tokens here; the text is
the same. Without spans, fine-grained tags (`Token.tag_`) are plain tags. What a pipeline adds (lemmas, heads, knowledge
base) is reported.

A DocBin is read and written as a whole, in memory.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.corpus.lines import open_corpus
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Format, Place, ReadOptions, WriteOptions
from tagger.formats.json_fields import error_at
from tagger.formats.losses import has_plain_tags, report_fields, report_losses, report_unfit
from tagger.formats.tokens import in_tokens, sentences_of
from tagger.text.tokenizer import import_spacy
from tagger.wording import listed

if TYPE_CHECKING:
    from spacy.tokens import Doc

_CATS = "cats"  # the field of a document that keeps its categories
_ADDED = ("LEMMA", "POS", "MORPH", "DEP", "ENT_KB_ID")  # annotations that are not kept


def _library() -> Any:
    try:
        import_spacy()
        import spacy
        import spacy.tokens
        import spacy.vocab
    except ImportError:
        raise DataError(
            "spaCy's DocBin: found no spaCy, expected it to read and write this format; pip install"
            " 'twobranch-tagger[spacy]'"
        ) from None
    return spacy


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of a file.

    Raises:
        DataError: the file is not a DocBin, or spaCy is not installed.
    """
    spacy = _library()
    if str(path) == "-":
        raise DataError("<standard input>: found a stream, expected a .spacy file; name it")
    if not path.is_file():
        open_corpus(path).close()  # it says what is wrong
    with _errors(path):
        docs = spacy.tokens.DocBin().from_bytes(path.read_bytes()).get_docs(spacy.vocab.Vocab())
    for number in itertools.count(1):
        with _errors(path):
            doc = next(docs, None)
            document = None if doc is None else _document(doc, Place(str(path), number), options)
        if document is None:
            return
        yield document


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Turn any error of spaCy, which lets through those of zlib, msgpack and NumPy, into DataError."""
    try:
        yield
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}; check its permissions", path=path) from None
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"is not a DocBin that spaCy can read: {reason}; get the file again", path=path) from None


def _document(doc: Doc, place: Place, options: ReadOptions) -> Document:
    groups = {name: list(group) for name, group in doc.spans.items() if len(group)}
    spans = _chosen_spans(doc, groups, place, options)
    _report_lost(doc, place, options)
    has_tags = not spans and doc.has_annotation("TAG")
    sentences = list(doc.sents) if doc.has_annotation("SENT_START") else [doc]
    tokens = [
        tuple(
            DocumentToken(token.idx, token.idx + len(token), (token.tag_ or None) if has_tags else None)
            for token in sentence
            if not token.text.isspace()  # its flag is not set in a bare vocabulary
        )
        for sentence in sentences
    ]
    return Document(
        text=doc.text,
        spans=tuple(DocumentSpan(span.label_, span.start_char, span.end_char) for span in spans),
        sentences=tuple(filter(None, tokens)),
        fields={_CATS: dict(doc.cats)} if doc.cats else {},
        place=place,
    )


def _chosen_spans(doc: Doc, groups: dict[str, list[Any]], place: Place, options: ReadOptions) -> list[Any]:
    """Return the entities of a text, or the spans of a group; the other ones are reported."""
    named = options.columns.get("span")
    if named is not None:
        spans = groups.pop(str(named), [])
    elif doc.ents or not groups:
        spans = list(doc.ents)
    elif len(groups) == 1:
        spans = groups.popitem()[1]
    else:
        known = listed(sorted(groups))
        raise error_at(place, f"found the groups of spans {known}, expected one; name it with data.columns.span")
    if groups:
        options.report(error_at(place, f"the spans of {listed(sorted(groups))} are not kept"))
    if named is not None and doc.ents:
        options.report(error_at(place, "the entities are not kept, as other spans are read"))
    return spans


def _report_lost(doc: Doc, place: Place, options: ReadOptions) -> None:
    lost = [name for name in _ADDED if doc.has_annotation(name)]
    if doc.has_annotation("TAG") and (doc.ents or doc.spans):
        lost.append("TAG")
    if any(span.id_ for span in doc.ents):
        lost.append("the names of entities")
    if doc.user_data:
        lost.append("user data")
    for name in lost:
        options.report(error_at(place, f"{name} of spaCy's documents is not kept"))


def write(documents: Iterable[Document], path: Path, options: WriteOptions) -> None:
    """Write documents to a file.

    Raises:
        DataError: a document has no tokens, or spaCy is not installed.
    """
    spacy = _library()
    vocab = spacy.vocab.Vocab()
    stored = spacy.tokens.DocBin(attrs=["ENT_IOB", "ENT_TYPE", "SENT_START", "TAG"])
    for document in documents:
        report_losses(document, options, "spaCy's DocBin", ("probabilities", "names of documents"))
        report_fields(document, options, kept=_CATS)
        try:
            stored.add(_doc(document, vocab, spacy, options))
        except UnicodeEncodeError:
            text = "found half of a surrogate pair, expected a whole character; fix it"
            raise error_at(document.place, text) from None
    path.write_bytes(stored.to_bytes())


def _doc(document: Document, vocab: Any, spacy: Any, options: WriteOptions) -> Doc:
    sentences = sentences_of(document)
    words, spaces = list[str](), list[bool]()
    places: dict[int, int] = {}  # the index of the word for the token that begins at a character
    end = 0

    def add_blanks(blanks: str) -> None:
        if words and blanks.startswith(" "):
            spaces[-1], blanks = True, blanks[1:]
        if blanks:
            words.append(blanks)
            spaces.append(False)

    for token in document.tokens:
        add_blanks(document.text[end : token.start])
        places[token.start] = len(words)
        words.append(document.covered(token))
        spaces.append(False)
        end = token.end
    add_blanks(document.text[end:])
    _report_odd_words(document, options)
    firsts = {places[tokens[0].start] for tokens in sentences if tokens}
    tags = [""] * len(words)
    for token in document.tokens:
        tags[places[token.start]] = token.tag or ""
    doc: Doc = spacy.tokens.Doc(
        vocab,
        words=words,
        spaces=spaces,
        sent_starts=[i in firsts for i in range(len(words))] if words else None,
        tags=tags if has_plain_tags(document) else None,
    )
    doc.set_ents([spacy.tokens.Span(doc, *edges, label=name) for name, edges in _entities(document, places, options)])
    cats = document.fields.get(_CATS)
    if isinstance(cats, dict) and all(isinstance(name, str) for name in cats):
        doc.cats = {name: value for name, value in cats.items() if isinstance(value, int | float)}
    return doc


def _report_odd_words(document: Document, options: WriteOptions) -> None:
    end = 0
    for token in document.tokens:
        if document.text[end : token.start].strip():
            options.report(error_at(document.place, "characters outside tokens become tokens"))
        end = token.end
        if document.covered(token).isspace():
            options.report(error_at(document.place, "tokens of blanks only are not read as tokens again"))
    if document.text[end:].strip():
        options.report(error_at(document.place, "characters outside tokens become tokens"))


def _entities(
    document: Document, places: dict[int, int], options: WriteOptions
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the type and the words of each span; those that do not fit the tokens, or overlap, are reported."""
    tokens = document.tokens
    (found,) = in_tokens(document.spans, [tokens], functools.partial(report_unfit, document, options))
    for span in found:
        yield span.type, (places[tokens[span.start].start], places[tokens[span.end - 1].start] + 1)


def recognize(lines: list[str]) -> bool:
    """Return False: the content is packed, so that the name decides."""
    return False


FORMAT = Format(
    name="docbin",
    description="spaCy's DocBin (.spacy), its training data",
    suffixes=(".spacy",),
    recognize=recognize,
    read=read,
    write=write,
    flat=True,
    fields=None,  # the writer reports them itself
    extra="spacy",
)
