"""Check that a network exported by `tagger export` for other tools gives the same logits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import run_tagger

from tagger.api import Tagger
from tagger.errors import ModelError
from tagger.model_dir.manifest import dump_manifest
from tagger.model_dir.store import load_model, read_weights

pytest.importorskip("tensorflow")

import onnx
import onnxruntime
import tensorflow as tf
from small_models import TAGS, graph_inputs, in_tensorflow, random_sentences, save_small_model

from tagger.corpus.transitions import constraints_of
from tagger.inputs.batching import pad
from tagger.network import serving
from tagger.prediction.onnx_session import load_predictor

pytestmark = pytest.mark.tensorflow


def feed(directory: Path, n_features: int = 0) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """Return the inputs of the graph for padded sentences, and the expected logits of these sentences."""
    sentences, predictor = random_sentences(6), in_tensorflow(directory)
    features = [[[f"f{len(token) % 7}" for token in tokens]] * n_features for tokens in sentences]
    given = [[tokens, *its] for tokens, its in zip(sentences, features, strict=True)]
    encoded = predictor.model.encoder.encode(given)
    inputs = graph_inputs(*pad(encoded.sentences), encoded.forms)
    return inputs, predictor.logits(sentences, features)


def check_served(logits: np.ndarray, lengths: np.ndarray, expected: list[np.ndarray]) -> None:
    for row, n, wanted in zip(logits, lengths, expected, strict=True):
        np.testing.assert_allclose(row[:n], wanted, atol=1e-5)


def test_a_standalone_onnx_file_is_valid_and_gives_the_same_logits(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model", layers=2)
    result = run_tagger("export", tmp_path / "out/network.onnx", "--model", directory)
    assert result.exit_code == 0, result.errors
    onnx.checker.check_model(str(tmp_path / "out/network.onnx"), full_check=True)
    session = onnxruntime.InferenceSession(tmp_path / "out/network.onnx", providers=["CPUExecutionProvider"])
    inputs, expected = feed(directory)
    (logits,) = session.run(None, inputs)
    check_served(logits, inputs["lengths"], expected)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["tags"]) == ["O", "B-X", "B-Y", "I-X", "I-Y"]
    assert [output.name for output in session.get_outputs()] == ["logits"]
    assert (facts["scheme"], facts["lowercase"], facts["normalize_digits"]) == ("IOB2", "false", "false")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["network.onnx"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"direction": "backward"},
        {"characters": "cnn", "casing": True, "features": ("pos", "chunk")},
        {"features": ("pos",)},
        {"casing": True},
    ],
)
def test_a_saved_model_gives_the_same_logits(tmp_path: Path, options: dict[str, Any]) -> None:
    directory = save_small_model(tmp_path / "model", **options)
    result = run_tagger("export", tmp_path / "served", "--format", "saved-model", "--model", directory)
    assert result.exit_code == 0, result.errors
    inputs, expected = feed(directory, len(options.get("features", ())))
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    wanted = serve.structured_input_signature[1]
    logits = serve(**{name: tf.constant(inputs[name]) for name in wanted})["logits"].numpy()
    check_served(logits, inputs["lengths"], expected)


def test_no_files_are_left_in_the_folder_of_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # TensorFlow's autograph writes one for each function that it converts, and a process that is ended leaves them.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    directory = save_small_model(tmp_path / "model")
    in_tensorflow(directory).logits([["a"]], [[]])
    result = run_tagger("export", tmp_path / "served", "--format", "saved-model", "--model", directory)
    assert result.exit_code == 0, result.errors
    assert list((tmp_path / "temporary").iterdir()) == []


def test_export_overwrites_nothing_and_explains_what_is_wrong(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model")
    (tmp_path / "mine").write_text("mine")
    for form in ("onnx", "saved-model"):
        result = run_tagger("export", tmp_path / "mine", "--format", form, "--model", directory)
        assert result.first_error.endswith(
            "mine: already exists, expected a new name; choose another one, or remove it first"
        )
        result = run_tagger("export", tmp_path / "mine/in/it", "--format", form, "--model", directory)
        assert "cannot be written: " in result.first_error
    assert (tmp_path / "mine").read_text() == "mine"
    assert run_tagger("export", tmp_path / "x", "--model", tmp_path / "no").first_error.endswith("with --model")


def test_export_changes_neither_other_files_nor_the_model(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model")
    (tmp_path / ".served.new").mkdir()
    (tmp_path / ".served.new/mine").write_text("mine")
    assert run_tagger("export", tmp_path / "served", "--format", "saved-model", "--model", directory).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [".served.new", "model", "served"]
    assert (tmp_path / ".served.new/mine").read_text() == "mine"


def test_export_into_any_model_directory_is_refused(tmp_path: Path) -> None:
    directory, other = save_small_model(tmp_path / "model"), save_small_model(tmp_path / "other")
    (tmp_path / "link").symlink_to(other)
    before = {path: path.read_bytes() for folder in (directory, other) for path in folder.iterdir()}
    for out in (directory / "x", other / "x", other / "deep/in/x", tmp_path / "link/x", tmp_path / "new/../other/x"):
        for form in ("onnx", "saved-model"):
            result = run_tagger("export", out, "--format", form, "--model", directory)
            assert f"{out}: is inside the model directory " in result.first_error
            assert result.exit_code == 1
    assert {path: path.read_bytes() for folder in (directory, other) for path in folder.iterdir()} == before
    (tmp_path / "manifest.json").write_text("{}")  # of something else
    assert run_tagger("export", tmp_path / "x", "--model", directory).exit_code == 0


def test_nothing_is_built_for_weights_that_do_not_fit_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = save_small_model(tmp_path / "model", layers=2)
    values = json.loads((directory / "manifest.json").read_text("utf-8"))
    values.pop("sha256")
    values["network"]["units"] = 8000  # gigabytes, if it were built
    values["network"]["layers"] = 1
    (directory / "manifest.json").write_bytes(dump_manifest(values))
    monkeypatch.setattr(serving, "build_network", None)
    with pytest.raises(ModelError, match=r"weights\.safetensors: .* for the network that manifest\.json describes"):
        serving.export_network(directory, tmp_path / "out", "onnx")


def test_a_network_too_large_for_onnx_is_refused(tmp_path: Path) -> None:
    model = load_model(save_small_model(tmp_path / "model"), read_weights)
    with pytest.raises(ModelError, match=r"^--format onnx: found \d+ bytes .*; use --format saved-model$"):
        serving.write_onnx(model, tmp_path / "x", most_bytes=1000)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("scheme", ["IOB2", "IOBES"])
def test_the_graph_includes_the_transition_weights_of_a_crf(tmp_path: Path, scheme: str) -> None:
    tags = {"IOB2": TAGS, "IOBES": ("O", "B-X", "E-X", "I-X", "S-X")}[scheme]
    directory = save_small_model(tmp_path / "model", decoder="crf", scheme=scheme, tags=tags)
    sentences, (ours, theirs) = random_sentences(40), (load_predictor(directory, threads=1), in_tensorflow(directory))
    for found, expected in zip(ours.tag(sentences), theirs.tag(sentences), strict=True):
        assert found.tags == expected.tags
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
    plain = load_predictor(save_small_model(tmp_path / "plain", scheme=scheme, tags=tags), threads=1)
    differ = [a.tags != b.tags for a, b in zip(ours.tag(sentences), plain.tag(sentences), strict=True)]
    assert sum(differ) > 10, "the learned transition weights must change some tags"
    assert [tagged.probabilities for tagged in ours.tag(sentences, probabilities=False)] == [[]] * len(sentences)

    assert run_tagger("export", tmp_path / "n.onnx", "--model", directory).exit_code == 0
    session = onnxruntime.InferenceSession(tmp_path / "n.onnx", providers=["CPUExecutionProvider"])
    inputs, expected = feed(directory)
    logits, *scores = session.run(["logits", "transition", "start", "end"], inputs)
    check_served(logits, inputs["lengths"], expected)
    weights = load_model(directory, read_weights).network
    rules = constraints_of(tags, scheme)
    assert rules is not None
    for name, found in zip(("transition", "start", "end"), scores, strict=True):
        legal = getattr(rules, name) == 0
        np.testing.assert_array_equal(found[legal], weights[f"crf.{name}"][legal])
        assert (found[~legal] == -1e6).all()
        assert name == "end" or not legal.all()


def test_an_exported_network_of_8_bit_weights(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model", layers=2)
    model = Tagger.load(directory)
    sentences = random_sentences(20)
    pairs = [
        zip(tokens, found.tags, strict=True) for tokens, found in zip(sentences, model.tag(sentences), strict=True)
    ]
    lines = ["".join(f"{token}\t{tag}\n" for token, tag in of_sentence) + "\n" for of_sentence in pairs]
    (tmp_path / "gold").write_text("".join(lines))
    command = ("export", tmp_path / "int8.onnx", "--format", "onnx-int8", "--model", directory)
    result = run_tagger(*command)
    assert result.first_error.startswith("error: --test: found none, and the model's config does not set data.test")
    assert result.first_error.endswith("; or pass --max-loss 100 to measure nothing")
    result = run_tagger(*command, "--test", tmp_path / "gold", "--max-loss", "0")
    assert re.search(
        r"--format onnx-int8: found a loss of \d+\.\d\d points on .*gold \(F1 100\.00 with 32-bit", result.first_error
    )
    assert not (tmp_path / "int8.onnx").exists()
    result = run_tagger(*command, "--test", tmp_path / "gold", "--max-loss", "99")
    assert result.exit_code == 0, result.errors
    assert re.search(r"^F1 100\.00 with 32-bit weights and \d+\.\d\d with 8-bit weights$", result.errors, re.MULTILINE)
    nodes = onnx.load(tmp_path / "int8.onnx").graph.node
    assert [node.op_type for node in nodes].count("DynamicQuantizeLSTM") == 2
    (tmp_path / "int8.onnx").unlink()
    result = run_tagger(*command, "--max-loss", "100")
    assert "no gold file: the loss was not measured" in result.errors
    assert run_tagger(*command).first_error.endswith("remove it first"), "before anything is measured"
    result = run_tagger(*command, "--max-loss", "nan")
    assert (result.exit_code, "nan is not in the range 0<=x<=100" in result.errors) == (2, True)
    for option in (("--max-loss", "1"), ("--test", tmp_path / "gold")):
        result = run_tagger("export", tmp_path / "x", *option, "--model", directory)
        assert (result.exit_code, "found it with --format onnx, expected onnx-int8" in result.errors) == (2, True)
