"""The Python interface: `from tagger import Tagger`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from tagger.corpus.conll import Sentence
from tagger.corpus.schemes import NO_SCHEME
from tagger.frames import check_frame, check_new, sentences_of_frame, with_columns
from tagger.prediction.n_best import Alternative
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.prediction.scored_spans import ScoredSpan, scored_spans
from tagger.prediction.stream import N_UNDERWAY, READ_AHEAD_SENTENCES, tag_groups

if TYPE_CHECKING:
    import pandas as pd

    from tagger.prediction.entities import Entity, EntityFinder

__all__ = ["Alternative", "Prediction", "ScoredSpan", "Tagger", "Token"]

Token = str | Sequence[str]  # a sequence holds the token and the features that the model reads


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """The tags of a sentence of T tokens, as a model predicts them.

    Attributes:
        tags: T tags as `tagger predict` writes them, in the training file's scheme and spelling.
        scores: T fractions, the probability of each tag: its marginal probability with a CRF, otherwise that of the
            softmax.
        spans: the spans of the tags in order, read as conlleval reads them; empty if tags are plain.
        probability: the probability of all tags together; 1 for an empty sentence.
    """

    tags: list[str]
    scores: list[float]
    spans: list[ScoredSpan]
    probability: float


class Tagger:
    """A trained model, loaded into memory. Threads may share it.

        tagger = Tagger.load("models/sample")
        (prediction,) = tagger.tag([["EU", "rejects", "German", "call"]])

    The tags of a sentence do not depend on the number of threads. They depend on the other sentences only if the model
    has 8-bit weights (`output.quantize`).
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._features = predictor.model.manifest.layout.feature_names
        self._has_spans = predictor.model.manifest.notation.scheme != NO_SCHEME
        self._finder: EntityFinder | None = None

    @classmethod
    def load(cls, directory: str | os.PathLike[str], *, threads: int | None = None, device: str = "cpu") -> Tagger:
        """Load a model directory. This does not need TensorFlow.

        Args:
            directory: the model directory.
            threads: the number of batches that are computed in parallel; None uses all cores.
            device: `cpu`, or `gpu` if onnxruntime-gpu is installed.

        Raises:
            tagger.errors.ModelError: the directory is missing, incomplete, altered, or of another format.
            tagger.errors.DeviceError: the GPU cannot be used.
            ValueError: `threads` or `device` is not one of these values.
        """
        if threads is not None and (type(threads) is not int or threads < 1):
            raise ValueError(f"threads: found {threads!r}, expected a whole number from 1, or None for all cores")
        if device not in ("cpu", "gpu"):
            raise ValueError(f"device: found {device!r}, expected 'cpu' or 'gpu'")
        return cls(load_predictor(Path(directory), threads=threads, device=device))

    @property
    def tags(self) -> list[str]:
        """All tags that the model can predict, as the training file spells them."""
        return self._predictor.spelled_tags

    @property
    def features(self) -> tuple[str, ...]:
        """The feature columns that the model reads beside the tokens; most models read none."""
        return self._features

    def tag(self, sentences: Iterable[Sequence[Token]]) -> list[Prediction]:
        """Tag sentences, each a list of tokens; an empty sentence gets no tags.

        A model that reads `features` needs each token as a tuple of the token and its features, as in
        `[("EU", "NNP"), ("rejects", "VBZ")]`.

        Raises:
            TypeError: a sentence is a string instead of a list, a token is not a string, or a token with features is
                not a tuple of as many strings as the model reads.
        """
        checked = [self._columns(tokens, i) for i, tokens in enumerate(sentences)]
        tagged = self._predictor.tag(
            [tokens for tokens, *_ in checked], [features for _, *features in checked], spans=True
        )
        return [self._prediction(sentence) for sentence in tagged]

    def n_best(self, sentences: Iterable[Sequence[Token]], n: int) -> list[list[Alternative]]:
        """Return the n likeliest sequences of tags of each sentence, the best first, with their probabilities.

        Fewer are returned if a sentence has fewer legal sequences; none for an empty sentence. Sequences of the network
        that become the same tags are one, with the sum of their probabilities: if the training file has the scheme IO,
        and with a softmax.

        Raises:
            TypeError: a sentence or a token has a type that `tag` does not accept.
            ValueError: `n` is not a whole number from 1.
        """
        if type(n) is not int or n < 1:
            raise ValueError(f"n: found {n!r}, expected a whole number from 1")
        checked = [self._columns(tokens, i) for i, tokens in enumerate(sentences)]
        tokens, features = [tokens for tokens, *_ in checked], [features for _, *features in checked]
        tagged = self._predictor.tag(tokens, features, probabilities=False, n_best=n)
        return [
            [Alternative([self._predictor.spell(tag) for tag in one.tags], one.probability) for one in row.alternatives]
            for row in tagged
        ]

    def tag_stream(
        self, sentences: Iterable[Sequence[Token]], *, read_ahead: int = READ_AHEAD_SENTENCES
    ) -> Iterator[Prediction]:
        """Tag sentences as they arrive, in order, in constant memory.

        Args:
            sentences: any iterable. An exception that it raises is raised after the sentences before it are tagged.
            read_ahead: the number of sentences that are batched by length. With 1, each sentence is tagged before the
                next one is read; with more, up to three times that number are in progress.

        Raises:
            TypeError: a sentence or a token has a type that `tag` does not accept.
            ValueError: `read_ahead` is not a whole number from 1.
        """
        if type(read_ahead) is not int or read_ahead < 1:
            raise ValueError(f"read_ahead: found {read_ahead!r}, expected a whole number from 1")
        return self._stream(sentences, read_ahead)

    @overload  # a string is also an iterable of strings, but the first signature comes first
    def entities(  # type: ignore[overload-overlap]
        self, texts: str, *, language: str | None = ..., min_probability: float | None = ...
    ) -> list[Entity]: ...
    @overload
    def entities(
        self, texts: Iterable[str], *, language: str | None = ..., min_probability: float | None = ...
    ) -> list[list[Entity]]: ...
    def entities(
        self, texts: str | Iterable[str], *, language: str | None = None, min_probability: float | None = None
    ) -> list[Entity] | list[list[Entity]]:
        """Find the entities of raw texts: a list for one text, and a list of lists for several ones.

        Each entity is a dictionary with the keys of a token-classification pipeline of Hugging Face: `entity_group`,
        `score`, `word`, `start` and `end`. The texts are cut into sentences and tokens as `tagger predict` cuts them.

        Args:
            texts: a text, or several ones.
            language: the language of the texts, as in `en`; None for that of the model, or English.
            min_probability: the lowest score of an entity, from 0 to 1; None for the thresholds that `tagger threshold
                --save` stored with the model, if there are any.

        Raises:
            TypeError: a text or the language is not a string.
            ValueError: `min_probability` is not a number from 0 to 1.
            tagger.errors.DataError: the model reads feature columns, or predicts plain tags, which `min_probability`
                does not go with; the language is unknown; or the extra `text` is not installed.
        """
        from tagger.prediction.entities import EntityFinder, is_probability

        if min_probability is not None and not is_probability(min_probability):
            raise ValueError(f"min_probability: found {min_probability!r}, expected a number from 0 to 1, or None")
        if language is not None and not isinstance(language, str):
            raise TypeError(f"language: found {language!r:.60}, expected the code of a language, as in 'en', or None")
        if isinstance(texts, bytes | bytearray | Mapping | AbstractSet) or not isinstance(texts, Iterable):
            raise TypeError(f"texts: found a {type(texts).__name__}, expected a text or a list of texts")
        listed = [texts] if isinstance(texts, str) else list(texts)
        for i, text in enumerate(listed):
            if not isinstance(text, str):
                raise TypeError(f"text {i}: found {text!r:.60} of type {type(text).__name__}, expected str")
        if self._finder is None:
            self._finder = EntityFinder(self._predictor)
        found = self._finder.find(self._finder.documents(listed, language), min_probability=min_probability)
        return found[0] if isinstance(texts, str) else found

    def tag_frame(
        self,
        frame: pd.DataFrame,
        *,
        token: Hashable = "token",
        sentence: Hashable | list[Any] = "sentence",
        tag: Hashable = "tag",
        score: Hashable | None = "score",
    ) -> pd.DataFrame:
        """Tag a pandas DataFrame with one token a row; return a copy with a column of tags and one of scores.

        The rows, their order, the index and all other columns stay as they are. A sentence is a run of consecutive rows
        with equal values in the column `sentence`. A model that reads `features` reads them from the columns of these
        names.

        Args:
            frame: the tokens.
            token: the column of the tokens.
            sentence: the column that tells sentences apart, or a list of columns that do so together.
            tag: the name of the column of tags that is added.
            score: the name of the column of their probabilities that is added; None for none.

        Raises:
            TypeError: `frame` is not a DataFrame, a token is not text, or a list is given as the name of a column.
            ValueError: a column is missing, or one of the new ones is there already; a value is missing; or a sentence
                is continued after another one.
        """
        check_frame(frame)
        if tag is None:
            raise ValueError("tag: found None, expected the name of the column of tags; only score= can be None")
        if tag == score:
            raise ValueError(f"score: found the name {score!r}, which is also that of tag=, expected another one")
        check_new(frame, [tag] if score is None else [tag, score])  # before the tagging, which may take long
        together = sentence if isinstance(sentence, list) else [sentence]
        rows = sentences_of_frame(frame, [token, *self._features], together)
        sentences = rows if self._features else [[text for (text,) in row] for row in rows]
        predictions = self.tag(sentences)
        columns: dict[Hashable, tuple[list[Any], str]] = {
            tag: ([one for row in predictions for one in row.tags], "str")
        }
        if score is not None:
            columns[score] = ([one for row in predictions for one in row.scores], "float64")
        return with_columns(frame, columns)

    def _stream(self, sentences: Iterable[Sequence[Token]], read_ahead: int) -> Iterator[Prediction]:
        columns = (self._columns(tokens, i) for i, tokens in enumerate(sentences))
        # These sentences do not come from a file, so they do not have lines.
        stream = (Sentence(tokens, [], [], range(0), [], 0, features=features) for tokens, *features in columns)
        for group in tag_groups(
            self._predictor, stream, read_ahead, n_underway=0 if read_ahead == 1 else N_UNDERWAY, spans=True
        ):
            for _, tagged in group:
                yield self._prediction(tagged)

    def _columns(self, sentence: Sequence[Token], i: int) -> list[list[str]]:
        """Return the tokens of a sentence and each of its feature columns."""
        if not self._features:
            return [_checked(sentence, i)]
        tokens = _listed(sentence, i)
        names = ", ".join(("token", *self._features))
        for token in tokens:
            if not isinstance(token, tuple | list) or len(token) != 1 + len(self._features):
                raise TypeError(f"sentence {i}: found the token {token!r:.60}, expected a tuple ({names})")
        return [_checked([token[column] for token in tokens], i) for column in range(1 + len(self._features))]

    def _prediction(self, tagged: TaggedSentence) -> Prediction:
        return Prediction(
            [self._predictor.spell(tag) for tag in tagged.tags],
            tagged.probabilities,
            scored_spans(tagged) if self._has_spans else [],
            tagged.probability if tagged.tags else 1.0,
        )


def _listed(sentence: Sequence[Token], i: int) -> list[Any]:
    if isinstance(sentence, str | bytes):
        raise TypeError(f"sentence {i}: found the text {sentence[:40]!r}, expected a list of tokens; split it first")
    if isinstance(sentence, Mapping | AbstractSet) or not isinstance(sentence, Iterable):
        raise TypeError(f"sentence {i}: found a {type(sentence).__name__}, expected a list of tokens")
    return list(sentence)


def _checked(sentence: Sequence[Token], i: int) -> list[str]:
    tokens = _listed(sentence, i)
    if not set(map(type, tokens)) <= {str}:
        for token in tokens:
            if not isinstance(token, str):
                raise TypeError(f"sentence {i}: found a token of type {type(token).__name__}, expected str")
    return tokens
