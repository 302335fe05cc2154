from __future__ import annotations

import dataclasses
import functools
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from seqscore.scoring import ClassificationScore, score_label_sequences

from tagger.corpus.schemes import SCHEMES, UNKNOWN, Span, convert, spans_from_tags, tags_from_spans
from tagger.evaluation.scores import Evaluation, Score, evaluate

Tags = list[list[str]]

SEQSCORE_NAMES = {"IOB1": "IOB", "IOB2": "BIO", "IOBES": "BIOES", "BILOU": "BILOU", "IO": "IO"}
PREFIXES = [("IOBES", "BIES"), ("BILOU", "BILU"), ("IOE1", "EI"), ("IOE2", "EI"), ("BIOS", "BIS"), ("BIOE", "BEI")]
WELL_FORMED = {  # regular expressions over the prefixes of one type
    "IOB2": "BI*",
    "IOE2": "I*E",
    "IOBES": "BI*E|S",
    "BILOU": "BI*L|U",
    "BIOS": "BI+|S",
    "BIOE": "BI*E|B(?![IE])",
}


def tags(*sentences: str) -> Tags:
    return [sentence.split() for sentence in sentences]


def numbers(score: Score | ClassificationScore | None) -> tuple[float, float, float]:
    assert score is not None
    return score.precision, score.recall, score.f1


def ratio(n_correct: int, n_predicted: int, n_gold: int) -> tuple[float, float, float]:
    """Compute precision, recall and F1 from counts."""
    precision = n_correct / n_predicted if n_predicted else 0.0
    recall = n_correct / n_gold if n_gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return precision, recall, f1


# Strategies are built once, because building them takes far longer than drawing from them.
@functools.cache
def any_tag(prefixes: str, types: Sequence[str] = ("PER", "LOC", "art-film")) -> st.SearchStrategy[str]:
    typed = st.sampled_from([f"{prefix}-{name}" for prefix in prefixes for name in types])
    return st.one_of(st.just("O"), typed, typed)


@functools.cache
def pairs(prefixes: str) -> st.SearchStrategy[tuple[Tags, Tags]]:
    """Draw gold and predicted tags of a few sentences; they agree in most places and may be ill-formed."""
    tag = any_tag(prefixes)
    same = tag.map(lambda one: (one, one))
    sentence = st.lists(st.one_of(same, same, st.tuples(tag, tag)), max_size=7)
    return st.lists(sentence, min_size=1, max_size=3).map(_sides)


def _sides(sentences: list[list[tuple[str, str]]]) -> tuple[Tags, Tags]:
    return [[gold for gold, _ in one] for one in sentences], [[predicted for _, predicted in one] for one in sentences]


@functools.cache
def well_formed_pairs(schemes: Sequence[str] = tuple(SCHEMES)) -> st.SearchStrategy[tuple[str, Tags, Tags]]:
    """Draw a scheme and well-formed gold and predicted tags, converted from IOB2 tags that may be ill-formed."""

    def written(scheme: str, pair: tuple[Tags, Tags]) -> tuple[str, Tags, Tags]:
        gold, predicted = ([tags_from_spans(spans_from_tags(s), len(s), scheme) for s in side] for side in pair)
        return scheme, gold, predicted

    return st.builds(written, st.sampled_from(schemes), pairs("BI"))


def assert_as_seqscore(result: Evaluation, gold: Tags, predicted: Tags, encoding: str, repair: str | None) -> None:
    expected, accuracy = score_label_sequences(predicted, gold, encoding, repair=repair)
    assert numbers(result.overall) == pytest.approx(numbers(expected), abs=1e-12)
    assert result.accuracy == pytest.approx(accuracy.accuracy, abs=1e-12)
    assert result.overall is not None
    assert result.overall.support == expected.total_ref
    assert set(result.types) == set(expected.type_scores)
    for name, score in result.types.items():
        assert numbers(score) == pytest.approx(numbers(expected.type_scores[name]), abs=1e-12)
        assert score.support == expected.type_scores[name].total_ref


# --- Lenient scores, as conlleval counts ---------------------------------------------------------------------------


@given(well_formed_pairs(tuple(SEQSCORE_NAMES)))
def test_the_scores_of_well_formed_tags_agree_with_seqscore(pair: tuple[str, Tags, Tags]) -> None:
    scheme, gold, predicted = pair
    assert_as_seqscore(evaluate(gold, predicted, scheme), gold, predicted, SEQSCORE_NAMES[scheme], None)


