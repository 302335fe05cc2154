"""The trials of a sweep under way: each is a training that reports its scores, and is stopped if it falls behind."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from tagger.atomic import write_atomically
from tagger.config.file import yaml_value
from tagger.config.keys import Config
from tagger.config.loading import with_model_dir
from tagger.errors import ConfigError, DataError, TaggerError
from tagger.runs import runner
from tagger.runs.job import Job, JobResult
from tagger.runs.messages import Epoch, Message, Started
from tagger.runs.plan import data_checksums, remove_training, wait_to_remove
from tagger.runs.resources import Resources
from tagger.runs.runner import Pool
from tagger.sweep.best import best_config
from tagger.sweep.outcome import Outcome
from tagger.sweep.settings import SweepSettings, n_trials
from tagger.sweep.space import Space
from tagger.sweep.study import STUDY, Study, Trial, ranked, trial_name
from tagger.training.corpora import Tell
from tagger.wording import listed

BEST = "best.yaml"
TRAININGS = re.compile(r"trial-\d+")
_MOST_FAILURES = 3  # in a row and with the same error


class Watcher(runner.Watcher, Protocol):
    """An object that is told what happens in a sweep, and shows it."""

    def give_up(self, name: str, why: str) -> None:
        """Report that a training has ended without a result of its own."""


class SweepRun:
    """A sweep that is under way.

    Args:
        config: the config as it was given, of which the best one is made.
        searched: the config that is trained, without a test set.
    """

    def __init__(
        self,
        config: Config,
        searched: Config,
        space: Space,
        settings: SweepSettings,
        study: Study,
        watcher: Watcher,
        resources: Resources,
        note: Tell,
        clock: Callable[[], float],
    ) -> None:
        self._config, self._searched, self._space, self._settings = config, searched, space, settings
        self._study, self._watcher, self._resources, self._clock = study, watcher, resources, clock
        self._note = note
        self._since = clock()
        self._n = n_trials(space, settings, study.sampler)
        self._numbers: dict[str, int] = {}
        self._begun: dict[int, float] = {}  # when a trial began in this command
        self._epochs: dict[int, int] = {}  # the most that it has
        self._stopped = set[int]()
        self._failures: list[tuple[int, TaggerError, float]] = []  # in a row, of the same kind, with their seconds
        self._failed_before: dict[int, str] = {}  # the errors of trials that are repeated
        self._pool: Pool | None = None

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Run trials until there are enough; return whether they were stopped before."""
        before = self._study.trials()
        for trial in before:
            wait_to_remove(self._settings.directory / trial.name)
        self._remove_unknown(len(before))
        self._failed_before = {one.number: one.error for one in before if one.state == "unfinished" and one.error}
        self._tidy()
        names = [trial_name(number) for number in range(1, max(self._n, len(before)) + 1)]
        self._watcher.begin(names, self._done(before), self._resources)
        self._pool = self._new_pool()
        stopped = False

        def asked() -> bool:
            nonlocal stopped
            stopped = stopped or should_stop()
            return stopped

        with contextlib.closing(self._pool):
            try:
                for result in self._pool.results(self._jobs(), asked):
                    self._finish(result)
            except TaggerError as error:
                raise self._explained(error) from None
        if not stopped:
            self._end()
        self._tidy()
        return stopped

    def _remove_unknown(self, n: int) -> None:
        """Remove the trainings of a study that was deleted, of which only the first `n` trials are known."""
        found = {path.name.partition(".")[0] for path in self._settings.directory.glob("trial-*") if path.is_dir()}
        unknown = sorted(found - {trial_name(number) for number in range(1, n + 1)})
        for name in filter(TRAININGS.fullmatch, unknown):
            self._note(f"{name}: {STUDY} does not know this training, so it is removed")
            wait_to_remove(self._settings.directory / name)
            remove_training(self._settings.directory / name)

    def _new_pool(self) -> Pool:
        return Pool(
            self._resources, self, lambda job: self._settings.directory / f"{job.name}.log", option="--study",
            machines=self._settings.machines, tolerate=self._fail,
        )  # fmt: skip

    def _done(self, trials: Sequence[Trial]) -> list[JobResult]:
        """Return a result for each trial that has ended, for the watcher to count."""
        empty = JobResult("", 0, 0, None, "")
        return [one.result or dataclasses.replace(empty, name=one.name) for one in trials if one.state != "unfinished"]

    def _jobs(self) -> Iterator[Job]:
        """Yield the next training whenever there is room for it: first those that were interrupted."""
        waiting = [one.number for one in self._study.trials() if one.state == "unfinished"]
        n = len(self._study.trials())
        while (waiting or n < self._n) and not self._is_late():
            if waiting:
                number = waiting.pop(0)
            else:
                number, n = self._study.begin(), n + 1
            job = self._job(number)
            if job is not None:
                yield job

    def _is_late(self) -> bool:
        minutes = self._settings.minutes
        return minutes is not None and self._clock() - self._since >= 60 * minutes

    def _job(self, number: int) -> Job | None:
        """Return the training of a trial; None if its values do not go together, or were tried before."""
        name, values = trial_name(number), self._study.values(number)
        self._numbers[name], self._begun[number] = number, self._clock()
        for other in self._study.trials():
            # A later trial that is finished has the model, so an earlier one must not be taken for the best.
            is_known = other.state == "finished" and other.number < number
            if is_known and other.values == values and other.result is not None:
                result = dataclasses.replace(other.result, name=name)
                self._study.finish(number, float(other.score or 0), result, 0.0)
                self._watcher.give_up(name, f"has the values of {other.name}, and so its score")
                return None
        try:
            own = with_model_dir(self._space.apply(self._searched, values), self._settings.directory / name)
            checksums = data_checksums(own)
        except (ConfigError, DataError) as error:
            self._study.fail(number, error.message, 0.0)
            self._watcher.give_up(name, f"failed: {error.message}")
            return None
        self._note(f"{name}: {', '.join(f'{key} {yaml_value(value)}' for key, value in values.items())}")
        return Job(name, own, None, self._settings.device).ready(self._resources.threads, checksums)

    # What the runner reports.

    def begin(self, names: Sequence[str], done: Sequence[JobResult], resources: Resources) -> None:
        """Do nothing: the sweep itself has reported what begins."""

    def hear(self, name: str, message: Message) -> None:
        """Store the scores that a training reports, and stop it if it has fallen behind."""
        number = self._numbers[name]
        if number in self._stopped:
            return  # it still says what it did until it stopped
        self._watcher.hear(name, message)
        if isinstance(message, Started):
            self._epochs[number] = message.epochs
            last = max(self._study.reported(number), default=0)
            for epoch, score in enumerate(message.scores, start=1):
                if score is not None:
                    self._report(number, epoch, score)
            if last and last >= message.epochs_done:
                self._judge(number, last)  # an interruption may have come between the report and this
        elif isinstance(message, Epoch) and message.score is not None:
            self._report(number, message.epoch, message.score)

    def finish(self, result: JobResult) -> None:
        """Do nothing: the sweep itself reports what is finished."""

    def _report(self, number: int, epoch: int, score: float) -> None:
        if number not in self._stopped and epoch not in self._study.reported(number):
            self._study.report(number, epoch, score)
            self._judge(number, epoch)

    def _judge(self, number: int, epoch: int) -> None:
        """Stop a trial that has fallen behind, unless it is at its end anyway."""
        if not self._settings.prune or epoch >= self._epochs.get(number, epoch):
            return
        if number in self._stopped or not self._study.should_prune(number):
            return
        self._stopped.add(number)
        self._study.prune(number, self._seconds(number))
        if self._pool is not None:
            self._pool.stop(trial_name(number))
        self._watcher.give_up(trial_name(number), f"stopped after epoch {epoch}, because it has fallen behind")

    def _seconds(self, number: int) -> float:
        return round(self._clock() - self._begun[number], 1)

    def _finish(self, result: JobResult) -> None:
        number = self._numbers[result.name]
        if number in self._stopped:  # it was asked to stop, but had come to its end
            return
        self._settle()
        score = 0.0 if result.dev is None else result.dev.score
        self._study.finish(number, score, result, result.seconds)
        self._watcher.finish(result)
        self._write_best()
        self._tidy()

    def _fail(self, job: Job, error: TaggerError) -> bool:
        """Note that a training failed; return whether the sweep goes on."""
        number, text = self._numbers[job.name], _without_resume(error.message.removeprefix(f"{job.name}: "))
        if number in self._stopped:
            return True
        self._watcher.give_up(job.name, f"failed: {text}")
        if _kind_of(self._failed_before.get(number, "")) == _kind_of(text) and self._best() is not None:
            self._study.fail(number, text, self._seconds(number))
            return True
        if self._failures and _kind_of(self._failures[-1][1].message) != _kind_of(text):
            self._settle()
        self._failures.append((number, TaggerError(text, detail=error.detail), self._seconds(number)))
        return len(self._failures) < _MOST_FAILURES

    def _settle(self) -> None:
        """Store the failures so far as what came of their trials, since others do not fail in the same way.

        Until then they count as unfinished: if all fail alike, the cause may not be in their values, and they are
        repeated. If others have finished, those that fail again in the same way have failed, so that a sweep that has
        come so far does not stop at them forever.
        """
        for number, error, seconds in self._failures:
            self._study.fail(number, error.message, seconds)
        self._failures = []

    def _explained(self, error: TaggerError) -> TaggerError:
        """Return the error that ends the sweep."""
        if len(self._failures) < _MOST_FAILURES:
            return error
        return self._alike()

    def _alike(self) -> TaggerError:
        """Return the error that says how the last trials failed, and note it for the command that repeats them."""
        for number, error, _ in self._failures:
            self._study.note_failure(number, error.message)
        names = listed([trial_name(number) for number, *_ in self._failures])
        number, error, _ = self._failures[-1]
        again = "" if self._best() is None else ", and gives up those that end with the same error"
        each_time = "the same error each time" if len(self._failures) > 1 else "an error"
        return TaggerError(
            f"{names}: found {each_time}, expected that only some values fail: {error.message}",
            detail=[
                *error.detail,
                f"the log of the last one is {self._settings.directory / trial_name(number)}.log",
                f"once the cause is gone, give the same command again: it repeats these trials{again}",
            ],
        )

    def _end(self) -> None:
        """Store what is still open once all trials have ended.

        Raises:
            TaggerError: none of them is finished.
        """
        trials = self._study.trials()
        if any(one.state == "finished" for one in trials):
            self._settle()
            return
        if self._failures:
            raise self._alike()
        failed = [f"{one.name}: {one.error}" for one in trials if one.state == "failed"]
        if failed:
            raise TaggerError(
                f"--study {self._settings.directory}: found no trial that is finished, expected one: {failed[0]}",
                detail=[*failed[1:], "to try other values, start over with --force, or raise --trials"],
            )
        raise TaggerError(
            f"--minutes: found {self._settings.minutes or 0:g}, in which no trial was finished, expected more; raise it"
        )

    def _best(self) -> Trial | None:
        found = ranked(self._study.trials())
        return found[0] if found and found[0].state == "finished" else None

    def _write_best(self) -> None:
        """Write the config of the best trial so far."""
        best = self._best()
        if best is None:
            return
        directory = self._settings.directory
        values = {**best.values, "training.threads": self._resources.threads}
        text = best_config(self._space.apply(self._config, values), self._space, best, directory)
        try:
            write_atomically(directory / BEST, text.encode())
        except OSError as error:
            raise TaggerError(
                f"{directory / BEST}: cannot be written: {error.strerror}; free some space or check its permissions,"
                " and give the same command again"
            ) from None

    def _tidy(self) -> None:
        """Remove the models of trials that have ended, except the best one's."""
        best = self._best()
        for trial in self._study.trials():
            is_running = self._pool is not None and self._pool.is_running(trial.name)
            if trial.state != "unfinished" and not is_running and (best is None or trial.number != best.number):
                remove_training(self._settings.directory / trial.name)

    def outcome(self) -> Outcome:
        """Return what came of the trials."""
        self._write_best()
        trials = self._study.trials()
        drawn = self._space.of(self._searched)
        given = None if drawn is None else self._space.values(drawn)
        found = {one.result.dev.has_spans for one in trials if one.result is not None and one.result.dev is not None}
        return Outcome(
            ranked(trials),
            "accuracy" if found == {False} else "F1",
            self._study.importances(),
            self._settings.directory / BEST,
            n_open=max(0, self._n - len(trials)) + sum(one.state == "unfinished" for one in trials),
            first=next((one.number for one in trials if given is not None and one.values == given), None),
        )


def _without_resume(message: str) -> str:
    """Return an error of a training without the advice to continue it: a trial that has failed is not repeated."""
    message = message.replace("give the same command with --resume and a lower --jobs", "a lower --jobs leaves more")
    return message.replace(", then give the same command with --resume", "")


def _kind_of(message: str) -> str:
    """Return an error without its numbers, in which errors of the same kind differ."""
    return re.sub(r"\d+", "0", message)
