"""The seeds of one training: each is trained and scored, and the best one so far becomes the model."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tagger.config.keys import Config
from tagger.config.loading import with_model_dir
from tagger.errors import ModelError, TaggerError
from tagger.evaluation.evaluate import evaluate_file
from tagger.evaluation.scores import Evaluation
from tagger.model_dir.checkpoints import Checkpoints, State, directory_of
from tagger.model_dir.store import publish_model
from tagger.network.trainer import Stopped
from tagger.prediction.onnx_session import load_predictor
from tagger.runs.job import Job, JobResult, checksum_of_model
from tagger.runs.resources import Resources
from tagger.runs.runner import WORKER, Machines, Pool, ThisMachine, Watcher
from tagger.runs.seed_directories import kept_directory, log_of, remove_seed
from tagger.training.history import Outcome
from tagger.training.init_from import InitFrom
from tagger.training.listener import Listener
from tagger.training.replacing import Place, Replacing, standing_in
from tagger.training.seeds_outcome import SeedRun, SeedsOutcome
from tagger.training.train import train


@dataclasses.dataclass(frozen=True)
class SideBySide:
    """Seeds that are trained at once: what they may use, who is told about them, and where they run.

    Attributes:
        machines: None for processes of this machine.
    """

    resources: Resources
    watcher: Watcher
    machines: Machines | None = None


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


def publish_seed(directory: Path, place: Place) -> Path | None:
    """Replace the model with a copy of a seed's model; the seed itself may be unfinished."""
    return place.publish({path.name: path.read_bytes() for path in directory.iterdir()})


def best_of(runs: Sequence[SeedRun]) -> SeedRun | None:
    """Return the result that is best on dev, the first seed of equals; None if there are no results."""
    return max(runs, key=lambda run: (run.dev, -run.seed), default=None)


class SeedsRun:
    """The seeds of one training; the arguments are those of `seeds.train_seeds`."""

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
        return best_of(self._runs)

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
            previous = publish_seed(directory_of(self._model_dir, self._best.seed), self._place)
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
        machines = self._side_by_side.machines or ThisMachine(self._parts.worker)
        pool = Pool(resources, watcher, lambda job: log_of(job.model_dir), machines=machines)
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
        return stopped or bool(unfinished), best_of([run for run in so_far if run is not None])

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
            publish_seed(directory_of(self._model_dir, run.seed), self._place)
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
                previous = publish_seed(directory, self._place)
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
