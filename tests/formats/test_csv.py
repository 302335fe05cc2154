"""CSV files and documents."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from documents import SIGNS, flat_documents, make, read, shown, without_places, write
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats.csv import FORMAT, recognize
from tagger.formats.document import Document, DocumentToken

KAGGLE = 'Sentence #,Word,POS,Tag\r\nSentence: 1,Anna,NNP,B-per\r\n,paid,VBD,O\r\n,"1,200",CD,O\r\n,"""",``,O\r\nSentence: 2,Bonn,NNP,B-geo\r\n'


def read_text(tmp_path: Path, text: str | bytes, **options: object) -> tuple[list[Document], list[str]]:
    (tmp_path / "f.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    return read(FORMAT, tmp_path / "f.csv", **options)


def test_kaggles_form_is_read(tmp_path: Path) -> None:
    notes: list[str] = []
    found, reports = read_text(tmp_path, KAGGLE, note=notes.append)
    assert shown(found) == [('Anna paid 1,200 "', ["per Anna"]), ("Bonn", ["geo Bonn"])]
    assert notes[0] == "columns: token 1 Word, tag 3 Tag, sentence 0 Sentence #; not kept: 2 POS"
    assert reports == []
    found, _ = read_text(tmp_path, KAGGLE.replace("Anna", "café").encode("latin-1"), encoding="latin-1")
    assert found[0].text.startswith("café paid")


@pytest.mark.parametrize(
    "text",
    [
        "sentence_id,token,label\n0,Anna,B-PER\n0,saw,O\n1,Bonn,B-LOC\n",
        "Anna,B-PER\nsaw,O\n,O\nBonn,B-LOC\n",
        "Anna,B-PER\nsaw,O\n\nBonn,B-LOC\n",
        "token;tag\nAnna;B-PER\nsaw;O\n;\nBonn;B-LOC\n",
        "token\ttag\nAnna\tB-PER\nsaw\tO\n\nBonn\tB-LOC\n",
        "Sentence: 1,Anna,B-PER\n,saw,O\nSentence: 2,Bonn,B-LOC\n",
        "text,labels\nAnna saw,B-PER O\nBonn,B-LOC\nAnna saw,B-PER O\n",
        "Sentence #,Sentence,POS,Tag\nSentence: 1,Anna saw,\"['NNP', 'VBD']\",\"['B-PER', 'O']\"\nSentence: 2,Bonn,['NNP'],['B-LOC']\nx,a b,c,\"['O', 'O']\"\n",
        "id,tokens,ner_tags\n0,\"['Anna', 'saw']\",\"['B-PER', 'O']\"\n1,['Bonn'],['B-LOC']\n2,\"['a', 'b']\",\"['O', 'O']\"\n",
        "\ufefftag,token\nB-PER,Anna\nO,saw\n,\nB-LOC,Bonn\n",
    ],
)  # fmt: skip
def test_other_forms_are_read(tmp_path: Path, text: str) -> None:
    found, reports = read_text(tmp_path, text)
    assert shown(found)[:2] == [("Anna saw", ["PER Anna"]), ("Bonn", ["LOC Bonn"])]
    assert reports == []


def test_documents_are_read_from_their_column_and_from_docstart_rows(tmp_path: Path) -> None:
    text = "doc_id,sentence,token,tag\nx,1,a,O\nx,2,b,O\ny,1,c,O\n"
    found, _ = read_text(tmp_path, text)
    assert [(one.id, one.text) for one in found] == [("x", "a\nb"), ("y", "c")]
    found, _ = read_text(tmp_path, "a,O\n,O\n-DOCSTART-,O\n,O\nb,O\n,O\nc,O\n-DOCSTART-,O\n")
    assert [one.text for one in found] == ["a", "b\nc", ""]


def test_columns_can_be_named_and_numbers_get_names(tmp_path: Path) -> None:
    found, _ = read_text(tmp_path, KAGGLE, columns={"token": "Word", "tag": "POS"}, scheme="none")
    assert found[0].tokens[0] == DocumentToken(0, 4, "NNP")
    found, _ = read_text(tmp_path, "token,tag\na,1\nb,0\n", names=("O", "B-X"))
    assert shown(found) == [("a b", ["X a"])]
    with pytest.raises(DataError, match=r"columns.tag: found 'x', expected one of Sentence #, Word, POS, Tag"):
        read_text(tmp_path, KAGGLE, columns={"tag": "x"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,O\nb,O\n1,200,O\n", ":3: found 3 columns, expected 2 as on most rows"),
        ("a,O\nb,\n", ":2: found no tag, expected one beside the token"),
        ('a,O\n",O\n', ":2: is not CSV: unexpected end of data; fix the quotes, or set data.format to conll"),
        ("token,tag\na,1\nb,0\n", ": the tags are the numbers 0 to 1"),
        ("token,tag\na b,B-X O\nc d,O O\n" * 30 + "e,O O\n", ": found 1 tokens and 2 tags"),
        ("token,tag\na,B-X\nb,O\nc,Q:x\nd,I-X\n" * 3, ":4: tag 'Q:x' does not fit the scheme"),
    ],
)
def test_an_error_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_text(tmp_path, text)
    assert message in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path}/f.csv:")


