"""The page with the suspects, shown as the report shows wrong sentences."""

from __future__ import annotations

from collections.abc import Sequence

from tagger import __version__
from tagger.corpus.dataset import Corpus
from tagger.corpus.schemes import Span
from tagger.evaluation.errors import BOTH, BOUNDARY, MADE_UP, MISSED, TYPE
from tagger.report.page import render, render_sentences
from tagger.report.sentences import ListedSentence, line_of, shown_range
from tagger.runs.suspects import Suspect

_MOST, _MOST_BYTES = 2000, 3_500_000
_KINDS = (MISSED, MADE_UP, BOUNDARY, TYPE, BOTH)


def suspects_page(suspects: Sequence[Suspect], corpus: Corpus) -> bytes:
    """Return the page.

    Args:
        suspects: the suspects, the most doubtful first.
        corpus: the training data.
    """
    listed = [_listed(rank, suspect, corpus) for rank, suspect in enumerate(suspects, start=1)]
    found = render_sentences(listed, _KINDS, _MOST, _MOST_BYTES)
    context = {
        "title": "Labels that may be wrong",
        "n": len(suspects),
        "files": corpus.path,
        "list": found,
        "version": __version__,
    }
    return render(context, "suspects.html")


def _listed(rank: int, suspect: Suspect, corpus: Corpus) -> ListedSentence:
    sentence, place = corpus.sentences[suspect.sentence], suspect.place
    spans = [*place.gold, *place.predicted]
    shown = shown_range(sentence.tokens, spans, [(place.start, place.end)])
    lines = [
        line_of("gold", sentence.tokens, place.gold, _noted(place.gold, place.kind), shown=shown),
        line_of(
            "predicted",
            sentence.tokens,
            place.predicted,
            _noted(place.predicted, place.kind),
            shown=shown,
            probabilities={} if suspect.probability is None else _each(place.predicted, suspect.probability),
        ),
    ]
    where = f"{sentence.path}:{sentence.line_number(place.start)}"
    labels = frozenset((place.kind, span.type) for span in spans)
    return ListedSentence(rank, where, lines, labels, suspect.probability)


def _noted(spans: Sequence[Span], kind: str) -> dict[tuple[int, int], str]:
    return {(span.start, span.end): kind for span in spans}


def _each(spans: Sequence[Span], probability: float) -> dict[tuple[int, int], float]:
    return {(span.start, span.end): probability for span in spans}
