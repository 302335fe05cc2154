"""Check how spaces are read, and that each mistake in one is named with its file, line and key."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from tagger.config.loading import load_config
from tagger.errors import ConfigError
from tagger.sweep.space import Space, read_space


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def space_of(text: str) -> Space:
    Path("s.yaml").write_text(text)
    return read_space(Path("s.yaml"))


def test_keys_may_stand_alone_or_in_their_section() -> None:
    one = space_of("model.units: [100, 150]\ntraining.learning_rate: {low: 5e-4, high: 0.005, log: true}\n")
    other = space_of("model:\n  units: [100, 150]\ntraining: {learning_rate: {low: 0.0005, high: 5e-3, log: true}}\n")
    assert one.keys == other.keys
    assert [str(found) for found in one.keys.values()] == ["[100, 150]", "0.0005 to 0.005, log"]


MISTAKES = [
    ("model.unit: [1]", "s.yaml:1: model.unit: is not a known key; did you mean model.units?"),
    ("dropout: [0.1]", "s.yaml:1: dropout: is not a known key; did you mean model.dropout?"),
    ("xyz: [0.1]", "s.yaml:1: xyz: is not a known key; expected one of a config"),
    ("model: {dropuot: [0.1]}", "s.yaml:1: model.dropuot: is not a known key; did you mean model.dropout?"),
    ("model: [1]", "s.yaml:1: model: is not a known key; "),
    ("\nmodel.units: [100, 0]", "s.yaml:2: model.units: found 0, expected at least 1"),
    ("model.units: [100, 1.5]", "s.yaml:1: model.units: found 1.5, expected a whole number"),
    ("model.decoder: [crf, sofmax]", "s.yaml:1: model.decoder: found text ('sofmax'), expected 'constrained'"),
    ("model.casing: [true, 1]", "s.yaml:1: model.casing: found 1, expected true or false"),
    ("model.units: []", "s.yaml:1: model.units: found an empty list, expected at least one value"),
    ("model.units: [1, 2, 1]", "s.yaml:1: model.units: found 1 twice, expected each value once"),
    ("model.units: 100", "s.yaml:1: model.units: found 100, expected a list of values such as [100, 150], or a range"),
    ("model.decoder: {low: 1, high: 2}", "s.yaml:1: model.decoder: found a mapping, expected a list of values, because"),
    ("model.units: {lo: 1, high: 2}", "s.yaml:1: model.units: found lo in a range; did you mean low?"),
    ("model.units: {5: 1}", "s.yaml:1: model.units: found 5 in a range; expected low, high, step or log"),
    ("model.units: {low: 1}", "s.yaml:1: model.units: found a range without high, expected"),
    ("model.units: {low: 0, high: 5}", "s.yaml:1: model.units: low: found 0, expected at least 1"),
    ("model.dropout: {low: 0.2, high: 1}", "s.yaml:1: model.dropout: high: found 1, expected less than 1"),
    ("model.dropout: {low: 0.2, high: .nan}", "s.yaml:1: model.dropout: high: found .nan, expected a finite number"),
    ("model.dropout: {low: 0.2, high: x}", "s.yaml:1: model.dropout: high: found text ('x'), expected a number"),
    ("training.patience: {low: 2, high: auto}", "s.yaml:1: training.patience: high: found text ('auto'), expected a number"),
    ("training.epochs: {low: 0, high: 5}", "s.yaml:1: training.epochs: low: found 0, expected at least 1"),
    ("\ntraining.epochs: [0]", "s.yaml:2: training.epochs: found 0, expected at least 1, or null"),
    ("training.epochs: {low: null, high: 5}", "s.yaml:1: training.epochs: low: found nothing, expected a number"),
    ("model.dropout: [0, 0.2, 0.0]", "s.yaml:1: model.dropout: found 0.0 twice, expected each value once"),
    ("model.units: {low: 5, high: 5}", "s.yaml:1: model.units: found 5 as low and as high, expected low below high; for one value, write [5]"),
    ("model.dropout: {low: 0.1, high: 0.3, step: 0.5}", "s.yaml:1: model.dropout: step: found 0.5, expected at most 0.2, the"),
    ("model.dropout: {low: 0.1, high: 0.35, step: 1.0e-320}", "s.yaml:1: model.dropout: step: found 1e-320, expected at most 1000000 steps"),
    ("model.units: {low: 9, high: 5}", "s.yaml:1: model.units: found low 9 and high 5, expected low below high"),
    ("model.units: {low: 1, high: 5, step: 0.5}", "s.yaml:1: model.units: step: found 0.5, expected a whole number above 0"),
    ("model.dropout: {low: 0, high: 0.5, step: 0}", "s.yaml:1: model.dropout: step: found 0, expected a number above 0"),
    ("model.dropout: {low: 0.2, high: 0.65, step: 0.1}", "high: found 0.65, which steps of 0.1 from 0.2 do not reach, expected one that they do, such as 0.6"),
    ("model.dropout: {low: 0, high: 0.5, log: true}", "s.yaml:1: model.dropout: low: found 0 with log, expected more than 0"),
    ("model.units: {low: 1, high: 5, log: 3}", "s.yaml:1: model.units: log: found 3, expected true or false"),
    ("model.units: {low: 1, high: 5, log: true, step: 2}", "s.yaml:1: model.units: found log with step, expected one"),
    ("embeddings.path: [null, none.txt]", "none.txt, expected one that is there; check the path"),
    ("features.lists: [{}, {a: none.txt}]", "s.yaml:1: features.lists: found no file "),
    ("data.dev: [0.1, 0.2]", "s.yaml:1: data.dev: found it in the space, expected keys that change what is learned: scores on"),
    ("training.seed: [1, 2]", "s.yaml:1: training.seed: found it in the space, expected keys that change what is learned: a lucky"),
    ("output.model_dir: [a]", "s.yaml:1: output.model_dir: found it in the space"),
    ("", "s.yaml: found nothing, expected keys with the values to try, such as model.units: [100, 150, 200]"),
    ("{}", "s.yaml: found no keys, expected keys with the values to try"),
    ("- 1", "s.yaml: found a list, expected keys with the values to try"),
    ("a: [", ": not valid YAML"),
    ("model.units: [1]\nmodel: {units: [2]}", "s.yaml:2: found the key model.units, which is also on line 1"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_each_mistake_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(f"{text}\n" if text else "")
    assert message in caught.value.message


def test_json_is_yaml() -> None:
    Path("s.json").write_text('{"model.units": [5, 7]}\n')
    assert read_space(Path("s.json")).size == 2
    Path("s.json").write_text('{"model.units": [5, 7}\n')
    with pytest.raises(ConfigError, match=r"^s.json:1: not valid YAML"):
        read_space(Path("s.json"))


@pytest.mark.parametrize("more", ["", ", log: true", ", step: null"])
def test_whole_numbers_can_be_listed(more: str) -> None:
    space = space_of(f"model.units: {{low: 3, high: 6{more}}}\n")
    assert [space.values(space.at(i))["model.units"] for i in range(space.size or 0)] == [3, 4, 5, 6]


def test_a_combination_by_its_number_is_that_of_the_product() -> None:
    space = space_of(
        "model.units: [5, 7]\nmodel.dropout: {low: 0.1, high: 0.3, step: 0.1}\nmodel.layers: {low: 1, high: 2}\n"
    )
    assert space.size == 12
    found = [tuple(space.values(space.at(i)).values()) for i in range(12)]
    assert found == list(itertools.product([5, 7], [0.1, 0.2, 0.3], [1, 2]))


def test_a_range_without_an_end_of_values_has_no_size() -> None:
    space = space_of("model.units: [5, 7]\nmodel.dropout: {low: 0.1, high: 0.3}\n")
    assert (space.size, space.endless()) == (None, "model.dropout")
    assert space_of("model.units: {low: 1, high: 8000}\nmodel.layers: [1]\n").size == 8000


def test_drawn_numbers_are_on_their_step_or_have_four_digits() -> None:
    keys = space_of(
        "model.dropout: {low: 0.2, high: 0.6, step: 0.1}\nmodel.units: {low: 10, high: 99, log: true}\n"
        "training.learning_rate: {low: 0.0012344, high: 0.01}\n"
    ).keys
    assert keys["model.dropout"].value(0.30000000000000004) == 0.3
    assert keys["model.units"].value(17) == 17
    assert keys["training.learning_rate"].value(0.0023456789) == 0.002346
    assert keys["training.learning_rate"].value(0.00123441) == 0.0012344  # never below the range


def test_the_values_of_a_config_are_found_in_the_space() -> None:
    space = space_of(
        "model.decoder: [crf, constrained]\nmodel.dropout: {low: 0.2, high: 0.6, step: 0.1}\ntraining.epochs: [null, 5]\n"
    )
    Path("c.yaml").write_text("data: {train: train}\n")
    config = load_config("c.yaml")
    assert space.of(config) == {"model.decoder": "crf", "model.dropout": 0.5, "training.epochs": "null"}
    assert space.values(space.of(config) or {}) == {
        "model.decoder": "crf",
        "model.dropout": 0.5,
        "training.epochs": None,
    }
    for other in ("model.dropout=0.25", "model.dropout=0.7", "model.decoder=softmax"):
        assert space.of(load_config("c.yaml", [other])) is None, other
    space = space_of("vocabulary.lowercase: [false, true]\n")
    assert space.of(config) == {"vocabulary.lowercase": "true"}
    assert space.of(load_config("c.yaml", ["model.characters=none"])) == {"vocabulary.lowercase": "false"}
    space = space_of("vocabulary.lowercase: [null, true]\n")
    assert space.of(config) == {"vocabulary.lowercase": "null"}
    space = space_of("model.dropout: [0, 0.2]\n")
    assert space.of(load_config("c.yaml", ["model.dropout=0"])) == {"model.dropout": "0"}
    space = space_of("model.units: {low: 50, high: 250, step: 50}\n")
    assert space.of(config) == {"model.units": 150}
    assert space.of(load_config("c.yaml", ["model.units=160"])) is None


def test_paths_are_relative_to_the_space() -> None:
    Path("in").mkdir()
    Path("in/v.txt").write_text("a 1\n")
    Path("in/s.yaml").write_text("embeddings.path: [null, v.txt]\n")
    Path("c.yaml").write_text("data: {train: train}\nmodel: {units: 7}\n")
    space = read_space(Path("in/s.yaml"))
    names = [space.keys["embeddings.path"].value(space.at(i)["embeddings.path"]) for i in range(2)]
    assert names == [None, str(Path("in/v.txt").absolute())]
    found = space.apply(load_config("c.yaml"), {"embeddings.path": names[1], "model.layers": 1})
    assert (found.embeddings.path, found.model.units, found.model.layers) == (names[1], 7, 1)
    assert found.data.train == str(Path("train").absolute())


def test_values_that_do_not_go_together_are_an_error_that_names_the_space() -> None:
    Path("c.yaml").write_text("data: {train: train}\n")
    space = space_of("model.decoder: [crf]\ntraining.label_smoothing: [0.1]\n")
    with pytest.raises(ConfigError, match=r"^s.yaml:2: training.label_smoothing: found 0.1, expected 0 with a CRF"):
        space.apply(load_config("c.yaml"), space.values(space.at(0)))
