"""The text of a proposed config: YAML with a comment for each reason."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

from tagger.config.file import yaml_value
from tagger.config.keys import Config
from tagger.config.paths import PATH_KEYS
from tagger.filesystem import relative_path
from tagger.init.proposal import Proposal
from tagger.wording import visible

_WIDTH = 110


def config_text(proposal: Proposal, folder: Path, title: str) -> str:
    """Return a config as YAML.

    Args:
        proposal: the config.
        folder: the folder of the config file; paths in or near it are relative to it.
        title: the first line, a comment.
    """
    lines = [*_comment(title, ""), *(line for text in proposal.about for line in _comment(text, ""))]
    for section, schema in Config.model_fields.items():
        values = proposal.values.get(section)
        if not values:
            continue
        lines.append(f"{section}:")
        known = list(schema.annotation.model_fields)  # type: ignore[union-attr]
        for key in sorted(values, key=known.index):
            path = f"{section}.{key}"
            for reason in proposal.reasons.get(path, ()):
                lines += _comment(reason, "  ")
            value = values[key]
            if path in PATH_KEYS and not (path == "data.names" and isinstance(value, list)):  # those are no files
                value = relative_to(folder, value)
            lines.append(f"  {key}: {yaml_value(value)}")
    for hint in proposal.hints:
        lines += _comment(hint, "")
    return "\n".join(lines) + "\n"


def relative_to(folder: Path, value: Any) -> Any:
    """Return a path, or each of several, relative to a folder, unless they have nothing but the root in common."""
    if isinstance(value, list):
        return [relative_to(folder, one) for one in value]
    if not isinstance(value, str):
        return value
    base = os.path.abspath(folder)  # noqa: PTH100 (keeps links, as reading the config does)
    if Path(base).drive != Path(value).drive or os.path.commonpath([base, value]) == Path(base).anchor:
        return value
    path = relative_path(value, base)
    return f"./{path}" if path.startswith("~") else path


def _comment(text: str, indent: str) -> list[str]:
    prefix = f"{indent}# "
    return textwrap.wrap(
        visible(text),
        _WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix,
        break_long_words=False,
        break_on_hyphens=False,
    )
