"""What is wrong with the values of a config, as pydantic found it, in the words of the errors of `tagger`."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from tagger.config.file import kind_of, yaml_value
from tagger.errors import ConfigError, shortened


def config_error(
    error: pydantic.ValidationError,
    schema: type[pydantic.BaseModel],
    path: Path,
    lines: dict[str, int],
    origins: dict[str, str],
) -> ConfigError:
    """Return one error for all problems: the first is its message, the others are its details."""
    problems: dict[str, str] = {}  # by key: a value that fits no member of a union is one problem
    for problem in error.errors():
        location = [str(part) for part in problem["loc"]]
        if problem["type"] == "missing":
            location = ["data", "train"]  # the only key without a default
        key = ".".join(location[:2])
        if key not in problems or "expected" not in problems[key]:
            problems[key] = describe_problem(problem, location, schema)
    messages = []
    for key, text in problems.items():
        messages.append(f"{where_set(key, path, lines, origins)}: {key}: {text}")
    return ConfigError(messages[0], detail=messages[1:])


def where_set(key: str, path: Path, lines: dict[str, int], origins: dict[str, str]) -> str:
    """Return where a key was set: the option, or the file and line."""
    settings = [k for k in origins if f"{k}.".startswith(f"{key}.") or key.startswith(f"{k}.")]
    line = lines.get(key) or lines.get(key.split(".")[0])
    return origins[settings[-1]] if settings else f"{path}:{line}" if line else str(path)


@dataclasses.dataclass(frozen=True)
class Expected:
    """A mark in the annotation of a key: what it takes, where the words of pydantic do not say it.

    Attributes:
        text: what comes after `expected`.
        quotes_value: whether errors quote the wrong value; for lists and mappings, it is the part that is wrong.
    """

    text: str
    quotes_value: bool = False


_SIGNS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def describe_problem(
    problem: Any, location: Sequence[str], schema: type[pydantic.BaseModel], *, is_end: bool = False
) -> str:
    """Return what is wrong with a value, as pydantic found it: `found …, expected …`.

    Args:
        location: the section, the key, and the place inside its value.
        is_end: the value is an end of a range, which cannot be null even if the key can.
    """
    kind, value, context = problem["type"], problem["input"], problem.get("ctx", {})
    if kind in ("extra_forbidden", "invalid_key"):
        if list(location[:2]) == ["data", "labels"]:
            return f"found the key {location[2]}, expected keep or map; fix it"
        section = schema.model_fields.get(location[0])
        known = list(schema.model_fields) if len(location) == 1 else list(section.annotation.model_fields)  # type: ignore[union-attr]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(location[-1], known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"expected one of {', '.join(known)}"
        return f"is not a known key; {hint}"
    if kind == "missing":
        return "is missing, expected the path of a CoNLL file; pass --set data.train=FILE, or add it to the file"
    if kind == "invalid_key":
        return f"found a key that is not text, expected one of {', '.join(known)}; rename it"
    field, is_whole = _field_at(location, schema)
    may_be_null = is_whole and types.NoneType in typing.get_args(field.annotation) and not is_end
    or_null = ", or null" if may_be_null else ""
    found = kind_of(value)
    expected = next((one for one in field.metadata if isinstance(one, Expected)), None)
    if expected is not None and kind != "value_error":
        if not expected.quotes_value:
            return f"found {found}, expected {expected.text}"
        quotes = "" if isinstance(value, str | list | dict) else "; put it in quotes if it is a name"
        return f"found {shortened(yaml_value(value))}, expected {expected.text}{quotes}"
    if kind == "finite_number":
        return f"found {found}, expected a finite number{or_null}; choose one"
    limits = [f"{words} {context[sign]}" for sign, words in _SIGNS.items() if sign in context]
    if limits:
        return f"found {shortened(value)}, expected {' and '.join(limits)}{or_null}"
    if kind in ("literal_error", "enum"):
        near = difflib.get_close_matches(str(value), re.findall(r"'([^']+)'", context["expected"]), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"found {found}, expected {context['expected']}{or_null}{hint}"
    if kind == "value_error":
        return str(context["error"])
    usual = {
        "int_type": "a whole number", "float_type": "a number", "string_type": "text", "bool_type": "true or false",
        "dict_type": "a mapping", "model_type": "a mapping of keys",
        "list_type": "a list, as in [a, b]", "string_too_short": "some text",
    }.get(kind)  # fmt: skip
    return f"found {found}, expected {usual or problem['msg']}{or_null}"


def _field_at(location: Sequence[str], schema: type[pydantic.BaseModel]) -> tuple[pydantic.fields.FieldInfo, bool]:
    """Return the key of a place, and whether the place is its whole value and not a part of it."""
    field = pydantic.fields.FieldInfo(annotation=schema)
    for i, name in enumerate(location):
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, pydantic.BaseModel)):
            return field, i == len(location)
        field = field.annotation.model_fields[name]
    return field, True