@pytest.mark.parametrize("scheme", ["IOB1", "IOB2"])
@given(pair=pairs("BI"))
@example(pair=(tags("I-PER I-PER O"), tags("B-PER I-PER O")))
@example(pair=(tags("O I-LOC B-PER"), tags("O B-LOC I-PER")))
def test_the_scores_of_ill_formed_tags_agree_with_seqscore_and_its_conlleval_repair(
    scheme: str, pair: tuple[Tags, Tags]
) -> None:
    gold, predicted = pair
    assert_as_seqscore(evaluate(gold, predicted, scheme), gold, predicted, SEQSCORE_NAMES[scheme], "conlleval")


@pytest.mark.parametrize(("scheme", "prefixes"), PREFIXES)
@given(data=st.data())
def test_the_scores_of_ill_formed_tags_count_their_spans(scheme: str, prefixes: str, data: st.DataObject) -> None:
    gold, predicted = data.draw(pairs(prefixes))
    gold_spans = {(i, span) for i, s in enumerate(gold) for span in spans_from_tags(s)}
    pred_spans = {(i, span) for i, s in enumerate(predicted) for span in spans_from_tags(s)}
    result = evaluate(gold, predicted, scheme)
    expected = ratio(len(gold_spans & pred_spans), len(pred_spans), len(gold_spans))
    assert numbers(result.overall) == pytest.approx(expected, abs=1e-12)


def test_scores_by_hand() -> None:
    gold = tags("B-PER I-PER O B-LOC", "B-PER O B-ORG I-ORG O")
    predicted = tags("B-PER I-PER O O", "B-PER B-PER B-ORG O O")
    result = evaluate(gold, predicted, "IOB2")
    # Gold: PER 0-2, LOC 3-4; PER 0-1, ORG 2-4. Predicted: PER 0-2; PER 0-1, PER 1-2, ORG 2-3. Correct: 2.
    assert result.overall == Score(2 / 4, 2 / 4, 1 / 2, 4)
    assert result.types == {
        "LOC": Score(0.0, 0.0, 0.0, 1),
        "ORG": Score(0.0, 0.0, 0.0, 1),
        "PER": Score(pytest.approx(2 / 3), 1.0, pytest.approx(0.8), 2),
    }
    assert list(result.types) == ["LOC", "ORG", "PER"]
    assert (result.accuracy, result.sentences, result.tokens) == (pytest.approx(6 / 9), 2, 9)


def test_precision_and_recall_are_not_swapped() -> None:
    gold, predicted = tags("B-A O O O"), tags("B-A B-A B-B O")
    assert numbers(evaluate(gold, predicted, "IOB2").overall) == pytest.approx((1 / 3, 1.0, 0.5))
    assert numbers(evaluate(predicted, gold, "IOB2").overall) == pytest.approx((1.0, 1 / 3, 0.5))
    assert numbers(evaluate(gold, predicted, "IOB2").strict) == pytest.approx((1 / 3, 1.0, 0.5))


def test_a_type_that_is_only_predicted_has_no_support() -> None:
    result = evaluate(tags("O O B-PER"), tags("B-LOC O B-PER"), "IOB2")
    assert result.types == {"LOC": Score(0.0, 0.0, 0.0, 0), "PER": Score(1.0, 1.0, 1.0, 1)}


def test_a_span_does_not_continue_in_the_next_sentence() -> None:
    result = evaluate(tags("O B-PER", "I-PER O"), tags("O B-PER", "B-PER O"), "IOB2")
    assert result.overall == Score(1.0, 1.0, 1.0, 2)


def test_untyped_spans_are_reported_under_an_underscore() -> None:
    result = evaluate(tags("B-_ I-_ O B-_"), tags("B-_ I-_ O O"), "IOB2")
    assert result.types == {"_": Score(1.0, 0.5, pytest.approx(2 / 3), 2)}
    assert numbers(result.strict) == pytest.approx((1.0, 0.5, 2 / 3))


def test_types_that_differ_by_a_hyphen_at_their_end_are_two() -> None:
    result = evaluate(tags("B-A B-A-"), tags("B-A- B-A-"), "IOB2")
    assert numbers(result.strict) == numbers(result.overall) == (0.5, 0.5, 0.5)
    assert list(result.types) == ["A", "A-"]


