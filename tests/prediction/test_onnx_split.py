"""Check that the two parts of a split graph compute together exactly what the graph itself computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

pytest.importorskip("tensorflow")  # TensorFlow builds the models; nothing here predicts with it

from small_models import graph_inputs, random_sentences, save_small_model

from tagger.inputs.batching import pad
from tagger.inputs.encoder import Encoder
from tagger.prediction.onnx_graph import structure_of
from tagger.prediction.onnx_session import OnnxSession, load_predictor
from tagger.prediction.onnx_split import split_graph

pytestmark = pytest.mark.tensorflow

NETWORKS: dict[str, dict[str, Any]] = {
    "characters": {"characters": "cnn"},
    "casing": {"casing": True},
    "everything": {"characters": "cnn", "casing": True, "layers": 2, "decoder": "crf", "features": ("pos", "chunk")},
    "quantized": {"characters": "cnn", "casing": True, "layers": 2, "decoder": "crf", "quantized": True},
    "recurrent": {"characters": "lstm", "casing": True, "merge": "sum", "embedding_dtype": "float16"},
}


@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_the_parts_compute_what_the_whole_graph_computes(tmp_path: Path, settings: dict[str, Any]) -> None:
    network, encoder = open_small_model(tmp_path / "model", settings)
    sentences = [tokens for tokens in random_sentences(40) if tokens]
    features = [f"f{i % 7}" for i in range(100)]
    columns = [[tokens, *[features[: len(tokens)]] * len(encoder.features)] for tokens in sentences]
    ids, forms = encoder.encode(columns)
    rows = network.represent(forms)
    assert rows is not None
    assert np.unique(rows, axis=0).shape[0] > 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # with more, each thread quantizes its share of the states with a scale of its own
    whole = onnxruntime.InferenceSession(tmp_path / "model/model.onnx", options, providers=["CPUExecutionProvider"])
    names = {given.name for given in whole.get_inputs()}
    for batch in (ids[:1], ids[5:25], ids):
        feeds = graph_inputs(*pad(batch), forms)
        (expected,) = whole.run(["logits"], {name: array for name, array in feeds.items() if name in names})
        np.testing.assert_array_equal(network(batch, rows), expected)
        np.testing.assert_array_equal(network(batch, forms), expected)


@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_each_node_constant_and_input_is_in_one_part_or_shared(tmp_path: Path, settings: dict[str, Any]) -> None:
    directory = save_small_model(tmp_path / "model", **settings)
    model = load_predictor(directory).model
    sizes, quantized = model.encoder.sizes(len(model.tags)), model.manifest.quantization is not None
    structure = structure_of(model.manifest.network, sizes, quantized=quantized)
    table = structure.form_table
    assert table is not None
    parts = split_graph((directory / "model.onnx").read_bytes(), structure, table)
    of_forms, rest = (onnx.load_model_from_string(part) for part in parts)
    onnx.checker.check_model(of_forms, full_check=True)
    whole = onnx.load(directory / "model.onnx", load_external_data=False)
    assert len(of_forms.graph.node) + len(rest.graph.node) == len(whole.graph.node)
    assert not {node.op_type for node in of_forms.graph.node} & {"MatMul", "Softmax"}
    for kind in ("initializer", "input", "output"):
        names = [{value.name for value in getattr(one.graph, kind)} for one in (of_forms, rest, whole)]
        assert (names[0] | names[1]) - {table.name} == names[2], kind
    assert [output.name for output in of_forms.graph.output] == [table.name]
    assert rest.graph.input[-1] == of_forms.graph.output[0]
    assert "embedding" not in {value.name for value in of_forms.graph.initializer}
    assert rest.metadata_props == whole.metadata_props


def open_small_model(directory: Path, settings: dict[str, Any]) -> tuple[OnnxSession, Encoder]:
    model = load_predictor(save_small_model(directory, **settings)).model
    assert isinstance(model.network, OnnxSession)
    return model.network, model.encoder
