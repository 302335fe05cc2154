"""A check that an ONNX file holds the graph that its manifest describes and nothing else.

ONNX Runtime would run whatever it is given: loops, functions, files in any place, tensors of any size. This module
therefore reads the file before ONNX Runtime does. It reads the wire format of protocol buffers
(protobuf.dev/programming-guides/encoding) with the field numbers of onnx.proto. It does not use the onnx package,
because prediction does not need that package otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tagger.prediction.onnx_graph import FLOAT, FLOAT16, INT32, INT64, OPSET, Node, Structure

_VARINT, _BYTES = 0, 2
_ITEM_BYTES = {FLOAT: 4, INT32: 4, INT64: 8, FLOAT16: 2}
_DATA_LOCATION_EXTERNAL = 1
# The names of fields by number; a message with any other field is refused.
_MODEL = {
    1: "ir_version", 2: "producer_name", 3: "producer_version", 4: "domain", 5: "model_version", 6: "doc_string",
    7: "graph", 8: "opset_import", 14: "metadata_props",
}  # fmt: skip
_OPSET = {1: "domain", 2: "version"}
_GRAPH = {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output"}
_NODE = {1: "input", 2: "output", 3: "name", 4: "op_type", 5: "attribute", 7: "domain"}
_ATTRIBUTE = {1: "name", 3: "i", 4: "s", 8: "ints", 20: "type"}
_TENSOR = {1: "dims", 2: "data_type", 8: "name", 9: "raw_data", 13: "external_data", 14: "data_location"}
_ENTRY = {1: "key", 2: "value"}
_VALUE_INFO = {1: "name", 2: "type"}
_TYPE = {1: "tensor_type"}
_TENSOR_TYPE = {1: "elem_type", 2: "shape"}
_SHAPE = {1: "dim"}
_DIMENSION = {1: "dim_value", 2: "dim_param"}
_MOST = 64  # the most fields of a message other than the graph; valid ones have fewer
_SHOWN = 200  # the most characters of a file's content in an error message
_Message = Mapping[str, list[Any]]


def check_graph(content: bytes, structure: Structure, *, external: Mapping[str, str]) -> None:
    """Compare the content of a file with the graph that it must hold.

    Args:
        content: the content of the file.
        structure: the nodes, constants, inputs and outputs that the graph must have.
        external: the place of the embedding that the file must state: `location`, `offset`, `length`.

    Raises:
        ValueError: the file does not hold exactly this graph.
    """
    model = _message(memoryview(content), _MODEL)
    for opset in model.get("opset_import", []):
        values = _message(opset, _OPSET)
        if (_text(values, "domain"), values.get("version")) != ("", [OPSET]):
            version = values.get("version", [])
            raise ValueError(
                f"found version {_cut(version[0] if len(version) == 1 else version)} of the operator set"
                f" {_cut(_text(values, 'domain'))}, expected version {OPSET} of ''"
            )
    for entry in model.get("metadata_props", []):
        _message(entry, _ENTRY)
    n_fields = sum(map(len, (structure.nodes, structure.weights, structure.numbers, structure.inputs)))
    graph = _message(_one(model, "graph"), _GRAPH, n_fields + _MOST)
    nodes = [_node(view) for view in graph.get("node", [])]
    for found, expected in zip(nodes, structure.nodes, strict=False):
        if found != expected:
            raise ValueError(f"found {_shown(found)}, expected {_shown(expected)}")
    if len(nodes) != len(structure.nodes):
        raise ValueError(f"found {len(nodes)} operators, expected {len(structure.nodes)}")
    for key, wanted, kind in (("input", structure.inputs, INT32), ("output", structure.outputs, FLOAT)):
        described = [_described(_message(view, _VALUE_INFO)) for view in graph.get(key, [])]
        if described != [(name, kind, axes) for name, axes in wanted.items()]:
            raise ValueError(f"found the {key}s {_cut(described)}, expected {_cut(dict(wanted))}")
    _check_tensors([_message(view, _TENSOR) for view in graph.get("initializer", [])], structure, external)


def _described(value: _Message) -> tuple[str, Any, tuple[Any, ...]]:
    """Return the name, the element type and the axes of an input or output."""
    tensor = _message(_one(_message(_one(value, "type"), _TYPE), "tensor_type"), _TENSOR_TYPE)
    axes = [_message(view, _DIMENSION) for view in _message(_one(tensor, "shape"), _SHAPE).get("dim", [])]
    lengths = tuple(_text(axis, "dim_param") if "dim_param" in axis else _one(axis, "dim_value") for axis in axes)
    return _text(value, "name"), _one(tensor, "elem_type"), lengths


def _check_tensors(tensors: list[_Message], structure: Structure, external: Mapping[str, str]) -> None:
    names = [_text(tensor, "name") for tensor in tensors]
    if sorted(names) != sorted([*structure.weights, *structure.numbers]):
        raise ValueError(f"found the constants {_cut(sorted(names))}, expected {_cut(sorted(structure.weights))}")
    for name, tensor in zip(names, tensors, strict=True):
        kind, dims = _one(tensor, "data_type"), tuple(_whole_numbers(tensor.get("dims", [])))
        value = structure.numbers.get(name)
        constant = None if value is None else np.array(value, "<i8" if isinstance(value, tuple) else "<i4")
        shape = structure.weights[name] if constant is None else constant.shape
        if dims != shape:
            raise ValueError(f"{name}: found the shape {_cut(dims)}, expected {shape}")
        if "external_data" in tensor or "data_location" in tensor:
            entries = [_message(view, _ENTRY) for view in tensor.get("external_data", [])]
            where = {_text(entry, "key"): _text(entry, "value") for entry in entries}
            if name != "embedding" or where != external or tensor.get("data_location") != [_DATA_LOCATION_EXTERNAL]:
                raise ValueError(f"{name}: found its numbers in {_cut(where)}, expected them in {dict(external)}")
            n_bytes, kinds = int(external["length"]), [FLOAT, FLOAT16]
        else:
            n_bytes = len(_bytes(_one(tensor, "raw_data")))
            kinds = [FLOAT] if constant is None else [INT64 if isinstance(value, tuple) else INT32]
        if kind not in kinds or n_bytes != math.prod(shape) * _ITEM_BYTES[kind]:
            raise ValueError(
                f"{name}: found {n_bytes} bytes of the type {kind}, expected the shape {shape} and a type in {kinds}"
            )
        if constant is not None and bytes(_one(tensor, "raw_data")) != constant.tobytes():
            raise ValueError(f"{name}: found another constant, expected {value}")


def _node(view: memoryview) -> Node:
    values = _message(view, _NODE)
    if _text(values, "domain"):
        raise ValueError(
            f"found an operator of the domain {_cut(_text(values, 'domain'))}, expected one of ONNX itself"
        )
    attributes: dict[str, Any] = {}
    for part in values.get("attribute", []):
        attribute = _message(part, _ATTRIBUTE)
        kinds = [kind for kind in _ATTRIBUTE_VALUES if kind in attribute]
        if len(kinds) != 1:
            raise ValueError(f"found an attribute with the fields {kinds}, expected one value")
        attributes[_text(attribute, "name")] = _ATTRIBUTE_VALUES[kinds[0]](attribute)
    inputs, outputs = (tuple(_decoded(name) for name in values.get(key, [])) for key in ("input", "output"))
    return Node(_text(values, "op_type"), inputs, outputs, attributes)


def _shown(node: Node) -> str:
    return f"{node.operator}({', '.join(node.inputs)}) → {', '.join(node.outputs)} {dict(node.attributes)}"[:_SHOWN]


def _cut(value: object) -> str:
    return repr(value)[:_SHOWN]


# --- The wire format -------------------------------------------------------------------------------------------------


def _message(view: Any, fields: Mapping[int, str], most: int = _MOST) -> _Message:
    """Return the values of each field, in order.

    Values of fixed length are refused, because no field that is expected here has one.
    """
    found: dict[str, list[Any]] = {}
    for i, (number, value) in enumerate(_fields(_bytes(view))):
        if i == most:
            raise ValueError(f"found more than {most} fields, expected at most {most} of {', '.join(fields.values())}")
        if number not in fields:
            raise ValueError(f"found the field {number}, expected one of {', '.join(fields.values())}")
        found.setdefault(fields[number], []).append(value)
    return found


def _fields(view: memoryview) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(view):
        tag, at = _varint(view, at)
        if tag & 7 == _VARINT:
            value, at = _varint(view, at)
            yield tag >> 3, value - (1 << 64) if value >> 63 else value
        elif tag & 7 == _BYTES:
            size, at = _varint(view, at)
            if size > len(view) - at:
                raise ValueError(f"found {len(view) - at} bytes, expected {size}")
            yield tag >> 3, view[at : at + size]
            at += size
        else:
            raise ValueError(f"found the wire type {tag & 7}, expected {_VARINT} or {_BYTES}")


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise ValueError("found the end of the data inside a number, expected another byte")
        byte = view[at]
        value, at = value | (byte & 0x7F) << shift, at + 1
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
    raise ValueError("found a number of more than ten bytes, expected at most ten")


def _one(values: _Message, name: str) -> Any:
    if len(values.get(name, [])) != 1:
        raise ValueError(f"found {len(values.get(name, []))} values of {name}, expected one")
    return values[name][0]


def _text(values: _Message, name: str) -> str:
    return _decoded(_one(values, name)) if name in values else ""


def _decoded(view: Any) -> str:
    return str(_bytes(view), "utf-8")


def _bytes(value: Any) -> memoryview:
    if not isinstance(value, memoryview):
        raise ValueError(f"found the number {value}, expected bytes")
    return value


def _whole_numbers(values: list[Any]) -> list[int]:
    """Return the numbers of a repeated field, which are stored one by one or packed into one run of bytes."""
    numbers: list[int] = []
    for value in values:
        if not isinstance(value, memoryview):
            numbers.append(value)
            continue
        at = 0
        while at < len(value):
            number, at = _varint(value, at)
            numbers.append(number - (1 << 64) if number >> 63 else number)
            if len(numbers) > _MOST:
                raise ValueError(f"found more than {_MOST} numbers in one field, expected at most {_MOST}")
    return numbers


_ATTRIBUTE_VALUES: Mapping[str, Callable[[_Message], Any]] = {
    "i": lambda attribute: _one(attribute, "i"),
    "s": lambda attribute: _text(attribute, "s"),
    "ints": lambda attribute: tuple(_whole_numbers(attribute["ints"])),
}
