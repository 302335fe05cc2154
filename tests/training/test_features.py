"""Vocabularies of computed features, and trainings with word lists, clusters and subwords."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tagger.inputs.clusters import Clusters
from tagger.inputs.computed import ComputedFeatures
from tagger.inputs.encoder import FIRST_FEATURE, Encoder
from tagger.inputs.vocabulary import UNK_ID, TokenVocabulary
from tagger.inputs.word_lists import WordLists
from tagger.training.features import build_features

SENTENCES = [(["in", "New", "York"], ["IN", "NNP", "NNP"]), (["York", "in"], ["NNP", "IN"])]
COMPUTED = ComputedFeatures(
    WordLists({"city": ["New York", "Rome City"], "none": ["Rome"]}), Clusters({"in": "00", "York": "10"}, (1, 2))
)


def encoded(sentences: list[list[str]]) -> list[list[list[int]]]:
    features = build_features(SENTENCES, 1, COMPUTED, None, list_dropout=0.5)
    encoder = Encoder(TokenVocabulary(()), features=features.vocabularies, computed=COMPUTED)
    columns = [(tokens, ["IN"] * len(tokens)) for tokens in sentences]
    return [ids[:, FIRST_FEATURE:].tolist() for ids in encoder.encode(columns).sentences]


def test_computed_columns_follow_those_of_the_file() -> None:
    features = build_features(SENTENCES, 1, COMPUTED, None, list_dropout=0.5)
    assert [column.tokens for column in features.vocabularies] == [
        ("NNP", "IN"), ("O", "B", "I"), ("O",), ("0", "1", "-"), ("00", "10", "-"),
    ]  # fmt: skip
    assert features.lists is not None
    assert (features.lists.rate, features.lists.first) == (0.5, 1)
    # The columns begin with the ids 0, 4, 9, 12 and 17. The second list has no matches, so B and I are O.
    assert features.lists.ids.tolist() == [[6, 7, 8], [11, 11, 11]]
    assert features.unknown is not None
    changed = np.flatnonzero(features.unknown != np.arange(22)).tolist()
    assert changed == [16, 21], "only what occurs once is rare: `-` twice; never the values of lists"
    assert features.unknown[[16, 21]].tolist() == [12 + UNK_ID, 17 + UNK_ID]


def test_a_sentence_by_hand_with_values_that_training_lacks() -> None:
    assert encoded([["New", "York"], [], ["Rome", "City", "in", "x"]]) == [
        [[3, 7, 11, 16, 21], [3, 8, 11, 15, 20]],
        [],
        [[3, 7, 11, 16, 21], [3, 8, 11, 16, 21], [3, 6, 11, 14, 19], [3, 6, 11, 16, 21]],
    ]


def test_vocabularies_of_an_older_model_grow() -> None:
    old = Encoder(
        TokenVocabulary(()),
        features=tuple(
            map(TokenVocabulary, (("VB",), ("O", "B"), ("O", "B"), ("1", "0", "-"), ("10", "11", "00", "-")))
        ),
        computed=COMPUTED,
    )
    features = build_features(SENTENCES, 1, COMPUTED, old, list_dropout=0.5)
    assert [column.tokens for column in features.vocabularies] == [
        ("VB", "NNP", "IN"), ("O", "B", "I"), ("O", "B"), ("1", "0", "-"), ("10", "11", "00", "-"),
    ]  # fmt: skip
    assert features.unknown is not None
    assert (features.unknown == np.arange(len(features.unknown))).all(), "what the older model knows is never rare"


# --- Trainings --------------------------------------------------------------------------------------------------------

TRAIN = "in O\nNew B-LOC\nYork I-LOC\n\nin O\nRome B-LOC\n\nYork B-LOC\nin O\n"
SMALL = "{units: 4, embedding_dim: 4, characters: none, casing: false, feature_dim: 3, layers: 1, decoder: constrained}"


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Return a function that trains a small model with settings; the working directory has lists and clusters."""
    pytest.importorskip("tensorflow")
    from tagger.cli.progress import TrainingProgress
    from tagger.config.loading import load_config
    from tagger.training.train import train

    monkeypatch.chdir(tmp_path)
    Path("train").write_text(TRAIN)
    Path("city").write_text("New York\nRome\nOslo\nLos Angeles\n")
    Path("bits").write_text("in\t00\nYork\t10\nBern\t11\n")
    Path("c.yaml").write_text(
        f"data: {{train: train, dev: train, trust: true}}\nmodel: {SMALL}\ntraining: {{epochs: 2, patience: null}}\n"
    )

    def trained(*settings: str, model: str = "model", **options: object) -> Path:
        config = load_config("c.yaml", [*settings, f"output.model_dir={model}"])
        with TrainingProgress(quiet=True) as listener:
            train(config, listener, **options)
        return Path(model)

    return trained


