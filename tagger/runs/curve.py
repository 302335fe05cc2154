"""Trainings on shares of the training data, and the learning curve that follows from their scores."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagger.config.keys import Config
from tagger.config.loading import with_model_dir
from tagger.corpus.dataset import Corpus, held_out
from tagger.errors import ConfigError, DataError
from tagger.evaluation.learning_curve import Estimate, LearningCurve, Point, fit
from tagger.runs.job import Job, JobResult
from tagger.runs.plan import RunsDirectory, plan_of
from tagger.runs.runner import Machines, ThisMachine, Watcher, run_all
from tagger.training.corpora import Tell, load_training_data
from tagger.training.rows import Rows
from tagger.wording import counted

SHARES = (10, 20, 30, 50, 70, 100)  # percent
_FEWEST = 10  # sentences of a share


@dataclasses.dataclass(frozen=True, kw_only=True)
class CurveSettings:
    """The settings of a learning curve.

    Attributes:
        directory: the place of its models and results.
        shares: the shares of the training data, in percent.
        repeats: the number of trainings on each share, each with sentences and a seed of its own.
        at_once, device, resume, force, machines: as in `runs.crossval.CrossSettings`.
    """

    directory: Path
    shares: Sequence[int] = SHARES
    repeats: int = 3
    at_once: int | None = None
    device: str = "auto"
    resume: bool = False
    force: bool = False
    machines: Machines = dataclasses.field(default_factory=ThisMachine)


@dataclasses.dataclass(frozen=True)
class Curve:
    """The scores on dev by the number of sentences, and the curve through them.

    Attributes:
        points: the scores, by size.
        fitted: the curve.
        what: the name of the score, `F1` or `accuracy`.
        results: the trainings.
    """

    points: list[Point]
    fitted: LearningCurve
    what: str
    results: list[JobResult]

    @property
    def n(self) -> int:
        """The number of sentences that there are."""
        return self.points[-1].n

    def doubled(self) -> Estimate | None:
        """Return the expected gain of twice the sentences; None if the scores say nothing of it."""
        learned = any(score > 0 for point in self.points for score in point.scores)
        return self.fitted.gain(self.n, 2 * self.n) if self.fitted.grows and learned else None

    def sentence(self) -> str:
        """Return what more labels would bring, in words."""
        gain = self.doubled()
        if gain is None:
            why = "the scores fall with more labels" if not self.fitted.grows else "all scores are 0"
            return f"{why}, so nothing can be said of twice the labels; train longer, or raise --repeats or --shares"
        return (
            f"twice the labels ({2 * self.n:,} sentences) would bring about {100 * gain.value:+.1f}"
            f" (±{100 * gain.margin:.1f}) points of dev {self.what}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the object that `tagger curve --json` prints."""
        return {
            "score": self.what,
            "points": [
                {"sentences": point.n, "scores": list(point.scores), "mean": point.mean} for point in self.points
            ],
            "noise": self.fitted.noise,
            "fitted": [
                {"sentences": n, **dataclasses.asdict(self.fitted.at(n))}
                for n in (*(point.n for point in self.points), 2 * self.n, 4 * self.n)
            ],
            "gain_of_twice_the_labels": None if (gain := self.doubled()) is None else dataclasses.asdict(gain),
        }


