"""One training, from a config to a model directory."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tagger.atomic import directory_beside
from tagger.config import Config, dump_config
from tagger.errors import ConfigError, DeviceError, ModelError, TaggerError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.inputs.encoder import Columns
from tagger.inputs.vocabulary import Ids
from tagger.machine import available_memory
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import Model, Weights, model_files
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
from tagger.network.trainer import MOST_LOSS, DivergedError, Progress, Stopped, Trainer
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import Predictor
from tagger.training.checkpoints import Checkpoints, State
from tagger.training.history import EpochResult, Listener, Outcome, dev_scores, format_history, last_progress
from tagger.training.preparation import Prepared, check_memory, prepare, relative_to, well_formed
from tagger.training.replacing import Place, Replacing
from tagger.training.resume import (
    Position,
    check_same,
    checksum_of,
    fingerprint_of,
    state_to_begin_with,
    with_epochs_of,
    with_threads_of,
)
from tagger.training.schedule import Schedule

N = TypeVar("N")
_MOST_NAMED = 10  # sentences that an error names
_AT_ONCE = 1024  # sentences of dev that are tagged before the next check whether to stop


def initial_network(prepared: Prepared, device: Device, *, mixed_precision: bool = False) -> TwoBranchTagger:
    """Build the network with its initial weights, pretrained vectors among them."""
    network = build_network(
        prepared.manifest, prepared.encoder, prepared.tags, kernel=device.kernel, mixed_precision=mixed_precision
    )
    if prepared.vectors is not None:
        network.set_embedding_rows(prepared.vectors.blocks())
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
        place: the place for its model.
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
        place: Place | None = None,
        reference: Callable[[Mapping[str, npt.NDArray[np.float32]]], NetworkLogits] | None = None,
        parts: Parts | None = None,
    ) -> None:
        self._config, self._prepared, self._listener = config, prepared, listener
        self._model_dir, self._should_stop = Path(str(config.output.model_dir)), should_stop
        self._trainer, self._replicas = trainer, replicas
        self._fingerprint, self._checkpoints = fingerprint, checkpoints
        self._reference, self._parts = reference, parts or Parts()
        self._place = place or Place(self._model_dir)
        self._origin = self._place.origin(config, fingerprint["data"].get("data.dev"))
        self._previous: Path | None = None  # the place of the model that was replaced
        # A call of TensorFlow costs more than one of ONNX Runtime, and spreads over the cores by itself.
        self._predictor = Predictor(self._model(NetworkLogits(trainer.network)), batch_tokens=8192)
        self._is_chief = replicas.task.is_chief
        self._n_rows = prepared.training_set.n_rows
        self._dev_tags = _known_tags(prepared)
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
        best = self._at.best
        if best is not None and (not stopped or self._place.would_improve(dev_scores(best), self._origin)):
            self._save_last_model(best)
        self._save_state(finished=not stopped)
        return self._outcome(stopped=stopped)

    def continue_from(self, state: State) -> Outcome | None:
        """Continue from a state; return how the training ended if the state is that of a finished one.

        Raises:
            ValueError, TypeError, LookupError: the state belongs to another network, or has another form.
        """
        self._at.restore(state, self._trainer, n_rows=self._n_rows)
        if not state.record["finished"]:
            return None
        if self._is_done():
            return self._outcome(stopped=False)
        self._place.extend()
        return None

    def patience_lost(self) -> str | None:
        """Return why more epochs would not make the training longer; None if they would."""
        if not self._has_lost_patience():
            return None
        patience = self._prepared.schedule.patience
        return (
            f"training.patience: found {patience}, which ended the training in epoch {self._at.epoch}, expected more:"
            " more epochs do not make it longer; raise training.patience"
        )

    def _outcome(self, *, stopped: bool) -> Outcome:
        rising = not stopped and self._is_still_rising()
        return Outcome(
            self._model_dir if self._is_chief else None,
            self._at.history,
            self._at.best,
            stopped,
            still_rising=rising,
            not_replaced=stopped and self._place.replaced is not None,
            previous=self._previous,
        )

    def _is_done(self) -> bool:
        # The scores of the chief decide for all workers.
        return self._at.epoch >= self._prepared.schedule.epochs or self._replicas.any(
            self._is_chief and self._has_lost_patience()
        )

    def _has_lost_patience(self) -> bool:
        patience, history = self._prepared.schedule.patience, self._at.history
        if patience is None or self._prepared.dev is None:
            return False
        return len(history) - last_progress(history) >= patience

    def _is_still_rising(self) -> bool:
        best, history = self._at.best, self._at.history
        if best is None or best.dev_score in (None, 1.0) or self._has_lost_patience():
            return False
        return last_progress(history) >= self._prepared.schedule.epochs - 1

    def _train_epoch(self) -> None:
        training_set, at = self._prepared.training_set, self._at
        n_tokens = int(training_set.lengths.sum()) - at.progress.tokens
        self._listener.start_epoch(at.epoch + 1, self._prepared.schedule.epochs, n_tokens)
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
            dev, dev_loss = self._evaluate_dev()
            if dev_loss is not None:
                self._check_loss(dev_loss)
            result = EpochResult(at.epoch + 1, loss, dev, best=True, dev_loss=dev_loss)
            if not result.beats(at.best):
                result = dataclasses.replace(result, best=False)
            at.history.append(result)
            if result.best:
                at.best, at.best_weights = result, self._trainer.network.weights_as_arrays()
                self._save_best(result)
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
        if self._place.replaced is not None:
            kept = f"the model in {self._model_dir} is still the one from before this training"
        last = f"to start over with other settings, delete {self._checkpoints.directory}: it holds the last good state"
        return TaggerError(error.message, detail=[kept, *([last] if self._at.history else []), *named, *more])

    def _check_loss(self, dev_loss: float) -> None:
        """Raise TaggerError if the last step of an epoch broke the network, which its training loss cannot show."""
        if not dev_loss <= MOST_LOSS:
            found = f"a loss of {dev_loss:.3g} per token on dev"
            error = DivergedError(self._at.epoch, found, self._at.progress.steps - 1)
            raise self._with_sentences(error)

    def _evaluate_dev(self) -> tuple[Evaluation | None, float | None]:
        """Return the scores and the loss on the dev set.

        The loss leaves out sentences with a tag that the training data do not have.
        """
        dev = self._prepared.dev
        if dev is None:
            return None, None
        tags, losses = list[list[str]](), list[float]()
        for start in range(0, len(dev), _AT_ONCE):
            self._stop_if_asked()
            some = dev.sentences[start : start + _AT_ONCE]
            tagged = self._predictor.tag(
                [sentence.tokens for sentence in some],
                [sentence.features for sentence in some],
                probabilities=False,
                gold=self._dev_tags[start : start + _AT_ONCE],
            )
            tags += (sentence.tags for sentence in tagged)
            losses += (sentence.loss for sentence in tagged)
        self._stop_if_asked()
        n_tokens = sum(len(ids) for ids in self._dev_tags if ids is not None)
        loss = math.fsum(losses) / n_tokens if n_tokens else None
        return self._parts.evaluate(dev.tags, tags, self._prepared.manifest.notation.scheme, dev.notation.scheme), loss

    def _stop_if_asked(self) -> None:
        # Several workers stop only at the points where all of them check.
        if len(self._replicas.task.workers) == 1 and self._should_stop():
            raise Stopped

    def _save_state(self, *, finished: bool = False) -> None:
        if not self._is_chief:
            return
        epochs = self._prepared.schedule.epochs
        state = self._at.to_state(
            {**self._fingerprint, **self._place.to_json()},
            self._trainer,
            n_rows=self._n_rows,
            epochs=epochs,
            finished=finished,
        )
        self._checkpoints.save(state, n_kept=1 if finished else 2)
        self._last_state = time.monotonic()

    def _save_last_model(self, best: EpochResult) -> None:
        """Save the best model once more unless the one in place is equal.

        It differs if there were epochs after the best one, or if an interrupted training left another model.
        """
        if self._n_in_model != len(self._at.history):
            self._save_model(best)

    def _save_best(self, best: EpochResult) -> None:
        """Check a new best model, and put it in place unless the model there is to stay until the training ends."""
        if not self._is_chief:
            return
        if self._place.replaced is None:
            self._save_model(best, check=self._check)
        else:
            with directory_beside(self._model_dir, self._files_of(best)) as directory:
                self._check(directory)

    def _save_model(self, best: EpochResult, *, check: Callable[[Path], None] = lambda directory: None) -> None:
        if not self._is_chief:
            return
        self._previous = self._place.publish(self._files_of(best), check=check)
        self._n_in_model = len(self._at.history)

    def _files_of(self, best: EpochResult) -> Mapping[str, bytes | memoryview]:
        manifest = dataclasses.replace(self._prepared.manifest, dev=dev_scores(best), origin=self._origin)
        model = dataclasses.replace(self._model(self._at.best_weights), manifest=manifest)
        return model_files(
            model,
            graph=self._parts.model_graph(model),
            config=dump_config(_as_used(self._config, self._prepared.schedule, manifest, self._model_dir)),
            history=format_history(self._at.history),
        )

    def _check(self, directory: Path) -> None:
        """Compare the saved model with the network as it stands now."""
        saved, trained = load_predictor(directory, threads=1), self._predictor
        if self._reference is not None:
            trained = Predictor(self._model(self._reference(self._at.best_weights)))
        self._parts.check_equal(saved, trained, self._prepared.check_sentences)

    def _model(self, network: N) -> Model[N]:
        prepared = self._prepared
        return Model(self._model_dir, prepared.manifest, prepared.encoder, prepared.tags, network)


def _known_tags(prepared: Prepared) -> list[Ids | None]:
    """Return the ids of the gold tags of each dev sentence; None if the training data lack one of its tags."""
    known, scheme = frozenset(prepared.tags.tags), prepared.manifest.scheme
    converted = (well_formed(tags, scheme) for tags in prepared.dev.tags) if prepared.dev is not None else ()
    return [prepared.tags.encode(tags) if known.issuperset(tags) else None for tags in converted]


def _as_used(config: Config, schedule: Schedule, manifest: Manifest, directory: Path) -> Config:
    """Return the config as the model directory stores it: with paths relative to it and the numbers that were used."""

    base = os.path.realpath(directory)  # a reader of the file follows links too
    files = {key: relative_to(base, getattr(config.data, key)) for key in ("train", "dev", "test")}
    layout = manifest.layout
    found = {"columns": dict(layout.columns), "tag_key": layout.tag_key, "ragged": layout.ragged}
    numbers = {"epochs": schedule.epochs, "batch_size": schedule.batch_size, "patience": schedule.patience}
    changed = {
        "data": config.data.model_copy(update={**files, **found, "delimiter": layout.delimiter}),
        "embeddings": config.embeddings.model_copy(update={"path": relative_to(base, config.embeddings.path)}),
        "model": config.model.model_copy(update={"embedding_dim": manifest.network.embedding_dim}),
        "training": config.training.model_copy(update=numbers),
        "output": config.output.model_copy(update={"model_dir": "."}),
    }
    return config.model_copy(update=changed)


def train(
    config: Config,
    listener: Listener,
    *,
    device: str = "auto",
    resume: bool = False,
    epochs_more: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    replacing: Replacing | None = None,
    parts: Parts | None = None,
) -> Outcome:
    """Train a model and write its directory: at each new best epoch, and at the end with the whole history.

    If the directory holds a finished model, it is written only at the end.

    Args:
        resume: continue an interrupted training, bit for bit; start one if there is nothing to continue.
        epochs_more: continue a finished training for this number of epochs, as if it had had them from the start.
        replacing: the rules for a model that is already there.
        parts: replacements for the usual parts.

    Raises:
        TaggerError: the data, the device or the place for the model is unusable, training diverged, or the training to
            resume had other settings or data.
    """
    parts, task, model_dir = parts or Parts(), read_task(), Path(str(config.output.model_dir))
    given, option = config, "--resume" if epochs_more is None else "--epochs-more"
    if epochs_more is not None and len(task.workers) > 1:
        raise ConfigError(
            "--epochs-more: found several workers in TF_CONFIG, expected one; raise training.epochs and pass --resume"
            " to all of them"
        )
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
                place.resume(state.record)
        threads = config.training.threads
        if state is not None:
            config, threads = with_threads_of(state, config, listener.warn, option), state.record["threads"]
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
        fingerprint = fingerprint_of(config, prepared, chosen, given)
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
            fingerprint=fingerprint, checkpoints=checkpoints, place=place, reference=reference, parts=parts,
        )  # fmt: skip
        if state is not None:
            ended = _continue(run, state, fingerprint, checkpoints, listener, option)
            if ended is not None:
                return ended
            state = None  # frees its arrays, which take as much memory as the trainer's
        elif task.is_chief:
            checkpoints.discard()
        return run.run()


def _continue(
    run: Run, state: State, fingerprint: Mapping[str, Any], checkpoints: Checkpoints, listener: Listener, option: str
) -> Outcome | None:
    """Continue from a state; return how the training ended if it was finished before."""
    for text in check_same(state.record, fingerprint, str(checkpoints.directory), option=option):
        listener.warn(f"{option}: {text}; the result may differ in its last bits")
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
    if ended.model_dir is not None and not _has_model(ended.model_dir, checkpoints, may_restore=bool(state.arrays)):
        listener.note(f"found no complete model in {ended.model_dir}; writing it again")
        return None
    listener.note("this training is already finished; there is nothing left to do")
    return ended


def _has_model(model_dir: Path, checkpoints: Checkpoints, *, may_restore: bool) -> bool:
    """Return whether the directory of a finished training has a model.

    Raises:
        ModelError: it has not, and the state has no weights to restore it from.
    """
    try:
        load_predictor(model_dir)
    except ModelError as error:
        if may_restore:
            return False
        raise ModelError(
            f"{model_dir}: found no complete model, expected the model of a finished training; delete"
            f" {checkpoints.directory} and give the same command again to start over",
            detail=[error.message],
        ) from None
    return True


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
            f"{replicas.n} replicas; each batch of {prepared.schedule.batch_size} sentences is divided among them"
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
