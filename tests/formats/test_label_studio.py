from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from documents import documents, random_records, read, without_places, write
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.formats import jsonl
from tagger.formats.document import Document, DocumentSpan
from tagger.formats.label_studio import FORMAT

TEXT = "Ann moved to Bonn"


def result(start: int, end: int, label: str, text: str | None = None, **more: Any) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label], **({} if text is None else {"text": text})}
    return {
        "value": value,
        "id": "x1",
        "from_name": "ner",
        "to_name": "txt",
        "type": "labels",
        "origin": "manual",
        **more,
    }


def task(*results: Any, text: str = TEXT, **more: Any) -> dict[str, Any]:
    return {
        "id": 12,
        "annotations": [
            {"id": 7, "completed_by": 1, "was_cancelled": False, "result": list(results), "lead_time": 3.5}
        ],
        "file_upload": "a.txt",
        "predictions": [],
        "data": {"text": text, "source": "web"},
        "meta": {},
        **more,
    }


def of(tmp_path: Path, *tasks: Any, **options: Any) -> tuple[list[Document], list[str]]:
    (tmp_path / "a.json").write_text(json.dumps(list(tasks), indent=2), "utf-8")
    return read(FORMAT, tmp_path / "a.json", **options)


ANN, BONN = result(0, 3, "PER", "Ann"), result(13, 17, "LOC", "Bonn")
SPANS = (DocumentSpan("PER", 0, 3), DocumentSpan("LOC", 13, 17))


def test_the_regions_of_a_task_are_spans(tmp_path: Path) -> None:
    (found,), reports = of(tmp_path, task(ANN, BONN))
    assert (found.text, found.spans, found.id, found.place.line, reports) == (TEXT, SPANS, "12", 2, [])
    write(FORMAT, [found], tmp_path / "b.json")
    (back,) = json.loads((tmp_path / "b.json").read_text())
    expected = task(ANN, BONN)
    for i, one in enumerate(expected["annotations"][0]["result"]):
        one["id"] = f"s{i}"
        one.pop("origin")
    assert back == expected


def test_json_min_is_read(tmp_path: Path) -> None:
    labels = [{**one["value"], "text": text} for one, text in ((ANN, "Ann"), (BONN, "Bonn"))]
    minimal = {
        "text": TEXT,
        "id": 3,
        "ner": labels,
        "annotator": 1,
        "annotation_id": 4,
        "created_at": "x",
        "lead_time": 2.0,
    }
    (found, other), reports = of(tmp_path, minimal, {"sentence": "b", "annotation_id": 5, "created_at": "x"})
    assert (found.text, found.spans, found.id, reports) == (TEXT, SPANS, "3", [])
    assert (other.text, other.spans) == ("b", ())
    assert found.fields == {"id": 3, "annotator": 1, "annotation_id": 4, "created_at": "x", "lead_time": 2.0}
    of(tmp_path, minimal)
    assert without_places(read(jsonl.FORMAT, tmp_path / "a.json", columns={"span": "ner"})[0]) == without_places(
        [found]
    )


@pytest.mark.parametrize("key", ["text", "review"])
def test_the_text_may_have_another_name(tmp_path: Path, key: str) -> None:
    (found,), _ = of(tmp_path, {"data": {key: "a", "n": 3}})
    assert found.text == "a"
    assert of(tmp_path, {"data": {key: "a", "other": "b"}}, columns={"text": "other"})[0][0].text == "b"
    if key != "text":
        with pytest.raises(DataError, match="found the fields 'review' and 'other' in data, expected 'text'; name"):
            of(tmp_path, {"data": {key: "a", "other": "b"}})


