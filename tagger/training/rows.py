"""A part of the training data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Rows:
    """The sentences of the training data that one of many trainings uses, by their indices.

    Attributes:
        train: the sentences that it trains on; if `data.dev` is a fraction, that part of them is held out.
        dev: the sentences that take the place of `data.dev`; None leaves it as it is.
    """

    train: Sequence[int]
    dev: Sequence[int] | None = None
