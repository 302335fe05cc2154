"""Configs read from files, with `--set` and the rules between keys, and written back."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydantic
import yaml

from tagger.architecture import Decoder
from tagger.config.file import parse_setting, put_setting, read_yaml
from tagger.config.keys import Config
from tagger.config.paths import PATH_KEYS, absolute, check_path, files_found, make_absolute
from tagger.config.problems import config_error, where_set
from tagger.corpus.labels import read_names
from tagger.errors import ConfigError


def load_config(path: str | Path, settings: Sequence[str] = ()) -> Config:
    """Read a config file and apply `--set key.path=value` settings to it.

    Relative paths in the file are relative to the file; relative paths in settings are relative to the working
    directory. The default of `output.model_dir` is models/<config name> in the working directory.

    Raises:
        ConfigError: the config is not valid; the message names the file, line and key, or the setting.
    """
    path = Path(path)
    values, lines = read_yaml(path, Config.model_fields)
    return config_of(values, settings, path=path, lines=lines)


def config_of(
    values: dict[str, Any],
    settings: Sequence[str] = (),
    *,
    path: Path,
    lines: dict[str, int] | None = None,
) -> Config:
    """Check the values of a config and apply `--set key.path=value` settings to them.

    Args:
        values: the values by section; they are changed.
        settings: the settings.
        path: the config file that has the values, or would have them; relative paths are relative to it.
        lines: the line of every key in it.

    Raises:
        ConfigError: as in `load_config`.
    """
    lines = lines or {}
    origins: dict[str, str] = {}
    for key in PATH_KEYS:
        make_absolute(values, key, path.parent)
    for setting in settings:
        key, value = parse_setting(setting)
        put_setting(values, key, value, setting)
        origins[key] = f"--set {setting[:80]}"
        for path_key in PATH_KEYS:
            if path_key == key or path_key.startswith(f"{key}.") or key.startswith(f"{path_key}."):
                make_absolute(values, path_key, Path())
    for name in Config.model_fields:
        if values.get(name, ...) is None:
            del values[name]  # a section without keys has all defaults
    try:
        config = Config.model_validate(values)
    except pydantic.ValidationError as error:
        raise config_error(error, Config, path, lines, origins) from None

    def where(key: str) -> str:
        return where_set(key, path, lines, origins)

    _check_together(config, where)
    for key in PATH_KEYS:
        section, _, name = key.partition(".")
        found = getattr(getattr(config, section), name)
        several = found.values() if isinstance(found, dict) else found if isinstance(found, list) else []
        for one in [found] if isinstance(found, str) else several:
            check_path(one, f"{where(key)}: {key}")
    found = {
        key: files_found(value, f"{where(f'data.{key}')}: data.{key}")
        for key in ("train", "dev", "test")
        if isinstance(value := getattr(config.data, key), str | list)
    }
    config = _with_names(config.model_copy(update={"data": config.data.model_copy(update=found)}))
    if config.output.model_dir is None:
        config = with_model_dir(config, Path("models", path.stem))
    return config


def _check_together(config: Config, where: Callable[[str], str]) -> None:
    """Raise ConfigError if keys do not go together.

    Args:
        where: returns where a key was set.
    """
    batch_size = config.training.batch_size
    if batch_size is not None and config.training.accumulate > batch_size:
        key = "training.accumulate"
        raise ConfigError(
            f"{where(key)}: {key}: found {config.training.accumulate}, expected at most"
            f" training.batch_size ({batch_size}): each part needs a sentence; use fewer parts"
        )
    if config.model.pretrained is not None and config.embeddings.source is not None:
        key = f"embeddings.{config.embeddings.source}"
        raise ConfigError(
            f"{where(key)}: {key}: found it with model.pretrained, which has vectors of its own, expected one of"
            f" them; delete the other, or pretrain with these vectors: tagger pretrain --set {key}=…"
        )
    if config.training.pretraining_epochs and config.begins_with is not None:
        raise ConfigError(
            f"{where('training.pretraining_epochs')}: training.pretraining_epochs: found it with {config.begins_with},"
            " expected one of them: each says what the embedding begins with; delete the other"
        )
    if config.model.decoder == Decoder.CRF and config.training.label_smoothing:
        key = "training.label_smoothing"
        raise ConfigError(
            f"{where(key)}: {key}: found {config.training.label_smoothing}, expected 0 with"
            " a CRF, which scores whole sequences; delete the key, or set model.decoder to constrained"
        )
    if config.output.quantize is not None and config.data.dev is None and config.output.quantize_loss < 100:
        key = "output.quantize"
        raise ConfigError(
            f"{where(key)}: {key}: found {config.output.quantize} without data.dev, expected"
            " a dev set to measure the loss of F1 on; set data.dev, or set output.quantize_loss to 100 to measure"
            " nothing"
        )


def _with_names(config: Config) -> Config:
    """Return the config with the names in the file that `data.names` names."""
    if not isinstance(config.data.names, str):
        return config
    names = list(read_names(config.data.names))
    return config.model_copy(update={"data": config.data.model_copy(update={"names": names})})


def with_model_dir(config: Config, model_dir: str | Path) -> Config:
    """Return the config with another model directory, relative to the working directory.

    Raises:
        ConfigError: no directory can have this name.
    """
    check_path(str(model_dir), "--model")
    output = config.output.model_copy(update={"model_dir": absolute(model_dir, Path())})
    return config.model_copy(update={"output": output})


def dump_config(config: Config, *, only_set: bool = False) -> str:
    """Return the config as YAML, with the value of every key, or only of those that are set.

    Keys that are set and those that have their defaults are not always the same: `model.embedding_dim` follows the
    pretrained vectors if it is not set.
    """
    return yaml.dump(config.model_dump(exclude_unset=only_set), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


def parse_config(text: str) -> Config:
    """Return the config that `dump_config` wrote."""
    return config_of(yaml.safe_load(text), path=Path("config.yaml"))


class _Dumper(yaml.SafeDumper):
    """A safe YAML dumper that writes a member of an enumeration as its name in the config."""


_Dumper.add_multi_representer(enum.StrEnum, lambda dumper, member: dumper.represent_str(member.value))


def config_keys() -> list[str]:
    """Return all keys as `section.key`, in the order of the config reference."""
    return [
        f"{name}.{key}"
        for name, section in Config.model_fields.items()
        for key in section.annotation.model_fields  # type: ignore[union-attr]
    ]
