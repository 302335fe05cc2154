"""The JSON Schema of the config agrees with what `load_config` accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml
from helpers import ROOT, run_tagger

from tagger.config.keys import Config
from tagger.config.loading import config_keys
from tagger.config.meanings import MEANINGS
from tagger.config.schema import config_schema

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: pip install '.[dev]'")

VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 24, 25, 1024, 8192, 8193, 1 << 31, 10**9 + 1, -0.5, 0.5, 1.5, 99.5, 100.5, 1e7 + 0.5,
    "", "x", "auto", "all", "none", "crf", "IOBES", "int8", "float16", "nadam", "cnn", "both", "sum", "bytes", "error", "de",
    [], ["x"], [1], [2, 2], [0], [25], ["PER"], ["crf"], ["mlflow"], [None], {}, {"token": -1}, {"token": 0, "tag": -1}, {"x": 0.5},
    {"x": 0}, {"x": "y"}, {"x": None}, {1: 0.1}, {0: 0.1}, {1: 0}, {"keep": ["PER"]}, {"keep": []}, {"map": {"A": "B"}}, {"map": 1}, {"y": []},
    {f"list{i}": "x" for i in range(1000)},
]  # fmt: skip

SCHEMA = config_schema()
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def accepts(values: Any) -> bool:
    """Return whether the schema accepts values as an editor sees them, with text as keys."""
    return VALIDATOR.is_valid(json.loads(json.dumps(values)))


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert "$ref" not in json.dumps(SCHEMA)


def test_every_key_has_its_meaning_and_its_default() -> None:
    assert [f"{section}.{key}" for section, keys in MEANINGS.items() for key in keys] == config_keys()
    defaults = Config.model_validate({"data": {"train": "x"}}).model_dump(mode="json")
    for section, keys in MEANINGS.items():
        properties = SCHEMA["properties"][section]["properties"]
        assert {key: inner["description"] for key, inner in properties.items()} == keys
        for key, inner in properties.items():
            if (section, key) != ("data", "train"):
                assert inner["default"] == defaults[section][key], (section, key)
    inner = SCHEMA["properties"]["data"]["properties"]["labels"]["properties"]
    assert list(inner) == ["keep", "map"]
    assert all(one["description"] for one in (*inner.values(), *SCHEMA["properties"].values()))


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_accepts_every_config_of_the_project(path: Path) -> None:
    assert accepts(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize("key", config_keys())
def test_the_schema_and_the_config_agree_on_types_and_ranges(key: str) -> None:
    section, _, name = key.partition(".")
    n_refused = 0
    for value in VALUES:
        if isinstance(value, dict) and any(isinstance(one, int) for one in value) and key != "training.steps":
            continue  # JSON has no keys that are numbers
        values: dict[str, Any] = {"data": {"train": "x"}}
        values.setdefault(section, {})[name] = value
        try:
            Config.model_validate(values)
        except pydantic.ValidationError as error:
            if {problem["type"] for problem in error.errors()} != {"value_error"}:  # a type, a word or a range
                n_refused += 1
                assert not accepts(values), value
        else:
            assert accepts(values), value
    assert n_refused > len(VALUES) // 3


@pytest.mark.parametrize(
    "values",
    [
        {"modle": {}},
        {"model": {"unit": 5}},
        {"model": 3},
        {"data": {"labels": {"kep": []}}},
        {"data": {"columns": {"token": -1}}},
        {"features": {"cluster_bits": []}},
        {"features": {"cluster_bits": [0]}},
        {"features": {"cluster_bits": [4, 4]}},
        {"training": {"steps": {0: 0.1}}},
        {"training": {"steps": {"x": 0.1}}},
        {"features": {"lists": {f"list{i}": "x" for i in range(1000)}}},
    ],
)
def test_the_schema_refuses(values: dict[str, Any]) -> None:
    assert not accepts(values)


def test_the_schema_accepts_empty_sections_and_recipes_without_data() -> None:
    assert accepts({"model": None, "data": {}})
    assert accepts({"data": {"columns": {"token": 0, "tag": -1}}, "training": {"steps": {20: 0.1}}})


def test_the_command_prints_the_schema() -> None:
    result = run_tagger("config", "--schema")
    assert (result.exit_code, result.errors) == (0, "")
    assert json.loads(result.output) == SCHEMA
