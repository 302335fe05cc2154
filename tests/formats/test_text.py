"""Raw text: read in pieces that together are the file, recognized only if it cannot be anything else, and written."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagger.corpus import lines
from tagger.errors import DataError
from tagger.formats import jsonl, marked, registry, spans, text
from tagger.formats.convert import Settings, convert
from tagger.formats.document import Document, DocumentSpan, ReadOptions, WriteOptions

PIECES = st.lists(
    st.sampled_from(["Ann left.", "é😀", " ", "\t", "\n", "\r\n", "\r", "\n\n", "x\x0cy\u2028z\x85"]), max_size=20
)


def read(path: Path, content: bytes, **options: str) -> list[Document]:
    path.write_bytes(content)
    return list(text.read(path, ReadOptions(**options)))


@settings(max_examples=200, deadline=None)
@given(parts=PIECES)
@example(parts=["\n", "\n"])
@example(parts=["\n", "Ann left.", "\r", "\r\n", "\n", "é😀"])
def test_the_documents_are_the_file(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    content = "".join(parts)
    documents = read(tmp_path_factory.mktemp("t") / "a.txt", content.encode())
    assert "".join(document.text for document in documents) == content
    assert [document.offset for document in documents] == [
        sum(len(other.text) for other in documents[:i]) for i in range(len(documents))
    ]
    assert all(document.is_piece for document in documents)
    assert b"".join(text.blocks(documents, WriteOptions())) == content.encode()


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("", []),
        ("\n \n", ["\n \n"]),
        ("\n\na\nb\n \n\t\nc", ["\n\na\nb\n \n", "\t\nc"]),
        ("a\r\n\r\nb\r\rc", ["a\r\n\r\n", "b\r\r", "c"]),
        ("\ufeffa\n\nb\n", ["a\n\n", "b\n"]),
    ],
)
def test_a_document_ends_after_blank_lines(tmp_path: Path, content: str, texts: list[str]) -> None:
    assert [document.text for document in read(tmp_path / "a.txt", content.encode())] == texts


def test_a_long_block_is_cut_at_a_line_end_and_a_long_line_is_not(tmp_path: Path) -> None:
    line = "word " * 79_999 + "end.\n"  # 399,999 + 1 characters
    documents = read(tmp_path / "a.txt", (line * 5 + "x" * 1_500_000 + "\nend\n").encode())
    assert [len(document.text) for document in documents] == [800_000, 800_000, 400_000, 1_500_001, 4]
    assert [document.place.line for document in documents] == [1, 3, 5, 6, 7]


@pytest.mark.parametrize("limit", [4, 5, 7, 16])
def test_a_very_long_line_is_cut_behind_a_blank_or_between_characters(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_LONGEST_LINE", limit)
    monkeypatch.setattr(text, "_MOST_CHARACTERS", 3)
    monkeypatch.setattr(lines, "_BLOCK_BYTES", 3)
    content = "añb ccc €€€€€ d\r\ne 𝄞𝄞 x\n\nthe last line 𝄞𝄞"
    documents = read(tmp_path / "a.txt", content.encode())
    assert "".join(document.text for document in documents) == content
    assert [document.place.line for document in documents] == [
        1 + len(content[: document.offset].splitlines()) - (content[: document.offset][-1:] not in ("", "\n"))
        for document in documents
    ]
    cut = [document.text for document in documents if not document.text.endswith("\n")]
    assert len(cut) > 1
    if limit == 16:
        assert all(part.endswith(" ") for part in cut[:-1])


def test_a_wrong_byte_of_a_very_long_line_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "_LONGEST_LINE", 4)
    monkeypatch.setattr(lines, "_BLOCK_BYTES", 3)
    for ending in (b"\n", b""):
        with pytest.raises(DataError, match=r"a\.txt:2: byte 0xF1 at offset 14 of the line is not valid utf-8"):
            read(tmp_path / "a.txt", b"a\n" + "señor €€ x".encode()[:-1] + b"\xf1" + ending)


def test_a_long_line_takes_constant_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"word " * 8_000_000)
    tracemalloc.start()
    n = sum(len(document.text) for document in text.read(path, ReadOptions()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 40_000_000
    assert peak < 20_000_000


def test_another_encoding_is_read_and_a_wrong_byte_is_named_with_its_line(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", "señal".encode("cp1252"), encoding="cp1252")[0].text == "señal"
    with pytest.raises(DataError, match=r"a\.txt:2: byte 0xF1 at offset 2 of the line is not valid utf-8"):
        read(tmp_path / "a.txt", b"a\nse\xf1al\n")


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Hanna Berg left Bonn on Monday.\n", "text"),
        ("Hanna Berg left Bonn on Monday, with all\nof her things. Nobody saw her and I\nwas not there.\n\nShe is gone.\n", "text"),
        ("# Notes\n\nToday we met Hanna Berg in Bonn. It rained.\n", "text"),
        ("同樣，施力的大小不同，引起的加速度不同。\n\n最終的結果也不一樣。\n", "text"),
        ("Hanna NNP B-NP\nleft VBD B-VP\n. . O\n\nShe PRP B-NP\n", "conll"),
        ("Hanna B-PER\nleft O\n. O\n\nShe O\nran O\n. O\n", "conll"),
        ("1 Hanna Hanna PROPN NNP B-PER\n2 left leave VERB VBD O\n3 . . PUNCT . O\n\n", "conll"),
        ("Hanna/B-PER left/O Bonn/B-LOC on/O Monday/B-DATE ./O\n" * 5, "slashed"),
    ],
)  # fmt: skip
def test_text_is_recognized_only_where_lines_run_on(tmp_path: Path, content: str, name: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content, "utf-8")
    assert registry.guess_source(path)[0].name == name


@pytest.mark.parametrize("content", ["Hanna\nleft\nBonn\n", "a b\n", "", "Hanna left\tO\nBonn\n"])
def test_a_name_alone_does_not_make_a_file_text(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    try:
        assert registry.guess_source(tmp_path / "a.txt")[0].name != "text"
    except DataError as error:
        assert "neither its name nor its content" in error.message


@pytest.mark.corpora
def test_benchmark_corpora_are_not_taken_for_text(corpora: Path) -> None:
    for path in ("conll2000/train.txt", "conll2000/test.txt", "cases/19-slash/train.txt", "messy/swedish-train.txt"):
        try:
            assert registry.guess_source(corpora / path)[0].name != "text"
        except DataError as error:
            assert "neither its name nor its content" in error.message


def test_spans_are_counted_in_the_whole_file_and_the_marked_text_is_the_file(tmp_path: Path) -> None:
    content = "\nAnn 😀 left.\r\n\r\nBob [x] stayed\r\rno end"
    documents = read(tmp_path / "a.txt", content.encode())
    whole = {"Ann": "PER", "😀": "X", "Bob": "PER", "end": "Y"}
    found = []
    for document in documents:
        own = [
            DocumentSpan(name, place, place + len(word))
            for word, name in whole.items()
            if (place := document.text.find(word)) >= 0
        ]
        found.append(Document(text=document.text, spans=tuple(own), is_piece=True, offset=document.offset))
    table = b"".join(spans.blocks(found, WriteOptions())).decode().splitlines()[1:]
    for row in table:
        _, start, end, _, _, covered = row.split("\t")
        assert content[int(start) : int(end)] == covered
    assert len(table) == len(whole)
    for unit, encode in (("utf-16", "utf-16-le"), ("bytes", "utf-8")):
        width = 2 if unit == "utf-16" else 1
        for row in b"".join(spans.blocks(found, WriteOptions(offsets=unit))).decode().splitlines()[1:]:
            _, start, end, _, _, covered = row.split("\t")
            assert content.encode(encode)[int(start) * width : int(end) * width].decode(encode) == covered
    with pytest.raises(DataError, match="expected 0, the end of the one before; write all pieces"):
        list(spans.blocks(found[1:], WriteOptions(offsets="bytes")))
    assert b"".join(marked.blocks(found, WriteOptions())).decode() == (
        "\n[Ann PER] [😀 X] left.\r\n\r\n[Bob PER] \\[x\\] stayed\r\rno [end Y]"
    )
    records = list(
        jsonl.read(_written(tmp_path / "a.jsonl", b"".join(jsonl.FORMAT.blocks(found, WriteOptions()))), ReadOptions())
    )
    assert [record.fields["offset"] for record in records] == [0, 16, 32]


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_texts_of_documents_are_written_and_what_is_lost_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"text": "Ann left.", "spans": [{"start": 0, "end": 3, "type": "PER"}]}\n{"text": "Bob.\\n"}\n'
    )
    said: list[str] = []
    convert(str(tmp_path / "a.jsonl"), str(tmp_path / "b.txt"), Settings(), say=said.append)
    assert (tmp_path / "b.txt").read_text() == "Ann left.\n\nBob.\n"
    assert "text cannot hold spans, which are left out (1 time)" in said
    assert [document.text for document in text.read(tmp_path / "b.txt", ReadOptions())] == ["Ann left.\n\n", "Bob.\n"]


@settings(max_examples=300, deadline=None)
@given(line=st.text("ab中ि。！？।、， .", min_size=1, max_size=14))
def test_scripts_without_blanks_are_recognized_by_their_signs(line: str) -> None:
    found = re.search(r"\w{4,}.*[。！？।]|\w[、，]\w", line.strip())
    assert text.recognize([line, "x"]) == (
        bool(line.strip())
        and bool(found or len(line.split()) >= 5)
        and bool(found or re.search(r"[.!?…]$", line.strip()))
    )


def test_a_long_word_takes_no_time_to_recognize() -> None:
    assert not text.recognize(["x" * 1_000_000])  # a pattern would try for days
