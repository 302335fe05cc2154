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
from tagger.formats.convert import Settings, convert
from tagger.formats.document import Document, DocumentSpan, DocumentToken, WriteOptions
from tagger.formats.jsonl import FORMAT

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from(["meta", "date", "größe", "Comments", "cats", "😀"]), JSON_VALUES, max_size=3)
IDS = st.none() | st.text() | st.sampled_from(["1", "007"])


def of(tmp_path: Path, *records: Any, name: str = "a.jsonl", **options: Any) -> tuple[list[Document], list[str]]:
    path = tmp_path / name
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8", newline="")
    return read(FORMAT, path, **options)


def failure(tmp_path: Path, content: bytes, **options: Any) -> DataError:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(DataError) as error:
        read(FORMAT, tmp_path / "a.jsonl", **options)
    return error.value


PERSON = DocumentSpan("PER", 0, 3)
PLACE = DocumentSpan("LOC", 13, 17)
TEXT = "Ann moved to Bonn"
WORDS = TEXT.split()
TAGS = ["B-PER", "O", "O", "B-LOC"]
TRIPLES = [[0, 3, "PER"], [13, 17, "LOC"]]
EDGES = [(0, 3), (4, 9), (10, 12), (13, 17)]
TOKENS = tuple(DocumentToken(start, end) for start, end in EDGES)


@pytest.mark.parametrize(
    "record",
    [
        {"text": TEXT, "label": TRIPLES},
        {"text": TEXT, "labels": TRIPLES},
        {"text": TEXT, "label": [], "labels": TRIPLES},
        {"text": TEXT, "entities": TRIPLES},
        {"text": TEXT, "entities": [{"id": i, "label": t, "start_offset": s, "end_offset": e} for i, (s, e, t) in enumerate(TRIPLES)], "relations": []},
        {"text": TEXT, "spans": [{"start": s, "end": e, "label": t, "token_start": 0, "token_end": 0} for s, e, t in TRIPLES]},
        {"text": TEXT, "spans": [{"start": s, "end": e, "type": t, "text": TEXT[s:e]} for s, e, t in TRIPLES]},
        {"text": TEXT, "label": [{"start": s, "end": e, "labels": [t], "text": TEXT[s:e]} for s, e, t in TRIPLES]},
        [TEXT, {"entities": TRIPLES}],
        {"classes": ["PER", "LOC"], "annotations": [[TEXT, {"entities": TRIPLES}], None]},
    ],
)  # fmt: skip
def test_the_names_of_other_tools_are_read(tmp_path: Path, record: Any) -> None:
    found, reports = of(tmp_path, record)
    assert (without_places(found), reports) == ([Document(text=TEXT, spans=(PERSON, PLACE))], [])


@pytest.mark.parametrize(
    "text", ['["a", {"entities": []}]', '[["a", {"entities": []}]]', '[{"text": "a"}]', '{"text": "a"}']
)
@pytest.mark.parametrize("around", ["{}", "\ufeff{}", "\n\r\n {}", "{}\r\n", "{}\n{}"])
def test_values_may_stand_on_lines_in_arrays_or_spread_over_lines(tmp_path: Path, text: str, around: str) -> None:
    for layout in (text, json.dumps(json.loads(text), indent=1), text.replace(" ", "\r\n")):
        (tmp_path / "a.json").write_text(around.format(layout, layout), "utf-8", newline="")
        found, _ = read(FORMAT, tmp_path / "a.json")
        assert [document.text for document in found] == ["a"] * around.count("{}")


