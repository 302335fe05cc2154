"""The settings of a sweep, and what must be the same for it to be continued."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tagger.config.keys import Config
from tagger.errors import ConfigError
from tagger.runs.plan import file_checksum, plan_of
from tagger.runs.runner import Machines, ThisMachine
from tagger.sweep.space import Choices, Space, files_in
from tagger.sweep.study import Sampler
from tagger.vectors.table import VOCABULARY_SUFFIXES

TRIALS = 20  # unless the user says how many


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepSettings:
    """The settings of a sweep.

    Attributes:
        directory: the place of the trials.
        trials: the number of trials in all; None for `TRIALS` or, with a grid, for all combinations.
        minutes: after this time no further trial begins; None for no limit.
        sampler: how values are chosen.
        seed: the seed of the choice; None for that of the config.
        prune: whether trials that fall behind are stopped.
        at_once, device, force, machines: as in `runs.crossval.CrossSettings`.
    """

    directory: Path
    trials: int | None = None
    minutes: float | None = None
    sampler: Sampler = "tpe"
    seed: int | None = None
    prune: bool = True
    at_once: int | None = None
    device: str = "auto"
    force: bool = False
    machines: Machines = dataclasses.field(default_factory=ThisMachine)


def first_sampler(space: Space, settings: SweepSettings) -> Sampler:
    """Return how a sweep that begins chooses its values: if they are few, it tries all combinations.

    Raises:
        ConfigError: a grid is asked for, and there is no end of the values.
    """
    size = space.size
    if settings.sampler == "grid" and size is None:
        raise ConfigError(
            f"{space.where(str(space.endless()))}: {space.endless()}: found a range without a step, expected values"
            " that can be listed for --sampler grid; add a step, or leave out --sampler"
        )
    if size is None or settings.sampler == "grid" or size > (settings.trials or TRIALS):
        return settings.sampler
    return "grid"


def n_trials(space: Space, settings: SweepSettings, sampler: Sampler) -> int:
    """Return the number of trials in all."""
    if sampler == "grid" and space.size is not None:
        return min(settings.trials or space.size, space.size)
    return settings.trials or TRIALS


def sweep_plan(config: Config, space: Space, settings: SweepSettings) -> dict[str, Any]:
    """Return what must be the same for a sweep to be continued."""
    chosen = {f"the values of {key}": str(found) for key, found in space.keys.items()}
    for key, found in space.keys.items():
        if isinstance(found, Choices):
            files = [Path(file) for value in found.values for file in files_in(key, value)]
            # Vectors in .npy have their tokens in a file beside them.
            beside = [file.with_suffix(end) for file in files if file.suffix == ".npy" for end in VOCABULARY_SUFFIXES]
            chosen |= {f"{key} {file}": file_checksum(file) for file in [*files, *beside]}
    options = {"--sampler": settings.sampler, "--seed": settings.seed, "--no-prune": not settings.prune}
    # A grid counts combinations in this order.
    return plan_of("sweep", config, [], **chosen, **options, **{"the keys in their order": ", ".join(space.keys)})