LISTS = ("features.lists={city: city}", "features.clusters=bits", "features.cluster_bits=[1, 2]")


@pytest.mark.tensorflow
def test_a_model_needs_no_files_of_the_user_and_uses_all_that_they_hold(trained) -> None:
    from tagger import Tagger
    from tagger.prediction.onnx_session import load_predictor

    model = trained(*LISTS)
    for name in ("city", "bits", "train"):
        Path(name).unlink()
    assert (model / "lists.txt").read_text() == "city\tNew York\ncity\tRome\ncity\tOslo\ncity\tLos Angeles\n"
    assert (model / "clusters.txt").read_text() == "in\t00\nYork\t10\nBern\t11\n"
    (manifest,) = (json.loads((model / name).read_text()) for name in ("manifest.json",))
    assert manifest["features"] == {"lists": ["city"], "ignore_case": False, "cluster_bits": [1, 2]}
    # None of these tokens is in the training data, so only lists and clusters tell them apart.
    alone = [["Oslo"], ["Kiel"], ["Bern"], ["Los"]]
    oslo, kiel, bern, los = load_predictor(model).logits(alone)
    assert not np.allclose(oslo, kiel)
    assert not np.allclose(bern, kiel)
    np.testing.assert_array_equal(los, kiel)  # the beginning of a phrase is no match
    (prediction,) = Tagger.load(model).tag([["in", "Oslo"]])
    assert len(prediction.tags) == 2


