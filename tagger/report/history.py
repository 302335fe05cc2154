"""The epochs of a model's training, from the history in its directory."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from tagger.model_dir.files import HISTORY, ModelFiles, read_directory

Epoch = dict[str, float]  # values by the names of the columns; one that is missing is left out


def read_history(directory: Path) -> list[Epoch]:
    """Return the values of each epoch; what is not a number is left out.

    Raises:
        ModelError: the history is missing or was altered.
    """

    def read(files: ModelFiles) -> str:
        files.manifest()
        return files.verified(HISTORY).decode("utf-8", "replace")

    rows = csv.DictReader(io.StringIO(read_directory(directory, read)))
    epochs = [
        {name: number for name, text in row.items() if name and (number := _number(text)) is not None} for row in rows
    ]
    return [epoch for epoch in epochs if "epoch" in epoch]


def _number(text: object) -> float | None:
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if math.isfinite(number) else None
