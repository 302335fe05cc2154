"""One training, from a config to a model directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tagger.config.keys import Config
from tagger.errors import ConfigError, DeviceError, ModelError
from tagger.filesystem import relative_path
from tagger.model_dir.checkpoints import Checkpoints, State
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.pretrained import Pretrained
from tagger.network.bilstm import Kernel
from tagger.network.devices import CPU, Device, device_errors_explained, make_deterministic, on_cpu
from tagger.network.distributed import Replicas, connect, read_task, wait_for_workers
from tagger.network.model import NetworkLogits
from tagger.network.trainer import Trainer
from tagger.prediction.onnx_session import load_predictor
from tagger.pretraining.sentences import SentencePretraining, StoppedError
from tagger.training.facts import PretrainingSteps
from tagger.training.history import Outcome
from tagger.training.init_from import InitFrom
from tagger.training.listener import Listener
from tagger.training.memory import check_memory
from tagger.training.old_model import OldModel, load_old_model, rules_of, with_settings_of
from tagger.training.parts import Parts
from tagger.training.preparation import Prepared, prepare
from tagger.training.pretrained import load_pretrained
from tagger.training.pretrained import with_settings_of as with_pretrained_settings
from tagger.training.replacing import Place, Replacing
from tagger.training.resume import (
    check_same,
    checksum_of,
    checksum_of_old,
    fingerprint_of,
    pretraining_in,
    state_to_begin_with,
    with_choices_of,
    with_epochs_of,
    with_pretraining,
    with_threads_of,
)
from tagger.training.rows import Rows
from tagger.training.run import Run
from tagger.training.teachers import Lesson


def train(
    config: Config,
    listener: Listener,
    *,
    device: str = "auto",
    resume: bool = False,
    epochs_more: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    replacing: Replacing | None = None,
    rows: Rows | None = None,
    init: InitFrom | None = None,
    lesson: Lesson | None = None,
    parts: Parts | None = None,
) -> Outcome:
    """Train a model and write its directory: at each new best epoch, and at the end with the whole history.

    If the directory holds a finished model, it is written only at the end.

    Args:
        resume: continue an interrupted training, bit for bit; start one if there is nothing to continue.
        epochs_more: continue a finished training for this number of epochs, as if it had had them from the start.
        replacing: the rules for a model that is already there.
        rows: the sentences of the training data to use; None for all.
        init: the model to begin with; None for random weights.
        lesson: the teachers that the model learns from; None to learn from the training data alone.
        parts: replacements for the usual parts.

    Raises:
        TaggerError: the data, the device or the place for the model is unusable, training diverged, or the training to
            resume had other settings or data.
    """
    parts, task, model_dir = parts or Parts(), read_task(), Path(str(config.output.model_dir))
    if config.training.pretraining_epochs:
        _check_pretraining(init, n_workers=len(task.workers))
    given, option = config, "--resume" if epochs_more is None else "--epochs-more"
    if epochs_more is not None and len(task.workers) > 1:
        raise ConfigError(
            "--epochs-more: found several workers in TF_CONFIG, expected one; raise training.epochs and pass --resume"
            " to all of them"
        )
    if init is not None:
        replacing = rules_of(init, model_dir, replacing)
    checkpoints, place, state = parts.checkpoints(model_dir), Place(model_dir, replacing), None
    with contextlib.ExitStack() as stack:
        if task.is_chief:
            place.check()
            stack.enter_context(checkpoints.lock())
            extend = epochs_more is not None
            state = state_to_begin_with(checkpoints, resume=resume or extend, warn=listener.warn)
            config = with_epochs_of(state, config, epochs_more, checkpoints)
            if resume and state is None:
                listener.note(f"found no state to continue in {checkpoints.directory}; starting a new training")
            if state is None:
                place.begin(config)
            else:
                place.resume(state.record, config)
        threads = config.training.threads
        if state is not None:
            config, threads = with_threads_of(state, config, listener.warn, option), state.record["threads"]
            config = with_choices_of(state, config)
        old = None
        if init is not None:
            old = load_old_model(init, model_dir, checksum_of_old(state))
            config = _begun_with(old, config, listener)
        pretrained = load_pretrained(config)
        if pretrained is not None:
            config = _pretrained_with(pretrained, config, init, listener)
        chosen = parts.choose_device(device, threads=threads)
        make_deterministic()
        pretraining = _pretraining_of(config, init, listener, should_stop, n_workers=len(task.workers))
        prepared = prepare(
            config, note=listener.note, warn=listener.warn, rows=rows, old=old, lesson=lesson,
            pretrained=pretrained, pretraining=pretraining,
        )  # fmt: skip
        if not chosen.n_gpus:  # a GPU reports by itself when its memory is full
            check_memory(config.training, prepared, parts.available_memory())
        if not wait_for_workers(task, listener.note, should_stop):
            return Outcome(model_dir if task.is_chief else None, [], None, stopped=True)
        stack.enter_context(device_errors_explained(chosen, n_workers=len(task.workers)))
        replicas = connect(task, chosen.n_gpus)
        fingerprint = fingerprint_of(config, prepared, chosen, given)
        _check_workers(replicas, fingerprint)
        state = replicas.state_of_chief(state)
        if state is not None:
            for text in check_same(state.record, fingerprint, str(checkpoints.directory), option=option):
                listener.warn(f"{option}: {text}; the result may differ in its last bits")
        begun = pretraining_in(state)
        if begun is not None:
            state = None
        elif state is None and task.is_chief:
            checkpoints.discard()
        if pretraining is not None and prepared.schedule.pretraining_epochs and state is None:
            record = {**fingerprint, **place.to_json()}

            def save(found: State) -> None:
                checkpoints.save(with_pretraining(record, found))

            try:
                prepared = prepared.begun_with(pretraining.train(threads=chosen.threads, begun=begun, save=save))
            except StoppedError:
                return Outcome(model_dir, [], None, stopped=True)
            begun = None  # frees its arrays
        trainer, reference = _trainer(config, prepared, chosen, replicas, listener, parts)
        run = Run(
            config, prepared, trainer, replicas, listener, should_stop,
            fingerprint=fingerprint, checkpoints=checkpoints, place=place, reference=reference, parts=parts,
            given=given,
        )  # fmt: skip
        if state is not None:
            ended = _continue(run, state, checkpoints, listener, option)
            if ended is not None:
                return ended
            state = None  # frees its arrays, which take as much memory as the trainer's
        return run.run()


def _check_workers(replicas: Replicas, fingerprint: Mapping[str, Any]) -> None:
    """Raise DeviceError if another worker has other data or settings."""
    if not replicas.are_same(checksum_of(fingerprint)):
        raise DeviceError(
            f"TF_CONFIG: worker {replicas.task.index} and another have different training data or settings, expected"
            " the same; give all of them the same files, config and --set"
        )


def _begun_with(old: OldModel, config: Config, listener: Listener) -> Config:
    """Return the config with the settings that the old model decides; say which they are."""
    config, taken = with_settings_of(old, config)
    shown = f"; as in it: {', '.join(taken)}" if taken else ""
    listener.note(f"beginning with the weights of {relative_path(old.model.directory)}{shown}")
    return config


def _pretrained_with(pretrained: Pretrained, config: Config, init: InitFrom | None, listener: Listener) -> Config:
    """Return the config with the settings that a pretrained directory decides; say which they are."""
    if init is not None:
        raise ConfigError(
            "model.pretrained: found it with --init-from, whose model has weights of its own, expected one of them;"
            " delete the key, or set it to null"
        )
    config, taken = with_pretrained_settings(pretrained, config)
    shown = f"; as in it: {', '.join(taken)}" if taken else ""
    listener.note(f"beginning with {relative_path(str(config.model.pretrained))}{shown}")
    return config


def _pretraining_of(
    config: Config, init: InitFrom | None, listener: Listener, should_stop: Callable[[], bool], *, n_workers: int
) -> SentencePretraining | None:
    """Return the pretraining that this training may begin with; None if it must begin with something else."""
    if config.training.pretraining_epochs == 0 or config.begins_with is not None or init is not None:
        return None
    if n_workers > 1:
        listener.note(
            "training.pretraining_epochs: 0, because several workers train together; tagger pretrain and"
            " model.pretrained do it for them"
        )
        return None

    def on_step(*steps: Any) -> None:
        listener.pretraining_step(PretrainingSteps(config.training.seed, *steps))

    return SentencePretraining(config, note=listener.note, warn=listener.warn, on_step=on_step, should_stop=should_stop)


def _check_pretraining(init: InitFrom | None, *, n_workers: int) -> None:
    """Raise ConfigError if this training cannot begin with a pretraining of its own."""
    if init is not None:
        raise ConfigError(
            "training.pretraining_epochs: found it with --init-from, whose model has weights of its own, expected one"
            " of them; delete the key, or set it to 0"
        )
    if n_workers > 1:
        raise ConfigError(
            f"training.pretraining_epochs: found it with {n_workers} workers in TF_CONFIG, expected one; run tagger"
            " pretrain on the training file first, and set model.pretrained instead"
        )


def _continue(run: Run, state: State, checkpoints: Checkpoints, listener: Listener, option: str) -> Outcome | None:
    """Continue from a state; return how the training ended if it was finished before."""
    try:
        ended = run.continue_from(state)
    except (ValueError, TypeError, LookupError) as error:  # such as a state of mixed precision on a CPU
        raise ConfigError(
            f"{option}: the state in {checkpoints.directory} does not belong to this network or device: {error};"
            " continue where it was saved, or delete that directory and give the same command again"
        ) from None
    if ended is None and state.record["finished"] and not state.arrays:
        raise ConfigError(
            f"{option}: the state in {checkpoints.directory} was written by an older version of tagger, which left no"
            " weights to continue from; train again with more training.epochs"
        )
    if ended is None:
        listener.note(
            f"continuing in epoch {state.record['epoch'] + 1}, after {state.record['progress']['steps']} steps of it"
        )
        return None
    lost = run.patience_lost()
    if lost is not None and option == "--epochs-more":
        raise ConfigError(lost)
    if ended.model_dir is not None:
        found = _manifest_in(ended.model_dir, checkpoints, may_restore=bool(state.arrays))
        if found is None:
            listener.note(f"found no complete model in {ended.model_dir}; writing it again")
            return run.write_again()
        other = run.other_weights(found)
        if other is not None and state.arrays:
            listener.note(f"{other}; writing the model again, without another epoch")
            if found.thresholds:
                listener.warn("the thresholds of the model were chosen for other weights; run tagger threshold again")
            return run.write_again()
        if other is not None:
            raise ConfigError(
                f"{option}: {other}, but the state in {checkpoints.directory} was written by an older version of"
                " tagger, which left no weights; change output.quantize back, or train again"
            )
    listener.note("this training is already finished; there is nothing left to do")
    return ended


def _manifest_in(model_dir: Path, checkpoints: Checkpoints, *, may_restore: bool) -> Manifest | None:
    """Return the manifest of the model of a finished training; None if there is no complete model.

    Raises:
        ModelError: there is none, and the state has no weights to restore it from.
    """
    try:
        return load_predictor(model_dir).model.manifest
    except ModelError as error:
        if may_restore:
            return None
        raise ModelError(
            f"{model_dir}: found no complete model, expected the model of a finished training; delete"
            f" {checkpoints.directory} and give the same command again to start over",
            detail=[error.message],
        ) from None


def _trainer(
    config: Config, prepared: Prepared, chosen: Device, replicas: Replicas, listener: Listener, parts: Parts
) -> tuple[Trainer, Callable[[Mapping[str, npt.NDArray[np.float32]]], NetworkLogits] | None]:
    """Return the trainer of a new network and, if that is on a GPU, a function that builds a copy on the CPU."""
    mixed_precision = config.training.mixed_precision and chosen.n_gpus > 0
    if config.training.mixed_precision and not mixed_precision:
        listener.warn("training.mixed_precision: only a GPU benefits from it; training in float32 on the CPU")
    with replicas.scope():
        network = parts.build_network(prepared, chosen, mixed_precision=mixed_precision)
        frozen = prepared.vectors.has_vector if prepared.vectors and not config.embeddings.trainable else None
        trainer = Trainer(
            network, config.training, replicas,
            frozen=frozen, embedding_dtype=config.embeddings.dtype, targets=prepared.targets,
        )  # fmt: skip
    branches = "both branches" if config.model.direction == "both" else f"the {config.model.direction} branch"
    listener.note(
        f"device: {chosen.name}; kernel of {branches}: {chosen.kernel.value}{', float16' if mixed_precision else ''}"
    )
    if replicas.n > 1:
        listener.note(
            f"{replicas.n} replicas; each batch of {prepared.schedule.batch_size} sentences is divided among them"
        )
    if not chosen.n_gpus:
        return trainer, None

    def reference(weights: Mapping[str, npt.NDArray[np.float32]]) -> NetworkLogits:
        with on_cpu():
            copy = parts.build_network(prepared, Device("CPU", Kernel.BLOCK))
            copy.assign_weights(weights)
            return NetworkLogits(copy, device=CPU)

    return trainer, reference
