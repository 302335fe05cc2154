"""Fixtures that the tests of `tagger check` share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a temporary folder the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
