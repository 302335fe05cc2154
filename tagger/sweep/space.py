"""The space of a sweep: the values that each key of a config may have, read from a YAML file."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tagger.config.file import kind_of, read_yaml, yaml_value
from tagger.config.keys import Config
from tagger.config.loading import config_keys
from tagger.config.paths import PATH_KEYS
from tagger.config.values import number_type, problem_of, resolved, with_values
from tagger.errors import ConfigError, shortened

_MOST_STEPS = 1_000_000
_DIGITS = 4  # significant digits of a number that is drawn without a step
_RANGE = ("low", "high", "step", "log")
_WHAT = "a space of values"
_CONTENT = "keys with the values to try, such as model.units: [100, 150, 200]"
_EXAMPLE = "a list of values such as [100, 150], or a range such as {low: 0.2, high: 0.6}"
# Keys that are not searched, and why.
_REFUSED = {
    "data": "scores on other data cannot be compared",
    "output": "it does not change the scores",
    "training.seed": "a lucky seed is not a better config; see what seeds change with tagger train --seeds",
    "training.threads": "it does not change what is learned; --jobs shares the cores out",
    "training.checkpoint_minutes": "it does not change what is learned",
    "training.log": "it does not change what is learned",
}


@dataclasses.dataclass(frozen=True)
class Choices:
    """The values of a key as a list.

    Attributes:
        values: the values, in the order of the file.
        names: the values as YAML, by which Optuna knows them.
    """

    values: tuple[Any, ...]
    names: tuple[str, ...]

    def value(self, drawn: Any) -> Any:
        """Return the value that was drawn by its name."""
        return self.values[self.names.index(drawn)]

    def drawn(self, value: Any) -> Any:
        """Return the name of a value; None if it is not among them."""
        return next((name for name, one in zip(self.names, self.values, strict=True) if _same(one, value)), None)

    @property
    def n(self) -> int:
        """The number of values."""
        return len(self.values)

    def point(self, i: int) -> Any:
        """Return the name of a value by its place in the list."""
        return self.names[i]

    def __str__(self) -> str:
        return f"[{', '.join(self.names)}]"


@dataclasses.dataclass(frozen=True)
class Range:
    """The values of a key from `low` to `high`.

    Attributes:
        step: the distance of two values, counted from `low`; None for any value between.
        log: whether small values are drawn as often as large ones, in the sense of their logarithm.
        whole: whether the values are whole numbers.
    """

    low: float
    high: float
    step: float | None
    log: bool
    whole: bool

    def value(self, drawn: Any) -> Any:
        """Return a drawn number as the config gets it: on its step, or with four significant digits."""
        if self.whole:
            return int(drawn)
        if self.step is not None:
            low, step = Decimal(str(self.low)), Decimal(str(self.step))
            return float(low + step * round((Decimal(str(drawn)) - low) / step))
        return min(max(float(f"{drawn:.{_DIGITS}g}"), self.low), self.high)

    def drawn(self, value: Any) -> Any:
        """Return a value as Optuna knows it; None if it is not in the range."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        if self.whole:
            return int(value) if (value - self.low) % (self.step or 1) == 0 else None
        return float(value) if self.value(value) == value else None

    @property
    def n(self) -> int | None:
        """The number of values; None if there is no end of them."""
        if self._distance is None:
            return None
        return int((Decimal(str(self.high)) - Decimal(str(self.low))) / Decimal(str(self._distance))) + 1

    def point(self, i: int) -> Any:
        """Return a value by its place in the range, which has steps or whole numbers."""
        return self.value(Decimal(str(self.low)) + i * Decimal(str(self._distance)))

    @property
    def _distance(self) -> float | None:
        return 1 if self.step is None and self.whole else self.step

    def __str__(self) -> str:
        step = f", in steps of {yaml_value(self.step)}" if self.step not in (None, 1 if self.whole else None) else ""
        return f"{yaml_value(self.low)} to {yaml_value(self.high)}{step}{', log' if self.log else ''}"


