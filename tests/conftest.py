"""What all tests share: the corpora, a browser, the settings of Hypothesis, and the order of the files."""

from __future__ import annotations

import collections
import gc
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import Chromium, chromium, find_chromium
from hypothesis import settings

from tagger.machine import tune_interpreter

# As the command does, before NumPy is imported: its threads would take the cores from each other and from other tests.
tune_interpreter()

# No deadline, because the first example of a test also pays for imports. The examples are the same in every run, so
# that failures can be reproduced.
settings.register_profile("tagger", deadline=None, derandomize=True, database=None)
settings.load_profile("tagger")

_SLOW = ("tensorflow", "ray", "index")
_STARTS_PROCESSES = re.compile(r"^(import subprocess|from (serving|chromium) )", re.MULTILINE)
_ROOT = Path(__file__).resolve().parent.parent
_OWN_MARKS = re.compile(r"^pytestmark = (.+)$", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the modules that `-m "not … and not …"` deselects as a whole: they import TensorFlow or Ray at once."""
    terms = config.getoption("markexpr").split(" and ")
    if collection_path.suffix != ".py" or not all(re.fullmatch(r"not \w+", term) for term in terms):
        return None
    marks = " ".join(_OWN_MARKS.findall(collection_path.read_text("utf-8")))
    return any(re.search(rf"pytest\.mark\.{term[4:]}\b", marks) for term in terms) or None


def pytest_collection_finish() -> None:
    """Leave the thousands of collected tests out of garbage collection, which took a third of the time of the tests.

    The usual threshold, 700 objects, is passed for each few hundred lines of a corpus.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _nothing_waits_for_the_disk() -> Iterator[None]:
    """Let `os.fsync` return at once in this process: it matters after a power cut only, which no test can cause."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # like fsync, fstat fails for a file that is closed
        yield


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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left with one of them at the end.

    These are the files with slow tests, then those that start processes, then those with many tests.
    """
    slow = {item.path for item in items if any(map(item.get_closest_marker, _SLOW))}
    n_tests = collections.Counter(item.path for item in items)
    starting = {path for path in n_tests if _STARTS_PROCESSES.search(path.read_text("utf-8"))}
    items.sort(key=lambda item: (item.path not in slow, item.path not in starting, -n_tests[item.path]))
