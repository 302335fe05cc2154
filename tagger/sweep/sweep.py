"""A sweep: trainings with values that Optuna chooses, of which those that fall behind on dev are stopped early."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable

from tagger.config.keys import Config
from tagger.errors import ConfigError
from tagger.runs.plan import RunsDirectory
from tagger.runs.runner import refuse_cluster
from tagger.sweep.outcome import Outcome
from tagger.sweep.run import BEST, TRAININGS, SweepRun, Watcher
from tagger.sweep.settings import SweepSettings, first_sampler, n_trials, sweep_plan
from tagger.sweep.space import Space
from tagger.sweep.study import STUDY, Study
from tagger.training.corpora import Tell
from tagger.wording import counted

CHART = "importance.svg"
_FILES = (STUDY, f"{STUDY}-journal", BEST, CHART)


def sweep(
    config: Config,
    space: Space,
    settings: SweepSettings,
    watcher: Watcher,
    *,
    note: Tell,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome | None:
    """Search a space for the values that score best on dev; return None if it was stopped.

    What was done before in the same directory is continued. The test set is not read.

    Raises:
        TaggerError: the config has no dev set, something else is in the directory, or no training finishes.
    """
    refuse_cluster(os.environ)
    if config.data.dev is None:
        raise ConfigError("data.dev: found null, expected a dev set, which trials are compared on; set data.dev")
    searched = config.model_copy(update={"data": config.data.model_copy(update={"test": None})})
    settings = dataclasses.replace(settings, seed=searched.training.seed if settings.seed is None else settings.seed)
    sampler = first_sampler(space, settings)
    directory = RunsDirectory(
        settings.directory, "--study", results=_FILES, trainings=TRAININGS, resume=f"--study {settings.directory}"
    )
    with directory.lock():
        n = n_trials(space, settings, sampler)
        resources = settings.machines.share_out(searched, n, at_once=settings.at_once, device=settings.device)
        plan = sweep_plan(searched, space, settings)
        resources = directory.begin_with(plan, resources, searched, resume=True, force=settings.force)
        first = space.of(searched)
        study = Study(settings.directory / STUDY, space, sampler, settings.seed or 0, first)
        with contextlib.closing(study):
            if study.sampler == "grid" != settings.sampler:
                combinations = counted(space.size or 0, "combination")
                note(f"the space has {combinations}, so each is tried once, as with --sampler grid")
            if first is None and study.sampler != "grid":
                note("the values of the config are not in the space, so no trial has them")
            run = SweepRun(config, searched, space, settings, study, watcher, resources, note, clock)
            stopped = run.run(should_stop)
            return None if stopped else run.outcome()
