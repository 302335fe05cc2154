"""Parts of the spans and their scores, computed by hand."""

from __future__ import annotations

from tagger.corpus.schemes import Span
from tagger.report.slices import Slices, slices_of

TOKENS = ["Ada", "Love", "in", "Oslo", "X"]
GOLD = [Span("PER", 0, 2), Span("LOC", 3, 4)]
PREDICTED = [Span("PER", 0, 1), Span("LOC", 3, 4), Span("ORG", 4, 5)]


def shown(slices: Slices) -> dict[str, tuple[float, float, int]]:
    return {part.name: (part.score.precision, part.score.recall, part.score.support) for part in slices.parts}


def test_spans_are_divided_by_their_length_and_that_of_their_sentence() -> None:
    of_entity, of_sentence = slices_of(None, str)
    for slices in (of_entity, of_sentence):
        slices.add(TOKENS, GOLD, PREDICTED)
    assert shown(of_entity) == {"1": (1 / 3, 1.0, 1), "2": (0.0, 0.0, 1)}
    assert shown(of_sentence) == {"1–10": (1 / 3, 0.5, 2)}
    of_sentence.add(TOKENS * 11, GOLD, GOLD)
    assert shown(of_sentence)["51 or more"] == (1.0, 1.0, 2)


def test_the_rarest_token_decides_and_is_looked_up_as_the_model_does() -> None:
    slices = slices_of({"ada": 30, "love": 1, "oslo": 200}, str.lower)[-1]
    slices.add(TOKENS, GOLD, PREDICTED)
    assert shown(slices) == {
        "0": (0.0, 0.0, 0),
        "1": (0.0, 0.0, 1),
        "21–100": (0.0, 0.0, 0),
        "101 or more": (1.0, 1.0, 1),
    }
