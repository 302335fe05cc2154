"""The text of a config: YAML with the line of each key, `--set` settings on top, and where each key was set."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml

from tagger.errors import ConfigError, shortened

_LARGEST = 1 << 17  # most characters in a config, and most values
_SAMPLE, _SAMPLE_LINES = 1 << 14, 50  # characters and lines from which it is guessed what a file is
_SPECIAL = "a pipe or a device"
_CONFIG = "a config"
_PLAIN = re.compile(r"[\w./][\w./-]*", re.ASCII)  # text that needs no quotes unless YAML takes it for something else
_KEY = re.compile(r"\s*[\w.-]+\s*:(\s|$)")
# The errors of PyYAML's constructors when a tag does not fit its value: !!int "", !!bool x, !!timestamp x, …
_NOT_VALID = (yaml.YAMLError, RecursionError, ValueError, LookupError, AttributeError, TypeError, OverflowError)


class _Loader(yaml.SafeLoader):
    """A safe YAML loader that also reads `1e-3` as a number, as YAML 1.2 does and as users expect."""


# Only decimal numbers are numbers: YAML 1.1 would read 010 as 8, 1:30 as 90 and 1:30.5 as 90.5.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(0|[1-9][0-9_]*)$"), list("-+0123456789"))


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
        r"|\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def read_yaml(
    path: Path,
    sections: Collection[str] = (),
    *,
    what: str = _CONFIG,
    content: str = "sections such as data: and model:",
) -> tuple[dict[str, Any], dict[str, int]]:
    """Read a YAML file.

    Args:
        sections: the sections that a config may have. A file with none of them may be something else than a config.
        what, content: the kind of file and the content that are expected, for messages.

    Returns:
        Its values, and the line (from 1) of every key, written `section.key`.

    Raises:
        ConfigError: the file cannot be read, or is not valid YAML with sections.
    """
    try:
        if not path.is_file() and path.exists():
            raise _mistaken(path, "a directory" if path.is_dir() else _SPECIAL, what)
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except FileNotFoundError:
        if what != _CONFIG:
            raise _mistaken(path, "no file", what) from None
        raise ConfigError(f"{path}: no such config file; check the path") from None
    except (OSError, UnicodeError) as error:
        if isinstance(error, UnicodeDecodeError) and error.object.startswith(b"\x1f\x8b"):
            raise _mistaken(path, "a compressed file", what) from None
        raise ConfigError(f"{path}: cannot be read: {error}; expected a YAML file in UTF-8") from None
    values: dict[str, Any] = {}
    lines: dict[str, int] = {}
    mistaken = None if path.suffix in (".yaml", ".yml") else _kind_of_text(text)
    if what != _CONFIG and mistaken == "JSON":  # which is YAML
        mistaken = None
    try:
        values, lines = _parse(path, text, what, content)
    except ConfigError:
        if mistaken is None:
            raise
    if mistaken is not None and not set(sections) & set(values):
        raise _mistaken(path, mistaken, what)
    return values, lines


def is_config(path: Path, sections: Collection[str]) -> bool:
    """Return whether a path is that of a config, and not of a corpus.

    A name that ends in .yaml or .yml says so. Otherwise, the file must have a section of a config, even if there are
    errors in it. So must a model directory, which is not a corpus in any case.
    """
    if path.suffix in (".yaml", ".yml") or (path / "manifest.json").is_file():
        return True
    if not path.is_file():  # a pipe would wait for its writer, and could not be read again
        return False
    try:
        with path.open(encoding="utf-8") as file:
            start = file.read(_SAMPLE)
    except (OSError, UnicodeError, ValueError):
        return False
    names = "|".join(map(re.escape, sections))
    if re.search(rf"^(?:{names}):[ \t]*(?:\{{.*|#.*)?$", start, re.MULTILINE):
        return True
    if _kind_of_text(start) != "JSON" or not re.match(rf"\s*\{{\s*\"(?:{names})\"\s*:\s*\{{", start):
        return False
    try:
        return bool(set(sections) & set(read_yaml(path, sections)[0]))
    except ConfigError:
        return False


def _parse(path: Path, text: str, what: str, content: str) -> tuple[dict[str, Any], dict[str, int]]:
    if len(text) > _LARGEST:
        raise ConfigError(f"{path}: found more than {_LARGEST} characters, expected {what}; check the path")
    lines: dict[str, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _check_size(node, str(path))
        if node is not None:
            for key, line in _key_lines(node, ""):
                if key in lines:
                    raise ConfigError(
                        f"{path}:{line}: found the key {key}, which is also on line {lines[key]}, expected it once;"
                        " delete one"
                    )
                lines[key] = line
        values = loader.construct_document(node) if node is not None else None
    except ConfigError:
        raise
    except _NOT_VALID as error:
        mark = getattr(error, "problem_mark", None)
        if isinstance(error, yaml.reader.ReaderError):
            line = text.count("\n", 0, error.position) + 1
        else:
            line = mark.line + 1 if mark else 0
        where = f"{path}:{line}" if line else str(path)
        problem = getattr(error, "problem", None) or shortened(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"{where}: not valid YAML: {problem}; fix the line") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: found {kind_of(values)}, expected {content}")
    return values, lines


def _mistaken(path: Path, found: str, what: str) -> ConfigError:
    """Return the error for a path that leads to something else, most likely to a corpus, and what to do with it."""
    if what != _CONFIG:
        return ConfigError(f"{path}: found {found}, expected {what}, which is a YAML file; check the path")
    if (path / "manifest.json").is_file():
        return ConfigError(
            f"{path}: found a model directory, expected a config, which is a YAML file; name the config that it was"
            f" trained with: {path / 'config.yaml'}"
        )
    if found in ("a directory", _SPECIAL):
        return ConfigError(f"{path}: found {found}, expected a config, which is a YAML file; name a file")
    return ConfigError(
        f"{path}: found {found}, expected a config, which is a YAML file; if it is the corpus, tagger init {path}"
        " writes a config for it"
    )


def _kind_of_text(text: str) -> str | None:
    """Return what a text seems to be, if that is not YAML: JSON, or the lines of a corpus."""
    begin = text[:_SAMPLE].lstrip("\ufeff \t\r\n")
    if begin.startswith(("{", "[")):
        return "JSON"
    lines = [line for line in begin.splitlines()[:_SAMPLE_LINES] if line.strip() and not line.startswith("#")]
    if not lines or any(_KEY.match(line) for line in lines):
        return None
    n_columns = sum(len(line.split()) > 1 for line in lines)
    return "the lines of a corpus" if n_columns > len(lines) / 2 or "\t" in begin else None


def yaml_value(value: object) -> str:
    """Return a value as YAML on one line, which `read_yaml` reads as the same value.

    >>> yaml_value({"token": 0, "tag": -1}), yaml_value(["a.conll", "1e3", "it's: #1"])
    ('{token: 0, tag: -1}', '[a.conll, "1e3", "it\'s: #1"]')
    """
    if isinstance(value, dict):
        return f"{{{', '.join(f'{yaml_value(key)}: {yaml_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(yaml_value, value))}]"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) and yaml.load(value, _Loader) == value else _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _quoted(text: str) -> str:
    def escaped(sign: str) -> str:
        if sign in '"\\':
            return f"\\{sign}"
        code = ord(sign)
        if sign.isprintable() and not 0xD800 <= code <= 0xDFFF:
            return sign
        return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

    return f'"{"".join(map(escaped, text))}"'


def _check_size(node: yaml.Node | None, where: str) -> None:
    """Raise ConfigError if the aliases of a document expand to too many values.

    Such aliases (`*a`) refer to other aliases, or to a collection that contains them.
    """
    sizes: dict[int, float] = {}

    def size(node: Any) -> float:
        if not isinstance(node, yaml.CollectionNode):
            return 1
        if id(node) not in sizes:
            sizes[id(node)] = math.inf  # until its parts are counted: a collection that contains itself is infinite
            parts = (
                node.value if isinstance(node, yaml.SequenceNode) else [part for pair in node.value for part in pair]
            )
            sizes[id(node)] = 1 + sum(map(size, parts))
        return sizes[id(node)]

    if size(node) > _LARGEST:
        raise ConfigError(
            f"{where}: found aliases that expand to too many values, expected at most {_LARGEST}; write the values out"
        )


def _key_lines(node: yaml.Node, prefix: str) -> Iterator[tuple[str, int]]:
    # Sections, their keys, and the keys of a mapping such as data.columns: nothing valid is nested deeper.
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in node.value:
            key = f"{prefix}{key_node.value}"
            yield key, key_node.start_mark.line + 1
            if prefix.count(".") < 2:
                yield from _key_lines(value_node, f"{key}.")


def parse_setting(setting: str) -> tuple[str, Any]:
    """Split a setting `key.path=value` into the key and the value, which is read as YAML.

    Raises:
        ConfigError: the setting has no `=` or no key, or its value is not valid YAML or has aliases that expand to too
            many values.
    """
    key, equals, text = setting.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {setting}: found no key=value, expected a setting such as training.epochs=10")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _check_size(node, f"--set {setting}")
        return key.strip(), loader.construct_document(node) if node is not None else None
    except _NOT_VALID:
        raise ConfigError(f"--set {setting}: {text!r} is not valid YAML; quote it") from None


def put_setting(values: dict[str, Any], key: str, value: Any, setting: str) -> None:
    """Put the value of a setting among the values of a file.

    Args:
        setting: the whole setting as it was given, for messages.

    Raises:
        ConfigError: a part of the key is not a section.
    """
    *sections, last = key.split(".")
    for name in sections:
        inner = values.setdefault(name, {})
        if inner is None:  # an empty section in the file
            inner = values[name] = {}
        if not isinstance(inner, dict):
            raise ConfigError(
                f"--set {setting}: {name}: found {kind_of(inner)}, expected a section; name a key in a section"
            )
        values = inner
    values[last] = value


def kind_of(value: object) -> str:
    """Describe a value for messages: `a list`, `text ('x')`, `nothing`; numbers, true and false as in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return shortened(value) if isinstance(value, int) or math.isfinite(value) else yaml.safe_dump(value).split()[0]
    name = {dict: "a mapping", list: "a list", str: "text", type(None): "nothing"}.get(
        type(value), type(value).__name__
    )
    return name if isinstance(value, dict | list) or value is None else f"{name} ({shortened(value)!r})"
