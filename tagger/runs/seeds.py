"""Training with several seeds, which shows how much scores vary and keeps the best model.

Each seed is trained in a directory of its own beside the model's and can be resumed there: one after the other in this
process, or several at once in processes of their own. The results of the finished seeds are the state of the whole
training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tagger import __version__
from tagger.config.keys import Config
from tagger.errors import ConfigError, ModelError
from tagger.machine import available_cores
from tagger.model_dir.checkpoints import Checkpoints, State, directory_of
from tagger.network.distributed import read_task
from tagger.prediction.onnx_session import load_predictor
from tagger.runs.job import checksum_of_model
from tagger.runs.plan import data_checksums, file_checksum
from tagger.runs.seed_directories import check_kept
from tagger.runs.seeds_run import SeedsParts, SeedsRun, SideBySide, best_of, publish_seed
from tagger.training.init_from import InitFrom
from tagger.training.listener import Listener
from tagger.training.old_model import OPTION, load_old_model, with_settings_of
from tagger.training.replacing import Place, Replacing
from tagger.training.resume import STATE_FORMAT, check_same, state_to_begin_with, with_choices_of, with_threads_of
from tagger.training.seeds_outcome import SeedRun, SeedsOutcome
from tagger.training.settings import settings_of
from tagger.wording import counted


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
            config = with_choices_of(state, with_threads_of(state, config, listener.warn))
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
            check_kept(model_dir, range(first, first + n), runs, checkpoints, listener.warn)
        config_file = replacing.config_file if replacing is not None else None
        seeds = SeedsRun(
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
    best = best_of(runs)
    if best is None:
        return
    own = directory_of(place.directory, best.seed)
    expected = place.directory if place.replaced is None else own
    if _is_model_of(best, own):  # interrupted before the model was copied, or before its own directory was removed
        if place.replaced is None:
            publish_seed(own, place)
    elif not _is_model_of(best, expected):
        raise ModelError(
            f"{expected}: found no complete model of seed {best.seed} (dev {100 * best.dev:.2f}), expected it because"
            f" it is the best so far; restore it, or delete {checkpoints.directory} and give the same command again to"
            " start over"
        )


def _check_weights(place: Place, runs: Sequence[SeedRun], config: Config) -> None:
    """Raise ConfigError if the finished seeds have other weights than the config asks for: 8-bit or 32-bit ones."""
    best, asked = best_of(runs), config.output.quantize
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


def _is_model_of(run: SeedRun, directory: Path) -> bool:
    try:
        load_predictor(directory)
    except ModelError:
        return False
    return checksum_of_model(directory) == run.model


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
