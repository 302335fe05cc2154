"""Check that only the graph that a manifest describes reaches ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")

from google.protobuf.message import DecodeError  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tagger.prediction.onnx_check import check_graph  # noqa: E402
from tagger.prediction.onnx_graph import structure_of  # noqa: E402

pytest.importorskip("tensorflow")

from small_models import small_model  # noqa: E402

from tagger.network.onnx_export import model_graph  # noqa: E402

pytestmark = pytest.mark.tensorflow

NETWORKS: list[dict[str, Any]] = [
    {},
    {"direction": "backward", "layers": 2},
    {"merge": "sum"},
    {"merge": "mul"},
    {"merge": "ave", "layers": 3},
    {"characters": "lstm", "decoder": "crf"},
    {"characters": "cnn", "casing": True, "features": ("pos", "chunk"), "decoder": "crf"},
    {"casing": True, "embedding_dtype": "float16"},
    {"features": ("pos",)},
    {"quantized": True},
    {"quantized": True, "direction": "forward", "layers": 2, "decoder": "crf"},
    {"quantized": True, "characters": "lstm", "casing": True, "merge": "sum", "embedding_dtype": "float16"},
]


def written(tmp_path: Path, **options: Any) -> tuple[bytes, Any, dict[str, str]]:
    """Return a graph and the arguments with which `check_graph` accepts it."""
    model = small_model(tmp_path, **options)
    sizes, quantized = model.encoder.sizes(len(model.tags)), model.manifest.quantization is not None
    structure = structure_of(model.manifest.network, sizes, quantized=quantized)
    size = model.network["embedding"].size * (2 if model.manifest.embedding_dtype == "float16" else 4)
    return model_graph(model), structure, {"location": "embeddings.bin", "offset": "0", "length": str(size)}


@pytest.mark.parametrize("options", NETWORKS)
def test_exported_graphs_are_accepted(tmp_path: Path, options: dict[str, Any]) -> None:
    content, structure, external = written(tmp_path, **options)
    check_graph(content, structure, external=external)


def a_loop(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.insert(0, helper.make_node("Loop", ["", "", "x"], ["y"], body=body))


def another_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Identity"


def another_domain(model: Any) -> None:
    model.graph.node[0].domain = "com.microsoft"


def operators_of_another_domain(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def an_operator_more(model: Any) -> None:
    model.graph.node.append(helper.make_node("Concat", ["logits", "logits"], ["twice"], axis=0))


def an_operator_less(model: Any) -> None:
    del model.graph.node[-1]


def another_attribute(model: Any) -> None:
    (lstm,) = (node for node in model.graph.node if node.op_type == "LSTM" and node.input[0] == "x_0")
    lstm.attribute.append(helper.make_attribute("layout", 1))


def another_value_of_an_attribute(model: Any) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Transpose")
    node.attribute[0].ints[:] = [0, 1]


def an_attribute_of_two_values(model: Any) -> None:
    node = next(node for node in model.graph.node if node.op_type == "Transpose")
    node.attribute[0].s = b"x"


def a_function(model: Any) -> None:
    model.functions.append(
        helper.make_function("", "Gather", ["x"], ["y"], [], opset_imports=[helper.make_opsetid("", 17)])
    )


def training(model: Any) -> None:
    model.training_info.append(onnx.TrainingInfoProto())


def a_sparse_constant(model: Any) -> None:
    model.graph.sparse_initializer.append(onnx.SparseTensorProto())


def external(model: Any, name: str, **entries: str) -> None:
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.ClearField("raw_data")
    del tensor.external_data[:]
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)


def a_file_elsewhere(model: Any) -> None:
    external(model, "embedding", location="../../etc/passwd", offset="0", length="4")


def a_weight_from_a_file(model: Any) -> None:
    external(model, "softmax.bias", location="embeddings.bin", offset="0", length="20")


def a_part_of_the_file(model: Any) -> None:
    next(entry for entry in model.graph.initializer[0].external_data if entry.key == "offset").value = "4"


def a_huge_shape(model: Any) -> None:
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "softmax.bias")
    bias.dims[:] = [2**62]


def a_negative_shape(model: Any) -> None:
    (bias,) = (tensor for tensor in model.graph.initializer if tensor.name == "softmax.bias")
    bias.dims[:] = [-1, -len(bias.raw_data) // 4]


def another_size(model: Any) -> None:
    (pads,) = (tensor for tensor in model.graph.initializer if tensor.name == "character_pads")
    pads.CopyFrom(numpy_helper.from_array(np.array([0, 1 << 40, 0, 1]), "character_pads"))


def a_constant_more(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "more"))


def the_same_constant_twice(model: Any) -> None:
    model.graph.initializer.append(model.graph.initializer[1])


def another_input(model: Any) -> None:
    model.graph.input[0].name = "ids"


def named(model: Any, name: str) -> Any:
    (tensor,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
    return tensor


def a_hundred_thousand_axes(model: Any) -> None:  # ONNX Runtime would end the process
    kernel = named(model, "softmax.kernel")
    kernel.dims[:] = [1] * 100_000 + list(kernel.dims)


def sizes_whose_product_takes_minutes(model: Any) -> None:
    named(model, "softmax.kernel").dims[:] = [2**62] * 300_000


def turned_axes(model: Any) -> None:
    kernel = named(model, "softmax.kernel")
    kernel.dims[:] = list(reversed(kernel.dims))


def tags_by_broadcasting(model: Any) -> None:
    named(model, "softmax.kernel").CopyFrom(numpy_helper.from_array(np.zeros((14, 1), np.float32), "softmax.kernel"))
    named(model, "softmax.bias").CopyFrom(numpy_helper.from_array(np.zeros(1000, np.float32), "softmax.bias"))


def another_type_of_weights(model: Any) -> None:
    bias = named(model, "softmax.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias).view(np.int32), "softmax.bias"))


def an_output_more(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ("V", "E")))


def outputs_in_another_order(model: Any) -> None:
    model.graph.output.insert(0, model.graph.output.pop())


def another_number_of_tags(model: Any) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[2].dim_value = 9


def another_type_of_input(model: Any) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64


def an_input_without_type(model: Any) -> None:
    model.graph.input[0].ClearField("type")


def an_endless_name(model: Any) -> None:
    model.graph.input[0].name = "x" * 1_000_000


def notes_without_end(model: Any) -> None:
    for _ in range(10_000):
        model.metadata_props.add()


def another_format(model: Any) -> None:
    model.ir_version = 9


def no_operator_set(model: Any) -> None:
    del model.opset_import[:]


def the_operator_set_twice(model: Any) -> None:
    model.opset_import.append(model.opset_import[0])


def an_operator_set_without_version(model: Any) -> None:
    model.opset_import[0].ClearField("version")


def transpose(model: Any) -> Any:
    return next(node for node in model.graph.node if node.op_type == "Transpose")


def an_attribute_twice(model: Any) -> None:
    transpose(model).attribute.append(transpose(model).attribute[0])


def an_attribute_of_another_type(model: Any) -> None:
    transpose(model).attribute[0].type = onnx.AttributeProto.FLOATS


def an_attribute_without_type(model: Any) -> None:
    transpose(model).attribute[0].ClearField("type")


def a_location_twice(model: Any) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="embeddings.bin")


def another_location_first(model: Any) -> None:
    entries = model.graph.initializer[0].external_data
    entries[0].value = "../x"
    entries.add(key="location", value="embeddings.bin")


def numbers_inside_and_outside(model: Any) -> None:
    model.graph.initializer[0].raw_data = b"1234"


def a_note_twice(model: Any) -> None:
    model.metadata_props.append(model.metadata_props[0])


def a_graph_without_name(model: Any) -> None:
    model.graph.ClearField("name")


@pytest.mark.parametrize(
    "change",
    [another_format, no_operator_set, the_operator_set_twice, an_operator_set_without_version, an_attribute_twice,
     an_attribute_of_another_type, an_attribute_without_type, a_location_twice, another_location_first,
     numbers_inside_and_outside, a_note_twice, a_graph_without_name,
     a_hundred_thousand_axes, sizes_whose_product_takes_minutes, turned_axes, tags_by_broadcasting,
     another_type_of_weights, an_output_more, outputs_in_another_order, another_number_of_tags, another_type_of_input,
     an_input_without_type, an_endless_name, notes_without_end, a_loop, another_operator, another_domain, operators_of_another_domain, an_operator_more, an_operator_less,
     another_attribute, another_value_of_an_attribute, an_attribute_of_two_values, a_function, training,
     a_sparse_constant, a_file_elsewhere, a_weight_from_a_file, a_part_of_the_file, a_huge_shape,
     a_negative_shape, another_size, a_constant_more, the_same_constant_twice, another_input],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_any_other_graph_is_refused(tmp_path: Path, change: Callable[[Any], None]) -> None:
    content, structure, external = written(tmp_path, characters="cnn", casing=True, decoder="crf")
    model = onnx.ModelProto.FromString(content)
    check_graph(model.SerializeToString(), structure, external=external)
    change(model)
    with pytest.raises(ValueError, match="found ") as error:
        check_graph(model.SerializeToString(), structure, external=external)
    assert len(str(error.value)) < 1000


def quantized_lstm(model: Any) -> Any:
    return next(node for node in model.graph.node if node.op_type == "DynamicQuantizeLSTM")


def the_operator_of_floats(model: Any) -> None:
    quantized_lstm(model).op_type = "LSTM"


def the_operator_in_the_domain_of_onnx(model: Any) -> None:
    quantized_lstm(model).domain = ""


def another_operator_of_the_runtime(model: Any) -> None:
    quantized_lstm(model).op_type = "DynamicQuantizeMatMul"


def an_operator_of_the_runtime_more(model: Any) -> None:
    model.graph.node.append(helper.make_node("Inverse", ["x_1"], ["y"], domain="com.microsoft"))


def an_operator_of_onnx_in_the_domain_of_the_runtime(model: Any) -> None:
    transpose(model).domain = "com.microsoft"


def no_operator_set_of_the_runtime(model: Any) -> None:
    del model.opset_import[1]


def another_version_of_the_runtimes_operators(model: Any) -> None:
    model.opset_import[1].version = 2


def a_third_operator_set(model: Any) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))


def operator_sets_in_another_order(model: Any) -> None:
    model.opset_import.insert(0, model.opset_import.pop())


def a_state_to_begin_with(model: Any) -> None:
    quantized_lstm(model).input[5] = "x_0"


def exchanged_scales(model: Any) -> None:
    inputs = quantized_lstm(model).input
    inputs[8], inputs[10] = inputs[10], inputs[8]


def a_zero_point(model: Any) -> None:
    named(model, "W_1_zero").raw_data = b"\0\1"


def a_scale_for_each_gate(model: Any) -> None:
    named(model, "W_1_scale").CopyFrom(numpy_helper.from_array(np.ones((2, 20), np.float32), "W_1_scale"))


def unsigned_weights(model: Any) -> None:
    named(model, "R_1_int8").data_type = TensorProto.UINT8


def weights_that_are_not_quantized(model: Any) -> None:
    weights = named(model, "R_1_int8")
    weights.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weights).astype(np.float32), "R_1_int8"))


def too_few_weights(model: Any) -> None:
    named(model, "R_1_int8").raw_data = named(model, "R_1_int8").raw_data[:-1]


def axes_as_without_quantization(model: Any) -> None:
    dims = named(model, "W_1_int8").dims
    dims[:] = [dims[0], dims[2], dims[1]]


@pytest.mark.parametrize(
    "change",
    [the_operator_of_floats, the_operator_in_the_domain_of_onnx, another_operator_of_the_runtime,
     an_operator_of_the_runtime_more, an_operator_of_onnx_in_the_domain_of_the_runtime, no_operator_set_of_the_runtime,
     another_version_of_the_runtimes_operators, a_third_operator_set, operator_sets_in_another_order,
     a_state_to_begin_with, exchanged_scales, a_zero_point, a_scale_for_each_gate, unsigned_weights,
     weights_that_are_not_quantized, too_few_weights, axes_as_without_quantization, a_constant_more, a_loop, a_function,
     the_operator_set_twice, a_file_elsewhere, turned_axes],
    ids=lambda change: change.__name__,
)  # fmt: skip
def test_any_other_graph_is_refused_in_the_place_of_a_quantized_one(
    tmp_path: Path, change: Callable[[Any], None]
) -> None:
    content, structure, external = written(tmp_path, quantized=True)
    model = onnx.ModelProto.FromString(content)
    check_graph(model.SerializeToString(), structure, external=external)
    change(model)
    with pytest.raises(ValueError, match="found ") as error:
        check_graph(model.SerializeToString(), structure, external=external)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("quantized", [False, True])
def test_neither_kind_of_graph_is_accepted_for_the_other(tmp_path: Path, quantized: bool) -> None:
    content, _, external = written(tmp_path, quantized=quantized)
    _, structure, _ = written(tmp_path, quantized=not quantized)
    with pytest.raises(ValueError, match="found the operator sets"):
        check_graph(content, structure, external=external)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.replace(b"\x08\x08", b"\x08\x88\x00", 1), "found a number of 2 bytes that is not written as"),
        (lambda content: content.replace(b"\x08\x08", b"\x88\x00\x08", 1), "found a number of 2 bytes that is not written as"),
        (lambda content: content.replace(b"\x08\x08", b"\x08" + b"\xff" * 9 + b"\x02", 1), "found a number of 10 bytes that is not"),
        (lambda content: content.replace(b"\x08\x08", b"\x08" + b"\xff" * 11 + b"\x01", 1), "found a number of more than ten bytes"),
        (lambda content: content + b"\x08\x08", "found two values of ir_version, expected one"),
        (lambda content: content + content[content.index(b"\x3a") :], "found two values of graph, expected one"),
        (lambda content: content.replace(b"\x08\x08", b"\x0a\x01\x08", 1), "found the wire type of ir_version to be 2, expected 0"),
        (lambda content: content + b"\x10\x01", "found the wire type of producer_name to be 0, expected 2"),
        (lambda content: content + b"\x22\x01\xff", "codec can't decode"),
        (lambda content: content + b"\x28\x01", None),  # model_version, which has no meaning
    ],
)  # fmt: skip
def test_other_ways_to_write_a_graph_are_refused(
    tmp_path: Path, change: Callable[[bytes], bytes], message: str | None
) -> None:
    content, structure, external = written(tmp_path)
    assert content.startswith(b"\x08\x08")
    if message is None:
        check_graph(change(content), structure, external=external)
        return
    with pytest.raises(ValueError, match=message):
        check_graph(change(content), structure, external=external)


def test_damaged_graphs_are_refused_or_have_the_same_operators(tmp_path: Path) -> None:
    content, structure, external = written(tmp_path, layers=1)
    for n in range(0, len(content) - 1, 11):
        with pytest.raises(ValueError, match=r"found |codec"):
            check_graph(content[:n], structure, external=external)
    rng = np.random.default_rng(1)
    for i, bit in zip(rng.integers(0, len(content), 3000), rng.integers(0, 8, 3000), strict=True):
        changed = bytearray(content)
        changed[i] ^= 1 << bit
        try:
            check_graph(bytes(changed), structure, external=external)
        except ValueError:
            continue
        # The change is in a weight, in a name without meaning or in something that ONNX Runtime itself checks, so the
        # operators are the same.
        try:
            nodes = [onnx.ModelProto.FromString(data).graph.node for data in (content, bytes(changed))]
        except DecodeError:
            continue
        kinds = [[(node.op_type, list(node.input), list(node.output)) for node in found] for found in nodes]
        assert kinds[0] == kinds[1]
