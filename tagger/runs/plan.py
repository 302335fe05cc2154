"""The plan of many trainings, stored in their directory, so that what was interrupted is continued and nothing else."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tagger import __version__
from tagger.atomic import write_atomically
from tagger.config.keys import Config
from tagger.corpus.lines import files_of
from tagger.errors import ConfigError, DataError, ModelError
from tagger.locks import FileLock
from tagger.model_dir.checkpoints import InUseError
from tagger.runs.job import Job
from tagger.runs.orphans import wait_for_orphan
from tagger.runs.resources import Resources
from tagger.training.settings import differences, settings_of
from tagger.vectors.table import VOCABULARY_SUFFIXES

_PLAN, _LOCK = "plan.json", "lock"
_FORMAT = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9.%-]*")  # of a job
_PATHS = ("train", "dev", "test")


def plan_of(command: str, config: Config, jobs: Sequence[Job], **choices: Any) -> dict[str, Any]:
    """Return the plan of trainings: what must be the same for them to be continued.

    Args:
        command: the command, such as `crossval`.
        choices: the options of the command that decide what is trained.
    """
    # A key that is not set is left out, so that trainings of a version that did not have it can be continued.
    reading = {
        f"data.{key}": value
        for key, value in config.data.model_dump(mode="json", exclude_none=True).items()
        if key not in _PATHS
    }
    # One training could change its model to other weights; the scores of several are of one kind.
    weights = {} if config.output.quantize is None else {"output.quantize": config.output.quantize}
    return {
        "format": _FORMAT,
        "command": command,
        "tagger": __version__,
        "settings": settings_of(config) | reading | weights | choices,
        "data": data_checksums(config),
        "runs": {job.name: job.checksum for job in jobs},
    }


def data_checksums(config: Config) -> dict[str, str]:
    """Return a checksum of the content of the files that a config names, by key."""
    data, vectors, features = config.data, config.embeddings.path, config.features
    files = {"data.train": data.train, "data.dev": data.dev, "data.test": data.test, "embeddings.path": vectors}
    files |= {f"features.lists.{name}": path for name, path in features.lists.items()}
    files |= {"features.clusters": features.clusters}
    if vectors is not None and vectors.endswith(".npy"):
        files |= {
            f"the tokens of embeddings.path in {suffix}": str(Path(vectors).with_suffix(suffix))
            for suffix in VOCABULARY_SUFFIXES
        }
    return {
        key: ", ".join(file_checksum(Path(path)) for path in files_of(paths))
        for key, paths in files.items()
        if isinstance(paths, str | list)
    }


def file_checksum(path: Path) -> str:
    """Return a checksum of the content of a file, or of all files in a folder, as a text."""
    try:
        if path.is_dir():
            parts = [
                f"{file.relative_to(path)} {file_checksum(file)}" for file in sorted(path.rglob("*")) if file.is_file()
            ]
            return f"SHA-256 {hashlib.sha256(chr(10).join(parts).encode(errors='replace')).hexdigest()[:16]}"
        if not path.is_file():  # reading it will be an error that says so
            return "no file"
        with path.open("rb") as file:
            return f"SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; check the path and its permissions") from None


class RunsDirectory:
    """The directory of many trainings.

    Args:
        path: the directory; it is made if it is not there.
        option: the option that names it, for messages.
        results: the names of the files that the command makes of the results of all trainings.
        trainings: a pattern of the names of trainings that are not in the plan, because they follow from others.
        resume: the option that says that trainings are continued, for messages.
    """

    def __init__(
        self,
        path: Path,
        option: str = "--runs",
        *,
        results: Sequence[str] = (),
        trainings: re.Pattern[str] | None = None,
        resume: str = "--resume",
    ) -> None:
        self.path, self._option, self._results, self._resume = path, option, results, resume
        self._trainings = trainings

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep every other command away from the directory.

        Raises:
            ModelError: another command works there, or nothing can be written.
        """
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        lock = self._hold()
        try:
            yield
        finally:
            has_failed = False  # before it began
            with contextlib.suppress(OSError):
                has_failed = [path.name for path in self.path.iterdir()] == [_LOCK]
            lock.release(remove=has_failed)
            if has_failed:
                with contextlib.suppress(OSError):
                    for path in made:
                        path.rmdir()

    def _hold(self) -> FileLock:
        try:
            lock = FileLock.take(self.path / _LOCK)
        except OSError as error:
            raise ModelError(
                f"{self.path}: cannot be written: {error.strerror}; choose another place with {self._option}"
            ) from None
        if lock is None:
            raise ModelError(
                f"{self.path}: another command is training there, expected none; wait for it, or choose another"
                f" place with {self._option}"
            )
        return lock

    def begin(self, plan: Mapping[str, Any], *, resume: bool, force: bool) -> bool:
        """Store the plan, or compare it with the one that is there; return whether trainings are continued.

        Args:
            resume: continue what is there; start if there is nothing.
            force: remove what is there and start over.

        Raises:
            ConfigError: something is there that is not to be continued, or cannot be.
        """
        before = self._stored()
        for name in self._half_written():
            (self.path / name).unlink(missing_ok=True)
        if before is not None and resume and not force:
            self._require_same(before, plan)
            return True
        if before is not None and not force:
            raise ConfigError(
                f"{self.path}: found trainings of an earlier command, expected none; continue them or show their"
                " results with --resume, or start over with --force"
            )
        if before is None:
            self._require_empty()
        self._remove(before or {})
        text = json.dumps(plan, indent=1, default=str).encode() + b"\n"
        write_atomically(self.path / _PLAN, text)
        return False

    def _half_written(self) -> list[str]:
        """Return the names that a plan or results had in commands that were killed while they wrote them."""
        names = "|".join(map(re.escape, [_PLAN, *self._results]))
        return [path.name for path in self.path.iterdir() if re.fullmatch(rf"\.({names})\.\d+\.new", path.name)]

    def begin_with(
        self, plan: Mapping[str, Any], resources: Resources, config: Config, *, resume: bool, force: bool
    ) -> Resources:
        """Begin, and return the resources with the threads that earlier trainings had.

        Another number would change the last bits. If the config sets a number, that one is used.

        Raises:
            ConfigError, ModelError: as in `begin`.
        """
        self.begin({**plan, "threads": resources.threads}, resume=resume, force=force)
        stored = (self._stored() or {}).get("threads")
        threads = config.training.threads or (stored if isinstance(stored, int) else resources.threads)
        return dataclasses.replace(resources, threads=threads)

    def _stored(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / _PLAN).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ModelError(f"{self.path / _PLAN}: cannot be read: {error.strerror}; check its permissions") from None
        except ValueError:
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("runs"), dict):
            raise ConfigError(
                f"{self.path / _PLAN}: is damaged, expected the plan of trainings; delete {self.path}, or choose"
                f" another place with {self._option}"
            )
        return found

    def _require_same(self, before: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
        now = json.loads(json.dumps(plan, default=str))
        found: list[str] = []
        for key in ("command", "format"):
            if before.get(key) != now[key]:
                found.append(f"{key}: found {now[key]}, expected {before.get(key)}, as in the trainings so far")
        for key in ("settings", "data", "runs"):
            found += differences(before.get(key, {}), now[key])
        if found:
            raise ConfigError(
                f"{self._resume}: {found[0]}; change it back, or start over with --force", detail=found[1:]
            )

    def _require_empty(self) -> None:
        others = sorted(path.name for path in self.path.iterdir() if path.name != _LOCK)
        if others:
            raise ConfigError(
                f"{self.path}: found {others[0]} in it, expected nothing but trainings of this command; choose another"
                f" place with {self._option}"
            )

    def _remove(self, before: Mapping[str, Any]) -> None:
        """Remove the files of earlier trainings.

        The results go first: after an interruption the earlier plan is still there, and what it lacks is trained again.
        """
        names = [name for name in before.get("runs", {}) if _NAME.fullmatch(name)]
        if before and self._trainings is not None:
            stems = {path.name.removesuffix(path.suffix) for path in self.path.iterdir()}
            names += [name for name in sorted(stems - set(names)) if self._trainings.fullmatch(name)]
        for name in names:
            wait_to_remove(self.path / name)
        for name in self._results if before else ():
            (self.path / name).unlink(missing_ok=True)
        for suffix in (".json", ".log"):
            for name in names:
                (self.path / f"{name}{suffix}").unlink(missing_ok=True)
        for name in names:
            remove_training(self.path / name)


def wait_to_remove(model_dir: Path) -> None:
    """Wait until no training whose parent was killed writes a model.

    Raises:
        InUseError: one still does after some time.
    """
    if model_dir.with_name(f"{model_dir.name}.training").is_dir():
        try:
            wait_for_orphan(model_dir)
        except InUseError:
            raise
        except ModelError:
            pass  # the directory is not one of a training


def remove_training(model_dir: Path) -> None:
    """Remove the model of a training, and its states."""
    for suffix in ("", ".training", ".previous"):
        shutil.rmtree(model_dir.with_name(f"{model_dir.name}{suffix}"), ignore_errors=True)
