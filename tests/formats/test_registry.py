"""The choice of a format by names and content."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Format, Place, WriteOptions
from tagger.formats.registry import FORMATS, guess_source, guess_target, named

BRACKETS = "#begin document (x); part 000\nx 0 0 Anna NNP * - - - - (PER) -\n\n#end document\n"
SLASHED = "Anna/B-PER saw/O Bonn/B-LOC\n" * 3
CSV = "Sentence #,Word,Tag\nSentence: 1,Anna,B-PER\n,saw,O\n"
CONLL = "Anna B-PER\nsaw O\n\nBonn B-LOC\n"


@pytest.mark.parametrize(
    ("name", "content", "expected", "why"),
    [
        ("f.conll", CONLL, "conll", "name and content"),
        ("f", CONLL, "conll", "content"),
        ("f.txt", CONLL, "conll", "content"),
        ("f.TSV", "a\tO\n", "conll", "name and content"),
        ("f.tsv", "a\tx\tO\nb\ty\tz\tO\n", "conll", "name and content"),
        ("f.tsv", "", "conll", "name"),
        ("f.conll", BRACKETS, "brackets", "content"),
        ("f.v4_gold_conll", BRACKETS, "brackets", "name and content"),
        ("f.txt", SLASHED, "slashed", "content"),
        ("f.tsv", CSV, "csv", "content"),
        ("f.csv", "Anna;B-PER\nsaw;O\n", "csv", "name"),
        ("f.csv", "", "csv", "name"),
        ("f.conll.gz", CONLL, "conll", "name and content"),
        ("f.csv.gz", CSV, "csv", "name and content"),
    ],
)
def test_a_file_is_recognized(tmp_path: Path, name: str, content: str, expected: str, why: str) -> None:
    data = content.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    found, reason = guess_source(tmp_path / name)
    assert (found.name, reason) == (expected, f"because of its {why}")


def test_a_folder_is_recognized_by_its_files(tmp_path: Path) -> None:
    for name in ("seq.in", "seq.out"):
        (tmp_path / name).write_text("a\n")
    assert guess_source(tmp_path)[0].name == "parallel"
    assert guess_source(tmp_path / "seq.in")[0].name == "parallel"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("f.txt", "The first line is here\nAnd another one\n", "f.txt: neither its name nor its content says in which format the file is, expected its format; set data.format"),
        ("f", "", "f: neither its name nor its content"),
        ("missing.xyz", None, "missing.xyz: no such file"),
        ("f.xyz", b"\x89HDF\r\n\x1a\n" + bytes(64), "f.xyz: is an HDF5 file"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_an_error(tmp_path: Path, name: str, content: str | bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        guess_source(tmp_path / name)
    assert caught.value.message.startswith(str(tmp_path / message))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="in which format the folder is"):
        guess_source(tmp_path / "folder")


def test_the_format_to_write_is_told_by_the_name() -> None:
    for name, expected in (
        ("a.conll", "conll"),
        ("a.csv.gz", "csv"),
        ("A.IOB2", "conll"),
        ("a.txt", "text"),
        ("a.marked.txt", "marked"),
    ):
        assert guess_target(Path(name))[0].name == expected
    for name in ("a", "a.xyz", "-"):
        with pytest.raises(DataError, match="expected --to FORMAT; name one of"):
            guess_target(Path(name))
    with pytest.raises(DataError, match="<standard input>: has no name"):
        guess_source(Path("-"))


def test_formats_have_names() -> None:
    assert [named(format_.name) for format_ in FORMATS] == list(FORMATS)
    with pytest.raises(DataError, match=r"--to: found 'conl', expected one of .*\(did you mean conll\?\)"):
        named("conl", option="--to")


@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_nothing_is_recognized_in_nothing(format_: object) -> None:
    assert not format_.recognize([])  # type: ignore[attr-defined]
    assert not format_.recognize([""])  # type: ignore[attr-defined]


@pytest.mark.parametrize("format_", [form for form in FORMATS if form.blocks is not None], ids=lambda form: form.name)
def test_half_a_surrogate_pair_is_refused_by_every_format_that_is_written_in_blocks(format_: Format) -> None:
    document = Document(
        text="\ud800 b", spans=(DocumentSpan("X", 0, 1),), sentences=((DocumentToken(0, 1), DocumentToken(2, 3)),),
        place=Place("f", 3),
    )  # fmt: skip
    assert format_.blocks is not None
    with pytest.raises(DataError, match=r"^f:3: found half of a surrogate pair"):
        list(format_.blocks([document], WriteOptions()))
