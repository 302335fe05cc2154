"""Sentences on a line each, with tags beside the tokens, and parallel files."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from documents import SIGNS, flat_documents, make, read, shown, without_places, write
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats import parallel, slashed
from tagger.formats.document import Document, DocumentToken


def read_text(tmp_path: Path, text: str, **options: object) -> tuple[list[Document], list[str]]:
    (tmp_path / "f").write_text(text, "utf-8")
    return read(slashed.FORMAT, tmp_path / "f", **options)


@pytest.mark.parametrize(
    "text",
    [
        "Anna/B-PER Berg/I-PER saw/O 1/2/O ./O\n\nIt/O ended/O\n",
        "Anna|NNP|B-PER Berg|NNP|I-PER saw|VBD|O 1/2|CD|O .|.|O\r\nIt|PRP|O ended|VBD|O\r\n",
        "Anna/NNP/B-PER Berg/NNP/I-PER saw/VBD/O 1/2/CD/O ././O\nIt/PRP/O ended/VBD/O\n",
        "Anna\tB-PER\tBerg\tI-PER\tsaw\tO\t1/2\tO\t.\tO\nIt\tO\tended\tO\tand\tO\n",
        "Anna B-PER Berg I-PER saw O 1/2 O . O\nIt O ended O and O\n",
    ],
)
def test_the_forms_are_read(tmp_path: Path, text: str) -> None:
    assert slashed.recognize(text.splitlines())
    found, reports = read_text(tmp_path, text)
    assert shown(found)[0] == ("Anna Berg saw 1/2 .", ["PER Anna Berg"])
    assert found[1].text.startswith("It ended")
    assert reports == []


def test_plain_tags_and_slashes_in_tokens(tmp_path: Path) -> None:
    found, _ = read_text(tmp_path, "a/b/NN //SYM\n")
    assert found[0].sentences == ((DocumentToken(0, 3, "NN"), DocumentToken(4, 5, "SYM")),)
    assert write(slashed.FORMAT, found, tmp_path / "f") == []
    assert (tmp_path / "f").read_text() == "a/b/NN //SYM\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/O b/O\na b/O\n", ":2: found 'a', expected token/TAG as elsewhere in the file; fix the line"),
        ("a/O /O\n", ":1: found '/O', expected token/TAG"),
        ("a O b O c O\n" * 30 + "a O b\n", ":31: found 3 items, expected an even number"),
    ],
)
def test_an_error_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_text(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path}/f{message}")


def test_what_is_not_kept_is_reported(tmp_path: Path) -> None:
    spaced = Document(text="a b c", sentences=((DocumentToken(0, 3), DocumentToken(4, 5)),), id="x")
    empty = make("a", "b")
    for format_, name in ((slashed.FORMAT, "f"), (parallel.FORMAT, "p")):
        assert write(format_, [spaced, empty], tmp_path / name) == [
            "characters that the format cannot hold are replaced with '_', as in 'a b'",
            "the names of documents are not kept",
            "documents of several sentences, or of none, do not keep their boundaries",
        ]
    assert (tmp_path / "f").read_text() == "a_b/O c/O\na/O\nb/O\n"


def test_parallel_files_are_read_from_their_folder_or_by_one_of_them(tmp_path: Path) -> None:
    (tmp_path / "seq.in").write_text("Anna saw Bonn\n\nIt ended\n")
    (tmp_path / "seq.out").write_text("B-PER O B-LOC\n\nO O\n")
    (tmp_path / "label").write_text("x\n\ny\n")
    for path in (tmp_path, tmp_path / "seq.in", tmp_path / "seq.out"):
        found, _ = read(parallel.FORMAT, path)
        assert shown(found) == [("Anna saw Bonn", ["PER Anna", "LOC Bonn"]), ("It ended", [])]
    for kind in ("train", "test"):
        (tmp_path / f"{kind}.words").write_text("a\n")
        (tmp_path / f"{kind}.tags").write_text("O\n")
    assert shown(read(parallel.FORMAT, tmp_path / "test.tags")[0]) == [("a", [])]
    with pytest.raises(DataError, match="found 3 pairs of files, expected one"):
        read(parallel.FORMAT, tmp_path)


@pytest.mark.parametrize(
    ("tokens", "tags", "message"),
    [
        ("a b\n", "O\n", "seq.in:1: found 2 tokens, and 1 tags in"),
        ("a\nb\n", "O\n", "seq.in:2: found more lines than in"),
        ("a\n", "O\nO\n", "seq.out:2: found more lines than in"),
        ("a\n", None, ": found no pair of files such as seq.in and seq.out"),
    ],
)
def test_parallel_files_that_do_not_fit_are_errors(tmp_path: Path, tokens: str, tags: str | None, message: str) -> None:
    (tmp_path / "seq.in").write_text(tokens)
    if tags is not None:
        (tmp_path / "seq.out").write_text(tags)
    with pytest.raises(DataError) as caught:
        read(parallel.FORMAT, tmp_path)
    assert message in caught.value.message


WORDS = SIGNS.replace("/", "").replace("|", "") + string.ascii_letters


@given(st.lists(flat_documents(signs=WORDS, least=1, most=1), min_size=1, max_size=4))
def test_documents_of_one_sentence_come_back(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    folder = tmp_path_factory.mktemp("f")
    for format_, name in ((slashed.FORMAT, "f"), (parallel.FORMAT, "p")):
        assert write(format_, documents, folder / name) == []
        found, reports = read(format_, folder / name, scheme="IOB2")
        assert (without_places(found), reports) == (documents, [])


@given(st.lists(flat_documents(signs=WORDS, least=1, most=1, plain=True), min_size=1, max_size=4))
def test_plain_tags_come_back(tmp_path_factory: pytest.TempPathFactory, documents: list[Document]) -> None:
    folder = tmp_path_factory.mktemp("f")
    for format_, name in ((slashed.FORMAT, "f"), (parallel.FORMAT, "p")):
        assert write(format_, documents, folder / name) == []
        found, reports = read(format_, folder / name, scheme="none")
        assert (without_places(found), reports) == (documents, [])


def test_other_content_is_not_recognized() -> None:
    for lines in ([], ["a O", "b B-X", ""], ["and/or CC O", "1/2 CD O"], ["The first line is here ."]):
        assert not slashed.recognize(lines)
