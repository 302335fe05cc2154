"""One training, from a config to a model directory."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import tensorflow as tf

from tagger.config import Config, dump_config
from tagger.errors import DeviceError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.network.devices import Device, choose_device, out_of_memory_explained
from tagger.network.distribution import Replicas, connect, read_task, workers_explained
from tagger.network.export import model_graph
from tagger.network.export_check import check_equal
from tagger.network.inference import Scorer
from tagger.network.lstm import Kernel
from tagger.network.model import TwoBranchTagger, build_network
from tagger.network.preparation import Prepared, prepare
from tagger.network.rendezvous import meet
from tagger.network.training import EpochLoss, Stopped, Trainer
from tagger.runtime.engine import load_predictor
from tagger.runtime.manifest import Manifest
from tagger.runtime.model_dir import Model
from tagger.runtime.model_saving import check_place, save_model
from tagger.runtime.predictor import Predictor

N = TypeVar("N")


@dataclasses.dataclass(frozen=True)
class EpochResult:
    """One epoch (from 1): how training went, and how the network scores on the dev set, if there is one."""

    epoch: int
    train: EpochLoss
    dev: Evaluation | None
    best: bool

    @property
    def dev_score(self) -> float | None:
        """What decides which epoch is best; without a dev set the last one is."""
        return None if self.dev is None else score_of(self.dev)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a training ended: its epochs, the best of them (None: not one was finished), whether it was stopped.

    `model_dir` is None on a worker that is not the chief: it writes nothing.
    """

    model_dir: Path | None
    history: list[EpochResult]
    best: EpochResult | None
    stopped: bool


class Listener(Protocol):
    """Is told the facts of a training; what it shows or logs is its own business."""

    def note(self, text: str) -> None:
        """Something was found or decided."""

    def warn(self, text: str) -> None:
        """Something is odd but no error."""

    def start_epoch(self, epoch: int, epochs: int, n_tokens: int) -> None:
        """An epoch (from 1) over `n_tokens` begins."""

    def step(self, n_tokens: int) -> None:
        """A step over `n_tokens` is done."""

    def end_epoch(self, result: EpochResult) -> None:
        """An epoch is done and scored."""


