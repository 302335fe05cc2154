"""The model and the files of a command: found, checked, and said on standard error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tagger.cli import console
from tagger.cli.options import named_or_last_model, require_corpus

if TYPE_CHECKING:
    from tagger.prediction.predictor import Predictor


def require_input(*files: str | None) -> None:
    """Refuse a FILE that is also standard output, or that is something else than a corpus; None stands for no FILE."""
    for file in [file for file in files if file is not None]:
        console.refuse_own_output(file)
        require_corpus(file, model=f"name the model with --model {file}", config="name the corpus itself")


def model_path(given: str | None) -> Path:
    """Return the model directory that is used, and say which one it is."""
    path = named_or_last_model(given)
    console.say(f"model: {path}")
    return path


def load_predictor(model_dir: str | None, device: str, threads: int | None) -> Predictor:
    """Load the model that is used."""
    path = model_path(model_dir)
    with console.leaving_at_once():
        from tagger.prediction.onnx_session import load_predictor

        return load_predictor(path, threads=threads, device=device)


def warn(text: str) -> None:
    """Show a warning."""
    console.say(f"warning: {text}")
