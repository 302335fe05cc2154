"""Check that equal sources give equal archives: build wheel and sdist from two copies with different file times.

python scripts/checks/build_twice.py        # writes the archives to dist/
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def sources() -> list[str]:
    """Return the files that git tracks, or all files if there is no git, as in an unpacked sdist."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0:
        return [name for name in os.fsdecode(listed.stdout).split("\0") if name and (ROOT / name).exists()]
    return [
        str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts[-3:]
    ]


def build(folder: Path, age: int) -> dict[str, str]:
    """Build a copy of the sources; return the SHA-256 of each archive.

    Args:
        age: how many seconds older than a fixed time the files of the copy are.
    """
    for name in sources():
        copy = folder / "copy" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy)
        os.utime(copy, (1.7e9 - age, 1.7e9 - age))
    subprocess.run([sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "copy"], check=True, stdout=2)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "dist").iterdir())}


def check_man_pages(wheel: Path) -> None:
    """Require a page for `tagger` and for a command of a command."""
    names = zipfile.ZipFile(wheel).namelist()
    for page in ("tagger.1", "tagger-config-show.1"):
        if not any(name.endswith(f".data/data/share/man/man1/{page}") for name in names):
            sys.exit(f"{wheel.name}: found no man page {page}")


def main() -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, second = build(Path(one), 0), build(Path(two), 12345)
        for name, digest in first.items():
            print(f"{digest}  {name}")
        check_man_pages(next(Path(one, "dist").glob("*.whl")))
        if first != second:
            sys.exit(f"two builds differ: {first} and {second}")
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        shutil.copytree(Path(one, "dist"), ROOT / "dist")


if __name__ == "__main__":
    main()
