"""Conversions: what is said, what is counted, and what is written or left as it was."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from documents import make

from tagger.errors import DataError
from tagger.formats import registry
from tagger.formats.convert import Settings, Summary, convert
from tagger.formats.document import Document, DocumentSpan, Format, Place, ReadOptions, WriteOptions

CONLL = "Anna\tB-PER\nBerg\tI-PER\nsaw\tO\nBonn\tB-LOC\n\nIt\tO\nended\tO\n\n"
LAYERS = "University\tB-ORG\nof\tI-ORG\nBonn\tI-ORG|B-LOC\n\nx\tO\ny\tB-PER\n\n"


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(source: str, target: str, /, **settings: object) -> tuple[Summary, list[str]]:
    said: list[str] = []
    return convert(source, target, Settings(**settings), say=said.append), said  # type: ignore[arg-type]


def test_what_was_guessed_found_and_counted_is_said() -> None:
    Path("in.conll").write_text(f"# a comment\n{CONLL}")
    summary, said = run("in.conll", "out.csv")
    assert said == [
        "reading in.conll as conll because of its name and content",
        "writing out.csv as csv because of its name",
        "note: 1 line is a comment: '# a comment' (line 1)",
        "note: scheme of the tags: IOB2",
        "in.conll:1: comments are not kept",
        "2 documents, 2 sentences, 6 tokens, 2 spans: PER 1, LOC 1",
        "comments are not kept (1 time)",
    ]
    assert Path("out.csv").read_text().startswith("document,sentence,token,tag\n1,1,Anna,B-PER\n")
    assert (summary.n_documents, summary.types) == (2, {"PER": 1, "LOC": 1})
    assert run("in.conll", "other", source="conll", target="csv")[1][:2] == [
        "reading in.conll as conll",
        "writing other as csv",
    ]


def test_spans_that_do_not_fit_are_listed_all_and_nothing_is_written() -> None:
    Path("in.conll").write_text(LAYERS * 60)
    said: list[str] = []
    with pytest.raises(DataError) as caught:
        convert("in.conll", "out.csv", Settings(), say=said.append)
    assert caught.value.message == (
        "in.conll: found 60 spans that csv cannot hold, all listed, expected spans of whole tokens that do not"
        " overlap; fix them, or set data.overlap to longest, first, outer or inner"
    )
    assert caught.value.detail == ("60 × lies in another span",)
    listed = [text for text in said if "[[Bonn]]" in text]
    assert len(listed) == 60
    assert listed[1] == "in.conll:8: University of [[Bonn]]: LOC lies in another span (ORG 'University of Bonn')"
    assert sorted(os.listdir()) == ["in.conll"]  # noqa: PTH208 (hidden files too)


def test_changes_are_counted_and_the_first_are_shown() -> None:
    Path("in.conll").write_text(LAYERS * 60)
    summary, said = run("in.conll", "out.conll", overlap="outer", types=frozenset({"ORG", "LOC", "XY"}))
    assert summary.types == {"ORG": 60}
    assert len([text for text in said if text.endswith("; dropped")]) == 3
    assert said[-4:] == [
        "120 documents, 120 sentences, 300 tokens, 60 spans: ORG 60",
        "60 spans dropped: each lies in another span",
        "60 spans left out: each has another type",
        "warning: no span has the type XY",
    ]


def test_what_only_one_format_knows_is_counted() -> None:
    Path("in.conll").write_text("Anna NNP B-PER\nsaw VBD O\n\n" * 2)
    _, said = run("in.conll", "out.csv")
    assert said[-1] == "what conll says of a document beside its text is not kept: columns (2 times)"
    assert "not kept" not in "".join(run("in.conll", "out.conll")[1])


def test_columns_go_through_a_format_that_keeps_fields() -> None:
    Path("in.conll").write_text("Anna\tNNP\tB-PER\nsaw\tVBD\tO\n\n")
    assert "not kept" not in "".join(run("in.conll", "between.jsonl")[1])
    assert "not kept" not in "".join(run("between.jsonl", "out.conll")[1])
    assert Path("out.conll").read_text() == Path("in.conll").read_text()


def test_sentences_of_one_token_are_doubted() -> None:
    Path("in.conll").write_bytes(CONLL.encode().replace(b"\n", b"\r\r\n") * 4)
    _, said = run("in.conll", "out.conll")
    assert said[-1].startswith("warning: each sentence has one token")


def test_an_existing_target_is_only_replaced_by_force_and_as_a_whole() -> None:
    Path("in.conll").write_text(CONLL)
    Path("out.csv").write_text("old")
    with pytest.raises(DataError, match=r"out.csv: already exists, expected a new name"):
        run("in.conll", "out.csv")
    Path("bad.conll").write_text(f"{CONLL}x\tQ:y\n")
    with pytest.raises(DataError, match=r"bad.conll:9: tag 'Q:y'"):
        run("bad.conll", "out.csv", force=True)
    assert Path("out.csv").read_text() == "old"
    run("in.conll", "out.csv", force=True)
    assert Path("out.csv").read_text().startswith("document,")
    Path("link.csv").symlink_to("out.csv")
    run("in.conll", "link.csv", force=True)
    assert Path("link.csv").is_symlink()


@pytest.mark.parametrize("target", ["in.conll", "./in.conll", "hard.conll", "soft.conll", "../here/in.conll"])
def test_the_source_is_never_replaced(tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("in.conll").write_text(CONLL)
    os.link("in.conll", "hard.conll")
    Path("soft.conll").symlink_to("in.conll")
    with pytest.raises(DataError, match="is what is read, expected another name"):
        run("in.conll", target, force=True)
    assert Path("in.conll").read_text() == CONLL


def test_folders_are_written_and_only_replaced_if_nothing_else_is_in_them() -> None:
    Path("in.conll").write_text(CONLL)
    run("in.conll", "out", target="parallel")
    assert Path("out/seq.in").read_text() == "Anna Berg saw Bonn\nIt ended\n"
    assert Path("out/seq.out").read_text() == "B-PER I-PER O B-LOC\nO O\n"
    with pytest.raises(DataError, match="out: already exists"):
        run("in.conll", "out", target="parallel")
    run("in.conll", "out", target="parallel", force=True)
    Path("out/notes").write_text("x")
    with pytest.raises(DataError, match="out: holds notes, which is not parallel and would be lost"):
        run("in.conll", "out", target="parallel", force=True)
    Path("out/notes").unlink()
    run("out", "again.conll")
    assert Path("again.conll").read_text() == CONLL
    for target in ("out", "out/seq.out"):
        with pytest.raises(DataError, match="is what is read"):
            run("out/seq.in", target, target="parallel" if target == "out" else "conll", force=True)
    Path("d.jsonl").write_text('{"text": "a b", "label": [[0, 1, "X"]]}\n')
    for _ in range(2):
        run("d.jsonl", "brat", target="brat", force=True)
    assert len(list(Path("brat").iterdir())) == 3
    Path("empty").mkdir()
    run("in.conll", "empty", target="parallel")
    with pytest.raises(DataError, match=r"in.conll: is there and is not a folder"):
        run("out", "in.conll", target="parallel", force=True)
    with pytest.raises(DataError, match="empty: is there and is not a file"):
        run("in.conll", "empty", target="conll", force=True)
    assert not [name for name in os.listdir() if name.startswith(".")]  # noqa: PTH208


def test_a_target_that_cannot_be_written_is_one_error() -> None:
    Path("in.conll").write_text(CONLL)
    for target in ("missing/out.csv", "in.conll/out.csv"):
        with pytest.raises(DataError, match=r"out.csv: cannot be written: (No such file|Not a directory)"):
            run("in.conll", target)
    for target in ("", "a\0b"):
        with pytest.raises(DataError, match="found no name"):
            run("in.conll", target, target="csv")


def test_gzip_is_written_and_read() -> None:
    Path("in.conll").write_text(CONLL)
    run("in.conll", "out.conll.gz")
    packed = Path("out.conll.gz").read_bytes()
    assert gzip.decompress(packed).decode() == CONLL
    run("out.conll.gz", "again.conll.gz")
    assert Path("again.conll.gz").read_bytes() == packed


def test_standard_output_gets_blocks_until_a_span_is_refused() -> None:
    Path("in.conll").write_text(CONLL + LAYERS)
    written: list[bytes] = []
    with pytest.raises(DataError, match="found 1 span that slashed cannot hold"):
        convert("in.conll", "-", Settings(target="slashed"), out=written.append)
    assert b"".join(written) == b"Anna/B-PER Berg/I-PER saw/O Bonn/B-LOC\nIt/O ended/O\n"
    with pytest.raises(DataError, match="parallel cannot go to a pipe"):
        convert("in.conll", "-", Settings(target="parallel"))
    with pytest.raises(DataError, match="parallel is a folder of files"):
        convert("-", "out", Settings(source="parallel", target="parallel"))
    with pytest.raises(
        DataError, match=r"<standard input>: cannot be stored for reading it twice: .*; write it to a file first"
    ):
        convert("-", "out.csv", Settings(source="conll"))


def test_a_source_without_documents_is_an_error() -> None:
    Path("in.conll").write_text("\n\n")
    with pytest.raises(DataError, match=r"in.conll: found no document, expected at least one"):
        run("in.conll", "out.csv")
    assert not Path("out.csv").exists()


def made(documents: Iterable[Document], **more: object) -> Format:
    """Return a format that reads these documents from any file."""

    def read(path: Path, options: ReadOptions) -> Iterator[Document]:
        yield from documents

    def blocks(found: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
        for document in found:
            yield f"{document.text} {[(span.start, span.end) for span in document.spans]}\n".encode()

    return Format(
        name="made",
        description="",
        suffixes=(".made",),
        recognize=lambda lines: False,
        read=read,
        blocks=blocks,
        **more,
    )  # type: ignore[arg-type]


@pytest.fixture
def misaligned(monkeypatch: pytest.MonkeyPatch) -> None:
    found = make("we met Acme Inc. in Bonn", spans=[("ORG", 7, 15)], place=Place("x.made", 4))
    plain = Document(text="ab", spans=(DocumentSpan("A", 0, 1), DocumentSpan("B", 0, 2)), place=Place("x.made", 5))
    monkeypatch.setitem(registry._BY_NAME, "made", made([found]))
    monkeypatch.setitem(registry._BY_NAME, "plain", made([plain]))
    Path("x.made").write_text("x")


@pytest.mark.usefixtures("misaligned")
def test_spans_are_only_fitted_where_the_format_or_the_user_wants_it() -> None:
    with pytest.raises(DataError, match=r"set data.align to expand, contract, split or drop\n"):
        run("x.made", "out.conll", source="made")
    run("x.made", "out.conll", source="made", align="expand")
    assert "Acme\tB-ORG\nInc.\tI-ORG\n" in Path("out.conll").read_text()
    run("x.made", "out.made", source="made", target="made")
    assert Path("out.made").read_text() == "we met Acme Inc. in Bonn [(7, 15)]\n"
    run("x.made", "out.made", source="made", target="made", align="split", force=True)
    run("x.made", "out.made", source="plain", target="made", force=True)
    assert Path("out.made").read_text() == "ab [(0, 1), (0, 2)]\n"
    run("x.made", "out.made", source="plain", target="made", force=True, overlap="inner")
    assert Path("out.made").read_text() == "ab [(0, 1)]\n"


@pytest.mark.usefixtures("misaligned")
def test_documents_without_tokens_get_some_where_the_format_needs_them() -> None:
    with pytest.raises(DataError, match=r"x.made:5: has no tokens, expected tokens to write tags for"):
        run("x.made", "out.conll", source="plain", overlap="longest")

    def tokenize(document: Document) -> Document:
        return make(document.text, spans=[("B", 0, 2)])

    run("x.made", "out.conll", source="plain", tokenize=tokenize)
    assert Path("out.conll").read_text() == "ab\tB-B\n\n"


def test_a_format_that_can_only_be_read_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    only_read = Format(name="r", description="", suffixes=(), recognize=lambda lines: False, read=made([]).read)
    monkeypatch.setitem(registry._BY_NAME, "r", only_read)
    Path("in.conll").write_text(CONLL)
    with pytest.raises(DataError, match="--to: found r, which can only be read"):
        run("in.conll", "out", target="r")


def test_a_file_that_is_not_written_piece_by_piece_has_its_final_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(documents: Iterable[Document], path: Path, options: WriteOptions) -> None:
        path.write_text(f"{path.name} {len(list(documents))}")

    whole = Format(
        name="w", description="", suffixes=(), recognize=lambda lines: False, read=made([]).read, write=write
    )
    monkeypatch.setitem(registry._BY_NAME, "w", whole)
    Path("in.conll").write_text(CONLL)
    for _ in range(2):
        run("in.conll", "out.bin", target="w", force=True)
        assert Path("out.bin").read_text() == "out.bin 2"
    assert sorted(os.listdir()) == ["in.conll", "out.bin"]  # noqa: PTH208


@pytest.mark.parametrize("content", ["", "\n\n", " \t\n"])
@pytest.mark.parametrize("name", ["conll", "brackets", "slashed", "csv"])
def test_a_file_of_blanks_has_no_documents(name: str, content: str) -> None:
    Path("in").write_text(content)
    with pytest.raises(DataError, match="found no"):
        run("in", "out.conll", source=name)
