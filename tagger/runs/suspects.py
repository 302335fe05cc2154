"""Gold labels that are probably wrong, found by models that had not seen them.

Where the prediction for a sentence and its gold labels differ, each place is one suspect: spans of both that overlap.
It is ranked by how much likelier the model finds its own reading of the place than the gold one, all other tokens of
the sentence being read as predicted: the exact ratio of the two sequences' probabilities. That ratio is near 1 for many
places, among which the probability of the predicted spans decides. Ranking labels by what models predict that were
trained without them is the idea of confident learning (Northcutt et al. 2021); that it is done for spans and not for
tokens makes one suspect of one wrong label. docs/results.md has what is found of planted errors.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from tagger.corpus.schemes import UNKNOWN, Span, spans_from_tags, tags_from_spans
from tagger.evaluation.errors import BOTH, BOUNDARY, MADE_UP, MISSED, TYPE, kind_of
from tagger.inputs.vocabulary import Ids
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.runs.crossval import OutOfFold, fold_name

# A gold label is missed where the model finds a span and the annotation has none, so the two change their roles.
_AS_LABELS = {MISSED: MADE_UP, MADE_UP: MISSED, BOUNDARY: BOUNDARY, TYPE: TYPE, BOTH: BOTH}


# So small that it decides only among ratios that are nearly equal; chosen on planted errors of one seed.
_WEIGHT_OF_SURE = 0.02


@dataclasses.dataclass(frozen=True)
class Place:
    """A place in a sentence where gold and predicted spans differ.

    Attributes:
        start, end: the index of its first token, and the one after its last token.
        gold, predicted: the spans of each side, in order; one side may have none.
    """

    start: int
    end: int
    gold: tuple[Span, ...]
    predicted: tuple[Span, ...]

    @property
    def kind(self) -> str:
        """What would be wrong with the gold label: `missed`, `made up`, `boundary`, `type` or `both`."""
        if len(self.gold) > 1 or len(self.predicted) > 1:
            return BOUNDARY if len({span.type for span in (*self.gold, *self.predicted)}) == 1 else BOTH
        kind = kind_of(self.gold[0] if self.gold else None, self.predicted[0] if self.predicted else None)
        return _AS_LABELS[str(kind)]


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A gold label that may be wrong.

    Attributes:
        sentence: the index of its sentence in the training data.
        place: where it is.
        probability: the probability of the predicted reading if either it or the gold one is right; None if the model
            does not know the gold label, because it occurs in one fold only.
        sure: the probability of the predicted spans, the least one if there are several; if none is predicted, that of
            the least sure token.
    """

    sentence: int
    place: Place
    probability: float | None
    sure: float = 1.0

    @property
    def doubt(self) -> float:
        """The number that suspects are ranked by, from 0 to 1."""
        return 0.0 if self.probability is None else self.probability * self.sure**_WEIGHT_OF_SURE


def places_of(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Place]:
    """Return the places where the spans of a sentence differ, in order: each is a group of spans that overlap."""
    both = set(gold) & set(predicted)
    differing = sorted(
        ((span, side) for side, spans in enumerate((gold, predicted)) for span in spans if span not in both),
        key=lambda found: (found[0].start, found[0].end, found[1]),
    )
    groups: list[list[tuple[Span, int]]] = []
    end = -1
    for span, side in differing:
        if span.start >= end:
            groups.append([])
        groups[-1].append((span, side))
        end = max(end, span.end)
    return [
        Place(
            min(span.start for span, _ in group),
            max(span.end for span, _ in group),
            tuple(span for span, side in group if side == 0),
            tuple(span for span, side in group if side == 1),
        )
        for group in groups
    ]


