"""Tagging of documents of any format: their tokens are tagged, and the spans found take the place of their own."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Iterator

from tagger.corpus.conll import PAUSE, Sentence
from tagger.errors import DataError
from tagger.formats.document import Document
from tagger.model_dir.manifest import Manifest
from tagger.prediction.documents import N_BEST, Found
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.prediction.stream import N_UNDERWAY, tag_groups
from tagger.wording import listed


def require_no_features(predictor: Predictor) -> None:
    """Raise DataError if a model reads columns that documents do not have."""
    require_no_feature_columns(predictor.model.manifest)


def require_no_feature_columns(manifest: Manifest) -> None:
    """Raise DataError if a model with this manifest reads columns that documents do not have."""
    features = manifest.layout.feature_names
    if features:
        raise DataError(
            f"--model: found a model that reads the feature columns {listed(features)}, expected one that reads"
            " tokens only: this input has no such columns; give it a CoNLL file that has them"
        )


class DocumentTagger:
    """A tagger of documents, which come out in their order, each as soon as its sentences are tagged.

    Args:
        predictor: the predictor that tags the sentences.
        found: turns tags into spans.
        n_best: the number of likeliest sequences of each sentence to add as the field `nbest`.

    Attributes:
        n_replaced: the number of spans that the documents had before, which are not part of what comes out.

    Raises:
        DataError: the model reads columns that documents do not have.
    """

    def __init__(self, predictor: Predictor, found: Found, *, n_best: int = 0) -> None:
        self.n_replaced = 0
        self._n_best = n_best
        self._predictor, self._found = predictor, found
        self._waiting: collections.deque[Document] = collections.deque()
        self._tagged: collections.deque[TaggedSentence] = collections.deque()
        require_no_features(predictor)

    def tag(self, documents: Iterable[Document], *, line_buffered: bool = False) -> Iterator[list[Document]]:
        """Yield tagged documents, several at a time.

        Args:
            documents: documents with tokens.
            line_buffered: whether to tag each document before the next one is read.

        Raises:
            DataError: as `documents` does, after all whole documents before the error have been yielded.
        """
        sentences = self._sentences(documents, line_buffered)
        n_underway = 0 if line_buffered else N_UNDERWAY
        try:
            for group in tag_groups(self._predictor, sentences, n_underway=n_underway, spans=True, n_best=self._n_best):
                self._tagged.extend(tagged for _, tagged in group)
                yield list(self._complete())
        except Exception:
            yield list(self._complete())
            raise
        yield list(self._complete())

    def _sentences(self, documents: Iterable[Document], line_buffered: bool) -> Iterator[Sentence]:
        for document in documents:
            self._waiting.append(document)
            for tokens in document.sentences or ():
                yield Sentence([document.covered(token) for token in tokens], [], [], [], [], document.place.line)
            if line_buffered:
                yield PAUSE

    def _complete(self) -> Iterator[Document]:
        """Yield the first documents all of whose sentences are tagged."""
        while self._waiting and len(self._waiting[0].sentences or ()) <= len(self._tagged):
            document = self._waiting.popleft()
            self.n_replaced += len(document.spans)
            placed, spans, n_best = [], [], []
            for tokens in document.sentences or ():
                tagged = self._tagged.popleft()
                row, of_it = self._found.place(tagged, tokens)
                n_best.append(self._found.n_best(tagged))
                placed.append(row)
                spans += of_it
            fields = {**document.fields, N_BEST: n_best} if self._n_best else document.fields
            yield dataclasses.replace(document, spans=tuple(spans), sentences=tuple(placed), fields=fields)
