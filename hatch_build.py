"""Adds the man pages to the wheel, made of the same texts as `--help`."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPages(BuildHookInterface):  # type: ignore[type-arg]
    """A hook that puts the pages into share/man/man1; an installation to edit has none."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages before the wheel is built."""
        self._folder = Path(tempfile.mkdtemp(prefix="tagger-man-"))
        if version != "standard":
            return
        sys.path[:0] = [self.root, str(Path(self.root, "scripts"))]
        try:
            import make_man_pages
        finally:
            del sys.path[:2]
        for page in make_man_pages.write(self._folder):
            build_data["shared_data"][str(page)] = f"share/man/man1/{page.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the pages once they are in the wheel."""
        shutil.rmtree(self._folder, ignore_errors=True)
