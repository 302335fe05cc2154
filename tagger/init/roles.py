"""Which files are for training, for dev and for test, by their names."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from tagger.errors import DataError
from tagger.formats.registry import guess_source
from tagger.wording import listed

_ROLES = {
    name: role
    for role, names in {
        "train": ("train", "training", "trn"),
        "dev": ("dev", "devel", "development", "valid", "validation", "val", "testa"),
        "test": ("test", "testing", "testb", "eval", "evaluation"),
    }.items()
    for name in names
}
_WORD = re.compile(r"[^\W\d_]+")
_NO_CORPUS = frozenset((".yaml", ".yml", ".md", ".rst", ".log", ".py", ".sh", ".toml", ".pdf", ".bak", ".previous"))
_NO_CORPUS_NAMES = re.compile(r"(readme|licen[cs]e|changelog|authors|citation)\b", re.IGNORECASE)
_BY_HAND = "name only the training files, and the others with --set data.dev=FILE and --set data.test=FILE"


@dataclasses.dataclass(frozen=True)
class Roles:
    """The files of a training.

    Attributes:
        name: the name for the config and the model.
        train, dev, test: the paths, as given; `train` has at least one.
        notes: how they were told apart.
    """

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def find_roles(paths: Sequence[str]) -> Roles:
    """Tell the training, dev and test files among files and folders apart.

    A folder stands for the files in it. A single training file brings along the dev and test files beside it whose
    names differ from its own in nothing but that word.

    Raises:
        DataError: a file is missing, or the names do not tell which is which.
    """
    for path in paths:
        if not path or "\0" in path or path == "-":
            raise DataError(f"FILE: found {path!r}, expected a file or a folder; name it")
        if not os.path.lexists(path):
            raise DataError(f"{path}: no such file or folder; check the path")
    folder = paths[0] if len(paths) == 1 and Path(paths[0]).is_dir() else None
    inside = _inside(Path(folder)) if folder is not None else []
    roles = _by_name(inside or list(paths))
    if folder is not None and inside:
        roles = dataclasses.replace(roles, name=_stem(folder))
    return _with_files_beside(roles)


def role_in_name(name: str) -> tuple[str | None, str]:
    """Return the role that a file name says, and the name with a `*` in the place of that word.

    >>> role_in_name("zh_gsd-ud-train.iob2"), role_in_name("eng.testa"), role_in_name("train-or-test.txt")
    (('train', 'zh_gsd-ud-*.iob2'), ('dev', 'eng.*'), (None, 'train-or-test.txt'))
    """
    words = [word for word in _WORD.finditer(name) if word.group().casefold() in _ROLES]
    if len({_ROLES[word.group().casefold()] for word in words}) != 1:
        return None, name
    word = words[-1]
    return _ROLES[word.group().casefold()], f"{name[: word.start()]}*{name[word.end() :]}"


def _by_name(paths: Sequence[str]) -> Roles:
    roles = {path: role_in_name(Path(path).name)[0] for path in paths}
    if len(paths) > 1 and not any(roles.values()):  # train/part.conll and dev/part.conll
        roles = {path: role_in_name(Path(path).absolute().parent.name)[0] for path in paths}
        roles = roles if len({role for role in roles.values() if role}) > 1 else dict.fromkeys(paths)
    of = {role: tuple(path for path in paths if roles[path] == role) for role in ("train", "dev", "test", None)}
    notes = []
    train, unnamed = of["train"], of[None]
    if not train:
        train, unnamed = unnamed, ()
    if unnamed:
        raise DataError(
            f"{unnamed[0]}: its name does not say what it is for, expected train, dev or test in it, as in"
            f" {Path(train[0]).name}; {_BY_HAND}"
        )
    if not train and len(paths) == 1:
        notes.append(f"{paths[0]} is the only file, so it is the training file in spite of its name")
        return Roles(_stem(paths[0]), tuple(paths), notes=tuple(notes))
    if not train:
        raise DataError(
            f"{paths[0]}: found only dev and test files by their names, expected a training file; {_BY_HAND}"
        )
    if len(paths) > 1:
        parts = {"train": train, "dev": of["dev"], "test": of["test"]}
        shown = (f"{role} is {listed([Path(path).name for path in found])}" for role, found in parts.items() if found)
        notes.append(f"by their names, {', '.join(shown)}")
    return Roles(_stem(train[0]), train, of["dev"], of["test"], tuple(notes))


def _inside(folder: Path) -> list[str]:
    """Return the files and folders of a folder that are corpora, or nothing if the folder is itself one corpus.

    Raises:
        DataError: the folder holds several files, and it is not clear which to take.
    """
    entries = sorted(entry for entry in folder.iterdir() if _may_be_corpus(entry))
    named = {entry: role_in_name(entry.name) for entry in entries}
    train = [entry for entry, (role, _) in named.items() if role == "train"]
    if train:
        kinds = {re.sub(r"\d+", "#", rest.casefold()) for role, rest in named.values() if role == "train"}
        if len(kinds) > 1:
            raise _unclear(folder, train, "several training files")
        chosen = {role for role, _ in named.values()} - {None}
        return [
            str(entry) for role in ("train", "dev", "test") if role in chosen for entry in _same(named, role, kinds)
        ]
    try:
        guess_source(folder)
    except DataError:
        files = [entry for entry in entries if entry.is_file()]
        if len(files) != 1:
            raise _unclear(folder, files, "no file called train") from None
        return [str(files[0])]
    return []


def _same(named: dict[Path, tuple[str | None, str]], role: str, kinds: Iterable[str]) -> list[Path]:
    """Return the entries with a role: those named as the training files are, or else all of them."""
    found = [entry for entry, (own, _) in named.items() if own == role]
    same = [entry for entry in found if re.sub(r"\d+", "#", named[entry][1].casefold()) in kinds]
    return same or found


def _unclear(folder: Path, files: Sequence[Path], found: str) -> DataError:
    shown = [entry.name for entry in files[:10]]
    return DataError(
        f"{folder}: found {found}, expected one that is clear from its name; {_BY_HAND}",
        detail=[
            f"it holds {', '.join(shown)}{', …' if len(files) > len(shown) else ''}" if shown else "it holds no file"
        ],
    )


def _may_be_corpus(entry: Path) -> bool:
    return not (
        entry.name.startswith(".") or entry.suffix.casefold() in _NO_CORPUS or _NO_CORPUS_NAMES.match(entry.name)
    )


def _with_files_beside(roles: Roles) -> Roles:
    """Return the roles with the dev and test files that are beside a single training file."""
    if len(roles.train) > 1:
        return roles
    train = Path(roles.train[0])
    own, rest = role_in_name(train.name)
    if own != "train":
        return roles
    found: dict[str, tuple[str, ...]] = {}
    try:
        names = sorted(entry.name for entry in (train.parent).iterdir() if entry.is_dir() == train.is_dir())
    except OSError:  # a folder may be closed although its files can be read
        return roles
    for role in ("dev", "test"):
        names_of_role = [name for name in names if role_in_name(name)[0] == role]
        beside = [name for name in names_of_role if role_in_name(name)[1].casefold() == rest.casefold()]
        if beside and not getattr(roles, role):
            found[role] = (str(train.parent / beside[0]),)
    if not found:
        return roles
    shown = listed([f"data.{role} is {Path(files[0]).name}" for role, files in found.items()])
    without = " ".join({"dev": "--set data.dev=0.1", "test": "--set data.test=null"}[role] for role in found)
    note = f"found beside {train.name}: {shown} (to leave out: {without})"
    return dataclasses.replace(
        roles,
        dev=found.get("dev", roles.dev),
        test=found.get("test", roles.test),
        notes=(*roles.notes, note),
    )


def _stem(path: str) -> str:
    """Return the name for a config and a model: `train` for `data/train.tsv.gz`."""
    place = Path(path).absolute()
    name = place.name or "corpus"
    if place.name in ("", "..", "."):
        name = Path(os.path.abspath(path)).name or "corpus"  # noqa: PTH100 (removes the `..`)
    stem = name if Path(path).is_dir() else Path(name.removesuffix(".gz")).stem
    return stem or "corpus"
