"""`Tagger.tag_frame`: pandas DataFrames with one token a row."""

from __future__ import annotations

from typing import Any

import pytest
from stub_model import stub_manifest, stub_predictor

from tagger import Tagger
from tagger.corpus.layout import Layout

pd = pytest.importorskip("pandas", reason="pandas is not installed: pip install pandas")


def a_tagger() -> Tagger:
    return Tagger(stub_predictor())


def a_frame(**columns: Any) -> Any:
    tokens = ["EU", "met", "Blackburn", "Peter", "Blackburn"]
    return pd.DataFrame({"token": tokens, "sentence": [1, 1, 1, 2, 2], **columns}, index=list("eacbd"))


def test_tags_and_scores_are_those_of_the_sentences() -> None:
    frame = a_frame(n=[5, 4, 3, 2, 1])
    before = frame.copy()
    tagged = a_tagger().tag_frame(frame)
    first, second = a_tagger().tag([["EU", "met", "Blackburn"], ["Peter", "Blackburn"]])
    assert list(tagged["tag"]) == ["B-ORG", "O", "B-PER", "B-PER", "I-PER"] == [*first.tags, *second.tags]
    assert list(tagged["score"]) == [*first.scores, *second.scores]
    pd.testing.assert_frame_equal(tagged[["token", "sentence", "n"]], before)
    pd.testing.assert_frame_equal(frame, before)
    assert list(tagged.columns) == ["token", "sentence", "n", "tag", "score"]


def test_index_order_and_dtypes_stay_whatever_they_are() -> None:
    frame = a_frame(at=pd.date_range("2024-01-01", periods=5), small=pd.array([1, None, 3, 4, 5], dtype="Int8"))
    frame["token"] = frame["token"].astype("category")
    frame.index = [7, 7, 7, 0, 0]  # neither sorted nor unique
    tagged = a_tagger().tag_frame(frame)
    pd.testing.assert_frame_equal(tagged.drop(columns=["tag", "score"]), frame)
    assert list(tagged["tag"]) == ["B-ORG", "O", "B-PER", "B-PER", "I-PER"]
    assert (tagged["tag"].dtype, tagged["score"].dtype) == (pd.Series(["a"], dtype="str").dtype, "float64")


def test_names_of_columns_can_be_chosen_and_scores_left_out() -> None:
    frame = a_frame().rename(columns={"token": 0, "sentence": "Sentence #"})
    tagged = a_tagger().tag_frame(frame, token=0, sentence="Sentence #", tag=1, score=None)
    assert list(tagged.columns) == [0, "Sentence #", 1]
    assert list(tagged[1]) == ["B-ORG", "O", "B-PER", "B-PER", "I-PER"]


def test_several_columns_tell_sentences_apart() -> None:
    frame = a_frame(document=["x", "x", "y", "y", "y"], sentence=[0, 0, 0, 0, 0])
    tagged = a_tagger().tag_frame(frame, sentence=["document", "sentence"])
    # Blackburn begins a sentence, and Peter follows it.
    assert list(tagged["tag"]) == ["B-ORG", "O", "B-PER", "B-PER", "I-PER"]
    assert list(a_tagger().tag_frame(frame.iloc[3:], sentence="document")["tag"]) == ["B-PER", "I-PER"]
    frame["sentence"] = [0, 0, 0, 0, 1]
    assert list(a_tagger().tag_frame(frame, sentence=["document", "sentence"])["tag"])[-1] == "B-PER"


def test_an_empty_frame_gets_empty_columns_of_the_same_dtypes() -> None:
    full, empty = a_tagger().tag_frame(a_frame()), a_tagger().tag_frame(a_frame().iloc[:0])
    assert len(empty) == 0
    assert list(empty.dtypes) == list(full.dtypes)


