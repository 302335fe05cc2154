"""One training, from a config to a model directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tagger.config import Config
from tagger.errors import ConfigError, DeviceError, ModelError
from tagger.network.devices import Device, choose_device, gpu_failures_explained, out_of_memory_explained
from tagger.network.distribution import Replicas, connect, read_task, workers_explained
from tagger.network.inference import Scorer
from tagger.network.lstm import Kernel
from tagger.network.memory import check_memory
from tagger.network.model import TwoBranchTagger, build_network
from tagger.network.preparation import Prepared, prepare
from tagger.network.rendezvous import meet
from tagger.network.resuming import check_same, facts_of, fingerprint, state_to_begin_with, with_threads_of
from tagger.network.run import Listener, Outcome, Run
from tagger.network.training import Trainer
from tagger.runtime.checkpoints import Checkpoints, State
from tagger.runtime.engine import load_predictor
from tagger.runtime.model_saving import check_place


def train(
    config: Config,
    listener: Listener,
    *,
    device: str = "auto",
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a model and write its directory: at each new best epoch, and at the end with the whole history.

    Args:
        resume: go on with a training that was interrupted, to the bit; begin if there is nothing to go on from.

    Raises:
        TaggerError: the data, the device or the place for the model is unusable, training diverged, or what is
            resumed was another training.
    """
    task, model_dir = read_task(), Path(str(config.output.model_dir))
    checkpoints, state = Checkpoints(model_dir), None
    with contextlib.ExitStack() as stack:
        if task.is_chief:
            check_place(model_dir)
            stack.enter_context(checkpoints.lock())
            state = state_to_begin_with(checkpoints, resume=resume, warn=listener.warn)
            if resume and state is None:
                listener.note(f"nothing to go on from in {checkpoints.directory}: beginning")
        threads = config.training.threads
        if state is not None:
            config, threads = with_threads_of(state, config, listener.warn), state.facts["threads"]
        chosen = choose_device(device, threads=threads)
        tf.config.experimental.enable_op_determinism()
        prepared = prepare(config, note=listener.note, warn=listener.warn)
        if not chosen.n_gpus:  # a GPU says itself when its memory is full
            check_memory(config, prepared)
        if len(task.workers) > 1:
            names = ", ".join(task.workers)
            listener.note(f"worker {task.index} of {len(task.workers)}: {names}; waiting for all of them")
            if not meet(task.workers, task.index, should_stop):
                return Outcome(model_dir if task.is_chief else None, [], None, stopped=True)
        stack.enter_context(out_of_memory_explained())
        stack.enter_context(gpu_failures_explained(chosen))
        stack.enter_context(workers_explained(task))
        replicas = connect(task, chosen.n_gpus)
        facts = facts_of(config, prepared, chosen)
        if not replicas.are_same(fingerprint(facts)):
            raise DeviceError(
                f"TF_CONFIG: worker {task.index} and another have different training data or settings, expected the"
                " same; give all of them the same files, config and --set"
            )
        if len(task.workers) > 1:
            content = replicas.from_chief(state.to_bytes() if state is not None else b"")
            state = State.from_bytes(content) if content else None
        trainer, reference = _trainer(config, prepared, chosen, replicas, listener)
        run = Run(
            config, prepared, trainer, replicas, listener, should_stop,
            facts=facts, checkpoints=checkpoints, reference=reference,
        )  # fmt: skip
        if state is not None:
            ended = _go_on(run, state, facts, checkpoints, listener)
            if ended is not None:
                return ended
            state = None  # it takes as much memory as what was made from it
        elif task.is_chief:
            checkpoints.discard()
        return run.run()


def _go_on(
    run: Run, state: State, facts: Mapping[str, Any], checkpoints: Checkpoints, listener: Listener
) -> Outcome | None:
    """Take up a state; returns how the training ended if it was finished before."""
    for text in check_same(state.facts, facts, str(checkpoints.directory)):
        listener.warn(f"--resume: {text}; the result may differ in its last bits")
    try:
        ended = run.go_on_from(state)
    except (ValueError, TypeError, LookupError) as error:  # such as of a GPU with mixed precision, on a CPU
        raise ConfigError(
            f"--resume: the state in {checkpoints.directory} does not fit what is trained here: {error}; go on where"
            " it was saved, or delete that directory and give the same command again"
        ) from None
    if ended is None:
        listener.note(
            f"going on in epoch {state.facts['epoch'] + 1}, after {state.facts['progress']['steps']} steps of it"
        )
    elif ended.model_dir is not None:
        try:
            load_predictor(ended.model_dir)
        except ModelError as error:
            raise ModelError(
                f"{ended.model_dir}: found no whole model, expected that of a training that was finished; delete"
                f" {checkpoints.directory} and give the same command again, to begin anew",
                detail=[error.message],
            ) from None
        listener.note("this training was finished before: nothing is left to do")
    return ended


def _trainer(
    config: Config, prepared: Prepared, chosen: Device, replicas: Replicas, listener: Listener
) -> tuple[Trainer, Callable[[Mapping[str, npt.NDArray[np.float32]]], Scorer] | None]:
    """The network with what trains it, and what makes the same on the CPU if it is not there."""
    mixed_precision = config.training.mixed_precision and chosen.n_gpus > 0
    if config.training.mixed_precision and not mixed_precision:
        listener.warn("training.mixed_precision: only a GPU gains by it; training in float32 on the CPU")
    with replicas.scope():
        network = initial_network(prepared, chosen, mixed_precision=mixed_precision)
        frozen = prepared.vectors.has_vector if prepared.vectors and not config.embeddings.trainable else None
        trainer = Trainer(network, config.training, replicas, frozen=frozen, embedding_dtype=config.embeddings.dtype)
    branches = "both branches" if config.model.direction == "both" else f"the {config.model.direction} branch"
    listener.note(
        f"device: {chosen.name}; kernel of {branches}: {chosen.kernel.value}{', float16' if mixed_precision else ''}"
    )
    if replicas.n > 1:
        listener.note(f"{replicas.n} replicas; each batch of {config.training.batch_size} sentences is shared out")
    sizes = prepared.encoder.sizes(len(prepared.tags))
    listener.note(f"network: {sizes.n_tokens} token ids, {sizes.n_tags} tags, {network.count_params()} weights")
    if not chosen.n_gpus:
        return trainer, None

    def on_cpu(weights: Mapping[str, npt.NDArray[np.float32]]) -> Scorer:
        with tf.device("CPU:0"):
            copy = initial_network(prepared, Device("CPU", Kernel.BLOCK))
            copy.assign_weights(weights)
            return Scorer(copy, device="CPU:0")

    return trainer, on_cpu


def initial_network(prepared: Prepared, device: Device, *, mixed_precision: bool = False) -> TwoBranchTagger:
    """The network with its initial weights, pretrained vectors among them."""
    network = build_network(
        prepared.manifest, prepared.encoder, prepared.tags, kernel=device.kernel, mixed_precision=mixed_precision
    )
    if prepared.vectors is not None:
        prepared.vectors.put_into(network.embedding)
    return network
