"""The entities of the training data, found through the config in a model directory."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stored_model
from stub_model import TAGS, stub_manifest

from tagger.architecture import NetworkSpec
from tagger.corpus.labels import Labels
from tagger.errors import DataError, ModelError
from tagger.evaluation.training_data import training_entities
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import TagVocabulary, TokenVocabulary
from tagger.model_dir.store import Model, save_model

TRAIN = "EU\tB-ORG\nx\tO\n\nAda\tB-PER\nLove\tI-PER\nParis\tB-LOC\n\n"
FOUND = frozenset({("ORG", "EU"), ("PER", "Ada Love"), ("LOC", "Paris")})


def a_model(directory: Path, config: str, **changes: Any) -> Model[Any]:
    """Write a model directory with a config, and return its model."""
    network = dataclasses.replace(stored_model.a_manifest().network)
    spec = NetworkSpec.from_json({**network.to_json(), "characters": "none"})
    encoder, tags = Encoder(TokenVocabulary(("EU",))), TagVocabulary(TAGS)
    shapes = spec.weight_shapes(encoder.sizes(len(tags)))
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    model: Model[Any] = Model(directory, stub_manifest(network=spec, **changes), encoder, tags, weights)
    save_model(model, graph=b"graph", config=config, history="epoch\n")
    return model


def test_the_files_of_the_config_are_read_relative_to_the_model(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(TRAIN)
    (tmp_path / "two").write_text("Oslo\tB-LOC\n")
    model = a_model(tmp_path / "m", "data: {train: ../one, dev: null}\n")
    assert training_entities(model, (), print) == FOUND
    model = a_model(tmp_path / "m2", "data: {train: [../one, ../two], dev: null}\n")
    assert training_entities(model, (), print) == FOUND | {("LOC", "Oslo")}


def test_other_files_can_be_named_and_a_missing_one_says_how(tmp_path: Path) -> None:
    model = a_model(tmp_path / "m", "data: {train: ../moved, dev: null}\n")
    with pytest.raises(DataError) as caught:
        training_entities(model, (), print)
    assert caught.value.message == (
        f"{tmp_path}/moved: the config's training file is no longer there, or is not a file; pass it with --train FILE"
    )
    (tmp_path / "here").write_text(TRAIN)
    assert training_entities(model, [str(tmp_path / "here")], print) == FOUND
    with pytest.raises(DataError, match="nowhere: no such file"):
        training_entities(model, [str(tmp_path / "nowhere")], print)


def test_labels_and_formats_are_those_of_the_training(tmp_path: Path) -> None:
    rows = [{"tokens": ["EU", "x"], "ner_tags": [1, 0]}, {"tokens": ["Ada", "Love", "Paris"], "ner_tags": [2, 3, 4]}]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    names = ["O", "B-FAC", "B-PER", "I-PER", "B-LOC"]
    labels = Labels(map={"FAC": "ORG"}, keep=("ORG", "PER"))
    config = "data: {train: ../train.jsonl, dev: null}\n"
    model = a_model(tmp_path / "m", config, labels=labels, conversion={"names": names, "format": "jsonl"})
    notes: list[str] = []
    for given in ((), [str(tmp_path / "train.jsonl")]):
        assert training_entities(model, given, notes.append) == {("ORG", "EU"), ("PER", "Ada Love")}
    assert any("train.jsonl is jsonl, read by way of CoNLL" in note for note in notes)


def test_sentences_that_were_held_out_for_dev_are_not_training_data(tmp_path: Path) -> None:
    from tagger.config.loading import load_config
    from tagger.training.corpora import load_corpora

    (tmp_path / "train").write_text("".join(f"P{i}\tB-PER\nsaw\tO\nL{i % 7}\tB-LOC\n\n" for i in range(40)))
    for seed in (1, 2):
        model = a_model(tmp_path / f"m{seed}", "data: {train: ../train, dev: 0.25}\n", seed=seed)
        data = load_config(tmp_path / f"m{seed}" / "config.yaml").data
        train = load_corpora(data, seed, lambda _: None, lambda _: None).train
        found = training_entities(model, (), print)
        persons = {sentence.tokens[0] for sentence in train.sentences}
        assert {text for name, text in found if name == "PER"} == persons
        assert len(persons) == 30


def test_an_altered_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(TRAIN)
    model = a_model(tmp_path / "m", "data: {train: ../one, dev: null}\n")
    (tmp_path / "m" / "config.yaml").write_text("data: {train: ../two, dev: null}\n")
    with pytest.raises(ModelError, match=r"config\.yaml: its checksum does not match"):
        training_entities(model, (), print)
