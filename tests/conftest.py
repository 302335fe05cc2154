"""What all tests share: the folder of the benchmark corpora, a browser, the Hypothesis profile, and garbage collection."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, chromium, find_chromium
from hypothesis import settings

# No deadline, because the first example of a test also pays for imports. The examples are the same in every run, so
# that failures can be reproduced.
settings.register_profile("tagger", deadline=None, derandomize=True, database=None)
settings.load_profile("tagger")

_ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of garbage collection, which took a third of the time of the tests.

    The usual threshold, 700 objects, is passed for each few hundred lines of a corpus.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of the benchmark corpora; tests that use it are marked `corpora`."""
    path = Path(os.environ.get("TAGGER_CORPORA") or _ROOT.parent / "shared" / "data")
    if not path.is_dir():
        pytest.skip(f"the benchmark corpora are not here ({path}); set TAGGER_CORPORA to their folder")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    """A headless Chromium, for the tests of pages."""
    if find_chromium() is None:
        pytest.skip("found no chromium; install it to test the page")
    with chromium() as browser:
        yield browser
