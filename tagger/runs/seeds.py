"""Training with several seeds, which shows how much scores vary and keeps the best model.

Each seed is trained in a directory of its own beside the model's and can be resumed there: one after the other in this
process, or several at once in processes of their own. The results of the finished seeds are the state of the whole
training.
"""

from __future__ import annotations

import contextlib
import dataclasses
import glob
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tagger import __version__
from tagger.atomic import check_replaceable
from tagger.config import Config, with_model_dir
from tagger.errors import ConfigError, ModelError, TaggerError
from tagger.evaluation.evaluate import evaluate_file
from tagger.evaluation.scores import Evaluation
from tagger.machine import available_cores
from tagger.model_dir.files import MANIFEST, MODEL_FILES
from tagger.model_dir.store import publish_model
from tagger.network.distributed import read_task
from tagger.network.trainer import Stopped
from tagger.prediction.onnx_session import load_predictor
from tagger.runs.job import Job, JobResult, checksum_of_model
from tagger.runs.plan import data_checksums, file_checksum
from tagger.runs.resources import Resources
from tagger.runs.runner import WORKER, Pool, Watcher
from tagger.training.checkpoints import Checkpoints, State, directory_of
from tagger.training.history import Outcome
from tagger.training.listener import Listener
from tagger.training.old_model import OPTION, InitFrom, load_old_model, with_settings_of
from tagger.training.replacing import Place, Replacing, standing_in
from tagger.training.resume import STATE_FORMAT, check_same, state_to_begin_with, with_threads_of
from tagger.training.seeds_outcome import SeedRun, SeedsOutcome
from tagger.training.settings import settings_of
from tagger.training.train import train
from tagger.wording import counted, listed


def remove_seed(directory: Path) -> None:
    """Remove a seed's model and its states if the directory holds nothing else.

    A link is kept, because it points to a directory that belongs to somebody else.
    """
    if directory.is_symlink():
        return
    with contextlib.suppress(OSError, ModelError):
        check_replaceable(directory, MODEL_FILES, marker=MANIFEST)
        for name in sorted(MODEL_FILES, key=MANIFEST.__eq__):  # last the file that marks it as a model
            (directory / name).unlink(missing_ok=True)
        directory.rmdir()
    with contextlib.suppress(ModelError):
        Checkpoints(directory).remove()
    with contextlib.suppress(OSError):
        _log_of(directory).unlink(missing_ok=True)


def kept_directory(model_dir: Path, seed: int) -> Path:
    """Return the directory in which the model of a seed is kept: beside the model, as relative paths need it."""
    return model_dir.with_name(f"{model_dir.name}.seed-{seed}")


def kept_seeds(model_dir: Path) -> list[Path]:
    """Return the directories of the seeds that are kept of a model, in the order of the seeds."""
    prefix = f"{model_dir.name}.seed-"
    found = [path for path in model_dir.parent.glob(f"{glob.escape(prefix)}*") if (path / MANIFEST).is_file()]
    numbered = {int(number): path for path in found if (number := path.name.removeprefix(prefix)).isdecimal()}
    return [numbered[seed] for seed in sorted(numbered)]


