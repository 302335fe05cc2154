"""The image is built from what its Dockerfile copies, of which .dockerignore must leave everything."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from helpers import ROOT


def test_the_image_has_all_that_a_wheel_is_built_from(tmp_path: Path) -> None:
    let_through = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    build = (ROOT / "deploy/Dockerfile").read_text().split("\nFROM ")[1]
    for line in re.findall(r"^COPY (.+)$", build, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            assert source in let_through, f"{source} never reaches the builder"
            if not Path(source).suffix or source == "LICENSE":
                continue
            place = tmp_path / target / (source if target == "./" else "")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / source, place)
    (tmp_path / "tagger").symlink_to(ROOT / "tagger")
    hook = tomllib.loads((tmp_path / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "hooks"
    ]
    assert (tmp_path / hook["custom"]["path"]).is_file()
    command = [sys.executable, "scripts/make_man_pages.py", "pages"]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True)
    assert (tmp_path / "pages/tagger-serve.1").is_file()
