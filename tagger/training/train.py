"""One training, from a config to a model directory."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tagger.config import Config, dump_config
from tagger.errors import ConfigError, DeviceError, ModelError, TaggerError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.inputs.encoder import Columns
from tagger.machine import available_memory
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import Model, Weights, check_place, save_model
from tagger.network.bilstm import Kernel
from tagger.network.devices import (
    CPU,
    Device,
    choose_device,
    device_errors_explained,
    make_deterministic,
    on_cpu,
)
from tagger.network.distributed import Replicas, connect, meet, read_task
from tagger.network.model import NetworkLogits, TwoBranchTagger, build_network
from tagger.network.onnx_export import check_equal, model_graph
from tagger.network.trainer import DivergedError, Progress, Stopped, Trainer
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import Predictor
from tagger.training.checkpoints import Checkpoints, State
from tagger.training.history import EpochResult, Listener, Outcome, dev_scores, format_history
from tagger.training.preparation import Prepared, check_memory, prepare
from tagger.training.resume import (
    Position,
    check_same,
    checksum_of,
    fingerprint_of,
    state_to_begin_with,
    with_threads_of,
)

N = TypeVar("N")
_MOST_NAMED = 10  # sentences that an error names
_AT_ONCE = 1024  # sentences of dev that are tagged before the next check whether to stop


def initial_network(prepared: Prepared, device: Device, *, mixed_precision: bool = False) -> TwoBranchTagger:
    """Build the network with its initial weights, pretrained vectors among them."""
    network = build_network(
        prepared.manifest, prepared.encoder, prepared.tags, kernel=device.kernel, mixed_precision=mixed_precision
    )
    if prepared.vectors is not None:
        prepared.vectors.put_into(network.embedding)
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


class Run:
    """The epochs of one training.

    Args:
        fingerprint: the settings and data that its states store.
        checkpoints: the place for its states.
        reference: builds the network with the given weights for the CPU, in float32. It is needed after training on a
            GPU, whose rounding errors exceed the tolerance of the check of a saved model. On a CPU it is None.
        parts: the parts that score, export and check the network.
    """

    def __init__(
        self,
        config: Config,
        prepared: Prepared,
        trainer: Trainer,
        replicas: Replicas,
        listener: Listener,
        should_stop: Callable[[], bool],
        *,
        fingerprint: Mapping[str, Any],
        checkpoints: Checkpoints,
        reference: Callable[[Mapping[str, npt.NDArray[np.float32]]], NetworkLogits] | None = None,
        parts: Parts | None = None,
    ) -> None:
        self._config, self._prepared, self._listener = config, prepared, listener
        self._model_dir, self._should_stop = Path(str(config.output.model_dir)), should_stop
        self._trainer, self._replicas = trainer, replicas
        self._fingerprint, self._checkpoints = fingerprint, checkpoints
        self._reference, self._parts = reference, parts or Parts()
        # A call of TensorFlow costs more than one of ONNX Runtime, and spreads over the cores by itself.
        self._predictor = Predictor(self._model(NetworkLogits(trainer.network)), batch_tokens=8192)
        self._is_chief = replicas.task.is_chief
        self._n_rows = prepared.training_set.n_rows
        self._at = Position(trainer.network.weights_as_arrays())
        self._last_state = time.monotonic()
        self._n_in_model: int | None = None  # epochs in the history of the model directory, if known

    def run(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        stopped = False
        try:
            while not self._is_done():
                self._train_epoch()
                # All workers continue, or none does.
                if self._replicas.any(self._should_stop()):
                    raise Stopped
        except Stopped:
            stopped = True
        if self._at.best is not None and self._n_in_model != len(self._at.history):
            # Save once more: for the epochs after the best one, or because an interrupted training left another model.
            self._save_model(self._at.best)
        self._save_state(finished=not stopped)
        return self._outcome(stopped=stopped)

    def continue_from(self, state: State) -> Outcome | None:
        """Continue from a state; return how the training ended if the state is that of a finished one.

        Raises:
            ValueError, TypeError, LookupError: the state belongs to another network, or has another form.
        """
        self._at.restore(state, self._trainer, n_rows=self._n_rows)
        return self._outcome(stopped=False) if state.record["finished"] else None

    def _outcome(self, *, stopped: bool) -> Outcome:
        return Outcome(self._model_dir if self._is_chief else None, self._at.history, self._at.best, stopped)

    def _is_done(self) -> bool:
        # The scores of the chief decide for all workers.
        return self._at.epoch >= self._config.training.epochs or self._replicas.any(
            self._is_chief and self._has_lost_patience()
        )

    def _has_lost_patience(self) -> bool:
        patience, best = self._config.training.patience, self._at.best
        if patience is None or best is None or not best.dev_score:
            return False  # if entities are rare, the first epochs may find none, which is not a reason to stop
        return len(self._at.history) - best.epoch >= patience

    def _train_epoch(self) -> None:
        training_set, at = self._prepared.training_set, self._at
        n_tokens = int(training_set.lengths.sum()) - at.progress.tokens
        self._listener.start_epoch(at.epoch + 1, self._config.training.epochs, n_tokens)
        try:
            loss = self._trainer.train_epoch(
                training_set.batches(at.epoch, at.progress.steps),
                at.epoch,
                at.progress,
                on_step=self._after_step,
                should_stop=self._should_stop,
            )
        except DivergedError as error:
            raise self._with_sentences(error) from None
        with self._trainer.saved_weights():
            dev = self._evaluate_dev()
            result = EpochResult(at.epoch + 1, loss, dev, best=True)
            if not result.beats(at.best):
                result = dataclasses.replace(result, best=False)
            at.history.append(result)
            if result.best:
                at.best, at.best_weights = result, self._trainer.network.weights_as_arrays()
                self._save_model(result, check=self._check)
        at.epoch, at.progress = at.epoch + 1, Progress()
        self._save_state()
        self._listener.end_epoch(result)

    def _after_step(self, n_tokens: int) -> None:
        self._listener.step(n_tokens)
        minutes = self._config.training.checkpoint_minutes
        if minutes is not None and time.monotonic() - self._last_state >= 60 * minutes:
            self._save_state()

    def _with_sentences(self, error: DivergedError) -> TaggerError:
        """Return the error with details: the model that was kept, and the sentences of the batch."""
        rows = self._prepared.training_set.order(self._at.epoch)[error.step]
        named = [f"in this batch: {self._prepared.names.of(i)}" for i in rows[:_MOST_NAMED]]
        more = [f"and {len(rows) - _MOST_NAMED} more"] if len(rows) > _MOST_NAMED else []
        best = self._at.best
        kept = f"the model of epoch {best.epoch} is in {self._model_dir}" if best else "no model was written"
        last = f"to start over with other settings, delete {self._checkpoints.directory}: it holds the last good state"
        return TaggerError(error.message, detail=[kept, *([last] if self._at.history else []), *named, *more])

    def _evaluate_dev(self) -> Evaluation | None:
        dev = self._prepared.dev
        if dev is None:
            return None
        tags: list[list[str]] = []
        for start in range(0, len(dev), _AT_ONCE):
            self._stop_if_asked()
            some = dev.sentences[start : start + _AT_ONCE]
            tagged = self._predictor.tag(
                [sentence.tokens for sentence in some],
                [sentence.features for sentence in some],
                probabilities=False,
            )
            tags += (sentence.tags for sentence in tagged)
        self._stop_if_asked()
        return self._parts.evaluate(dev.tags, tags, self._prepared.manifest.notation.scheme, dev.notation.scheme)

    def _stop_if_asked(self) -> None:
        # Several workers stop only at the points where all of them check.
        if len(self._replicas.task.workers) == 1 and self._should_stop():
            raise Stopped

    def _save_state(self, *, finished: bool = False) -> None:
        if not self._is_chief:
            return
        epochs = self._config.training.epochs
        state = self._at.to_state(
            self._fingerprint, self._trainer, n_rows=self._n_rows, epochs=epochs, finished=finished
        )
        self._checkpoints.save(state, n_kept=1 if finished else 2)
        self._last_state = time.monotonic()

    def _save_model(self, best: EpochResult, *, check: Callable[[Path], None] = lambda directory: None) -> None:
        if not self._is_chief:
            return
        manifest = dataclasses.replace(self._prepared.manifest, dev=dev_scores(best))
        model = dataclasses.replace(self._model(self._at.best_weights), manifest=manifest)
        save_model(
            model,
            graph=self._parts.model_graph(model),
            config=dump_config(_as_used(self._config, manifest, self._model_dir)),
            history=format_history(self._at.history),
            check=check,
        )
        self._n_in_model = len(self._at.history)

    def _check(self, directory: Path) -> None:
        """Compare the saved model with the network as it stands now."""
        saved, trained = load_predictor(directory, threads=1), self._predictor
        if self._reference is not None:
            trained = Predictor(self._model(self._reference(self._at.best_weights)))
        self._parts.check_equal(saved, trained, self._prepared.check_sentences)

    def _model(self, network: N) -> Model[N]:
        prepared = self._prepared
        return Model(self._model_dir, prepared.manifest, prepared.encoder, prepared.tags, network)


def _as_used(config: Config, manifest: Manifest, directory: Path) -> Config:
    """Return the config as the model directory stores it: paths relative to it, and the size of the vectors."""

    def relative(path: str | float | None) -> str | float | None:
        # realpath: a reader of the file follows links too.
        return os.path.relpath(path, os.path.realpath(directory)) if isinstance(path, str) else path

    data = config.data.model_copy(update={key: relative(getattr(config.data, key)) for key in ("train", "dev", "test")})
    layout = manifest.layout
    found = {"columns": dict(layout.columns), "tag_key": layout.tag_key, "ragged": layout.ragged}
    data = data.model_copy(update={**found, "delimiter": layout.delimiter})
    changed = {
        "data": data,
        "embeddings": config.embeddings.model_copy(update={"path": relative(config.embeddings.path)}),
        "model": config.model.model_copy(update={"embedding_dim": manifest.network.embedding_dim}),
        "output": config.output.model_copy(update={"model_dir": "."}),
    }
    return config.model_copy(update=changed)


def train(
    config: Config,
    listener: Listener,
    *,
    device: str = "auto",
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    parts: Parts | None = None,
) -> Outcome:
    """Train a model and write its directory: at each new best epoch, and at the end with the whole history.

    Args:
        resume: continue an interrupted training, bit for bit; start one if there is nothing to continue.
        parts: replacements for the usual parts.

    Raises:
        TaggerError: the data, the device or the place for the model is unusable, training diverged, or the training to
            resume had other settings or data.
    """
    parts, task, model_dir = parts or Parts(), read_task(), Path(str(config.output.model_dir))
    checkpoints, state = parts.checkpoints(model_dir), None
    with contextlib.ExitStack() as stack:
        if task.is_chief:
            check_place(model_dir)
            stack.enter_context(checkpoints.lock())
            state = state_to_begin_with(checkpoints, resume=resume, warn=listener.warn)
            if resume and state is None:
                listener.note(f"found no state to continue in {checkpoints.directory}; starting a new training")
        threads = config.training.threads
        if state is not None:
            config, threads = with_threads_of(state, config, listener.warn), state.record["threads"]
        chosen = parts.choose_device(device, threads=threads)
        make_deterministic()
        prepared = prepare(config, note=listener.note, warn=listener.warn)
        if not chosen.n_gpus:  # a GPU reports by itself when its memory is full
            check_memory(config.training, prepared, parts.available_memory())
        if len(task.workers) > 1:
            names = ", ".join(task.workers)
            listener.note(f"worker {task.index} of {len(task.workers)}: {names}; waiting for all of them")
            if not meet(task.workers, task.index, should_stop):
                return Outcome(model_dir if task.is_chief else None, [], None, stopped=True)
        stack.enter_context(device_errors_explained(chosen, n_workers=len(task.workers)))
        replicas = connect(task, chosen.n_gpus)
        fingerprint = fingerprint_of(config, prepared, chosen)
        if not replicas.are_same(checksum_of(fingerprint)):
            raise DeviceError(
                f"TF_CONFIG: worker {task.index} and another have different training data or settings, expected the"
                " same; give all of them the same files, config and --set"
            )
        if len(task.workers) > 1:
            content = replicas.from_chief(state.to_bytes() if state is not None else b"")
            state = State.from_bytes(content) if content else None
        trainer, reference = _trainer(config, prepared, chosen, replicas, listener, parts)
        run = Run(
            config, prepared, trainer, replicas, listener, should_stop,
            fingerprint=fingerprint, checkpoints=checkpoints, reference=reference, parts=parts,
        )  # fmt: skip
        if state is not None:
            ended = _continue(run, state, fingerprint, checkpoints, listener)
            if ended is not None:
                return ended
            state = None  # frees its arrays, which take as much memory as the trainer's
        elif task.is_chief:
            checkpoints.discard()
        return run.run()


def _continue(
    run: Run, state: State, fingerprint: Mapping[str, Any], checkpoints: Checkpoints, listener: Listener
) -> Outcome | None:
    """Continue from a state; return how the training ended if it was finished before."""
    for text in check_same(state.record, fingerprint, str(checkpoints.directory)):
        listener.warn(f"--resume: {text}; the result may differ in its last bits")
    try:
        ended = run.continue_from(state)
    except (ValueError, TypeError, LookupError) as error:  # such as a state of mixed precision on a CPU
        raise ConfigError(
            f"--resume: the state in {checkpoints.directory} does not belong to this network or device: {error};"
            " continue where it was saved, or delete that directory and give the same command again"
        ) from None
    if ended is None:
        listener.note(
            f"continuing in epoch {state.record['epoch'] + 1}, after {state.record['progress']['steps']} steps of it"
        )
    elif ended.model_dir is not None:
        try:
            load_predictor(ended.model_dir)
        except ModelError as error:
            raise ModelError(
                f"{ended.model_dir}: found no complete model, expected the model of a finished training; delete"
                f" {checkpoints.directory} and give the same command again to start over",
                detail=[error.message],
            ) from None
        listener.note("this training is already finished; there is nothing left to do")
    return ended


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
        trainer = Trainer(network, config.training, replicas, frozen=frozen, embedding_dtype=config.embeddings.dtype)
    branches = "both branches" if config.model.direction == "both" else f"the {config.model.direction} branch"
    listener.note(
        f"device: {chosen.name}; kernel of {branches}: {chosen.kernel.value}{', float16' if mixed_precision else ''}"
    )
    if replicas.n > 1:
        listener.note(
            f"{replicas.n} replicas; each batch of {config.training.batch_size} sentences is divided among them"
        )
    sizes = prepared.encoder.sizes(len(prepared.tags))
    listener.note(f"network: {sizes.n_tokens} token ids, {sizes.n_tags} tags, {network.count_params()} weights")
    if not chosen.n_gpus:
        return trainer, None

    def reference(weights: Mapping[str, npt.NDArray[np.float32]]) -> NetworkLogits:
        with on_cpu():
            copy = parts.build_network(prepared, Device("CPU", Kernel.BLOCK))
            copy.assign_weights(weights)
            return NetworkLogits(copy, device=CPU)

    return trainer, reference
