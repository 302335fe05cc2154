"""CoNLL files and documents."""

from __future__ import annotations

import collections
import itertools
from pathlib import Path

import pytest
from documents import flat_documents, make, read, shown, without_places, write
from hypothesis import given
from hypothesis import strategies as st

from tagger.corpus.schemes import SCHEMES
from tagger.errors import DataError
from tagger.formats.conll import FORMAT, recognize
from tagger.formats.document import Document, DocumentSpan, DocumentToken, ReadOptions


def read_text(tmp_path: Path, text: str | bytes, **options: object) -> tuple[list[Document], list[str]]:
    path = tmp_path / "f.conll"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(FORMAT, path, **options)


def written(tmp_path: Path, *documents: Document, **options: object) -> tuple[str, list[str]]:
    reports = write(FORMAT, documents, tmp_path / "out", **options)
    return (tmp_path / "out").read_bytes().decode(), reports


def test_a_sentence_is_a_document_unless_docstart_lines_say_otherwise(tmp_path: Path) -> None:
    text = "Anna B-PER\nBerg I-PER\n\nin O\nBonn B-LOC\n"
    found, _ = read_text(tmp_path, text)
    assert shown(found) == [("Anna Berg", ["PER Anna Berg"]), ("in Bonn", ["LOC Bonn"])]
    found, _ = read_text(tmp_path, f"-DOCSTART- O\n\n{text}\n-DOCSTART- O\n\n-DOCSTART- O\n\n{text}")
    assert shown(found)[0] == ("Anna Berg\nin Bonn", ["PER Anna Berg", "LOC Bonn"])
    assert [len(one.sentences or ()) for one in found] == [2, 0, 2]


def test_the_only_docstart_line_of_label_studio_is_a_header(tmp_path: Path) -> None:
    text = "Anna -X- _ B-PER\n\nin -X- _ O\nBonn -X- _ B-LOC\n\n"
    assert len(read_text(tmp_path, f"-DOCSTART- -X- O\n{text}")[0]) == 2
    notes: list[str] = []
    assert len(read_text(tmp_path, f"-DOCSTART- -X- O O\n\n{text}", note=notes.append)[0]) == 2
    assert any("is the header of Label Studio's export: each sentence is a document" in note for note in notes)
    assert len(read_text(tmp_path, f"-DOCSTART- -X- O O\n\n{text.replace(' _ ', ' x ')}")[0]) == 1
    assert len(read_text(tmp_path, f"-DOCSTART- -X- O\n{text}-DOCSTART- -X- O\n{text}")[0]) == 2


def test_places_are_those_of_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "f.conll"
    path.write_text("# a comment\na O\n\n\nb O\n\n-DOCSTART- O\n\nc O\n\nd O\n")
    found = list(FORMAT.read(path, ReadOptions()))
    assert [str(one.place) for one in found] == [f"{path}:{line}" for line in (2, 5, 7)]


def test_the_relatives_are_read(tmp_path: Path) -> None:
    rows = [("Anna", "B-PER"), ("Berg", "I-PER"), ("saw", "O"), ("Bonn", "B-LOC"), (".", "O")]
    expected = [("Anna Berg saw Bonn .", ["PER Anna Berg", "LOC Bonn"])] * 5

    def lines(form: str) -> str:
        sentence = "".join(form.format(i=i, t=token, g=tag) + "\n" for i, (token, tag) in enumerate(rows, start=1))
        return f"{sentence}\n" * 5

    for form in (
        "{t}\t{g}",
        "{i} {t} X {g}",
        "{g}\t{t}",
        "en:{t}\t{g}",
        "{t}\tX\t{g}",
        "{i}\t{t}\t_\t_\t_\t_\t_\t_\t_\tname={g}",
    ):
        assert shown(read_text(tmp_path, lines(form))[0]) == expected, form
    assert shown(read_text(tmp_path, f"TOKEN\tNE-COARSE\n{lines('{t}	{g}')}")[0]) == expected
    assert shown(read_text(tmp_path, lines("{t}\t{g}").encode("utf-8-sig").replace(b"\n", b"\r\n"))[0]) == expected
    assert shown(read_text(tmp_path, lines("{t};{g}"), delimiter=";")[0]) == expected
    columns = {"token": 2, "tag": 0}
    assert shown(read_text(tmp_path, lines("{g}\tx\t{t}"), columns=columns)[0]) == expected


def test_a_file_of_another_encoding_is_read(tmp_path: Path) -> None:
    found, _ = read_text(tmp_path, "Núñez B-PER\n".encode("cp1252"), encoding="cp1252")
    assert shown(found) == [("Núñez", ["PER Núñez"])]
    with pytest.raises(DataError, match=r"f.conll:1: byte 0xFA"):
        read_text(tmp_path, "Núñez B-PER\n".encode("cp1252"))


def test_several_tags_of_a_token_are_layers(tmp_path: Path) -> None:
    text = "University\tB-ORG\nof\tI-ORG\nBonn\tI-ORG|B-LOC\nis\tO\n\n"
    found, _ = read_text(tmp_path, text)
    assert shown(found) == [("University of Bonn is", ["ORG University of Bonn", "LOC Bonn"])]


