"""Spans in brackets, as CoNLL-2012 and CoNLL-2005 write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import flat_documents, make, read, shown, without_places, write
from hypothesis import given
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats.alignment import Fitting, fit
from tagger.formats.brackets import FORMAT, recognize
from tagger.formats.document import Document, DocumentSpan, DocumentToken, ReadOptions

CONLL_2012 = """#begin document (bn/x/00/x_0001); part 000
bn/x/00/x_0001   0   0   Anna   NNP   (TOP(S(NP*   -   -   -   spk   (PERSON*   (ARG0*   (12
bn/x/00/x_0001   0   1   Berg   NNP   *)   -   -   -   spk   *)   *)   12)
bn/x/00/x_0001   0   2   paid   VBD   (VP*)))   pay   01   1   spk   *   (V*)   -

bn/x/00/x_0001   0   0   Bonn   NNP   (TOP(NP*))   -   -   -   spk   (GPE)   -

#end document
#begin document (bn/x/00/x_0001); part 001
bn/x/00/x_0001   1   0   Yes   UH   (TOP(INTJ*))   -   -   -   spk   *   -

#end document
"""
CONLL_2005 = """Anna  NNP  (S1(S(NP*  (MISC(PER*  -  (A0*
Berg  NNP  *)         *)          -  *)
paid  VBD  (VP*)      *)          pay  (V*)
#     #    *          *           -  *
.     .    *))        *           -  *

