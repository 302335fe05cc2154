"""The models that the tests of the server use; without the extra `serve` they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_model import LIGHT, write_model
from serving import Served, serving


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tags the tokens of `served_model.TAG_OF_TOKEN`, and is loaded quickly."""
    for library in ("starlette", "uvicorn", "httptools", "prometheus_client"):
        pytest.importorskip(library, reason="the extra serve is not installed")
    return write_model(tmp_path_factory.mktemp("served") / "model", language=LIGHT)


@pytest.fixture(scope="session")
def other(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, but for the type NAME in the place of PER."""
    return write_model(tmp_path_factory.mktemp("served") / "other", "NAME", LIGHT)


@pytest.fixture(scope="session")
def english(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with spaCy's rules for English."""
    return write_model(tmp_path_factory.mktemp("served") / "english")


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    """A server with this model."""
    with serving("--model", model) as served:
        yield served
