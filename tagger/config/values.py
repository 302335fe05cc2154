"""Values that take the place of those of a config: the types that they need, and the config that they make."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from tagger.config.file import put_setting
from tagger.config.keys import Config
from tagger.config.loading import config_of
from tagger.config.paths import make_absolute
from tagger.config.problems import describe_problem


def number_type(key: str) -> type[int] | type[float] | None:
    """Return the kind of number that a key takes, `int` or `float`; None if it takes none.

    >>> number_type("model.units"), number_type("model.dropout"), number_type("model.decoder")
    (<class 'int'>, <class 'float'>, None)
    """
    section, _, name = key.partition(".")
    annotation = Config.model_fields[section].annotation.model_fields[name].annotation  # type: ignore[union-attr]
    found = _plain_types(annotation)
    return float if float in found else int if int in found else None


def _plain_types(annotation: Any) -> set[Any]:
    """Return the types that an annotation allows, without those of the items of lists and mappings."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _plain_types(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return {plain for inner in typing.get_args(annotation) for plain in _plain_types(inner)}
    return {annotation}


def problem_of(key: str, value: object, *, is_end: bool = False) -> str | None:
    """Return what is wrong with a value of a key, whatever the other keys are; None if nothing is.

    Args:
        is_end: the value is an end of a range.
    """
    section, _, name = key.partition(".")
    values: dict[str, Any] = {"data": {"train": "train"}}
    values.setdefault(section, {})[name] = value
    try:
        Config.model_validate(values)
    except pydantic.ValidationError as error:
        problems = [
            describe_problem(problem, [str(part) for part in problem["loc"]], Config, is_end=is_end)
            for problem in error.errors()
            if problem["loc"][:2] == (section, name)  # others are about keys together
        ]
        # A value that fits no member of a union has a problem for each; the first may say less.
        return next((text for text in problems if "expected" in text), problems[0] if problems else None)
    return None


def resolved(key: str, value: Any, folder: Path) -> Any:
    """Return the value of a key with absolute paths, if it holds paths; they are relative to a folder."""
    section, _, name = key.partition(".")
    values: dict[str, Any] = {section: {name: value}}
    make_absolute(values, key, folder)
    return values[section][name]


def with_values(config: Config, values: Mapping[str, Any], *, path: Path, lines: dict[str, int]) -> Config:
    """Return a config with other values of some keys.

    Args:
        values: the values by key; their paths are relative to the folder of `path`.
        path: the file that has the values, for messages.
        lines: the line of each key in it.

    Raises:
        ConfigError: the values do not go together, or not with the rest of the config.
    """
    found = config.model_dump(exclude_unset=True)
    for key, value in values.items():
        put_setting(found, key, value, f"{key}={value}")
    return config_of(found, path=path, lines=lines)
