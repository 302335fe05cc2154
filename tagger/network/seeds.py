"""The same training with several seeds: how much of a score is luck, and the best of the models."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tagger.config import Config, with_model_dir
from tagger.errors import ConfigError, TaggerError
from tagger.evaluation.run import evaluate_file
from tagger.network.distribution import read_task
from tagger.network.history import score_of
from tagger.network.pipeline import train
from tagger.network.resuming import state_to_begin_with
from tagger.network.run import Listener
from tagger.runtime.checkpoints import Checkpoints
from tagger.runtime.engine import load_predictor
from tagger.runtime.model_saving import check_place
from tagger.runtime.publish import replace_directory


@dataclasses.dataclass(frozen=True)
class SeedRun:
    """What one seed came to.

    Attributes:
        dev, test: F1 (accuracy where that decides) as fractions; no test without a test file.
    """

    seed: int
    epoch: int
    dev: float
    test: float | None


@dataclasses.dataclass(frozen=True)
class SeedsOutcome:
    """All finished runs; `best` is the one whose model was kept: None if not one was finished."""

    model_dir: Path
    runs: list[SeedRun]
    best: SeedRun | None
    stopped: bool


def train_seeds(
    config: Config,
    n: int,
    listener: Listener,
    *,
    device: str = "auto",
    should_stop: Callable[[], bool] = lambda: False,
) -> SeedsOutcome:
    """Train with the seeds from `training.seed` on, and keep the model that is best on dev.

    A seed decides the dev set too, where it is a fraction of the training data.

    Raises:
        TaggerError: as `pipeline.train`; ConfigError: there are several workers.
    """
    if len(read_task().workers) > 1:
        raise ConfigError("--seeds: found several workers in TF_CONFIG, expected one; train each seed by itself")
    if config.data.dev is None:
        raise ConfigError("--seeds: found data.dev null, expected a dev set to choose the best model by; give one")
    model_dir = Path(str(config.output.model_dir))
    check_place(model_dir)
    first = config.training.seed
    if first + n > 1 << 31:
        raise ConfigError(
            f"--seeds: found {n} from training.seed {first} on, expected seeds below {1 << 31}; take lower ones"
        )
    checkpoints = Checkpoints(model_dir)
    with checkpoints.lock():
        state_to_begin_with(checkpoints, resume=False, warn=listener.warn)
        return _train_each(config, n, listener, device, should_stop)


def _train_each(
    config: Config, n: int, listener: Listener, device: str, should_stop: Callable[[], bool]
) -> SeedsOutcome:
    model_dir, first, runs, best = Path(str(config.output.model_dir)), config.training.seed, list[SeedRun](), None
    for seed in range(first, first + n):
        listener.note(f"seed {seed} ({seed - first + 1} of {n})")
        try:
            with _beside(model_dir, seed) as directory:
                own = with_model_dir(_with_seed(config, seed), directory)
                outcome = train(own, listener, device=device, should_stop=should_stop)
                if outcome.best is None or (outcome.stopped and runs):
                    return SeedsOutcome(model_dir, runs, best, stopped=True)
                place, run = directory, SeedRun(seed, outcome.best.epoch, float(outcome.best.dev_score or 0), None)
                if best is None or run.dev > best.dev:
                    replace_directory(directory, model_dir)
                    place, best = model_dir, run
                run = dataclasses.replace(run, test=_test_score(place, config.data.test))
        except TaggerError as error:
            if best is None:
                raise
            kept = f"the model of seed {best.seed}, dev {100 * best.dev:.2f}, is in {model_dir}"
            raise TaggerError(f"seed {seed}: {error.message}", detail=[*error.detail, kept]) from None
        runs.append(run)
        test = "" if run.test is None else f", test {100 * run.test:.2f}"
        listener.note(f"seed {seed}: dev {100 * run.dev:.2f} (epoch {run.epoch}){test}")
        if outcome.stopped:
            return SeedsOutcome(model_dir, runs, best, stopped=True)
    return SeedsOutcome(model_dir, runs, best, stopped=False)


@contextlib.contextmanager
def _beside(model_dir: Path, seed: int) -> Iterator[Path]:
    """A directory of this run's own, beside the model's: paths in a model are relative to it, and it can be renamed."""
    target = model_dir.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f".{target.name}.seed-{seed}.", dir=target.parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        Checkpoints(directory).remove()


def summarize(runs: Sequence[SeedRun]) -> list[str]:
    """Lines of the mean, standard deviation (of a sample), least and largest score, in percent."""
    lines = [f"{len(runs)} seeds   mean ± sd        min    max"]
    for name in ("dev", "test"):
        values = [100 * score for run in runs if (score := getattr(run, name)) is not None]
        if values:
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            lines.append(
                f"{name:8} {statistics.mean(values):5.2f} ± {spread:.2f}   {min(values):6.2f} {max(values):6.2f}"
            )
    return lines


def _with_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"training": config.training.model_copy(update={"seed": seed})})


def _test_score(directory: Path, test: str | None) -> float | None:
    if test is None:
        return None
    predictor = load_predictor(directory)
    return score_of(evaluate_file(predictor, test, predictor.model.manifest.layout))