def test_features_are_read_from_the_columns_of_their_names() -> None:
    manifest = stub_manifest(layout=Layout(columns={"token": 0, "pos": 1, "tag": -1}))
    seen: list[Any] = []
    tagger = Tagger(stub_predictor(manifest))
    tagger.tag = lambda sentences: seen.extend(sentences) or []  # type: ignore[method-assign,assign,func-returns-value]
    with pytest.raises(ValueError, match=r"Length of values|length"):  # the replaced method returns no tags
        tagger.tag_frame(a_frame(pos=list("abcde")))
    assert seen == [[("EU", "a"), ("met", "b"), ("Blackburn", "c")], [("Peter", "d"), ("Blackburn", "e")]]
    with pytest.raises(ValueError, match="column 'pos': found none in the frame, expected one of 'token' and"):
        tagger.tag_frame(a_frame())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"token": ["a", None, "b", "c", "d"]}, r"row 1 \(index 'a'\), column 'token': found a missing value"),
        ({"token": ["a", "b", float("nan"), "c", "d"]}, r"row 2 \(index 'c'\), column 'token': found a missing value"),
        ({"sentence": [1, float("nan"), 2, 2, 2]}, r"row 1 \(index 'a'\), column 'sentence': .* with ffill\(\)"),
        (
            {"sentence": [1, 2, 2, 1, 1]},
            r"row 3 \(index 'b'\), column 'sentence': found the sentence 1 again, .* row 0",
        ),
        ({"tag": list("abcde")}, "column 'tag': found it in the frame, expected a new name"),
        ({"score": list("abcde")}, "column 'score': found it in the frame, expected a new name"),
    ],
)
def test_a_frame_that_cannot_be_read_is_an_error_that_names_row_and_column(
    columns: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        a_tagger().tag_frame(a_frame(**columns))


def test_wrong_types_and_names_are_errors() -> None:
    tagger = a_tagger()
    with pytest.raises(TypeError, match=r"row 4 \(index 'd'\), column 'token': found 5 of type int, .* astype\(str\)"):
        tagger.tag_frame(a_frame(token=["a", "b", "c", "d", 5]))
    with pytest.raises(TypeError, match="frame: found a dict, expected a pandas DataFrame"):
        tagger.tag_frame({"token": ["a"]})
    with pytest.raises(ValueError, match="column 'word': found none in the frame, expected one of 'token' and 'sent"):
        tagger.tag_frame(a_frame(), token="word")
    with pytest.raises(ValueError, match="sentence: found no column"):
        tagger.tag_frame(a_frame(), sentence=[])
    with pytest.raises(ValueError, match="score: found the name 'x', which is also that of tag="):
        tagger.tag_frame(a_frame(), tag="x", score="x")
    twice = pd.concat([a_frame(), a_frame()[["token"]]], axis=1)
    with pytest.raises(ValueError, match=r"column 'token': found 2 columns of this name, .* rename the others"):
        tagger.tag_frame(twice)
    with pytest.raises(
        ValueError, match=r"'token': found 2 columns of this name, .* all of its levels, as in \('a', 'b'\)"
    ):
        tagger.tag_frame(pd.concat({"token": a_frame()}, axis=1))
    with pytest.raises(
        ValueError, match=r"column 'sentence': found it in the index, .*frame\.reset_index\('sentence'\)"
    ):
        tagger.tag_frame(a_frame().set_index("sentence"))
    with pytest.raises(ValueError, match="column 'token': found none in the frame, expected columns of tokens and sen"):
        tagger.tag_frame(pd.DataFrame())
    with pytest.raises(TypeError, match=r"found the list \['token'\], expected the name of one column; only sentence="):
        tagger.tag_frame(a_frame(), token=["token"])
    with pytest.raises(TypeError, match=r"found the list \['x'\], expected the name of one column"):
        tagger.tag_frame(a_frame(), tag=["x"])
    with pytest.raises(ValueError, match="tag: found None, expected the name of the column of tags"):
        tagger.tag_frame(a_frame(), tag=None)


def test_a_column_that_is_there_is_an_error_before_the_tagging() -> None:
    tagger = a_tagger()
    tagger.tag = lambda sentences: pytest.fail("all sentences are tagged for nothing")  # type: ignore[method-assign,assign]
    with pytest.raises(ValueError, match="column 'score': found it in the frame, expected a new name"):
        tagger.tag_frame(a_frame(score=0.5))
    assert "tag" in a_tagger().tag_frame(a_frame(score=0.5), score=None).columns
