"""The nodes of a network's ONNX graph, as plain values: export writes these, and a graph with others is not loaded.

The operator `LSTM` with `direction=bidirectional` and `sequence_lens` is the two branches: its backward half reads each
sentence reversed by its own length and puts what it found back in order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

OPSET = 17
# Of an ONNX tensor's elements.
FLOAT, INT32, INT64, FLOAT16 = 1, 6, 7, 10
DIRECTIONS = {"both": "bidirectional", "forward": "forward", "backward": "reverse"}
_MERGES = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}
CRF_OUTPUTS = ("transition", "start", "end")


class Node(NamedTuple):
    """One operator; attributes are whole numbers, tuples of them, or text."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclasses.dataclass
class Structure:
    """All of a graph but its weights.

    Attributes:
        nodes: in the order in which they run.
        numbers: constants that no training changes: sizes, axes, and the like.
        inputs: names with the names of their axes; all are int32.
        weights: the names of all other constants.
    """

    nodes: list[Node] = dataclasses.field(default_factory=list)
    numbers: dict[str, tuple[int, ...] | int] = dataclasses.field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    weights: list[str] = dataclasses.field(default_factory=list)

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add an operator with one output; returns its name."""
        self.nodes.append(Node(operator, tuple(inputs), (output,), attributes))
        return output

    def number(self, name: str, value: tuple[int, ...] | int) -> str:
        """Add a constant: a row of int64, or one int32; returns its name."""
        self.numbers[name] = value
        return name

    def weight(self, name: str) -> str:
        """Add a constant that training changes; returns its name."""
        self.weights.append(name)
        return name


def structure_of(network: Mapping[str, Any], *, reads_features: bool, crf: bool) -> Structure:
    """The graph of a network.

    Args:
        network: the manifest's.
        reads_features: whether it reads feature columns, however many.
        crf: whether it has the transitions of a CRF as further outputs.
    """
    graph = Structure(inputs={"token_ids": ("B", "T"), "lengths": ("B",)})
    graph.weight("embedding")
    _add_representation(graph, network, reads_features)
    for i in range(1, network["layers"] + 1):
        _add_block(graph, network, i)
    graph.node("MatMul", [f"x_{network['layers']}", graph.weight("softmax.kernel")], "products")
    graph.node("Add", ["products", graph.weight("softmax.bias")], "logits_by_step")
    graph.node("Transpose", ["logits_by_step"], "logits", perm=(1, 0, 2))
    if crf:
        for name in CRF_OUTPUTS:
            graph.node("Identity", [graph.weight(f"crf.{name}")], name)
    return graph


def _add_representation(graph: Structure, network: Mapping[str, Any], reads_features: bool) -> None:
    """What is known of each token before its neighbours are looked at: x_0 [T, B, D]."""
    spelled = network["characters"] != "none" or network["casing"]
    name = "words" if spelled or reads_features else "x_0"
    steps = graph.node("Transpose", ["token_ids"], "steps", perm=(1, 0))
    words = graph.node("Gather", ["embedding", steps], "stored_words")
    parts = [graph.node("Cast", [words], name, to=FLOAT)]  # does nothing to float32
    if spelled:
        graph.inputs["spelling_rows"] = ("B", "T")
        table = _spelling_table(graph, network)  # [S, ...]: computed once for each distinct spelling
        rows = graph.node("Transpose", ["spelling_rows"], "spelling_steps", perm=(1, 0))
        parts.append(graph.node("Gather", [table, rows], "spelled"))
    if reads_features:
        graph.inputs["feature_ids"] = ("B", "T", "F")
        ids = graph.node("Transpose", ["feature_ids"], "feature_steps", perm=(1, 0, 2))
        features = graph.node("Gather", [graph.weight("features.embedding"), ids], "features")  # [T, B, F, feature_dim]
        parts.append(graph.node("Reshape", [features, graph.number("features_shape", (0, 0, -1))], "features_flat"))
    if len(parts) > 1:
        graph.node("Concat", parts, "x_0", axis=2)


def _spelling_table(graph: Structure, network: Mapping[str, Any]) -> str:
    """What is known of each spelling: [S, character_units and casing]."""
    parts = []
    if network["characters"] != "none":
        graph.inputs["characters"] = ("S", "C")
        parts.append(
            _add_character_cnn(graph) if network["characters"] == "cnn" else _add_character_lstm(graph, network)
        )
    if network["casing"]:
        graph.inputs["casing"] = ("S",)
        parts.append(graph.node("Gather", [graph.weight("casing.embedding"), "casing"], "casing_rows"))
    return parts[0] if len(parts) == 1 else graph.node("Concat", parts, "spellings", axis=1)


def _add_character_cnn(graph: Structure) -> str:
    """[S, C] → [S, units]; each character was multiplied with each column of the kernel beforehand."""
    padded = graph.node("Pad", ["characters", graph.number("character_pads", (0, 1, 0, 1))], "characters_padded")
    sums = []
    axis = graph.number("character_axis", (1,))
    for i in range(3):
        start = graph.number(f"character_start_{i}", (i,))
        end = graph.number(f"character_end_{i}", (i - 2 or 1 << 31,))
        shifted = graph.node("Slice", [padded, start, end, axis], f"characters_{i}")
        table = graph.weight(f"character_products_{i}")
        sums.append(graph.node("Gather", [table, shifted], f"character_rows_{i}"))  # [S, C, units]
    total = graph.node("Add", [graph.node("Add", sums[:2], "character_sum_2"), sums[2]], "character_sum_3")
    is_padding = graph.node("Equal", ["characters", graph.number("character_zero", 0)], "is_character_padding")
    column = graph.node("Unsqueeze", [is_padding, graph.number("last_axis", (2,))], "is_padding")
    total = graph.node("Where", [column, graph.weight("never_largest"), total], "character_scores")
    largest = graph.node("ReduceMax", [total], "character_largest", axes=(1,), keepdims=0)
    return graph.node("Add", [largest, graph.weight("character_bias")], "character_units")


def _add_character_lstm(graph: Structure, network: Mapping[str, Any]) -> str:
    """[S, C] → [S, units]: the last state of each direction."""
    zero = graph.number("character_zero", 0)
    is_real = graph.node("Cast", [graph.node("Greater", ["characters", zero], "is_character")], "ones", to=INT32)
    lengths = graph.node("ReduceSum", [is_real, graph.number("character_axis", (1,))], "character_lengths", keepdims=0)
    steps = graph.node("Transpose", ["characters"], "character_steps", perm=(1, 0))
    x = graph.node("Gather", [graph.weight("characters.embedding"), steps], "character_x")
    units = network["character_units"] // 2
    constants = [graph.weight(f"character_{name}") for name in "WRB"]
    attributes = {"hidden_size": units, "direction": "bidirectional"}
    # Not the states of each step, but the last of each direction: [2, S, units].
    graph.nodes.append(Node("LSTM", (x, *constants, lengths), ("", "character_states"), attributes))
    by_spelling = graph.node("Transpose", ["character_states"], "character_pairs", perm=(1, 0, 2))
    return graph.node("Reshape", [by_spelling, graph.number("character_shape", (0, 2 * units))], "character_units")


def _add_block(graph: Structure, network: Mapping[str, Any], i: int) -> None:
    """x_{i-1} [T, B, D] → Y_i [T, branches, B, H] → x_i [T, B, H or 2H]."""
    units, direction, merge = network["units"], network["direction"], network["merge"]
    inputs = [f"x_{i - 1}", *(graph.weight(f"{name}_{i}") for name in "WRB"), "lengths"]
    graph.node("LSTM", inputs, f"Y_{i}", hidden_size=units, direction=DIRECTIONS[direction])
    if direction == "both" and merge == "concat":
        graph.node("Transpose", [f"Y_{i}"], f"H_{i}", perm=(0, 2, 1, 3))
        graph.node("Reshape", [f"H_{i}", graph.number(f"shape_{i}", (0, 0, 2 * units))], f"x_{i}")
        return
    operator = _MERGES[merge] if direction == "both" else "Squeeze"
    if operator in ("ReduceSum", "Squeeze"):  # their axes are an input since opset 13, those of the others later
        attributes = {"keepdims": 0} if operator == "ReduceSum" else {}
        graph.node(operator, [f"Y_{i}", graph.number(f"axes_{i}", (1,))], f"x_{i}", **attributes)
    else:
        graph.node(operator, [f"Y_{i}"], f"x_{i}", axes=(1,), keepdims=0)
