from __future__ import annotations

import datetime
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from documents import documents, read, without_places, write
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, DocumentToken, ReadOptions
from tagger.formats.parquet import FORMAT

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is an extra")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra")

WORDS = ["Ann", "moved", "to", "Bonn"]
SPANS = (DocumentSpan("PER", 0, 3), DocumentSpan("LOC", 13, 17))
TOKENS = tuple(DocumentToken(start, end) for start, end in ((0, 3), (4, 9), (10, 12), (13, 17)))
DOCUMENT = Document(text="Ann moved to Bonn", spans=SPANS, sentences=(TOKENS,), id="7")


def of(
    tmp_path: Path, rows: list[dict[str, Any]], schema: Any = None, **options: Any
) -> tuple[list[Document], list[str]]:
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), tmp_path / "a.parquet")
    return read(FORMAT, tmp_path / "a.parquet", **options)


def test_rows_of_names_and_of_numbers_are_read(tmp_path: Path) -> None:
    (found,), reports = of(tmp_path, [{"tokens": WORDS, "ner_tags": ["B-PER", "O", "O", "B-LOC"], "n": 3}])
    assert (found.text, found.spans, found.fields, found.place.line, reports) == (DOCUMENT.text, SPANS, {"n": 3}, 1, [])
    numbers = [{"tokens": WORDS, "ner_tags": [1, 0, 0, 3]}]
    assert of(tmp_path, numbers, names=("O", "B-PER", "I-PER", "B-LOC"))[0][0].spans == SPANS
    with pytest.raises(DataError, match=r"a\.parquet:1: found numbers in ner_tags"):
        of(tmp_path, numbers)


def test_texts_with_spans_are_read(tmp_path: Path) -> None:
    rows = [
        {
            "text": DOCUMENT.text,
            "spans": [{"start": 0, "end": 3, "label": "PER"}, {"start": 13, "end": 17, "label": "LOC"}],
        }
    ]
    assert of(tmp_path, rows)[0][0].spans == SPANS


def test_other_values_are_kept_as_json_could_hold_them(tmp_path: Path) -> None:
    day = datetime.date(2026, 1, 2)
    rows = [{"text": "a", "day": day, "x": float("nan"), "y": 0.5, "raw": b"\0", "more": {"days": [day]}, "none": None}]
    (found,), reports = of(tmp_path, rows)
    assert found.fields == {"day": "2026-01-02", "x": None, "y": 0.5, "more": {"days": ["2026-01-02"]}}
    assert reports == [
        "the column raw, which holds bytes, is not kept",
        "numbers of x that are not finite are not kept",
    ]


def test_documents_are_written_with_the_names_of_their_tags(tmp_path: Path) -> None:
    reports = write(
        FORMAT,
        [DOCUMENT, Document(text="b", sentences=((DocumentToken(0, 1),),), fields={"meta": 1})],
        tmp_path / "a.parquet",
    )
    assert reports == ["what is said of a document beside its text is not kept: meta"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == [
        {"id": "7", "tokens": WORDS, "ner_tags": [3, 0, 0, 1]},
        {"id": None, "tokens": ["b"], "ner_tags": [0]},
    ]
    found, _ = read(FORMAT, tmp_path / "a.parquet")
    assert without_places(found)[0] == DOCUMENT


def test_datasets_reads_the_names(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is for this test only")
    write(FORMAT, [DOCUMENT, DOCUMENT], tmp_path / "a.parquet", scheme="IOBES")
    found = datasets.Dataset.from_parquet(str(tmp_path / "a.parquet"), cache_dir=str(tmp_path / "cache"))
    feature = found.features["ner_tags"].feature
    assert isinstance(feature, datasets.ClassLabel)
    assert feature.names == ["O", "B-LOC", "I-LOC", "E-LOC", "S-LOC", "B-PER", "I-PER", "E-PER", "S-PER"]
    assert [feature.int2str(number) for number in found[0]["ner_tags"]] == ["S-PER", "O", "O", "S-LOC"]
    assert (found[1]["tokens"], found[1]["id"]) == (WORDS, "7")


def test_what_datasets_writes_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is for this test only")
    labels = datasets.ClassLabel(names=["O", "B-LOC", "B-PER"])
    kind = getattr(datasets, "List", datasets.Sequence)
    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "tokens": kind(datasets.Value("string")),
            "ner_tags": kind(labels),
            "pos_tags": kind(datasets.ClassLabel(names=["X", "Y"])),
        }
    )
    rows = {
        "id": ["7"],
        "tokens": [WORDS],
        "ner_tags": [["B-PER", "O", "O", "B-LOC"]],
        "pos_tags": [["X", "X", "Y", "Y"]],
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(tmp_path / "a.parquet"))
    (found,), reports = read(FORMAT, tmp_path / "a.parquet")
    assert (found.spans, found.id, reports) == (SPANS, "7", [])
    assert found.fields == {"pos_tags": ["X", "X", "Y", "Y"]}


