from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from documents import WORDS, documents, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats.brat import FORMAT
from tagger.formats.convert import Settings, convert
from tagger.formats.document import Document, DocumentSpan


def of(folder: Path, text: str, annotations: str, **options: Any) -> tuple[list[Document], list[str]]:
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text(text, "utf-8", newline="")
    (folder / "a.ann").write_text(annotations, "utf-8", newline="")
    return read(FORMAT, folder, **options)


def test_a_folder_of_texts_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, text, lines in (
        ("b", "Bob", "T1\tPER 0 3\tBob\n"),
        ("a", "Ann\r\nleft", "T1\tPER 0 3\tAnn\r\nT2\tX 0 3\tAnn\n\n"),
        ("sub/c", "raw", None),
    ):
        (tmp_path / f"{name}.txt").write_bytes(text.encode())
        if lines is not None:
            (tmp_path / f"{name}.ann").write_bytes(lines.encode())
    found, reports = read(FORMAT, tmp_path)
    assert [(one.id, one.text, len(one.spans)) for one in found] == [
        ("a", "Ann\r\nleft", 2),
        ("b", "Bob", 1),
        ("sub/c", "raw", 0),
    ]
    assert found[0].spans == (DocumentSpan("PER", 0, 3), DocumentSpan("X", 0, 3))
    assert (found[0].place.path, reports) == (str(tmp_path / "a.txt"), [])
    for name in ("b.ann", "b.txt"):
        assert read(FORMAT, tmp_path / name)[0] == [found[1]]


@pytest.mark.parametrize(
    ("text", "line", "covered"),
    [
        ("John Smith\nleft", "T1\tX 0 10;11 15\tJohn Smith left", "John Smith\nleft"),
        ("John Smith \r\n left", "T1\tX 0 10;14 18\tJohn Smith left", "John Smith \r\n left"),
        ("💩 Ann", "T1\tX 2 5\tAnn", "Ann"),
        ("💩 Ann", "T1\tX 3 6\tAnn", "Ann"),
        ("a\r\nb Ann", "T1\tX 4 7\tAnn", "Ann"),
        ("Ann", "T1\tX 0 3", "Ann"),
    ],
)
def test_spans_are_read_with_their_texts(tmp_path: Path, text: str, line: str, covered: str) -> None:
    (found,), reports = of(tmp_path, text, line)
    assert ([found.covered(span) for span in found.spans], reports) == ([covered], [])