def _log_of(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.log")


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """Seeds that are trained at once: what they may use, and who is told about them."""

    resources: Resources
    watcher: Watcher


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeedsParts:
    """The parts of a training with several seeds that a test or an experiment may exchange.

    Attributes:
        train: trains one seed.
        evaluate_file: scores a model on the test file.
        checkpoints: opens the states beside a model directory.
        publish: writes the files of a model into its directory in one step.
        remove: removes the directory of one seed.
        worker: the command of a process that trains one seed among several at once.
    """

    train: Callable[..., Outcome] = train
    evaluate_file: Callable[..., Evaluation] = evaluate_file
    checkpoints: Callable[[Path], Checkpoints] = Checkpoints
    publish: Callable[..., None] = publish_model
    remove: Callable[[Path], None] = remove_seed
    worker: Sequence[str] = WORKER


def train_seeds(
    config: Config,
    n: int,
    listener: Listener,
    *,
    device: str = "auto",
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    replacing: Replacing | None = None,
    init: InitFrom | None = None,
    side_by_side: SideBySide | None = None,
    keep_seeds: bool = False,
    parts: SeedsParts | None = None,
) -> SeedsOutcome:
    """Train with the seeds from `training.seed` on, and keep the model that is best on dev.

    If the dev set is a fraction of the training data, each seed draws its own.

    Args:
        resume: continue an interrupted training, bit for bit; start one if there is nothing to continue.
        replacing: the rules for a model that is already there.
        init: the model that each seed begins with; None for random weights.
        side_by_side: train several seeds at once. The listener then hears of no training, only notes and the outcome.
        keep_seeds: keep the model of each finished seed in the directory that `kept_directory` returns.
        parts: replacements for the usual parts.

    Raises:
        TaggerError: as `train`.
        ConfigError: there are several workers, no dev set, or too large a seed; or the seeds would replace the model
            that they begin with.
    """
    parts = parts or SeedsParts()
    if len(read_task().workers) > 1:
        raise ConfigError("--seeds: found several workers in TF_CONFIG, expected one; train each seed by itself")
    if config.data.dev is None:
        raise ConfigError(
            "--seeds: found data.dev null, expected a dev set, which decides which model is best; set data.dev"
        )
    model_dir = Path(str(config.output.model_dir))
    if init is not None and init.directory.resolve() == model_dir.resolve():
        raise ConfigError(
            f"--seeds: found {OPTION} with the directory of the new model, expected another one, because each seed"
            " begins with that model; name another directory with --model"
        )
    if init is not None:  # here, because the process of a seed is told all settings, as if the config had them all
        config, _ = with_settings_of(load_old_model(init, model_dir), config)
    place = Place(model_dir, replacing, write=parts.publish)
    place.check()
    first = config.training.seed
    if first + n > 1 << 31:
        raise ConfigError(
            f"--seeds: found {counted(n, 'seed')} from training.seed {first} on, expected seeds below {1 << 31}; lower"
            " training.seed"
        )
    checkpoints = parts.checkpoints(model_dir)
    with checkpoints.lock():
        state = state_to_begin_with(checkpoints, resume=resume, warn=listener.warn)
        if state is not None:
            config = with_threads_of(state, config, listener.warn)
        fingerprint, runs = _fingerprint_of(config, n, device, init), list[SeedRun]()
        if state is None:
            place.begin(config)
            if resume:
                listener.note(f"found no state to continue in {checkpoints.directory}; starting a new training")
            checkpoints.discard()
            for seed in range(first, first + n):
                parts.remove(directory_of(model_dir, seed))
        else:
            for text in check_same(state.record, fingerprint, str(checkpoints.directory)):
                listener.warn(f"--resume: {text}; the result may differ in its last bits")
            place.resume(state.record, config)
            runs = _runs_of(state, checkpoints)
            _restore_best(place, runs, checkpoints)
            _check_weights(place, runs, config)
        if keep_seeds:
            _check_kept(model_dir, range(first, first + n), runs, checkpoints, listener.warn)
        config_file = replacing.config_file if replacing is not None else None
        seeds = _Seeds(
            config, n, listener, device, should_stop,
            checkpoints, fingerprint, place, config_file, side_by_side, parts, init, keep_seeds=keep_seeds,
        )  # fmt: skip
        outcome = seeds.continue_after(runs)
        listener.end_seeds(outcome)
        return outcome


def _runs_of(state: State, checkpoints: Checkpoints) -> list[SeedRun]:
    try:
        return [SeedRun.from_json(run) for run in state.record["runs"]]
    except (TypeError, LookupError, AttributeError) as error:
        raise ConfigError(
            f"--resume: the state in {checkpoints.directory} is not a state of a training with --seeds: {error}; delete"
            " that directory and give the same command again"
        ) from None


def _restore_best(place: Place, runs: Sequence[SeedRun], checkpoints: Checkpoints) -> None:
    """Put the best model so far in its place if an interruption prevented that.

    Raises:
        ModelError: the model is gone, and no state has its weights.
    """
    best = _best_of(runs)
    if best is None:
        return
    own = directory_of(place.directory, best.seed)
    expected = place.directory if place.replaced is None else own
    if _is_model_of(best, own):  # interrupted before the model was copied, or before its own directory was removed
        if place.replaced is None:
            _publish(own, place)
    elif not _is_model_of(best, expected):
        raise ModelError(
            f"{expected}: found no complete model of seed {best.seed} (dev {100 * best.dev:.2f}), expected it because"
            f" it is the best so far; restore it, or delete {checkpoints.directory} and give the same command again to"
            " start over"
        )


def _check_weights(place: Place, runs: Sequence[SeedRun], config: Config) -> None:
    """Raise ConfigError if the finished seeds have other weights than the config asks for: 8-bit or 32-bit ones."""
    best, asked = _best_of(runs), config.output.quantize
    if best is None:
        return
    directory = place.directory if place.replaced is None else directory_of(place.directory, best.seed)
    quantization = load_predictor(directory).model.manifest.quantization
    found = None if quantization is None else quantization.weights
    if found != asked:
        raise ConfigError(
            f"--resume: output.quantize: found {asked or 'null'}, expected {found or 'null'}, as in the finished seeds,"
            " which leave no state to change that; change it back, or train again without --resume"
        )


def _check_kept(
    model_dir: Path,
    seeds: Sequence[int],
    runs: Sequence[SeedRun],
    checkpoints: Checkpoints,
    warn: Callable[[str], None],
) -> None:
    """Warn of seeds that are not kept, and of kept models that are not of this training.

    Raises:
        ModelError: something that is not a model is where one is to be kept.
    """
    for seed in set(seeds) - {run.seed for run in runs}:
        check_replaceable(kept_directory(model_dir, seed), MODEL_FILES, marker=MANIFEST)
    lost = [run.seed for run in runs if checksum_of_model(kept_directory(model_dir, run.seed)) != run.model]
    if lost:
        warn(
            f"--keep-seeds: the models of the seeds {listed(list(map(str, lost)))} are not kept, because these seeds"
            f" were finished without the option; to have them too, delete {checkpoints.directory} and train all again"
        )
    ours = {kept_directory(model_dir, seed) for seed in seeds}
    if others := [os.path.relpath(path) for path in kept_seeds(model_dir) if path not in ours]:
        warn(
            f"--keep-seeds: found models of another training: {listed(others)}; tagger distill would learn from them"
            " too, so delete them, or name the teachers with --teachers"
        )


def _is_model_of(run: SeedRun, directory: Path) -> bool:
    try:
        load_predictor(directory)
    except ModelError:
        return False
    return checksum_of_model(directory) == run.model


def _publish(directory: Path, place: Place) -> Path | None:
    """Replace the model with a copy of a seed's model; the seed itself may be unfinished."""
    return place.publish({path.name: path.read_bytes() for path in directory.iterdir()})


def _best_of(runs: Sequence[SeedRun]) -> SeedRun | None:
    return max(runs, key=lambda run: (run.dev, -run.seed), default=None)  # the first seed of equals


def _fingerprint_of(config: Config, n: int, device: str, init: InitFrom | None = None) -> dict[str, Any]:
    """Return the fingerprint of the whole training; the state of each seed has its own from `resume.fingerprint_of`."""
    data = data_checksums(config)
    if init is not None:
        data[OPTION] = checksum_of_model(init.directory)
        if init.replay is not None:
            data["--replay"] = file_checksum(Path(init.replay))
    return {
        "format": STATE_FORMAT,
        "settings": settings_of(config) | {"--seeds": n},
        "data": data,
        "runs on": {"tagger": __version__, "tensorflow": version("tensorflow"), "--device": device},
        "threads": config.training.threads or available_cores(),
    }


class _Seeds:
    """The seeds of one training; the arguments are those of `train_seeds`."""

    def __init__(
        self,
        config: Config,
        n: int,
        listener: Listener,
        device: str,
        should_stop: Callable[[], bool],
        checkpoints: Checkpoints,
        fingerprint: dict[str, Any],
        place: Place,
        config_file: Path | None,
        side_by_side: SideBySide | None,
        parts: SeedsParts,
        init: InitFrom | None = None,
        *,
        keep_seeds: bool = False,
    ) -> None:
        self._keep_seeds = keep_seeds
        self._config_file, self._side_by_side = config_file, side_by_side
        self._config, self._seeds = config, range(config.training.seed, config.training.seed + n)
        self._listener, self._device, self._should_stop = listener, device, should_stop
        self._checkpoints, self._fingerprint, self._parts = checkpoints, fingerprint, parts
        self._model_dir, self._place = place.directory, place
        # The directory of a seed holds nothing but models of this training.
        self._of_seed = Replacing(config_file=config_file, at_once=True)
        self._init, self._options = init, {} if init is None else {"init": init}
        self._runs: list[SeedRun] = []

    @property
    def _best(self) -> SeedRun | None:
        return _best_of(self._runs)

    @property
    def _by_seed(self) -> list[SeedRun]:
        return sorted(self._runs, key=lambda run: run.seed)

    def continue_after(self, runs: list[SeedRun]) -> SeedsOutcome:
        """Train the seeds that are not among the finished runs."""
        self._runs = runs
        if len(runs) == len(self._seeds):
            self._listener.note("this training is already finished; there is nothing left to do")
        elif not runs:
            self._save_state(finished=False)
        done = {run.seed for run in runs}
        waiting = [seed for seed in self._seeds if seed not in done]
        train = self._train_one_by_one if self._side_by_side is None else self._train_at_once
        stopped, unfinished = train(waiting)
        if stopped:
            return self._stop(unfinished)
        previous = None
        if self._best is not None and self._place.replaced is not None:
            previous = _publish(directory_of(self._model_dir, self._best.seed), self._place)
        self._save_state(finished=True)
        for seed in self._seeds:  # an interruption may have left the directory of a finished seed
            self._parts.remove(directory_of(self._model_dir, seed))
        return SeedsOutcome(self._model_dir, self._by_seed, self._best, stopped=False, previous=previous)

    def _train_one_by_one(self, seeds: Sequence[int]) -> tuple[bool, SeedRun | None]:
        """Train seeds in this process; return whether it was stopped, and what the seed has that was stopped."""
        for seed in seeds:
            self._listener.note(f"seed {seed} ({len(self._runs) + 1} of {len(self._seeds)})")
            directory = directory_of(self._model_dir, seed)
            try:
                run, stopped = self._train(seed, directory)
            except TaggerError as error:
                raise self._with_best(error, seed, directory) from None
            if run is None or stopped:
                return True, run
            self._add(run)
        return False, None

    def _train_at_once(self, seeds: Sequence[int]) -> tuple[bool, SeedRun | None]:
        """Train seeds in processes; return whether they were stopped, and the best of those that were."""
        if self._side_by_side is None:
            raise RuntimeError("found no resources for trainings side by side")
        resources, watcher = self._side_by_side.resources, self._side_by_side.watcher
        jobs = {f"seed {seed}": self._job(seed) for seed in seeds}
        done = [JobResult(f"seed {run.seed}", run.epoch, run.epoch, run.on_dev, run.model) for run in self._runs]
        watcher.begin([f"seed {seed}" for seed in self._seeds], done, resources)
        pool = Pool(resources, watcher, lambda job: _log_of(job.model_dir), self._parts.worker)
        stopped = False
        with contextlib.closing(pool):
            try:
                for result in pool.results(list(jobs.values()), self._should_stop):
                    seed = jobs[result.name].config.training.seed
                    dev = result.dev.score if result.dev is not None else 0.0
                    run = SeedRun(seed, result.epoch, dev, None, result.model, on_dev=result.dev)
                    watcher.finish(result)
                    self._add(self._tested(run, self._score_test(directory_of(self._model_dir, seed))))
            except Stopped:
                stopped = True
            except TaggerError as error:
                raise self._with_best_of_all(error) from None
        unfinished = set(self._seeds) - {run.seed for run in self._runs}
        so_far = [self._so_far(seed) for seed in unfinished]
        return stopped or bool(unfinished), _best_of([run for run in so_far if run is not None])

    def _job(self, seed: int) -> Job:
        own = with_model_dir(_with_seed(self._config, seed), directory_of(self._model_dir, seed))
        file = None if self._config_file is None else str(self._config_file)
        return Job(f"seed {seed}", own, None, self._device, file, init=self._init)

    def _so_far(self, seed: int) -> SeedRun | None:
        """Return the result of a seed that was stopped, as far as its model tells; None if it has none."""
        directory = directory_of(self._model_dir, seed)
        found = standing_in(directory)
        if found is None or "epoch" not in found.dev:
            return None
        score = found.dev.get("f1", found.dev.get("accuracy", 0.0))
        return SeedRun(seed, int(found.dev["epoch"]), float(score), None, checksum_of_model(directory))

    def _add(self, run: SeedRun) -> None:
        """Add a finished seed, and remove what is no longer needed.

        In this order an interruption loses nothing: the state says which model belongs in the model directory, and the
        best seed keeps its own copy until the model is there.
        """
        before = self._best
        if self._keep_seeds:
            self._keep(run.seed)
        self._runs.append(run)
        self._save_state(finished=False)
        no_longer = {run.seed} if before is None else {run.seed, before.seed}
        if self._place.replaced is not None and self._best is not None:
            no_longer -= {self._best.seed}
        elif self._best is run:
            _publish(directory_of(self._model_dir, run.seed), self._place)
        for seed in no_longer:
            self._parts.remove(directory_of(self._model_dir, seed))

    def _keep(self, seed: int) -> None:
        """Keep a copy of the model of a finished seed."""
        kept, directory = kept_directory(self._model_dir, seed), directory_of(self._model_dir, seed)
        self._parts.publish(kept, {path.name: path.read_bytes() for path in directory.iterdir()}, keep_previous=False)

    def _stop(self, run: SeedRun | None) -> SeedsOutcome:
        """Return the result of a training that was stopped in a seed, whose best epoch so far is `run`.

        An unfinished model is put in place only if there is no better one.
        """
        best, previous = self._best or run, None
        if best is not None and (self._best is None or self._place.replaced is not None):
            directory = directory_of(self._model_dir, best.seed)
            found = standing_in(directory)
            if found is not None and self._place.would_improve(found.dev, found.origin):
                previous = _publish(directory, self._place)
                self._save_state(finished=False)
        not_replaced = self._place.replaced is not None
        return SeedsOutcome(
            self._model_dir, self._by_seed, best, stopped=True, not_replaced=not_replaced, previous=previous
        )

    def _with_best(self, error: TaggerError, seed: int, directory: Path) -> TaggerError:
        """Return an error in a seed with details: where the best model so far is, and how to start over."""
        if self._best is None:
            if not Checkpoints(directory).has_states():
                self._checkpoints.discard()  # there is nothing to resume
            return error
        return TaggerError(f"seed {seed}: {error.message}", detail=[*error.detail, *self._kept(self._best)])

    def _with_best_of_all(self, error: TaggerError) -> TaggerError:
        """Return an error in a seed among several at once, whose message names it, with the same details."""
        if self._best is not None:
            return TaggerError(error.message, detail=[*error.detail, *self._kept(self._best)])
        with contextlib.suppress(ModelError):  # something is in the way of one of them, which is the error, or another
            if not any(Checkpoints(directory_of(self._model_dir, seed)).has_states() for seed in self._seeds):
                self._checkpoints.discard()
        return error

    def _kept(self, best: SeedRun) -> list[str]:
        place = self._model_dir if self._place.replaced is None else directory_of(self._model_dir, best.seed)
        return [
            f"the model of seed {best.seed}, dev {100 * best.dev:.2f}, is in {place}",
            f"to start all seeds over with other settings, delete {self._checkpoints.directory} too",
        ]

    def _train(self, seed: int, directory: Path) -> tuple[SeedRun | None, bool]:
        """Train one seed or continue it; return its result, and whether it was stopped before its end."""
        own, begun = with_model_dir(_with_seed(self._config, seed), directory), Checkpoints(directory).has_states()
        outcome = self._parts.train(
            own,
            self._listener,
            device=self._device,
            resume=begun,
            should_stop=self._should_stop,
            replacing=self._of_seed,
            **self._options,
        )
        if outcome.best is None:
            self._listener.end(outcome, None)
            return None, outcome.stopped
        model = checksum_of_model(directory)
        best = outcome.best
        run = SeedRun(seed, best.epoch, float(best.dev_score or 0), None, model, on_dev=best.dev)
        if outcome.stopped:
            self._listener.end(outcome, None)
            return run, True
        try:
            scored = self._score_test(directory)
        except Stopped:
            return run, True
        self._listener.end(outcome, scored)
        return self._tested(run, scored), False

    def _tested(self, run: SeedRun, scored: Evaluation | None) -> SeedRun:
        """Return the result of a seed with its scores on the test file, and report it."""
        run = dataclasses.replace(run, test=None if scored is None else scored.score, on_test=scored)
        test = "" if run.test is None else f", test {100 * run.test:.2f}"
        self._listener.note(f"seed {run.seed}: dev {100 * run.dev:.2f} (epoch {run.epoch}){test}")
        return run

    def _score_test(self, directory: Path) -> Evaluation | None:
        """Score a seed's model on the test file; return None without one.

        Raises:
            Stopped: the training is to stop.
        """

        def stop_if_asked() -> None:
            if self._should_stop():
                raise Stopped

        if self._config.data.test is None:
            return None
        predictor = load_predictor(directory)
        layout = predictor.model.manifest.layout
        return self._parts.evaluate_file(predictor, self._config.data.test, layout, stop_if_asked)

    def _save_state(self, *, finished: bool) -> None:
        at = f"after {len(self._runs)} of {len(self._seeds)} seeds"
        runs = [dataclasses.asdict(run) for run in self._runs]
        record = {**self._fingerprint, **self._place.to_json(), "at": at, "runs": runs, "finished": finished}
        self._checkpoints.save(State(record, {}))


def _with_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})
