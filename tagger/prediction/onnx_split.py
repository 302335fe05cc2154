"""Splitting of a network's ONNX graph into the part that reads word forms and the rest.

What the network makes of a form depends on its letters alone. The stored graph computes it in every batch, for other
tools; prediction computes it once for all distinct tokens that it has read ahead. The two parts are made of the bytes
of the stored graph, so that no other file and no onnx package is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tagger.prediction.onnx_check import fields
from tagger.prediction.onnx_graph import FLOAT, FormTable, Structure

_GRAPH = 7  # the field of a model
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # the fields of a graph
_NAMES = {_INITIALIZER: 8, _INPUT: 1, _OUTPUT: 1}  # the field with the name in each of their messages


def split_graph(content: bytes, structure: Structure, table: FormTable) -> tuple[bytes, bytes]:
    """Return the graph of the table of forms, whose only output it is, and the rest, whose last input it is.

    Args:
        content: a graph that `check_graph` has accepted.
        structure: the structure that it was compared with.
        table: the table that is computed by one part and read by the other.
    """
    of_forms, wanted = set(), {table.name}
    for i, node in reversed(list(enumerate(structure.nodes))):
        if wanted.intersection(node.outputs):
            of_forms.add(i)
            wanted.update(node.inputs)
    rest = set(range(len(structure.nodes))) - of_forms
    value = _value_info(table)
    return (
        _part(content, structure, of_forms, {table.name}, _bytes(_OUTPUT, value)),
        _part(content, structure, rest, set(structure.outputs), _bytes(_INPUT, value)),
    )


def _part(content: bytes, structure: Structure, chosen: set[int], outputs: set[str], more: bytes) -> bytes:
    """Return the model with the chosen nodes, what they need, the outputs of these names, and one more field."""
    kept = outputs.union(*(structure.nodes[i].inputs for i in chosen))
    parts = []
    for number, value in fields(memoryview(content)):
        if number == _GRAPH:
            value = b"".join([*_fields_of(value, chosen, kept), more])
        parts.append(_field(number, value))
    return b"".join(parts)


def _fields_of(graph: memoryview, chosen: set[int], kept: set[str]) -> Iterable[bytes]:
    """Yield the fields of a graph, without the nodes that are not chosen and what has none of the names."""
    n_nodes = 0
    for number, value in fields(graph):
        if number == _NODE:
            n_nodes += 1
            if n_nodes - 1 not in chosen:
                continue
        elif number in _NAMES:
            (name,) = (str(text, "utf-8") for field, text in fields(value) if field == _NAMES[number])
            if name not in kept:
                continue
        yield _field(number, value)


def _value_info(table: FormTable) -> bytes:
    """Describe the table as an input or output: float32 [S, width]."""
    axes = _bytes(1, _bytes(2, b"S")) + _bytes(1, _field(1, table.width))
    return _bytes(1, table.name.encode()) + _bytes(2, _bytes(1, _field(1, FLOAT) + _bytes(2, axes)))


def _field(number: int, value: Any) -> bytes:
    """Write a field with a number or with bytes."""
    return _varint(number << 3) + _varint(value % (1 << 64)) if isinstance(value, int) else _bytes(number, value)


def _bytes(number: int, value: bytes | memoryview) -> bytes:
    return b"".join([_varint(number << 3 | 2), _varint(len(value)), value])


def _varint(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])
