"""Export of weights as an ONNX graph, for prediction and for other tools.

A check compares what the graph computes with what the trained network computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from tagger import __version__
from tagger.architecture import CRF_OUTPUTS, Characters, Direction, NetworkSpec
from tagger.corpus.transitions import Transitions, constraints_of, learned_within
from tagger.errors import ModelError, TaggerError
from tagger.inputs.encoder import Columns, Sizes
from tagger.model_dir.files import EMBEDDINGS, GRAPH
from tagger.model_dir.store import Model, Weights, description
from tagger.network.quantization import quantized_values
from tagger.prediction.onnx_graph import FLOAT, INT32, IR_VERSION, Node, structure_of
from tagger.prediction.predictor import Predictor

TOLERANCE = 1e-4
_SAMPLE_TOKENS = 2000


def build_onnx(
    weights: Weights,
    spec: NetworkSpec,
    sizes: Sizes,
    *,
    transitions: Transitions | None = None,
    embeddings: str | None = None,
    embedding_dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
    quantized: bool = False,
) -> bytes:
    """Build the graph: `token_ids` int32 [B, T] and `lengths` int32 [B] → `logits` float32 [B, T, K].

    A network that reads more than tokens has further inputs, all int32. Feature columns are `feature_ids` [B, T, F].
    Forms are `spelling_rows` [B, T], the rows of the tokens' forms in `casing` [S] and `characters` [S, C]. These hold
    the S distinct forms, and `characters` is zero-padded on the right.

    Args:
        weights: the weights by their names in `weights.safetensors`, and `embedding`.
        spec: the architecture of the network.
        sizes: the sizes of its vocabularies.
        transitions: the transition weights of a CRF; the graph then has them as further outputs, `transition` [K, K],
            `start` [K] and `end` [K].
        embeddings: the name of a file beside the graph that holds the embedding as raw little-endian numbers; if None,
            the graph itself holds the embedding in float32.
        embedding_dtype: the type of the numbers in that file: `float32` or `float16`.
        metadata: the metadata entries to store in the graph.
        quantized: whether to store the weights of the branches as 8-bit integers.
    """
    structure = structure_of(spec, sizes, quantized=quantized)
    values, table = _values(weights, spec, transitions), weights["embedding"]
    if quantized:
        values |= quantized_values(values, spec.layers)
    initializers = [_external(table.shape, embeddings, embedding_dtype) if embeddings else _tensor("embedding", table)]
    initializers += [_tensor(name, values[name]) for name in structure.weights if name != "embedding"]
    initializers += [_tensor(name, value) for name, value in structure.numbers.items()]
    graph = helper.make_graph(
        list(map(_node, structure.nodes)),
        "tagger",
        [helper.make_tensor_value_info(name, INT32, axes) for name, axes in structure.inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in structure.outputs.items()],
        initializers,
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in structure.opsets.items()],
        ir_version=IR_VERSION,
        producer_name="tagger",
        producer_version=__version__,
    )
    helper.set_model_props(model, dict(metadata or {}))
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def model_graph(model: Model[Weights]) -> bytes:
    """Build the graph of a model directory.

    The embedding is a file beside it, and the metadata of the graph describe the network. The weights of the branches
    are 8-bit integers if the manifest says so.
    """
    return build_onnx(
        model.network,
        model.manifest.network,
        model.encoder.sizes(len(model.tags)),
        transitions=learned_transitions(model),
        embeddings=EMBEDDINGS,
        embedding_dtype=model.manifest.embedding_dtype,
        metadata={"network": description(model.manifest, model.encoder, model.tags)},
        quantized=model.manifest.quantization is not None,
    )


def learned_transitions(model: Model[Weights]) -> Transitions | None:
    """Return the transition weights that a model's CRF has learned, with illegal ones excluded; None without a CRF."""
    if not model.manifest.network.has_crf:
        return None
    rules = constraints_of(model.tags.tags, model.manifest.scheme)
    return learned_within(rules, *(model.network[f"crf.{name}"] for name in CRF_OUTPUTS))


def _values(weights: Weights, spec: NetworkSpec, transitions: Transitions | None) -> dict[str, npt.NDArray[Any]]:
    """Return the constants of a graph, except the embedding, by their names in the graph."""
    values = {name: array for name, array in weights.items() if name != "embedding"}
    if spec.characters == Characters.CNN:
        products = np.einsum("ce,keo->kco", weights["characters.embedding"], weights["characters.kernel"])
        values |= {f"character_products_{i}": product.astype(np.float32) for i, product in enumerate(products)}
        values["character_bias"] = weights["characters.bias"]
        values["never_largest"] = np.array(np.finfo(np.float32).min, np.float32)
    elif spec.characters == Characters.LSTM:
        arrays = _lstm_weights(weights, "characters", Direction.BOTH)
        values |= {f"character_{name}": array for name, array in zip("WRB", arrays, strict=True)}
    for i in range(1, spec.layers + 1):
        arrays = _lstm_weights(weights, f"block_{i}", spec.direction)
        values |= {f"{name}_{i}": array for name, array in zip("WRB", arrays, strict=True)}
    if transitions is not None:
        values |= {f"crf.{name}": getattr(transitions, name).astype(np.float32) for name in CRF_OUTPUTS}
    return values