def test_plain_tags_are_tags_of_tokens(tmp_path: Path) -> None:
    found, _ = read_text(tmp_path, "a\tDT\nb\tNN\n\n")
    assert found[0].sentences == ((DocumentToken(0, 1, "DT"), DocumentToken(2, 3, "NN")),)
    assert found[0].spans == ()
    assert written(tmp_path, *found)[0] == "a\tDT\nb\tNN\n\n"


def test_a_file_without_tags_has_tokens_only(tmp_path: Path) -> None:
    notes: list[str] = []
    found, _ = read_text(tmp_path, "a\nb\n\nc\n", note=notes.append)
    assert shown(found) == [("a b", []), ("c", [])]
    assert notes == ["there is one column: the tokens; the file has no tags"]


def test_numbers_as_tags_need_names(tmp_path: Path) -> None:
    text = "a\t1\nb\t2\nc\t0\n\n" * 3
    with pytest.raises(DataError, match="the tags are the numbers 0 to 2"):
        read_text(tmp_path, text)
    assert shown(read_text(tmp_path, text, names=("O", "B-X", "I-X"))[0])[0] == ("a b c", ["X a b"])
    with pytest.raises(DataError, match=r"f.conll:2: found the tag '2', expected a number from 0 to 1"):
        read_text(tmp_path, text, names=("O", "B-X"))


def test_numbers_get_the_names_of_plain_tags(tmp_path: Path) -> None:
    found, _ = read_text(tmp_path, "a 0\nb 1\n\nc 1\nd 2\n\n", names=("DT", "NN", "VB"), columns={"token": 0, "tag": 1})
    assert [[token.tag for token in one.tokens] for one in found] == [["DT", "NN"], ["NN", "VB"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tB-X\nb\tQ:y\nc\tO\n\n" * 5, "f.conll:2: tag 'Q:y' does not fit the scheme IOB2"),
        ("a\tB-X\n\tO\n", "f.conll:2: found an empty token"),
        ('{"a": 1}\n', "f.conll: the lines are JSON objects"),
        ("a X\nb O\n", "f.conll: scheme: cannot tell whether tags without prefixes are spans"),
    ],
)
def test_an_error_names_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_text(tmp_path, text)
    assert caught.value.message.startswith(str(tmp_path / message))


def test_comments_and_ranges_are_reported(tmp_path: Path) -> None:
    text = "# text = ab c\n1-2\tab\tO\n1\ta\tO\n2\tb\tB-X\n3\tc\tO\n\n" * 3
    reports: list[DataError] = []
    found, _ = read_text(tmp_path, text, report=reports.append)
    assert [one.text for one in found] == ["a b c"] * 3
    assert collections.Counter(report.kind for report in reports) == {"comment": 3, "subtoken": 3}
    assert [report.line for report in reports[:2]] == [1, 2]


def test_other_columns_and_the_header_are_kept(tmp_path: Path) -> None:
    text = "Word\tPOS\tNER\tMisc\nAnna\tNNP\tI-PER\t_\nBerg\tNNP\tI-PER\tx\n\nsaw\tVBD\tO\t_\n\n"
    found, _ = read_text(tmp_path, text)
    output, _ = written(tmp_path, *found)
    assert output == text.replace("Word\tPOS\tNER", "token\tPOS\ttag").replace("Anna\tNNP\tI", "Anna\tNNP\tB")
    assert shown(read_text(tmp_path, output)[0]) == shown(found)


def test_other_columns_that_do_not_fit_any_more_are_reported(tmp_path: Path) -> None:
    (found,), _ = read_text(tmp_path, "ab\tX\tO\n\n")
    cut = Document(text="ab", sentences=((DocumentToken(0, 1), DocumentToken(1, 2)),), fields=found.fields)
    output, reports = written(tmp_path, cut)
    assert output == "a\tO\nb\tO\n\n"
    assert reports == ["the other columns are not kept, because tokens were cut"]


@pytest.mark.parametrize(
    "field",
    [
        "x", ["x"], {}, {"rows": [["a"]]}, {"names": [], "token": -1, "tag": 0, "tag first": False, "rows": [["a"]]},
        {"names": [1], "token": 0, "tag": 0, "tag first": False, "rows": [["a"]]},
        {"names": [], "token": 0, "tag": 0, "tag first": False, "rows": [[1]]},
    ],
)  # fmt: skip
def test_a_field_of_the_same_name_is_not_taken_for_columns(tmp_path: Path, field: object) -> None:
    output, reports = written(tmp_path, make("b", fields={"columns": field}))
    assert output == "b\tO\n\n"
    assert reports == ["the field columns is not kept: it does not hold columns"]
    good = {"names": ["x\n"], "token": 5, "tag": 0, "tag first": None, "rows": [["a\tb\n"]]}
    assert written(tmp_path, make("b", fields={"columns": good}))[0] == "tag\tx \ttoken\nO\ta b \tb\n\n"


