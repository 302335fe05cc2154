"""`tagger predict` with files of other formats than CoNLL."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import re
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from helpers import run_tagger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stub_model import span_probability, stub_manifest, stub_model

from tagger.corpus.layout import Layout
from tagger.formats import registry
from tagger.formats.document import Document, DocumentSpan, DocumentToken, WriteOptions
from tagger.text.tokenizer import is_installed

WORDS = [["EU", "rejects", "German", "call"], ["Peter", "Blackburn", "left"]]
TEXT = "EU  rejects German call\nPeter Blackburn left"
SPANS = [
    {"start": 0, "end": 2, "type": "ORG", "text": "EU"},
    {"start": 12, "end": 18, "type": "MISC", "text": "German"},
    {"start": 24, "end": 39, "type": "PER", "text": "Peter Blackburn"},
]


def document(*gold: DocumentSpan) -> Document:
    """Return a document with two blanks after its first token."""
    sentences, at = [], 0
    for words in WORDS:
        row = []
        for word in words:
            start = TEXT.index(word, at)
            at = start + len(word)
            row.append(DocumentToken(start, at))
        sentences.append(tuple(row))
    return Document(text=TEXT, sentences=tuple(sentences), spans=gold, id="7", fields={"source": "news"})


def predict(path: Path, *options: str, stdin: bytes = b"", **changes: Any) -> tuple[str, str]:
    with stub_model(stub_manifest(**changes)):
        result = run_tagger("predict", str(path), *options, stdin=stdin)
    assert result.exit_code == 0, result.errors
    return result.output.decode(), result.errors


def write(path: Path, format_name: str, *documents: Document) -> Path:
    blocks = registry.named(format_name).blocks
    assert blocks is not None
    path.write_bytes(b"".join(blocks(documents, WriteOptions())))
    return path


def test_jsonl_keeps_the_text_its_offsets_and_its_other_fields(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", "jsonl", document(DocumentSpan("LOC", 12, 18)), document())
    output, errors = predict(path)
    first, second = map(json.loads, output.splitlines())
    assert first == second
    assert (first["text"], first["id"], first["source"]) == (TEXT, "7", "news")
    assert [{k: v for k, v in span.items() if k != "probability"} for span in first["spans"]] == SPANS
    assert first["spans"][2]["probability"] == pytest.approx(span_probability(WORDS[1], 0, 2))
    assert "1 span of the input replaced by the model's" in errors
    assert f"reading {path} as jsonl because of its name and content" in errors


_TAGS = ["B-ORG", "O", "B-MISC", "O", "B-PER", "I-PER", "O"]


@pytest.mark.parametrize("name", ["jsonl", "conllu", "csv", "slashed"])
def test_every_format_gives_the_same_tags(tmp_path: Path, name: str) -> None:
    source = document(DocumentSpan("LOC", 12, 18))
    source = dataclasses.replace(source, fields={})
    path = write(tmp_path / "f.txt", name, source)
    options = ["--from", name]
    output, _ = predict(path, "--format", "conll", *options)
    rows = [line.split("\t") for line in output.splitlines() if line and not line.startswith("-DOCSTART-")]
    assert [row[0] for row in rows] == [word for words in WORDS for word in words]
    assert [row[-1] for row in rows] == _TAGS


def test_conllu_keeps_everything_and_gets_entities_in_misc(tmp_path: Path) -> None:
    lines = [
        "# text = EU-Peter", "1-2\tEUPeter\t_\t_\t_\t_\t_\t_\t_\t_", "1\tEU\teu\tPROPN\t_\t_\t0\troot\t_\t_",
        "2\tPeter\tp\tPROPN\t_\t_\t1\tdep\t_\tGloss=x", "2.1\tgone\t_\t_\t_\t_\t_\t_\t_\t_", "", "",
    ]  # fmt: skip
    path = tmp_path / "f.conllu"
    path.write_text("\n".join(lines))
    output, errors = predict(path)
    expected = list(lines)
    expected[2] = lines[2].removesuffix("_") + "name=B-ORG"
    expected[3] = lines[3] + "|name=B-PER"
    assert output.splitlines() == expected[:-1]
    assert "as conllu" in errors


def test_conllu_of_a_model_trained_on_conllu_is_a_stream(tmp_path: Path) -> None:
    line = "1\tEU\teu\tPROPN\t_\t_\t0\troot\t_\t_"
    path = tmp_path / "f.conllu"
    path.write_text(f"{line}\n\n")
    layout = Layout(columns={"token": 1, "tag": -1}, n_columns=10, index_column=0)
    assert predict(path, layout=layout)[0] == f"{line}\tB-ORG\n\n"


def test_standard_input_is_conll_unless_said_otherwise(tmp_path: Path) -> None:
    line = b'{"tokens": ["EU", "left"]}\n'
    output, _ = predict(Path("-"), "--from", "jsonl", stdin=line)
    assert json.loads(output)["spans"][0]["type"] == "ORG"
    assert predict(Path("-"), stdin=b"EU\n")[0] == "EU\tB-ORG\n"


def test_a_pipe_is_read_once_and_as_conll(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    thread = threading.Thread(target=lambda: path.write_bytes(b"EU\nleft\n"))
    thread.start()
    assert predict(path)[0] == "EU\tB-ORG\nleft\tO\n"
    thread.join()


def test_offsets_in_other_units(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps({"text": "\U0001f600 EU", "tokens": ["\U0001f600", "EU"]}) + "\n")
    spans = [
        json.loads(predict(path, "--offsets", unit)[0])["spans"][0]["start"]
        for unit in ("characters", "utf-16", "bytes")
    ]
    assert spans == [2, 3, 5]


def test_documents_before_an_error_are_written(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"tokens": ["EU"]}\n{"tokens": []}\n{"tokens": 3}\n')
    with stub_model():
        result = run_tagger("predict", str(path))
    assert result.exit_code == 1
    assert result.first_error.startswith(f"error: {path}:3: ")
    assert [json.loads(line)["text"] for line in result.output.splitlines()] == ["EU", ""]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scores"], "--scores: found --format jsonl, expected --format conll for a CoNLL file"),
        (["--scores", "--format", "conll"], "--scores: found an input that is not CoNLL"),
        (["--text", "--from", "jsonl"], "--text: found --from jsonl too, expected one of them"),
        (["--from", "jsnl"], "--from: found 'jsnl', expected one of"),
        (["--text", "--columns", "token=0"], "--columns: found raw text, which has no columns"),
        (["--text", "--language", ""], "--language: found an empty name"),
        (["--from", "conll", "--language", "en"], "--language: found CoNLL, expected text or another format"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: list[str], message: str) -> None:
    path = write(tmp_path / "f.jsonl", "jsonl", document())
    with stub_model():
        result = run_tagger("predict", str(path), *options)
    assert result.exit_code != 0
    assert message in " ".join(result.errors.split())
    assert result.output == b""


def test_a_model_with_feature_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", "jsonl", document())
    manifest = stub_manifest(Layout(columns={"token": 0, "pos": 1, "tag": -1}))
    with stub_model(manifest):
        result = run_tagger("predict", str(path))
    assert "--model: found a model that reads the feature columns pos" in result.first_error


def test_many_documents_stay_in_order(tmp_path: Path) -> None:
    words = [[f"w{i}", *["EU"] * (i % 3)] for i in range(9000)]
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps({"tokens": row}) + "\n" for row in words))
    output, _ = predict(path)
    found = [json.loads(line) for line in output.splitlines()]
    assert [row["text"] for row in found] == [" ".join(row) for row in words]
    assert [len(row["spans"]) for row in found] == [i % 3 for i in range(9000)]


def test_settings_for_other_formats_are_those_of_the_training(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("token,tag\nZürich,O\n".encode("cp1252"))
    with stub_model():
        assert "--encoding cp1252 reads Zürich" in run_tagger("predict", path).errors
    output, _ = predict(path, conversion={"encoding": "cp1252"})
    assert json.loads(output)["text"] == "Zürich"
    with stub_model(stub_manifest(conversion={"encoding": "ascii"})):
        assert run_tagger("predict", path, "--encoding", "cp1252").output.decode() == output


def test_a_model_of_conllu_warns_of_other_columns() -> None:
    layout = Layout(columns={"token": 1, "tag": -1}, n_columns=10, index_column=0)
    output, errors = predict(Path("-"), stdin=b"EU\tB-ORG\nleft\tO\n", layout=layout)
    assert output == "EU\tB-ORG\tO\nleft\tO\tO\n"
    assert "warning: <standard input>:1: found 'EU' in column 0, expected the number of the token" in errors
    assert "warning" not in predict(Path("-"), stdin=b"1\tEU\n2\tleft\n", layout=layout)[1]


# --- Raw text --------------------------------------------------------------------------------------------------------

needs_tokenizer = pytest.mark.skipif(not is_installed(), reason="the extra text is not installed")
NOTES = "EU  rejects\tGerman [call].\r\n\r\n\n  Peter Blackburn, of the EU,\nleft.  \n\n日本"


def unmarked(text: str) -> str:
    """Return marked text without its marks, read by hand: an unescaped [ opens, and ` TYPE]` closes."""
    plain = re.sub(r"(?<!\\)((?:\\\\)*) (?:ORG|PER|LOC|MISC)\]", r"\1", text)
    plain = re.sub(r"(?<!\\)((?:\\\\)*)\[", r"\1", plain)
    return re.sub(r"\\(.)", r"\1", plain)


@needs_tokenizer
def test_text_is_written_back_around_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(NOTES.encode())
    output, errors = predict(path, "--text")
    assert output == NOTES.replace("EU", "[EU ORG]").replace("German", "[German MISC]").replace(
        "[call]", "\\[call\\]"
    ).replace("Peter Blackburn", "[Peter Blackburn PER]").replace("日本", "[日本 LOC]")
    assert unmarked(output) == NOTES
    assert "cut into sentences and tokens by spaCy en" in errors
    assert "--language names another" in errors


@needs_tokenizer
@given(
    text=st.lists(
        st.sampled_from(["EU", "Peter", "Blackburn", " ", "\t", "\n", "\r\n", ".", "[", "]", "\\", "\u3000", "é", "a"])
    ).map("".join)
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_written_back_around_the_marks(tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(text.encode())
    assert unmarked(predict(path, "--text")[0]) == text


@needs_tokenizer
def test_offsets_of_text_are_places_in_the_file(tmp_path: Path) -> None:
    output, _ = predict(Path("-"), "--text", "--format", "spans", stdin=NOTES.encode())
    rows = [line.split("\t") for line in output.splitlines()[1:]]
    assert [row[5] for row in rows] == ["EU", "German", "Peter Blackburn", "EU", "日本"]
    assert all(NOTES[int(row[1]) : int(row[2])] == row[5] for row in rows)
    output, _ = predict(Path("-"), "--text", "--format", "jsonl", stdin=NOTES.encode())
    assert "".join(json.loads(line)["text"] for line in output.splitlines()) == NOTES


@needs_tokenizer
def test_the_language_is_that_of_the_option_or_of_the_model() -> None:
    text = "日本は島国です。".encode()
    output, errors = predict(Path("-"), "--text", "--language", "ja", stdin=text)
    assert output == "[日本 LOC]は島国です。"
    assert "no language is named" not in errors
    assert predict(Path("-"), "--text", stdin=text, language="ja")[0] == output
    with stub_model():
        result = run_tagger("predict", "--text", "--language", "jaa", stdin=text)
    assert "--language: found 'jaa', expected one of" in result.first_error
    assert "did you mean ja?" in result.first_error


@needs_tokenizer
def test_documents_without_tokens_are_cut_into_tokens(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.write_text(json.dumps({"text": "The EU-Peter and EU.", "label": [[4, 6, "LOC"]]}) + "\n")
    output, errors = predict(path, "--language", "en")
    spans = [(span["start"], span["end"], span["type"]) for span in json.loads(output)["spans"]]
    assert spans == [(17, 19, "ORG")]
    assert "1 span of the input replaced by the model's" in errors


def test_a_document_without_an_entity_is_a_prediction_for_label_studio(tmp_path: Path) -> None:
    # An annotation would say that somebody has looked at it: Label Studio counts the task as done.
    found, _ = predict(
        write(tmp_path / "a.jsonl", "jsonl", Document(text="x", sentences=())), "--format", "label-studio"
    )
    assert [set(task) for task in json.loads(found)] == [{"data", "predictions"}]
    assert json.loads(found)[0]["predictions"] == [{"result": []}]


def test_without_the_extra_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str) -> ModuleType:
        if name == "sentencex":
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr("tagger.text.tokenizer.importlib.import_module", missing)
    with stub_model():
        result = run_tagger("predict", "--text", stdin=b"EU\n")
    assert result.exit_code == 1
    assert "pip install 'twobranch-tagger[text]'" in result.first_error
