"""Tests of directories that are replaced in one step and kept, whenever the process is killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagger import atomic


def write(directory: Path, name: str) -> None:
    directory.mkdir()
    (directory / "marker").write_text(name)
    (directory / "data").write_text(name * 3)


def held(directory: Path) -> str | None:
    """Return the name of the model in a directory, which must be whole; None without the directory."""
    if not directory.exists():
        return None
    name = (directory / "marker").read_text()
    assert (directory / "data").read_text() == name * 3
    assert len(list(directory.iterdir())) == 2
    return name


def publish_and_die(target: Path, n: int, *, exchange: bool) -> bool:
    """Replace `target` in a child process that is killed at its n-th change of a directory; return whether it was."""
    child = os.fork()
    if not child:
        n_calls = 0

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def counting(*arguments: object, **options: object) -> object:
                nonlocal n_calls
                n_calls += 1
                if n_calls == n:
                    os._exit(9)
                return call(*arguments, **options)

            return counting

        atomic._renameat2_exchange = (  # type: ignore[assignment]
            counted(atomic._renameat2_exchange) if exchange else lambda a, b: False
        )
        Path.rename = counted(Path.rename)  # type: ignore[method-assign, assignment]
        Path.mkdir = counted(Path.mkdir)  # type: ignore[method-assign, assignment]
        shutil.rmtree = counted(shutil.rmtree)  # type: ignore[assignment]
        atomic._write_synced = counted(atomic._write_synced)  # type: ignore[assignment]
        try:
            atomic.publish_directory(target, {"data": b"new" * 3, "marker": b"new"}, keep="marker")
        except BaseException:  # the child must never return to pytest
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


@pytest.mark.parametrize("older", ["older", None])
@pytest.mark.parametrize("exchange", [True, False])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_directory_and_loses_none(
    tmp_path: Path, exchange: bool, older: str | None
) -> None:
    found, n = [], 0
    while True:
        n += 1
        folder = tmp_path / str(n)
        folder.mkdir()
        target = folder / "m"
        write(target, "old")
        if older:
            write(folder / "m.previous", older)
        killed = publish_and_die(target, n, exchange=exchange)
        if exchange:
            assert held(target) in ("old", "new"), "a reader must find a whole directory at any time"
        atomic.remove_leftovers(target, marker="marker")
        found.append((held(target), held(folder / "m.previous")))
        assert found[-1] in (("old", older), ("new", "old"))
        assert {path.name for path in folder.iterdir()} <= {"m", "m.previous"}
        if not killed:
            break
    assert found[0] == ("old", older)
    assert found[-1] == ("new", "old")
    assert found.count(("new", "old")) > 2, "some kills must come after the exchange"


def test_nothing_is_kept_where_nothing_was_replaced(tmp_path: Path) -> None:
    target = tmp_path / "m"
    atomic.publish_directory(target, {"data": b"a" * 3, "marker": b"a"}, keep="marker")
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
    atomic.publish_directory(target, {"data": b"b" * 3, "marker": b"b"})
    assert (held(target), held(tmp_path / "m.previous")) == ("b", None)
    atomic.publish_directory(target, {"data": b"c" * 3, "marker": b"c"}, keep="marker")
    assert (held(target), held(tmp_path / "m.previous")) == ("c", "b")


def test_files_that_belong_together_stay_as_they_were_if_one_cannot_be_written(tmp_path: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"new"
        raise OSError("full")

    first, second = tmp_path / "first", tmp_path / "second"
    atomic.replace_together({first: [b"old 1"], second: [b"old 2"]})
    for files in ({first: [b"new"], second: broken()}, {first: broken(), second: [b"new"]}):
        with pytest.raises(OSError, match="full"):
            atomic.replace_together(files)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"first": b"old 1", "second": b"old 2"}
