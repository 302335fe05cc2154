"""Warnings about input that is not like the training file: raw text, blanks in tokens, unknown words, two gold columns."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from helpers import run_tagger
from stub_model import TAGS, stub_manifest, stub_model, stub_predictor

from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.prediction.doubts import InputDoubts

SPACES = Layout(n_columns=2, known_tags=frozenset(TAGS), written_delimiter=" ")
TABS = Layout(n_columns=2, known_tags=frozenset(TAGS), delimiter="tab")


def warnings(data: str, layout: Layout) -> list[str]:
    found: list[str] = []
    sentences = read_sentences(io.BytesIO(data.encode()), layout, path="f")
    watched = InputDoubts(stub_predictor().model.encoder, layout, "f", found.append).watch(sentences)
    assert b"".join(line for s in watched for line in s.lines) == data.encode(), "nothing is lost or changed"
    return found


@pytest.mark.parametrize("layout", [SPACES, TABS])
def test_raw_text_is_named_once(layout: Layout) -> None:
    data = "\nJordan visited New York .\nHe came back on Monday .\n"
    (warning,) = warnings(data.replace("\nHe", "\n\nHe"), layout)
    assert warning == (
        "f:2: this looks like raw text (Jordan visited New York .), expected one token on each line; pass --text, or"
        " put each token on a line of its own, and a blank line after each sentence"
    )


def test_lines_of_text_without_blank_lines_are_raw_text_too() -> None:
    (warning,) = warnings("one two three four\none two three four five\na b c d e f\n", SPACES)
    assert warning.startswith("f:1: this looks like raw text")


@pytest.mark.parametrize(
    "data",
    [
        "EU NNP B-NP O\nrejects VBZ B-VP O\n",  # more columns than in training, but the same on each line
        "EU\nrejects\nGerman\n",
        "EU B-ORG\n",
        "",
        "\n\n",
    ],
)
def test_tokens_on_lines_of_their_own_are_not_raw_text(data: str) -> None:
    assert not warnings(data, SPACES)


def test_a_bare_line_with_a_blank_is_one_token_among_tabs_and_said_once() -> None:
    (warning,) = warnings("Olek\nlives\nin\nSan Porto\nor\nNew York\n.\n", TABS)
    assert warning == (
        "f:4: 2 of the first 7 lines hold blanks but no TAB, such as 'San Porto': each is read as one token, because only TABs"
        " separate columns; if spaces do, pass --delimiter auto"
    )
    assert not warnings("New York\tB-LOC\nis\tO\n", TABS), "a TAB shows that the blank belongs to the token"


def test_many_unknown_tokens_are_said() -> None:
    (warning,) = warnings("EU\n" * 49 + "Unbekannt\n" * 51, SPACES)
    assert warning.startswith("f: 51 of the first 100 tokens are not in the model's vocabulary, expected fewer than")
    assert not warnings("EU\n" * 50 + "Unbekannt\n" * 50, SPACES)
    assert not warnings("Unbekannt\n" * 99, SPACES), "too few to prove anything"


def test_predict_and_eval_warn_on_standard_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gold").write_text("EU\tB-ORG\tB-ORG\nrejects\tO\tO\n")
    with stub_model(stub_manifest(SPACES)):
        result = run_tagger("predict", stdin=b"Jordan visited New York .\n")
        assert result.errors.startswith("warning: <standard input>:1: this looks like raw text")
        assert result.output == b"Jordan visited New York . O\n"
        result = run_tagger("eval", "gold")
    assert result.errors == (
        "warning: gold: the tag column (tag: -1) is taken as gold; the column before it also holds tags of the model,"
        " and the two are equal on every line: is one of them a prediction?; pass --columns to choose the gold column,"
        " as in token=0,tag=1\n"
    )


def test_eval_names_its_gold_column_if_another_holds_tags_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gold").write_text("EU\tB-ORG\tO\nrejects\tO\tO\nGerman\tB-MISC\tB-MISC\n")
    with stub_model(stub_manifest(SPACES)):
        assert (
            "is taken as gold; the column before it also holds tags of the model; pass"
            in run_tagger("eval", "gold").errors
        )
        assert "the column after it" in run_tagger("eval", "gold", "--columns", "token=0,tag=1").errors
    Path("gold").write_text("EU\tNNP\tB-ORG\nrejects\tVBZ\tO\n")
    with stub_model(stub_manifest(SPACES)):
        assert run_tagger("eval", "gold").errors == ""