@pytest.mark.parametrize(
    ("text", "start", "end", "covered", "note"),
    [
        ("💩This is an annotation.", 12, 22, "annotation", []),
        ("💩This is an annotation.", 13, 23, "annotation", ["some offsets count UTF-16 units, as their texts show"]),
        ("a\r\nb\r\nAnn", 6, 9, "Ann", []),
        ("a\r\nb\r\nAnn", 4, 7, "Ann", ["some offsets count characters, with CRLF as one, as their texts show"]),
        ("💩\r\nb\r\nAnn", 5, 8, "Ann", ["some offsets count UTF-16 units, with CRLF as one, as their texts show"]),
        ("Ann\nLee", 0, 7, "Ann\\nLee", []),
    ],
)
def test_offsets_are_read_in_the_unit_that_fits_the_texts(
    tmp_path: Path, text: str, start: int, end: int, covered: str, note: list[str]
) -> None:
    notes: list[str] = []
    (found,), reports = of(tmp_path, task(result(start, end, "X", covered), text=text), note=notes.append)
    assert (found.covered(found.spans[0]), notes, reports) == (covered.replace("\\n", "\n"), note, [])


def test_offsets_that_fit_no_unit_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.json:2: found 'Bob' as the text of the span from 0 to 3, which covers 'Ann'"
    ):
        of(tmp_path, task(result(0, 3, "PER", "Bob")))
    with pytest.raises(DataError, match=r"a\.json:2: found an offset of 18 characters, expected 0 to 17"):
        of(tmp_path, task(result(0, 18, "PER", TEXT)))


def test_of_several_annotations_one_is_read(tmp_path: Path) -> None:
    def with_all(*annotations: dict[str, Any]) -> dict[str, Any]:
        return {"data": {"text": TEXT}, "annotations": list(annotations)}

    wrong, right = {"result": [ANN]}, {"result": [ANN, BONN]}
    several = "a task has several annotations, of which one is read"
    cancelled = "annotations that were cancelled are left out"
    for several_ones, said in (
        ([right, wrong], [several]),
        ([wrong, right | {"ground_truth": True}], [several]),
        ([wrong | {"was_cancelled": True}, right], [cancelled]),
    ):
        (found,), reports = of(tmp_path, with_all(*several_ones))
        assert (found.spans, reports) == (SPANS, said)
    (found,), reports = of(tmp_path, {"data": {"text": TEXT}, "completions": [right]})
    assert (found.spans, reports) == (SPANS, [])


def test_a_prediction_is_read_where_there_is_no_annotation(tmp_path: Path) -> None:
    prediction = {
        "model_version": "m",
        "result": [result(0, 3, "PER", "Ann", score=0.5), result(13, 17, "LOC", score=7)],
    }
    (found,), reports = of(tmp_path, task(predictions=[prediction]) | {"annotations": []})
    assert found.spans == (DocumentSpan("PER", 0, 3, 0.5), SPANS[1])
    assert reports == [
        "a task has no annotation, and its prediction is read instead",
        "scores that are not probabilities (0 to 1) are not kept",
    ]
    notes: list[str] = []
    assert of(tmp_path, {"data": {"text": "a"}}, {"data": {"text": "b"}}, note=notes.append)[0][0].spans == ()
    assert notes == ["tasks without annotations are read as texts without spans"]


def test_what_is_no_span_of_text_is_reported(tmp_path: Path) -> None:
    results = [
        ANN,
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        {"type": "choices", "value": {"choices": ["good"]}, "from_name": "c", "to_name": "t"},
        {"type": "labels", "value": {"start": "/div[1]/text()[1]", "end": "/div[1]/text()[1]", "labels": ["X"]}},
        result(4, 4, "X"),
        result(4, 9, "X", meta={"text": ["sure?"]}),
        {"value": {"start": 4, "end": 9, "labels": []}, "type": "labels"},
    ]
    (found,), reports = of(tmp_path, task(*results))
    assert found.spans == (SPANS[0], DocumentSpan("X", 4, 9))
    assert reports == [
        "relations between regions are not kept",
        "results of the type 'choices' that are not spans of text are not kept",
        "results of the type 'labels' that are not spans of text are not kept",
        "regions hold meta, which is not kept",
        "empty regions are left out",
        "regions without a label are left out",
    ]


