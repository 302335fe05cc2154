"""The manifest: its values are written and read back, and errors name the values that do not fit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from helpers import ROOT
from stored_model import a_manifest, load_model, rewrite_manifest, save

from tagger.architecture import Direction
from tagger.corpus.notation import Notation
from tagger.errors import ModelError
from tagger.inputs.computed import FeatureSpec
from tagger.model_dir import store
from tagger.model_dir.manifest import FORMAT_VERSION, Manifest
from tagger.prediction.onnx_session import load_predictor


def test_the_error_of_a_newer_format_says_to_update(tmp_path: Path) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", format_version=FORMAT_VERSION + 1)
    with pytest.raises(
        ModelError, match=r"format version 4, expected at most 3: .* update with git pull and pip install \."
    ):
        load_model(tmp_path / "model")


def test_the_error_of_an_older_format_says_to_train_again(tmp_path: Path) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", format_version=1)
    with pytest.raises(ModelError, match=r"format version 1, expected 3: .* train again"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": {}}, "layout.columns: found nothing, expected names with numbers"),
        ({"layout": None}, "layout: found null, expected a mapping"),
        ({"layout__columns": {"token": 1.5}}, 'layout.columns: found {"token": 1.5}, expected names with numbers'),
        ({"layout__columns": {"tag": 0}}, "layout.columns: found {'tag': 0}, expected a `token` column"),
        ({"layout__delimiter": 5}, "layout.delimiter: found 5, expected text"),
        ({"layout__delimiter": "a\nb"}, "layout.delimiter: found 'a\\nb', expected some text without line ends"),
        ({"layout__encoding": "utf-16"}, "layout.encoding: 'utf-16' is not compatible with ASCII"),
        ({"layout__comments": 5}, "layout.comments: found 5, expected text or null"),
        ({"layout__comments": "#" * 101}, "layout.comments: found 101 characters, expected at most 100"),
        ({"layout__encoding": "x" * 101}, 'layout.encoding: found "xxx'),
        ({"layout__n_columns": -1}, "layout.n_columns: found -1, expected a whole number or null"),
        ({"layout__written_delimiter": ""}, "layout.written_delimiter: found '', expected some text without line ends"),
        ({"layout__written_delimiter": "\n"}, "layout.written_delimiter: found '\\n', expected some text without"),
        ({"layout__written_delimiter": "x"}, 'layout.written_delimiter: found "x", expected a TAB, a space or'),
        (
            {"layout__written_delimiter": "é", "layout__delimiter": "é", "layout__encoding": "ascii"},
            "layout.delimiter: found 'é', which ascii cannot encode; choose another",
        ),
        ({"max_length": (1 << 20) + 1}, "max_length: found 1048577, expected a whole number from 1 to 1048576"),
        ({"layout__more": 5}, "an unknown key: "),
        ({"notation": 3}, "notation: found 3, expected a mapping"),
        ({"notation__scheme": "FOO"}, 'notation.scheme: found "FOO", expected one of IOB1, IOB2, '),
        ({"notation__separator": None}, "notation.separator: found null, expected one of -, _, ."),
        ({"notation__prefixes": {"B": 5}}, 'notation.prefixes: found {"B": 5}, expected letters of prefixes'),
        ({"notation__outside": "x\ny"}, "notation.outside: found "),
        ({"notation__outside": ""}, 'notation.outside: found "", expected a word for outside'),
        ({"notation__suffix": 1}, "notation.suffix: found 1, expected true or false"),
        (
            {"notation__bare": True},
            "notation.bare: found true with scheme IOB2, expected false: only tags in IO can lack a prefix",
        ),
        ({"scheme": None}, "scheme: found null, expected one of "),
        (
            {"normalization__normalize_digits": True},
            'normalization: found the unknown key "normalize_digits", expected',
        ),
        (
            {"network__units": ["x" * 500]},
            f'network.units: found ["{"x" * 78}, expected a whole number from 1 to 8192',
        ),
        ({"network__a\nb": 1}, "network.a\\nb: found an unknown setting, expected one of "),
        ({"normalization__lowercase": "no"}, 'normalization.lowercase: found "no", expected true or false'),
        ({"network__embedding_dim": 0}, "network.embedding_dim: found 0, expected a whole number from 1 to "),
        ({"network__units": 12_000}, "network.units: found 12000, expected a whole number from 1 to 8192"),
        ({"network__layers": 64, "network__units": 8000}, "network.layers: found 64 layers of 8000 units, which are"),
        ({"network__units": 1 << 62}, "network.units: found 4611686018427387904, expected a whole number"),
        ({"network__direction": "foo"}, 'network.direction: found "foo", expected one of both, forward, backward'),
        ({"decoder": "beam"}, 'decoder: found "beam", expected one of constrained, softmax'),
        ({"max_length": True}, "max_length: found true, expected a whole number"),
        ({"test": ["x", 1]}, 'test: found ["x", 1], expected text, a list of texts, or null'),
        ({"test": []}, "test: found [], expected text, a list of texts, or null"),
        ({"features": []}, "features: found [], expected a mapping"),
        (
            {"features__lists": ["city", "city"]},
            'features.lists: found ["city", "city"], expected at most 100 different',
        ),
        ({"features__lists": ["a.b"]}, 'features.lists: found ["a.b"], expected at most 100 different names'),
        ({"features__lists": [1]}, "features.lists: found [1], expected at most 100 different names"),
        ({"features__lists": [f"l{i}" for i in range(101)]}, 'features.lists: found ["l0", '),
        ({"features__ignore_case": 1}, "features.ignore_case: found 1, expected true or false"),
        ({"features__cluster_bits": [4, 4]}, "features.cluster_bits: found [4, 4], expected different numbers from 1"),
        ({"features__cluster_bits": [0]}, "features.cluster_bits: found [0], expected"),
        ({"features__cluster_bits": [True]}, "features.cluster_bits: found [true], expected"),
        ({"features__cluster_bits": [65]}, "features.cluster_bits: found [65], expected"),
        ({"features__subwords": True}, "features.subwords: found true, expected"),
        ({"format_version": "1"}, "found no format_version"),
        ({"format_version": 0}, "found no format_version"),
        ({"format_version": True}, "found no format_version"),
    ],
)
def test_a_manifest_with_wrong_content_is_an_error(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", **changes)
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "model")
    assert error.value.message.startswith(f"{tmp_path}/model/manifest.json: {message}")


@pytest.mark.parametrize(
    "text", ['{"format_version":2,"a":"\\ud800"}', "[1]", "[" * 100_000, '{"format_version":2}', "{", ""]
)
def test_a_file_that_is_not_a_manifest_is_an_error(tmp_path: Path, text: str) -> None:
    save(tmp_path / "model")
    (tmp_path / "model/manifest.json").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.json: "):
        load_model(tmp_path / "model")


def test_a_manifest_is_unchanged_after_writing_and_reading_json() -> None:
    manifest = a_manifest()
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    with_tests = dataclasses.replace(manifest, test=["a.conll", "b.conll"])
    assert Manifest.from_json(json.loads(json.dumps(with_tests.to_json()))) == with_tests
    without_test = dataclasses.replace(manifest, test=None)
    assert Manifest.from_json(without_test.to_json()) == without_test
    german = dataclasses.replace(manifest, language="de")
    assert Manifest.from_json(json.loads(json.dumps(german.to_json()))).language == "de"


def test_a_manifest_names_computed_features_only_if_there_are_any() -> None:
    manifest = a_manifest()
    values = {"lists": ["city"], "ignore_case": True, "cluster_bits": [1, 3]}
    assert manifest.to_json()["features"] == values | {"subwords": 5}
    names = ("chunk", "pos", "lists.city", "clusters.1", "clusters.3")
    assert manifest.feature_names == (*names, "subwords.first", "subwords.last")
    earlier = dataclasses.replace(manifest, features=dataclasses.replace(manifest.features, subwords=0))
    assert earlier.to_json()["features"] == values  # so older versions can read it
    assert Manifest.from_json(earlier.to_json()) == earlier
    without = dataclasses.replace(manifest, features=FeatureSpec())
    assert "features" not in without.to_json()  # so it is equal to that of an older version
    assert Manifest.from_json(without.to_json()) == without


def test_a_manifest_without_a_language_has_none() -> None:
    values = a_manifest().to_json()
    del values["language"]
    assert Manifest.from_json(values).language is None
    with pytest.raises(ModelError, match="language: found 5, expected text or null"):
        Manifest.from_json(values | {"language": 5})


@pytest.mark.parametrize("scheme", ["BIOS", "BIOE", "IOE1", "IOE2"])
def test_any_notation_is_unchanged_after_writing_and_reading(tmp_path: Path, scheme: str) -> None:
    notation = Notation(scheme=scheme, suffix=True, outside="OTHER")
    manifest = dataclasses.replace(a_manifest(), notation=notation)
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest


def test_a_prefix_at_the_usual_end_is_not_written_so_that_older_versions_read_the_manifest() -> None:
    values = a_manifest().to_json()
    assert set(values["notation"]) == {"scheme", "outside", "separator", "prefixes", "typed", "bare"}
    assert Manifest.from_json(values).notation == a_manifest().notation


@pytest.mark.parametrize("version", [1, 2])
def test_models_of_older_formats_are_refused_with_a_remedy(version: int) -> None:
    # Older versions of tagger wrote these models: tests/old_models/make.sh.
    directory = ROOT / "tests/old_models" / str(version)
    with pytest.raises(ModelError) as error:
        load_predictor(directory)
    assert error.value.message == (
        f"{directory}/manifest.json: found format version {version}, expected {FORMAT_VERSION}: the model is from an older"
        " tagger, which wrote another format; train again"
    )


# --- Missing and unknown keys of the network ---------------------------------------------------------------------------

# Each key of "network" with a value that is not its default, and its default. The default describes a network whose
# manifest is older than the key.
NETWORK_KEYS = [
    ("embedding_dim", 7, 100),
    ("characters", "lstm", "none"),
    ("character_dim", 8, 30),
    ("character_units", 4, 50),
    ("casing", True, False),
    ("feature_dim", 3, 20),
    ("units", 6, 100),
    ("layers", 2, 1),
    ("direction", "backward", "both"),
    ("merge", "mul", "concat"),
    ("dropout", 0.1, 0.0),
    ("input_dropout", 0.2, 0.0),
    ("token_dropout", 0.3, 0.0),
    ("recurrent_dropout", 0.4, 0.0),
]
NETWORK = {key: value for key, value, _ in NETWORK_KEYS}


def load_manifest(directory: Path) -> Manifest:
    """Load the manifest of a model whose weights need not fit it."""
    return store.load_model(directory, lambda *_: None).manifest


def test_the_table_names_every_key_of_the_network(tmp_path: Path) -> None:
    save(tmp_path / "model")
    values = json.loads((tmp_path / "model/manifest.json").read_text("utf-8"))
    assert set(values["network"]) == set(NETWORK)
    rewrite_manifest(tmp_path / "model", network=NETWORK)
    assert load_manifest(tmp_path / "model").network.to_json() == {**NETWORK, "decoder": "constrained"}


@pytest.mark.parametrize(("key", "default"), [(key, default) for key, _, default in NETWORK_KEYS])
def test_a_missing_network_key_has_its_default(tmp_path: Path, key: str, default: object) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", network={name: value for name, value in NETWORK.items() if name != key})
    assert load_manifest(tmp_path / "model").network.to_json() == {**NETWORK, key: default, "decoder": "constrained"}


def test_a_model_whose_manifest_lacks_network_keys_is_loaded_with_its_weights(tmp_path: Path) -> None:
    save(tmp_path / "model")
    network = a_manifest().network.to_json()
    del network["decoder"], network["direction"], network["dropout"]
    rewrite_manifest(tmp_path / "model", network=network)
    model = load_model(tmp_path / "model")
    assert model.manifest.network == dataclasses.replace(a_manifest().network, direction=Direction.BOTH, dropout=0.0)
    assert "block_1.backward.kernel" in model.network


@pytest.mark.parametrize("key", ["hidden", "unit", "Units", ""])
def test_an_unknown_network_key_is_refused_by_name(tmp_path: Path, key: str) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", network={**NETWORK, key: 5})
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "model")
    assert error.value.message == (
        f"{tmp_path}/model/manifest.json: network.{key}: found an unknown setting, expected one of"
        f" {', '.join(a_manifest().network.to_json())}; update tagger, or train again"
    )
