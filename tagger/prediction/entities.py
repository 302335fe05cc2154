"""The entities of raw texts, in the form that token-classification pipelines of Hugging Face return."""

from __future__ import annotations

import itertools
import numbers
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TypedDict

from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import DataError
from tagger.formats.document import Document
from tagger.formats.tokenizing import tokenized
from tagger.formats.tokens import Tokens
from tagger.prediction.documents import Found, Thresholds
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.text.tokenizer import DEFAULT_LANGUAGE, Tokenizer, load_tokenizer
from tagger.wording import listed


class Entity(TypedDict):
    """An entity of a text, with the keys of a pipeline of Hugging Face that aggregates tokens.

    Attributes:
        entity_group: the entity type; of a model with plain tags, the tag of a token.
        score: its probability: the score of the span, or of the tag if tags are plain.
        word: the characters of the text from `start` to `end`.
        start: the index of its first character, in Unicode code points.
        end: the index after its last character.
    """

    entity_group: str
    score: float
    word: str
    start: int
    end: int


def is_probability(value: object) -> bool:
    """Return whether a value is a number from 0 to 1; True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= float(value) <= 1


class EntityFinder:
    """Finds the entities of texts, which it cuts into sentences and tokens; several threads may share it.

    Args:
        predictor: the predictor that tags the sentences.

    Attributes:
        model_language: the language that the model was trained for, or None if its config names none.
        is_plain: whether the model predicts plain tags, so that each token has an entry.

    Raises:
        DataError: the model reads feature columns, which texts do not have.
    """

    def __init__(self, predictor: Predictor) -> None:
        manifest = predictor.model.manifest
        if manifest.layout.feature_names:
            raise DataError(
                f"model: found one that reads the feature columns {listed(manifest.layout.feature_names)}, expected one"
                " that reads tokens only, as a text has no such columns; give Tagger.tag the tokens with their features"
            )
        self._predictor = predictor
        self.model_language = manifest.language
        self._thresholds = Thresholds.of_model(manifest) or Thresholds()
        self.is_plain = manifest.notation.scheme == NO_SCHEME
        self._tokenizers: dict[str, Tokenizer] = {}
        self._lock = threading.Lock()  # a tokenizer counts on having one user at a time

    def documents(self, texts: Iterable[str], language: str | None = None) -> list[Document]:
        """Return texts as documents with sentences and tokens.

        Args:
            texts: the texts.
            language: their language, as in `en`; None for that of the model, or English.

        Raises:
            DataError: there is no tokenizer for the language, or the extra `text` is not installed.
        """
        with self._lock:
            tokenizer = self._tokenizer(language or self.model_language or DEFAULT_LANGUAGE)
            return [tokenized(Document(text=text), tokenizer) for text in texts]

    def find(self, documents: Sequence[Document], *, min_probability: float | None = None) -> list[list[Entity]]:
        """Return the entities of each document, in order.

        Args:
            documents: documents with sentences.
            min_probability: the lowest score of an entity; None for the thresholds of the model, if it has any.

        Raises:
            DataError: a lowest score is given, but the model predicts plain tags.
        """
        if min_probability is not None and self.is_plain:
            raise DataError(
                "min_probability: found a model that predicts plain tags, expected one that predicts spans; leave it"
                " out"
            )
        thresholds = self._thresholds if min_probability is None else Thresholds(general=min_probability)
        rows = [
            [document.covered(token) for token in tokens]
            for document in documents
            for tokens in document.sentences or ()
        ]
        tagged = iter(self._predictor.tag(rows, spans=True))
        found = Found(self._predictor, thresholds)
        return [list(self._entities(document, tagged, found)) for document in documents]

    def _tokenizer(self, language: str) -> Tokenizer:
        if language not in self._tokenizers:
            self._tokenizers[language] = load_tokenizer(language)
        return self._tokenizers[language]

    def _entities(self, document: Document, tagged: Iterator[TaggedSentence], found: Found) -> Iterator[Entity]:
        """Yield the entities of a document, whose sentences are the next ones of `tagged`."""
        sentences = document.sentences or ()
        for tokens, one in zip(sentences, itertools.islice(tagged, len(sentences)), strict=True):
            for name, start, end, score in self._parts(tokens, one, found):
                yield Entity(entity_group=name, score=score, word=document.text[start:end], start=start, end=end)

    def _parts(self, tokens: Tokens, tagged: TaggedSentence, found: Found) -> Iterator[tuple[str, int, int, float]]:
        placed, spans = found.place(tagged, tokens)
        if self.is_plain:
            for token, probability in zip(placed, tagged.probabilities, strict=True):
                yield str(token.tag), token.start, token.end, probability
        for span in spans:
            yield span.type, span.start, span.end, float(span.probability or 0.0)
