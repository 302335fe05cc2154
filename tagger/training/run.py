"""The epochs of one training: each is scored on dev, and the best one becomes the model."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tagger.atomic import directory_beside
from tagger.config.keys import Config
from tagger.config.loading import dump_config
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, split_tag
from tagger.errors import TaggerError
from tagger.evaluation.calibration import fit_calibration
from tagger.evaluation.errors import Confusion, commonest_confusions
from tagger.evaluation.quantization import QuantizationLoss
from tagger.evaluation.scores import Evaluation
from tagger.inputs.vocabulary import Ids
from tagger.model_dir.checkpoints import Checkpoints, State
from tagger.model_dir.manifest import Calibration, Manifest, Quantization
from tagger.model_dir.store import Model, model_files
from tagger.network.distributed import Replicas
from tagger.network.model import NetworkLogits
from tagger.network.summary import layers_of
from tagger.network.trainer import MOST_LOSS, DivergedError, Progress, Stopped, Trainer
from tagger.prediction.onnx_session import load_predictor
from tagger.prediction.predictor import Predictor
from tagger.prediction.stream import tag_stream
from tagger.training.corpora import well_formed
from tagger.training.facts import Beginning, EpochStart, Steps
from tagger.training.history import (
    EpochResult,
    Outcome,
    dev_scores,
    format_history,
    last_progress,
    patience_left,
)
from tagger.training.listener import Listener
from tagger.training.parts import Parts
from tagger.training.preparation import Prepared
from tagger.training.replacing import Place
from tagger.training.resume import Position
from tagger.training.stored_config import stored_config

N = TypeVar("N")
_MOST_NAMED = 10  # sentences that an error names
_AT_ONCE = 1024  # sentences of dev that are tagged before the next check whether to stop


class Run:
    """The epochs of one training.

    Args:
        fingerprint: the settings and data that its states store.
        checkpoints: the place for its states.
        place: the place for its model.
        reference: builds the network with the given weights for the CPU, in float32. It is needed after training on a
            GPU, whose rounding errors exceed the tolerance of the check of a saved model. On a CPU it is None.
        parts: the parts that score, export and check the network.
        given: the config of the user, if the values of an interrupted training have been added to it.
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
        given: Config | None = None,
    ) -> None:
        self._config, self._prepared, self._listener = config, prepared, listener
        self._model_dir, self._should_stop = Path(str(config.output.model_dir)), should_stop
        self._trainer, self._replicas = trainer, replicas
        self._fingerprint, self._checkpoints = fingerprint, checkpoints
        self._reference, self._parts, self._given = reference, parts or Parts(), given
        self._place = place or Place(self._model_dir)
        self._origin = self._place.origin(config, fingerprint["data"].get("data.dev"))
        if prepared.old is not None:
            self._origin["model before sha256"] = prepared.old.checksum
        if prepared.lesson is not None:
            self._origin["teachers sha256"] = "\n".join(prepared.lesson.teachers.checksums)
        if prepared.pretrained is not None and prepared.pretrained.checksum:
            self._origin["pretrained sha256"] = prepared.pretrained.checksum
        self._previous: Path | None = None  # the place of the model that was replaced
        # A call of TensorFlow costs more than one of ONNX Runtime, and spreads over the cores by itself.
        self._predictor = Predictor(self._model(NetworkLogits(trainer.network)), batch_tokens=8192)
        self._is_chief = replicas.task.is_chief
        self._n_rows = prepared.training_set.n_rows
        self._dev_tags = _known_tags(prepared)
        self._at = Position(trainer.network.weights_as_arrays())
        self._last_state = time.monotonic()
        # Of the best model, once the training has ended.
        self._calibration: Calibration | None = None
        self._quantization: Quantization | None = None
        self._quantization_loss: QuantizationLoss | None = None
        self._n_in_model: int | None = None  # epochs in the history of the model directory, if known

    def run(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        stopped = False
        self._listener.begin(self._beginning())
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
            self._save_last_model(best, stopped=stopped)
        self._save_state(finished=not stopped)
        return self._outcome(stopped=stopped)

    def _beginning(self) -> Beginning:
        prepared = self._prepared
        return Beginning(
            self._config.training.seed,
            prepared.schedule.epochs,
            self._patience,
            self._fingerprint["runs on"]["device"],
            self._fingerprint["settings"],
            prepared.facts,
            layers_of(self._trainer.network),
            tuple(self._at.history),
        )

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

    def other_weights(self, found: Manifest) -> str | None:
        """Say how the weights of the model of this finished training differ from what the config asks for now.

        Returns:
            None if they do not, or if the model in the directory is not that of this training.
        """
        asked = self._config.output.quantize
        if self._place.replaced is not None or (found.quantization is not None) == (asked is not None):
            return None
        return (
            f"output.quantize: found {'null' if asked is None else asked} for a model with"
            f" {'32-bit' if found.quantization is None else '8-bit'} weights"
        )

    def write_again(self) -> Outcome:
        """Write the model of a finished training once more, in the place where it was or should be."""
        if self._at.best is not None:
            self._save_last_model(self._at.best, stopped=False)
        self._save_state(finished=True)
        return self._outcome(stopped=False)

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
            calibration=self._calibration,
            quantization_loss=self._quantization_loss,
            previous=self._previous,
            is_distilled=self._prepared.lesson is not None,
        )

    def _is_done(self) -> bool:
        # The scores of the chief decide for all workers.
        return self._at.epoch >= self._prepared.schedule.epochs or self._replicas.any(
            self._is_chief and self._has_lost_patience()
        )

    @property
    def _patience(self) -> int | None:
        return self._prepared.schedule.patience if self._prepared.dev is not None else None

    def _has_lost_patience(self) -> bool:
        return patience_left(self._at.history, self._patience) == 0

    def _is_still_rising(self) -> bool:
        best, history = self._at.best, self._at.history
        if best is None or best.dev_score in (None, 1.0) or self._has_lost_patience():
            return False
        return last_progress(history) >= self._prepared.schedule.epochs - 1

    def _train_epoch(self) -> None:
        training_set, at = self._prepared.training_set, self._at
        n_tokens = training_set.n_tokens(at.epoch) - at.progress.tokens
        n_steps = len(training_set.order(at.epoch))
        epochs = self._prepared.schedule.epochs
        self._listener.start_epoch(EpochStart(at.epoch + 1, epochs, n_steps, at.progress.steps, n_tokens))
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
            dev, dev_loss, confusions = self._evaluate_dev()
            if dev_loss is not None:
                self._check_loss(dev_loss)
            result = EpochResult(at.epoch + 1, loss, dev, best=True, dev_loss=dev_loss, confusions=confusions)
            if not result.beats(at.best):
                result = dataclasses.replace(result, best=False)
            at.history.append(result)
            if result.best:
                at.best, at.best_weights = result, self._trainer.network.weights_as_arrays()
                self._save_best(result)
        at.epoch, at.progress = at.epoch + 1, Progress()
        self._save_state()
        self._listener.end_epoch(result, patience_left(at.history, self._patience))

    def _after_step(self, n_tokens: int) -> None:
        progress = self._at.progress
        self._listener.step(Steps(progress.steps, n_tokens, progress.losses[-1] / n_tokens))
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

    def _evaluate_dev(self) -> tuple[Evaluation | None, float | None, tuple[Confusion, ...]]:
        """Return the scores, the loss and the commonest confusions on the dev set.

        The loss leaves out sentences with a tag that the training data do not have.
        """
        dev = self._prepared.dev
        if dev is None:
            return None, None, ()
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
            tags += (self._scored(sentence.tags) for sentence in tagged)
            losses += (sentence.loss for sentence in tagged)
        self._stop_if_asked()
        n_tokens = sum(len(ids) for ids in self._dev_tags if ids is not None)
        loss = math.fsum(losses) / n_tokens if n_tokens else None
        scheme = self._prepared.manifest.notation.scheme
        confusions = () if scheme == NO_SCHEME else tuple(commonest_confusions(dev.tags, tags))
        return self._parts.evaluate(dev.tags, tags, scheme, dev.notation.scheme), loss, confusions

    def _scored(self, tags: list[str]) -> list[str]:
        """Return predicted tags without the types that dev does not annotate."""
        hidden = self._prepared.not_scored
        return [OUTSIDE if split_tag(tag)[1] in hidden else tag for tag in tags] if hidden else tags

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

    def _save_last_model(self, best: EpochResult, *, stopped: bool) -> None:
        """Save the best model once more unless the one in place is equal.

        It differs if there were epochs after the best one, if an interrupted training left another model, or if its
        weights were quantized or a temperature was fitted, which have to wait for the last epoch. A training that is
        asked to stop does not wait.
        """
        if not stopped and self._is_chief:
            if self._config.output.quantize is not None:
                self._quantize(best)
            if self._config.training.calibrate:
                self._calibration = self._calibrate(best)
        changed = self._calibration is not None or self._quantization is not None
        if self._n_in_model != len(self._at.history) or changed:
            self._save_model(best)

    def _quantize(self, best: EpochResult) -> None:
        """Quantize the weights of the model from now on, after measuring on dev what that costs.

        Raises:
            ModelError: it costs more than the config allows; the model stays as it is, and so does the state.
        """
        self._quantization = Quantization(weights=str(self._config.output.quantize))
        if self._prepared.dev is None or best.dev is None:
            return
        with directory_beside(self._model_dir, self._files_of(best)) as directory:
            after = self._scores_on_dev(load_predictor(directory))
        loss = QuantizationLoss(best.dev, after)
        bits = "is still the one from before" if self._place.replaced is not None else "has 32-bit weights"
        loss.check(
            self._config.output.quantize_loss,
            key="output.quantize",
            where="on dev",
            remedy="to keep these weights, give the same command with --resume and --set output.quantize_loss={}; for a"
            " model of 32-bit weights, with --resume and --set output.quantize=null",
            detail=f"the training has ended, and the model in {self._model_dir} {bits}",
        )
        self._quantization, self._quantization_loss = loss.to_manifest(), loss

    def _scores_on_dev(self, predictor: Predictor) -> Evaluation:
        """Return the scores of a saved model, with the batches that `tagger predict` makes."""
        dev = self._prepared.dev
        assert dev is not None  # noqa: S101 (whoever calls this has looked)
        tagged = tag_stream(predictor, dev.sentences, probabilities=False)
        tags = [self._scored(one.tags) for _, one in tagged]
        return self._parts.evaluate(dev.tags, tags, self._prepared.manifest.notation.scheme, dev.notation.scheme)

    def _calibrate(self, best: EpochResult) -> Calibration | None:
        """Return the temperature of the best model, which is not the network any more and is loaded for that."""
        if self._prepared.dev is None or self._prepared.not_scored:
            return None
        with directory_beside(self._model_dir, self._files_of(best)) as directory:
            return fit_calibration(load_predictor(directory), self._prepared.dev)

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
        manifest = dataclasses.replace(manifest, calibration=self._calibration, quantization=self._quantization)
        model = dataclasses.replace(self._model(self._at.best_weights), manifest=manifest)
        return model_files(
            model,
            graph=self._parts.model_graph(model),
            config=dump_config(
                stored_config(self._config, self._prepared.schedule, manifest, self._model_dir, self._given)
            ),
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
    """Return the ids of the gold tags of each dev sentence; None if a tag is unknown, or `O` may mean another type."""
    if prepared.dev is not None and prepared.not_scored:
        return [None] * len(prepared.dev)
    known, scheme = frozenset(prepared.tags.tags), prepared.manifest.scheme
    converted = (well_formed(tags, scheme) for tags in prepared.dev.tags) if prepared.dev is not None else ()
    return [prepared.tags.encode(tags) if known.issuperset(tags) else None for tags in converted]