@settings(max_examples=50)
@given(
    st.lists(
        documents(flat=True, tokens=True, most=1, spaced=True, ids=st.none() | st.text()),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["IOB2", "IOBES", "BILOU"]),
)
def test_documents_come_back(made: list[Document], scheme: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        assert write(FORMAT, made, path, scheme=scheme) == []
        found, reports = read(FORMAT, path, scheme=scheme)
        assert (without_places(found), reports) == (made, [])
        # The same documents in another order have the same names of tags.
        write(FORMAT, made[::-1], Path(folder) / "b.parquet", scheme=scheme)
        assert parquet.read_schema(path).metadata == parquet.read_schema(Path(folder) / "b.parquet").metadata


def test_plain_tags_come_back(tmp_path: Path) -> None:
    tokens = (DocumentToken(0, 1, "VB"), DocumentToken(2, 3, "NN"))
    made = Document(text="a b", sentences=(tokens,))
    write(FORMAT, [made], tmp_path / "a.parquet")
    assert parquet.read_table(tmp_path / "a.parquet").to_pylist() == [{"tokens": ["a", "b"], "tags": [1, 0]}]
    assert without_places(read(FORMAT, tmp_path / "a.parquet")[0]) == [made]
    with pytest.raises(DataError, match="found plain tags here, or spans, and the other in documents before"):
        write(FORMAT, [made, DOCUMENT], tmp_path / "b.parquet")
    assert [path.name for path in tmp_path.iterdir() if "first" in path.name] == []


def test_many_rows_are_written_in_groups(tmp_path: Path) -> None:
    n = 25_000
    write(FORMAT, (DOCUMENT for _ in range(n)), tmp_path / "a.parquet")
    found = FORMAT.read(tmp_path / "a.parquet", ReadOptions())
    assert sum(document.spans == SPANS for document in found) == n


def test_what_the_columns_cannot_hold_is_reported_or_an_error(tmp_path: Path) -> None:
    spans = (DocumentSpan("A", 0, 1, 0.5), DocumentSpan("B", 0, 3))
    document = Document(text="a x b", spans=spans, sentences=((DocumentToken(0, 1), DocumentToken(4, 5)),))
    reports = write(FORMAT, [document], tmp_path / "a.parquet")
    assert reports == [
        "tokens with tags cannot hold characters outside tokens, which are left out",
        "tokens with tags cannot hold probabilities, which are left out",
        "the B span from 0 to 3 does not fit the tokens, or overlaps another one; it is left out",
    ]
    with pytest.raises(DataError, match="found a text without tokens"):
        write(FORMAT, [Document(text="a")], tmp_path / "b.parquet")
    with pytest.raises(DataError, match="half of a surrogate pair"):
        write(FORMAT, [Document(text="\ud800", sentences=((DocumentToken(0, 1),),))], tmp_path / "b.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"text\n"])
def test_other_files_are_errors(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet: is not Parquet that can be read"):
        read(FORMAT, tmp_path / "a.parquet")


@settings(max_examples=100)
@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        write(FORMAT, [DOCUMENT], path)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        try:
            read(FORMAT, path)
        except DataError as error:
            assert "a.parquet" in error.message


def test_streams_and_missing_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found a stream, expected a file"):
        read(FORMAT, Path("-"))
    with pytest.raises(DataError, match="no such file"):
        read(FORMAT, tmp_path / "x.parquet")
    with pytest.raises(DataError, match="is a directory"):
        read(FORMAT, tmp_path)


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="found the column text twice"):
        read(FORMAT, tmp_path / "a.parquet")


@pytest.mark.parametrize("metadata", [b"", b"[]", b'{"info": {"features": {"ner_tags": 3}}}', b"\xff", b"[" * 100_000])
def test_metadata_of_others_is_passed_over(tmp_path: Path, metadata: bytes) -> None:
    schema = pyarrow.schema([("tokens", pyarrow.list_(pyarrow.string()))], metadata={b"huggingface": metadata})
    assert of(tmp_path, [{"tokens": ["a"]}], schema)[0][0].text == "a"


def test_without_pyarrow_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for use in (lambda: read(FORMAT, tmp_path / "a"), lambda: write(FORMAT, [], tmp_path / "a")):
        with pytest.raises(DataError, match=r"pip install 'twobranch-tagger\[parquet\]'"):
            use()


def test_files_are_recognized_by_their_first_bytes() -> None:
    assert FORMAT.recognize(["PAR1\x15\x04"])
    assert not FORMAT.recognize(["parquet"])
    assert not FORMAT.recognize([])
