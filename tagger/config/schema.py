"""The JSON Schema of the config file, with which an editor completes keys, explains them and underlines mistakes."""

from __future__ import annotations

from typing import Any

from tagger.config.keys import Config
from tagger.config.meanings import MEANINGS
from tagger.inputs.clusters import MOST_BITS
from tagger.inputs.computed import MOST_LISTS

# The draft that all editors know. What pydantic makes of the config means the same in it.
_DRAFT = "http://json-schema.org/draft-07/schema#"

# What the config checks with functions of its own, of which pydantic's schema knows nothing.
_INDEX = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}
_CHECKED: dict[str, dict[str, Any]] = {
    "data.columns": {"properties": {"tag": {"type": ["integer", "string"]}}, "additionalProperties": _INDEX},
    "features.lists": {"maxProperties": MOST_LISTS},
    "features.cluster_bits": {
        "items": {"type": "integer", "minimum": 1, "maximum": MOST_BITS},
        "minItems": 1,
        "uniqueItems": True,
    },
    "training.steps": {"propertyNames": {"pattern": "^[1-9][0-9]*$"}},
}


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of the config.

    It checks names, types, words and ranges, one key at a time. No key is required, because `--set` can give each; a
    section may be empty, as in a config. It is more lenient than `load_config` where keys depend on each other.
    """
    made = Config.model_json_schema()
    sections = _plain(made, made["$defs"])["properties"]
    for name, section in sections.items():
        section["type"] = [section["type"], "null"]
        section.pop("default", None)  # those of the keys say it
        for key, meaning in MEANINGS[name].items():
            section["properties"][key] |= {"description": meaning} | _CHECKED.get(f"{name}.{key}", {})
    return {
        "$schema": _DRAFT,
        "title": "tagger config",
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
    }


def _plain(node: Any, definitions: dict[str, Any]) -> Any:
    """Return a part of a schema with its references resolved, without titles, and without keys that are required."""
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
    result = {}
    for name, value in node.items():
        if name == "properties":
            result[name] = {key: _plain(inner, definitions) for key, inner in value.items()}
        elif name in ("default", "enum", "const"):
            result[name] = value
        elif name not in ("title", "required", "$defs"):
            result[name] = _plain(value, definitions)
    return result
