"""Sentences from memory as a file that training reads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import needs

from tagger.corpus.dataset import load_training
from tagger.corpus.layout import Layout
from tagger.errors import ConfigError, DataError
from tagger.integrations.training_file import Rows, TrainingFile, check_together, checked_rows
from tagger.training.corpora import load_corpora

pytestmark = needs("sklearn", extra="sklearn")

LAYOUT = Layout(columns={"token": 0, "tag": 1}, delimiter="tab")
X = [
    ["EU", "met"],
    [],
    ["a b", "#", "# c", "\u3000", "\u00a0", " d ", "👩\u200d👧", "a\ufeff"],
    ["-DOCSTART", "\u2028"],
]
Y = [["B-ORG", "O"], [], ["O", "O", "O", "O", "O", "B-X", "O", "O"], ["O", "O"]]


def written(path: Path, sentences: list[list[str]], tags: list[list[str]] | None = None) -> TrainingFile:
    return TrainingFile(path / "train.conll", sentences, tags or [["O"] * len(tokens) for tokens in sentences])


def test_training_reads_exactly_the_sentences(tmp_path: Path) -> None:
    written(tmp_path, X, Y)
    corpus, *_ = load_training(str(tmp_path / "train.conll"), LAYOUT, "auto")
    assert [sentence.tokens for sentence in corpus.sentences] == [tokens for tokens in X if tokens]
    assert corpus.tags == [tags for tags in Y if tags]


@pytest.mark.parametrize("token", ["", "a\tb", "a\nb", "a\rb"])
def test_a_token_that_a_file_cannot_hold_is_an_error_with_its_place(tmp_path: Path, token: str) -> None:
    with pytest.raises(
        DataError, match=r"X\[1\]\[1\]: found .*, expected text that a line of a token, a TAB and a tag"
    ):
        written(tmp_path, [["a"], ["b", token, "c"], ["d"]])


@pytest.mark.parametrize("token", ["-DOCSTART-", "\ufeffa"])
def test_a_token_that_is_read_as_something_else_is_an_error_with_its_place(tmp_path: Path, token: str) -> None:
    with pytest.raises(DataError, match=r"X\[1\]\[1\]: found .* with the tag 'O', which is read as something else"):
        written(tmp_path, [["a"], ["b", token, "c"], ["d"]])


def test_tokens_that_look_like_a_header_or_a_prefix_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"X\[0\]\[0\]: found 'token' with the tag 'tag', which is read as something"):
        written(tmp_path, [["token", "a"], ["b"]], [["tag", "N"], ["N"]])
    with pytest.raises(DataError, match=r"X\[0\]\[0\]: found 'en:a' with the tag 'O', .* a prefix of all tokens"):
        written(tmp_path, [["en:a", "en:b"], ["en:c"]] * 20, [["O", "B-X"], ["O"]] * 20)


def test_a_tag_that_a_file_cannot_hold_is_an_error_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"y\[0\]\[1\]: found ''"):
        written(tmp_path, [["a", "b"]], [["O", ""]])
    with pytest.raises(DataError, match=r"found '\\ud800', which is not a character"):
        written(tmp_path, [["\ud800"]])


def test_no_tokens_at_all_are_an_error(tmp_path: Path) -> None:
    for none in ([], [[], []]):
        with pytest.raises(DataError, match="X: found no tokens, expected sentences to learn from"):
            written(tmp_path, none)


def test_messages_name_the_tokens_instead_of_lines(tmp_path: Path) -> None:
    file = written(tmp_path, X, Y)
    path = tmp_path / "train.conll"
    assert file.named(f"{path}:2: odd") == "X[0][1]: odd"
    assert file.named(f"{path}:4: odd, as {path}:3 and {path}:9999") == "X[2][0]: odd, as X[0][2] and X[3][2]"
    assert file.named(f"{path}: odd") == "X, y: odd"
    assert [file.named("line 5: odd"), file.named("in line 5: odd")] == ["X[2][1]: odd", "in line 5: odd"]
    with pytest.raises(ConfigError, match=r"^X\[0\]\[0\]: odd\n  X, y$"), file.errors_named():
        raise ConfigError(f"{path}:1: odd", detail=[str(path)])


WORDS = [[f"w{5 * i + j}" for j in range(5)] for i in range(60)]


@pytest.mark.parametrize(
    ("sentences", "tags", "advice"),
    [
        (WORDS[:1], [["B-X", "O", "O", "O", "O"]], "found one sentence, expected at least two .*, or set dev to None"),
        (WORDS[:2], [["B-X", "O", "O", "O", "O"], ["O"] * 5], "set dev to None to train on all sentences without"),
        (
            WORDS,
            [["O"] * 5] * 60,
            "found only the tag O, expected several; label some entities; set data.trust in setti",
        ),
        (
            WORDS,
            [["1", "2", "3", "4", "0"]] * 60,
            "set data.names in settings to the names in their order .*; set data",
        ),
        (WORDS, WORDS, "; check that y has the tags of the tokens; set data.trust in settings to True to train anyway"),
        (WORDS, [["0.5"] * 5] * 60, "expected a tag for each token; check that y has the tags of the tokens; set data"),
        ([["w"] * 5] * 500, [["B-X"] + ["O"] * 4] * 500, "among 2,500 .* at least 100; check that X has the words; if"),
        (
            [["0", "1", "2"]] * 60,
            [["B-X", "O", "O"]] * 60,
            "expected words; check that X has the words; set data.trust",
        ),
        (WORDS, [["O", "PER", "O", "O", "LOC"]] * 60, "set data.scheme in settings to IO "),
        (WORDS, [["O", "B-X|B-Y", "O", "O", "O"]] * 60, "set data.several_tags in settings to first"),
    ],
)
def test_messages_advise_what_the_user_of_an_estimator_can_do(
    tmp_path: Path, sentences: Rows, tags: Rows, advice: str
) -> None:
    from tagger.integrations.scikit_learn import TaggerClassifier

    file, told = written(tmp_path, sentences, tags), list[str]()
    data = TaggerClassifier()._config(tmp_path / "train.conll", tmp_path / "model").data
    with pytest.raises(DataError, match=advice) as caught, file.errors_named():
        load_corpora(data, 1, told.append, told.append)
    for text in (*map(file.named, told), str(caught.value)):
        assert not re.search(r"column|\bfile\b|\bline\b|train\.conll|null|data\.dev|tagger check", text), text


def test_warnings_speak_of_sentences_and_not_of_lines(tmp_path: Path) -> None:
    from tagger.integrations.scikit_learn import TaggerClassifier

    file, told = written(tmp_path, [["a"]] * 30, [["B-X"], ["O"]] * 15), list[str]()
    data = TaggerClassifier()._config(tmp_path / "train.conll", tmp_path / "model").data
    load_corpora(data, 1, told.append, told.append)
    assert "X, y: all 30 sentences have one token; a sentence is a list of all of its tokens" in map(file.named, told)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("EU met", "X: found a str, expected a list of sentences"),
        (5, "X: found a int, expected a list of sentences"),
        ([["a"], "EU"], r"X\[1\]: found 'EU', expected a list of tokens"),
        ([["a", 5]], r"X\[0\]\[1\]: found 5 of type int, expected str"),
        ([["a"], [None]], r"X\[1\]\[0\]: found None of type NoneType, expected str"),
        ({"a": ["b"]}, "X: found a dict, expected a list of sentences"),
        ([["a"], {"b", "c"}], r"X\[1\]: found \{.*\}, expected a list of tokens"),
        (np.array("a"), "X: found a ndarray, expected a list of sentences"),
    ],
)
def test_what_is_not_sentences_is_an_error_with_its_place(rows: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        checked_rows(rows, "X")


def test_tokens_and_tags_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="y: found 1 sentence, expected 2, as many as X has"):
        check_together([["a"], ["b"]], [["O"]])
    with pytest.raises(ValueError, match=r"y\[1\]: found 0 tags, expected 1, as many as X\[1\] has tokens"):
        check_together([["a"], ["b"]], [["O"], []])