def test_a_region_with_several_labels_is_several_spans(tmp_path: Path) -> None:
    both = {"value": {"start": 0, "end": 3, "labels": ["PER", "ORG"]}, "type": "labels"}
    assert of(tmp_path, task(both))[0][0].spans == (DocumentSpan("PER", 0, 3), DocumentSpan("ORG", 0, 3))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, "found a number as a task, expected an object"),
        ({"data": {"text": None}}, "found null as text, expected a text"),
        ({"data": {}}, "found no fields in data, expected 'text'"),
        ({"data": {"text": "a"}, "annotations": {}}, "found an object as annotations, expected a list"),
        ({"data": {"text": "a"}, "annotations": [3]}, "found a number as an annotation, expected an object"),
        ({"data": {"text": "a"}, "annotations": [{"result": [3]}]}, "found a number as a result, expected an object"),
        (
            {"data": {"text": "a"}, "annotations": [{"result": [{"value": 3}]}]},
            "found a number as the value of a result",
        ),
        (task(result(True, 3, "X")), "found true or false as the start of a region, expected a whole number"),  # type: ignore[arg-type]
        (task(result(0, 1.5, "X")), "found 1.5 as the end of a region, expected a whole number"),  # type: ignore[arg-type]
        (task(result(0, 1, 3)), "found a number as the type of a span of labels"),  # type: ignore[arg-type]
        (task(result(3, 1, "X")), "found a span from 3 to 1, expected start ≤ end"),
        (task(id=[]), "found a list as id, expected a whole number"),
    ],
)
def test_wrong_tasks_are_errors_with_their_line(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(DataError) as error:
        of(tmp_path, value)
    assert f"a.json:2: {message}" in error.value.message


@settings(deadline=None)
@given(
    st.lists(documents(tokens=False, ids=st.none() | st.text(), probabilities=True), max_size=3),
    st.sampled_from(["characters", "utf-16"]),
)
def test_documents_come_back(made: list[Document], offsets: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        assert write(FORMAT, made, path, offsets=offsets) == []
        found, reports = read(FORMAT, path, offsets=offsets)
        assert set(reports) <= {"a task has no annotation, and its prediction is read instead"}
        assert [(one.text, one.spans, one.id) for one in found] == [(one.text, one.spans, one.id) for one in made]
        write(FORMAT, found, Path(folder) / "b.json", offsets=offsets)
        assert (Path(folder) / "b.json").read_bytes() == path.read_bytes()


KEYS = [
    "data", "text", "annotations", "result", "value", "start", "end", "labels", "type", "predictions", "id",
    "label", "was_cancelled", "score",
]  # fmt: skip
VALUES = [None, True, False, *range(-2, 10), 10**30, 0.5, "", "a", "Ann left", "labels", "relation"]


def test_any_json_is_read_or_refused() -> None:
    rng = random.Random(1)
    for _ in range(800):
        tasks = random_records(rng, KEYS, VALUES)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found, _ = of(Path(folder), *tasks)
            except DataError as error:
                assert "a.json" in error.message
                continue
            write(FORMAT, found, Path(folder) / "b.json")
            assert len(json.loads((Path(folder) / "b.json").read_text())) == len(found)


def test_files_are_recognized_by_their_fields() -> None:
    lines = json.dumps([task(ANN)], indent=1).splitlines()
    assert FORMAT.recognize(lines)
    assert FORMAT.recognize(['[{"text": "a", "annotation_id": 3, "label": []}]'])
    assert not jsonl.FORMAT.recognize(lines)
    for other in (
        '{"text": "a", "label": []}',
        '["a", {"entities": []}]',
        '{"tokens": ["a"]}',
        "[",
        '{"annotations": [null]}',
    ):
        assert jsonl.FORMAT.recognize([other])
        assert not FORMAT.recognize([other])
    for other in ("a", "", "[1", '"a"', "{1"):
        assert not jsonl.FORMAT.recognize([other])
        assert not FORMAT.recognize([other])
    assert not jsonl.FORMAT.recognize([])
