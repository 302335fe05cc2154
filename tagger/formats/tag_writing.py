"""Documents written with tags: the tags of their tokens, in a scheme of spans or as plain tags.

`tags_of` returns the tags of documents whose tokens are written as they are. `TagWriter` is for files of nothing but
sentences with tags, and replaces what these cannot hold.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Sequence

from tagger.corpus.gold import tags_in
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, SCHEMES, UNTYPED, Span, tags_from_spans
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, WriteOptions
from tagger.formats.losses import has_plain_tags, has_text_outside
from tagger.formats.tokens import Tokens, in_tokens
from tagger.wording import listed

NO_TAG = "_"  # written for a token without a tag, beside others with plain tags
_BLANKS = " \t\r\n"


def tags_of(document: Document, scheme: str, unfit: Callable[[DocumentSpan], None]) -> list[list[str]]:
    """Return the tags of each sentence: the plain tags of its tokens if it has no spans, otherwise those of the spans.

    Args:
        document: a document with tokens.
        scheme: the scheme of the tags.
        unfit: called with each span that tags cannot hold, as in `in_tokens`.

    Raises:
        DataError: there are spans, and the scheme is for plain tags.
    """
    sentences = document.sentences or ()
    if not document.spans:
        return [plain_tags(tokens) or [OUTSIDE] * len(tokens) for tokens in sentences]
    if scheme not in SCHEMES:
        raise document.error(
            f"found spans, expected plain tags for the scheme {scheme}; choose one of {listed(list(SCHEMES))}"
        )
    return span_tags(sentences, document.spans, scheme, unfit)


def span_tags(
    sentences: Sequence[Tokens], spans: Iterable[DocumentSpan], scheme: str, unfit: Callable[[DocumentSpan], None]
) -> list[list[str]]:
    """Return the tags of each sentence in a scheme of spans.

    Args:
        sentences: the tokens.
        spans: the spans.
        scheme: the scheme of the tags.
        unfit: called with each span that tags cannot hold, as in `in_tokens`.
    """
    found = in_tokens(spans, sentences, unfit)
    return [_tags(of_it, len(tokens), scheme) for tokens, of_it in zip(sentences, found, strict=True)]


def _tags(spans: Sequence[Span], n_tokens: int, scheme: str) -> list[str]:
    return tags_from_spans(spans, n_tokens, scheme) if spans else [OUTSIDE] * n_tokens


def plain_tags(tokens: Tokens) -> list[str] | None:
    """Return the plain tags of tokens, or None if no token has one."""
    tags = [token.tag for token in tokens]
    return None if tags.count(None) == len(tags) else [NO_TAG if tag is None else tag for tag in tags]


@dataclasses.dataclass(slots=True)
class WrittenSentence:
    """A sentence that is to be written.

    Attributes:
        tokens: its tokens; none is blank.
        spans: its spans, in order, which do not overlap.
        tags: the tag of each token: tags in the scheme, or plain tags.
        rows: the index of each token in `Document.tokens`.
    """

    tokens: list[str]
    spans: list[Span]
    tags: list[str]
    rows: Sequence[int]


class TagWriter:
    """Documents as sentences with tags, for one file.

    Args:
        options: the settings for writing.
        unwritable: the characters that a token cannot hold in the format.
        unwritable_in_tags: those that a plain tag or the type of a span cannot hold; None for the same ones.
        stand_in: what is written in their place.
    """

    def __init__(
        self,
        options: WriteOptions,
        *,
        unwritable: str = "[\t\r\n]",
        unwritable_in_tags: str | None = None,
        stand_in: str = " ",
    ) -> None:
        self._scheme, self._report = options.scheme, options.report
        # A reader takes U+FEFF at the beginning of a line for a byte-order mark.
        self._unwritable, self._stand_in = re.compile(f"{unwritable}|^\ufeff"), stand_in
        self._unwritable_in_tags = re.compile(unwritable_in_tags or unwritable)
        self._types: dict[str, str] = {}
        self._plain: bool | None = None  # whether the tags are plain; None until a document has some
        if options.scheme == NO_SCHEME:
            raise DataError("scheme: found none, expected one that can write spans, such as IOB2")

    @property
    def is_plain(self) -> bool:
        """Whether the tags are plain tags, which mark no spans."""
        return bool(self._plain)

    def sentences(self, document: Document) -> list[WrittenSentence]:
        """Return the sentences of a document; those that have no tokens are left out.

        Raises:
            DataError: the document has no tokens, its spans do not fit them, or only some documents have plain tags.
        """
        if document.sentences is None:
            raise document.error("has no tokens, expected tokens to write tags for; use another format")
        self._settle(document)
        if any(span.probability is not None for span in document.spans):
            self._say(document, "probability", "the probabilities of spans are not kept")
        if has_text_outside(document):
            self._say(document, "outside", "characters outside tokens are not kept")

        def unfit(span: DocumentSpan) -> None:
            raise self._unfitted(document, span)

        written, n_before = [], 0
        found = in_tokens(document.spans, document.sentences, unfit)
        for tokens, spans in zip(document.sentences, found, strict=True):
            sentence = self._sentence(document, tokens, spans, range(n_before, n_before + len(tokens)))
            n_before += len(tokens)
            if sentence.tokens:
                written.append(sentence)
            else:
                self._say(document, "empty", "sentences without tokens are not kept")
        return written

    def _settle(self, document: Document) -> None:
        """Settle whether tags are plain by the first document that has any."""
        plain = has_plain_tags(document)
        if self._plain is None and (document.spans or plain):
            self._plain = not document.spans
        if self._plain and document.spans:
            raise document.error("has spans, expected plain tags as in earlier documents; convert them into two files")
        if plain and not self._plain:
            self._say(document, "plain-tag", "the plain tags of tokens are not kept, because documents have spans")

    def _sentence(
        self, document: Document, tokens: Sequence[DocumentToken], found: Sequence[Span], rows: range
    ) -> WrittenSentence:
        texts = [document.text[token.start : token.end] for token in tokens]
        known = self._types
        spans = [Span(known.get(span.type) or self._type(document, span.type), span.start, span.end) for span in found]
        if any(map(str.isspace, texts)) and (blank := [not text.strip(_BLANKS) for text in texts]) and any(blank):
            self._say(document, "blank-token", "tokens of nothing but blanks are not kept")
            spans = self._spans_without(document, spans, blank)
            kept = [i for i, is_blank in enumerate(blank) if not is_blank]
            texts, tokens = [texts[i] for i in kept], [tokens[i] for i in kept]
            written = WrittenSentence(texts, spans, [], [rows[i] for i in kept])
        else:
            written = WrittenSentence(texts, spans, [], rows)
        if any(map(self._unwritable.search, texts)):
            written.tokens = [self._replaced(document, text, self._unwritable) for text in texts]
        if self._plain:
            unwritable = self._unwritable_in_tags
            written.tags = [self._replaced(document, token.tag or NO_TAG, unwritable) for token in tokens]
        else:
            self._note_merged(document, spans)
            written.tags = _tags(spans, len(texts), self._scheme)
        return written

    def _spans_without(self, document: Document, spans: Iterable[Span], blank: Sequence[bool]) -> list[Span]:
        """Return the spans as they are when blank tokens are left out."""
        kept = []
        for span in spans:
            start, end = (index - sum(blank[:index]) for index in (span.start, span.end))
            if start < end:
                kept.append(dataclasses.replace(span, start=start, end=end))
            else:
                self._say(document, "blank-span", "spans of nothing but blanks are not kept")
        return kept

    def _type(self, document: Document, name: str) -> str:
        """Return a type as tags can hold it."""
        written = self._unwritable_in_tags.sub(self._stand_in, name).strip(_BLANKS)
        if len(tags_in(f"B-{written}")) > 1:
            written = re.sub("[|,;#+/ ]", "_", written)
        written = written or UNTYPED
        if written != name:
            self._say(document, "type", f"the type {name!r} is written as {written!r}")
        return self._types.setdefault(name, written)

    def _replaced(self, document: Document, text: str, unwritable: re.Pattern[str]) -> str:
        replaced = unwritable.sub(self._stand_in, text)
        if replaced != text:
            what = f"characters that the format cannot hold are replaced with {self._stand_in!r}, as in {text!r}"
            self._say(document, "characters", what)
        return replaced

    def _note_merged(self, document: Document, spans: Sequence[Span]) -> None:
        if self._scheme == "IO" and any(a.end == b.start and a.type == b.type for a, b in itertools.pairwise(spans)):
            self._say(document, "merged", "neighboring spans of one type are merged, because the scheme is IO")

    def _unfitted(self, document: Document, span: DocumentSpan) -> DataError:
        shown = document.covered(span)[:40]
        return document.error(
            f"the {span.type} {shown!r} overlaps another span or is not a run of whole tokens of one sentence,"
            " expected spans that were fitted to tokens",
        )

    def _say(self, document: Document, kind: str, text: str) -> None:
        self._report(document.error(text, kind=kind))


def report_boundaries(document: Document, sentences: Sequence[WrittenSentence], options: WriteOptions) -> None:
    """Report what a format that knows no documents cannot hold: their names, and which sentences belong together."""
    if document.id is not None:
        options.report(document.error("the names of documents are not kept", kind="id"))
    if len(sentences) != 1:
        text = "documents of several sentences, or of none, do not keep their boundaries"
        options.report(document.error(text, kind="boundary"))