def test_schemes_are_written(tmp_path: Path) -> None:
    found = make("Anna Berg saw Bonn", spans=[("PER", 0, 9), ("LOC", 14, 18)])
    assert written(tmp_path, found, scheme="IOBES")[0] == "Anna\tB-PER\nBerg\tE-PER\nsaw\tO\nBonn\tS-LOC\n\n"
    with pytest.raises(DataError, match="scheme: found none"):
        written(tmp_path, found, scheme="none")
    two = make("a b", spans=[("X", 0, 1), ("X", 2, 3)])
    assert written(tmp_path, two, scheme="IO")[1] == [
        "neighboring spans of one type are merged, because the scheme is IO"
    ]


def test_what_cannot_be_held_is_reported(tmp_path: Path) -> None:
    tokens = tuple(DocumentToken(i, i + 1) for i in range(4))
    spans = (DocumentSpan("", 0, 1, 0.5), DocumentSpan("a\tb", 1, 2), DocumentSpan("Z", 2, 3))
    odd = Document(text="a\x85\nz", spans=spans, sentences=(tokens, ()), id="x")
    output, reports = written(tmp_path, odd)
    assert output == "a\tB-_\n\x85\tB-a_b\nz\tO\n\n"
    assert sorted(reports) == [
        "sentences without tokens are not kept",
        "spans of nothing but blanks are not kept",
        "the names of documents are not kept",
        "the probabilities of spans are not kept",
        "the type '' is written as '_'",
        "the type 'a\\tb' is written as 'a_b'",
        "tokens of nothing but blanks are not kept",
    ]
    assert written(tmp_path, make("a\tb\rc"))[1] == [
        "characters that the format cannot hold are replaced with ' ', as in 'a\\tb\\rc'"
    ]


def test_documents_that_cannot_be_written_are_errors(tmp_path: Path) -> None:
    for found, message in (
        (Document(text="a"), "has no tokens, expected tokens"),
        (make("ab", spans=[("X", 0, 1)]), "the X 'a' overlaps another span or is not a run of whole tokens"),
        (make("a b", spans=[("X", 0, 3), ("Y", 2, 3)]), "the Y 'b' overlaps"),
        (make("a", "b", spans=[("X", 0, 3)]), "the X 'a\\nb' overlaps"),
    ):
        with pytest.raises(DataError) as caught:
            written(tmp_path, found)
        assert caught.value.message.startswith(message)
    plain = Document(text="a", sentences=((DocumentToken(0, 1, "NN"),),))
    with pytest.raises(DataError, match="has spans, expected plain tags as in earlier documents"):
        written(tmp_path, plain, make("a", spans=[("X", 0, 1)]))
    assert written(tmp_path, make("a", spans=[("X", 0, 1)]), plain)[1] == [
        "the plain tags of tokens are not kept, because documents have spans"
    ]


def is_not_of_hashes(documents: list[Document]) -> bool:
    """Return whether not all tokens are `#`, as in a file of comments."""
    return {one.covered(token) for one in documents for token in one.tokens} != {"#"}


@given(
    st.lists(flat_documents(), max_size=4).filter(is_not_of_hashes),
    st.sampled_from(sorted(set(SCHEMES) - {"IO"})),
)
def test_documents_to_conll_to_documents_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document], scheme: str
) -> None:
    path = tmp_path_factory.mktemp("f") / "f"
    assert write(FORMAT, documents, path, scheme=scheme) == []
    found, reports = read(FORMAT, path, scheme=scheme, columns={"token": 0, "tag": 1}, delimiter="tab")
    assert (without_places(found), reports) == (documents, [])


@given(st.lists(flat_documents(plain=True, least=1), min_size=1, max_size=3).filter(is_not_of_hashes))
def test_plain_tags_come_back(tmp_path_factory: pytest.TempPathFactory, documents: list[Document]) -> None:
    path = tmp_path_factory.mktemp("f") / "f"
    assert write(FORMAT, documents, path) == []
    found, _ = read(FORMAT, path, scheme="none", columns={"token": 0, "tag": 1}, delimiter="tab")
    assert without_places(found) == documents


def test_the_content_is_recognized() -> None:
    assert recognize(["a O", "b O", "", "c B-X"])
    assert recognize(["a\tx y", "b\tz"])
    assert recognize(["-DOCSTART- -X- O", "Anna NNP B-PER", "saw VBD O"])
    for lines in ([], ["a"], ["The first line is here .", "Another one ."], ["a b c", "d e f"]):
        assert not recognize(lines)


@pytest.mark.corpora
@pytest.mark.parametrize("name", ["conll2000/test.txt", "wnut17/test.conll", "wikigold/wikigold.conll"])
def test_a_corpus_keeps_its_spans_and_its_other_columns(corpora: Path, tmp_path: Path, name: str) -> None:
    path = corpora / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    found, _ = read(FORMAT, path)
    write(FORMAT, found, tmp_path / "out")
    again, _ = read(FORMAT, tmp_path / "out")
    assert without_places(again) == without_places(found)
    tokens = [
        line.split()[0] for line in path.read_text("utf-8").splitlines() if line.strip() and "-DOCSTART-" not in line
    ]
    assert list(itertools.chain.from_iterable(one.text.split() for one in found)) == tokens