def test_what_is_not_kept_is_reported(tmp_path: Path) -> None:
    lines = [
        "T1\tX 0 3;8 9\tAnn b",
        "R1\tOrg Arg1:T1 Arg2:T2",
        "E1\tX:T1",
        "A1\tNeg T1",
        "M1\tNeg T1",
        "N1\tReference T1 W:1\tx",
        "#1\tNote T1\tx",
        "*\tEquiv T1 T2",
        "T2\tX 4 4\t",
        "T3\tX 0 3;4 5\tAnn a",
    ]
    (found,), reports = of(tmp_path, "Ann a x b", "\n".join(lines))
    assert found.spans == ()
    assert reports == [
        *("relations are not kept", "events are not kept", "attributes are not kept", "attributes are not kept", "normalizations are not kept", "notes are not kept", "equivalences are not kept"),
        "the discontinuous X 'Ann … b' is left out",
        "empty annotations are left out",
        "the discontinuous X 'Ann … a' is left out",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T1\tX 0 4\tAnn", "a.ann:2: found an offset of 4 characters, expected 0 to 3"),
        ("T1\tX -1 3\tAnn", "a.ann:2: found an offset of -1 characters"),
        ("T1\tX 3 0\tAnn", "a.ann:2: found a span from 3 to 0, expected start ≤ end"),
        ("T1\tX 0 3\tBob", "a.ann:2: found 'Bob' as the text of the span from 0 to 3, which covers 'Ann'"),
        ("T1\tX 0 1.5\tAnn", "a.ann:2: found 'T1\\tX 0 1.5\\tAnn', expected an ID, TAB, a type"),
        ("T1\tX\tAnn", "a.ann:2: found 'T1\\tX\\tAnn'"),
        ("T1", "a.ann:2: found 'T1'"),
        ("T1\tX 0 3;\tAnn", "a.ann:2: found"),
        (f"T1\tX 0 {'9' * 5000}\tAnn", "a.ann:2: found"),
        ("hello", "a.ann:2: found 'hello', expected an annotation such as"),
    ],
)
def test_wrong_annotations_are_errors_with_their_line(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(DataError) as error:
        of(tmp_path, "Ann", f"T0\tX 0 3\tAnn\n{line}\n")
    assert message in error.value.message


def test_missing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no texts"):
        read(FORMAT, tmp_path)
    with pytest.raises(DataError, match="is no folder, expected one"):
        read(FORMAT, tmp_path / "x.json")
    with pytest.raises(DataError, match="no such file"):
        read(FORMAT, tmp_path / "x.ann")
    with pytest.raises(DataError, match="found a stream, expected a folder"):
        read(FORMAT, Path("-"))
    (tmp_path / "a.ann").write_text("")
    with pytest.raises(DataError, match=r"a\.ann: has no text beside it, expected a\.txt"):
        read(FORMAT, tmp_path)
    (tmp_path / "a.txt").write_bytes(b"a\nb\xff")
    with pytest.raises(DataError, match=r"a\.txt:2: byte 0xFF at offset 1 of the line is not valid utf-8"):
        read(FORMAT, tmp_path)


def test_documents_are_written_as_files(tmp_path: Path) -> None:
    made = [
        Document(text="Ann\nLee left", spans=(DocumentSpan("PER", 0, 7), DocumentSpan("X", 3, 8, 0.5), DocumentSpan("X", 3, 4)), id="../x"),
        Document(text="", id="a b"),
        Document(text="b", id="a b", fields={"meta": 1}),
        Document(text="c", id="sub/c"),
    ]  # fmt: skip
    reports = write(FORMAT, made, tmp_path / "out")
    files = {
        path.relative_to(tmp_path / "out").as_posix(): path.read_bytes().decode()
        for path in (tmp_path / "out").rglob("*.*")
    }
    assert files == {
        "000001.txt": "Ann\nLee left", "000001.ann": "T1\tPER 0 3;4 7\tAnn Lee\nT2\tX 4 8\tLee \n",
        "a b.txt": "", "a b.ann": "", "000003.txt": "b", "000003.ann": "", "sub/c.txt": "c", "sub/c.ann": "",
        "annotation.conf": "[entities]\nPER\nX\n\n[relations]\n\n[events]\n\n[attributes]\n",
    }  # fmt: skip
    assert reports == [
        "brat cannot hold probabilities, which are left out",
        "names of documents that cannot be names of files, or that are there twice, become numbers",
        "spans that begin or end with a line end lose it",
        "spans of line ends are left out",
        "names of documents that cannot be names of files, or that are there twice, become numbers",
    ]


def test_what_files_cannot_hold_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found the type 'work of art', which brat cannot hold"):
        write(FORMAT, [Document(text="a", spans=(DocumentSpan("work of art", 0, 1),))], tmp_path / "a")
    with pytest.raises(DataError, match="half of a surrogate pair"):
        write(FORMAT, [Document(text="\ud800")], tmp_path / "b")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write(FORMAT, [], tmp_path / "file")


NAMES = (
    st.none()
    | st.text(max_size=8)
    | st.sampled_from(["a", "A", "a/b", "a/../b", "..", ".a", "con", "a.txt", "000001", "a\0", "é", "/a"])
)


@settings(max_examples=60)
@given(
    st.lists(documents(tokens=False, ids=NAMES), min_size=1, max_size=3),
    st.sampled_from(["characters", "utf-16", "bytes"]),
)
def test_documents_come_back(made: list[Document], offsets: Any) -> None:
    made = [
        Document(
            text=one.text,
            spans=tuple(DocumentSpan(span.type.replace(" ", "_"), span.start, span.end) for span in one.spans),
            id=one.id,
        )
        for one in made
    ]
    with tempfile.TemporaryDirectory() as folder:
        lost = write(FORMAT, made, Path(folder) / "out", offsets=offsets)
        assert sorted(Path(folder).iterdir()) == [Path(folder) / "out"]
        found, reports = read(FORMAT, Path(folder) / "out", offsets=offsets)
        assert not reports
        if not any("line end" in text for text in lost):
            assert sorted((one.text, one.spans) for one in found) == sorted((one.text, one.spans) for one in made)
        assert sorted(one.text for one in found) == sorted(one.text for one in made)
        names = {one.id for one in found}
        assert any("names of documents" in text for text in lost) or {one.id for one in made} - {None} <= names


PARTS = st.sampled_from(
    [
        "T1",
        "\t",
        "X",
        " ",
        "0",
        "3",
        "5",
        ";",
        "-",
        "Ann",
        "\n",
        "\r",
        "R1",
        "#",
        "*",
        "x",
        "💩",
        "\u2028",
        "9999999999999999999",
    ]
)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(WORDS), max_size=4).map(" ".join), st.lists(PARTS, max_size=20).map("".join))
def test_any_annotations_are_read_or_refused(text: str, annotations: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            of(Path(folder) / "a", text, annotations)
        except DataError as error:
            assert "a.ann:" in error.message


def test_files_are_recognized_by_their_lines() -> None:
    assert FORMAT.recognize(["T1\tPER 0 3\tAnn", "#1\tNote", ""])
    assert not FORMAT.recognize(["# T1\tPER 0 3\tAnn"])
    assert not FORMAT.recognize(["The\tO"])
    assert not FORMAT.recognize([])


def test_a_folder_of_brat_can_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": "a", "text": "Ann", "label": [[0, 3, "PER"]]}\n')
    for _ in range(2):
        convert(str(tmp_path / "a.jsonl"), str(tmp_path / "out"), Settings(target="brat", force=True))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.ann", "a.txt", "annotation.conf"]
    with pytest.raises(DataError, match="is what is read"):
        convert(str(tmp_path / "out"), str(tmp_path / "out" / "a.txt"), Settings(target="jsonl", force=True))
