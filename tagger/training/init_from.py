"""The request to begin a training with the weights of a model; to load that model is `old_model`'s."""

from __future__ import annotations

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitFrom:
    """The request to begin a training with the weights of a model.

    Attributes:
        directory: the model.
        replay: a file that is annotated with the types of that model, to train on as well; None for none.
    """

    directory: Path
    replay: str | None = None
