"""What all tests share: where the benchmark corpora are, and how long Hypothesis may take."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: the first example of a test pays for imports. Same examples in every run, so that a failure stays one.
settings.register_profile("tagger", deadline=None, derandomize=True, database=None)
settings.load_profile("tagger")

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of the benchmark corpora; tests that ask for it are marked `corpora`."""
    path = Path(os.environ.get("TAGGER_CORPORA") or _ROOT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"the benchmark corpora are not here ({path}); set TAGGER_CORPORA to their folder")
    return path
