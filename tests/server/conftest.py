"""The model that the tests of the server use; without the extra `serve` they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_model import write_model
from serving import Served, serving


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tags the tokens of `served_model.TAG_OF_TOKEN`."""
    for library in ("starlette", "uvicorn", "httptools", "prometheus_client"):
        pytest.importorskip(library, reason="the extra serve is not installed")
    return write_model(tmp_path_factory.mktemp("served") / "model")


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    """A server with this model."""
    with serving("--model", model) as served:
        yield served
