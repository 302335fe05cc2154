"""Imports of large libraries without the parts of them that nobody uses here, which would take most of the time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType


@contextlib.contextmanager
def standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Let modules stand in for others inside the `with` block; a later import finds the real ones.

    Args:
        modules: name → what is imported under it; None makes the module look as if it were not installed. Modules that
            have been imported before are left as they are.
    """
    hidden = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(hidden)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in hidden.items():
            if sys.modules.get(name) is module:
                sys.modules.pop(name, None)
