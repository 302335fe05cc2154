"""The config of the best trial, as a file that `tagger train` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tagger.config.file import yaml_value
from tagger.config.keys import Config
from tagger.config.paths import PATH_KEYS
from tagger.filesystem import relative_path
from tagger.sweep.space import Choices, Range, Space
from tagger.sweep.study import Trial
from tagger.wording import visible


def best_config(config: Config, space: Space, trial: Trial, folder: Path) -> str:
    """Return a config as YAML, with a comment at each value that was found.

    Args:
        config: the config with the values of the trial.
        folder: the folder of the file, to which paths are relative.
    """
    lines = [
        f"# Trial {trial.number} of tagger sweep, dev {100 * (trial.score or 0):.2f}.",
        "# The sweep replaces this file when it finds a better config. To change the file, copy it.",
    ]
    for section, values in config.model_dump(mode="json", exclude_unset=True).items():
        rows = [
            _row(f"{section}.{key}", value, space, folder)
            for key, value in values.items()
            if (section, key) != ("output", "model_dir")  # that of the config holds another model
        ]
        lines += [f"{section}:", *rows] if rows else []
    return "".join(f"{visible(line)}\n" for line in lines)


def _row(key: str, value: Any, space: Space, folder: Path) -> str:
    if key in PATH_KEYS and not (key == "data.names" and isinstance(value, list)):  # those are no files
        value = _relative(folder, value)
    text = f"  {key.partition('.')[2]}: {yaml_value(value)}"
    if key in space.keys:
        return f"{text}  # found among {_shown(key, space.keys[key], folder)}"
    if key == "training.threads":
        return f"{text}  # as in the sweep; another number changes the last bits"
    return text


def _shown(key: str, among: Choices | Range, folder: Path) -> str:
    if key not in PATH_KEYS or isinstance(among, Range):
        return str(among)
    return yaml_value([_relative(folder, value) for value in among.values])


def _relative(folder: Path, value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _relative(folder, one) for name, one in value.items()}
    if isinstance(value, list):
        return [_relative(folder, one) for one in value]
    if not isinstance(value, str):
        return value
    path = relative_path(value, folder)
    return f"./{path}" if path.startswith("~") else path
