"""The settings of a network: their allowed values, their form in JSON, and the memory that they cost per token."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from tagger.architecture import Characters, Decoder, Direction, Merge, NetworkSpec
from tagger.inputs.encoder import Sizes

# --- Allowed values --------------------------------------------------------------------------------------------------

WHOLE_NUMBERS = {
    "embedding_dim": (1, 8192),
    "character_dim": (1, 8192),
    "character_units": (2, 2048),
    "feature_dim": (1, 8192),
    "units": (1, 8192),
    "layers": (1, 64),
}
RATES = ("dropout", "input_dropout", "token_dropout", "recurrent_dropout")
FLAGS = ("casing",)
NAMES: dict[str, tuple[type, list[str]]] = {
    "characters": (Characters, ["none", "cnn", "lstm"]),
    "direction": (Direction, ["both", "forward", "backward"]),
    "merge": (Merge, ["concat", "sum", "mul", "ave"]),
    "decoder": (Decoder, ["constrained", "softmax", "crf"]),
}
JUST_BELOW_1 = math.nextafter(1, 0)


def error_of(field: str, value: object) -> str:
    with pytest.raises(ValueError) as error:
        NetworkSpec(**{field: value})  # type: ignore[arg-type]
    return str(error.value)


def test_every_field_is_in_one_of_the_tables_above() -> None:
    fields = [field.name for field in dataclasses.fields(NetworkSpec)]
    assert sorted(fields) == sorted([*WHOLE_NUMBERS, *RATES, *FLAGS, *NAMES])


@pytest.mark.parametrize("field", WHOLE_NUMBERS)
def test_a_whole_number_is_accepted_at_its_bounds_and_refused_beyond_them(field: str) -> None:
    least, most = WHOLE_NUMBERS[field]
    for value in (least, least + 1, most - 1, most):
        assert getattr(NetworkSpec(**{field: value}), field) == value  # type: ignore[arg-type]
    for value in (least - 1, most + 1, -least, 1 << 62):
        assert error_of(field, value) == f"{field}: found {value}, expected a whole number from {least} to {most}"


@pytest.mark.parametrize("field", WHOLE_NUMBERS)
@pytest.mark.parametrize("value", [True, 5.0, "5", None, [5], math.nan])
def test_values_that_are_not_whole_numbers_are_refused(field: str, value: object) -> None:
    least, most = WHOLE_NUMBERS[field]
    assert (
        error_of(field, value) == f"{field}: found {json.dumps(value)}, expected a whole number from {least} to {most}"
    )


@pytest.mark.parametrize("field", RATES)
def test_a_rate_is_at_least_0_and_below_1(field: str) -> None:
    for value in (0, 0.0, math.ulp(0), 0.5, JUST_BELOW_1):
        assert getattr(NetworkSpec(**{field: value}), field) == value  # type: ignore[arg-type]
    for value in (-math.ulp(0), -0.5, 1, 1.0, 2, math.inf, -math.inf, math.nan, True, False, "0.5", None):
        assert error_of(field, value) == f"{field}: found {json.dumps(value)}, expected a number from 0 to below 1"


@pytest.mark.parametrize("field", FLAGS)
def test_a_flag_is_true_or_false(field: str) -> None:
    for value in (True, False):
        assert getattr(NetworkSpec(**{field: value}), field) is value  # type: ignore[arg-type]
    for value in (0, 1, 1.0, "true", "", None):
        assert error_of(field, value) == f"{field}: found {json.dumps(value)}, expected true or false"


@pytest.mark.parametrize("field", NAMES)
def test_a_name_must_be_known_and_becomes_an_enum(field: str) -> None:
    kind, names = NAMES[field]
    for name in names:
        for value in (name, kind(name)):
            found = getattr(NetworkSpec(**{field: value}), field)  # type: ignore[arg-type]
            assert type(found) is kind
            assert found == name
    for value in ("", names[0].upper(), f"{names[0]} ", f"{names[0]}{names[1]}", None, True, 0, [names[0]]):
        assert error_of(field, value) == f"{field}: found {json.dumps(value)}, expected one of {', '.join(names)}"


def test_layers_and_units_together_are_what_a_machine_can_hold() -> None:
    # 64 layers of two branches: 64 · 2 · 4 · 1182 · (2364 + 1182) weights are a little less than 2³¹.
    NetworkSpec(layers=64, units=1182)
    with pytest.raises(ValueError) as error:
        NetworkSpec(layers=64, units=1183)
    assert str(error.value) == (
        "layers: found 64 layers of 1183 units, which are 2,149,615,104 weights, expected at most 2,147,483,648; lower"
        " model.layers or model.units"
    )
    NetworkSpec(layers=64, units=2048, direction=Direction.FORWARD)


# --- JSON ------------------------------------------------------------------------------------------------------------

DEFAULTS: dict[str, Any] = {
    "embedding_dim": 100, "characters": "none", "character_dim": 30, "character_units": 50, "casing": False,
    "feature_dim": 20, "units": 100, "layers": 1, "direction": "both", "merge": "concat", "dropout": 0.0,
    "input_dropout": 0.0, "token_dropout": 0.0, "recurrent_dropout": 0.0, "decoder": "constrained",
}  # fmt: skip
OTHERS: dict[str, Any] = {
    "embedding_dim": 1, "characters": "lstm", "character_dim": 2, "character_units": 3, "casing": True,
    "feature_dim": 4, "units": 5, "layers": 6, "direction": "backward", "merge": "ave", "dropout": 0.1,
    "input_dropout": 0.2, "token_dropout": 0.3, "recurrent_dropout": JUST_BELOW_1, "decoder": "crf",
}  # fmt: skip


def test_the_defaults_describe_a_network_from_before_each_setting_existed() -> None:
    assert NetworkSpec.from_json({}) == NetworkSpec()
    assert NetworkSpec().to_json() == DEFAULTS


@pytest.mark.parametrize("values", [DEFAULTS, OTHERS], ids=["defaults", "others"])
def test_every_setting_is_unchanged_after_writing_and_reading_json(values: dict[str, Any]) -> None:
    spec = NetworkSpec.from_json(json.loads(json.dumps(values)))
    assert spec.to_json() == values
    assert NetworkSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec
    assert {type(value) for value in spec.to_json().values()} <= {str, int, float, bool}, (
        "the values must be plain JSON types, not enums"
    )


@pytest.mark.parametrize("key", DEFAULTS)
def test_a_setting_that_is_missing_in_json_has_its_default(key: str) -> None:
    values = {name: value for name, value in OTHERS.items() if name != key}
    assert NetworkSpec.from_json(values).to_json() == {**OTHERS, key: DEFAULTS[key]}


def test_unknown_settings_and_wrong_values_in_json_are_named() -> None:
    with pytest.raises(ValueError, match=rf"^unit: found an unknown setting, expected one of {', '.join(DEFAULTS)}$"):
        NetworkSpec.from_json({**OTHERS, "unit": 5})
    with pytest.raises(ValueError, match=r"^units: found 0, expected a whole number from 1 to 8192$"):
        NetworkSpec.from_json({**OTHERS, "units": 0})


# --- Values that follow from the settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decoder", "of_spans", "of_plain_tags"),
    [("constrained", True, False), ("softmax", False, False), ("crf", True, True)],
)
def test_only_some_decoders_weigh_transitions(decoder: str, of_spans: bool, of_plain_tags: bool) -> None:
    spec = NetworkSpec(decoder=Decoder(decoder))
    assert spec.weighs_transitions(plain=False) is of_spans
    assert spec.weighs_transitions(plain=True) is of_plain_tags
    assert spec.has_crf is (decoder == "crf")


@pytest.mark.parametrize(
    ("direction", "branches"),
    [("both", ("forward", "backward")), ("forward", ("forward",)), ("backward", ("backward",))],
)
def test_the_branches_of_a_direction(direction: str, branches: tuple[str, ...]) -> None:
    assert Direction(direction).branches == branches
    assert NetworkSpec(direction=Direction(direction)).n_branches == len(branches)


@pytest.mark.parametrize(
    ("settings", "n_features", "input_dim", "reads_forms"),
    [
        ({}, 0, 7, False),
        ({"characters": Characters.CNN}, 0, 7 + 4, True),
        ({"characters": Characters.LSTM}, 0, 7 + 4, True),
        ({"casing": True}, 0, 7 + 10, True),
        ({}, 3, 7 + 3 * 5, False),
        ({"characters": Characters.CNN, "casing": True}, 2, 7 + 4 + 10 + 2 * 5, True),
    ],
)
def test_the_input_size_is_the_sum_of_all_inputs_of_a_token(
    settings: dict[str, Any], n_features: int, input_dim: int, reads_forms: bool
) -> None:
    spec = NetworkSpec(embedding_dim=7, character_units=4, feature_dim=5, **settings)
    assert spec.input_dim(Sizes(50, 9, n_features=n_features)) == input_dim
    assert spec.reads_forms is reads_forms


# --- Memory per token ------------------------------------------------------------------------------------------------


def n_bytes(*shapes: tuple[int, ...]) -> int:
    """Return the size of float32 arrays of these shapes."""
    return sum(np.empty(shape, np.float32).nbytes for shape in shapes)


def test_the_memory_of_a_network_with_two_branches_by_hand() -> None:
    spec = NetworkSpec(embedding_dim=5, units=3)
    sizes = Sizes(n_tokens=1000, n_tags=4)
    prediction = [
        (8, 3),  # forward branch: gates and outputs of 3 units
        (8, 3),  # backward branch
        (2, 5),  # input
        (6, 4),  # logits and paths of 4 tags
    ]
    training = [
        (7, 3), (5, 3),  # forward branch: outputs of the kernel; gradients, dropout and merged outputs
        (7, 3), (5, 3),  # backward branch
        (4, 5),  # input
        (6, 4),  # tags
    ]  # fmt: skip
    assert spec.prediction_bytes(sizes) == n_bytes(*prediction) == 328
    assert spec.training_bytes(sizes) == n_bytes(*training) == 464


def test_the_memory_of_a_network_with_two_layers_and_a_crf_by_hand() -> None:
    spec = NetworkSpec(
        embedding_dim=3, characters=Characters.CNN, character_units=4, casing=True, feature_dim=6, units=2, layers=2,
        direction=Direction.FORWARD, decoder=Decoder.CRF,
    )  # fmt: skip
    sizes = Sizes(n_tokens=1000, n_tags=3, n_characters=50, n_features=2, n_feature_ids=20)
    prediction = [
        (8, 2),  # gates and outputs of one layer
        (2, 3),  # input
        (6, 3),  # logits and paths of 3 tags
    ]
    training = [
        (12, 2), (12, 2),  # the two layers
        (4, 3), (4, 4), (4, 10), (4, 6), (4, 6),  # embedding, characters, casing, two features
        (18, 3),  # tags and the recurrences of the CRF
    ]  # fmt: skip
    assert spec.prediction_bytes(sizes) == n_bytes(*prediction) == 160
    assert spec.training_bytes(sizes) == n_bytes(*training) == 872


def test_the_memory_per_token_does_not_depend_on_the_size_of_a_vocabulary() -> None:
    spec = NetworkSpec(characters=Characters.LSTM, casing=True, decoder=Decoder.CRF)
    small, large = Sizes(10, 9, 5, 1, 3), Sizes(1_000_000, 9, 5000, 1, 3000)
    assert spec.training_bytes(small) == spec.training_bytes(large)
    assert spec.prediction_bytes(small) == spec.prediction_bytes(large)
