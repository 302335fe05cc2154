"""Export of a model's network as one file or directory that other tools can serve; docs/serving.md specifies it."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from tagger.architecture import CRF_OUTPUTS
from tagger.atomic import write_atomically
from tagger.corpus.lines import require_regular
from tagger.errors import DataError, ModelError
from tagger.evaluation.evaluate import evaluate_file, gold_files
from tagger.evaluation.quantization import ANY_LOSS, QuantizationLoss
from tagger.evaluation.scores import Evaluation
from tagger.inputs.vocabulary import PAD_ID
from tagger.model_dir.manifest import Quantization
from tagger.model_dir.store import Model, Weights, load_model, read_weights, save_model, surrounding_model
from tagger.network import muted_stderr
from tagger.network.devices import choose_device
from tagger.network.model import TwoBranchTagger, build_network
from tagger.network.onnx_export import build_onnx, learned_transitions, model_graph
from tagger.network.packing import BatchTensors
from tagger.prediction.onnx_session import load_predictor

_MOST_PROTOBUF_BYTES = (1 << 31) - (1 << 20)  # an ONNX file is a protocol buffer, which must be smaller than 2 GiB


def export_network(directory: Path, out: Path, format_: str) -> None:
    """Write the network of a model directory as `onnx`, `onnx-int8` or `saved-model`.

    Raises:
        ModelError: the model cannot be read, `out` exists or cannot be written, or the network is too large for ONNX.
    """
    check_new(out)
    model = load_model(directory, read_weights)
    network = build_network(model.manifest, model.encoder, model.tags, kernel=choose_device("cpu").kernel)
    try:
        network.assign_weights(model.network)
    except ModelError as error:
        raise ModelError(f"{directory}: {error.message}") from None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if format_ in ("onnx", "onnx-int8"):
            write_onnx(model, out, quantized=format_ == "onnx-int8")
        else:
            _write_saved_model(network, out)
    except (FileExistsError, NotADirectoryError):
        raise ModelError(f"{out}: cannot be written: a file is in the way; choose another place") from None
    except (OSError, tf.errors.OpError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ModelError(f"{out}: cannot be written: {reason}; choose another place") from None


def check_new(out: Path) -> None:
    """Raise ModelError unless a file or directory may be made here."""
    if out.exists() or out.is_symlink():
        raise ModelError(f"{out}: already exists, expected a new name; choose another one, or remove it first")
    inside = surrounding_model(out)
    if inside is not None:
        raise ModelError(
            f"{out}: is inside the model directory {inside}, expected another place, because a model directory may not"
            " hold other files; choose one"
        )


def quantization_loss(directory: Path, test: str | None, most: float) -> QuantizationLoss | None:
    """Measure what 8-bit weights cost on a gold file.

    Args:
        directory: the model directory.
        test: the gold file; None for the test files of the model's config.
        most: the largest loss in points of F1.

    Returns:
        The scores without and with 8-bit weights; None if any loss is allowed and there is no gold file.

    Raises:
        DataError: there is no gold file.
        ModelError: the loss is larger than `most`, or the model cannot be read.
    """
    model = load_model(directory, read_weights)
    try:
        paths = gold_files(model, test)
    except DataError as error:
        if most >= ANY_LOSS:
            return None
        raise DataError(
            f"--test: {error.message.removeprefix('FILE: ')}; or pass --max-loss {ANY_LOSS:g} to measure nothing"
        ) from None
    for path in paths:
        require_regular(path)  # it is read twice
    try:
        before, after = [_evaluated(model, paths, found) for found in (None, Quantization(weights="int8"))]
    except OSError as error:
        raise ModelError(
            f"--format onnx-int8: a temporary copy of the model cannot be written: {error.strerror or error};"
            " free space there, or set TMPDIR to another folder"
        ) from None
    loss = QuantizationLoss(before, after)
    remedy = "pass --max-loss {} to write the file all the same, or use --format onnx"
    loss.check(most, key="--format onnx-int8", where=f"on {', '.join(paths)}", remedy=remedy, detail="")
    return loss


def _evaluated(model: Model[Weights], paths: list[str], quantization: Quantization | None) -> Evaluation:
    """Return the scores of a copy of a model with other weights in its graph."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = dataclasses.replace(model.manifest, quantization=quantization)
        copy = dataclasses.replace(model, directory=Path(folder, "model"), manifest=manifest)
        save_model(copy, graph=model_graph(copy), config="", history="")
        predictor = load_predictor(copy.directory)
        predictor.model = dataclasses.replace(predictor.model, directory=model.directory)  # its test files are relative
        return evaluate_file(predictor, paths, manifest.layout)


