"""`Tagger.entities`: the entities of raw texts, as pipelines of Hugging Face return them."""

from __future__ import annotations

import numpy as np
import pytest
from stub_model import P_CHOSEN, span_probability, stub_manifest, stub_predictor

from tagger import Tagger
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.errors import DataError
from tagger.text.tokenizer import is_installed

pytestmark = pytest.mark.skipif(not is_installed(), reason="no tokenizer is installed: pip install '.[text]'")
TEXT = "EU met Peter  Blackburn. Blackburn\n\nleft"


def test_entities_by_hand() -> None:
    found = Tagger(stub_predictor()).entities(TEXT)
    assert [list(entity) for entity in found] == [["entity_group", "score", "word", "start", "end"]] * 3
    assert [(one["entity_group"], one["word"], one["start"], one["end"]) for one in found] == [
        ("ORG", "EU", 0, 2),
        ("PER", "Peter  Blackburn", 7, 23),
        ("PER", "Blackburn", 25, 34),  # in a sentence of its own
    ]
    first = ["EU", "met", "Peter", "Blackburn", "."]
    expected = [span_probability(first, 0, 1), span_probability(first, 2, 4), span_probability(["Blackburn"], 0, 1)]
    assert [one["score"] for one in found] == pytest.approx(expected)
    assert all(type(one["score"]) is float for one in found)


def test_one_text_gives_a_list_and_several_give_a_list_of_lists() -> None:
    tagger = Tagger(stub_predictor())
    assert tagger.entities([TEXT, "", "nothing", TEXT]) == [tagger.entities(TEXT), [], [], tagger.entities(TEXT)]
    assert tagger.entities(text for text in ["EU"]) == [tagger.entities("EU")]
    assert tagger.entities("") == []
    assert tagger.entities([]) == []


def test_entities_that_are_not_probable_are_left_out() -> None:
    tagger = Tagger(stub_predictor(stub_manifest(thresholds={"PER": None})))
    assert [one["entity_group"] for one in tagger.entities(TEXT)] == ["ORG"]
    assert [one["entity_group"] for one in tagger.entities(TEXT, min_probability=0)] == ["ORG", "PER", "PER"]
    assert tagger.entities(TEXT, min_probability=1) == []
    assert tagger.entities(TEXT, min_probability=np.float32(0.5))  # type: ignore[arg-type]


def test_plain_tags_are_those_of_the_tokens() -> None:
    plain = Tagger(stub_predictor(stub_manifest(notation=Notation(scheme="none"), scheme="none")))
    found = plain.entities("EU met")
    assert [(one["entity_group"], one["word"], one["start"], one["end"]) for one in found] == [
        ("B-ORG", "EU", 0, 2),
        ("O", "met", 3, 6),
    ]
    assert found[0]["score"] == pytest.approx(P_CHOSEN, abs=1e-4)


def test_offsets_count_characters_and_not_bytes() -> None:
    (entity,) = Tagger(stub_predictor()).entities("🙂 é EU")
    assert (entity["start"], entity["end"], entity["word"]) == (4, 6, "EU")
    (entity,) = Tagger(stub_predictor()).entities("\ud800 EU")  # half of a surrogate pair
    assert (entity["start"], entity["end"]) == (2, 4)


def test_wrong_arguments_are_errors() -> None:
    tagger = Tagger(stub_predictor())
    with pytest.raises(TypeError, match="text 1: found nan of type float, expected str"):
        tagger.entities(["a", float("nan")])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"text 0: found \['a'\] of type list, expected str"):
        tagger.entities([["a"]])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="texts: found a bytes, expected a text or a list of texts"):
        tagger.entities(b"a")  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="language: found 5, expected the code of a language, as in 'en', or None"):
        tagger.entities("a", language=5)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=r"min_probability: found 1\.5, expected a number from 0 to 1"):
        tagger.entities("a", min_probability=1.5)
    for found, wrong in (("NoneType", None), ("int", 5), ("bytearray", bytearray(b"a")), ("set", {"a"})):
        with pytest.raises(TypeError, match=f"texts: found a {found}, expected a text or a list of texts"):
            tagger.entities(wrong)  # type: ignore[call-overload]
    for number in ("0.5", True, float("nan"), [0.5]):
        with pytest.raises(ValueError, match=r"min_probability: found .*, expected a number from 0 to 1"):
            tagger.entities("a", min_probability=number)  # type: ignore[arg-type]
    plain = Tagger(stub_predictor(stub_manifest(notation=Notation(scheme="none"), scheme="none")))
    with pytest.raises(DataError, match=r"min_probability: found a model that predicts plain tags, .* leave it out"):
        plain.entities("a", min_probability=0.5)
    with pytest.raises(DataError, match="found 'english', expected one of"):
        tagger.entities("a", language="english")
    features = Tagger(stub_predictor(stub_manifest(layout=Layout(columns={"token": 0, "pos": 1, "tag": -1}))))
    with pytest.raises(DataError, match="found one that reads the feature columns pos, expected one that reads tokens"):
        features.entities("a")
