"""A check that an ONNX file holds the graph that its manifest describes and nothing else.

ONNX Runtime would run whatever it is given: loops, functions, files in any place, tensors of any size. This module
therefore reads the file before ONNX Runtime does. It reads the wire format of protocol buffers
(protobuf.dev/programming-guides/encoding) with the field numbers of onnx.proto. It does not use the onnx package,
because prediction does not need that package otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy.typing as npt

from tagger.prediction.onnx_graph import FLOAT, FLOAT16, INT8, INT32, INT64, IR_VERSION, Node, Structure

_VARINT, _BYTES = 0, 2
_ITEM_BYTES = {FLOAT: 4, INT8: 1, INT32: 4, INT64: 8, FLOAT16: 2}
_TYPES = {"int8": INT8, "int32": INT32, "int64": INT64}
_DATA_LOCATION_EXTERNAL = 1


class _Field(NamedTuple):
    """A field of a message: its name, its wire type, and whether it may occur more than once."""

    name: str
    wire_type: int
    is_repeated: bool


def _schema(**fields: str) -> Mapping[int, _Field]:
    """Return the fields of a message by number, from descriptions such as `"1 number"` and `"8 messages"`.

    >>> _schema(dims="1 numbers")
    {1: _Field(name='dims', wire_type=0, is_repeated=True)}
    """
    found = {}
    for name, description in fields.items():
        number, kind = description.split()
        singular = kind.removesuffix("s")
        found[int(number)] = _Field(name, _VARINT if singular == "number" else _BYTES, kind != singular)
    return found


# A message with any other field is refused, and so is one with two values of a field that has one: of those, every
# reader takes the last one, but the check must not depend on that.
_MODEL = _schema(
    ir_version="1 number", producer_name="2 text", producer_version="3 text", domain="4 text",
    model_version="5 number", doc_string="6 text", graph="7 message", opset_import="8 messages",
    metadata_props="14 messages",
)  # fmt: skip
_OPSET = _schema(domain="1 text", version="2 number")
_GRAPH = _schema(node="1 messages", name="2 text", initializer="5 messages", input="11 messages", output="12 messages")
_NODE = _schema(
    input="1 texts", output="2 texts", name="3 text", op_type="4 text", attribute="5 messages", domain="7 text"
)
_ATTRIBUTE = _schema(name="1 text", i="3 number", s="4 text", ints="8 numbers", type="20 number")
_TENSOR = _schema(
    dims="1 numbers", data_type="2 number", name="8 text", raw_data="9 text", external_data="13 messages",
    data_location="14 number",
)  # fmt: skip
_ENTRY = _schema(key="1 text", value="2 text")
_VALUE_INFO = _schema(name="1 text", type="2 message")
_TYPE = _schema(tensor_type="1 message")
_TENSOR_TYPE = _schema(elem_type="1 number", shape="2 message")
_SHAPE = _schema(dim="1 messages")
_DIMENSION = _schema(dim_value="1 number", dim_param="2 text")
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
    if model.get("ir_version") != [IR_VERSION]:
        raise ValueError(f"found version {_cut(model.get('ir_version'))} of the format, expected {IR_VERSION}")
    opsets = [_message(view, _OPSET) for view in model.get("opset_import", [])]
    versions = [(_text(values, "domain"), *values.get("version", [])) for values in opsets]
    if versions != list(structure.opsets.items()):
        raise ValueError(f"found the operator sets {_cut(versions)}, expected {list(structure.opsets.items())}")
    for name in ("producer_name", "producer_version", "domain", "doc_string"):
        _text(model, name)
    _entries(model, "metadata_props")
    n_fields = sum(map(len, (structure.nodes, structure.weights, structure.numbers, structure.inputs)))
    graph = _message(_one(model, "graph"), _GRAPH, n_fields + _MOST)
    _decoded(_one(graph, "name"))
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
    lengths = tuple(_decoded(value) if isinstance(value, memoryview) else value for value in map(_only, axes))
    return _text(value, "name"), _one(tensor, "elem_type"), lengths


def _check_tensors(tensors: list[_Message], structure: Structure, external: Mapping[str, str]) -> None:
    names = [_text(tensor, "name") for tensor in tensors]
    if sorted(names) != sorted([*structure.weights, *structure.numbers]):
        raise ValueError(f"found the constants {_cut(sorted(names))}, expected {_cut(sorted(structure.weights))}")
    for name, tensor in zip(names, tensors, strict=True):
        kind, dims = _one(tensor, "data_type"), tuple(_whole_numbers(tensor.get("dims", [])))
        constant = structure.numbers.get(name)
        shape = structure.weights[name] if constant is None else constant.shape
        if dims != shape:
            raise ValueError(f"{name}: found the shape {_cut(dims)}, expected {shape}")
        if "external_data" in tensor or "data_location" in tensor:
            where = _entries(tensor, "external_data")
            is_outside = tensor.get("data_location") == [_DATA_LOCATION_EXTERNAL] and "raw_data" not in tensor
            if name != "embedding" or where != external or not is_outside:
                raise ValueError(f"{name}: found its numbers in {_cut(where)}, expected them in {dict(external)}")
            n_bytes, kinds = int(external["length"]), [FLOAT, FLOAT16]
        else:
            n_bytes = len(_bytes(_one(tensor, "raw_data")))
            of_weight = INT8 if name in structure.quantized else FLOAT
            kinds = [of_weight if constant is None else _TYPES[constant.dtype.name]]
        if kind not in kinds or n_bytes != math.prod(shape) * _ITEM_BYTES[kind]:
            raise ValueError(
                f"{name}: found {n_bytes} bytes of the type {kind}, expected the shape {shape} and a type in {kinds}"
            )
        if constant is not None and bytes(_one(tensor, "raw_data")) != _little_endian(constant):
            raise ValueError(f"{name}: found another constant, expected {constant.tolist()}")


def _little_endian(array: npt.NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _node(view: memoryview) -> Node:
    values = _message(view, _NODE)
    attributes: dict[str, Any] = {}
    for part in values.get("attribute", []):
        attribute = _message(part, _ATTRIBUTE)
        name, kinds = _text(attribute, "name"), [kind for kind in _ATTRIBUTE_TYPES if kind in attribute]
        if len(kinds) != 1 or attribute.get("type") != [_ATTRIBUTE_TYPES[kinds[0]]]:
            raise ValueError(
                f"found the attribute {_cut(name)} with values in {kinds} and the type {_cut(attribute.get('type'))},"
                " expected one value and its type"
            )
        if name in attributes:
            raise ValueError(f"found the attribute {_cut(name)} twice, expected it once")
        attributes[name] = _ATTRIBUTE_VALUES[kinds[0]](attribute)
    _text(values, "name")
    inputs, outputs = (tuple(_decoded(name) for name in values.get(key, [])) for key in ("input", "output"))
    return Node(_text(values, "op_type"), inputs, outputs, attributes, _text(values, "domain"))


def _shown(node: Node) -> str:
    name = f"{node.domain}.{node.operator}" if node.domain else node.operator
    return f"{name}({', '.join(node.inputs)}) → {', '.join(node.outputs)} {dict(node.attributes)}"[:_SHOWN]


def _cut(value: object) -> str:
    return repr(value)[:_SHOWN]


# --- The wire format -------------------------------------------------------------------------------------------------


def _message(view: Any, schema: Mapping[int, _Field], most: int = _MOST) -> _Message:
    """Return the values of each field, in order.

    Values of fixed length are refused, because no field that is expected here has one. Repeated numbers may be packed
    into one run of bytes.
    """
    found: dict[str, list[Any]] = {}
    for i, (number, value) in enumerate(fields(_bytes(view))):
        if i == most:
            raise ValueError(f"found more than {most} fields, expected at most {most} of {_names(schema)}")
        if number not in schema:
            raise ValueError(f"found the field {number}, expected one of {_names(schema)}")
        name, wire_type, is_repeated = schema[number]
        if (wire_type == _BYTES) != isinstance(value, memoryview) and not (is_repeated and wire_type == _VARINT):
            raise ValueError(f"found the wire type of {name} to be {_BYTES - wire_type}, expected {wire_type}")
        if name in found and not is_repeated:
            raise ValueError(f"found two values of {name}, expected one")
        found.setdefault(name, []).append(value)
    return found


def _names(schema: Mapping[int, _Field]) -> str:
    return ", ".join(field.name for field in schema.values())


def _entries(message: _Message, name: str) -> dict[str, str]:
    """Return the pairs of key and value in a field; each key occurs once."""
    entries = [_message(view, _ENTRY) for view in message.get(name, [])]
    pairs = [(_decoded(_one(entry, "key")), _text(entry, "value")) for entry in entries]
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"found a key of {name} twice in {_cut([key for key, _ in pairs])}, expected each once")
    return dict(pairs)


def fields(view: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield the fields of a message in order: the number of each, and its value, a number or the bytes of it."""
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
            if (byte == 0 and shift) or value >> 64:
                raise ValueError(f"found a number of {shift // 7 + 1} bytes that is not written as it should be")
            return value, at
    raise ValueError("found a number of more than ten bytes, expected at most ten")


def _one(values: _Message, name: str) -> Any:
    if len(values.get(name, [])) != 1:
        raise ValueError(f"found {len(values.get(name, []))} values of {name}, expected one")
    return values[name][0]


def _only(values: _Message) -> Any:
    """Return the value of a message that has one field with one value."""
    if [len(found) for found in values.values()] != [1]:
        raise ValueError(f"found the fields {_cut(list(values))}, expected one with one value")
    return next(iter(values.values()))[0]


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


_ATTRIBUTE_TYPES = {"i": 2, "s": 3, "ints": 7}  # the numbers of onnx.proto
_ATTRIBUTE_VALUES: Mapping[str, Callable[[_Message], Any]] = {
    "i": lambda attribute: _one(attribute, "i"),
    "s": lambda attribute: _text(attribute, "s"),
    "ints": lambda attribute: tuple(_whole_numbers(attribute["ints"])),
}
