"""What one model gets right and another one wrong."""

from __future__ import annotations

from tagger.evaluation.evaluate import GoldSentence
from tagger.prediction.predictor import TaggedSentence
from tagger.report.comparison import MODEL_WRONG, ONLY_MODEL, ONLY_OTHER, OTHER_WRONG, Difference, Shared


def sentence(gold: str, predicted: str) -> GoldSentence:
    tags = gold.split()
    tokens = [f"t{i}" for i in range(len(tags))]
    return GoldSentence("f", list(range(1, len(tags) + 1)), tokens, tags, TaggedSentence(predicted.split(), []))


def test_gold_spans_are_counted_by_who_finds_them() -> None:
    difference = Difference()
    gold = "B-X O B-X O B-Y O B-Y"
    listed = difference.add(
        sentence(gold, "B-X O B-X O B-X O O"),
        sentence(gold, "B-X O O O B-Y B-Y O"),
    )
    assert listed is not None
    assert difference.shared == {
        "X": Shared(both=1, only_model=1, only_other=0, neither=0),
        "Y": Shared(both=0, only_model=0, only_other=1, neither=1),
    }
    assert difference.wrong == {MODEL_WRONG: 1, OTHER_WRONG: 1}
    assert listed.labels == {(ONLY_MODEL, "X"), (ONLY_OTHER, "Y"), (MODEL_WRONG, "X"), (OTHER_WRONG, "Y")}
    assert [line.side for line in listed.lines] == ["gold", "this model", "the other"]
    assert [piece.note for piece in listed.lines[1].pieces if piece.type] == ["", "", "wrong"]


def test_equal_mistakes_are_no_difference() -> None:
    difference = Difference()
    assert difference.add(sentence("B-X O", "O B-Y"), sentence("B-X O", "O B-Y")) is None
    assert difference.add(sentence("O O", "O O"), sentence("O O", "O O")) is None
    assert difference.shared == {"X": Shared(neither=1)}
    listed = difference.add(sentence("O B-X", "O B-X"), sentence("O B-X", "O O"))
    assert listed is not None
    assert (listed.number, listed.place) == (3, "f:1")