def _tensor(name: str, array: npt.NDArray[Any]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array, order="C"), name)


def _node(node: Node) -> onnx.NodeProto:
    return helper.make_node(node.operator, node.inputs, node.outputs, domain=node.domain or None, **node.attributes)


def _external(shape: tuple[int, ...], file: str, dtype: str) -> onnx.TensorProto:
    data_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    tensor = onnx.TensorProto(name="embedding", data_type=data_type, dims=shape, data_location=TensorProto.EXTERNAL)
    n_bytes = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
    for key, value in (("location", file), ("offset", "0"), ("length", str(n_bytes))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def _lstm_weights(weights: Weights, name: str, direction: Direction) -> tuple[npt.NDArray[np.float32], ...]:
    """Return W, R and B of the operator `LSTM` from the kernel, recurrent kernel and bias of each branch."""
    parts = ("kernel", "recurrent_kernel", "bias")
    branches = [[weights[f"{name}.{branch}.{part}"] for part in parts] for branch in direction.branches]
    units = branches[0][1].shape[0]
    no_bias = np.zeros(4 * units, np.float32)  # ONNX has a second bias for the recurrent part
    return (
        np.stack([_gates(kernel.T, units) for kernel, _, _ in branches]),
        np.stack([_gates(recurrent.T, units) for _, recurrent, _ in branches]),
        np.stack([np.concatenate([_gates(bias, units), no_bias]) for *_, bias in branches]),
    )


def _gates(rows: npt.NDArray[np.float32], units: int) -> npt.NDArray[np.float32]:
    """Reorder Keras's gates i f c o along the first axis to the order of ONNX, i o f c."""
    i, f, c, o = rows.reshape(4, units, *rows.shape[1:])
    return np.concatenate([i, o, f, c])


def check_equal(
    exported: Predictor, trained: Predictor, sentences: Sequence[Columns], *, tolerance: float = TOLERANCE
) -> None:
    """Compare an exported network with the trained one on a few thousand tokens of real sentences.

    Args:
        tolerance: the largest difference of two logits, relative to the largest logit if that is above 1.

    Raises:
        ModelError: the logits differ by more than `tolerance`, or the tags differ although no token's two best logits
            are that close together.
        TaggerError: the trained network computes values that are not finite.
    """
    sample = _sample([columns for columns in sentences if columns[0]])
    learned = _transitions(exported), _transitions(trained)
    if learned[0] is not None and learned[1] is not None and not learned[0].is_close(learned[1], tolerance):
        raise ModelError(
            f"{GRAPH}: found other transition weights than those of the trained network, expected the same; report this"
        )
    given = [tokens for tokens, *_ in sample], [features for _, *features in sample]
    found, expected = exported.logits(*given), trained.logits(*given)
    tags = zip(exported.tag(*given), trained.tag(*given), strict=True)
    for ours, theirs, (our_tagged, their_tagged) in zip(found, expected, tags, strict=True):
        if not np.isfinite(theirs).all():  # ONNX Runtime's LSTM could turn them into finite numbers
            raise TaggerError(
                "the network computes values that are not finite: training diverged; lower training.learning_rate, or"
                " set training.clip_norm"
            )
        most = tolerance * max(1.0, float(np.abs(theirs).max()))
        difference = float(np.abs(ours - theirs).max())
        best_two = np.sort(theirs, axis=-1)[:, -2:]
        is_close_call = bool((best_two[:, -1] - best_two[:, 0] <= 2 * most).any()) and theirs.shape[-1] > 1
        # Sums decide the best path under a CRF, so their parts must be compared instead.
        differ = our_tagged.tags != their_tagged.tags and not is_close_call and not _transitions(trained)
        if difference > most or differ:
            raise ModelError(
                f"{GRAPH}: found a difference of {difference:.2g} between the results of ONNX Runtime and TensorFlow,"
                f" expected at most {most:.2g}; install other versions of both, and report this"
            )


def _transitions(predictor: Predictor) -> Transitions | None:
    found: Transitions | None = getattr(predictor.model.network, "transitions", None)
    return found


def _sample(sentences: Sequence[Columns]) -> list[Columns]:
    """Return the longest sentence and the first sentences, a few thousand tokens in total."""
    sample = sorted(sentences, key=lambda columns: len(columns[0]))[-1:]
    n_tokens = 0
    for columns in sentences:
        if n_tokens > _SAMPLE_TOKENS:
            break
        sample.append(columns)
        n_tokens += len(columns[0])
    return sample
