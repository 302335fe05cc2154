"""The estimator of scikit-learn, in scikit-learn's own tools."""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from helpers import ROOT, needs
from served_model import write_model
from stub_model import stub_manifest, stub_predictor

from tagger import Tagger
from tagger.config.keys import Config
from tagger.corpus.labels import Labels
from tagger.corpus.notation import Notation
from tagger.errors import ConfigError, DataError, ModelError
from tagger.integrations.packed import pack

if TYPE_CHECKING:
    from tagger.integrations.scikit_learn import TaggerClassifier

pytestmark = needs("sklearn", extra="sklearn")

# scikit-learn's checks of parameters, cloning, tags and unfitted estimators. All others fit an array of numbers, [samples,
# features], which are not sentences; what they say about `fit` is tested below, with sentences.
CHECKS = [
    "check_do_not_raise_errors_in_init_or_set_params", "check_estimator_cloneable",
    "check_estimator_repr", "check_estimator_tags_renamed", "check_estimators_unfitted", "check_get_params_invariance",
    "check_mixin_order", "check_no_attributes_set_in_init", "check_parameters_default_constructible", "check_set_params",
    "check_valid_tag_types",
]  # fmt: skip
X = [["Hanna", "Berg", "left", "Bonn"], ["Peter", "left"], ["In", "Bonn"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "model")


def classifier(**parameters: Any) -> TaggerClassifier:
    from tagger.integrations.scikit_learn import TaggerClassifier

    return TaggerClassifier(**parameters)


def fitted(model: Path) -> TaggerClassifier:
    """Return an estimator as it is after a training that has given this model."""
    estimator = classifier(threads=1)
    estimator.model_ = pack(model)
    return estimator


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_of_scikit_learn_passes(name: str) -> None:
    from sklearn.utils import estimator_checks

    getattr(estimator_checks, name)("TaggerClassifier", classifier())


def test_the_model_predicts_and_scores(model: Path) -> None:
    estimator = fitted(model)
    assert estimator.predict([*X, []]) == [
        ["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "O"], ["O", "B-LOC"], [],
    ]  # fmt: skip
    assert estimator.predict([]) == []
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["O", "B-ORG"]]
    assert estimator.score(X, gold) == pytest.approx(2 * 2 / (4 + 3))
    assert estimator.evaluate(X, gold).types["LOC"].precision == 0.5
    assert estimator.score(X, estimator.predict(X)) == 1.0
    assert [span.type for span in estimator.tagger_.tag(X[:1])[0].spans] == ["PER", "LOC"]


def test_gold_tags_may_have_another_notation_but_must_fit_one(model: Path) -> None:
    estimator = fitted(model)
    assert estimator.score(X, [["B-PER", "E-PER", "O", "S-LOC"], ["S-PER", "O"], ["O", "S-LOC"]]) == 1.0
    assert estimator.score(X, [["O"] * 4, ["O"] * 2, ["O"] * 2]) == pytest.approx(3 / 8), "without spans: accuracy"
    with pytest.raises(ValueError, match=r"y\[1\]\[0\]: found the tag 'Q-PER', expected one of the scheme IOB2"):
        estimator.score(X, [["O"] * 4, ["Q-PER", "O"], ["O"] * 2])
    with pytest.raises(ValueError, match=r"y\[1\]: found 1 tag, expected 2"):
        estimator.score(X, [["O"] * 4, ["O"], ["O"] * 2])


def of_stub_model(**changes: Any) -> TaggerClassifier:
    estimator = classifier()
    estimator.model_, estimator._predictor = {}, stub_predictor(stub_manifest(**changes))
    return estimator


def test_plain_tags_are_scored_by_accuracy() -> None:
    plain = of_stub_model(notation=Notation(scheme="none"), scheme="none")
    assert plain.score([["EU", "met"], ["Peter"]], [["B-ORG", "O"], ["NNP"]]) == pytest.approx(2 / 3)
    assert plain.evaluate([["EU"]], [["B-ORG"]]).overall is None


def test_gold_labels_are_renamed_as_in_the_training() -> None:
    renaming = of_stub_model(labels=Labels(map={"PERSON": "PER"}))
    assert renaming.score([["EU", "Peter"]], [["B-ORG", "B-PERSON"]]) == 1.0


def test_a_pickled_model_is_complete_and_a_clone_has_none(model: Path, tmp_path: Path) -> None:
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    estimator = fitted(model)
    expected = estimator.predict(X)
    copy = pickle.loads(pickle.dumps(estimator))
    assert copy.predict(X) == expected
    assert copy.get_params() == estimator.get_params()
    with pytest.raises(NotFittedError):
        clone(estimator).predict(X)
    copy.save_model(tmp_path / "saved")
    assert [one.tags for one in Tagger.load(tmp_path / "saved").tag(X)] == expected
    assert pack(tmp_path / "saved") == pack(model)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine").touch()
    with pytest.raises(ModelError, match="holds mine, which is not part of a model"):
        copy.save_model(tmp_path / "other")


def test_parameters_are_keys_of_the_config_and_none_is_their_default(tmp_path: Path) -> None:
    from tagger.integrations.scikit_learn import _KEYS

    file = tmp_path / "train.conll"
    file.touch()

    def config(**parameters: Any) -> Config:
        return classifier(**parameters)._config(file, tmp_path / "model")

    default = Config.model_validate({"data": {"train": "x"}})
    plain = config()
    assert (plain.model, plain.training, plain.vocabulary) == (default.model, default.training, default.vocabulary)
    assert (plain.data.train, plain.data.dev, plain.output.model_dir) == (str(file), 0.1, str(tmp_path / "model"))
    values: dict[str, Any] = {
        "epochs": 3, "batch_size": 5, "learning_rate": 0.5, "units": 7, "layers": 1, "embedding_dim": 9, "dropout": 0.125,
        "characters": "none", "decoder": "crf", "seed": 11, "threads": 2,
    }  # fmt: skip
    assert set(values) == set(_KEYS) == set(classifier().get_params()) - {"dev", "device", "settings"}
    for name, value in values.items():
        section, key = _KEYS[name].split(".")
        assert getattr(getattr(config(**{name: value}), section), key) == value, name
    more = config(dev=None, settings={"model.casing": False, "training.clip_norm": None})
    assert (more.data.dev, more.model.casing, more.training.clip_norm) == (None, False, None)


def test_numbers_of_numpy_are_those_of_python(tmp_path: Path) -> None:
    from sklearn.model_selection import ParameterGrid

    settings = {"model.casing": np.bool_(False), "model.character_dim": np.int32(9)}
    estimator = classifier(
        units=np.int64(7), threads=np.int64(1), learning_rate=np.float32(0.25), dev=np.float32(0.25), settings=settings  # type: ignore[arg-type]
    )  # fmt: skip
    config = estimator._config(tmp_path / "train.conll", tmp_path / "model")
    assert (config.model.units, config.model.casing, config.model.character_dim) == (7, False, 9)
    assert (config.training.learning_rate, config.data.dev) == (0.25, 0.25)
    assert list(ParameterGrid({"units": np.arange(1, 3)})) == [{"units": 1}, {"units": 2}]
    assert type(ParameterGrid({"units": np.arange(1, 3)})[0]["units"]) is np.int64, "a grid gives numbers of NumPy"


def test_an_altered_model_is_an_error_that_names_no_temporary_directory(model: Path) -> None:
    estimator = fitted(model)
    estimator.model_ = {**estimator.model_, "tokens.txt": b"x"}
    with pytest.raises(ModelError, match=r"^packed model/tokens\.txt: its checksum does not match"):
        estimator.predict(X)
    estimator.model_ = {}
    with pytest.raises(ModelError, match=r"^packed model: found no manifest\.json, expected one"):
        estimator.predict(X)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"units": 0}, r"TaggerClassifier: model\.units: found 0, expected at least 1"),
        ({"device": "CPU"}, r"device: found 'CPU', expected one of auto, cpu, gpu, gpus"),
        ({"settings": {"model.unit": 3}}, r"TaggerClassifier: model\.unit: .*did you mean .*units"),
        ({"settings": {"data.train": "x"}}, r"settings: found data\.train, expected a key that does not follow from X"),
        ({"settings": {"data.columns.pos": 2}}, r"settings: found data\.columns\.pos, expected a key that does not"),
        (
            {"settings": {"model": {"casing": False}}},
            r"settings: found 'model', expected keys of the config such as mo",
        ),
        ({"settings": ["model.casing"]}, r"settings: found \['model\.casing'\], expected a dictionary of keys of the"),
        ({"settings": {"training.log": ["tensorboard"]}}, r"settings: found training\.log, whose files would be lost"),
        ({"dev": "dev.conll"}, r"dev: found 'dev\.conll', expected the share of the sentences to hold out"),
        ({"dev": True}, "dev: found True, expected the share of the sentences"),
        ({"dev": 1}, "dev: found 1, expected the share of the sentences to hold out, above 0 and below 1, or None"),
        ({"units": 3, "settings": {"model.units": 4}}, r"settings: found model\.units and also the parameter units"),
    ],
)
def test_a_wrong_parameter_is_an_error_of_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        classifier(**parameters).fit(X, [["O"] * len(tokens) for tokens in X])


