"""`tagger config show` names every value and the place that it comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import ROOT, run_tagger

from tagger.config.loading import config_keys, load_config
from tagger.config.meanings import stands_for
from tagger.config.shown import origins_of

TEXT = """\
data:
  train: train.conll
  columns: {token: 0, tag: 1}
training:
  epochs: 7
  learning_rate: 0.01
model: {units: 50}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text(TEXT, "utf-8")
    return Path("my.yaml")


def shown(*arguments: str | Path) -> dict[str, tuple[str, str]]:
    """Return the value and the comment of each key that `tagger config show` prints."""
    result = run_tagger("config", "show", *arguments)
    assert (result.exit_code, result.errors) == (0, "")
    found, section = {}, ""
    for line in result.output.decode().splitlines():
        if match := re.fullmatch(r"  (\w+): (.*?) +# (.*)", line):
            found[f"{section}.{match[1]}"] = match[2], match[3]
        else:
            section = line.removesuffix(":")
    return found


def test_every_key_has_its_value_and_its_origin(config: Path, tmp_path: Path) -> None:
    found = shown(
        config, "--set", "training.learning_rate=0.02", "--set", "data.columns.tag=-1", "--set", "training.ema=null"
    )
    assert list(found) == config_keys()
    assert found["data.train"] == (f"{tmp_path}/train.conll", "my.yaml:2")
    assert found["data.columns"] == ("{token: 0, tag: -1}", "my.yaml:3, --set data.columns.tag=-1")
    assert found["training.epochs"] == ("7", "my.yaml:5")
    assert found["training.learning_rate"] == ("0.02", "--set training.learning_rate=0.02")
    assert found["training.ema"] == ("null", "--set training.ema=null; null: no average")
    assert found["model.units"] == ("50", "my.yaml:7")
    assert found["model.layers"] == ("2", "default")
    assert found["model.merge"] == ("concat", "default")
    assert found["output.model_dir"] == (f"{tmp_path}/models/my", "default; from the name of the config")


def test_what_is_chosen_later_is_said(config: Path) -> None:
    found = shown(config, "--set", "training={}", "--set", "data.columns={}")
    assert found["training.epochs"] == (
        "null",
        "default; null: chosen from the number of training sentences, 30 or more",
    )
    assert found["training.batch_size"] == (
        "null",
        "default; null: chosen from the number of training sentences, 4 to 32",
    )
    assert found["training.patience"] == (
        "auto",
        "default; auto: chosen from the number of training sentences, 5 or 10",
    )
    simplified = "default; null: true without vectors if the network reads characters; here"
    assert found["vocabulary.lowercase"] == ("null", f"{simplified} true")
    cased = shown(config, "--set", "model.characters=none", "--set", "vocabulary.lowercase=true")
    assert cased["vocabulary.normalize_digits"] == ("null", f"{simplified} false")
    usual = "default; null: 2000, or 0 with vectors, with model.pretrained or without characters; here"
    assert found["features.subwords"] == ("null", f"{usual} 2000")
    assert cased["features.subwords"] == ("null", f"{usual} 0")
    assert found["data.columns"] == ("{}", "--set data.columns={}; {}: found in the file")
    assert found["data.scheme"] == ("auto", "default; auto: found in the file")
    assert found["model.embedding_dim"] == ("100", "default")


@pytest.mark.parametrize("setting", ["embeddings.name=glove-6b-50d", "embeddings.path=vectors.txt"])
def test_vectors_set_the_size_of_the_embedding(config: Path, setting: str) -> None:
    assert shown(config, "--set", setting)["model.embedding_dim"] == (
        "100",
        "default; the size of the vectors takes its place",
    )
    assert shown(config, "--set", setting, "--set=model.embedding_dim=50")["model.embedding_dim"] == (
        "50",
        "--set model.embedding_dim=50",
    )


def test_a_pretrained_directory_sets_what_it_was_trained_with(config: Path) -> None:
    found = shown(config, "--set", "model.pretrained=models/pretrained")
    replaced = {
        key for key, (_, comment) in found.items() if comment.endswith("that of model.pretrained takes its place")
    }
    assert replaced == {
        "vocabulary.lowercase", "vocabulary.normalize_digits", "model.embedding_dim", "model.characters",
        "model.character_dim", "model.character_units", "model.casing",
    }  # fmt: skip
    assert found["model.units"] == ("50", "my.yaml:7"), "the config sets it itself"


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_what_is_shown_is_a_config_with_the_same_values(path: Path, tmp_path: Path) -> None:
    settings = ["--set", "data.train=x", "--set", "data.labels={keep: [PER], map: {'a: #': '\u202e'}}"]
    again = tmp_path / path.name
    again.write_bytes(run_tagger("config", "show", path, *settings).output)
    assert "\u202e" not in again.read_text("utf-8")
    assert load_config(again) == load_config(path, settings[1::2])


def test_a_setting_of_a_section_replaces_that_of_the_file(config: Path) -> None:
    settings = ["training={epochs: 3}", "training.epochs=4", "training.epochs=5"]
    assert {key: origin for key, origin in origins_of(config, settings).items() if key.startswith("training.")} == {
        "training.epochs": "--set training.epochs=5"
    }


def test_merged_keys_and_empty_sections_have_origins(config: Path) -> None:
    config.write_text("data: &a {train: x}\nmodel:\nfeatures: {}\noutput:\n  <<: {model_dir: m}\n")
    assert origins_of(config) == {"data.train": "my.yaml:1", "output.model_dir": "my.yaml:4"}


def test_a_long_setting_is_cut_visibly(config: Path) -> None:
    (origin,) = {
        origin for key, origin in origins_of(config, [f"data.train={'x' * 500}"]).items() if key == "data.train"
    }
    assert len(origin) < 120
    assert origin.endswith("…")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.yaml"], "error: no.yaml: no such config file; check the path"),
        (
            ["my.yaml", "--set", "model.unit=3"],
            "error: --set model.unit=3: model.unit: is not a known key; did you mean units?",
        ),
        (["my.yaml", "--set", "model=3"], "error: --set model=3: model: found 3, expected a mapping of keys"),
    ],
)
def test_errors_are_those_of_training(config: Path, arguments: list[str], message: str) -> None:
    result = run_tagger("config", "show", *arguments)
    assert (result.exit_code, result.first_error, result.output) == (1, message, b"")


def test_the_schema_and_a_config_are_not_shown_at_once(config: Path) -> None:
    result = run_tagger("config", "--schema", "show", config)
    assert (result.exit_code, result.output) == (2, b"")
    assert result.first_error == "error: --schema: found it with show, expected one of them; leave one out"


def test_a_meaning_says_what_a_value_stands_for() -> None:
    assert stands_for("auto: 5 or 10; null: no end", "null") == "no end"
    assert stands_for("null: all cores", "null") == "all cores"
    assert stands_for("at most nonnull: x", "null") is None
