"""The trials of a sweep, in a SQLite file of Optuna's: what is tried next, what was reported, and what came of it.

SQLite writes each change in one transaction, so whatever ends the process, the file is as before a change or as after
it. Every draw is a function of the seed and the number of the trial, and of the trials that were finished by then: a
sweep that was interrupted continues as it would have without that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from tagger.errors import ModelError
from tagger.runs.job import JobResult
from tagger.sweep.space import Choices, Range, Space

Sampler = Literal["tpe", "random", "grid"]
State = Literal["finished", "pruned", "failed", "unfinished"]
STUDY = "study.sqlite"
FIRST_STOPPED = 5  # the first epoch after which a trial may be stopped
TO_COMPARE = 3  # finished trials that a trial is compared with, at least
_TO_WEIGH = 4  # finished trials from which it is told what mattered, at least
_NAME = "sweep"
_DAMAGED = (RuntimeError, ValueError, LookupError, TypeError)  # another schema, or values that no sweep has written
_RESULT, _ERROR, _SECONDS, _SAMPLER = "result", "error", "seconds", "sampler"


@dataclasses.dataclass(frozen=True)
class Trial:
    """A trial, as far as it has come.

    Attributes:
        number: its number, from 1.
        state: `pruned` if it was stopped because others were better at that epoch.
        values: the values of its keys.
        score: the best score on dev so far; None if there is none.
        epochs: the number of epochs that it had.
        seconds: how long it took.
        result: the result of its training, if it is finished.
        error: why it failed, or failed before if it is to be repeated.
    """

    number: int
    state: State
    values: Mapping[str, Any]
    score: float | None
    epochs: int
    seconds: float = 0.0
    result: JobResult | None = None
    error: str = ""

    @property
    def name(self) -> str:
        """The name of its training."""
        return trial_name(self.number)


def trial_name(number: int) -> str:
    """Return the name of a trial's training."""
    return f"trial-{number}"


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Return trials with the best first: those that are finished, by score, then the others."""
    states = ("finished", "pruned", "unfinished", "failed")
    return sorted(trials, key=lambda one: (states.index(one.state), -(one.score or 0.0), one.number))


class Study:
    """The trials of a sweep.

    Args:
        path: the SQLite file; it is made if it is not there.
        space: the values that keys may have.
        sampler: how values are chosen, if the file is new; otherwise that of the trials so far is kept.
        seed: the seed of the draws.
        first: the values of the first trial, as Optuna knows them; None leaves it to the sampler.

    Attributes:
        sampler: how values are chosen.

    Raises:
        ModelError: the file cannot be read or written, here and in all methods.
    """

    def __init__(
        self, path: Path, space: Space, sampler: Sampler, seed: int, first: Mapping[str, Any] | None = None
    ) -> None:
        self._path, self._space, self._seed, self._first = path, space, seed, first
        self._distributions = {key: _distribution(one) for key, one in space.keys.items()}
        self._open: dict[int, optuna.Trial] = {}
        self._found: list[FrozenTrial] | None = None  # all trials, until the next change
        self._epochs: dict[int, set[int]] = {}  # those of a trial whose scores are known
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self._guarded():
            # A URL could not hold every path.
            self._storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": self._connect})
            self._study = optuna.create_study(
                storage=self._storage, study_name=_NAME, direction="maximize", load_if_exists=True,
                pruner=optuna.pruners.MedianPruner(
                    n_startup_trials=TO_COMPARE, n_warmup_steps=FIRST_STOPPED, n_min_trials=TO_COMPARE
                ),
            )  # fmt: skip
            if _SAMPLER not in self._study.user_attrs:
                self._study.set_user_attr(_SAMPLER, sampler)
            self.sampler: Sampler = self._study.user_attrs[_SAMPLER]
            if self.sampler not in get_args(Sampler):
                raise ValueError(f"found the sampler {self.sampler}")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=60, check_same_thread=False)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn errors of the file into ours."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                yield
        except _DAMAGED as error:
            reason = str(error).partition("\n")[0]
            raise ModelError(
                f"{self._path}: is damaged, or written by something else than this sweep and this version of Optuna:"
                f" {reason}; put a copy in its place, or start over with --force"
            ) from None
        except (StorageInternalError, SQLAlchemyError, sqlite3.Error, OSError) as error:
            reason = str(error.__cause__ or error).partition("\n")[0]
            raise ModelError(
                f"{self._path}: cannot be read or written: {reason}; free some space or check its permissions and give"
                " the same command again, or start over with --force"
            ) from None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """As `_guarded`, for what changes the trials, which are read again then."""
        self._found = None
        with self._guarded():
            yield

    def _all(self) -> list[FrozenTrial]:
        """Return all trials by number. No other process changes the file, so they are read once after each change."""
        if self._found is None:
            self._found = self._study.get_trials(deepcopy=False)
        return self._found

    def close(self) -> None:
        """Close the file."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def trials(self) -> list[Trial]:
        """Return all trials by number."""
        with self._guarded():
            return [self._read(one) for one in self._all()]

    def _read(self, found: FrozenTrial) -> Trial:
        states: dict[str, State] = {"COMPLETE": "finished", "PRUNED": "pruned", "FAIL": "failed"}
        attributes = found.user_attrs
        result = JobResult.from_json(json.loads(attributes[_RESULT])) if _RESULT in attributes else None
        scores = found.intermediate_values
        whole = len(found.params) == len(self._space.keys)
        is_finished = found.state.name == "COMPLETE"
        if (is_finished and found.values is None) or (found.state.is_finished() and not whole):
            raise ValueError(f"trial {found.number + 1} has no score, or not all values")
        return Trial(
            found.number + 1,
            states.get(found.state.name, "unfinished"),
            self._space.values(found.params) if whole else {},
            found.value if is_finished else max(scores.values(), default=None),
            result.epochs if result is not None else max(scores, default=0),
            float(attributes.get(_SECONDS, 0.0)),
            result,
            str(attributes.get(_ERROR, "")),
        )

    def begin(self) -> int:
        """Begin a trial, and return its number."""
        with self._guarded():
            n = len(self._all())
        with self._changing():
            self._study.sampler = self._sampler_of(n)
            trial = self._study.ask()
            self._open[trial.number + 1] = trial
            return trial.number + 1

    def values(self, number: int) -> dict[str, Any]:
        """Return the values of a trial that has begun; what an interruption kept from being drawn is drawn now."""
        with self._changing():
            trial = self._trial(number)
            drawn = {}
            for key, distribution in self._distributions.items():
                drawn[key] = _suggest(trial, key, distribution)
            return self._space.values(drawn)

    def _trial(self, number: int) -> optuna.Trial:
        if number not in self._open:
            self._study.sampler = self._sampler_of(number - 1)
            study = self._storage.get_study_id_from_name(_NAME)
            found = self._storage.get_trial_id_from_study_id_trial_number(study, number - 1)
            self._open[number] = optuna.Trial(self._study, found)
        return self._open[number]

    def _sampler_of(self, index: int) -> optuna.samplers.BaseSampler:
        """Return the sampler of a trial by its index from 0."""
        if self.sampler == "grid":
            return _fixed(self._space.at(index % (self._space.size or 1)))
        if index == 0 and self._first is not None:
            return _fixed(self._first)
        seed = int(np.random.SeedSequence(self._seed, spawn_key=(index,)).generate_state(1)[0])
        if self.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        # Trials that run side by side are taken for bad ones, so that others are not drawn beside them.
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)

    def reported(self, number: int) -> set[int]:
        """Return the epochs of a trial whose scores are known."""
        if number not in self._epochs:
            with self._guarded():
                self._epochs[number] = set(self._all()[number - 1].intermediate_values)
        return self._epochs[number]

    def report(self, number: int, epoch: int, score: float) -> None:
        """Store the score of an epoch."""
        known = self.reported(number)
        with self._changing():
            self._trial(number).report(score, epoch)
        known.add(epoch)

    def should_prune(self, number: int) -> bool:
        """Return whether a trial is so bad after its last epoch that it is to be stopped.

        So it is if its best score is below the median of the finished trials at that epoch (the median stopping rule
        of Golovin et al., Google Vizier, KDD 2017, with the scores of an epoch in place of their running means).
        """
        if max(self.reported(number), default=0) < FIRST_STOPPED:
            return False  # the pruner would say so too, once it had read all trials
        with self._guarded():
            return self._trial(number).should_prune()

    def finish(self, number: int, score: float, result: JobResult, seconds: float) -> None:
        """Store the result of a trial."""
        with self._changing():
            trial = self._trial(number)
            trial.set_user_attr(_ERROR, "")  # it may have failed before
            trial.set_user_attr(_RESULT, json.dumps(result.to_json()))
            trial.set_user_attr(_SECONDS, seconds)
            self._study.tell(number - 1, score)

    def prune(self, number: int, seconds: float) -> None:
        """Note that a trial was stopped."""
        with self._changing():
            trial = self._trial(number)
            trial.set_user_attr(_ERROR, "")
            trial.set_user_attr(_SECONDS, seconds)
            self._study.tell(number - 1, state=TrialState.PRUNED)

    def fail(self, number: int, error: str, seconds: float) -> None:
        """Note that a trial failed."""
        with self._changing():
            trial = self._trial(number)
            trial.set_user_attr(_ERROR, error)
            trial.set_user_attr(_SECONDS, seconds)
            self._study.tell(number - 1, state=TrialState.FAIL)

    def note_failure(self, number: int, error: str) -> None:
        """Store why a trial failed that is to be repeated."""
        with self._changing():
            self._trial(number).set_user_attr(_ERROR, error)

    def importances(self) -> dict[str, float] | None:
        """Return the share of each key in the variance of the scores, the largest first; None if too little is known.

        The shares are those of the main effects in a functional analysis of variance of a forest that is fitted to the
        finished trials (fANOVA, Hutter et al., ICML 2014).
        """
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        finished = [one for one in self.trials() if one.state == "finished"]
        if len(finished) < _TO_WEIGH or len({one.score for one in finished}) < 2:
            return None
        with self._guarded():
            found = get_param_importances(self._study, evaluator=FanovaImportanceEvaluator(seed=0))
        return {key: float(share) for key, share in found.items()}


def _distribution(found: Choices | Range) -> BaseDistribution:
    if isinstance(found, Choices):
        return CategoricalDistribution(found.names)
    if found.whole:
        return IntDistribution(int(found.low), int(found.high), log=found.log, step=int(found.step or 1))
    return FloatDistribution(float(found.low), float(found.high), log=found.log, step=found.step)


def _suggest(trial: optuna.Trial, key: str, distribution: Any) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(key, distribution.choices)
    how = {"step": distribution.step, "log": distribution.log}
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(key, distribution.low, distribution.high, **how)
    return trial.suggest_float(key, distribution.low, distribution.high, **how)


def _fixed(values: Mapping[str, Any]) -> optuna.samplers.BaseSampler:
    """Return a sampler that always gives the same values."""
    return optuna.samplers.PartialFixedSampler(dict(values), optuna.samplers.RandomSampler(seed=0))
