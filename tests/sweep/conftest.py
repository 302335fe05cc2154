"""What all tests of sweeps share."""

from __future__ import annotations

import importlib.util
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
