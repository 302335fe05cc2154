"""Which files are for training, dev and test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger.errors import DataError
from tagger.init.roles import find_roles, role_in_name


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("a\tO\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train.conll", ("train", "*.conll")),
        ("zh_gsd-ud-dev.iob2", ("dev", "zh_gsd-ud-*.iob2")),
        ("eng.testa", ("dev", "eng.*")),
        ("eng.testb", ("test", "eng.*")),
        ("wnut17train.conll.gz", ("train", "wnut17*.conll.gz")),
        ("TRAIN.TXT", ("train", "*.TXT")),
        ("valid", ("dev", "*")),
        ("train-of-test.conll", (None, "train-of-test.conll")),
        ("trainer.conll", (None, "trainer.conll")),
        ("contest.conll", (None, "contest.conll")),
    ],
)
def test_a_name_says_a_role_as_a_word_of_its_own(name: str, expected: tuple[str | None, str]) -> None:
    assert role_in_name(name) == expected


def test_dev_and_test_beside_a_training_file_are_found_if_nothing_else_in_their_names_differs() -> None:
    make("d/en-train.conll", "d/en-dev.conll", "d/en-test.tsv", "d/de-test.conll", "d/en-test.conll")
    roles = find_roles(["d/en-train.conll"])
    assert (roles.name, roles.train, roles.dev, roles.test) == (
        "en-train", ("d/en-train.conll",), ("d/en-dev.conll",), ("d/en-test.conll",),
    )  # fmt: skip
    assert roles.notes == (
        "found beside en-train.conll: data.dev is en-dev.conll and data.test is en-test.conll (to leave out: --set"
        " data.dev=0.1 --set data.test=null)",
    )


def test_files_are_told_apart_by_their_names_and_those_that_are_given_are_kept() -> None:
    make("x-test.conll", "my.train.conll", "valid.conll", "my.dev.conll")
    roles = find_roles(["x-test.conll", "my.train.conll", "valid.conll"])
    assert (roles.name, roles.train, roles.dev, roles.test) == (
        "my.train", ("my.train.conll",), ("valid.conll",), ("x-test.conll",),
    )  # fmt: skip
    assert roles.notes == ("by their names, train is my.train.conll, dev is valid.conll, test is x-test.conll",)


def test_files_without_a_role_are_the_training_files_and_a_folder_may_say_the_role() -> None:
    make("a.conll", "b.conll", "train/a.conll", "dev/a.conll", "train/b.conll")
    assert find_roles(["a.conll", "b.conll"]).train == ("a.conll", "b.conll")
    roles = find_roles(["train/a.conll", "train/b.conll", "dev/a.conll"])
    assert (roles.train, roles.dev) == (("train/a.conll", "train/b.conll"), ("dev/a.conll",))


def test_the_only_file_is_the_training_file_whatever_its_name() -> None:
    make("test.conll")
    roles = find_roles(["test.conll"])
    assert (roles.train, roles.dev, roles.test) == (("test.conll",), (), ())
    assert roles.notes == ("test.conll is the only file, so it is the training file in spite of its name",)


def test_a_folder_stands_for_its_files() -> None:
    make("ner/train-01.conll", "ner/train-02.conll", "ner/dev.conll", "ner/test.conll", "ner/README.md", "ner/.x-train")
    roles = find_roles(["ner"])
    assert (roles.name, roles.train, roles.dev, roles.test) == (
        "ner", ("ner/train-01.conll", "ner/train-02.conll"), ("ner/dev.conll",), ("ner/test.conll",),
    )  # fmt: skip
    make("one/corpus.conll", "one/LICENSE.txt")
    assert find_roles(["one"]).train == ("one/corpus.conll",)


def test_a_folder_of_brat_is_one_corpus_and_finds_the_folders_beside_it() -> None:
    for part in ("train", "dev"):
        make(f"brat/{part}/a.txt", f"brat/{part}/a.ann")
    roles = find_roles(["brat/train"])
    assert (roles.name, roles.train, roles.dev) == ("train", ("brat/train",), ("brat/dev",))
    roles = find_roles(["brat"])
    assert (roles.name, roles.train, roles.dev) == ("brat", ("brat/train",), ("brat/dev",))


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["none.conll"], "none.conll: no such file or folder; check the path"),
        ([""], "FILE: found '', expected a file or a folder; name it"),
        (["train.conll", "more.conll"], "more.conll: its name does not say what it is for, expected train, dev or test in it, as in train.conll; name only the training files, and the others with --set data.dev=FILE and --set data.test=FILE"),
        (["d/dev.conll", "d/test.conll"], "d/dev.conll: found only dev and test files by their names, expected a training file;"),
        (["d"], "d: found no file called train, expected one that is clear from its name;"),
        (["two"], "two: found several training files, expected one that is clear from its name;"),
    ],
)  # fmt: skip
def test_what_the_names_do_not_tell_is_an_error_that_says_what_to_do(paths: list[str], message: str) -> None:
    make("train.conll", "more.conll", "d/dev.conll", "d/test.conll", "two/train.conll", "two/train.json")
    with pytest.raises(DataError) as error:
        find_roles(paths)
    assert error.value.message.startswith(message)