@pytest.mark.tensorflow
def test_cross_validation_and_grid_search_train_real_models(caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("tensorflow")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, cross_val_score

    caplog.set_level(logging.INFO, "tagger")
    names = ["Hanna", "Peter", "Ole", "Ida"]
    sentences = [[name, verb, "Bonn", sign] for name in names for verb in ("left", "saw", "likes") for sign in ".!"]
    tags = [["B-PER", "O", "B-LOC", "O"]] * len(sentences)
    small = classifier(
        epochs=3, units=8, layers=1, embedding_dim=8, characters="none", decoder="constrained", dropout=0.0, learning_rate=0.05,
        batch_size=4, threads=1, dev=None, settings={"model.input_dropout": 0.0, "model.token_dropout": 0.0, "training.ema": None},
    )  # fmt: skip
    scores = cross_val_score(small, sentences, tags, cv=2)
    assert scores.shape == (2,)
    assert (scores > 0.4).all(), "the folds have other names, but the same places"
    assert any("dev: none; the last epoch is kept" in record.getMessage() for record in caplog.records)
    before = small.get_params()
    search = GridSearchCV(small, {"learning_rate": [1e-9, 0.05]}, cv=2).fit(sentences, tags)
    assert search.best_params_ == {"learning_rate": 0.05}
    best = search.best_estimator_
    assert best.predict([["Hanna", "saw", "Bonn", "."]]) == [["B-PER", "O", "B-LOC", "O"]]
    assert (best.n_iter_, sorted(best.classes_)) == (3, ["B-LOC", "B-PER", "I-LOC", "I-PER", "O"])
    assert search.score(sentences, tags) > 0.9
    assert small.get_params() == before
    assert not [name for name in vars(small) if name.endswith("_")], "only clones are fitted"
    assert best.predict(sentences[::-5]) == best.predict(sentences)[::-5]
    again = clone(best)
    assert again.fit(sentences, tags) is again
    assert [name for name in vars(again) if name not in before and not name.startswith("_")] == [
        "model_", "n_iter_", "classes_",
    ]  # fmt: skip
    state = dict(vars(again))
    again.predict(sentences)
    assert vars(again) == state
    same = {name: content for name, content in again.model_.items() if name in ("model.onnx", "weights.safetensors")}
    assert same == {name: best.model_[name] for name in same}, "the same seed must give the same model"
    with pytest.raises(DataError, match=r"X\[0\]\[0\]: tag 'Q' does not fit the scheme"):
        clone(small).fit(sentences, [["Q", "O", "B-LOC", "O"], *tags[1:]])


def test_without_scikit_learn_one_error_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "sklearn.py").write_text("raise ImportError")
    code = (
        "from tagger.errors import TaggerError\ntry:\n    import tagger.integrations.scikit_learn\n"
        "except TaggerError as error:\n    print(error)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == (
        "TaggerClassifier: found no scikit-learn, expected it as a base; run pip install '.[sklearn]' in a clone of"
        " tagger\n"
    )


def test_importing_the_estimator_does_not_import_tensorflow() -> None:
    code = "import sys, tagger.integrations.scikit_learn; print('tensorflow' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "False\n"
