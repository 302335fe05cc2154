"""Completion of config keys in the shell, which must not wait for pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_key(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the keys that begin with what was typed as `section.key=`, with their meanings where the shell shows them.

    If there are none, and a single key has this name in its section, it is that one: `epochs` gives `training.epochs=`.
    """
    from click.shell_completion import CompletionItem

    from tagger.config.meanings import MEANINGS, PRETRAINING_KEYS

    keys = {f"{section}.{key}": text for section, inner in MEANINGS.items() for key, text in inner.items()}
    if context.info_name == "pretrain":
        keys = {f"{section}.{key}": "" for section, inner in PRETRAINING_KEYS.items() for key in inner}
    found = [key for key in keys if key.startswith(incomplete)]
    named = [key for key in keys if key.partition(".")[2].startswith(incomplete)]
    if not found and len(named) == 1:
        found = named
    return [CompletionItem(f"{key}=", help=keys[key] or None) for key in found]


def prepare_bash() -> None:
    """Make bash add no space after a key that was completed, because its value follows."""
    from click.shell_completion import BashComplete, add_completion_class

    class KeysWithoutSpace(BashComplete):
        source_template = BashComplete.source_template.replace(
            "    return 0\n", "    if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi\n\n    return 0\n", 1
        )

    add_completion_class(KeysWithoutSpace)
