"""The directories of seeds: those in which they are trained, and those in which their models are kept."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable, Sequence
from pathlib import Path

from tagger.atomic import check_replaceable
from tagger.errors import ModelError
from tagger.filesystem import relative_path
from tagger.model_dir.checkpoints import Checkpoints
from tagger.model_dir.files import MANIFEST, MODEL_FILES
from tagger.runs.job import checksum_of_model
from tagger.training.seeds_outcome import SeedRun
from tagger.wording import listed


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
        log_of(directory).unlink(missing_ok=True)


def kept_directory(model_dir: Path, seed: int) -> Path:
    """Return the directory in which the model of a seed is kept: beside the model, as relative paths need it."""
    return model_dir.with_name(f"{model_dir.name}.seed-{seed}")


def kept_seeds(model_dir: Path) -> list[Path]:
    """Return the directories of the seeds that are kept of a model, in the order of the seeds."""
    prefix = f"{model_dir.name}.seed-"
    found = [path for path in model_dir.parent.glob(f"{glob.escape(prefix)}*") if (path / MANIFEST).is_file()]
    numbered = {int(number): path for path in found if (number := path.name.removeprefix(prefix)).isdecimal()}
    return [numbered[seed] for seed in sorted(numbered)]


def log_of(directory: Path) -> Path:
    """Return the file for the messages of a seed that is trained in a process of its own."""
    return directory.with_name(f"{directory.name}.log")


def check_kept(
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
    if others := [relative_path(path) for path in kept_seeds(model_dir) if path not in ours]:
        warn(
            f"--keep-seeds: found models of another training: {listed(others)}; tagger distill would learn from them"
            " too, so delete them, or name the teachers with --teachers"
        )