def test_the_line_of_a_document_is_where_it_begins(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[\n{"text":\n "a"},\n\n{"text": "b"},{"text": "c"}]\n{"text": "d"}')
    found, _ = read(FORMAT, tmp_path / "a.json")
    assert [document.place.line for document in found] == [2, 5, 5, 6]


def test_prodigy_tokens_are_read_with_their_offsets(tmp_path: Path) -> None:
    tokens = [{"text": TEXT[s:e], "start": s, "end": e, "id": i, "ws": True} for i, (s, e) in enumerate(EDGES)]
    found, reports = of(tmp_path, {"text": TEXT, "tokens": tokens, "spans": [], "answer": "accept", "_task_hash": 7})
    assert without_places(found) == [
        Document(text=TEXT, sentences=(TOKENS,), fields={"answer": "accept", "_task_hash": 7})
    ]
    assert not reports


def test_a_document_that_the_annotator_refused_is_reported(tmp_path: Path) -> None:
    found, reports = of(tmp_path, {"text": "a", "answer": "reject"}, {"text": "b", "answer": "ignore"}, {"text": "c"})
    assert [document.text for document in found] == ["c"]
    assert reports == [f"the annotator's answer is {a}, so the document is left out" for a in ("reject", "ignore")]


@pytest.mark.parametrize("key", ["ner_tags", "tags", "labels", "bio_tags"])
def test_tags_of_hugging_face_become_spans(tmp_path: Path, key: str) -> None:
    found, reports = of(tmp_path, {"id": 5, "tokens": WORDS, key: TAGS})
    document = Document(text=TEXT, spans=(PERSON, PLACE), sentences=(TOKENS,), id="5", fields={"id": 5})
    assert (without_places(found), reports) == ([document], [])


def test_numbers_of_tags_need_names(tmp_path: Path) -> None:
    record = {"tokens": WORDS, "ner_tags": [1, 0, 0, 3]}
    found, _ = of(tmp_path, record, names=("O", "B-PER", "I-PER", "B-LOC"))
    assert found[0].spans == (PERSON, PLACE)
    with pytest.raises(DataError, match=r"a\.jsonl:1: found numbers in ner_tags, as Hugging Face"):
        of(tmp_path, record)
    with pytest.raises(DataError, match="found the tag 3 in ner_tags, expected 0 to 1"):
        of(tmp_path, record, names=("O", "B-PER"))


def test_tags_in_other_schemes_are_read(tmp_path: Path) -> None:
    found, _ = of(tmp_path, {"tokens": WORDS, "ner_tags": ["U-PER", "B-X", "L-X", "U-LOC"]})
    assert found[0].spans == (PERSON, DocumentSpan("X", 4, 12), PLACE)


def test_tags_without_prefixes_are_plain_tags(tmp_path: Path) -> None:
    found, _ = of(tmp_path, {"tokens": WORDS, "pos_tags": ["NNP", "VBD", "TO", "NNP"]})
    assert ([token.tag for token in found[0].tokens], found[0].spans) == (["NNP", "VBD", "TO", "NNP"], ())


def test_of_several_lists_of_tags_the_entities_are_read_and_the_rest_is_kept(tmp_path: Path) -> None:
    record = {"tokens": WORDS, "pos_tags": ["A", "B", "C", "D"], "chunk_tags": ["O"] * 4}
    found, _ = of(tmp_path, record | {"ner_tags": TAGS})
    assert (found[0].spans, found[0].fields) == (
        (PERSON, PLACE),
        {key: record[key] for key in ("pos_tags", "chunk_tags")},
    )
    with pytest.raises(
        DataError, match=r"found pos_tags and chunk_tags, expected one list of tags; name it with data\.columns\.tag"
    ):
        of(tmp_path, record)
    found, _ = of(tmp_path, record, columns={"tag": "pos_tags"})
    assert [token.tag for token in found[0].tokens] == ["A", "B", "C", "D"]


def test_tokens_are_found_in_the_text_beside_them(tmp_path: Path) -> None:
    found, reports = of(tmp_path, {"text": "Ann  moved\nto Bonn", "tokens": WORDS, "ner_tags": TAGS})
    assert (found[0].text, found[0].spans[1], reports) == ("Ann  moved\nto Bonn", DocumentSpan("LOC", 14, 18), [])
    found, reports = of(tmp_path, {"text": "other", "tokens": WORDS, "ner_tags": TAGS})
    assert (found[0].text, reports) == (TEXT, ["the text and the tokens do not fit, and the text is not kept"])
    found, reports = of(tmp_path, {"text": "other", "tokens": WORDS, "spans": [[0, 5, "X"]]})
    assert (found[0].sentences, found[0].spans) == (None, (DocumentSpan("X", 0, 5),))
    assert reports == ["the tokens and the text do not fit, and the tokens is not kept"]


def test_spans_of_tokens_without_a_text_count_tokens(tmp_path: Path) -> None:
    record = {"tokens": ["Ann", "", *WORDS[1:]], "entities": [{"type": "PER", "start": 0, "end": 1}, {"type": "LOC", "start": 4, "end": 5}, {"type": "X", "start": 1, "end": 2}]}  # fmt: skip
    found, reports = of(tmp_path, record)
    assert (found[0].spans, found[0].sentences) == ((PERSON, PLACE), (TOKENS,))
    assert reports == ["empty spans are left out", "empty tokens are left out"]


@pytest.mark.parametrize(("unit", "start", "end"), [("characters", 2, 5), ("utf-16", 3, 6), ("bytes", 5, 8)])
def test_offsets_may_count_other_units(tmp_path: Path, unit: Any, start: int, end: int) -> None:
    found, _ = of(tmp_path, {"text": "😀 Ann", "label": [[start, end, "PER"]]}, offsets=unit)
    assert found[0].covered(found[0].spans[0]) == "Ann"
    write(FORMAT, found, tmp_path / "b", offsets=unit)
    assert f'"start": {start}, "end": {end}' in (tmp_path / "b").read_text()


def test_what_is_not_kept_is_reported(tmp_path: Path) -> None:
    found, reports = of(
        tmp_path,
        {"text": "Ann", "spans": [{"start": 0, "end": 3, "label": "PER", "kb_id": "Q1", "note": None}], "relations": [{"head": 1}]},
        {"text": "Ann", "label": [[0, 3, "PER", "sure"], [1, 1, "X"]]},
    )  # fmt: skip
    assert [document.spans for document in found] == [(PERSON,), (PERSON,)]
    assert reports == [
        "relations between spans are not kept",
        "the spans of spans hold kb_id, which is not kept",
        "label holds 'sure' after a span's type, which is not kept",
        "found an empty X span at 1, expected at least one character; it is left out",
    ]


def test_tags_that_differ_from_the_spans_are_reported(tmp_path: Path) -> None:
    sentence = {"tokens": ["Ann"], "offsets": [[0, 3]], "tags": ["B-LOC"]}
    record = {"text": "Ann", "scheme": "IOB2", "sentences": [sentence]}
    found, reports = of(tmp_path, record | {"spans": [{"start": 0, "end": 3, "type": "PER"}]})
    assert (found[0].spans, reports) == ((PERSON,), ["the tags differ from the spans, and are not kept"])
    found, reports = of(tmp_path, record)
    assert (found[0].spans, reports) == ((DocumentSpan("LOC", 0, 3),), [])


def test_the_own_form_is_as_documented(tmp_path: Path) -> None:
    document = Document(
        text="Ann left. Bob",
        id="7",
        spans=(DocumentSpan("PER", 0, 3, 0.98), DocumentSpan("PER", 10, 13)),
        sentences=((DocumentToken(0, 3), DocumentToken(4, 8), DocumentToken(8, 9)), (DocumentToken(10, 13),)),
    )
    write(FORMAT, [document], tmp_path / "a.jsonl")
    assert json.loads((tmp_path / "a.jsonl").read_text()) == {
        "id": "7", "text": "Ann left. Bob", "scheme": "IOB2",
        "sentences": [{"tokens": ["Ann", "left", "."], "offsets": [[0, 3], [4, 8], [8, 9]], "tags": ["B-PER", "O", "O"]},
                      {"tokens": ["Bob"], "offsets": [[10, 13]], "tags": ["B-PER"]}],
        "spans": [{"start": 0, "end": 3, "type": "PER", "text": "Ann", "probability": 0.98},
                  {"start": 10, "end": 13, "type": "PER", "text": "Bob"}]
    }  # fmt: skip


def round_trip(written: list[Document], **options: Any) -> tuple[list[Document], list[str]]:
    """Write documents and read them again; reading must not report anything."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        lost = write(FORMAT, written, path, **options)
        found, reports = read(
            FORMAT, path, **{key: value for key, value in options.items() if key == "offsets" or value == "none"}
        )
        assert not reports
        return without_places(found), lost


@given(
    st.lists(documents(probabilities=True, fields=FIELDS, ids=IDS) | documents(plain=True, fields=FIELDS), max_size=4),
    st.sampled_from(["characters", "utf-16", "bytes"]),
    st.sampled_from(["IOB2", "BILOU", "IO", "none"]),
)
def test_the_own_form_holds_everything(written: list[Document], offsets: Any, scheme: str) -> None:
    assert round_trip(written, offsets=offsets, scheme=scheme) == (written, [])


@given(st.lists(documents(tokens=False, fields=FIELDS, ids=IDS), max_size=4))
def test_doccano_holds_texts_and_spans(written: list[Document]) -> None:
    assert round_trip(written, fields="doccano") == (written, [])


@given(st.lists(documents(most=1, fields=FIELDS, ids=IDS), max_size=4))
def test_prodigy_holds_texts_tokens_and_spans(written: list[Document]) -> None:
    assert round_trip(written, fields="prodigy") == (written, [])


@given(st.lists(documents(flat=True, tokens=True, most=1, spaced=True, fields=FIELDS, ids=IDS), max_size=4))
def test_hugging_face_holds_sentences_of_tokens(written: list[Document]) -> None:
    assert round_trip(written, fields="hf") == (written, [])


@pytest.mark.parametrize(("text", "n_sentences"), [(" ", 0), ("a b", 2)])
def test_boundaries_of_documents_that_hugging_face_cannot_hold_are_reported(text: str, n_sentences: int) -> None:
    sentences = tuple((DocumentToken(2 * i, 2 * i + 1),) for i in range(n_sentences))
    found, lost = round_trip([Document(text=text, sentences=sentences)], fields="hf")
    assert [one.text for one in found] == text.split()
    assert lost == ["documents of several sentences, or of none, do not keep their boundaries"]


@given(documents(probabilities=True) | documents(plain=True), st.sampled_from(["doccano", "prodigy", "hf"]))
def test_what_a_form_cannot_hold_is_reported(document: Document, form: str) -> None:
    if form == "hf" and document.sentences is None:
        with pytest.raises(DataError, match="found a text without tokens"):
            round_trip([document], fields=form)
        return
    is_plain = form == "hf" and any(token.tag for token in document.tokens)
    found, lost = round_trip([document], fields=form, **({"scheme": "none"} if is_plain else {}))
    if form != "hf":
        kept = found[0]
        assert kept.text == document.text
        assert [(span.type, span.start, span.end) for span in kept.spans] == [
            (span.type, span.start, span.end) for span in document.spans
        ]
    else:
        assert [one.covered(token) for one in found for token in one.tokens] == [
            document.covered(token) for token in document.tokens
        ]
        n_unfit = sum("does not fit the tokens" in text for text in lost)
        assert sum(len(one.spans) for one in found) == len(document.spans) - n_unfit
    said = " ".join(lost)
    assert ("probabilities" in said) == any(span.probability is not None for span in document.spans)
    if form == "doccano":
        assert ("hold tokens" in said) == (document.sentences is not None)
    if form == "prodigy":
        assert ("sentences" in said) == (len(document.sentences or ()) > 1)
        assert ("plain tags" in said) == any(token.tag for token in document.tokens)


HOSTILE: list[tuple[bytes, str]] = [
    (b'{"text": "a"', "a.jsonl:1: is not valid JSON: expecting ',' delimiter at the end of the line"),
    (b'{"text": "a"}\n{"text" "b"}\n', "a.jsonl:2: is not valid JSON: expecting ':' delimiter before"),
    (b'{"text": "a"}\n{"text": "b"\n{"text": "c"}', "a.jsonl:3: is not valid JSON: expecting ',' delimiter before '{\"text\": \"c\"}' in the value that begins on line 2"),
    (b'{"text": "a\nb"}', "a.jsonl:1: is not valid JSON: invalid control character at the end of the line"),
    (b"not json", "a.jsonl:1: is not valid JSON: expecting value before 'not json'"),
    (b"[" * 100_000, "a.jsonl:1: found values nested too deeply"),
    (b'{"text": ' * 100_000, "a.jsonl:1: found values nested too deeply"),
    (b'[{"text": "a"}', "a.jsonl:1: found no end of the array that begins on line 1"),
    (b'[{"text": "a"},]', "a.jsonl:1: found a comma before the end of the array"),
    (b'[{"text": "a"}{}]', "a.jsonl:1: found '{' after a value, expected a comma"),
    (b'{"text": "a", "x": NaN}', "a.jsonl:1: found NaN, expected a number"),
    (b'{"text": "a", "x": -Infinity}', "a.jsonl:1: found -Infinity, expected a number"),
    (b'{"text": "a", "x": 1e999}', "a.jsonl:1: found 1e999, expected a number"),
    (b'{"text": "a", "label": [[0, ' + b"1" * 5000 + b', "X"]]}', "a.jsonl:1: found a whole number of thousands of digits"),
    (b'{"text": "a", "label": [[0, ' + b"1" * 4000 + b', "X"]]}', "a.jsonl:1: found an offset of 1111"),
    (b'{"text": "a", "text": "b"}', "a.jsonl:1: found the key 'text' twice in one object"),
    (b'{"text": "a", "meta": {"x": 1, "x": 2}}', "a.jsonl:1: found the key 'x' twice"),
    (b'{"text": "\\ud83d"}', "a.jsonl:1: found half of a surrogate pair (\\ud83d)"),
    (b'{"text": "a", "x": {"\\udE00": 1}}', "a.jsonl:1: found half of a surrogate pair (\\ude00)"),
    (b'{"text": "\xff"}', "a.jsonl:1: byte 0xFF is not valid utf-8"),
    (b'{"text": "a"}\n\n{"text": "\xe4"}', "a.jsonl:3: byte 0xE4 is not valid utf-8"),
    (b"3", "a.jsonl:1: found a number, expected an object"),
    (b'["a"]', "a.jsonl:1: found a list, expected an object"),
    (b'["a", "b"]', "a.jsonl:1: found a text as what follows a text, expected an object"),
    (b"{}", "a.jsonl:1: found no fields, expected 'text' or 'tokens'"),
    (b'{"id": 0, "paragraphs": []}', "expected 'text' or 'tokens'; it is spaCy 2's training data"),
    (b'{"text": 3}', "a.jsonl:1: found a number as text, expected a text in quotes"),
    (b'{"text": "a", "id": true}', "found true or false as id, expected a whole number"),
    (b'{"text": "a", "label": [[false, true, "X"]]}', "found true or false as the start of a span of label"),
    (b'{"text": "a", "label": [[0, 1.0, "X"]]}', "found 1.0 as the end of a span of label, expected a whole number"),
    (b'{"text": "a", "label": [[0, "1", "X"]]}', "found a text as the end of a span of label"),
    (b'{"text": "a", "label": [[0, 1]]}', "found [0, 1] in label, expected a start, an end and a type"),
    (b'{"text": "a", "label": [[0, 1, null]]}', "found null as the type of a span of label"),
    (b'{"text": "a", "label": [[0, 1, ""]]}', "found an empty type"),
    (b'{"text": "a", "label": [[0, 2, "X"]]}', "found an offset of 2 characters, expected 0 to 1, the length of the text; if the file counts in another unit"),
    (b'{"text": "a", "label": [[-1, 1, "X"]]}', "found an offset of -1 characters, expected 0 to 1"),
    (b'{"text": "ab", "label": [[2, 1, "X"]]}', "found a span of label from 2 to 1, expected start < end"),
    (b'{"text": "ab", "spans": [{"start": 0, "label": "X"}]}', "found a span without end in spans"),
    (b'{"text": "ab", "spans": [{"start": 0, "end": 1, "type": "X", "text": "b"}]}', "found 'b' as the text of the X span from 0 to 1, which covers 'a'"),
    (b'{"text": "ab", "spans": [{"start": 0, "end": 1, "type": "X", "probability": 2}]}', "found 2 as a probability in spans, expected 0 to 1"),
    (b'{"text": "ab", "spans": [[0, 1, "X"]], "label": [[0, 1, "X"]]}', "found spans in spans and label, expected one field of spans"),
    (b'{"text": "ab", "sentences": [{"tokens": ["a"], "offsets": [[0, 2]]}]}', "found the token 'a' from 0 to 2, where the text has 'ab'"),
    (b'{"text": "ab", "sentences": [{"tokens": ["a"], "offsets": [[0]]}]}', "found [0] as the offsets of a token"),
    (b'{"text": "ab", "sentences": [{"tokens": ["a"], "offsets": []}]}', "found 1 tokens, 0 offsets and 1 tags in a sentence"),
    (b'{"text": "ab", "sentences": [{"tokens": ["a"], "offsets": [[false, true]]}]}', "found true or false as the start of a token"),
    (b'{"text": "ab", "sentences": [{"tokens": ["a"], "offsets": [[0, 1]], "tags": [3]}]}', "found a tag that is not a text"),
    (b'{"text": "ab", "sentences": [{"tokens": ["b", "a"], "offsets": [[1, 2], [0, 1]]}]}', "expected tokens in the order of the text"),
    (b'{"text": "ab", "tokens": [{"text": "a", "start": 0}]}', "found null as the end of a token"),
    (b'{"text": "ab", "tokens": [{"text": "a", "start": 0, "end": 1}, "b"]}', "found a text as a token, expected an object"),
    (b'{"tokens": ["a", null]}', "found null as a token, expected a text in quotes"),
    (b'{"tokens": ["a"], "ner_tags": ["O", "O"]}', "found 2 ner_tags for 1 tokens"),
    (b'{"tokens": ["a"], "ner_tags": [null]}', "found null in ner_tags, expected names of tags"),
    (b'{"tokens": ["a", "b"], "ner_tags": [1, "O"]}', "found 'O' in ner_tags, expected names of tags, or whole numbers"),
    (b'{"tokens": ["a"], "ner_tags": [true]}', "found true or false in ner_tags"),
    (b'{"tokens": ["a"], "ner_tags": ["O"]}\n{"tokens": ["a"], "tags": ["O"]}', "a.jsonl:2: found the tags in 'tags', and in 'ner_tags' before"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_is_one_error_that_names_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    assert message in failure(tmp_path, content).message


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"[]", b"[ ]\n", b" \r\n"])
def test_an_empty_file_has_no_documents(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    assert read(FORMAT, tmp_path / "a.jsonl") == ([], [])


def test_an_unknown_encoding_is_an_error(tmp_path: Path) -> None:
    assert "'klingon' is unknown" in failure(tmp_path, b"{}", encoding="klingon").message


def test_other_encodings_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"text": "Zürich"}'.encode("latin-1"))
    assert read(FORMAT, tmp_path / "a.jsonl", encoding="latin-1")[0][0].text == "Zürich"


def test_whole_surrogate_pairs_are_characters(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "\\ud83d\\ude00 a \\\\ud83d", "label": [[2, 3, "X"]]}')
    found, _ = read(FORMAT, tmp_path / "a.jsonl")
    assert found[0].text == "😀 a \\ud83d"


@pytest.mark.parametrize("size", [1 << 17, 1 << 18, (1 << 18) - 13, 1 << 20])
def test_values_longer_than_a_block_are_read(tmp_path: Path, size: int) -> None:
    texts = ["é" * size, "b", "\\" * size, "c"]
    found, _ = of(tmp_path, *({"text": text} for text in texts))
    assert [document.text for document in found] == texts
    assert [document.place.line for document in found] == [1, 2, 3, 4]


def test_unknown_fields_to_write_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="fields: found 'spacy', expected doccano, prodigy and hf"):
        write(FORMAT, [], tmp_path / "a.jsonl", fields="spacy")


def test_fields_with_names_that_are_needed_are_reported(tmp_path: Path) -> None:
    reports = write(FORMAT, [Document(text="a", fields={"spans": 1, "x": 2})], tmp_path / "a.jsonl")
    assert reports == ["the fields spans have names that this format needs, and are left out"]


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "\ud800", b"x"])
def test_what_json_cannot_hold_is_an_error(tmp_path: Path, value: Any) -> None:
    with pytest.raises(DataError):
        write(FORMAT, [Document(text="a", fields={"x": value})], tmp_path / "a.jsonl")


KEYS = [
    "text", "tokens", "label", "labels", "entities", "spans", "sentences", "ner_tags", "tags", "scheme", "id",
    "answer", "offsets", "start", "end", "type", "annotations", "relations", "x",
]  # fmt: skip
VALUES = [
    None, True, False, *range(-2, 10), 10**30, 0.5, "", "a", "Ann left", "B-PER", "O", "IOB2", ["Ann", "left"],
    ["B-PER", "O"], ["a"], [0, 1],
]  # fmt: skip


def test_any_json_is_read_or_refused() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        records = random_records(rng, KEYS, VALUES)
        with tempfile.TemporaryDirectory() as folder:
            try:
                of(Path(folder), *records)
            except DataError as error:
                assert "a.jsonl" in error.message


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([*'{}[],:"\\', '"text"', '"a"', "1", "\n", "\r", "\ufeff", "\\u", "d83d", "null", "é"]),
        max_size=30,
    ).map("".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text(text, "utf-8", newline="")
        try:
            read(FORMAT, path)
        except DataError as error:
            assert "a.jsonl" in error.message


def test_spans_must_fit_where_they_become_tags(tmp_path: Path) -> None:
    token = {"text": "Bonn-based", "start": 0, "end": 10}
    record = {"text": "Bonn-based", "tokens": [token], "spans": [{"start": 0, "end": 4, "label": "LOC"}]}
    of(tmp_path, record)
    source, target = str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")
    convert(source, target, Settings(write=WriteOptions(fields="prodigy")))
    with pytest.raises(DataError, match="found 1 span that jsonl cannot hold"):
        convert(source, target, Settings(write=WriteOptions(fields="hf"), force=True))
    convert(source, target, Settings(write=WriteOptions(fields="hf"), force=True, align="split"))
    assert (tmp_path / "b.jsonl").read_text() == '{"tokens": ["Bonn", "-based"], "ner_tags": ["B-LOC", "O"]}\n'
