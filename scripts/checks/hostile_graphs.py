"""Crafted ONNX files: what a person who knows the format would try. Used by the fuzzer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper

ODD_NUMBERS = [0, 1, -1, 2, 3, 7, 100, 2**31, 2**62, -(2**62)]
ODD_TEXTS = [
    "",
    "x",
    "../x",
    "/etc/passwd",
    "embeddings.bin",
    "logits",
    "embedding",
    "reverse",
    "Loop",
    "com.microsoft",
]
Change = Callable[[random.Random, Any], None]


def _pick(rng: random.Random, items: Any) -> Any:
    return items[rng.randrange(len(items))]


def _node_with_attributes(rng: random.Random, graph: Any) -> Any:
    return _pick(rng, [node for node in graph.node if node.attribute])


def change_nodes(rng: random.Random, model: Any) -> None:
    nodes = model.graph.node
    node, other = _pick(rng, nodes), _pick(rng, nodes)
    match rng.randrange(9):
        case 0:
            nodes.remove(node)
        case 1:
            nodes.append(node)
        case 2:
            node.op_type = _pick(rng, ["Identity", "Loop", "If", "Scan", "RandomNormal", "Abs", other.op_type])
        case 3:
            node.input[rng.randrange(len(node.input))] = _pick(rng, [other.input[0], other.output[-1], *ODD_TEXTS])
        case 4:
            node.output[rng.randrange(len(node.output))] = _pick(rng, [other.input[0], other.output[-1], *ODD_TEXTS])
        case 5:
            node.domain = _pick(rng, ODD_TEXTS)
        case 6:
            node.input.append(_pick(rng, [other.input[0], ""]))
        case 7:
            node.doc_string = "x"
        case _:
            body = helper.make_graph([], "body", [], [])
            nodes.insert(0, helper.make_node("Loop", ["", "", "x"], ["y"], body=body))


def change_attributes(rng: random.Random, model: Any) -> None:
    node = _node_with_attributes(rng, model.graph)
    attribute = _pick(rng, node.attribute)
    match rng.randrange(9):
        case 0:
            node.attribute.append(attribute)  # the same one twice
        case 1:
            attribute.type = rng.randrange(15)
        case 2:
            attribute.ClearField("type")
        case 3:
            node.attribute.append(helper.make_attribute(_pick(rng, ["layout", "axis", "clip", "x"]), 1))
        case 4:
            attribute.ints.append(_pick(rng, ODD_NUMBERS))
        case 5:
            attribute.i = _pick(rng, ODD_NUMBERS)
        case 6:
            attribute.s = _pick(rng, ODD_TEXTS).encode()
        case 7:
            attribute.f = 1.0
        case _:
            attribute.ref_attr_name = "x"


def change_constants(rng: random.Random, model: Any) -> None:
    tensors = model.graph.initializer
    tensor = _pick(rng, tensors)
    match rng.randrange(12):
        case 0:
            tensors.remove(tensor)
        case 1:
            tensors.append(tensor)
        case 2:
            tensor.dims.append(_pick(rng, ODD_NUMBERS))
        case 3 if tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = _pick(rng, ODD_NUMBERS)
        case 4:
            tensor.data_type = rng.randrange(24)
        case 5:
            tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
        case 6:
            tensor.float_data.append(1.0)
        case 7:
            tensor.external_data.add(key=_pick(rng, ["location", "offset", "length", "x"]), value=_pick(rng, ODD_TEXTS))
        case 8:
            tensor.data_location = rng.randrange(2)
        case 9:
            tensor.segment.begin = 1
        case 10:
            for entry in tensors[0].external_data:
                if entry.key == _pick(rng, ["location", "offset", "length"]):
                    entry.value = _pick(rng, [*ODD_TEXTS, "4", "-1", "00", "1e3"])
        case _:
            tensor.name = _pick(rng, [_pick(rng, tensors).name, *ODD_TEXTS])


def change_location(rng: random.Random, model: Any) -> None:
    """Name two places for the embedding; readers differ in which of them they use."""
    entries = model.graph.initializer[0].external_data
    value = rng.choice([*ODD_TEXTS, "model.onnx", "0", "4"])
    entries.add(key=rng.choice(["location", "offset", "length"]), value=value)
    if rng.random() < 0.5:
        last = onnx.StringStringEntryProto()
        last.CopyFrom(entries[-1])
        del entries[-1]
        entries.insert(0, last)


def change_quantization(rng: random.Random, model: Any) -> None:
    """Change what only graphs with 8-bit weights have; fail for others."""
    node = _pick(rng, [node for node in model.graph.node if node.op_type == "DynamicQuantizeLSTM"])
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    tensor = tensors[_pick(rng, [name for name in node.input if name in tensors and name[:2] in ("W_", "R_")])]
    match rng.randrange(7):
        case 0:
            node.op_type = _pick(rng, ["LSTM", "QAttention", "DynamicQuantizeMatMul", "FusedMatMul"])
        case 1:
            node.input[rng.randrange(5, 8)] = _pick(rng, [*node.input, "logits"])
        case 2:
            i, j = rng.sample([1, 2, *range(8, 12)], 2)
            node.input[i], node.input[j] = node.input[j], node.input[i]
        case 3:
            tensor.data_type = _pick(rng, [TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT, TensorProto.INT4])
        case 4:
            zero = tensors[_pick(rng, [node.input[9], node.input[11]])]
            zero.raw_data = bytes(rng.randrange(256) for _ in zero.raw_data)
        case 5:
            tensor.dims[:] = _pick(rng, [tensor.dims[::-1], tensor.dims[1:], [*tensor.dims, 1], [1, *tensor.dims]])
        case _:
            model.opset_import[-1].version = _pick(rng, [0, 2, 17])


def change_head(rng: random.Random, model: Any) -> None:
    match rng.randrange(10):
        case 0:
            del model.opset_import[:]
        case 1:
            model.opset_import.append(model.opset_import[0])
        case 2:
            model.opset_import[0].version = _pick(rng, [0, 1, 7, 13, 16, 18, 21, 99])
        case 3:
            model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        case 4:
            model.ir_version = _pick(rng, [0, 1, 2, 3, 7, 9, 10, 99])
        case 5:
            model.functions.append(
                helper.make_function("", "Gather", ["x"], ["y"], [], opset_imports=[helper.make_opsetid("", 17)])
            )
        case 6:
            model.training_info.append(onnx.TrainingInfoProto())
        case 7:
            model.metadata_props.append(model.metadata_props[0])
        case 8:
            model.graph.ClearField("name")
        case _:
            model.ClearField("ir_version")


def change_interface(rng: random.Random, model: Any) -> None:
    values = _pick(rng, [model.graph.input, model.graph.output])
    value = _pick(rng, values)
    match rng.randrange(7):
        case 0:
            values.remove(value)
        case 1:
            values.append(value)
        case 2:
            value.type.tensor_type.elem_type = rng.randrange(17)
        case 3:
            value.type.tensor_type.shape.dim.add().dim_value = _pick(rng, ODD_NUMBERS)
        case 4:
            value.name = _pick(rng, ["embedding", *ODD_TEXTS])
        case 5:
            value.type.sequence_type.elem_type.tensor_type.elem_type = 1
        case _:
            model.graph.value_info.append(value)


def change_extras(rng: random.Random, model: Any) -> None:
    match rng.randrange(3):
        case 0:
            model.graph.sparse_initializer.append(onnx.SparseTensorProto())
        case 1:
            model.graph.quantization_annotation.append(onnx.TensorAnnotation())
        case _:
            model.graph.initializer.append(
                numpy_helper.from_array(np.zeros(3, np.float32), rng.choice(["more", "x_0"]))
            )


CHANGES: list[Change] = [
    change_nodes, change_nodes, change_attributes, change_attributes, change_constants, change_constants,
    change_location, change_head, change_interface, change_extras, change_quantization,
]  # fmt: skip


def changed_bytes(rng: random.Random, content: bytes) -> bytes:
    """Change how a file is written: bits, longer numbers, fields twice, unknown fields, its end."""
    data = bytearray(content)
    match rng.randrange(6):
        case 0 | 1:
            # The weights at the end may have any value, so most changes are made before them.
            for _ in range(rng.choice([1, 1, 1, 2, 4])):
                data[int(len(data) * rng.random() ** 2)] ^= 1 << rng.randrange(8)
        case 2:
            places = [i for i in range(min(400, len(data))) if data[i] < 0x80]
            at = rng.choice([1, rng.choice(places)])  # 1 is the version of the format
            data[at : at + 1] = bytes([data[at] | 0x80, *[0x80] * rng.choice([0, 1, 8, 9, 10, 20]), 0])
        case 3:
            field = rng.choice([b"\x08\x08", b"\x08\x07", b"\x12\x01x", b"\x28\x05", b"\x42\x02\x10\x11", b"\x3a\x00"])
            data += field * rng.choice([1, 1, 2])
        case 4:
            data += rng.choice(
                [b"\x7a\x00", b"\xa2\x01\x00", b"\xfa\xff\x3f\x01x", b"\x0d\0\0\0\0", b"\x00\x00", b"\x0b\x0c"]
            )
        case _:
            del data[rng.randrange(len(data)) :]
    return bytes(data)


def crafted(rng: random.Random, content: bytes) -> bytes:
    """Return another file than a given graph."""
    if rng.random() < 0.35:
        return changed_bytes(rng, content)
    model = onnx.ModelProto.FromString(content)
    for _ in range(rng.choice([1, 1, 2])):
        try:
            rng.choice(CHANGES)(rng, model)
        except (IndexError, KeyError, ValueError):  # an earlier change removed all of them, or there is no such type
            continue
    data: bytes = model.SerializeToString()
    return changed_bytes(rng, data) if rng.random() < 0.1 else data


def with_odd_weights(rng: random.Random, content: bytes) -> bytes:
    """Return a graph in which some weights are not finite, or too large."""
    model = onnx.ModelProto.FromString(content)
    stored = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT and tensor.raw_data]
    tensor = rng.choice(stored)
    values = np.frombuffer(tensor.raw_data, "<f4").copy()
    values[rng.randrange(len(values)) :] = rng.choice([np.nan, np.inf, -np.inf, 3e38])
    tensor.raw_data = values.tobytes()
    return bytes(model.SerializeToString())


def essence(content: bytes) -> bytes | None:
    """Return a graph without the values of its weights and without what has no meaning; None if it cannot be read.

    The onnx package reads it, which shares no code with the check of `tagger`.
    """
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError:
        return None
    for field in ("producer_name", "producer_version", "domain", "model_version", "doc_string"):
        model.ClearField(field)
    kept = [entry for entry in model.metadata_props if entry.key == "network"]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.graph.ClearField("name")
    for node in model.graph.node:
        node.ClearField("name")
        if not node.domain:
            node.ClearField("domain")
    tensors = sorted(model.graph.initializer, key=lambda tensor: tensor.name)
    for tensor in tensors:
        is_weight = tensor.data_type == TensorProto.FLOAT or (
            tensor.data_type == TensorProto.INT8
            and len(tensor.dims) == 3  # zero points, which are constant, have one axis
        )
        if is_weight and tensor.HasField("raw_data"):
            tensor.raw_data = bytes(len(tensor.raw_data))
    del model.graph.initializer[:]
    model.graph.initializer.extend(tensors)
    return bytes(model.SerializeToString(deterministic=True))
