"""Replace files and directories in one step.

A reader always sees either the old or the new version, never a mixture and never a missing file.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from tagger import filesystem
from tagger.errors import ModelError
from tagger.filesystem import open_itself, patiently

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2  # linux/fs.h


def publish_directory(
    target: Path,
    files: Mapping[str, bytes | memoryview],
    *,
    check: Callable[[Path], None] = lambda fresh: None,
    keep: str | None = None,
) -> None:
    """Write `files` into a new directory beside `target` and replace `target` with it in one step.

    Args:
        files: contents by name.
        check: called with the new directory before it is put in place; if it raises, `target` stays as it was.
        keep: the file whose content identifies a directory, to keep the one that is replaced as `previous_of(target)`.

    Raises:
        ModelError: `target` cannot be written.
    """
    target = target.resolve()  # a link stays, and the directory that it points to is replaced
    kept = None if keep is None else _identity(target, keep)
    with directory_beside(target, files, kept=kept) as fresh:
        check(fresh)
        try:
            replace_directory(fresh, target)
            if kept is not None:
                _keep(fresh, target)
        except OSError as error:
            raise explain_not_writable(target, error) from error


@contextlib.contextmanager
def directory_beside(
    target: Path, files: Mapping[str, bytes | memoryview], *, kept: str | None = None
) -> Iterator[Path]:
    """Write `files` into a new directory beside `target`, and remove whatever has its name at the end.

    Args:
        kept: the identity of `target` if the new directory will replace it and it is to be kept.

    Raises:
        ModelError: the directory cannot be written.
    """
    target = target.resolve()
    fresh = _fresh(target, kept)
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            for name, content in files.items():
                _write_synced(fresh / name, [content])
            _sync_directory(fresh)
        except OSError as error:
            raise explain_not_writable(target, error) from error
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def replace_directory(fresh: Path, target: Path) -> None:
    """Replace a directory with another one beside it, in one step.

    The old directory, if there is one, then has the name `fresh`.
    """
    target = target.resolve()
    if target.exists():
        _exchange(fresh, target)
    else:
        patiently(lambda: fresh.rename(target))
    _sync_directory(target.parent)


def previous_of(target: Path) -> Path:
    """Return the place of the directory that `target` has replaced."""
    target = target.resolve()
    return target.with_name(f"{target.name}.previous")


def _keep(replaced: Path, target: Path) -> None:
    """Move the directory that `target` has replaced to its place; the one that was there before gets its name."""
    previous = previous_of(target)
    if previous.exists():
        _exchange(replaced, previous)
    else:
        patiently(lambda: replaced.rename(previous))
    _sync_directory(target.parent)


def _identity(directory: Path, name: str) -> str | None:
    """Return a checksum of a directory's file `name`; None if it cannot be read."""
    try:
        return hashlib.sha256((directory / name).read_bytes()).hexdigest()[:16]
    except OSError:
        return None


def check_replaceable(target: Path, names: frozenset[str], *, marker: str) -> None:
    """Raise ModelError if replacing `target` would destroy anything but files of these names.

    If `target` is not empty, it must contain the file `marker`. Without it, its files may only happen to have these
    names.
    """
    try:
        entries = {entry.name: entry.is_dir() for entry in target.iterdir()}
    except FileNotFoundError:
        return
    except NotADirectoryError:
        if not target.exists():
            raise ModelError(f"{target}: cannot be written: a file is in the way; choose another place") from None
        raise ModelError(f"{target}: is a file, expected a model directory or nothing; choose another place") from None
    except OSError as error:
        raise explain_not_writable(target, error) from None
    if Path.cwd().is_relative_to(target.resolve()):
        raise ModelError(
            f"{target}: found the working directory in it, expected a separate directory; choose another place with"
            " --model"
        )
    foreign = sorted(name for name, is_directory in entries.items() if name not in names or is_directory)
    if not foreign and entries and marker not in entries:
        foreign = sorted(entries)
    if foreign:
        raise ModelError(
            f"{target}: holds {foreign[0]}, which is not part of a model and would be lost; move it, or choose"
            " another model directory",
            detail=[f"also {name}" for name in foreign[1:4]],
        )


def check_writable(target: Path) -> None:
    """Raise ModelError if no directory can be created beside `target`."""
    target = target.resolve()
    probe = _fresh(target, "0" * 16)  # the longest name that a new directory may get
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        probe.mkdir(exist_ok=True)
        probe.rmdir()
    except OSError as error:
        raise explain_not_writable(target, error) from None


def _fresh(target: Path, kept: str | None = None) -> Path:
    # After a crash, the identity of the directory that is to be kept tells whether it was already exchanged.
    return target.parent / f".{target.name}.{os.getpid()}{f'.{kept}' if kept else ''}.new"


