from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from documents import documents, read, without_places, write
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats.docbin import FORMAT
from tagger.formats.document import Document, DocumentSpan, DocumentToken

spacy = pytest.importorskip("spacy", reason="spaCy is an extra")
from spacy.tokens import Doc, DocBin, Span  # noqa: E402 (after the line that skips)


@pytest.fixture(scope="module")
def nlp() -> Any:
    return spacy.blank("en")


def of(tmp_path: Path, *docs: Any, **options: Any) -> tuple[list[Document], list[str]]:
    DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "a.spacy")
    return read(FORMAT, tmp_path / "a.spacy", **options)


def test_entities_tokens_and_sentences_are_read(tmp_path: Path, nlp: Any) -> None:
    doc = nlp("Ann  left.\nBob stays")
    doc.ents = [Span(doc, 0, 1, label="PER"), doc.char_span(11, 14, label="PER")]
    for token in doc:
        token.is_sent_start = token.text in ("Ann", "Bob")
    (found,), reports = of(tmp_path, doc)
    assert (found.text, found.spans, reports) == (
        "Ann  left.\nBob stays",
        (DocumentSpan("PER", 0, 3), DocumentSpan("PER", 11, 14)),
        [],
    )
    assert [[found.covered(token) for token in tokens] for tokens in found.sentences or ()] == [
        ["Ann", "left", "."],
        ["Bob", "stays"],
    ]
    (alone,), _ = of(tmp_path, nlp("Ann left. Bob"))
    assert [len(tokens) for tokens in alone.sentences or ()] == [4]


def test_files_of_spacy_convert_are_read(tmp_path: Path) -> None:
    from spacy.cli.convert import convert

    (tmp_path / "a.iob").write_text("Ann|B-PER left|O Bonn|B-LOC\nIt|O rained|O\n")
    convert(tmp_path / "a.iob", tmp_path, converter="iob", file_type="spacy", n_sents=2, silent=True)
    found, _ = read(FORMAT, tmp_path / "a.spacy")
    assert [(one.covered(span), span.type) for one in found for span in one.spans] == [("Ann", "PER"), ("Bonn", "LOC")]
    assert sum(len(one.sentences or ()) for one in found) == 2


def test_groups_of_spans_are_read_where_there_are_no_entities(tmp_path: Path, nlp: Any) -> None:
    doc = nlp("New York City")
    doc.spans["sc"] = [Span(doc, 0, 2, label="LOC"), Span(doc, 0, 3, label="GPE")]
    (found,), reports = of(tmp_path, doc)
    assert ([(span.type, found.covered(span)) for span in found.spans], reports) == (
        [("LOC", "New York"), ("GPE", "New York City")],
        [],
    )
    doc.spans["x"] = [Span(doc, 0, 1, label="A")]
    with pytest.raises(
        DataError,
        match=r"a\.spacy:1: found the groups of spans sc and x, expected one; name it with data\.columns\.span",
    ):
        of(tmp_path, doc)
    (found,), reports = of(tmp_path, doc, columns={"span": "x"})
    assert (found.spans, reports) == ((DocumentSpan("A", 0, 3),), ["the spans of sc are not kept"])
    doc.ents = [Span(doc, 2, 3, label="B")]
    (found,), reports = of(tmp_path, doc)
    assert (found.spans, reports) == ((DocumentSpan("B", 9, 13),), ["the spans of sc and x are not kept"])
    assert of(tmp_path, doc, columns={"span": "x"})[1] == [
        "the spans of sc are not kept",
        "the entities are not kept, as other spans are read",
    ]


def test_what_a_pipeline_adds_is_reported(tmp_path: Path, nlp: Any) -> None:
    doc = Doc(nlp.vocab, words=["Ann", "left"], lemmas=["ann", "leave"], pos=["PROPN", "VERB"], tags=["NNP", "VBD"], heads=[1, 1], deps=["nsubj", "ROOT"], user_data={"x": 1})  # fmt: skip
    doc.cats = {"good": 1.0}
    doc.ents = [Span(doc, 0, 1, label="PER", kb_id="Q1", span_id="e1")]
    (found,), reports = of(tmp_path, doc)
    assert (found.spans, found.fields) == ((DocumentSpan("PER", 0, 3),), {"cats": {"good": 1.0}})
    assert reports == [
        f"{name} of spaCy's documents is not kept"
        for name in ("LEMMA", "POS", "DEP", "ENT_KB_ID", "TAG", "the names of entities", "user data")
    ]
    doc.ents = []
    (found,), _ = of(tmp_path, doc)
    assert [token.tag for token in found.tokens] == ["NNP", "VBD"]


