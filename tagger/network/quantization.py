"""Quantization: the weights of the branches as 8-bit integers, by ONNX Runtime's own dynamic quantizer.

The integers go into a graph whose structure is known beforehand (`prediction/onnx_graph.py`); of what the quantizer
writes, only the numbers are used.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tagger.errors import ModelError
from tagger.prediction.onnx_graph import IR_VERSION, OPSET, quantized_weights

Arrays = Mapping[str, npt.NDArray[Any]]


def quantized_values(values: Arrays, n_blocks: int) -> dict[str, npt.NDArray[Any]]:
    """Return the integers and the scales that stand for W and R of each block, by their names in the graph.

    W [branches, 4H, D] becomes integers [branches, D, 4H] and a scale for each branch [branches]; R likewise.

    Args:
        values: the weights of the float graph by their names in it.
        n_blocks: the number of blocks.

    Raises:
        ModelError: the quantizer of this ONNX Runtime does something else than expected, or its temporary files cannot
            be written.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    for i in range(1, n_blocks + 1):
        names = quantized_weights(i)
        integers, scales = _quantized([values[name] for name in names])
        for (name, (integer_name, scale_name, _)), weight, scale in zip(names.items(), integers, scales, strict=True):
            branches, gates, width = values[name].shape
            if weight.dtype != np.int8 or weight.shape != (branches, width, gates) or scale.shape != (branches,):
                raise ModelError(_other(f"{name} as {weight.dtype} {weight.shape} with scales {scale.shape}"))
            found |= {integer_name: weight, scale_name: scale}
    return found


def _quantized(weights: list[npt.NDArray[Any]]) -> tuple[list[npt.NDArray[Any]], list[npt.NDArray[Any]]]:
    """Return what the quantizer makes of W and R of an LSTM: both as integers, and the scales of both."""
    try:
        graph = _quantized_graph(_lstm(*weights))
    except OSError as error:
        raise ModelError(
            f"output.quantize: the temporary files of ONNX Runtime's quantizer cannot be written:"
            f" {error.strerror or error}; free space there, or set TMPDIR to another folder"
        ) from None
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    (node,) = graph.node
    if node.op_type != "DynamicQuantizeLSTM" or len(node.input) != 12:
        raise ModelError(_other(f"{node.op_type}({', '.join(node.input)})"))
    w, r = node.input[1:3]
    w_scale, w_zero, r_scale, r_zero = node.input[8:]
    if arrays[w_zero].any() or arrays[r_zero].any():
        raise ModelError(_other("zero points other than 0"))
    return [arrays[w], arrays[r]], [arrays[w_scale], arrays[r_scale]]


def _quantized_graph(content: bytes) -> onnx.GraphProto:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _without_advice():
        given, made = Path(folder, "given.onnx"), Path(folder, "made.onnx")
        given.write_bytes(content)
        # Seven bits: sums of pairs of products then fit into the 16 bits that processors without VNNI have for them,
        # so that the tags do not depend on the processor.
        quantize_dynamic(given, made, op_types_to_quantize=["LSTM"], weight_type=QuantType.QInt8, reduce_range=True)
        return onnx.load(made).graph


def _lstm(w: npt.NDArray[Any], r: npt.NDArray[Any]) -> bytes:
    """Return a graph of a single LSTM, which is all that the quantizer needs to see."""
    direction = "bidirectional" if len(w) == 2 else "forward"  # the quantizer copies it
    node = helper.make_node("LSTM", ["x", "W", "R"], ["Y"], hidden_size=r.shape[2], direction=direction)
    graph = helper.make_graph(
        [node],
        "lstm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("T", "B", w.shape[2]))],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, ("T", len(w), "B", r.shape[2]))],
        [numpy_helper.from_array(w, "W"), numpy_helper.from_array(r, "R")],
    )
    opset = helper.make_opsetid("", OPSET)
    content: bytes = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()
    return content


def _other(found: str) -> str:
    return (
        f"output.quantize: the quantizer of ONNX Runtime made {found}, expected 8-bit integers with a scale for each"
        " branch; install another version of onnxruntime, and report this"
    )


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep the quantizer from logging that a graph should be preprocessed, which this one need not be."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
