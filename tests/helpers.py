"""Run the command line inside the test process, as a user would see it: bytes in, bytes and an exit code out."""

from __future__ import annotations

import dataclasses
import io
import sys
from pathlib import Path

import pytest

from tagger.cli import commands

ROOT = Path(__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class Result:
    exit_code: int
    output: bytes
    errors: str

    @property
    def first_error(self) -> str:
        """The line that begins with `error:`; fails the test if there is none or a traceback."""
        assert "Traceback" not in self.errors, self.errors
        lines = [line for line in self.errors.splitlines() if line.startswith(("error: ", "Error: "))]
        assert lines, f"no error line in {self.errors!r}"
        return lines[0]


def run_tagger(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """`tagger ARGUMENTS < stdin`, in this process: importing TensorFlow once is slow enough."""
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


def tag_files(directory: str, files: list[list[list[str]]]) -> list[list[list[str]]]:
    """The tags of files of sentences; here, so that another process can call it without TensorFlow."""
    from tagger.prediction.onnx_session import load_predictor

    predictor = load_predictor(Path(directory), threads=2)
    return [[sentence.tags for sentence in predictor.tag(file)] for file in files]