def train(
    config: Config,
    listener: Listener,
    *,
    device: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a model and write its directory: at each new best epoch, and at the end with the whole history.

    Raises:
        TaggerError: the data, the device or the place for the model is unusable, or training diverged.
    """
    task = read_task()
    if task.is_chief:
        check_place(Path(str(config.output.model_dir)))
    chosen = choose_device(device, threads=config.training.threads)
    tf.config.experimental.enable_op_determinism()
    prepared = prepare(config, note=listener.note, warn=listener.warn)
    if len(task.workers) > 1:
        listener.note(f"worker {task.index} of {len(task.workers)}: {', '.join(task.workers)}; waiting for all of them")
        if not meet(task.workers, task.index, should_stop):
            return Outcome(Path(str(config.output.model_dir)) if task.is_chief else None, [], None, stopped=True)
    with out_of_memory_explained(), workers_explained(task):
        replicas = connect(task, chosen.n_gpus)
        if not replicas.are_same(_fingerprint(config, prepared)):
            raise DeviceError(
                f"TF_CONFIG: worker {task.index} and another have different training data or settings, expected the"
                " same; give all of them the same files, config and --set"
            )
        return _train(config, prepared, chosen, replicas, listener, should_stop)


def _train(
    config: Config,
    prepared: Prepared,
    chosen: Device,
    replicas: Replicas,
    listener: Listener,
    should_stop: Callable[[], bool],
) -> Outcome:
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
    return _Run(config, prepared, trainer, chosen, replicas, listener, should_stop).run()


def initial_network(prepared: Prepared, device: Device, *, mixed_precision: bool = False) -> TwoBranchTagger:
    """The network with its initial weights, pretrained vectors among them."""
    network = build_network(
        prepared.manifest, prepared.encoder, prepared.tags, kernel=device.kernel, mixed_precision=mixed_precision
    )
    if prepared.vectors is not None:
        prepared.vectors.put_into(network.embedding)
    return network


def _fingerprint(config: Config, prepared: Prepared) -> int:
    """A number of what all workers must have in common: the training data, and all settings but paths and threads."""
    training = config.training.model_copy(update={"threads": None})
    encoder = prepared.encoder
    vocabularies = encoder.tokens, encoder.characters, encoder.features, prepared.tags
    embeddings = config.embeddings.model_copy(update={"path": None})
    settings = config.vocabulary, embeddings, config.model, training, vocabularies
    digest = hashlib.sha256(repr(settings).encode("utf-8", "surrogatepass"))
    data = prepared.training_set
    lengths = np.array([len(ids) for ids in data.sentences])
    for array in (lengths, *data.sentences, *data.tag_ids):
        digest.update(array.tobytes())
    return int.from_bytes(digest.digest()[:4], "big")


class _Run:
    """The epochs of one training, and what is saved of them."""

    def __init__(
        self,
        config: Config,
        prepared: Prepared,
        trainer: Trainer,
        device: Device,
        replicas: Replicas,
        listener: Listener,
        should_stop: Callable[[], bool],
    ) -> None:
        self._config, self._prepared, self._listener, self._device = config, prepared, listener, device
        self._model_dir, self._should_stop = Path(str(config.output.model_dir)), should_stop
        self._trainer, self._replicas = trainer, replicas
        # A call of TensorFlow costs more than one of ONNX Runtime, and spreads over the cores by itself.
        self._predictor = Predictor(self._model(Scorer(trainer.network)), batch_tokens=8192)
        self._is_chief = replicas.task.is_chief
        self._history: list[EpochResult] = []
        self._best: EpochResult | None = None
        self._best_weights = trainer.network.weights_as_arrays()

    def run(self) -> Outcome:
        stopped = False
        try:
            for epoch in range(self._config.training.epochs):
                self._epoch(epoch)
                # All workers go on, or none: the chief's scores decide.
                stopped = self._replicas.any(self._should_stop())
                if stopped or self._replicas.any(self._is_chief and self._out_of_patience()):
                    break
        except Stopped:
            stopped = True
        if self._best is not None and self._best is not self._history[-1]:
            self._save(self._best)  # once more, for the history after the best epoch
        return Outcome(self._model_dir if self._is_chief else None, self._history, self._best, stopped)

    def _epoch(self, epoch: int) -> None:
        training_set, training = self._prepared.training_set, self._config.training
        n_tokens = sum(map(len, training_set.sentences))
        self._listener.start_epoch(epoch + 1, training.epochs, n_tokens)
        loss = self._trainer.train_epoch(
            training_set.batches(epoch), epoch, on_step=self._listener.step, should_stop=self._should_stop
        )
        with self._trainer.saved_weights():
            self._score(epoch, loss)

    def _score(self, epoch: int, loss: EpochLoss) -> None:
        dev = self._evaluate_dev()
        last_best = self._best.dev if self._best else None
        best = dev is None or last_best is None or _rank(dev) > _rank(last_best)
        result = EpochResult(epoch + 1, loss, dev, best)
        self._history.append(result)
        if best:
            self._best, self._best_weights = result, self._trainer.network.weights_as_arrays()
            self._save(result)
        self._listener.end_epoch(result)

    def _evaluate_dev(self) -> Evaluation | None:
        dev = self._prepared.dev
        if dev is None:
            return None
        tagged = self._predictor.tag(
            [sentence.tokens for sentence in dev.sentences],
            [sentence.features for sentence in dev.sentences],
            scores=False,
        )
        return evaluate(dev.tags, [sentence.tags for sentence in tagged], self._prepared.manifest.notation.scheme)

    def _out_of_patience(self) -> bool:
        patience = self._config.training.patience
        if patience is None or self._best is None or not self._best.dev_score:
            return False  # with rare entities the first epochs find none at all: they are no reason to give up
        return len(self._history) - self._best.epoch >= patience

    def _save(self, best: EpochResult) -> None:
        if not self._is_chief:
            return
        manifest = dataclasses.replace(self._prepared.manifest, dev=_dev_scores(best))
        model = dataclasses.replace(self._model(self._best_weights), manifest=manifest)
        save_model(
            model,
            graph=model_graph(model),
            config=dump_config(_as_used(self._config, manifest, self._model_dir)),
            history=format_history(self._history),
            check=self._check if best is self._history[-1] else lambda directory: None,
        )

    def _check(self, directory: Path) -> None:
        """Whether the saved model is the network as it stands now."""
        saved = load_predictor(directory, threads=1)
        check_equal(saved, self._reference(), self._prepared.check_sentences)

    def _reference(self) -> Predictor:
        """The network as the CPU computes it, in float32: a GPU rounds to fewer digits than the check allows."""
        if not self._device.n_gpus:
            return self._predictor
        with tf.device("CPU:0"):
            network = initial_network(self._prepared, Device("CPU", Kernel.BLOCK))
            network.assign_weights(self._best_weights)
        return Predictor(self._model(Scorer(network, device="CPU:0")))

    def _model(self, network: N) -> Model[N]:
        prepared = self._prepared
        return Model(self._model_dir, prepared.manifest, prepared.encoder, prepared.tags, network)


def score_of(dev: Evaluation) -> float:
    """F1, or accuracy where F1 cannot tell: plain tags, or a dev set without spans."""
    return dev.overall.f1 if dev.overall and dev.overall.support else dev.accuracy


def _rank(dev: Evaluation) -> tuple[float, float]:
    # Accuracy breaks ties, such as between the first epochs of a network that finds no span yet.
    return score_of(dev), dev.accuracy


def _dev_scores(result: EpochResult) -> dict[str, float]:
    if result.dev is None:
        return {"epoch": result.epoch}
    overall = result.dev.overall
    spans = {"precision": overall.precision, "recall": overall.recall, "f1": overall.f1} if overall else {}
    return {"epoch": result.epoch, "accuracy": result.dev.accuracy, **spans}


def format_history(history: Sequence[EpochResult]) -> str:
    """`history.csv`; plain tags have `dev_accuracy` in the place of `dev_f1`, empty without a dev set."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    score = "dev_f1" if all(result.dev is None or result.dev.overall for result in history) else "dev_accuracy"
    writer.writerow(["epoch", "train_loss", score, "seconds", "tokens_per_second"])
    for result in history:
        speed = f"{result.train.seconds:.2f}", f"{result.train.tokens_per_second:.0f}"
        dev_score = "" if result.dev_score is None else f"{result.dev_score:.6f}"
        writer.writerow([result.epoch, f"{result.train.loss:.6f}", dev_score, *speed])
    return out.getvalue()


def _as_used(config: Config, manifest: Manifest, directory: Path) -> Config:
    """The config as the model directory stores it: paths relative to it, and the vectors' size."""

    def relative(path: str | float | None) -> str | float | None:
        # realpath: whoever reads the file follows links too.
        return os.path.relpath(path, os.path.realpath(directory)) if isinstance(path, str) else path

    data = config.data.model_copy(update={key: relative(getattr(config.data, key)) for key in ("train", "dev", "test")})
    changed = {
        "data": data,
        "embeddings": config.embeddings.model_copy(update={"path": relative(config.embeddings.path)}),
        "model": config.model.model_copy(update={"embedding_dim": manifest.network["embedding_dim"]}),
        "output": config.output.model_copy(update={"model_dir": "."}),
    }
    return config.model_copy(update=changed)