def test_spacy_reads_what_is_written(tmp_path: Path, nlp: Any) -> None:
    tokens = ((DocumentToken(1, 4), DocumentToken(6, 10), DocumentToken(10, 11)), (DocumentToken(13, 16),))
    made = Document(
        text="\nAnn  left.\r\nBob ",
        spans=(DocumentSpan("PER", 1, 4), DocumentSpan("X", 6, 11)),
        sentences=tokens,
        fields={"cats": {"good": 1.0}},
    )
    assert write(FORMAT, [made], tmp_path / "a.spacy") == []
    (doc,) = DocBin().from_disk(tmp_path / "a.spacy").get_docs(nlp.vocab)
    assert doc.text == made.text
    assert [token.text for token in doc] == ["\n", "Ann", " ", "left", ".", "\r\n", "Bob"]
    assert [(entity.text, entity.label_) for entity in doc.ents] == [("Ann", "PER"), ("left.", "X")]
    assert [sentence.text.strip() for sentence in doc.sents] == ["", "Ann  left.", "Bob"]
    assert {token.ent_iob_ for token in doc} == {"B", "I", "O"}
    assert without_places(read(FORMAT, tmp_path / "a.spacy")[0]) == [made]


@settings(max_examples=60)
@given(st.lists(documents(flat=True, tokens=True) | documents(tokens=True, plain=True), max_size=3))
def test_documents_come_back(made: list[Document]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert write(FORMAT, made, Path(folder) / "a.spacy") == []
        found, reports = read(FORMAT, Path(folder) / "a.spacy")
        assert (without_places(found), reports) == (made, [])


def test_what_spacy_cannot_hold_is_reported_or_an_error(tmp_path: Path) -> None:
    spans = (DocumentSpan("A", 0, 1, 0.5), DocumentSpan("B", 0, 3), DocumentSpan("C", 0, 5))
    tokens = (DocumentToken(0, 1), DocumentToken(4, 5), DocumentToken(6, 7))
    document = Document(text="a x b \u3000 y", spans=spans, sentences=(tokens,), id="1", fields={"meta": 1})
    assert write(FORMAT, [document], tmp_path / "a.spacy") == [
        "spaCy's DocBin cannot hold probabilities, which are left out",
        "spaCy's DocBin cannot hold names of documents, which are left out",
        "what is said of a document beside its text is not kept: meta",
        "characters outside tokens become tokens",
        "tokens of blanks only are not read as tokens again",
        "characters outside tokens become tokens",
        "the B span from 0 to 3 does not fit the tokens, or overlaps another one; it is left out",
        "the A span from 0 to 1 does not fit the tokens, or overlaps another one; it is left out",
    ]
    (found,), _ = read(FORMAT, tmp_path / "a.spacy")
    assert (found.text, found.spans) == (document.text, (DocumentSpan("C", 0, 5),))
    with pytest.raises(DataError, match="found a text without tokens"):
        write(FORMAT, [Document(text="a")], tmp_path / "b.spacy")
    with pytest.raises(DataError, match="half of a surrogate pair"):
        write(FORMAT, [Document(text="\ud800", sentences=((DocumentToken(0, 1),),))], tmp_path / "b.spacy")


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x78\x9c", b'[{"id": 0}]'])
def test_other_files_are_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.spacy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.spacy: is not a DocBin that spaCy can read: .*; get the file again"):
        read(FORMAT, tmp_path / "a.spacy")


def test_damaged_content_is_an_error(tmp_path: Path, nlp: Any) -> None:
    import zlib

    stored = DocBin(docs=[nlp("Ann left")]).to_bytes()
    message = zlib.decompress(stored)
    for i in range(0, len(message), 7):
        damaged = bytearray(message)
        damaged[i] ^= 0xFF
        (tmp_path / "a.spacy").write_bytes(zlib.compress(bytes(damaged)))
        try:
            read(FORMAT, tmp_path / "a.spacy")
        except DataError as error:
            assert "a.spacy" in error.message


def test_streams_and_missing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found a stream, expected"):
        read(FORMAT, Path("-"))
    with pytest.raises(DataError, match="no such file"):
        read(FORMAT, tmp_path / "x.spacy")
    with pytest.raises(DataError, match="is a directory"):
        read(FORMAT, tmp_path)


def test_without_spacy_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    for use in (lambda: read(FORMAT, tmp_path / "a"), lambda: write(FORMAT, [], tmp_path / "a")):
        with pytest.raises(DataError, match=r"pip install 'twobranch-tagger\[spacy\]'"):
            use()


def test_the_content_does_not_decide() -> None:
    assert not FORMAT.recognize(["x"])
