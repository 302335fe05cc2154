"""The Python interface, `from tagger import Tagger`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stub_model import P_CHOSEN, P_INSIDE, P_SECOND, TAGS, span_probability, stub_manifest, stub_predictor

import tagger
from tagger import Prediction, Tagger
from tagger.corpus.notation import Notation
from tagger.errors import ModelError

SENTENCE = ["EU", "met", "Peter", "Blackburn"]


def a_tagger(**notation: str) -> Tagger:
    return Tagger(stub_predictor(stub_manifest(notation=Notation(**{"scheme": "IOB2", **notation}))))


def test_tags_scores_and_spans_by_hand() -> None:
    prediction, empty, single = a_tagger().tag([SENTENCE, [], ("German",)])
    assert prediction.tags == ["B-ORG", "O", "B-PER", "I-PER"]
    assert prediction.scores == pytest.approx([P_CHOSEN, P_CHOSEN, P_CHOSEN, P_INSIDE], abs=1e-4)
    assert [(span.type, span.start, span.end) for span in prediction.spans] == [("ORG", 0, 1), ("PER", 2, 4)]
    assert [span.score for span in prediction.spans] == pytest.approx(
        [span_probability(SENTENCE, 0, 1), span_probability(SENTENCE, 2, 4)]
    )
    assert empty == Prediction([], [], [], 1.0)
    assert single.tags == ["B-MISC"]


def test_tags_use_the_spelling_of_the_training_file_and_spans_do_not_depend_on_it() -> None:
    spelled = a_tagger(separator="_", outside="0", prefixes={"B": "b"})
    (prediction,) = spelled.tag([SENTENCE])
    assert prediction.tags == ["b_ORG", "0", "b_PER", "I_PER"]
    assert [(span.type, span.start, span.end) for span in prediction.spans] == [("ORG", 0, 1), ("PER", 2, 4)]
    assert spelled.tags[:2] == ["0", "b_LOC"]
    (prediction,) = a_tagger(scheme="IOBES").tag([SENTENCE])
    assert prediction.tags == ["S-ORG", "O", "B-PER", "E-PER"]
    assert [(span.type, span.start, span.end) for span in prediction.spans] == [("ORG", 0, 1), ("PER", 2, 4)]


def test_tags_obey_the_constraints_and_the_score_belongs_to_the_chosen_tag() -> None:
    (prediction,) = a_tagger().tag([["Blackburn"]])
    assert prediction.tags == ["B-PER"]
    assert prediction.scores == pytest.approx([P_SECOND], abs=1e-4)
    assert prediction.spans[0].score == pytest.approx(span_probability(["Blackburn"], 0, 1))
    assert prediction.probability == pytest.approx(span_probability(["Blackburn"], 0, 1))


def test_plain_tags_have_no_spans() -> None:
    plain = Tagger(stub_predictor(stub_manifest(notation=Notation(scheme="none"), scheme="none")))
    (prediction,) = plain.tag([["Peter"]])
    assert (prediction.tags, prediction.spans) == (["B-PER"], [])
    assert plain.tags == list(TAGS)


def test_a_stream_is_tagged_in_order_with_limited_read_ahead() -> None:
    taken: list[int] = []

    def sentences() -> Iterator[list[str]]:
        for i in range(50):
            taken.append(i)
            yield ["EU"] * (i % 7)  # some are empty

    found = []
    for prediction in a_tagger().tag_stream(sentences(), read_ahead=1):
        found.append(len(prediction.tags))
        assert len(taken) == len(found), "each sentence must be tagged before the next is read"
    assert found == [i % 7 for i in range(50)]
    taken.clear()
    stream = a_tagger().tag_stream(sentences(), read_ahead=5)
    assert len(next(stream).tags) == 0
    assert len(taken) == 15
    assert [len(prediction.tags) for prediction in stream] == [i % 7 for i in range(1, 50)]


def test_text_instead_of_a_list_of_tokens_is_an_error() -> None:
    for wrong in ("EU rejects", b"EU"):
        with pytest.raises(
            TypeError, match=r"sentence 1: found the text b?'EU.*', expected a list of tokens; split it"
        ):
            a_tagger().tag([["EU"], wrong])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="sentence 0: found a token of type int, expected str"):
        list(a_tagger().tag_stream([["EU", 5]]))  # type: ignore[list-item]
    with pytest.raises(ValueError, match="read_ahead: found 0, expected a whole number from 1"):
        a_tagger().tag_stream([], read_ahead=0)


@pytest.mark.parametrize("wrong", [None, 5, {"EU": 1}, {"EU"}])
def test_a_value_that_is_not_a_sentence_is_an_error_with_its_index(wrong: object) -> None:
    with pytest.raises(TypeError, match=rf"sentence 1: found a {type(wrong).__name__}, expected a list of tokens"):
        a_tagger().tag([["EU"], wrong])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": 0}, "threads: found 0, expected a whole number from 1"),
        ({"threads": "2"}, "threads: found '2', expected"),
        ({"threads": True}, "threads: found True, expected"),
        ({"device": "tpu"}, "device: found 'tpu', expected 'cpu' or 'gpu'"),
        ({"device": "CPU"}, "device: found 'CPU', expected 'cpu' or 'gpu'"),
    ],
)
def test_options_of_load_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tagger.load("nothing", **options)


def test_a_missing_or_impossible_directory_is_a_model_error() -> None:
    with pytest.raises(ModelError, match="nothing: no such model directory"):
        Tagger.load("nothing")
    with pytest.raises(ModelError, match="cannot be opened: embedded null byte"):
        Tagger.load("a\0b")


def test_subclasses_of_str_are_tokens() -> None:
    class Token(str):
        pass

    assert a_tagger().tag([[Token("EU")]])[0].tags == ["B-ORG"]


def test_the_package_has_only_its_public_names() -> None:
    assert all(getattr(tagger, name) for name in tagger.__all__)
    with pytest.raises(AttributeError, match="module 'tagger' has no attribute 'nothing'"):
        _ = tagger.nothing  # type: ignore[attr-defined]


def test_the_n_best_sequences_against_all_of_them() -> None:
    from all_paths import all_paths
    from stub_model import TAG_OF_TOKEN, fixed_logits

    from tagger.corpus.transitions import constraints_of
    from tagger.inputs.vocabulary import N_RESERVED

    tokens = ["Peter", "Blackburn", "EU"]
    rules = constraints_of(TAGS, "IOB2")
    assert rules is not None
    paths = all_paths(fixed_logits()[[list(TAG_OF_TOKEN).index(token) + N_RESERVED for token in tokens]], rules)
    order = sorted(range(len(paths.tags)), key=lambda i: (-paths.scores[i], i))[:6]
    found, none = a_tagger().n_best([tokens, []], 6)
    assert [one.probability for one in found] == pytest.approx(paths.probabilities[order].tolist())
    assert found[0].tags == [TAGS[i] for i in paths.tags[order[0]]] == a_tagger().tag([tokens])[0].tags
    of_tags = {
        tuple(TAGS[i] for i in path): p for path, p in zip(paths.tags, paths.probabilities.tolist(), strict=True)
    }
    assert [one.probability for one in found] == pytest.approx([of_tags[tuple(one.tags)] for one in found])
    assert len({tuple(one.tags) for one in found}) == 6
    assert none == []
    (all_of_one,) = a_tagger().n_best([["EU"]], 100)
    assert len(all_of_one) == 5  # O and four kinds of B-
    assert sum(one.probability for one in all_of_one) == pytest.approx(1.0)


@pytest.mark.parametrize("n", [0, -1, 1.5, True, "2"])
def test_n_best_refuses_other_numbers(n: object) -> None:
    with pytest.raises(ValueError, match="n: found"):
        a_tagger().n_best([["EU"]], n)  # type: ignore[arg-type]
