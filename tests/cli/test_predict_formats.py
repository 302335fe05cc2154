"""`tagger predict --format` and `--min-probability`."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import run_tagger
from served_model import write_model
from stub_model import (
    long_sentence,
    neighbourhood_predictor,
    span_probability,
    stub_manifest,
    stub_model,
    stub_models,
    stub_predictor,
)

from tagger.api import Tagger
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.formats.document import ReadOptions
from tagger.formats.jsonl import FORMAT as JSONL
from tagger.prediction import stream

FAMILY = "👩\u200d👩\u200d👧"
SENTENCES = "EU\nrejects\n\nPeter\nBlackburn\n[x]\n\n"
DOCUMENTS = (
    "-DOCSTART- -X- O\n\nPeter x\nBlackburn x\n<script>alert(1)</script> x\n\n"
    "👩\u200d👩\u200d👧 x\nשלום x\n\u202eevil x\n\n-DOCSTART-\n\n-DOCSTART-\n\nZürich x\n# x\n"
)


def predict(text: str, *options: str) -> tuple[str, str]:
    with stub_model():
        result = run_tagger("predict", *options, stdin=text.encode())
    assert result.exit_code == 0, result.errors
    return result.output.decode(), result.errors


def test_conll_is_the_default() -> None:
    assert predict(DOCUMENTS, "--format", "conll") == predict(DOCUMENTS)


def test_spans() -> None:
    output, errors = predict(DOCUMENTS, "--format", "spans")
    assert output.splitlines() == [
        "document\tstart\tend\ttype\tprobability\ttext",
        f"1\t0\t15\tPER\t{span_probability(['Peter', 'Blackburn', '<'], 0, 2):.4f}\tPeter Blackburn",
        f"1\t42\t47\tPER\t{span_probability([FAMILY, 'שלום', 'evil'], 0, 1):.4f}\t{FAMILY}",
        f"1\t48\t52\tMISC\t{span_probability([FAMILY, 'שלום', 'evil'], 1, 2):.4f}\tשלום",
        f"3\t0\t6\tLOC\t{span_probability(['Zürich', '#'], 0, 1):.4f}\tZürich",
        f"3\t7\t8\tMISC\t{span_probability(['Zürich', '#'], 1, 2):.4f}\t#",
    ]
    assert errors == ""


def test_jsonl_has_the_spans_of_the_api(tmp_path: Path) -> None:
    output, _ = predict(SENTENCES, "--format", "jsonl")
    first, second = map(json.loads, output.splitlines())
    assert first["text"] == "EU rejects"
    assert first["sentences"] == [{"tokens": ["EU", "rejects"], "offsets": [[0, 2], [3, 10]], "tags": ["B-ORG", "O"]}]
    assert second["text"] == "Peter Blackburn [x]"
    (span,) = second["spans"]
    assert (span["start"], span["end"], span["type"], span["text"]) == (0, 15, "PER", "Peter Blackburn")
    (prediction,) = Tagger(stub_predictor()).tag([["Peter", "Blackburn", "[x]"]])
    assert math.isclose(span["probability"], prediction.spans[0].score, rel_tol=1e-6)
    (tmp_path / "f.jsonl").write_text(output, "utf-8")
    assert [document.text for document in JSONL.read(tmp_path / "f.jsonl", ReadOptions())] == [
        first["text"], second["text"],
    ]  # fmt: skip


def test_a_document_for_each_docstart_line() -> None:
    output, _ = predict(DOCUMENTS, "--format", "jsonl")
    texts = [json.loads(line)["text"] for line in output.splitlines()]
    assert texts == [
        "Peter Blackburn <script>alert(1)</script>\n👩\u200d👩\u200d👧 שלום \u202eevil", "", "Zürich #",
    ]  # fmt: skip


def test_text() -> None:
    assert predict(SENTENCES, "--format", "text")[0] == "[EU ORG] rejects\n[Peter Blackburn PER] \\[x\\]\n"


def test_html() -> None:
    output, _ = predict(DOCUMENTS, "--format", "html")
    assert "<script" not in output
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in output
    assert re.findall(r'<b dir="auto">(\w+)</b>', output) == ["PER", "PER", "MISC", "LOC", "MISC"]
    assert output.endswith("</html>\n")


def test_min_probability() -> None:
    output, errors = predict(DOCUMENTS, "--format", "spans", "--min-probability", "0.85")
    assert [line.split("\t")[3] for line in output.splitlines()[1:]] == ["PER", "MISC", "LOC", "MISC"]
    assert errors == "1 span below --min-probability left out: PER 1\n"
    output, errors = predict(DOCUMENTS, "--format", "jsonl", "--min-probability", "PER=0.6, MISC=0.95")
    assert "B-MISC" not in output  # the tags say what the spans say
    assert [span["type"] for line in output.splitlines() for span in json.loads(line)["spans"]] == ["PER", "PER", "LOC"]
    assert errors == "2 spans below --min-probability left out: MISC 2\n"
    _, errors = predict(DOCUMENTS, "--format", "text", "--min-probability", "0.95,PER=0,LOC=0")
    assert errors == "2 spans below --min-probability left out: MISC 2\n"
    _, errors = predict(DOCUMENTS, "--format", "html", "--min-probability", "0")
    assert errors == "0 spans below --min-probability left out\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--min-probability", "0.5"], "--min-probability: found --format conll, whose tags are always the model's"),
        (["--format", "spans", "--scores"], "--scores: found --format spans, expected --format conll"),
        (["--format", "spans", "--min-probability", "1.5"], "found '1.5', expected a number from 0 to 1"),
        (["--format", "spans", "--min-probability", "nan"], "found 'nan', expected a number from 0 to 1"),
        (["--format", "spans", "--min-probability", "PER="], "found 'PER=', expected a number"),
        (["--format", "spans", "--min-probability", "=0.5"], "found '=0.5', expected a number"),
        (["--format", "spans", "--min-probability", "PER=0.5,PER=0.6"], "found 'PER=0.6', expected a number"),
        (
            ["--format", "spans", "--min-probability", "PERS=0.5"],
            "--min-probability: found the type 'PERS', expected one of the model's: LOC, MISC, ORG",
        ),
    ],
)
def test_wrong_options(options: list[str], message: str) -> None:
    with stub_model():
        result = run_tagger("predict", *options, stdin=b"EU\n")
    assert result.exit_code != 0
    assert result.output == b""
    assert message in " ".join(result.errors.split())


def test_plain_tags() -> None:
    manifest = stub_manifest(notation=Notation(scheme=NO_SCHEME), scheme=NO_SCHEME)
    with stub_model(manifest):
        result = run_tagger("predict", "--format", "jsonl", stdin=SENTENCES.encode())
        assert json.loads(result.output.splitlines()[0])["sentences"][0]["tags"] == ["B-ORG", "O"]
        result = run_tagger("predict", "--format", "html", stdin=SENTENCES.encode())
        assert "--format: found html, expected conll, conllu or jsonl: the model predicts plain tags" in result.errors
        result = run_tagger("predict", "--format", "jsonl", "--min-probability", "1", stdin=SENTENCES.encode())
        assert "--min-probability: found a model that predicts plain tags" in result.errors


def test_empty_tokens_are_left_out_and_counted() -> None:
    output, errors = predict("\tO\nEU\tO\n\tO\nPeter\tO\n\n\tO\n", "--format", "spans")
    assert output.splitlines()[1:] == [
        f"1\t0\t2\tORG\t{span_probability(['', 'EU', '', 'Peter'], 1, 2):.4f}\tEU",
        f"1\t3\t8\tPER\t{span_probability(['', 'EU', '', 'Peter'], 3, 4):.4f}\tPeter",
    ]
    assert "3 empty tokens left out; --format conll keeps the lines" in errors


@pytest.mark.parametrize("format_", ["jsonl", "spans", "html", "text"])
def test_nothing_to_tag(format_: str) -> None:
    output, _ = predict("\n\n", "--format", format_)
    if format_ == "html":
        assert output.endswith("</html>\n")
    else:
        assert output.splitlines()[1:] == []


def test_what_was_read_before_an_error_is_written() -> None:
    with stub_model():
        result = run_tagger("predict", "--format", "html", stdin=b"-DOCSTART-\n\nEU\n\n\xff\n")
    assert result.exit_code == 1
    assert "<span>EU</span>" in result.output.decode()
    assert result.output.endswith(b"</html>\n")
    assert ":5: " in result.errors


@pytest.mark.parametrize("docstart", [False, True])
def test_a_sentence_that_is_read_in_parts_is_one_sentence(monkeypatch: pytest.MonkeyPatch, docstart: bool) -> None:
    monkeypatch.setattr(stream, "CHUNK_LINES", 16)
    tokens = long_sentence(100)
    data = ("-DOCSTART-\n\n" if docstart else "") + "\n".join(tokens) + "\n\nw1\n"
    with stub_models(lambda _: neighbourhood_predictor(2, 64)):
        conll = run_tagger("predict", "--line-buffered", stdin=data.encode()).output.decode()
        output = run_tagger("predict", "--format", "jsonl", "--line-buffered", stdin=data.encode()).output.decode()
    records = list(map(json.loads, output.splitlines()))
    assert len(records) == (1 if docstart else 2)
    sentences = [sentence for record in records for sentence in record["sentences"]]
    assert [sentence["tokens"] for sentence in sentences] == [tokens, ["w1"]]
    predicted = [line.split("\t")[-1] for line in conll.splitlines() if line and "DOCSTART" not in line]
    assert spans_from_tags(sentences[0]["tags"]) == spans_from_tags(predicted[:100])


def test_help_is_at_most_80_columns_wide() -> None:
    result = run_tagger("predict", "--help")
    assert max(map(len, result.output.decode().splitlines())) <= 80


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.mark.parametrize("format_", ["jsonl", "spans", "html", "text"])
def test_when_a_pipe_pauses_the_documents_that_have_ended_are_written(model: Path, format_: str) -> None:
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "tagger",
        "predict",
        "--format",
        format_,
        "--model",
        str(model),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(b"a\nb\n\nlonely\n\n")
        process.stdin.flush()
        first = b""
        while b"lonely" not in first and (block := process.stdout.readline()):
            first += block
            if format_ == "spans":
                break  # there are no spans, but there is a header
        process.stdin.close()
        rest, errors = process.stdout.read(), process.stderr.read().decode()
    assert process.returncode == 0
    assert b"lonely" in first or first == b"document\tstart\tend\ttype\tprobability\ttext\n"
    assert (b"</html>" in rest) == (format_ == "html")
    for library in ("tensorflow", "pydantic", "pyarrow", "spacy", "rich", "onnx"):
        assert not re.search(rf"\| +{library}$", errors, re.MULTILINE), library


def test_a_docstart_line_ends_a_sentence_that_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "CHUNK_LINES", 2)
    output, _ = predict("EU\na\n-DOCSTART-\nPeter\nc\nd\n\ne\n", "--format", "jsonl")
    assert [json.loads(line)["text"] for line in output.splitlines()] == ["EU a", "Peter c d\ne"]


def test_nbest_as_columns() -> None:
    output, _ = predict("-DOCSTART-\n\nEU\tO\n\n", "--nbest", "6")
    assert output.splitlines()[0] == "-DOCSTART-" + "\tO" * 6
    token, gold, first, *others = output.splitlines()[2].split("\t")
    assert (token, gold, first) == ("EU", "O", "B-ORG")
    assert sorted(others) == ["B-LOC", "B-MISC", "B-PER", "O", "_"]
    assert others[-1] == "_"


def test_nbest_in_json_lines() -> None:
    output, _ = predict("\tO\nPeter\tO\nBlackburn\tO\n", "--nbest", "2", "--format", "jsonl")
    ((first, second),) = json.loads(output)["nbest"]
    assert first["tags"] == ["B-PER", "I-PER"]
    assert first["probability"] > second["probability"] > 0


@pytest.mark.parametrize("text", ["-DOCSTART-\tO\n\n-DOCSTART-\tO\n", "-DOCSTART-\tO\n\n\tO\n\n-DOCSTART-\tO\n"])
def test_nbest_is_there_for_documents_without_sentences(text: str) -> None:
    output, _ = predict(text, "--nbest", "2", "--format", "jsonl")
    assert [json.loads(line)["nbest"] for line in output.splitlines()] == [[], []]


def test_without_nbest_there_is_no_such_key() -> None:
    output, _ = predict("EU\tO\n", "--format", "jsonl")
    assert "nbest" not in json.loads(output)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nbest", "2", "--format", "html"], "--nbest: found --format html, expected jsonl, or conll"),
        (["--nbest", "2", "--scores"], "--nbest: found --scores too"),
        (["--nbest", "0"], "0 is not in the range"),
    ],
)
def test_nbest_where_it_cannot_be_written(options: list[str], message: str) -> None:
    with stub_model():
        result = run_tagger("predict", *options, stdin=b"EU\n")
    assert result.exit_code == 2
    assert message in " ".join(result.errors.split())
    assert result.output == b""


@pytest.mark.parametrize("format_", ["conll", "jsonl"])
def test_nbest_of_a_sentence_that_is_tagged_in_parts(format_: str) -> None:
    with stub_model():
        result = run_tagger("predict", "--nbest", "2", "--format", format_, stdin=b"EU\n" * (stream.CHUNK_LINES + 1))
    assert result.exit_code == 1
    assert "<standard input>:1: --nbest: found a sentence with more than" in result.first_error


def test_span_scores_are_a_column() -> None:
    output, _ = predict("-DOCSTART-\n\nPeter\nBlackburn\nleft\n", "--span-scores")
    span = f"{span_probability(['Peter', 'Blackburn', 'left'], 0, 2):.4f}"
    assert output.splitlines() == [
        "-DOCSTART-\tO\t1.0000", "", f"Peter\tB-PER\t{span}", f"Blackburn\tI-PER\t{span}", "left\tO\t0.8722",
    ]  # fmt: skip
    both, _ = predict("Peter\nBlackburn\nleft\n", "--scores", "--span-scores")
    assert both.splitlines()[0] == f"Peter\tB-PER\t0.8722\t{span}"


def test_span_scores_need_spans() -> None:
    with stub_model(stub_manifest(notation=Notation(scheme=NO_SCHEME), scheme=NO_SCHEME)):
        result = run_tagger("predict", "--span-scores", stdin=b"EU\n")
    assert "--span-scores: found a model that predicts plain tags" in result.first_error
