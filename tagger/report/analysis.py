"""Everything that a report counts, of sentences that are added one by one."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tagger.corpus.schemes import Span, spans_from_tags
from tagger.evaluation.calibration import Bin, calibration_error, reliability
from tagger.evaluation.errors import KINDS, ConfusionMatrix, SpanError, errors_in
from tagger.evaluation.evaluate import GoldSentence
from tagger.evaluation.schemas import SchemaScores
from tagger.evaluation.unseen import UnseenScores
from tagger.report.intervals import f1_intervals
from tagger.report.sentences import ListedSentence, listed_errors
from tagger.report.slices import Slices

Interval = tuple[float, float]


@dataclasses.dataclass
class Form:
    """A text that is wrong somewhere: that of a gold span, or of a span that was made up.

    Attributes:
        kinds: the number of errors of each kind.
        mistakes: the number of errors by what was taken for what.
        n_gold: the number of gold spans that have the text, right ones too.
    """

    text: str
    kinds: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    mistakes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    n_gold: int = 0

    @property
    def n_errors(self) -> int:
        return self.kinds.total()


class Analysis:
    """The counts behind the sections of a report.

    Args:
        unseen: counts the spans by what was seen in the training data.
        slices: the other ways to divide the spans.
    """

    def __init__(self, unseen: UnseenScores, slices: Sequence[Slices]) -> None:
        self.unseen, self.slices = unseen, slices
        self.schemas, self.confusion = SchemaScores(), ConfusionMatrix()
        self.kinds = collections.Counter[tuple[str, str]]()  # by kind and type: the gold type, else the predicted one
        self.n_sentences = self.n_wrong = 0
        self._rows = list[collections.Counter[tuple[str, int]]]()  # of the sentences with spans
        self._probabilities, self._correct = list[float](), list[bool]()
        self._forms: dict[str, Form] = {}
        self._gold_texts = collections.Counter[str]()

    def add(self, sentence: GoldSentence) -> ListedSentence | None:
        """Count a sentence; return it with its errors marked if it has any."""
        self.n_sentences += 1
        gold, predicted = spans_from_tags(sentence.gold), spans_from_tags(sentence.pred)
        if not gold and not predicted:
            return None
        right = set(gold) & set(predicted)
        self.schemas.add(sentence.gold, sentence.pred)
        self.confusion.add(sentence.gold, sentence.pred)
        self.unseen.add(sentence)
        for slices in self.slices:
            slices.add(sentence.tokens, gold, predicted)
        self._rows.append(
            collections.Counter((span.type, i) for i, spans in enumerate((right, predicted, gold)) for span in spans)
        )
        self._probabilities += sentence.tagged.span_probabilities
        self._correct += [span in right for span in predicted]
        self._gold_texts.update(" ".join(sentence.tokens[span.start : span.end]) for span in gold)
        return self._add_errors(sentence, gold, predicted)

    def _add_errors(
        self, sentence: GoldSentence, gold: Sequence[Span], predicted: Sequence[Span]
    ) -> ListedSentence | None:
        errors = list(errors_in(sentence, self.n_sentences))
        if not errors:
            return None
        self.n_wrong += 1
        for error in errors:
            entity = error.gold or error.predicted
            assert entity is not None  # noqa: S101 - an error has at least one span
            self.kinds[error.kind, entity.type] += 1
            form = self._forms.setdefault(entity.text, Form(entity.text))
            form.kinds[error.kind] += 1
            form.mistakes[_mistake(error)] += 1
        place = f"{sentence.path}:{sentence.lines[0]}"
        probabilities = sentence.tagged.span_probabilities
        return listed_errors(self.n_sentences, place, sentence.tokens, gold, predicted, probabilities, errors)

    @property
    def by_kind(self) -> dict[str, int]:
        """The number of errors of each kind."""
        return {kind: sum(n for (of, _), n in self.kinds.items() if of == kind) for kind in KINDS}

    def intervals(self, types: Sequence[str]) -> tuple[Interval, Mapping[str, Interval]]:
        """Return the 95 % interval of the F1 of all spans, and of those of each type."""
        counts = np.zeros((len(self._rows), len(types), 3), np.int64)
        columns = {name: i for i, name in enumerate(types)}
        for row, of_row in enumerate(self._rows):
            for (name, i), n in of_row.items():
                counts[row, columns[name], i] = n
        counts = np.concatenate([counts.sum(axis=1, keepdims=True), counts], axis=1)
        every, *found = [(low, high) for low, high in f1_intervals(counts, self.n_sentences).tolist()]
        return every, dict(zip(types, found, strict=True))

    @property
    def reliability(self) -> list[Bin]:
        """The bins of the reliability diagram of the predicted spans."""
        return reliability(np.array(self._probabilities), np.array(self._correct, bool))

    @property
    def calibration_error(self) -> float:
        """The expected calibration error of the predicted spans."""
        return calibration_error(np.array(self._probabilities), np.array(self._correct, bool))

    def forms(self) -> Iterator[Form]:
        """Yield the texts that are wrong, those that are wrong most often first."""
        for form in sorted(self._forms.values(), key=lambda form: (-form.n_errors, form.text)):
            form.n_gold = self._gold_texts[form.text]
            yield form


def _mistake(error: SpanError) -> str:
    if error.predicted is None or error.gold is None:
        entity = error.gold or error.predicted
        return f"{entity.type if entity else ''} {error.kind}"
    if error.gold.type == error.predicted.type:
        return f"{error.gold.type} as {error.predicted.text}"
    return f"{error.gold.type} taken for {error.predicted.type}"
