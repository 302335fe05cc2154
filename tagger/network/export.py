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
from tagger.errors import ModelError, TaggerError
from tagger.runtime.model_dir import Weights
from tagger.runtime.model_files import GRAPH
from tagger.runtime.predictor import Predictor

OPSET = 17
IR_VERSION = 8  # that of opset 17; the onnx package would write its newest, which older runtimes refuse
_DIRECTIONS = {"both": "bidirectional", "forward": "forward", "backward": "reverse"}
_BRANCHES = {"both": ("forward", "backward"), "forward": ("forward",), "backward": ("backward",)}
_TOLERANCE = 1e-4
_SAMPLE_TOKENS = 2000
_MERGES = {"sum": "ReduceSum", "ave": "ReduceMean", "mul": "ReduceProd"}


def build_onnx(
    weights: Weights,
    network: Mapping[str, Any],
    *,
    embeddings: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The graph: `token_ids` int32 [B, T] and `lengths` int32 [B] → `logits` float32 [B, T, K].

    Args:
        weights: by their names in `weights.safetensors`, and `embedding`.
        network: the manifest's.
        embeddings: the name of a file beside the graph that holds the embedding as raw little-endian float32; without
            it the graph holds the embedding itself.
        metadata: what the graph says of itself to whoever opens it.
    """
    graph = _Graph()
    graph.node("Transpose", ["token_ids"], "steps", perm=[1, 0])
    table = weights["embedding"]
    graph.initializers.append(_external(table.shape, embeddings) if embeddings else _tensor("embedding", table))
    graph.node("Gather", ["embedding", "steps"], "x_0")  # [T, B, E]
    for i in range(1, network["layers"] + 1):
        _add_block(graph, weights, network, i)
    kernel = graph.constant("softmax.kernel", weights["softmax.kernel"])
    bias = graph.constant("softmax.bias", weights["softmax.bias"])
    graph.node("MatMul", [f"x_{network['layers']}", kernel], "products")
    graph.node("Add", ["products", bias], "logits_by_step")
    graph.node("Transpose", ["logits_by_step"], "logits", perm=[1, 0, 2])
    model = helper.make_model(
        graph.build(n_tags=len(weights["softmax.bias"])),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="tagger",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(metadata or {}))
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


class _Graph:
    """Nodes and constants of a graph that is being built."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        self.initializers.append(_tensor(name, array))
        return name

    def build(self, *, n_tags: int) -> onnx.GraphProto:
        inputs = [
            helper.make_tensor_value_info("token_ids", TensorProto.INT32, ["B", "T"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
        ]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", "T", n_tags])]
        return helper.make_graph(self.nodes, "tagger", inputs, outputs, self.initializers)


def _tensor(name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.ascontiguousarray(array), name)


def _external(shape: tuple[int, ...], file: str) -> onnx.TensorProto:
    tensor = onnx.TensorProto(
        name="embedding", data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL
    )
    n_bytes = 4 * int(np.prod(shape, dtype=np.int64))
    for key, value in (("location", file), ("offset", "0"), ("length", str(n_bytes))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _add_block(graph: _Graph, weights: Weights, network: Mapping[str, Any], i: int) -> None:
    """x_{i-1} [T, B, D] → Y_i [T, branches, B, H] → x_i [T, B, H or 2H]."""
    units, direction, merge = network["units"], network["direction"], network["merge"]
    branches = [
        [weights[f"block_{i}.{name}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")]
        for name in _BRANCHES[direction]
    ]
    no_bias = np.zeros(4 * units, np.float32)  # ONNX adds a second one to the recurrent part
    inputs = [
        f"x_{i - 1}",
        graph.constant(f"W_{i}", np.stack([_gates(kernel.T, units) for kernel, _, _ in branches])),
        graph.constant(f"R_{i}", np.stack([_gates(recurrent.T, units) for _, recurrent, _ in branches])),
        graph.constant(f"B_{i}", np.stack([np.concatenate([_gates(bias, units), no_bias]) for *_, bias in branches])),
        "lengths",
    ]
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


def _gates(rows: npt.NDArray[np.float32], units: int) -> npt.NDArray[np.float32]:
    """Keras's gates i f c o, along the first axis, as ONNX has them: i o f c."""
    i, f, c, o = rows.reshape(4, units, *rows.shape[1:])
    return np.concatenate([i, o, f, c])


def check_equal(exported: Predictor, trained: Predictor, sentences: Sequence[Sequence[str]]) -> None:
    """Compare an exported network with the one that was trained on some thousand tokens of real sentences.

    Raises:
        ModelError: their logits differ by more than 1e-4 (of the largest, if that is above 1), or their tags do
            where no two tags of a token are as close as that.
    """
    sample = _sample([tokens for tokens in sentences if tokens])
    found, expected = exported.logits(sample), trained.logits(sample)
    tags = zip(exported.tag(sample), trained.tag(sample), strict=True)
    for ours, theirs, (our_tagged, their_tagged) in zip(found, expected, tags, strict=True):
        if not np.isfinite(theirs).all():  # ONNX Runtime's LSTM would make numbers of them
            raise TaggerError(
                "the network computes no numbers: training diverged; lower training.learning_rate, or set"
                " training.clip_norm"
            )
        tolerance = _TOLERANCE * max(1.0, float(np.abs(theirs).max()))
        difference = float(np.abs(ours - theirs).max())
        best_two = np.sort(theirs, axis=-1)[:, -2:]
        is_close_call = bool((best_two[:, -1] - best_two[:, 0] <= 2 * tolerance).any()) and theirs.shape[-1] > 1
        if difference > tolerance or (our_tagged.tags != their_tagged.tags and not is_close_call):
            raise ModelError(
                f"{GRAPH}: what ONNX Runtime computes is {difference:.2g} from what TensorFlow does, expected at"
                f" most {tolerance:.2g}; install other versions of them, and report this"
            )


def _sample(sentences: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The longest sentence and as many of the first ones as make some thousand tokens."""
    sample = sorted(sentences, key=len)[-1:]
    n_tokens = 0
    for tokens in sentences:
        if n_tokens > _SAMPLE_TOKENS:
            break
        sample.append(tokens)
        n_tokens += len(tokens)
    return sample
