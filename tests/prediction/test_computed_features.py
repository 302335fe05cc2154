"""A model with lists, clusters and subwords predicts what one predicts that reads the same values from columns of the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")  # TensorFlow builds the models; nothing here predicts with it

from small_models import random_sentences, save_small_model

from tagger.api import Tagger
from tagger.inputs.clusters import Clusters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.subwords import END, Subwords
from tagger.inputs.word_lists import WordLists
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.stream import tag_conll

pytestmark = pytest.mark.tensorflow

PHRASES = ["w1", "w2 w3", "w4 w205", *(f"w{i}" for i in range(150, 210, 7))]
PATHS = {f"w{i}": format(i, "08b") for i in range(3, 220, 3)}  # not w0: w7 is looked up with its digit as 0
SUBWORDS = Subwords((("w", "1"), ("0", f"5{END}")), 2)
VALUES = (
    ("O", "B", "I"),
    *(tuple(dict.fromkeys([path[:n] for path in PATHS.values()] + ["-"])) for n in (2, 5)),
    ("w", "w1"),
    (f"05{END}", *(f"{digit}{END}" for digit in "0123456789")),
)
COMPUTED = ComputedFeatures(WordLists({"x": PHRASES}), Clusters(PATHS, (2, 5)), SUBWORDS)


def columns(tokens: list[str]) -> list[list[str]]:
    """Return the values of the features, found without the classes that compute them."""
    marks = ["O"] * len(tokens)
    for i, token in enumerate(tokens):
        if " ".join(tokens[i : i + 2]) in ("w2 w3", "w4 w205"):
            marks[i : i + 2] = ["B", "I"]
        elif token in PHRASES:
            marks[i] = "B"
    clusters = ([PATHS[token][:n] if token in PATHS else "-" for token in tokens] for n in (2, 5))
    first = ["w1" if token.startswith("w1") and token != "w1" else "w" for token in tokens]
    last = [("05" if token.endswith("05") else token[-1]) + END for token in tokens]
    return [marks, *clusters, first, last]


@pytest.mark.parametrize("network", [{}, {"decoder": "crf", "characters": "cnn", "casing": True}])
def test_computed_features_are_those_of_columns(tmp_path: Path, network: dict[str, object]) -> None:
    of_file = save_small_model(tmp_path / "file", features=tuple("abcde"), values=VALUES, **network)
    of_tokens = save_small_model(tmp_path / "tokens", values=VALUES, computed=COMPUTED, **network)
    sentences = [*random_sentences(60), ["w2", "w3", "w4", "w205", "w1"], ["w2"], ["w3"]]
    assert {mark for tokens in sentences for mark in columns(tokens)[0]} == {"O", "B", "I"}
    assert {subword for tokens in sentences for subword in columns(tokens)[4]} == set(VALUES[4])
    expected = load_predictor(of_file).logits(sentences, [columns(tokens) for tokens in sentences])
    found = load_predictor(of_tokens).logits(sentences)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(a, b)
    tagger = Tagger.load(of_tokens)
    assert tagger.features == ()
    written = [list(zip(tokens, *columns(tokens), strict=True)) for tokens in sentences]
    expected_tags = [one.tags for one in Tagger.load(of_file).tag(written)]
    assert [one.tags for one in tagger.tag(sentences)] == expected_tags
    assert [one.tags for one in tagger.tag_stream(sentences, read_ahead=1)] == expected_tags


def test_a_long_sentence_in_chunks_needs_no_columns(tmp_path: Path) -> None:
    predictor = load_predictor(save_small_model(tmp_path / "m", values=VALUES, computed=COMPUTED, max_length=16))
    tokens = [token for sentence in random_sentences(60, longest=30) for token in sentence]
    data = "".join(f"{token}\n" for token in tokens).encode()
    layout = predictor.model.manifest.layout
    written = b"".join(tag_conll(predictor, io.BytesIO(data), layout, path="f")).decode().splitlines()
    (expected,) = predictor.tag([tokens])
    assert [line.split("\t") for line in written] == [list(pair) for pair in zip(tokens, expected.tags, strict=True)]
