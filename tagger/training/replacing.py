"""The model that a training replaces: it stays in its directory until the new one is finished."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tagger.atomic import previous_of
from tagger.config.file import read_yaml
from tagger.config.keys import Config
from tagger.errors import ConfigError, ModelError
from tagger.filesystem import relative_path
from tagger.model_dir.files import CONFIG, MANIFEST, ModelFiles
from tagger.model_dir.store import check_place, publish_model

_DEV_DATA = "dev data"  # the key in the origin of the checksum of the dev sentences; they may be a part of data.train
_REMEDY = "name another directory with --model or output.model_dir, or pass --force to replace that model"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replacing:
    """The rules for a model that is in the directory when a training starts.

    Attributes:
        config_file: the config of the new training; a model that was trained with another one is not replaced.
        force: replace a model of another config or of other data too.
        keep_previous: keep the model that is replaced beside the new one.
        at_once: replace the model at the first epoch, because it belongs to the training itself.
    """

    config_file: Path | None = None
    force: bool = False
    keep_previous: bool = True
    at_once: bool = False


@dataclasses.dataclass(frozen=True)
class Standing:
    """A model in its directory, as far as its replacement depends on it.

    Attributes:
        checksum: SHA-256 of its manifest.
        dev: its scores on dev, by name; empty if the manifest is damaged.
        origin: the config and data that it was trained with, by key; empty if they are not known.
    """

    checksum: str
    dev: Mapping[str, float]
    origin: Mapping[str, str]

    def is_better_than(self, other: Standing) -> bool:
        """Return whether its score is better on the same dev data."""
        data, score = self.origin.get(_DEV_DATA), "f1" if "f1" in self.dev else "accuracy"
        comparable = data is not None and data == other.origin.get(_DEV_DATA) and score in other.dev
        return comparable and self.dev[score] > other.dev[score]


def standing_in(directory: Path) -> Standing | None:
    """Return the model in a directory, or None if there is none."""
    try:
        checksum = hashlib.sha256((directory / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None
    try:
        with ModelFiles(directory) as files:
            values = files.manifest()
    except ModelError:
        return Standing(checksum, {}, {})
    dev, origin = (found if isinstance(found := values.get(key), dict) else {} for key in ("dev", "origin"))
    return Standing(checksum, dev, origin or _origin_of_older(directory))


def _origin_of_older(directory: Path) -> dict[str, str]:
    """Return the paths in the config of a model whose manifest has no origin; they are relative to the model."""
    with contextlib.suppress(ConfigError):
        data = read_yaml(directory / CONFIG)[0].get("data")
        if isinstance(data, dict):
            return {f"data.{key}": data[key] for key in ("train", "dev") if isinstance(data.get(key), str)}
    return {}


def origin_of(config: Config, config_file: Path | None) -> dict[str, str]:
    """Return the config and the files that a model is trained with, as paths relative to the model, with checksums."""
    directory = os.path.realpath(str(config.output.model_dir))

    def relative(path: str | Path) -> str:
        # A manifest holds text only; backslashreplace: a path may be any bytes.
        return os.fsencode(relative_path(os.path.abspath(path), directory)).decode("utf-8", "backslashreplace")  # noqa: PTH100 (keeps links)

    found = {} if config_file is None else {"config": relative(config_file)}
    for key in ("train", "dev"):
        paths = _paths(getattr(config.data, key))
        if paths:
            found[f"data.{key}"] = "\n".join(map(relative, paths))
            found[f"data.{key} sha256"] = _checksum(map(Path, paths))
    return found


def _paths(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []


def _checksum(paths: Iterable[Path]) -> str:
    """Return a checksum of the content of files; empty if one cannot be read, which will be an error elsewhere."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            if not path.is_file():  # a pipe would be read to its end
                return ""
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError:
            return ""
    return digest.hexdigest()[:16]