# --- Strict --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "gold", "predicted", "lenient", "strict"),
    [
        # An I- without its B- begins a span in conlleval, but not under strict scoring.
        ("IOB2", "B-PER I-PER O B-LOC", "I-PER I-PER O B-LOC", (2, 2, 2), (1, 1, 2)),
        ("IOB2", "B-PER I-PER O", "B-PER I-LOC O", (0, 2, 1), (0, 1, 1)),
        ("IOB2", "B-PER O", "B-PER I-LOC", (1, 2, 1), (1, 1, 1)),
        # Gold tags are not repaired either: one of the two spans remains.
        ("IOB2", "I-PER O B-LOC", "B-PER O B-LOC", (2, 2, 2), (1, 2, 1)),
        ("IOBES", "B-PER E-PER O S-LOC", "B-PER I-PER O S-LOC", (2, 2, 2), (1, 1, 2)),
        ("IOBES", "B-PER E-PER O S-LOC", "I-PER E-PER O B-LOC", (2, 2, 2), (0, 0, 2)),
        ("IOBES", "B-PER E-PER S-PER", "B-PER E-PER E-PER", (2, 2, 2), (1, 1, 2)),
        ("BILOU", "B-PER L-PER O U-LOC", "B-PER I-PER O U-LOC", (2, 2, 2), (1, 1, 2)),
        ("BILOU", "B-PER I-PER L-PER U-PER", "B-PER I-PER L-PER L-PER", (2, 2, 2), (1, 1, 2)),
        ("BIOS", "B-PER I-PER O S-LOC", "B-PER I-PER O B-LOC", (2, 2, 2), (1, 1, 2)),
        ("BIOS", "B-PER I-PER I-PER", "B-PER I-PER O", (0, 1, 1), (0, 1, 1)),
        ("BIOE", "B-PER E-PER O B-LOC", "B-PER I-PER O B-LOC", (2, 2, 2), (1, 1, 2)),
        ("IOE2", "I-PER E-PER O E-LOC", "I-PER I-PER O E-LOC", (2, 2, 2), (1, 1, 2)),
        ("IOE1", "I-PER E-PER I-PER O I-LOC", "I-PER E-PER I-PER O E-LOC", (3, 3, 3), (2, 2, 3)),
        # In IOB1 and IO, well-formed tags have the same spans under both kinds of scoring.
        ("IOB1", "I-PER I-PER B-PER O I-LOC", "I-PER I-PER B-PER O O", (2, 2, 3), (2, 2, 3)),
        ("IO", "I-PER I-PER O I-LOC", "I-PER O O I-LOC", (1, 2, 2), (1, 2, 2)),
    ],
)
def test_strict_scores_by_hand(
    scheme: str, gold: str, predicted: str, lenient: tuple[int, int, int], strict: tuple[int, int, int]
) -> None:
    result = evaluate(tags(gold), tags(predicted), scheme)
    assert numbers(result.overall) == pytest.approx(ratio(*lenient))
    assert numbers(result.strict) == pytest.approx(ratio(*strict))


def well_formed_spans(sentence: list[str], scheme: str) -> set[Span]:
    """Find only the well-formed spans, by regular expressions over the prefixes of the tags."""
    spans = set()
    for entity_type in {tag[2:] for tag in sentence if tag != "O"}:
        letters = "".join(tag[0] if tag[2:] == entity_type else "." for tag in sentence)
        spans |= {Span(entity_type, *match.span()) for match in re.finditer(WELL_FORMED[scheme], letters)}
    return spans


@pytest.mark.parametrize(
    ("scheme", "prefixes"), [("IOB2", "BI"), *(pair for pair in PREFIXES if pair[0] in WELL_FORMED)]
)
@given(data=st.data())
def test_strict_scores_count_the_well_formed_spans(scheme: str, prefixes: str, data: st.DataObject) -> None:
    gold, predicted = data.draw(pairs(prefixes))
    gold_spans = {(i, span) for i, s in enumerate(gold) for span in well_formed_spans(s, scheme)}
    pred_spans = {(i, span) for i, s in enumerate(predicted) for span in well_formed_spans(s, scheme)}
    expected = ratio(len(gold_spans & pred_spans), len(pred_spans), len(gold_spans))
    assert numbers(evaluate(gold, predicted, scheme).strict) == pytest.approx(expected, abs=1e-12)


@given(well_formed_pairs())
def test_strict_and_lenient_scores_agree_on_well_formed_tags(pair: tuple[str, Tags, Tags]) -> None:
    scheme, gold, predicted = pair
    result = evaluate(gold, predicted, scheme)
    assert numbers(result.strict) == pytest.approx(numbers(result.overall), abs=1e-12)


@given(well_formed_pairs())
def test_a_perfect_model_has_a_strict_f1_of_1_in_every_scheme(pair: tuple[str, Tags, Tags]) -> None:
    scheme, gold, _ = pair
    result = evaluate(gold, gold, scheme)
    assert numbers(result.strict) == numbers(result.overall)
    assert (result.strict is not None and result.strict.f1 == 1.0) == result.has_spans