@dataclasses.dataclass(frozen=True)
class Space:
    """The values that keys may have.

    Attributes:
        path: the file that it was read from.
        keys: the values of each key, in the order of the file.
        lines: the line of each key in the file.
    """

    path: Path
    keys: Mapping[str, Choices | Range]
    lines: dict[str, int] = dataclasses.field(repr=False)

    def where(self, key: str) -> str:
        """Return the file and line of a key."""
        return f"{self.path}:{self.lines[key]}" if key in self.lines else str(self.path)

    @property
    def size(self) -> int | None:
        """The number of all combinations; None if there is no end of them."""
        sizes = [one.n for one in self.keys.values() if one.n is not None]
        return math.prod(sizes) if len(sizes) == len(self.keys) else None

    def endless(self) -> str | None:
        """Return a key whose values cannot be listed; None if all can."""
        return next((key for key, one in self.keys.items() if one.n is None), None)

    def at(self, number: int) -> dict[str, Any]:
        """Return a combination, as Optuna knows its values; the last key changes first.

        Args:
            number: its place among all combinations, from 0.
        """
        found = {}
        for key, one in reversed(list(self.keys.items())):
            number, place = divmod(number, one.n or 1)
            found[key] = one.point(place)
        return {key: found[key] for key in self.keys}

    def values(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of what Optuna has drawn."""
        return {key: one.value(drawn[key]) for key, one in self.keys.items()}

    def of(self, config: Config) -> dict[str, Any] | None:
        """Return the values that a config has, as Optuna knows them; None if one of them is not in the space."""
        values = config.model_dump(mode="json")
        found = {}
        for key, one in self.keys.items():
            section, _, name = key.partition(".")
            found[key] = one.drawn(values[section][name])
            if found[key] is None:  # null may stand for one of the values
                found[key] = one.drawn(config.chosen.get(section, {}).get(name))
        return None if None in found.values() else found

    def apply(self, config: Config, values: Mapping[str, Any]) -> Config:
        """Return a config with values of the space.

        Raises:
            ConfigError: they do not go together.
        """
        return with_values(config, values, path=self.path, lines=self.lines)


def read_space(path: Path) -> Space:
    """Read a space: keys of the config, each with a list of values or with a range.

    Raises:
        ConfigError: the file cannot be read, a key is not one of a config, or a value is not one of its key; the
            message names the file, line and key.
    """
    values, lines = read_yaml(path, what=_WHAT, content=_CONTENT)
    space = Space(path, {key: _read_key(path, lines, key, found) for key, found in _by_key(values)}, lines)
    if not space.keys:
        raise ConfigError(f"{path}: found no keys, expected {_CONTENT}")
    return space


def _by_key(values: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """Yield keys with their values; a key may stand in its section too, as in a config."""
    for name, inner in values.items():
        if name in Config.model_fields and isinstance(inner, dict):
            yield from ((f"{name}.{key}", value) for key, value in inner.items())
        else:
            yield str(name), inner


def _read_key(path: Path, lines: Mapping[str, int], key: str, found: Any) -> Choices | Range:
    where = f"{path}:{lines[key]}: {key}" if key in lines else f"{path}: {key}"
    if key not in config_keys():
        raise ConfigError(f"{where}: is not a known key; {_hint(key)}")
    why = _REFUSED.get(key) or _REFUSED.get(key.partition(".")[0])
    if why is not None:
        raise ConfigError(f"{where}: found it in the space, expected keys that change what is learned: {why}")
    if isinstance(found, list):
        return _choices(where, key, [resolved(key, value, path.parent) for value in found])
    if isinstance(found, dict):
        return _range(where, key, found)
    raise ConfigError(f"{where}: found {kind_of(found)}, expected {_EXAMPLE}")


def _hint(key: str) -> str:
    known = config_keys()
    same = [one for one in known if one.partition(".")[2] == key]
    near = same or difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]}?" if near else "expected one of a config, such as model.units"


def _choices(where: str, key: str, values: list[Any]) -> Choices:
    if not values:
        raise ConfigError(f"{where}: found an empty list, expected at least one value to try")
    for value in values:
        problem = problem_of(key, value)
        if problem is not None:
            raise ConfigError(f"{where}: {problem}")
        missing = next((file for file in files_in(key, value) if not Path(file).exists()), None)
        if missing is not None:
            raise ConfigError(f"{where}: found no file {missing}, expected one that is there; check the path")
    names = tuple(yaml_value(value) for value in values)
    twice = next((name for i, name in enumerate(names) if any(_same(values[i], one) for one in values[:i])), None)
    if twice is not None:
        raise ConfigError(f"{where}: found {shortened(twice)} twice, expected each value once; delete one")
    return Choices(tuple(values), names)


def files_in(key: str, value: Any) -> list[str]:
    """Return the files that a value of a key names."""
    if key not in PATH_KEYS:
        return []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return [part for part in parts if isinstance(part, str)]


def _same(one: object, other: object) -> bool:
    """Return whether two values are the same one of a key: 0 and 0.0 are, 0 and false are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _range(where: str, key: str, found: Mapping[Any, Any]) -> Range:
    kind = number_type(key)
    if kind is None:
        raise ConfigError(f"{where}: found a mapping, expected a list of values, because the key is not a number")
    for name in found:
        if name not in _RANGE:
            near = difflib.get_close_matches(str(name), _RANGE, n=1)
            hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(_RANGE[:-1])} or {_RANGE[-1]}"
            raise ConfigError(f"{where}: found {shortened(name)} in a range; {hint}")
    for name in ("low", "high"):
        if name not in found:
            raise ConfigError(f"{where}: found a range without {name}, expected {{low: …, high: …}}; add it")
        problem = problem_of(key, found[name], is_end=True)
        if problem is None and (isinstance(found[name], bool) or not isinstance(found[name], int | float)):
            problem = f"found {kind_of(found[name])}, expected a number"
        if problem is not None:
            raise ConfigError(f"{where}: {name}: {problem}")
    low, high = found["low"], found["high"]
    if low == high:
        raise ConfigError(
            f"{where}: found {low} as low and as high, expected low below high; for one value, write [{low}]"
        )
    if low > high:
        raise ConfigError(f"{where}: found low {low} and high {high}, expected low below high; exchange them")
    return _checked_range(where, Range(low, high, _step(where, found, kind), _log(where, found), kind is int))


