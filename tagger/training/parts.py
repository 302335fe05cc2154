"""The parts of a training that a test or an experiment may exchange, and the network that it begins with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from tagger.evaluation.scores import Evaluation, evaluate
from tagger.inputs.encoder import Columns
from tagger.machine import available_memory
from tagger.model_dir.checkpoints import Checkpoints
from tagger.model_dir.store import Model, Weights
from tagger.network.devices import Device, choose_device
from tagger.network.model import TwoBranchTagger, build_network
from tagger.network.onnx_export import check_equal, model_graph
from tagger.prediction.predictor import Predictor
from tagger.training.growth import grown_weights
from tagger.training.preparation import Prepared
from tagger.training.pretrained import initial_weights


def initial_network(prepared: Prepared, device: Device, *, mixed_precision: bool = False) -> TwoBranchTagger:
    """Build the network with its initial weights: pretrained ones, those of an older model, and random ones."""
    network = build_network(
        prepared.manifest, prepared.encoder, prepared.tags, kernel=device.kernel, mixed_precision=mixed_precision
    )
    if prepared.vectors is not None:
        network.set_embedding_rows(prepared.vectors.blocks())
    if prepared.pretrained is not None and prepared.vectors is not None:
        fresh, known = network.weights_as_arrays(), prepared.vectors.has_vector
        network.assign_weights(initial_weights(prepared.pretrained, fresh, known))
    if prepared.old is not None:
        has_vector = prepared.vectors.has_vector if prepared.vectors is not None else None
        fresh = network.weights_as_arrays()
        network.assign_weights(grown_weights(prepared.old.model, fresh, prepared.encoder, prepared.tags, has_vector))
    return network


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a training that a test or an experiment may exchange.

    Attributes:
        choose_device: finds the device by its name on the command line and the number of threads.
        build_network: builds the network with its initial weights.
        evaluate: scores predicted tags of the dev set against its gold tags.
        model_graph: exports a model as an ONNX graph.
        check_equal: compares the exported network with the one that was trained.
        checkpoints: opens the states beside a model directory.
        available_memory: returns the bytes of memory that are free, or None if that is unknown.
    """

    choose_device: Callable[..., Device] = choose_device
    build_network: Callable[..., TwoBranchTagger] = initial_network
    evaluate: Callable[..., Evaluation] = evaluate
    model_graph: Callable[[Model[Weights]], bytes] = model_graph
    check_equal: Callable[[Predictor, Predictor, Sequence[Columns]], None] = check_equal
    checkpoints: Callable[[Path], Checkpoints] = Checkpoints
    available_memory: Callable[[], int | None] = available_memory