def remove_leftovers(target: Path, *, marker: str) -> None:
    """Clean up after processes that were killed while they wrote `target`; no process may be writing it now.

    Directories that they left beside `target` are removed, but for two: the old `target` if `target` itself is missing,
    and the old `target` that was to be kept. These are moved to their places.

    Args:
        marker: the file whose content identifies a directory.

    Raises:
        ModelError: the old `target` cannot be moved to its place.
    """
    target = target.resolve()
    leftover = re.compile(rf"\.{re.escape(target.name)}\.\d+(\.[0-9a-f]{{16}})?\.(new|old)")
    try:
        found = [(path, match[1]) for path in target.parent.iterdir() if (match := leftover.fullmatch(path.name))]
        for path, _ in found:
            if path.suffix == ".old" and not target.exists():
                patiently(functools.partial(path.rename, target))  # killed between two renames: this is the model
        for path, kept in found:
            if kept is not None and f".{_identity(path, marker)}" == kept:
                _keep(path, target)  # killed after the exchange
        for path, _ in found:
            shutil.rmtree(path, ignore_errors=True)
    except OSError as error:
        raise explain_not_writable(target, error) from None


def explain_not_writable(target: Path, error: OSError) -> ModelError:
    """Return the error that says why a directory cannot be written, and what to do."""
    remedies = {errno.ENOSPC: "free some space", errno.ENAMETOOLONG: "shorten its name"}
    usual = "check its permissions"
    if filesystem.LOCKS_OPEN_FILES:
        usual += " and close the programs that have it open"
    remedy = remedies.get(error.errno or 0, usual)
    return ModelError(f"{target}: cannot be written: {error.strerror}; {remedy}, or choose another place with --model")


def write_atomically(path: Path, *parts: bytes | memoryview) -> None:
    """Replace a file in one step.

    Raises:
        OSError: the file cannot be written.
    """
    write_blocks_atomically(path, parts)


def write_blocks_atomically(path: Path, blocks: Iterable[bytes | memoryview]) -> None:
    """Replace a file in one step once all blocks of its content have been made and written.

    An exception that is raised while the blocks are made leaves the file as it was.

    Raises:
        OSError: the file cannot be written.
    """
    with writing_atomically(path) as file:
        for block in blocks:
            file.write(block)


@contextlib.contextmanager
def writing_atomically(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write, which replaces another one in one step at the end of the `with` block.

    An exception that is raised in the block leaves the other file as it was.

    Raises:
        OSError: the file cannot be written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with open(fresh, "wb", opener=open_itself) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        replace_file(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def replace_file(fresh: Path, path: Path) -> None:
    """Replace a file with another one beside it, in one step.

    Raises:
        OSError: the file cannot be replaced.
    """
    patiently(lambda: fresh.replace(path))
    _sync_directory(path.parent)


def replace_together(files: Mapping[Path, Iterable[bytes | memoryview]]) -> None:
    """Replace files that belong together, once all of them have been written beside their places.

    No reader ever sees an old file together with a new one: the first file is missing until all others are in place.

    Raises:
        OSError: a file cannot be written. If none has been replaced yet, all are as they were.
    """
    fresh = {path: path.with_name(f".{path.name}.{os.getpid()}.new") for path in files}
    first, *others = files
    old = fresh[first].with_suffix(".old")
    try:
        for path, parts in files.items():
            _write_synced(fresh[path], parts)
        n_replaced = 0
        try:
            with contextlib.suppress(FileNotFoundError):
                patiently(lambda: first.replace(old))
            for path in [*reversed(others), first]:
                replace_file(fresh[path], path)
                n_replaced += 1
        except BaseException:
            if not n_replaced and old.exists():  # the file may be locked, because somebody has it open
                patiently(lambda: old.replace(first))
            raise
    finally:
        for path in (*fresh.values(), old):
            path.unlink(missing_ok=True)


def _write_synced(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    with open(path, "wb", opener=open_itself) as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):  # not every system can sync a directory
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(fresh: Path, target: Path) -> None:
    """Swap two directories in one step if the system supports it, as Linux does; otherwise with renames."""
    if _renameat2_exchange(fresh, target):
        return
    old = fresh.with_suffix(".old")
    patiently(lambda: target.rename(old))
    try:
        patiently(lambda: fresh.rename(target))
    except OSError:
        patiently(lambda: old.rename(target))
        raise
    patiently(lambda: old.rename(fresh))


def _renameat2_exchange(a: Path, b: Path) -> bool:
    renameat2 = _renameat2()
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):  # an old kernel, or a file system that does not support it
        return False
    raise OSError(code, os.strerror(code), str(b))


def _renameat2() -> Callable[..., int] | None:
    """Return the function of the C library, or None on a system that has none."""
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    except (TypeError, OSError):  # Windows has no library without a name
        return None