@pytest.mark.tensorflow
def test_a_training_resumes_with_the_same_lists_only(trained) -> None:
    from tagger.errors import ConfigError

    whole = trained(*LISTS, "training.epochs=3", model="whole")
    trained(*LISTS)
    Path("city").write_text("New York\nRome\nOslo\nLos Angeles\nKiel\n")  # no token of train is covered differently
    with pytest.raises(ConfigError, match=r"features: found lists\.city, clusters\.1, clusters\.2, SHA-256 .*expected"):
        trained(*LISTS, epochs_more=1)
    Path("city").rename("renamed")
    Path("renamed").write_text("New York\nRome\nOslo\nLos Angeles\n")
    again = trained("features.lists={city: renamed}", *LISTS[1:], epochs_more=1)
    for name in ("weights.safetensors", "embeddings.bin", "features.txt", "lists.txt", "model.onnx"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.tensorflow
def test_a_new_model_has_the_lists_of_the_one_it_begins_with(trained) -> None:
    from tagger.errors import ConfigError
    from tagger.training.init_from import InitFrom

    old = InitFrom(directory=trained(*LISTS, "features.ignore_case=true", model="old"))
    files = {name: (old.directory / name).read_bytes() for name in ("lists.txt", "clusters.txt", "features.txt")}
    kept = trained(init=old)
    assert {name: (kept / name).read_bytes() for name in files} == files
    assert json.loads((kept / "manifest.json").read_text())["features"]["ignore_case"] is True
    shutil.rmtree("model")
    Path("city").write_text("Kiel\n")
    changed = trained("features.lists={city: city}", init=old)
    assert (changed / "lists.txt").read_text() == "city\tKiel\n"
    assert (changed / "clusters.txt").read_bytes() == files["clusters.txt"]
    with pytest.raises(ConfigError, match=r"features\.lists: found the lists town, expected city as in the model"):
        trained("features.lists={town: city}", init=old, model="other")
    plain = InitFrom(directory=trained(model="plain"))
    assert not (plain.directory / "lists.txt").exists()
    assert "features" not in json.loads((plain.directory / "manifest.json").read_text())
    with pytest.raises(ConfigError, match=r"features\.lists: found the lists city, expected none") as error:
        trained(*LISTS, init=plain, model="other")
    assert error.value.detail == (
        "features.cluster_bits: found 1, 2, expected none as in the model; delete the keys of clusters, or use these bits",
    )


SUBWORDS = "features.subwords=6"


@pytest.mark.tensorflow
def test_a_model_reads_the_subwords_that_it_learned_from_its_training_data(trained) -> None:
    from tagger.inputs.subwords import learn_subwords
    from tagger.prediction.onnx_session import load_predictor

    model = trained(SUBWORDS, "features.lists={city: city}")
    Path("train").unlink()
    pairs = learn_subwords({"in": 3, "New": 1, "York": 2, "Rome": 1}, 6).pairs
    assert (model / "subwords.txt").read_text() == "".join(f"{one}\t{other}\n" for one, other in pairs)
    manifest = json.loads((model / "manifest.json").read_text())
    assert manifest["features"] == {"lists": ["city"], "ignore_case": False, "cluster_bits": [], "subwords": 6}
    features = [line.split("\t") for line in (model / "features.txt").read_text().splitlines()]
    assert [value for name, value in features if name == "subwords.first"] == ["in</w>", "York</w>", "N", "R"]
    assert [value for name, value in features if name == "subwords.last"] == ["in</w>", "York</w>", "w</w>", "e</w>"]
    # None of these tokens is in the training data, so only their subwords tell them apart.
    rick, bick, rice, bice = load_predictor(model).logits([["Rick"], ["Bick"], ["Rice"], ["Bice"]])
    np.testing.assert_array_equal(rick, load_predictor(model).logits([["Rack"]])[0])
    assert not np.allclose(rick, bick)
    assert not np.allclose(bice, bick)
    assert not np.allclose(rice, rick)


@pytest.mark.tensorflow
def test_subwords_stay_when_a_training_continues_or_another_begins_with_its_model(trained) -> None:
    from tagger.errors import ConfigError
    from tagger.training.init_from import InitFrom

    whole = trained(SUBWORDS, "training.epochs=3", model="whole")
    trained(SUBWORDS)
    with pytest.raises(ConfigError, match=r"features\.subwords: found 5, expected 6"):
        trained("features.subwords=5", epochs_more=1)
    again = trained(SUBWORDS, epochs_more=1)
    for name in ("weights.safetensors", "features.txt", "subwords.txt", "model.onnx"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()
    Path("train").write_text(TRAIN + "\nBern B-LOC\nBern I-LOC\nBern I-LOC\n")
    begun = trained(init=InitFrom(directory=whole), model="begun")
    assert (begun / "subwords.txt").read_bytes() == (whole / "subwords.txt").read_bytes()
    assert "subwords: 6" in (begun / "config.yaml").read_text()
    for n in (0, 9):
        with pytest.raises(ConfigError, match=rf"features\.subwords: found {n}, expected 6"):
            trained(f"features.subwords={n}", init=InitFrom(directory=whole), model="other")
    old, new = (
        [line for line in (model / "features.txt").read_text().splitlines() if line.startswith("subwords.first")]
        for model in (whole, begun)
    )
    assert new == [*old, "subwords.first\tB"]
    plain = InitFrom(directory=trained(model="plain"))
    assert not (plain.directory / "subwords.txt").exists()
    with pytest.raises(ConfigError, match=r"features\.subwords: found 6, expected 0"):
        trained(SUBWORDS, init=plain, model="other")
