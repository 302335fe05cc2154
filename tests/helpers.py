"""Run the command line inside the test process: bytes go in, bytes and an exit code come out, as for a user."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from tagger.cli import commands
from tagger.evaluation.scores import _seqeval

ROOT = Path(__file__).parents[1]
# Settings with which the graph of a training is built in the shortest time, for what does not depend on the network.
SHORT_GRAPH = (
    "model.layers=1", "model.characters=none", "model.decoder=constrained",
    "training.optimizer=adam", "training.ema=null", "training.clip_norm=null",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Result:
    exit_code: int
    output: bytes
    errors: str

    @property
    def first_error(self) -> str:
        """The first line that begins with `error:`; the test fails if there is none, or a traceback."""
        assert "Traceback" not in self.errors, self.errors
        lines = [line for line in self.errors.splitlines() if line.startswith(("error: ", "Error: "))]
        assert lines, f"no error line in {self.errors!r}"
        return lines[0]


def run_tagger(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """Run `tagger ARGUMENTS < stdin` in this process, because each new process would import TensorFlow again."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        exit_code = commands.run([str(argument) for argument in arguments])
        out.flush()
        err.flush()
    output, errors = out.buffer, err.buffer
    assert isinstance(output, io.BytesIO)
    assert isinstance(errors, io.BytesIO)
    return Result(exit_code, output.getvalue(), errors.getvalue().decode())


def needs(*libraries: str, extra: str) -> pytest.MarkDecorator:
    """Return the mark of tests that are skipped without the libraries of an extra.

    It imports none of them, because each process would then import all of them before its first test.
    """
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"found no {', '.join(missing)}: pip install '.[{extra}]'")


def spans_of_seqeval(tags: list[Any]) -> list[tuple[str, int, int]]:
    """Return the type, the first and the last token of each span that seqeval finds in one or more sentences of tags."""
    return list(_seqeval("metrics.sequence_labeling").get_entities(tags))


def tag_files(directory: str, files: list[list[list[str]]]) -> list[list[list[str]]]:
    """Return the tags of files of sentences; this module lets another process call it without TensorFlow."""
    from tagger.prediction.onnx_session import load_predictor

    predictor = load_predictor(Path(directory), threads=2)
    return [[sentence.tags for sentence in predictor.tag(file)] for file in files]