def _step(where: str, found: Mapping[Any, Any], kind: type) -> float | None:
    step = found.get("step")
    if step is None:
        return None
    if isinstance(step, bool) or not isinstance(step, int if kind is int else int | float) or not 0 < step < math.inf:
        what = "a whole number above 0" if kind is int else "a number above 0"
        raise ConfigError(f"{where}: step: found {kind_of(step)}, expected {what}")
    return step


def _log(where: str, found: Mapping[Any, Any]) -> bool:
    log = found.get("log", False)
    if not isinstance(log, bool):
        raise ConfigError(f"{where}: log: found {kind_of(log)}, expected true or false")
    if log and found.get("step") is not None:
        raise ConfigError(f"{where}: found log with step, expected one of them; delete the other")
    if log and found["low"] <= 0:
        raise ConfigError(f"{where}: low: found {found['low']} with log, expected more than 0; raise it, or delete log")
    return log


def _checked_range(where: str, found: Range) -> Range:
    if found.step is not None:
        width = Decimal(str(found.high)) - Decimal(str(found.low))
        if Decimal(str(found.step)) > width:
            raise ConfigError(
                f"{where}: step: found {found.step}, expected at most {width}, the distance of low and high; lower it"
            )
        steps = width / Decimal(str(found.step))
        if steps > _MOST_STEPS:
            raise ConfigError(
                f"{where}: step: found {found.step}, expected at most {_MOST_STEPS} steps from low to high; raise it,"
                " or leave it out"
            )
        if steps != int(steps):
            last = found.value(found.low + int(steps) * found.step)
            raise ConfigError(
                f"{where}: high: found {found.high}, which steps of {found.step} from {found.low} do not reach,"
                f" expected one that they do, such as {yaml_value(last)}"
            )
    return found