def suspects_among(
    predictor: Predictor,
    rows: Sequence[int],
    columns: Sequence[Sequence[list[str]]],
    gold_tags: Sequence[Sequence[str]],
    tagged: Sequence[TaggedSentence],
) -> Iterator[Suspect]:
    """Yield the suspects among sentences that a model was not trained on.

    Args:
        predictor: the model.
        rows: the index of each sentence in the training data.
        columns: the columns of each sentence that the model reads: tokens and features.
        gold_tags: their canonical gold tags.
        tagged: what the model predicts for them.
    """
    found: list[tuple[int, Place]] = []
    asked: list[tuple[int, list[Span]]] = []  # for each suspect, the whole sentence with the gold reading of its place
    for i, (gold, one) in enumerate(zip(gold_tags, tagged, strict=True)):
        gold_spans, predicted = spans_from_tags(gold), spans_from_tags(one.tags)
        for place in places_of(gold_spans, predicted):
            if UNKNOWN in gold[place.start : place.end]:
                continue  # there is no label that may be wrong
            kept = [span for span in predicted if span not in place.predicted]
            found.append((i, place))
            asked.append((i, sorted([*kept, *place.gold], key=lambda span: span.start)))
        if any(index == i for index, _ in found[-1:]):
            asked.append((i, predicted))  # the whole prediction, once for the sentence
            found.append((i, Place(0, 0, (), ())))
    logs = _log_probabilities(predictor, [columns[i] for i, _ in asked], [spans for _, spans in asked])
    whole = {i: log for (i, place), log in zip(found, logs, strict=True) if not (place.gold or place.predicted)}
    for (i, place), log in zip(found, logs, strict=True):
        if not (place.gold or place.predicted):
            continue
        best = whole[i]
        probability = None if log is None or best is None else 1 / (1 + math.exp(min(700.0, log - best)))
        yield Suspect(rows[i], place, probability, _sureness(tagged[i], place))


def _sureness(tagged: TaggedSentence, place: Place) -> float:
    if not place.predicted:
        return min(tagged.probabilities[place.start : place.end])
    of_spans = dict(zip(spans_from_tags(tagged.tags), tagged.span_probabilities, strict=True))
    return min(of_spans[span] for span in place.predicted)


def _log_probabilities(
    predictor: Predictor, columns: Sequence[Sequence[list[str]]], spans: Sequence[Sequence[Span]]
) -> list[float | None]:
    """Return the log-probability of each sentence's spans, or None if the model does not know one of their tags."""
    vocabulary, scheme = predictor.model.tags, predictor.model.manifest.scheme
    known = set(vocabulary.tags)
    gold: list[Ids | None] = []
    for sentence, of_it in zip(columns, spans, strict=True):
        tags = tags_from_spans(of_it, len(sentence[0]), scheme)
        gold.append(vocabulary.encode(tags) if known.issuperset(tags) else None)
    tagged = predictor.tag(
        [sentence[0] for sentence in columns],
        [sentence[1:] for sentence in columns],
        probabilities=False,
        gold=gold,
    )
    return [None if ids is None else -one.loss for ids, one in zip(gold, tagged, strict=True)]


def ranked(suspects: Sequence[Suspect]) -> list[Suspect]:
    """Return suspects with the most probable error first; those without a probability come last."""
    return sorted(
        suspects,
        key=lambda one: (one.probability is None, -one.doubt, one.sentence, one.place.start),
    )


def find_suspects(found: OutOfFold, directory: Path) -> list[Suspect]:
    """Return the suspects in the training data, in its order.

    Args:
        found: the training data, and the predictions for it.
        directory: the place of the models.
    """
    corpus, suspects = found.corpus, list[Suspect]()
    for fold in range(found.folds.k):
        rows = found.folds.inside(fold)
        predictor = load_predictor(directory / fold_name(fold))
        suspects += suspects_among(
            predictor,
            rows,
            [corpus.sentences[i].columns for i in rows],
            [corpus.tags[i] for i in rows],
            [found.tagged[i] for i in rows],
        )
    return sorted(suspects, key=lambda one: (one.sentence, one.place.start))
