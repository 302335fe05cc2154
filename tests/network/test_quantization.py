"""Compare quantized graphs with those of ONNX Runtime's quantizer, and train and predict with 8-bit weights."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import run_tagger

pytest.importorskip("tensorflow")

from onnxruntime.quantization import QuantType, quantize_dynamic
from small_models import graph_inputs, random_sentences, save_small_model, small_model

from tagger.cli.progress import TrainingProgress
from tagger.config.loading import load_config
from tagger.errors import ConfigError, DeviceError, ModelError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.inputs.batching import pad
from tagger.model_dir.store import load_model, read_weights, save_thresholds
from tagger.network.onnx_export import build_onnx, learned_transitions
from tagger.network.quantization import quantized_values
from tagger.network.serving import quantization_loss
from tagger.prediction.onnx_session import load_predictor
from tagger.training.parts import Parts
from tagger.training.train import train

pytestmark = pytest.mark.tensorflow

NETWORKS: dict[str, dict[str, Any]] = {
    "words": {},
    "everything": {"characters": "cnn", "casing": True, "layers": 2, "decoder": "crf", "features": ("pos",)},
    "backward": {"direction": "backward", "layers": 2, "characters": "lstm"},
    "sum": {"merge": "sum", "embedding_dtype": "float16", "casing": True},
}


def standalone(tmp_path: Path, *, quantized: bool, **settings: Any) -> bytes:
    model = small_model(tmp_path, **settings)
    sizes = model.encoder.sizes(len(model.tags))
    transitions = learned_transitions(model)
    return build_onnx(model.network, model.manifest.network, sizes, transitions=transitions, quantized=quantized)


@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_a_quantized_graph_computes_what_that_of_the_quantizer_computes(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    (tmp_path / "float.onnx").write_bytes(standalone(tmp_path, quantized=False, **settings))
    given = onnx.load(tmp_path / "float.onnx")
    blocks = [f"{node.op_type} {i}" for i, node in enumerate(given.graph.node) if node.op_type == "LSTM"]
    for i, node in enumerate(given.graph.node):
        node.name = f"{node.op_type} {i}"
    if settings.get("characters") == "lstm":
        del blocks[0]  # the characters are read with 32-bit weights
    quantize_dynamic(
        given, tmp_path / "theirs.onnx", nodes_to_quantize=blocks, op_types_to_quantize=["LSTM"],
        weight_type=QuantType.QInt8, reduce_range=True,
    )  # fmt: skip
    (tmp_path / "ours.onnx").write_bytes(standalone(tmp_path, quantized=True, **settings))
    encoder = small_model(tmp_path, **settings).encoder
    columns = [[tokens, *[["f1"] * len(tokens)] * len(encoder.features)] for tokens in random_sentences(20)]
    ids, forms = encoder.encode(columns)
    logits = {}
    for name in ("float", "theirs", "ours"):
        session = onnxruntime.InferenceSession(tmp_path / f"{name}.onnx", providers=["CPUExecutionProvider"])
        wanted = {one.name for one in session.get_inputs()}
        feeds = {key: array for key, array in graph_inputs(*pad(ids), forms).items() if key in wanted}
        (logits[name],) = session.run(["logits"], feeds)
    np.testing.assert_array_equal(logits["ours"], logits["theirs"])
    difference = np.abs(logits["ours"] - logits["float"]).mean()
    assert 0 < difference < 0.1 * np.abs(logits["float"]).mean()


def test_integers_times_their_scales_are_the_weights_up_to_half_a_step() -> None:
    rng = np.random.default_rng(1)
    w, r = rng.normal(size=(2, 12, 5)).astype(np.float32), rng.normal(size=(2, 12, 3)).astype(np.float32)
    found = quantized_values({"W_1": w, "R_1": r}, 1)
    for name, weight in (("W_1", w), ("R_1", r)):
        integers, scale = found[f"{name}_int8"], found[f"{name}_scale"][:, None, None]
        assert integers.dtype == np.int8
        assert np.abs(integers.astype(int)).max() == 64, "seven bits, so that sums of two products fit into 16 bits"
        assert (np.abs(integers * scale - weight.transpose(0, 2, 1)) < 0.501 * scale).all()


def test_temporary_files_that_cannot_be_written_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = save_small_model(tmp_path / "model")
    (tmp_path / "gold").write_text("w1 B-X\nw2 O\n\n")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    ones = {name: np.ones((2, 12, 3), np.float32) for name in ("W_1", "R_1")}
    with pytest.raises(ModelError, match=r"output.quantize: the temporary files .* cannot be written: No such file"):
        quantized_values(ones, 1)
    with pytest.raises(ModelError, match=r"--format onnx-int8: a temporary copy .* cannot be written: No such file"):
        quantization_loss(directory, str(tmp_path / "gold"), 0.2)


# --- In a model directory ---------------------------------------------------------------------------------------------


def write_files(folder: Path) -> None:
    rng = np.random.default_rng(1)
    lines = []
    for i in range(120):
        names = [f"N{rng.integers(9)}" if rng.random() < 0.4 else f"w{rng.integers(20)}" for _ in range(1 + i % 9)]
        lines += [f"{name} {'B-X' if name.startswith('N') else 'O'}" for name in names] + [""]
    (folder / "train").write_text("\n".join(lines) + "\n")
    small = "{units: 8, embedding_dim: 8, layers: 1, decoder: constrained, character_units: 4}"
    (folder / "c.yaml").write_text(
        f"data: {{train: train, dev: train, test: train}}\nmodel: {small}\ntraining: {{epochs: 4}}\n"
    )


def config_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *settings: str) -> Any:
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return load_config("c.yaml", settings)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_files(folder)
    with contextlib.chdir(folder):
        train(load_config("c.yaml"), TrainingProgress())
    return folder


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model with 32-bit weights; the working directory has its training data and its config."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "models/c"


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_a_training_quantizes_its_model_at_the_end(trained: Path) -> None:
    plain = contents(trained)
    outcome = train(load_config("c.yaml", ["output.quantize=int8"]), TrainingProgress())
    made = contents(trained)
    for name in ("weights.safetensors", "embeddings.bin", "tokens.txt", "tags.txt"):
        assert made[name] == plain[name], name
    assert made["model.onnx"] != plain["model.onnx"]
    assert "quantization" not in json.loads(plain["manifest.json"])
    manifest = json.loads(made["manifest.json"])
    loss = outcome.quantization_loss
    assert loss is not None
    assert manifest["quantization"] == {
        "weights": "int8", "score_before": loss.before.score, "score_after": loss.after.score
    }  # fmt: skip
    assert manifest["calibration"] is not None
    assert any(line.startswith("8-bit weights: on dev, F1 ") for line in outcome.summary())
    operators = [node.op_type for node in onnx.load(trained / "model.onnx", load_external_data=False).graph.node]
    assert "DynamicQuantizeLSTM" in operators
    scores = json.loads(run_tagger("eval", "train", "--json", "--model", trained).output)
    assert scores["f1"] == pytest.approx(loss.after.score)
    again = train(load_config("c.yaml", ["output.quantize=int8"]), TrainingProgress(), resume=True)
    assert again.model_dir is not None
    assert contents(trained) == made, "a finished training is left as it is"


def test_the_same_file_gets_the_same_tags_again_and_with_any_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(config_of(tmp_path, monkeypatch, "output.quantize=int8", "model.decoder=crf"), TrainingProgress())
    (tmp_path / "large").write_bytes((tmp_path / "train").read_bytes() * 60)
    command = ("predict", "large", "--scores", "--model", tmp_path / "models/c", "--threads")
    first, *others = (run_tagger(*command, n).output for n in ("1", "2", "1"))
    assert first.count(b"\n") > 30_000
    assert others == [first, first]


def test_the_scores_of_the_manifest_are_those_of_eval_where_sentences_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Prediction reads ahead by lines too. The tags are chance, so that other batches change some.
    rng = np.random.default_rng(3)
    settings = ["data.scheme=none", "training.epochs=3", "output.quantize=int8", "output.quantize_loss=100"]
    for name, n in (("train", 150), ("dev", 3000)):
        sentences = [
            "".join(f"w{rng.integers(120)} {'OABC'[rng.integers(4)]}\n" for _ in range(rng.integers(1, 60)))
            for _ in range(n)
        ]
        (tmp_path / name).write_text("\n".join(sentences) + "\n")
    (tmp_path / "c.yaml").write_text(
        "data: {train: train, dev: dev}\nmodel: {units: 8, embedding_dim: 8, layers: 1, decoder: constrained, character_units: 4}\n"
    )
    monkeypatch.chdir(tmp_path)
    train(load_config("c.yaml", settings), TrainingProgress())
    manifest = json.loads((tmp_path / "models/c/manifest.json").read_bytes())
    scores = json.loads(run_tagger("eval", "dev", "--json", "--model", tmp_path / "models/c").output)
    assert manifest["quantization"]["score_after"] == scores["accuracy"]


def a_point_less(calls: list[int]) -> Any:
    """Return a function that scores like `evaluate`, and every time after the fourth lower by a point."""

    def evaluated(*given: Any) -> Evaluation:
        calls.append(1)
        found = evaluate(*given)
        assert found.overall is not None
        if len(calls) <= 4:
            return found
        return dataclasses.replace(found, overall=dataclasses.replace(found.overall, f1=found.overall.f1 - 0.01))

    return evaluated


def test_a_loss_above_the_limit_is_refused_and_can_be_allowed_without_training_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path, monkeypatch, "output.quantize=int8")
    with pytest.raises(ModelError) as error:
        train(config, TrainingProgress(), parts=Parts(evaluate=a_point_less([])))
    message, directory = error.value.message, tmp_path / "models/c"
    assert message.startswith("output.quantize: found a loss of 1.0")
    assert "expected at most 0.2; to keep these weights, give the same command with --resume and --set" in message
    assert "output.quantize_loss=1.1; for a model of 32-bit weights" in message
    assert list(error.value.detail) == [f"the training has ended, and the model in {directory} has 32-bit weights"]
    before = load_model(directory, read_weights)
    assert before.manifest.quantization is None
    for settings, quantized in ((["output.quantize_loss=1.1"], True), (["output.quantize=null"], False)):
        again = load_config("c.yaml", ["output.quantize=int8", *settings])
        parts = Parts(evaluate=a_point_less([1] * 4))
        outcome = train(again, TrainingProgress(), resume=True, parts=parts)
        assert [result.epoch for result in outcome.history] == [1, 2, 3, 4]
        after = load_model(directory, read_weights)
        assert (after.manifest.quantization is not None) is quantized
        for name, weight in before.network.items():
            np.testing.assert_array_equal(after.network[name], weight)


def test_a_finished_training_changes_the_weights_of_its_model_and_back(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, quantized = contents(trained), ("output.quantize=int8",)
    outcome = train(load_config("c.yaml", quantized), TrainingProgress(), resume=True)
    assert "found int8 for a model with 32-bit weights; writing the model again" in capsys.readouterr().err
    assert outcome.quantization_loss is not None
    found = contents(trained)
    save_thresholds(trained, {"X": 0.5})
    train(load_config("c.yaml"), TrainingProgress(), resume=True)
    assert contents(trained) == plain
    shown = capsys.readouterr().err
    assert "found null for a model with 8-bit weights; writing the model again" in shown
    assert "the thresholds of the model were chosen for other weights; run tagger threshold again" in shown
    train(load_config("c.yaml", quantized), TrainingProgress())  # from the start
    at_once = contents(trained)
    assert found["model.onnx"] == at_once["model.onnx"]
    of_both = [json.loads(one["manifest.json"]) for one in (found, at_once)]
    for key in ("quantization", "calibration", "dev"):
        assert of_both[0][key] == of_both[1][key], key


def test_a_loss_above_the_limit_leaves_a_finished_model_as_it_is(trained: Path) -> None:
    before = contents(trained)
    parts, config = Parts(evaluate=a_point_less([1] * 4)), load_config("c.yaml", ["output.quantize=int8"])
    with pytest.raises(ModelError) as error:
        train(config, TrainingProgress(), resume=True, parts=parts)
    assert list(error.value.detail) == [f"the training has ended, and the model in {trained} has 32-bit weights"]
    assert contents(trained) == before


def test_without_dev_the_loss_must_be_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"output.quantize: found int8 without data.dev, expected a dev set"):
        config_of(tmp_path, monkeypatch, "output.quantize=int8", "data.dev=null")
    settings = ("output.quantize=int8", "data.dev=null", "output.quantize_loss=100", "training.epochs=1")
    outcome = train(config_of(tmp_path, monkeypatch, *settings), TrainingProgress())
    assert outcome.quantization_loss is None
    found = load_predictor(tmp_path / "models/c").model.manifest.quantization
    assert found is not None
    assert (found.score_before, found.score_after) == (None, None)


def test_a_gpu_is_refused(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model", quantized=True)
    with pytest.raises(DeviceError, match=r"--device gpu: .* has 8-bit weights"):
        load_predictor(directory, device="gpu")
