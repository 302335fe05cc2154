"""What all tests of sweeps share."""

from __future__ import annotations

import importlib.util
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="package", autouse=True)
def _the_history_of_the_schema_is_loaded_once() -> Iterator[None]:
    """Load the history of Optuna's schema once, and not twice for each of the many files: it is always the same.

    Which schema a file has is still read from it and compared.
    """
    if importlib.util.find_spec("alembic") is None:
        yield
        return
    from alembic.script import ScriptDirectory

    load, loaded = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def load_once(config: Any) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        if place not in loaded:
            loaded[place] = load(config)
        return loaded[place]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", load_once)
        yield


@pytest.fixture(scope="package", autouse=True)
def _no_study_waits_for_the_disk() -> Iterator[None]:
    """Let commits return at once: what a study has on the disk after a power cut is not tested."""
    connect = sqlite3.connect

    def connect_without_waiting(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_without_waiting)
        yield
