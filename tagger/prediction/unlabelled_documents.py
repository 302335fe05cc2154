"""The sentences of documents as candidates for labelling; each chosen one becomes a document, and the rest stays."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from tagger.corpus.conll import Sentence
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan
from tagger.formats.tokens import Tokens
from tagger.prediction.document_tagging import require_no_features
from tagger.prediction.documents import Found, Thresholds
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.prediction.selection import Candidate, Selection, doubts_of
from tagger.prediction.stream import tag_groups

_COLUMNS = "columns"  # the field for the columns of all tokens of a document, which do not fit a part of it


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A sentence of a document.

    Attributes:
        source: the document.
        index: the number of the sentence in it, from 0.
        tagged: its tags.
    """

    source: Document
    index: int
    tagged: TaggedSentence

    @property
    def tokens(self) -> Tokens:
        """The tokens of the sentence, placed in the text of the document."""
        return (self.source.sentences or ())[self.index]

    @property
    def line(self) -> int:
        """The number of the line with its document, or 0 if lines mean nothing in the format."""
        return self.source.place.line

    @property
    def text(self) -> str:
        """The text from its first to its last token."""
        return self.source.text[self.tokens[0].start : self.tokens[-1].end]

    @property
    def facts(self) -> dict[str, Any]:
        """What is known about its place beside the line, by name."""
        return {"document": self.source.id, "sentence": self.index + 1}


class UnlabelledDocuments:
    """The sentences of documents with tokens.

    Args:
        predictor: the predictor that tags them.
        path: the name of the file that they are in, for messages.

    Attributes:
        n_cut: the number of spans of the rest that could not be kept, because a chosen sentence holds a part of them.

    Raises:
        DataError: the model reads columns that documents do not have.
    """

    def __init__(self, predictor: Predictor, path: str) -> None:
        require_no_features(predictor)
        self.n_cut = 0
        self._predictor, self._path = predictor, path
        self._found = Found(predictor, Thresholds())
        self._has_spans = predictor.model.manifest.notation.scheme != NO_SCHEME

    def add_to(self, selection: Selection[Part], documents: Iterable[Document]) -> None:
        """Tag the sentences of documents, and add them to a selection."""
        waiting: collections.deque[tuple[Document, int]] = collections.deque()

        def sentences() -> Iterator[Sentence]:
            for document, index, words in _sentences(documents):
                waiting.append((document, index))
                yield Sentence(words, [], [], [], [], document.place.line)

        position = 0
        for group in tag_groups(self._predictor, sentences(), spans=True):
            for sentence, tagged in group:
                part = Part(*waiting.popleft(), tagged)
                doubts = doubts_of(tagged, has_spans=self._has_spans)
                candidate = Candidate.of(position, sentence.tokens, doubts, part)
                selection.add(candidate, tuple(sentence.tokens))
                position += 1

    def document(self, part: Part) -> Document:
        """Return a chosen sentence as a document, with the spans of the model."""
        piece = _piece(part.source, part.index, part.index + 1, part.tokens[0].start, part.tokens[-1].end)
        (tokens,) = piece.sentences or ((),)
        tokens, spans = self._found.place(part.tagged, tokens)
        return dataclasses.replace(piece, sentences=(tokens,), spans=tuple(spans), is_piece=False, offset=0)

    def rest(
        self,
        documents: Iterable[Document],
        chosen: Collection[Candidate[Part]],
        tokenize: Callable[[Document], Document],
        *,
        with_tokens: bool,
    ) -> Iterator[Document]:
        """Yield documents without the chosen sentences.

        A document with none of these stays as it is. Of others, each stretch between chosen sentences is a document.

        Args:
            documents: the documents as they are read.
            chosen: the sentences that were chosen from them.
            tokenize: cuts a document into tokens, for those that have none.
            with_tokens: whether these keep the tokens.

        Raises:
            DataError: the documents are not those that the sentences were chosen from.
        """
        missing = {one.position: _words(one.payload.source, one.payload.tokens) for one in chosen}
        position = -1
        for original in documents:
            document = tokenize(original) if original.sentences is None else original
            gone = []
            for index, tokens in enumerate(document.sentences or ()):
                if not tokens:
                    continue
                position += 1
                words = missing.pop(position, None)
                if words is not None:
                    if words != _words(document, tokens):
                        raise self._changed()
                    gone.append(index)
            for piece in self._stretches(document, gone) if gone else (document,):
                keeps = with_tokens or original.sentences is not None
                yield piece if keeps else dataclasses.replace(piece, sentences=None)
        if missing:
            raise self._changed()

    def _changed(self) -> DataError:
        return DataError(
            "changed while it was read, expected the same sentences as before; run the command again", path=self._path
        )

    def _stretches(self, document: Document, gone: Sequence[int]) -> Iterator[Document]:
        """Yield the stretches of a document between some of its sentences."""
        sentences = document.sentences or ()
        first, start, n_spans = 0, 0, 0
        for index in (*gone, len(sentences)):
            end = sentences[index][0].start if index < len(sentences) else len(document.text)
            piece = _piece(document, first, index, start, end)
            if piece.text.strip() or (piece.text and document.is_piece):  # in a text, blank lines divide paragraphs
                n_spans += len(piece.spans)
                yield piece
            if index < len(sentences):
                first, start = index + 1, sentences[index][-1].end
        self.n_cut += (
            sum(not any(_holds(sentences[index], span) for index in gone) for span in document.spans) - n_spans
        )


def _sentences(documents: Iterable[Document]) -> Iterator[tuple[Document, int, list[str]]]:
    """Yield each sentence with tokens: its document, its index there, and its words."""
    for document in documents:
        for index, tokens in enumerate(document.sentences or ()):
            if tokens:
                yield document, index, _words(document, tokens)


def _words(document: Document, tokens: Tokens) -> list[str]:
    return [document.covered(token) for token in tokens]


def _holds(tokens: Tokens, span: DocumentSpan) -> bool:
    return bool(tokens) and tokens[0].start <= span.start and span.end <= tokens[-1].end


def _piece(document: Document, first: int, last: int, start: int, end: int) -> Document:
    """Return sentences `first` to `last` (exclusive) of a document, whose text is that from `start` to `end`.

    The name of the piece is that of the document with the numbers of the sentences, from 1. Spans that are not within
    the piece are left out.
    """
    sentences = document.sentences or ()
    if len(sentences) == 1 and first < last:
        name, fields = document.id, document.fields
    else:
        numbers = f"{first + 1}" if last == first + 1 else f"{first + 1}-{last}"
        name = document.id if document.id is None else f"{document.id}:{numbers}"
        fields = {key: value for key, value in document.fields.items() if key != _COLUMNS}
    return dataclasses.replace(
        document,
        text=document.text[start:end],
        spans=tuple(
            dataclasses.replace(span, start=span.start - start, end=span.end - start)
            for span in document.spans
            if start <= span.start and span.end <= end
        ),
        sentences=tuple(
            tuple(dataclasses.replace(token, start=token.start - start, end=token.end - start) for token in tokens)
            for tokens in sentences[first:last]
        ),
        id=name,
        fields=fields,
        offset=document.offset + start,
    )
