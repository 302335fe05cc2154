"""Vectors that are written can be read, and never with the tokens of other vectors."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tagger import atomic
from tagger.errors import DataError
from tagger.vectors.table import Vectors, read_vectors
from tagger.vectors.writing import check_place, reserved, write_vectors


def vectors_of(*tokens: str, value: float = 0.5) -> Vectors:
    table = np.full((len(tokens), 3), value, np.float32) + np.arange(len(tokens), dtype=np.float32)[:, None]
    return Vectors({token: row for row, token in enumerate(tokens)}, table)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    wanted = vectors_of("the", "\u3000", "New York", "\u2028", "é")
    write_vectors(wanted, tmp_path / "v.npy")
    found = read_vectors(tmp_path / "v.npy")
    assert dict(found.rows) == dict(wanted.rows)
    np.testing.assert_array_equal(found.table, wanted.table)
    np.testing.assert_array_equal(np.load(tmp_path / "v.npy", allow_pickle=False), wanted.table)
    assert (tmp_path / "v.txt").read_text("utf-8") == "the\n\u3000\nNew York\n\u2028\né\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.npy", "v.txt"]


@pytest.mark.parametrize("n", range(1, 6))
def test_a_reader_never_gets_an_array_with_the_tokens_of_another(tmp_path: Path, n: int) -> None:
    """End the process before its n-th change of a file, as SIGKILL would."""
    path = tmp_path / "v.npy"
    write_vectors(vectors_of("a", "b", value=1), path)
    child = os.fork()
    if not child:
        n_calls = 0

        def counted(call):  # type: ignore[no-untyped-def]
            def counting(*arguments, **options):  # type: ignore[no-untyped-def]
                nonlocal n_calls
                n_calls += 1
                if n_calls == n:
                    os._exit(9)
                return call(*arguments, **options)

            return counting

        atomic._write_synced = counted(atomic._write_synced)
        Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
        Path.replace = counted(Path.replace)  # type: ignore[method-assign]
        write_vectors(vectors_of("c", "d", value=2), path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    try:
        found = read_vectors(path)
    except DataError as error:
        assert "found neither v.txt nor v.vocab beside it" in error.message
        assert n in (4, 5)
    else:
        assert n < 4
        assert (list(found.rows), found.table[0, 0]) == (["a", "b"], 1)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("v.txt", "-o: found 'v.txt', expected a name that ends in .npy; the vocabulary gets the same name with .txt"),
        ("no/v.npy", "no/v.npy: cannot be written: No such file or directory; choose another place with -o"),
        ("raw.txt/v.npy", "raw.txt/v.npy: cannot be written: Not a directory; choose another place with -o"),
        ("old.npy", "old.npy: already exists, expected a new name; choose another -o, or replace it with --force"),
        (
            "tokens.npy",
            "tokens.txt: already exists, expected a new name; choose another -o, or replace it with --force",
        ),
        ("raw.npy", "raw.txt: is what is read, and would be replaced, expected another name; choose another -o"),
        ("linked.npy", "linked.txt: is what is read, and would be replaced, expected another name; choose another -o"),
        ("folder.npy", "folder.npy: is there and is not a file, expected a new name; choose another -o"),
        ("link.npy", "link.npy: is a link to raw.txt, expected one to a name that ends in .npy; choose another"),
    ],
)
def test_a_place_that_would_replace_something_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("raw.txt", "old.npy", "tokens.txt"):
        Path(name).write_text("x")
    Path("folder.npy").mkdir()
    Path("linked.txt").hardlink_to("raw.txt")
    Path("link.npy").symlink_to("raw.txt")
    for force in {False, "--force" not in message}:
        with pytest.raises(DataError) as caught:
            check_place(out, ["raw.txt", "-"], force=force)
        assert caught.value.message == message


@pytest.mark.parametrize(
    ("out", "sources", "message"),
    [
        ("brat/doc.npy", ["brat"], "brat/doc.npy: is inside brat, which is read, expected another folder; choose another -o"),
        ("brat/new.npy", ["x", "brat/"], "brat/new.npy: is inside brat/, which is read,"),
        ("linked/doc.npy", ["brat"], "linked/doc.npy: is inside brat, which is read,"),
        ("brat/doc.npy", ["brat/doc.ann"], "brat/doc.txt: is what is read, and would be replaced,"),
    ],
)  # fmt: skip
def test_the_texts_of_a_folder_are_never_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, sources: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("brat").mkdir()
    Path("linked").symlink_to("brat")
    Path("brat/doc.txt").write_text("x")
    Path("brat/doc.ann").write_text("")
    for force in (False, True):
        with pytest.raises(DataError) as caught:
            check_place(out, sources, force=force)
        assert caught.value.message.startswith(message)


def test_two_commands_never_write_the_same_vectors(tmp_path: Path) -> None:
    out = str(tmp_path / "v.npy")
    with reserved(out, [], force=False) as path:
        with pytest.raises(DataError) as caught, reserved(out, [], force=True):
            pass
        assert caught.value.message == (
            f"{out}: another command is writing vectors there, expected none; wait for it, or choose another -o"
        )
        with reserved(str(tmp_path / "other.npy"), [], force=False):
            pass
        write_vectors(vectors_of("a"), path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.npy", "v.txt"]
    with pytest.raises(DataError, match="already exists"), reserved(out, [], force=False):
        pass
    with reserved(out, [], force=True):
        pass


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_learned(tmp_path: Path) -> None:
    (tmp_path / ".v.npy.lock").symlink_to(tmp_path / "elsewhere")
    expected = r"v\.npy: cannot be written: .*; choose another place with -o"
    with pytest.raises(DataError, match=expected), reserved(str(tmp_path / "v.npy"), [], force=False):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_vectors_are_replaced_with_force(tmp_path: Path) -> None:
    write_vectors(vectors_of("a"), tmp_path / "v.npy")
    assert check_place(str(tmp_path / "v.npy"), [], force=True) == tmp_path / "v.npy"
    write_vectors(vectors_of("b", "c"), tmp_path / "v.npy")
    assert list(read_vectors(tmp_path / "v.npy").rows) == ["b", "c"]


def test_a_token_that_is_not_a_line_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a token with a line end"):
        write_vectors(vectors_of("a\nb"), tmp_path / "v.npy")