def test_rows_without_a_token_are_reported(tmp_path: Path) -> None:
    reports: list[DataError] = []
    found, _ = read_text(tmp_path, KAGGLE.replace(",paid", ","), report=reports.append)
    assert found[0].text == 'Anna 1,200 "'
    assert [(report.kind, report.line) for report in reports] == [("no-token", 3)]


@pytest.mark.parametrize(
    "rows",
    ["1,1,tag,tag\n1,1,document,tag\n", "document,1,token,document\n", "1,1,token,O\n1,1,sentence,B-PER\n"],
)
def test_our_own_header_is_a_header_whatever_the_columns_hold(tmp_path: Path, rows: str) -> None:
    notes: list[str] = []
    (found,), reports = read_text(tmp_path, f"document,sentence,token,tag\n{rows}", note=notes.append, scheme="none")
    expected = [row.split(",")[2:] for row in rows.splitlines()]
    assert [[found.covered(token), token.tag] for token in found.tokens] == expected
    assert notes[0] == "columns: token 2 token, tag 3 tag, sentence 1 sentence, document 0 document"
    assert reports == []


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    assert read_text(tmp_path, "") == ([], [])


def test_documents_are_written_with_their_numbers(tmp_path: Path) -> None:
    found = [make("Anna saw", "Bonn", spans=[("PER", 0, 4)]), make("a", id="x"), make()]
    assert write(FORMAT, found, tmp_path / "f.csv") == ["documents without tokens are not kept"]
    assert (tmp_path / "f.csv").read_text("utf-8") == (
        "document,sentence,token,tag\n1,1,Anna,B-PER\n1,1,saw,O\n1,2,Bonn,O\nx,3,a,O\n"
    )


def test_a_name_that_will_not_be_read_is_reported(tmp_path: Path) -> None:
    found = [make("a", id="x"), make("b", id="x"), make("c", id="3"), make("-DOCSTART-")]
    assert write(FORMAT, found, tmp_path / "f.csv") == [
        "the name 'x' of a document will not be read",
        "the name '3' of a document will not be read",
        "a token -DOCSTART- will be read as a boundary",
    ]
    assert [one.text for one in read(FORMAT, tmp_path / "f.csv")[0]][:3] == ["a", "b", "c"]
    assert write(FORMAT, [make("a\r", id="\r")], tmp_path / "f.csv") == [
        "characters that the format cannot hold are replaced with ' ', as in 'a\\r'",
        "the name '\\r' of a document will not be read",
    ]


@st.composite
def named_documents(draw: st.DrawFn) -> list[Document]:
    found = draw(st.lists(flat_documents(signs=f"{SIGNS};\t\n", least=1), min_size=1, max_size=4))
    names = draw(
        st.lists(
            st.none() | st.text('ab,"\n', min_size=1, max_size=4),
            min_size=4,
            max_size=4,
            unique_by=lambda name: name or object(),
        )
    )
    return [
        Document(text=one.text, spans=one.spans, sentences=one.sentences, id=name)
        for one, name in zip(found, names, strict=False)
    ]


@given(named_documents())
def test_documents_to_csv_to_documents_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    documents = [one for one in documents if not any(not one.covered(token).strip() for token in one.tokens)]
    path = tmp_path_factory.mktemp("f") / "f"
    assert write(FORMAT, documents, path) == []
    found, reports = read(FORMAT, path, scheme="IOB2", delimiter=",", columns={"token": "token", "tag": "tag"})
    assert (without_places(found), reports) == (documents, [])
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert [row["token"] for row in rows] == [one.covered(token) for one in documents for token in one.tokens]


def test_the_content_is_recognized() -> None:
    assert recognize(KAGGLE.splitlines())
    assert recognize(["a,O", "b,B-X"])
    for lines in ([], ["a O", "b B-X"], ["a,b O", "c,d B-X", ", O"]):
        assert not recognize(lines)
