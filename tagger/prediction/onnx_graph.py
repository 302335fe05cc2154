"""The nodes of a network's ONNX graph as plain values.

The export writes these nodes, and prediction refuses a graph with any other nodes.

The operator `LSTM` with `direction=bidirectional` and `sequence_lens` computes both branches. Its backward half reads
each sentence reversed by its own length and puts its outputs back in order.

With quantized weights, the operator is `DynamicQuantizeLSTM` of ONNX Runtime: it has the same inputs, with W and R as
8-bit integers (their last two axes exchanged), and a scale and a zero point for each direction of both. It quantizes
its input and its states while it runs, with one scale for all sentences of a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tagger.architecture import CASING_DIM, CRF_OUTPUTS, Characters, Direction, Merge, NetworkSpec
from tagger.inputs.characters import Casing
from tagger.inputs.encoder import Sizes

OPSET = 17
IR_VERSION = 8  # belongs to opset 17; the onnx package would write its newest version, which older runtimes reject
# ONNX's numbers for the types of a tensor's elements.
FLOAT, INT8, INT32, INT64, FLOAT16 = 1, 3, 6, 7, 10
RUNTIME_DOMAIN = "com.microsoft"  # the domain of the operators that ONNX Runtime adds to those of ONNX
RUNTIME_OPSET = 1
DIRECTIONS = {
    Direction.BOTH: "bidirectional",
    Direction.FORWARD: "forward",
    Direction.BACKWARD: "reverse",
}
_MERGES = {Merge.SUM: "ReduceSum", Merge.AVE: "ReduceMean", Merge.MUL: "ReduceProd"}


class Node(NamedTuple):
    """One operator. The values of attributes are whole numbers, tuples of whole numbers, or text."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    domain: str = ""  # that of ONNX itself


class FormTable(NamedTuple):
    """The name and the width of the table that holds the representation of each distinct form, [S, width]."""

    name: str
    width: int