@given(well_formed_pairs(), st.sampled_from(["IOB1", "IOB2", "IOBES", "BIOS", "IOE1"]))
def test_gold_tags_of_another_scheme_count_by_their_spans(pair: tuple[str, Tags, Tags], gold_scheme: str) -> None:
    scheme, gold, predicted = pair
    as_other = [convert(tags, scheme, gold_scheme) for tags in gold]
    assert evaluate(as_other, predicted, scheme, gold_scheme) == evaluate(gold, predicted, scheme)


def test_io_predictions_miss_the_border_between_two_spans_of_one_type() -> None:
    result = evaluate(tags("I-PER B-PER O I-LOC"), tags("I-PER I-PER O I-LOC"), "IO", "IOB1")
    assert numbers(result.overall) == numbers(result.strict) == pytest.approx(ratio(1, 2, 3))
    assert result.accuracy == 1.0, "in IO the tags are the same"


# --- Plain tags, empty input, unequal lengths ----------------------------------------------------------------------


def test_plain_tags_have_an_accuracy_and_no_spans() -> None:
    result = evaluate(tags("NN VB O", "B-x"), tags("NN NN O", "B-x"), "none")
    assert result == Evaluation(None, None, {}, 0.75, 2, 4)
    assert result.to_json() == {
        "precision": None,
        "recall": None,
        "f1": None,
        "accuracy": 0.75,
        "strict": {"precision": None, "recall": None, "f1": None},
        "types": {},
        "sentences": 2,
        "tokens": 4,
    }


@pytest.mark.parametrize("scheme", [*SCHEMES, "none"])
@pytest.mark.parametrize("sentences", [[], [[]], [[], []]])
def test_empty_input_scores_zero(scheme: str, sentences: Tags) -> None:
    nothing = None if scheme == "none" else Score(0.0, 0.0, 0.0, 0)
    assert evaluate(sentences, sentences, scheme) == Evaluation(nothing, nothing, {}, 0.0, len(sentences), 0)


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_only_outside_tags_score_zero_with_full_accuracy(scheme: str) -> None:
    zero = Score(0.0, 0.0, 0.0, 0)
    assert evaluate(tags("O O", "O"), tags("O O", "O"), scheme) == Evaluation(zero, zero, {}, 1.0, 2, 3)


@pytest.mark.parametrize("scheme", list(SCHEMES))
def test_gold_or_prediction_without_spans_scores_zero(scheme: str) -> None:
    spans = [convert(["B-PER", "I-PER", "O"], "IOB2", scheme)]
    for gold, predicted, support in ((spans, tags("O O O"), 1), (tags("O O O"), spans, 0)):
        result = evaluate(gold, predicted, scheme)
        assert result.overall == Score(0.0, 0.0, 0.0, support)
        assert numbers(result.strict) == (0.0, 0.0, 0.0)
        assert result.types == {"PER": Score(0.0, 0.0, 0.0, support)}


@pytest.mark.parametrize(
    ("gold", "predicted"), [(tags("O O"), tags("O")), (tags("O", "O"), tags("O")), (tags("O"), tags("O", "O"))]
)
def test_gold_and_predicted_tags_of_unequal_length_are_refused(gold: Tags, predicted: Tags) -> None:
    with pytest.raises(ValueError, match=r"shorter|longer"):
        evaluate(gold, predicted, "IOB2")


@pytest.mark.parametrize("scheme", ["IOB2", "IO"])
def test_sentences_may_be_any_sequences(scheme: str) -> None:
    gold, predicted = (("I-PER", "O"), ("O",)), (("I-PER", "O"), ("O",))
    as_lists = evaluate([list(s) for s in gold], [list(s) for s in predicted], scheme)
    assert evaluate(gold, predicted, scheme) == as_lists


def test_the_json_object_holds_plain_numbers() -> None:
    result = evaluate(tags("B-PER O B-LOC"), tags("B-PER O I-LOC"), "IOB2")
    assert json.loads(json.dumps(result.to_json())) == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "accuracy": pytest.approx(2 / 3),
        "strict": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)},
        "types": {
            "LOC": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
            "PER": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
        },
        "sentences": 1,
        "tokens": 3,
    }


# --- seqscore's own files ------------------------------------------------------------------------------------------


def column(path: Path) -> Tags:
    blocks = re.split(r"\n\n+", path.read_text("utf-8").strip("\n"))
    return [[line.split()[-1] for line in block.split("\n") if "DOCSTART" not in line] for block in blocks]


