"""Tests of what systems without descriptors of directories, or with several drives, use."""

from __future__ import annotations

import errno
import ntpath
import os
import types
from pathlib import Path

import pytest

from tagger import filesystem
from tagger.filesystem import open_directory, open_itself, relative_path


@pytest.fixture(params=[True, False], ids=["descriptors", "names"])
def has_descriptors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    has = bool(request.param)
    monkeypatch.setattr(filesystem, "_HAS_DIRECTORY_DESCRIPTORS", has)
    if not has:
        monkeypatch.setattr(filesystem, "_NO_LINKS", 0)
    return has


def content(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


def test_a_directory_knows_when_another_one_has_its_place(tmp_path: Path, has_descriptors: bool) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    opened = open_directory(tmp_path / "a")
    assert opened.is_in_place()
    (tmp_path / "a").rename(tmp_path / "c")
    with pytest.raises(FileNotFoundError):
        opened.is_in_place()
    (tmp_path / "b").rename(tmp_path / "a")
    assert not opened.is_in_place()
    assert content(opened.open("file", os.O_RDONLY)) == (b"a" if has_descriptors else b"b")
    assert (opened.path_of("file") is None) == (not has_descriptors)
    opened.close()


@pytest.mark.usefixtures("has_descriptors")
def test_what_is_not_a_directory_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError):
        open_directory(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        open_directory(tmp_path / "missing")


def test_a_directory_that_is_replaced_while_it_is_opened_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filesystem, "_HAS_DIRECTORY_DESCRIPTORS", False)
    stat, looks = Path.stat, []

    def look(path: Path, **options: bool) -> os.stat_result:
        looks.append(path)
        return stat(path if len(looks) == 1 else tmp_path / "missing", **options)

    monkeypatch.setattr(Path, "stat", look)
    open_directory(tmp_path)
    assert looks == [tmp_path]


@pytest.mark.usefixtures("has_descriptors")
def test_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    assert content(open_itself(tmp_path / "file", os.O_RDONLY)) == b"x"
    opened = open_directory(tmp_path)
    for open_ in (lambda: open_itself(tmp_path / "link", os.O_RDONLY), lambda: opened.open("link", os.O_RDONLY)):
        with pytest.raises(OSError, match="symbolic links") as raised:
            open_()
        assert raised.value.errno == errno.ELOOP
    opened.close()


def test_a_path_on_another_drive_stays_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystem, "os", types.SimpleNamespace(path=ntpath, sep="\\", curdir="."))
    assert relative_path("C:\\data\\a b\\x.conll", "C:\\models\\m") == "../../data/a b/x.conll"
    assert relative_path("D:\\data\\x.conll", "C:\\models\\m") == "D:/data/x.conll"


def test_a_change_is_tried_again_only_where_open_files_are_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def change() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise PermissionError
        return 7

    with pytest.raises(PermissionError):
        filesystem.patiently(change)
    assert len(calls) == 1
    monkeypatch.setattr(filesystem, "LOCKS_OPEN_FILES", True)
    assert filesystem.patiently(change) == 7
    calls.clear()
    with pytest.raises(PermissionError):
        filesystem.patiently(change, patience=0.0)