def learning_curve(
    config: Config,
    settings: CurveSettings,
    watcher: Watcher,
    *,
    note: Tell,
    warn: Tell,
    should_stop: Callable[[], bool] = lambda: False,
) -> Curve | None:
    """Train on shares of the training data and fit a curve to the scores on dev; return None if it was stopped.

    If `data.dev` is a fraction, the same sentences are held out for all shares.

    Raises:
        TaggerError: there is no dev set, there are too few sentences, or a training failed.
    """
    if config.data.dev is None:
        raise ConfigError("data.dev: found null, expected a dev set, which the curve is measured on; set data.dev")
    shares = sorted(set(settings.shares))
    if len(shares) < 3 or shares[0] < 1 or shares[-1] > 100:
        raise ConfigError(
            f"--shares: found {', '.join(map(str, settings.shares))}, expected at least three different percentages"
            " from 1 to 100"
        )
    if config.training.seed + settings.repeats > 1 << 31:
        raise ConfigError(
            f"--repeats: found {counted(settings.repeats, 'seed')} from training.seed {config.training.seed} on,"
            f" expected seeds below {1 << 31}; lower training.seed"
        )
    directory = RunsDirectory(settings.directory)
    with directory.lock():
        jobs, sizes = _jobs(config, settings, shares, note, warn)
        plan = plan_of("curve", config, jobs, **{"--shares": list(shares), "--repeats": settings.repeats})
        resources = settings.machines.share_out(config, len(jobs), at_once=settings.at_once, device=settings.device)
        resources = directory.begin_with(plan, resources, config, resume=settings.resume, force=settings.force)
        jobs = [job.ready(resources.threads, plan["data"]) for job in jobs]
        results = run_all(
            jobs, settings.directory, resources, watcher, should_stop=should_stop, machines=settings.machines
        )
    if len(results) < len(jobs):
        return None
    return _curve(results, [sizes[job.name] for job in jobs])


def _curve(results: list[JobResult], sizes: Sequence[int]) -> Curve:
    by_size: dict[int, list[float]] = {}
    has_spans = True
    for result, n in zip(results, sizes, strict=True):
        if result.dev is None:
            raise DataError(f"{result.name}: found no score on dev, expected one")
        by_size.setdefault(n, []).append(result.dev.score)
        has_spans = has_spans and result.dev.has_spans
    points = [Point(n, tuple(scores)) for n, scores in sorted(by_size.items())]
    return Curve(points, fit(points), "F1" if has_spans else "accuracy", results)


def _jobs(
    config: Config, settings: CurveSettings, shares: Sequence[int], note: Tell, warn: Tell
) -> tuple[list[Job], dict[str, int]]:
    """Return the trainings, the largest first, because they take longest, and the number of sentences of each."""
    corpus = load_training_data(config.data, config.training.seed, note, warn).train
    pool, dev = _with_dev(corpus, config)
    sizes = {share: round(len(pool) * share / 100) for share in shares}
    if len(set(sizes.values())) < len(sizes):
        one, other = next((one, other) for one, other in itertools.pairwise(shares) if sizes[one] == sizes[other])
        raise DataError(
            f"{corpus.path}: found {counted(len(pool), 'sentence')} to train on, of which {one} % and {other} % are the"
            f" same {sizes[one]}, expected different numbers; leave one of --shares out"
        )
    if min(sizes.values()) < _FEWEST:
        raise DataError(
            f"{corpus.path}: found {counted(len(pool), 'sentence')} to train on, of which {min(shares)} % are"
            f" {min(sizes.values())}, expected at least {_FEWEST}; raise the lowest of --shares"
        )
    jobs, of_job = [], {}
    for share in reversed(shares):
        for repeat in range(settings.repeats):
            seed = config.training.seed + repeat
            name = f"share-{share:03d}-seed-{seed}"
            own = with_model_dir(config, settings.directory / name)
            data = own.data.model_copy(update={"test": None})
            training = own.training.model_copy(update={"seed": seed})
            own = own.model_copy(update={"data": data, "training": training})
            # The shares of a seed contain each other, so that they differ by their size alone.
            order = np.random.default_rng([seed, len(pool)]).permutation(pool)
            rows = Rows(sorted(int(i) for i in order[: sizes[share]]), dev)
            jobs.append(Job(name, own, rows, settings.device))
            of_job[name] = sizes[share]
    return jobs, of_job


def _with_dev(corpus: Corpus, config: Config) -> tuple[list[int], list[int] | None]:
    """Return the sentences that shares are drawn from, and those of dev if it is a fraction of the training data."""
    if not isinstance(config.data.dev, float):
        return list(range(len(corpus))), None
    dev = held_out(len(corpus), config.data.dev, config.training.seed)
    return [int(i) for i in np.flatnonzero(~dev)], [int(i) for i in np.flatnonzero(dev)]