@pytest.mark.corpora
def test_scores_and_conversions_agree_with_the_sample_files_of_seqscore(corpora: Path) -> None:
    samples = corpora / "messy" / "seqscore" / "samples"
    invalid, repaired = (column(samples / name) for name in ("invalid.bio", "invalid_repair_conlleval.bio"))
    assert invalid != repaired
    assert [convert(convert(s, "IOB2", "IOB1"), "IOB1", "IOB2") for s in invalid] == repaired
    gold, predicted = column(samples / "reference.bio"), column(samples / "predicted.bio")
    assert gold != predicted
    assert_as_seqscore(evaluate(gold, predicted, "IOB2"), gold, predicted, "BIO", None)
    assert [convert(s, "IOBES", "IOB2") for s in column(samples / "reference.bioes")] == gold
    assert_as_seqscore(evaluate(gold, invalid, "IOB2"), gold, invalid, "BIO", "conlleval")


# --- Tokens without annotation ---------------------------------------------------------------------------------------


@given(well_formed_pairs(), st.data())
def test_scores_beside_unknown_tokens_are_those_of_what_is_known(
    pair: tuple[str, Tags, Tags], data: st.DataObject
) -> None:
    scheme, gold, predicted = pair
    hidden = [[data.draw(st.booleans()) for _ in row] for row in gold]
    partial = [
        [UNKNOWN if out else tag for tag, out in zip(row, which, strict=True)]
        for row, which in zip(gold, hidden, strict=True)
    ]
    found = evaluate(partial, predicted, scheme)
    counts: list[tuple[set[Span], set[Span]]] = []
    n_gold = n_predicted = 0
    for row, tags_, out in zip(partial, predicted, hidden, strict=True):
        spans, unclear = spans_from_tags(row), {i for i, is_out in enumerate(out) if is_out}
        edges = set(unclear)
        for span in spans:
            if {span.start - 1, span.end} & edges:
                unclear |= set(range(span.start, span.end))
        kept = [
            {span for span in some if not unclear & set(range(span.start, span.end))}
            for some in (spans, spans_from_tags(tags_))
        ]
        n_gold, n_predicted = n_gold + len(spans), n_predicted + len(spans_from_tags(tags_))
        counts.append((kept[0], kept[1]))
    n_correct, n_kept, n_kept_gold = (
        sum(len(one & other) for one, other in counts),
        sum(len(other) for _, other in counts),
        sum(len(one) for one, _ in counts),
    )
    assert numbers(found.overall) == pytest.approx(ratio(n_correct, n_kept, n_kept_gold))
    if any(map(any, hidden)):
        assert found.left_out == (n_gold - n_kept_gold, n_predicted - n_kept)
    known = [
        one == other
        for row, tags_, out in zip(gold, predicted, hidden, strict=True)
        for one, other, is_out in zip(row, tags_, out, strict=True)
        if not is_out
    ]
    assert (found.tokens, found.unknown) == (len(known), sum(map(sum, hidden)))
    assert found.accuracy == pytest.approx(sum(known) / len(known) if known else 0.0)


def test_plain_tags_are_scored_where_they_are_known() -> None:
    found = evaluate([["N", UNKNOWN, "V"]], [["N", "V", "N"]], "none")
    assert (found.accuracy, found.tokens, found.unknown) == (0.5, 2, 1)
    assert found.to_json()["not_annotated"] == {"tokens": 1, "gold_spans": 0, "predicted_spans": 0}


def test_whole_annotations_say_nothing_of_tokens_without_any() -> None:
    assert "not_annotated" not in evaluate([["O"]], [["O"]], "IOB2").to_json()


def test_scores_come_back_from_json() -> None:
    found = evaluate([["B-PER", "", "O"]], [["B-PER", "B-LOC", "O"]], "IOB2", "IOB2")
    values = json.loads(json.dumps(dataclasses.asdict(found)))
    assert Evaluation.from_values(values) == found
    del values["left_out"]
    assert Evaluation.from_values(values) == dataclasses.replace(found, left_out=(0, 0))


def test_scikit_learn_is_left_out_but_can_be_imported_later() -> None:
    # A type without a gold span makes seqeval warn.
    program = (
        "import sys; from tagger.evaluation.scores import evaluate;"
        "assert evaluate([['B-X', 'O']], [['B-X', 'B-Y']], 'IOB2').overall.precision == 0.5;"
        "assert not any(name.split('.')[0] in ('sklearn', 'scipy', 'pandas') for name in sys.modules);"
        "from sklearn.exceptions import UndefinedMetricWarning"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