class Place:
    """The directory of a model in training.

    If it holds a finished model when the training starts, that model stays there, and is replaced at the end.

    Args:
        directory: the model directory.
        rules: the rules for a model that is already there.
        write: writes the files of a model into its directory in one step.

    Attributes:
        replaced: the finished model that is still in the directory and is to be replaced at the end; None if the
            training may write there at once.
    """

    def __init__(
        self, directory: Path, rules: Replacing | None = None, *, write: Callable[..., None] = publish_model
    ) -> None:
        self.directory, self._rules, self._write = directory, rules or Replacing(), write
        self.replaced: Standing | None = None

    def check(self) -> None:
        """Check that the model can be written.

        Raises:
            ModelError: the directory holds something else, or cannot be written.
        """
        check_place(self.directory, keep_previous=self._rules.keep_previous and not self._rules.at_once)

    def begin(self, config: Config) -> None:
        """Begin a new training.

        Raises:
            ModelError: the directory holds a model of another config or of other data.
        """
        self.replaced = None if self._rules.at_once else standing_in(self.directory)
        if self.replaced is not None and not self._rules.force:
            _check_origin(self.replaced.origin, origin_of(config, self._rules.config_file), self.directory)

    def extend(self) -> None:
        """Continue a finished training: its model stays in place until the additional epochs are done."""
        self.replaced = None if self._rules.at_once else standing_in(self.directory)

    def resume(self, record: Mapping[str, Any], config: Config) -> None:
        """Continue a training.

        Args:
            record: that of its state.

        Raises:
            ModelError: since it was interrupted, a model of another config or of other data was put in the directory.
        """
        found = standing_in(self.directory)
        if found is None or self._rules.at_once or "replaces" not in record:  # a state of an older version
            return
        expected = record["replaces"]
        if expected is None:
            if not self._is_own(found, record, config):
                if not self._rules.force:
                    _check_origin(found.origin, origin_of(config, self._rules.config_file), self.directory)
                self.replaced = found
            return
        if found.checksum != expected:
            # Either this training was interrupted right after it had replaced the model, or somebody else did that.
            kept = standing_in(previous_of(self.directory))
            if kept is not None and kept.checksum == expected:
                return
        self.replaced = found

    def _is_own(self, found: Standing, record: Mapping[str, Any], config: Config) -> bool:
        """Return whether a model can be the best one so far of the training whose state has this record."""
        own = {key: value for key, value in origin_of(config, None).items() if key.endswith("sha256")}
        if any(found.origin.get(key, value) != value for key, value in own.items()):
            return False
        epoch, history = found.dev.get("epoch"), record.get("history")
        if epoch is None or not isinstance(history, list):
            return True
        if epoch == len(history) + 1:
            return True  # a model is written before the state, so it may be one epoch ahead
        try:
            dev = next(result["dev"] for result in history if result["epoch"] == epoch)
            return dev is None or bool(dev["accuracy"] == found.dev.get("accuracy"))
        except StopIteration:
            return False
        except (TypeError, LookupError):
            return True  # reading the state says what is wrong with it

    def to_json(self) -> dict[str, Any]:
        """Return what a state must hold for `resume`."""
        return {"replaces": None if self.replaced is None else self.replaced.checksum}

    def origin(self, config: Config, dev_data: str | None) -> dict[str, str]:
        """Return the origin of the new model for its manifest; `dev_data` describes its dev sentences."""
        return origin_of(config, self._rules.config_file) | ({_DEV_DATA: dev_data} if dev_data is not None else {})

    def would_improve(self, dev: Mapping[str, float], origin: Mapping[str, str]) -> bool:
        """Return whether an unfinished model with these scores and this origin may be put in place."""
        return self.replaced is None or Standing("", dev, origin).is_better_than(self.replaced)

    def publish(self, files: Mapping[str, bytes | memoryview], **options: Any) -> Path | None:
        """Put the files of a model in place in one step.

        Returns:
            The place of the model that was replaced if it was kept.
        """
        keep = self.replaced is not None and self._rules.keep_previous
        self._write(self.directory, files, keep_previous=keep, **options)
        self.replaced = None
        return previous_of(self.directory) if keep else None


def _check_origin(before: Mapping[str, str], now: Mapping[str, str], directory: Path) -> None:
    """Raise ModelError if a model comes from another config or from other data than the one that would replace it."""

    def shown(origin: Mapping[str, str], key: str) -> str:
        return ", ".join(relative_path(Path(os.path.realpath(directory), path)) for path in origin[key].split("\n"))

    if "config" in before and "config" in now and before["config"] != now["config"]:
        raise ModelError(
            f"{directory}: found a model that was trained with {shown(before, 'config')}, expected one of"
            f" {shown(now, 'config')}; {_REMEDY}"
        )
    for key in ("data.train", "data.dev"):
        unreadable = now.get(f"{key} sha256") == ""  # an error of its own, when the file is read
        if key in before and key in now and before[key] != now[key] and not unreadable:
            known = before.get(f"{key} sha256") or _checksum(
                Path(os.path.realpath(directory), path) for path in before[key].split("\n")
            )
            if not known or known != now[f"{key} sha256"]:
                raise ModelError(
                    f"{directory}: found a model that was trained with {key} {shown(before, key)}, expected"
                    f" {shown(now, key)} or a file with the same content; {_REMEDY}"
                )