Bonn  NNP  (S1(NP*))  (LOC*)      -  *
"""


def read_text(tmp_path: Path, text: str, **options: object) -> tuple[list[Document], list[str]]:
    (tmp_path / "f").write_text(text, "utf-8")
    return read(FORMAT, tmp_path / "f", **options)


def test_conll_2012_is_read(tmp_path: Path) -> None:
    notes: list[str] = []
    found, reports = read_text(tmp_path, CONLL_2012, note=notes.append)
    assert shown(found) == [("Anna Berg paid\nBonn", ["PERSON Anna Berg", "GPE Bonn"]), ("Yes", [])]
    assert [(one.id, one.fields) for one in found] == [("bn/x/00/x_0001", {}), ("bn/x/00/x_0001", {"part": "001"})]
    assert reports == []
    assert notes == ["the tokens are in column 3, the spans in column 10; the other columns are not kept"]
    lines = [one.place.line for one in FORMAT.read(tmp_path / "f", ReadOptions())]
    assert lines == [1, 9]


def test_conll_2005_is_read_with_nested_spans_and_without_documents(tmp_path: Path) -> None:
    found, reports = read_text(tmp_path, CONLL_2005)
    assert shown(found) == [("Anna Berg paid # .", ["MISC Anna Berg paid", "PER Anna Berg"]), ("Bonn", ["LOC Bonn"])]
    assert reports == []
    assert shown([fit(found[0], Fitting(overlap="inner"))[0]]) == [("Anna Berg paid # .", ["PER Anna Berg"])]


def test_columns_can_be_named(tmp_path: Path) -> None:
    found, _ = read_text(tmp_path, CONLL_2012, columns={"token": 4, "tag": 5})
    assert shown(found)[0][1][:2] == ["TOP NNP NNP VBD", "S NNP NNP VBD"]
    with pytest.raises(DataError, match="columns: found names, expected numbers"):
        read_text(tmp_path, CONLL_2012, columns={"token": "word"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a (X*\nb *\n\n", ":1: found (X, which is not closed in its sentence, expected a )"),
        ("a (X)\nb *)\n\n", ":2: found a bracket that closes, expected one that opens before it"),
        ("a (X)\n" + "c *\n" * 40 + "b X)\n", ":42: found 'X)', expected brackets such as (PER*, *) or (PER)"),
        ("a (X) (Y)\nb * *\n", ": found 2 columns with brackets, expected one with named entities"),
        ("a b c\n", ": found no column with brackets such as (PER* and *), expected one"),
    ],
)
def test_an_error_names_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_text(tmp_path, text)
    assert caught.value.message.startswith(f"{tmp_path}/f{message}")


def test_comments_are_reported(tmp_path: Path) -> None:
    reports: list[DataError] = []
    read_text(tmp_path, "# a comment of several words\na (X)\nb *\n\n", report=reports.append)
    assert [(report.kind, report.line) for report in reports] == [("comment", 1)]


def test_documents_are_written_as_conll_2012(tmp_path: Path) -> None:
    found = make("Anna Berg paid", "Bonn", spans=[("PER", 0, 9), ("LOC", 15, 19)], id="a b")
    assert write(FORMAT, [found], tmp_path / "f") == []
    assert (tmp_path / "f").read_text("utf-8") == (
        "#begin document (a b); part 000\na_b 0 0 Anna _ * - - - - (PER* -\na_b 0 1 Berg _ * - - - - *) -\n"
        "a_b 0 2 paid _ * - - - - * -\n\na_b 0 0 Bonn _ * - - - - (LOC) -\n\n#end document\n"
    )


def test_plain_tags_are_written_as_parts_of_speech(tmp_path: Path) -> None:
    plain = Document(text="a", sentences=((DocumentToken(0, 1, "N N"),),))
    assert len(write(FORMAT, [plain], tmp_path / "f")) == 1
    assert "- 0 0 a N_N * - - - - * -\n" in (tmp_path / "f").read_text("utf-8")


def test_what_cannot_be_held_is_reported(tmp_path: Path) -> None:
    tokens = ((DocumentToken(0, 3), DocumentToken(3, 4)),)
    odd = Document(text="a bc", spans=(DocumentSpan("X(Y)", 0, 3),), sentences=tokens, id="x\ny")
    assert write(FORMAT, [odd], tmp_path / "f") == [
        "the type 'X(Y)' is written as 'X_Y_'",
        "characters that the format cannot hold are replaced with '_', as in 'a bc'".replace("a bc", "a b"),
        "names of documents that are empty or hold line ends are changed",
    ]
    assert "(x y); part 000\nx_y 0 0 a_b _ * - - - - (X_Y_) -\n" in (tmp_path / "f").read_text("utf-8")


@pytest.mark.parametrize("part", [1, "x", "1\n2", None])
def test_a_part_that_is_not_a_number_is_reported(tmp_path: Path, part: object) -> None:
    reports = write(FORMAT, [make("a", fields={"part": part})], tmp_path / "f")
    assert reports == ["the field part is not kept: it is not the number of a part"]
    assert without_places(read(FORMAT, tmp_path / "f", columns={"token": 3, "tag": 10})[0]) == [make("a")]


@st.composite
def named_documents(draw: st.DrawFn) -> Document:
    found = draw(flat_documents())
    name = draw(st.none() | st.text("ab ();1/", min_size=1, max_size=9))
    fields = draw(st.sampled_from([{}, {"part": "001"}]))
    return Document(text=found.text, spans=found.spans, sentences=found.sentences, id=name, fields=fields)


@given(st.lists(named_documents(), max_size=4))
def test_documents_to_brackets_to_documents_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    path = tmp_path_factory.mktemp("f") / "f"
    assert write(FORMAT, documents, path) == []
    found, reports = read(FORMAT, path, columns={"token": 3, "tag": 10})
    assert (without_places(found), reports) == (documents, [])


def test_the_content_is_recognized() -> None:
    assert recognize(CONLL_2012.splitlines())
    assert recognize(CONLL_2005.splitlines())
    for lines in ([], ["a O", "b B-X"], ["( O", ") O"]):
        assert not recognize(lines)


def test_conll_2012_of_a_single_token_has_the_same_columns(tmp_path: Path) -> None:
    single = Document(text="Bonn", spans=(DocumentSpan("LOC", 0, 4),), sentences=((DocumentToken(0, 4),),))
    write(FORMAT, [single], tmp_path / "f")
    found, _ = read(FORMAT, tmp_path / "f")
    assert shown(found) == [("Bonn", ["LOC Bonn"])]


def test_a_token_that_will_be_a_boundary_is_reported(tmp_path: Path) -> None:
    text = "-DOCSTART- x"
    single = Document(text=text, sentences=((DocumentToken(0, 10), DocumentToken(11, 12)),))
    assert write(FORMAT, [single], tmp_path / "f") == ["a token -DOCSTART- will be read as a boundary"]
