"""Tags gold files with one or two models, and makes the report on them."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tagger import __version__
from tagger.corpus.layout import Layout
from tagger.corpus.lines import files_of, require_regular
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import DataError
from tagger.evaluation.errors import KINDS
from tagger.evaluation.evaluate import GoldSentence, check_same_gold, tagged_gold
from tagger.evaluation.scores import Evaluation
from tagger.evaluation.significance import Comparison, compare, span_counts
from tagger.evaluation.unseen import Entities, UnseenScores
from tagger.prediction.predictor import Predictor
from tagger.report import sections
from tagger.report.analysis import Analysis
from tagger.report.comparison import DIFFERENCES, MODEL_WRONG, OTHER_WRONG, Difference
from tagger.report.history import read_history
from tagger.report.intervals import SAMPLES
from tagger.report.page import render, render_sentences
from tagger.report.sentences import ListedSentence
from tagger.report.slices import slices_of

MOST_SENTENCES = 2000  # in the list of wrong sentences
MOST_DIFFERENCES = 1000  # in the list of differences to another model
_SECTIONS = {
    "scores": "Scores",
    "curves": "Learning curves",
    "types": "Types",
    "confusion": "Confusion",
    "kinds": "Kinds",
    "parts": "Hard entities",
    "calibration": "Calibration",
    "forms": "Texts",
    "comparison": "Comparison",
    "sentences": "Wrong sentences",
}
_MOST_BYTES, _MOST_BYTES_OF_DIFFERENCES = 2_500_000, 1_500_000  # of these lists; browsers stay fast with them


@dataclasses.dataclass(frozen=True)
class Training:
    """What the training data had.

    Attributes:
        entities: their entities.
        counts: the number of times that they have each normalized token; None if they are not there.
        note: why they are not there, or empty.
    """

    entities: Entities = frozenset()
    counts: collections.Counter[str] | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Side:
    """A model with the name that the report has for it, and the layout of the gold files for it."""

    name: str
    predictor: Predictor
    layout: Layout


Tell = Callable[[str], None]


def require_model_of_spans(predictor: Predictor, option: str) -> None:
    """Raise DataError if a model, that of an option, predicts plain tags, which have no spans to report on."""
    if predictor.model.manifest.notation.scheme == NO_SCHEME:
        raise DataError(
            f"{option}: found a model of plain tags (scheme {NO_SCHEME}), expected one of spans, whose errors a report"
            " shows; use tagger eval"
        )


def read_training(predictor: Predictor, given: Sequence[str], note: Tell) -> Training:
    """Read what a model's training data had; a note takes the place of files that are no longer there.

    Raises:
        DataError: the given files cannot be read.
    """
    from tagger.evaluation.training_data import entities_of, training_corpus

    try:
        corpus = training_corpus(predictor.model, given, note)
    except DataError as error:
        if given:
            raise
        return Training(note=f"Without the training data, parts of this section are left out: {error.message}.")
    normalize = predictor.model.manifest.normalization
    counts = collections.Counter(normalize(token) for sentence in corpus.sentences for token in sentence.tokens)
    return Training(entities_of(corpus), counts)


def make_report(
    side: Side, paths: Sequence[str], training: Training, other: Side | None = None, *, note: Tell, warn: Tell
) -> bytes:
    """Return the page about a model on gold files.

    Args:
        side: the model.
        paths: the gold files.
        training: what its training data had.
        other: another model to compare it with.
        note: called with how the files were read.
        warn: called with what may be wrong with them.

    Raises:
        DataError: the files have no gold tags, their tags do not fit the model, or the models cannot be compared.
    """
    if other is not None:
        for path in paths:
            require_regular(path)
    manifest, encoder = side.predictor.model.manifest, side.predictor.model.encoder
    unseen = UnseenScores(training.entities, encoder.tokens)
    analysis = Analysis(unseen, slices_of(training.counts, manifest.normalization))
    kept: list[GoldSentence] = []
    with tagged_gold(side.predictor, list(paths), side.layout, note, warn, spans=True) as tagged:

        def wrong() -> Iterator[ListedSentence]:
            for sentence in tagged:
                if other is not None:
                    kept.append(sentence)
                if (listed := analysis.add(sentence)) is not None:
                    yield listed

        wrong_sentences = render_sentences(wrong(), KINDS, MOST_SENTENCES, _MOST_BYTES)
        evaluation = tagged.evaluation()
    against = None if other is None else _against(side, other, paths, kept, note)
    context = _context(side, paths, training, analysis, evaluation, against)
    return render(context | {"wrong": wrong_sentences})


def _context(
    side: Side,
    paths: Sequence[str],
    training: Training,
    analysis: Analysis,
    evaluation: Evaluation,
    against: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the values of the template, but for the wrong sentences."""
    manifest = side.predictor.model.manifest
    interval, intervals = analysis.intervals(list(evaluation.types))
    history = sections.history_section(read_history(side.predictor.model.directory), manifest.dev.get("epoch"))
    left_out = {"curves"} if not history["charts"] else set()
    left_out |= {"comparison"} if against is None else set()
    return {
        "version": __version__,
        "model": side.name,
        "files": ", ".join(paths),
        "sections": [(id_, name) for id_, name in _SECTIONS.items() if id_ not in left_out],
        "evaluation": evaluation,
        "overall": evaluation.overall,
        "n_predicted": analysis.schemas.overall["strict"].actual,
        "n_wrong": analysis.n_wrong,
        "interval": interval,
        "samples": SAMPLES,
        "history": history,
        "types": [(name, score, intervals[name]) for name, score in evaluation.types.items()],
        "type_chart": sections.type_chart(evaluation, interval, intervals),
        "matrix": sections.matrix_section(analysis),
        **sections.kinds_section(analysis, evaluation),
        "parts": sections.parts_section(analysis, has_training=training.counts is not None),
        "training_note": training.note,
        "calibration": sections.calibration_section(analysis, manifest),
        "forms": sections.forms_section(analysis),
        "comparison": against,
    }


def _against(side: Side, other: Side, paths: Sequence[str], kept: Sequence[GoldSentence], note: Tell) -> dict[str, Any]:
    """Return the section about another model."""
    with tagged_gold(other.predictor, list(paths), other.layout, note) as tagged:
        theirs = list(tagged)
    gold = [sentence.gold for sentence in kept], [sentence.gold for sentence in theirs]
    check_same_gold((side.predictor, other.predictor), gold, " ".join(files_of(list(paths))))
    difference = Difference()

    def differing() -> Iterator[ListedSentence]:
        for sentence, of_other in zip(kept, theirs, strict=True):
            if (listed := difference.add(sentence, of_other)) is not None:
                yield listed

    differing_sentences = render_sentences(differing(), DIFFERENCES, MOST_DIFFERENCES, _MOST_BYTES_OF_DIFFERENCES)
    return {
        "name": other.name,
        "found": _compared((side, other), (kept, theirs)),
        "shared": sorted(difference.shared.items()),
        "model_wrong": difference.wrong[MODEL_WRONG],
        "other_wrong": difference.wrong[OTHER_WRONG],
        "list": differing_sentences,
    }


def _compared(sides: tuple[Side, Side], sentences: tuple[Sequence[GoldSentence], Sequence[GoldSentence]]) -> Comparison:
    counts = [
        span_counts(
            [one.gold for one in of_side],
            [one.pred for one in of_side],
            side.predictor.model.manifest.notation.scheme,
        )
        for side, of_side in zip(sides, sentences, strict=True)
    ]
    return compare(*counts)
