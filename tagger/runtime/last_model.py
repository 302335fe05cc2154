"""The model that was last trained in a folder, which `eval` and `predict` take if none is named."""

from __future__ import annotations

import os
from pathlib import Path

from tagger.errors import ModelError

POINTER = Path(".tagger-model")  # holds its path, relative to the folder


def named_or_last_model(given: str | None) -> Path:
    """The model directory that is given, else `$TAGGER_MODEL`, else the last one.

    Raises:
        ModelError: there is none of these.
    """
    named = given if given is not None else os.environ.get("TAGGER_MODEL")
    if named or given is not None:
        return Path(str(named))
    try:
        return Path(os.fsdecode(POINTER.read_bytes()).strip("\n"))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise ModelError(f"{POINTER}: cannot be read: {error}; delete it, or name a model with --model") from None
    raise ModelError(
        "--model: no model is named, $TAGGER_MODEL is not set, and no tagger train has finished in this folder;"
        " name one with --model, or train one"
    )


def remember_model(directory: str) -> None:
    """Make a directory (relative to this folder) the last model; raises OSError."""
    from tagger.runtime.publish import write_atomically

    write_atomically(POINTER, os.fsencode(f"{directory}\n"))
