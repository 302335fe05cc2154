"""Tests of locks on files, also where an open file cannot be removed and where there is no flock."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import ROOT

from tagger import filesystem
from tagger.locks import FileLock

HOLDER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], sys.argv[2] + "/tests"]
if sys.argv[3] == "windows":
    import windows
    windows.become(())
from tagger.locks import FileLock
lock = FileLock.take(Path(sys.argv[1]))
print("none" if lock is None else "taken", flush=True)
sys.stdin.read()
if lock is not None:
    lock.release(remove=True)
"""


def hold(path: Path, system: str = "posix") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", HOLDER, str(path), str(ROOT), system],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_only_one_process_has_a_lock(tmp_path: Path, system: str) -> None:
    path = tmp_path / "folder" / "lock"
    with hold(path, system) as first, hold(path, system) as second:
        assert first.stdout is not None
        assert second.stdout is not None
        answers = sorted(process.stdout.readline() for process in (first, second) if process.stdout)
        assert answers == ["none\n", "taken\n"]
        assert FileLock.take(path) is None
        for process in (first, second):
            process.communicate("")
    assert not path.exists()
    lock = FileLock.take(path)
    assert lock is not None
    assert lock.is_held()
    lock.release()
    assert path.exists()


@pytest.mark.parametrize("locks_open_files", [False, True])
def test_the_lock_of_another_process_is_never_removed(
    tmp_path: Path, locks_open_files: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "LOCKS_OPEN_FILES", locks_open_files)
    path = tmp_path / "lock"
    lock = FileLock.take(path)
    assert lock is not None
    path.unlink()
    assert not lock.is_held()
    other = FileLock.take(path)
    assert other is not None
    lock.release(remove=True)
    assert other.is_held()
    other.release(remove=True)
    assert not path.exists()
