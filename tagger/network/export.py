"""Weights to an ONNX graph, which is what prediction runs and what other tools can serve.

The ONNX operator `LSTM` with `direction=bidirectional` and `sequence_lens` is the two branches: its backward half reads
each sentence reversed by its own length and puts what it found back in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tagger import __version__
from tagger.runtime.model_dir import Model, Weights, description
from tagger.runtime.model_files import EMBEDDINGS
from tagger.runtime.transitions import Transitions, constraints_of, learned_within

OPSET = 17
INT32 = TensorProto.INT32
IR_VERSION = 8  # that of opset 17; the onnx package would write its newest, which older runtimes refuse
_DIRECTIONS = {"both": "bidirectional", "forward": "forward", "backward": "reverse"}
_BRANCHES = {"both": ("forward", "backward"), "forward": ("forward",), "backward": ("backward",)}
_MERGES = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}


def build_onnx(
    weights: Weights,
    network: Mapping[str, Any],
    *,
    transitions: Transitions | None = None,
    embeddings: str | None = None,
    embedding_dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The graph: `token_ids` int32 [B, T] and `lengths` int32 [B] → `logits` float32 [B, T, K].

    A network that reads more has more inputs, all int32: `feature_ids` [B, T, F]; `spelling_rows` [B, T], and of the S
    spellings that these are rows of, `casing` [S] and `characters` [S, C], zero-padded on the right.

    Args:
        weights: by their names in `weights.safetensors`, and `embedding`.
        network: the manifest's.
        transitions: a CRF's, which the graph then has as further outputs: `transition` [K, K], `start` and `end` [K].
        embeddings: the name of a file beside the graph that holds the embedding as raw little-endian numbers; without
            it the graph holds the embedding itself, in float32.
        embedding_dtype: of the numbers in that file: `float32` or `float16`.
        metadata: what the graph says of itself to whoever opens it.
    """
    graph = _Graph()
    table = weights["embedding"]
    if embeddings:
        graph.initializers.append(_external(table.shape, embeddings, embedding_dtype))
    else:
        graph.constant("embedding", table)
    _add_representation(graph, weights, network)
    for i in range(1, network["layers"] + 1):
        _add_block(graph, weights, network, i)
    kernel = graph.constant("softmax.kernel", weights["softmax.kernel"])
    bias = graph.constant("softmax.bias", weights["softmax.bias"])
    graph.node("MatMul", [f"x_{network['layers']}", kernel], "products")
    graph.node("Add", ["products", bias], "logits_by_step")
    graph.node("Transpose", ["logits_by_step"], "logits", perm=[1, 0, 2])
    if transitions is not None:
        for name in ("transition", "start", "end"):
            scores = getattr(transitions, name).astype(np.float32)
            graph.outputs[graph.node("Identity", [graph.constant(f"crf.{name}", scores)], name)] = scores.shape
    graph.outputs["logits"] = ("B", "T", len(weights["softmax.bias"]))
    model = helper.make_model(
        graph.build(),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tagger",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(metadata or {}))
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def model_graph(model: Model[Weights]) -> bytes:
    """The graph of a model directory: its embedding lies beside it, and it says of itself what network it is."""
    return build_onnx(
        model.network,
        model.manifest.network,
        transitions=learned_transitions(model),
        embeddings=EMBEDDINGS,
        embedding_dtype=model.manifest.embedding_dtype,
        metadata={"network": description(model.manifest, model.encoder, model.tags)},
    )


def learned_transitions(model: Model[Weights]) -> Transitions | None:
    """What a model's CRF has learned, illegal ones ruled out; None if it has none."""
    if model.manifest.decoder != "crf":
        return None
    rules = constraints_of(model.tags.tags, model.manifest.scheme)
    return learned_within(rules, *(model.network[f"crf.{name}"] for name in ("transition", "start", "end")))


class _Graph:
    """Nodes and constants of a graph that is being built."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.inputs: dict[str, list[str | int]] = {"token_ids": ["B", "T"], "lengths": ["B"]}
        self.outputs: dict[str, tuple[str | int, ...]] = {}

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self.initializers.append(_tensor(name, array))
        return name

    def build(self) -> onnx.GraphProto:
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, shape) for name, shape in self.inputs.items()]
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in sorted(self.outputs.items(), key=lambda item: item[0] != "logits")
        ]
        return helper.make_graph(self.nodes, "tagger", inputs, outputs, self.initializers)


def _tensor(name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def _external(shape: tuple[int, ...], file: str, dtype: str) -> onnx.TensorProto:
    data_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensor = onnx.TensorProto(name="embedding", data_type=data_type, dims=shape, data_location=TensorProto.EXTERNAL)
    n_bytes = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
    for key, value in (("location", file), ("offset", "0"), ("length", str(n_bytes))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _add_representation(graph: _Graph, weights: Weights, network: Mapping[str, Any]) -> None:
    """What is known of each token before its neighbours are looked at: x_0 [T, B, D]."""
    steps = graph.node("Transpose", ["token_ids"], "steps", perm=[1, 0])
    words = graph.node("Gather", ["embedding", steps], "stored_words")
    parts = [graph.node("Cast", [words], "words", to=TensorProto.FLOAT)]  # does nothing to float32
    if network["characters"] != "none" or network["casing"]:
        graph.inputs["spelling_rows"] = ["B", "T"]
        table = _spelling_table(graph, weights, network)  # [S, ...]: computed once for each distinct spelling
        rows = graph.node("Transpose", ["spelling_rows"], "spelling_steps", perm=[1, 0])
        parts.append(graph.node("Gather", [table, rows], "spelled"))
    if "features.embedding" in weights:
        graph.inputs["feature_ids"] = ["B", "T", "F"]
        ids = graph.node("Transpose", ["feature_ids"], "feature_steps", perm=[1, 0, 2])
        embedding = graph.constant("features.embedding", weights["features.embedding"])
        features = graph.node("Gather", [embedding, ids], "features")  # [T, B, F, feature_dim]
        shape = graph.constant("features_shape", np.array([0, 0, -1], np.int64))
        parts.append(graph.node("Reshape", [features, shape], "features_flat"))
    if len(parts) == 1:
        graph.nodes[-1].output[0] = "x_0"
    else:
        graph.node("Concat", parts, "x_0", axis=2)


def _spelling_table(graph: _Graph, weights: Weights, network: Mapping[str, Any]) -> str:
    """What is known of each spelling: [S, character_units and casing]."""
    parts = []
    if network["characters"] != "none":
        graph.inputs["characters"] = ["S", "C"]
        add = _add_character_cnn if network["characters"] == "cnn" else _add_character_lstm
        parts.append(add(graph, weights))
    if network["casing"]:
        graph.inputs["casing"] = ["S"]
        embedding = graph.constant("casing.embedding", weights["casing.embedding"])
        parts.append(graph.node("Gather", [embedding, "casing"], "casing_rows"))
    return parts[0] if len(parts) == 1 else graph.node("Concat", parts, "spellings", axis=1)


def _add_character_cnn(graph: _Graph, weights: Weights) -> str:
    """[S, C] → [S, units]; each character was multiplied with each column of the kernel beforehand."""
    products = np.einsum("ce,keo->kco", weights["characters.embedding"], weights["characters.kernel"])
    pads = graph.constant("character_pads", np.array([0, 1, 0, 1], np.int64))
    padded = graph.node("Pad", ["characters", pads], "characters_padded")
    sums = []
    axis = graph.constant("character_axis", np.array([1], np.int64))
    for i, product in enumerate(products):
        start = graph.constant(f"character_start_{i}", np.array([i], np.int64))
        end = graph.constant(f"character_end_{i}", np.array([i - 2 or 1 << 31], np.int64))
        shifted = graph.node("Slice", [padded, start, end, axis], f"characters_{i}")
        table = graph.constant(f"character_products_{i}", product.astype(np.float32))
        sums.append(graph.node("Gather", [table, shifted], f"character_rows_{i}"))  # [S, C, units]
    total = graph.node("Add", [graph.node("Add", sums[:2], "character_sum_2"), sums[2]], "character_sum_3")
    zero = graph.constant("character_zero", np.array(0, np.int32))
    is_padding = graph.node("Equal", ["characters", zero], "is_character_padding")
    never = graph.constant("never_largest", np.array(np.finfo(np.float32).min, np.float32))
    column = graph.node("Unsqueeze", [is_padding, graph.constant("last_axis", np.array([2], np.int64))], "is_padding")
    total = graph.node("Where", [column, never, total], "character_scores")
    largest = graph.node("ReduceMax", [total], "character_largest", axes=[1], keepdims=0)
    return graph.node("Add", [largest, graph.constant("character_bias", weights["characters.bias"])], "character_units")


def _add_character_lstm(graph: _Graph, weights: Weights) -> str:
    """[S, C] → [S, units]: the last state of each direction."""
    axis = graph.constant("character_axis", np.array([1], np.int64))
    zero = graph.constant("character_zero", np.array(0, np.int32))
    is_real = graph.node("Cast", [graph.node("Greater", ["characters", zero], "is_character")], "ones", to=INT32)
    lengths = graph.node("ReduceSum", [is_real, axis], "character_lengths", keepdims=0)
    steps = graph.node("Transpose", ["characters"], "character_steps", perm=[1, 0])
    embedding = graph.constant("characters.embedding", weights["characters.embedding"])
    x = graph.node("Gather", [embedding, steps], "character_x")
    branches = [
        [weights[f"characters.{name}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")]
        for name in _BRANCHES["both"]
    ]
    units = branches[0][1].shape[0]
    arrays = zip("WRB", _lstm_weights(branches, units), strict=True)
    constants = [graph.constant(f"character_{name}", array) for name, array in arrays]
    outputs = ["", "character_states"]  # not each step's, but the last of each direction: [2, S, units]
    graph.nodes.append(
        helper.make_node("LSTM", [x, *constants, lengths], outputs, hidden_size=units, direction="bidirectional")
    )
    by_spelling = graph.node("Transpose", ["character_states"], "character_pairs", perm=[1, 0, 2])
    shape = graph.constant("character_shape", np.array([0, 2 * units], np.int64))
    return graph.node("Reshape", [by_spelling, shape], "character_units")


def _add_block(graph: _Graph, weights: Weights, network: Mapping[str, Any], i: int) -> None:
    """x_{i-1} [T, B, D] → Y_i [T, branches, B, H] → x_i [T, B, H or 2H]."""
    units, direction, merge = network["units"], network["direction"], network["merge"]
    branches = [
        [weights[f"block_{i}.{name}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")]
        for name in _BRANCHES[direction]
    ]
    arrays = zip("WRB", _lstm_weights(branches, units), strict=True)
    inputs = [f"x_{i - 1}", *(graph.constant(f"{name}_{i}", array) for name, array in arrays), "lengths"]
    graph.node("LSTM", inputs, f"Y_{i}", hidden_size=units, direction=_DIRECTIONS[direction])
    if len(branches) == 2 and merge == "concat":
        graph.node("Transpose", [f"Y_{i}"], f"H_{i}", perm=[0, 2, 1, 3])
        shape = graph.constant(f"shape_{i}", np.array([0, 0, 2 * units], np.int64))
        graph.node("Reshape", [f"H_{i}", shape], f"x_{i}")
        return
    operator = _MERGES[merge] if len(branches) == 2 else "Squeeze"
    if operator in ("ReduceSum", "Squeeze"):  # their axes are an input since opset 13, those of the others later
        axes = graph.constant(f"axes_{i}", np.array([1], np.int64))
        graph.node(operator, [f"Y_{i}", axes], f"x_{i}", **({"keepdims": 0} if operator == "ReduceSum" else {}))
    else:
        graph.node(operator, [f"Y_{i}"], f"x_{i}", axes=[1], keepdims=0)


def _lstm_weights(
    branches: Sequence[Sequence[npt.NDArray[np.float32]]], units: int
) -> tuple[npt.NDArray[np.float32], ...]:
    """W, R and B of the operator, of each branch's kernel, recurrent kernel and bias."""
    no_bias = np.zeros(4 * units, np.float32)  # ONNX adds a second one to the recurrent part
    return (
        np.stack([_gates(kernel.T, units) for kernel, _, _ in branches]),
        np.stack([_gates(recurrent.T, units) for _, recurrent, _ in branches]),
        np.stack([np.concatenate([_gates(bias, units), no_bias]) for *_, bias in branches]),
    )


def _gates(rows: npt.NDArray[np.float32], units: int) -> npt.NDArray[np.float32]:
    """Keras's gates i f c o, along the first axis, as ONNX has them: i o f c."""
    i, f, c, o = rows.reshape(4, units, *rows.shape[1:])
    return np.concatenate([i, o, f, c])