def write_onnx(
    model: Model[Weights], out: Path, *, quantized: bool = False, most_bytes: int = _MOST_PROTOBUF_BYTES
) -> None:
    """Write a network to an ONNX file, with 8-bit weights in its branches if `quantized` is true.

    Raises:
        ModelError: its weights have more than `most_bytes` bytes.
    """
    n_bytes = sum(weight.nbytes for weight in model.network.values())
    if n_bytes > most_bytes:
        raise ModelError(
            f"--format onnx: found {n_bytes} bytes of weights, expected less than 2 GiB, which an ONNX file can hold;"
            " use --format saved-model"
        )
    write_atomically(
        out,
        build_onnx(
            model.network,
            model.manifest.network,
            model.encoder.sizes(len(model.tags)),
            transitions=learned_transitions(model),
            metadata=_metadata(model),
            quantized=quantized,
        ),
    )


def _metadata(model: Model[Weights]) -> dict[str, str]:
    """Return the metadata of the file: what a server must know in addition to the graph."""
    manifest = model.manifest
    return {
        "tags": json.dumps(model.tags.tags, ensure_ascii=False),
        "scheme": manifest.scheme,
        "lowercase": json.dumps(manifest.normalization.lowercase),
        "normalize_digits": json.dumps(manifest.normalization.normalize_digits),
        "pretrained": json.dumps(manifest.n_trained_tokens is not None),
        "features": json.dumps(manifest.feature_names),
        "decoder": manifest.network.decoder,
    }


def _write_saved_model(network: TwoBranchTagger, out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{out.name[:100]}.", dir=out.parent) as fresh, muted_stderr():
        served = _Served(network)
        tf.saved_model.save(served, f"{fresh}/model", signatures={"serving_default": served.logits})
        Path(fresh, "model").rename(out)


class _Served(tf.Module):
    """The network as other tools call it: padded ids in, logits out, with the batch axis first."""

    def __init__(self, network: TwoBranchTagger) -> None:
        super().__init__()
        self._network = network
        representation = network.representation
        ranks = {"token_ids": 2, "lengths": 1}
        if representation.features is not None:
            ranks |= {"feature_ids": 3}
        if representation.characters is not None or representation.casing is not None:
            ranks |= {"spelling_rows": 2}
        ranks |= {"characters": 2} if representation.characters is not None else {}
        ranks |= {"casing": 1} if representation.casing is not None else {}
        signature = {name: tf.TensorSpec([None] * rank, tf.int32, name=name) for name, rank in ranks.items()}
        self.logits = tf.function(self._logits, autograph=False).get_concrete_function(**signature)

    def _logits(self, token_ids: Any, lengths: Any, **more: Any) -> dict[str, Any]:
        """Compute the logits [B, T, K] from token_ids [B, T], lengths [B] and the further inputs of `build_onnx`."""
        # Every token counts as a distinct one.
        rows = tf.reshape(tf.range(tf.size(token_ids)), tf.shape(token_ids))
        nothing = tf.zeros([0], tf.int32)
        tensors = BatchTensors(*(nothing for _ in BatchTensors._fields))._replace(
            id_rows=tf.range(tf.size(token_ids)),
            lengths=lengths,
            token_rows=tf.transpose(rows),
            reversed_rows=tf.transpose(tf.reverse_sequence(rows, lengths, seq_axis=1, batch_axis=0)),
        )
        if "feature_ids" in more:
            tensors = tensors._replace(
                feature_ids=tf.reshape(more["feature_ids"], [-1, tf.shape(more["feature_ids"])[2]])
            )
        if "casing" in more:
            tensors = tensors._replace(casing=tf.gather(more["casing"], tf.reshape(more["spelling_rows"], [-1])))
        if "characters" in more:
            padded = tf.gather(more["characters"], tf.reshape(more["spelling_rows"], [-1]))  # [B·T, C]
            is_real = padded > PAD_ID
            tensors = tensors._replace(
                characters=tf.boolean_mask(padded, is_real),
                character_lengths=tf.reduce_sum(tf.cast(is_real, tf.int32), axis=1),
            )
        logits = self._network(self._network.look_up(tf.reshape(token_ids, [-1])), tensors)
        outputs = {"logits": tf.transpose(logits, [1, 0, 2])}
        if self._network.crf is not None:
            outputs |= zip(CRF_OUTPUTS, self._network.crf.transition_weights(), strict=True)
        return outputs