@dataclasses.dataclass
class Structure:
    """Everything of a graph except the values of its weights.

    Attributes:
        nodes: the operators in the order in which they run.
        numbers: the constants that training does not change: sizes, axes, and the like.
        inputs: the names of the inputs with the names of their axes; all are int32.
        outputs: the names of the outputs with the names or lengths of their axes; all are float32.
        weights: the names of all other constants with their shapes; all except the embedding and `quantized` are
            float32.
        quantized: the names of those weights that are int8.
        form_table: the table of forms; None if the network reads none.
    """

    nodes: list[Node] = dataclasses.field(default_factory=list)
    numbers: dict[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    outputs: dict[str, tuple[str | int, ...]] = dataclasses.field(default_factory=dict)
    weights: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    quantized: set[str] = dataclasses.field(default_factory=set)
    form_table: FormTable | None = None

    @property
    def opsets(self) -> dict[str, int]:
        """The version of the operators of each domain that the graph uses."""
        return {"": OPSET} | ({RUNTIME_DOMAIN: RUNTIME_OPSET} if self.quantized else {})

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add an operator with one output and return the name of the output."""
        self.nodes.append(Node(operator, tuple(inputs), (output,), attributes))
        return output

    def number(self, name: str, value: tuple[int, ...] | int) -> str:
        """Add a constant, either a row of int64 numbers or one int32 number, and return its name."""
        self.numbers[name] = np.array(value, np.int64 if isinstance(value, tuple) else np.int32)
        return name

    def zeros(self, name: str, *shape: int) -> str:
        """Add a constant of int8 zeros and return its name."""
        self.numbers[name] = np.zeros(shape, np.int8)
        return name

    def weight(self, name: str, *shape: int) -> str:
        """Add a constant that training changes and return its name."""
        self.weights[name] = shape
        return name


def structure_of(spec: NetworkSpec, sizes: Sizes, *, quantized: bool = False) -> Structure:
    """Return the structure of a network's graph.

    If the network has a CRF, the transition weights are further outputs.

    Args:
        spec: the architecture of the network.
        sizes: the sizes of its vocabularies.
        quantized: whether the weights of the branches are 8-bit integers.
    """
    graph = Structure(inputs={"token_ids": ("B", "T"), "lengths": ("B",)})
    graph.weight("embedding", sizes.n_tokens, spec.embedding_dim)
    width, k = _add_representation(graph, spec, sizes), sizes.n_tags
    for i in range(1, spec.layers + 1):
        width = _add_block(graph, spec, i, width, quantized=quantized)
    graph.node("MatMul", [f"x_{spec.layers}", graph.weight("softmax.kernel", width, k)], "products")
    graph.node("Add", ["products", graph.weight("softmax.bias", k)], "logits_by_step")
    graph.node("Transpose", ["logits_by_step"], "logits", perm=(1, 0, 2))
    graph.outputs["logits"] = ("B", "T", k)
    if spec.has_crf:
        for name in CRF_OUTPUTS:
            shape = (k, k) if name == "transition" else (k,)
            graph.node("Identity", [graph.weight(f"crf.{name}", *shape)], name)
            graph.outputs[name] = shape
    return graph


def _add_representation(graph: Structure, spec: NetworkSpec, sizes: Sizes) -> int:
    """Add x_0 [T, B, D], the representation of each token before the network reads its neighbors; return D."""
    width = spec.embedding_dim
    name = "words" if spec.reads_forms or sizes.n_features else "x_0"
    steps = graph.node("Transpose", ["token_ids"], "steps", perm=(1, 0))
    words = graph.node("Gather", ["embedding", steps], "stored_words")
    parts = [graph.node("Cast", [words], name, to=FLOAT)]  # leaves float32 unchanged
    if spec.reads_forms:
        graph.inputs["spelling_rows"] = ("B", "T")
        graph.form_table = _form_table(graph, spec, sizes)  # computed once for each distinct form
        rows = graph.node("Transpose", ["spelling_rows"], "spelling_steps", perm=(1, 0))
        parts.append(graph.node("Gather", [graph.form_table.name, rows], "spelled"))
        width += graph.form_table.width
    if sizes.n_features:
        graph.inputs["feature_ids"] = ("B", "T", "F")
        ids = graph.node("Transpose", ["feature_ids"], "feature_steps", perm=(1, 0, 2))
        values = graph.weight("features.embedding", sizes.n_feature_ids, spec.feature_dim)
        features = graph.node("Gather", [values, ids], "features")  # [T, B, F, feature_dim]
        parts.append(graph.node("Reshape", [features, graph.number("features_shape", (0, 0, -1))], "features_flat"))
        width += sizes.n_features * spec.feature_dim
    if len(parts) > 1:
        graph.node("Concat", parts, "x_0", axis=2)
    return int(width)


def _form_table(graph: Structure, spec: NetworkSpec, sizes: Sizes) -> FormTable:
    """Add the representation of each distinct form, [S, character_units and casing]."""
    parts, width = [], 0
    if spec.characters != Characters.NONE:
        graph.inputs["characters"] = ("S", "C")
        add = _add_character_cnn if spec.characters == Characters.CNN else _add_character_lstm
        name, width = add(graph, spec, sizes.n_characters)
        parts.append(name)
    if spec.casing:
        graph.inputs["casing"] = ("S",)
        shapes = graph.weight("casing.embedding", len(Casing), CASING_DIM)
        parts.append(graph.node("Gather", [shapes, "casing"], "casing_rows"))
        width += CASING_DIM
    name = parts[0] if len(parts) == 1 else graph.node("Concat", parts, "spellings", axis=1)
    return FormTable(name, width)


def _add_character_cnn(graph: Structure, spec: NetworkSpec, n_characters: int) -> tuple[str, int]:
    """Add the convolution over characters, [S, C] → [S, units]; return the name and the width of its output.

    The weights are the products of each character's embedding with each column of the kernel, computed beforehand.
    """
    padded = graph.node("Pad", ["characters", graph.number("character_pads", (0, 1, 0, 1))], "characters_padded")
    sums, units = [], spec.character_units
    axis = graph.number("character_axis", (1,))
    for i in range(3):
        start = graph.number(f"character_start_{i}", (i,))
        end = graph.number(f"character_end_{i}", (i - 2 or 1 << 31,))
        shifted = graph.node("Slice", [padded, start, end, axis], f"characters_{i}")
        table = graph.weight(f"character_products_{i}", n_characters, units)
        sums.append(graph.node("Gather", [table, shifted], f"character_rows_{i}"))  # [S, C, units]
    total = graph.node("Add", [graph.node("Add", sums[:2], "character_sum_2"), sums[2]], "character_sum_3")
    is_padding = graph.node("Equal", ["characters", graph.number("character_zero", 0)], "is_character_padding")
    column = graph.node("Unsqueeze", [is_padding, graph.number("last_axis", (2,))], "is_padding")
    total = graph.node("Where", [column, graph.weight("never_largest"), total], "character_scores")
    largest = graph.node("ReduceMax", [total], "character_largest", axes=(1,), keepdims=0)
    return graph.node("Add", [largest, graph.weight("character_bias", units)], "character_units"), units


def _add_character_lstm(graph: Structure, spec: NetworkSpec, n_characters: int) -> tuple[str, int]:
    """Add the LSTMs over characters, [S, C] → [S, units]; return the name and the width of their output.

    The output is the last state of each direction.
    """
    zero = graph.number("character_zero", 0)
    is_real = graph.node("Cast", [graph.node("Greater", ["characters", zero], "is_character")], "ones", to=INT32)
    lengths = graph.node("ReduceSum", [is_real, graph.number("character_axis", (1,))], "character_lengths", keepdims=0)
    steps = graph.node("Transpose", ["characters"], "character_steps", perm=(1, 0))
    units, dim = spec.character_units // 2, spec.character_dim
    x = graph.node("Gather", [graph.weight("characters.embedding", n_characters, dim), steps], "character_x")
    constants = _lstm_weights(graph, "character_{}", 2, dim, units)
    attributes = {"hidden_size": units, "direction": "bidirectional"}
    # The node outputs the last state of each direction, [2, S, units], not the states of all steps.
    graph.nodes.append(Node("LSTM", (x, *constants, lengths), ("", "character_states"), attributes))
    by_form = graph.node("Transpose", ["character_states"], "character_pairs", perm=(1, 0, 2))
    shape = graph.number("character_shape", (0, 2 * units))
    return graph.node("Reshape", [by_form, shape], "character_units"), 2 * units


def _lstm_weights(graph: Structure, name: str, branches: int, width: int, units: int) -> list[str]:
    """Add the weights W, R and B of the operator `LSTM` and return their names.

    Their second axis holds four gates, and in B it holds two biases of four gates each.
    """
    shapes = {"W": (branches, 4 * units, width), "R": (branches, 4 * units, units), "B": (branches, 8 * units)}
    return [graph.weight(name.format(letter), *shape) for letter, shape in shapes.items()]


def quantized_weights(i: int) -> dict[str, tuple[str, str, str]]:
    """Return the names of the integers, the scale and the zero point that stand for W and R of block `i`."""
    return {f"{letter}_{i}": (f"{letter}_{i}_int8", f"{letter}_{i}_scale", f"{letter}_{i}_zero") for letter in "WR"}


def _add_quantized_lstm(graph: Structure, spec: NetworkSpec, i: int, width: int) -> None:
    """Add the operator of block `i` with 8-bit weights, x_{i-1} [T, B, D] → Y_i [T, branches, B, H]."""
    branches, gates = spec.n_branches, 4 * spec.units
    integers, ranges = [], []
    for (name, scale, zero), size in zip(quantized_weights(i).values(), (width, spec.units), strict=True):
        integers.append(graph.weight(name, branches, size, gates))
        graph.quantized.add(name)
        ranges += [graph.weight(scale, branches), graph.zeros(zero, branches)]
    bias = graph.weight(f"B_{i}", branches, 2 * gates)
    no_state_and_no_peepholes = ("", "", "")
    inputs = (f"x_{i - 1}", *integers, bias, "lengths", *no_state_and_no_peepholes, *ranges)
    attributes = {"hidden_size": spec.units, "direction": DIRECTIONS[spec.direction]}
    graph.nodes.append(Node("DynamicQuantizeLSTM", inputs, (f"Y_{i}",), attributes, RUNTIME_DOMAIN))


def _add_block(graph: Structure, spec: NetworkSpec, i: int, width: int, *, quantized: bool) -> int:
    """Add block `i`, x_{i-1} [T, B, D] → Y_i [T, branches, B, H] → x_i [T, B, H or 2H]; return the last size."""
    units, direction, merge = spec.units, spec.direction, spec.merge
    if quantized:
        _add_quantized_lstm(graph, spec, i, width)
    else:
        inputs = [f"x_{i - 1}", *_lstm_weights(graph, f"{{}}_{i}", spec.n_branches, width, units), "lengths"]
        graph.node("LSTM", inputs, f"Y_{i}", hidden_size=units, direction=DIRECTIONS[direction])
    if direction == Direction.BOTH and merge == Merge.CONCAT:
        graph.node("Transpose", [f"Y_{i}"], f"H_{i}", perm=(0, 2, 1, 3))
        graph.node("Reshape", [f"H_{i}", graph.number(f"shape_{i}", (0, 0, 2 * units))], f"x_{i}")
        return 2 * int(units)
    operator = _MERGES[merge] if direction == Direction.BOTH else "Squeeze"
    # Since opset 13, these two operators take their axes as an input. The other operators do so only in later opsets.
    if operator in ("ReduceSum", "Squeeze"):
        attributes = {"keepdims": 0} if operator == "ReduceSum" else {}
        graph.node(operator, [f"Y_{i}", graph.number(f"axes_{i}", (1,))], f"x_{i}", **attributes)
    else:
        graph.node(operator, [f"Y_{i}"], f"x_{i}", axes=(1,), keepdims=0)
    return int(units)
