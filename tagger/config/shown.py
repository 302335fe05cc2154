"""Every value of a config, with the place that it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tagger.config.file import parse_setting, read_yaml, yaml_value
from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.config.meanings import MEANINGS, stands_for
from tagger.model_dir.pretrained import SETTINGS
from tagger.wording import cell

_COMMENT = 32  # column of the comments, unless a value is longer
_MOST_SETTING = 100  # characters of a setting in a comment
_DEFAULT = "default"
_NORMALIZATION = ("lowercase", "normalize_digits")


def shown_config(path: Path, settings: Sequence[str] = ()) -> list[str]:
    """Return a config as lines of YAML: each key with its value and, as a comment, where this comes from.

    The comment is the file and line, the setting, or `default`; after it, what a value such as null stands for, which
    training may choose from the data. Values are those that training uses: paths are absolute, and globs are the files
    that they match. As a config, the lines have the same values.

    Raises:
        ConfigError: as in `load_config`.
    """
    config = load_config(path, settings)
    values = config.model_dump()
    origins = origins_of(path, settings)
    lines = []
    for section, keys in MEANINGS.items():
        lines.append(f"{section}:")
        for key, meaning in keys.items():
            value = values[section][key]
            origin = origins.get(f"{section}.{key}", _DEFAULT)
            later = _replaced(config, section, key) if origin == _DEFAULT else None
            # The decoder depends on the data, too, so it is not known here.
            chosen = config.chosen.get(section, {}).get(key) if section != "model" else None
            notes = [origin, later or _meant(value, meaning, chosen)]
            if (section, key) == ("output", "model_dir") and origin == _DEFAULT:
                notes[1] = "from the name of the config"
            text = f"  {key}: {yaml_value(value)}"
            lines.append(f"{text:<{_COMMENT - 2}}  # {'; '.join(note for note in notes if note)}")
    return lines


def origins_of(path: Path, settings: Sequence[str] = ()) -> dict[str, str]:
    """Return where each key that is set, as `section.key`, comes from: `FILE:LINE`, or `--set KEY=VALUE`.

    A key of which a setting changes only a part, as in `data.columns.tag=2`, has both.

    Raises:
        ConfigError: the file cannot be read, or a setting is not one.
    """
    values, lines = read_yaml(path, Config.model_fields)
    origins: dict[str, str] = {}
    for section, keys in values.items():
        for key in keys or {}:
            line = lines.get(f"{section}.{key}") or lines.get(section)  # a merged key (<<) has no line of its own
            origins[f"{section}.{key}"] = f"{path}:{line}" if line else str(path)
    for setting in settings:
        name, value = parse_setting(setting)
        shown = f"--set {cell(setting, _MOST_SETTING)}"
        section, _, rest = name.partition(".")
        key, _, part = rest.partition(".")
        if not key:  # a whole section, which replaces that of the file
            origins = {old: origin for old, origin in origins.items() if not old.startswith(f"{section}.")}
            origins |= {f"{section}.{inner}": shown for inner in value or {}}
            continue
        before = origins.get(f"{section}.{key}")
        origins[f"{section}.{key}"] = f"{before}, {shown}" if part and before else shown
    return origins


def _meant(value: Any, meaning: str, chosen: Any) -> str:
    """Return what a value such as null stands for; an empty text if it stands for nothing else.

    Args:
        chosen: the value that null has in this config, if other keys decide it.
    """
    meant = stands_for(meaning, yaml_value(value)) if value in (None, "auto", {}) else None
    if meant is None:
        return ""
    here = "" if chosen is None else f"; here {yaml_value(chosen)}"
    return f"{yaml_value(value)}: {meant}{here}"


def _replaced(config: Config, section: str, key: str) -> str | None:
    """Return what takes the place of a default once the vectors or the pretrained directory are read."""
    taken: dict[str, Any] = {"model": SETTINGS, "vocabulary": _NORMALIZATION}
    if config.model.pretrained is not None and key in taken.get(section, ()):
        return "that of model.pretrained takes its place"
    if config.embeddings.source is not None and (section, key) == ("model", "embedding_dim"):
        return "the size of the vectors takes its place"
    return None
