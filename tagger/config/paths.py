"""The paths in a config: made absolute, checked, and found by globs."""

from __future__ import annotations

import contextlib
import glob
import os
from pathlib import Path
from typing import Any

from tagger.errors import ConfigError

PATH_KEYS = (
    "data.train", "data.dev", "data.test", "data.names", "embeddings.path", "features.lists", "features.clusters",
    "model.pretrained", "output.model_dir",
)  # fmt: skip


def make_absolute(values: dict[str, Any], key: str, base: Path) -> None:
    """Make the paths of a key absolute, in the values of a config by section; other keys stay as they are."""
    section, _, name = key.partition(".")
    inner = values.get(section)
    if key not in PATH_KEYS or not isinstance(inner, dict):
        return
    value = inner.get(name)
    if isinstance(value, str):
        inner[name] = absolute(value, base)
    elif isinstance(value, list) and key != "data.names":  # a list of names names no files
        inner[name] = [absolute(path, base) if isinstance(path, str) else path for path in value]
    elif isinstance(value, dict):
        inner[name] = {key: absolute(path, base) if isinstance(path, str) else path for key, path in value.items()}


def check_path(path: str, where: str) -> None:
    """Raise ConfigError for text that the system cannot take as a path."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        code = ord(path[error.start])
        raise ConfigError(
            f"{where}: found U+{code:04X} in the path, expected a path without it; choose another"
        ) from None
    if "\0" in path:
        raise ConfigError(f"{where}: found a NUL character in the path, expected a path without it; choose another")


def absolute(path: str | Path, base: Path) -> str:
    """Return the absolute path of one that is relative to `base`, or to the home directory with `~`."""
    with contextlib.suppress(RuntimeError, ValueError):  # `~` with an unknown user, or a NUL: keep the path as it is
        path = Path(path).expanduser()
    return os.path.abspath(base / path)  # noqa: PTH100 (pathlib keeps the `..`)


def files_found(value: str | list[str], where: str) -> str | list[str]:
    """Return a path as it is; and of a glob, or of several paths and globs, the files that they match, sorted.

    Args:
        where: the place and the key, for messages.

    Raises:
        ConfigError: a glob matches nothing, or a file is named twice.
    """
    if isinstance(value, str) and not _is_glob(value):
        return value
    files: list[str] = []
    for name in [value] if isinstance(value, str) else value:
        # pathlib's glob needs a folder to start from, which an absolute pattern does not name.
        matches = sorted(file for file in glob.glob(name, recursive=True) if Path(file).is_file())  # noqa: PTH207
        if _is_glob(name) and not matches:
            raise ConfigError(f"{where}: found {name}, which matches no file, expected at least one; check the path")
        files += matches if _is_glob(name) else [name]
    twice = next((file for i, file in enumerate(files) if file in files[:i]), None)
    if twice is not None:
        raise ConfigError(f"{where}: found {twice} twice, expected each file once; delete one")
    return files


def _is_glob(path: str) -> bool:
    return glob.has_magic(path) and not os.path.lexists(path)
