"""The epochs of one training: what is scored, what is saved of them, and how an interrupted one goes on."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from tagger.config import Config, dump_config
from tagger.errors import TaggerError
from tagger.evaluation.scores import Evaluation, evaluate
from tagger.network.distribution import Replicas
from tagger.network.epochs import DivergedError, Progress, Stopped
from tagger.network.export import model_graph
from tagger.network.export_check import check_equal
from tagger.network.history import EpochResult, dev_scores, format_history
from tagger.network.inference import Scorer
from tagger.network.preparation import Prepared
from tagger.network.training import Trainer
from tagger.runtime.checkpoints import Checkpoints, State
from tagger.runtime.engine import load_predictor
from tagger.runtime.manifest import Manifest
from tagger.runtime.model_dir import Model
from tagger.runtime.model_saving import save_model
from tagger.runtime.predictor import Predictor

N = TypeVar("N")
_MOST_NAMED = 10  # sentences in an error
NO_MODEL = "stopped before the first epoch was done: no model was written"
_AT_ONCE = 1024  # sentences of dev between two looks whether to stop


class Listener(Protocol):
    """Is told the facts of a training; what it shows or logs is its own business."""

    def note(self, text: str) -> None:
        """Something was found or decided."""

    def warn(self, text: str) -> None:
        """Something is odd but no error."""

    def start_epoch(self, epoch: int, epochs: int, n_tokens: int) -> None:
        """An epoch (from 1) begins, or goes on, with `n_tokens` still to come."""

    def step(self, n_tokens: int) -> None:
        """A step over `n_tokens` is done."""

    def end_epoch(self, result: EpochResult) -> None:
        """An epoch is done and scored."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a training ended: its epochs, the best of them (None: not one was finished), whether it was stopped.

    `model_dir` is None on a worker that is not the chief: it writes nothing.
    """

    model_dir: Path | None
    history: list[EpochResult]
    best: EpochResult | None
    stopped: bool

    def summary(self) -> list[str]:
        """What to tell of it."""
        if self.best is None:
            return [NO_MODEL]
        if self.model_dir is None:
            return ["the model is written by the chief worker"]
        score = self.best.dev_score
        why = "the last" if score is None else f"dev {100 * score:.2f}"
        return [f"model of epoch {self.best.epoch} ({why}) is in {os.path.relpath(self.model_dir)}"]


class Run:
    """One training.

    Args:
        facts: of its settings and data, for its states.
        checkpoints: where its states go.
        reference: makes the network, with given weights, as the CPU computes it in float32, where it is trained on a
            GPU, which rounds to fewer digits than the check of a saved model allows; None on a CPU.
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
        facts: Mapping[str, Any],
        checkpoints: Checkpoints,
        reference: Callable[[Mapping[str, npt.NDArray[np.float32]]], Scorer] | None = None,
    ) -> None:
        self._config, self._prepared, self._listener = config, prepared, listener
        self._model_dir, self._should_stop = Path(str(config.output.model_dir)), should_stop
        self._trainer, self._replicas, self._facts, self._checkpoints = trainer, replicas, facts, checkpoints
        self._reference = reference
        # A call of TensorFlow costs more than one of ONNX Runtime, and spreads over the cores by itself.
        self._predictor = Predictor(self._model(Scorer(trainer.network)), batch_tokens=8192)
        self._is_chief = replicas.task.is_chief
        self._history: list[EpochResult] = []
        self._best: EpochResult | None = None
        self._best_weights = trainer.network.weights_as_arrays()
        self._epoch, self._progress, self._last_state = 0, Progress(), time.monotonic()
        self._n_in_model: int | None = None  # epochs in the history that the model directory has, as far as we know

    def run(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        stopped = False
        try:
            while not self._is_done():
                self._train_epoch()
                # All workers go on, or none.
                if self._replicas.any(self._should_stop()):
                    raise Stopped
        except Stopped:
            stopped = True
        if self._best is not None and self._n_in_model != len(self._history):
            # Once more: for the history after the best epoch, or because whoever was interrupted left another model.
            self._save_model(self._best)
        self._save_state(finished=not stopped)
        return self._outcome(stopped=stopped)

    def go_on_from(self, state: State) -> Outcome | None:
        """Take up a state; returns how the training ended if it is of the end.

        Raises:
            ValueError, TypeError, LookupError: it is of another network, or of another form.
        """
        facts = state.facts
        self._history = [EpochResult.from_json(values) for values in facts["history"]]
        self._best = self._history[facts["best"]] if facts["best"] is not None else None
        if facts["finished"]:
            return self._outcome(stopped=False)
        self._trainer.restore(_part_of(state.arrays, "trainer."))
        best, n_rows = _part_of(state.arrays, "best."), self._prepared.training_set.n_rows
        if set(best) != set(self._best_weights):
            raise ValueError(f"found other weights: {sorted(set(best) ^ set(self._best_weights))[:4]}")
        for name, weights in self._best_weights.items():
            place = weights[:n_rows] if name == "embedding" else weights
            if (best[name].dtype, best[name].shape) != (place.dtype, place.shape):
                raise ValueError(f"{name}: found {best[name].dtype} {best[name].shape}, expected {place.shape}")
            place[...] = best[name]
        self._epoch, self._progress = facts["epoch"], Progress(**facts["progress"])
        at = self._epoch, self._progress.steps, self._progress.tokens
        if not all(type(number) is int and number >= 0 for number in at):
            raise ValueError(f"found epoch, steps and tokens {at}, expected whole numbers")
        return None

    def _outcome(self, *, stopped: bool) -> Outcome:
        return Outcome(self._model_dir if self._is_chief else None, self._history, self._best, stopped)

    def _is_done(self) -> bool:
        # The chief's scores decide for all workers.
        return self._epoch >= self._config.training.epochs or self._replicas.any(
            self._is_chief and self._is_out_of_patience()
        )

    def _is_out_of_patience(self) -> bool:
        patience = self._config.training.patience
        if patience is None or self._best is None or not self._best.dev_score:
            return False  # with rare entities the first epochs find none at all: they are no reason to give up
        return len(self._history) - self._best.epoch >= patience

    def _train_epoch(self) -> None:
        training_set, progress = self._prepared.training_set, self._progress
        n_tokens = int(training_set.lengths.sum()) - progress.tokens
        self._listener.start_epoch(self._epoch + 1, self._config.training.epochs, n_tokens)
        try:
            loss = self._trainer.train_epoch(
                training_set.batches(self._epoch, progress.steps),
                self._epoch,
                progress,
                on_step=self._after_step,
                should_stop=self._should_stop,
            )
        except DivergedError as error:
            raise self._with_sentences(error) from None
        with self._trainer.saved_weights():
            dev = self._evaluate_dev()
            result = EpochResult(self._epoch + 1, loss, dev, best=True)
            if not result.beats(self._best):
                result = dataclasses.replace(result, best=False)
            self._history.append(result)
            if result.best:
                self._best, self._best_weights = result, self._trainer.network.weights_as_arrays()
                self._save_model(result, check=self._check)
        self._epoch, self._progress = self._epoch + 1, Progress()
        self._save_state()
        self._listener.end_epoch(result)

    def _after_step(self, n_tokens: int) -> None:
        self._listener.step(n_tokens)
        minutes = self._config.training.checkpoint_minutes
        if minutes is not None and time.monotonic() - self._last_state >= 60 * minutes:
            self._save_state()

    def _with_sentences(self, error: DivergedError) -> TaggerError:
        """The error with the sentences of its batch, and what is left."""
        rows = self._prepared.training_set.order(self._epoch)[error.step]
        named = [f"in this batch: {self._prepared.names.of(i)}" for i in rows[:_MOST_NAMED]]
        more = [f"and {len(rows) - _MOST_NAMED} more"] if len(rows) > _MOST_NAMED else []
        kept = (
            f"the model of epoch {self._best.epoch} is in {self._model_dir}" if self._best else "no model was written"
        )
        last = f"to begin anew with other settings, delete {self._checkpoints.directory}: it holds the last good state"
        return TaggerError(error.message, detail=[kept, *([last] if self._history else []), *named, *more])

    def _evaluate_dev(self) -> Evaluation | None:
        dev = self._prepared.dev
        if dev is None:
            return None
        tags: list[list[str]] = []
        for start in range(0, len(dev), _AT_ONCE):
            self._stop_if_asked()
            some = dev.sentences[start : start + _AT_ONCE]
            tagged = self._predictor.tag(
                [sentence.tokens for sentence in some], [sentence.features for sentence in some], scores=False
            )
            tags += (sentence.tags for sentence in tagged)
        self._stop_if_asked()
        return evaluate(dev.tags, tags, self._prepared.manifest.notation.scheme)

    def _stop_if_asked(self) -> None:
        # Several workers stop only where all of them look.
        if len(self._replicas.task.workers) == 1 and self._should_stop():
            raise Stopped

    def _save_state(self, *, finished: bool = False) -> None:
        if not self._is_chief:
            return
        facts = {
            **self._facts,
            "history": [result.to_json() for result in self._history],
            "best": self._history.index(self._best) if self._best is not None else None,
            "epoch": self._epoch,
            "at": f"in epoch {min(self._epoch + 1, self._config.training.epochs)}",
            "progress": dataclasses.asdict(self._progress),
            "finished": finished,
        }
        arrays: dict[str, npt.NDArray[Any]] = {}
        if not finished:
            self._trainer.check_weights(self._epoch, self._progress)  # a state must be one that can go on
            n_rows = self._prepared.training_set.n_rows
            arrays = {f"trainer.{name}": array for name, array in self._trainer.state(n_rows).items()}
            arrays |= {f"best.{name}": array for name, array in self._best_weights.items()}
            arrays["best.embedding"] = arrays["best.embedding"][:n_rows]
        self._checkpoints.save(State(facts, arrays), n_kept=1 if finished else 2)
        self._last_state = time.monotonic()

    def _save_model(self, best: EpochResult, *, check: Callable[[Path], None] = lambda directory: None) -> None:
        if not self._is_chief:
            return
        manifest = dataclasses.replace(self._prepared.manifest, dev=dev_scores(best))
        model = dataclasses.replace(self._model(self._best_weights), manifest=manifest)
        save_model(
            model,
            graph=model_graph(model),
            config=dump_config(_as_used(self._config, manifest, self._model_dir)),
            history=format_history(self._history),
            check=check,
        )
        self._n_in_model = len(self._history)

    def _check(self, directory: Path) -> None:
        """Whether the saved model is the network as it stands now."""
        saved, trained = load_predictor(directory, threads=1), self._predictor
        if self._reference is not None:
            trained = Predictor(self._model(self._reference(self._best_weights)))
        check_equal(saved, trained, self._prepared.check_sentences)

    def _model(self, network: N) -> Model[N]:
        prepared = self._prepared
        return Model(self._model_dir, prepared.manifest, prepared.encoder, prepared.tags, network)


def _part_of(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


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
