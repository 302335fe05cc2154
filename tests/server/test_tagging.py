"""What a real server answers: what `tagger predict --format jsonl` writes, whatever else is tagged with it."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers import ROOT, run_tagger
from served_model import LIGHT, TAG_OF_TOKEN, write_model
from serving import SENTENCE, Clients, Served, serving

from tagger.text.tokenizer import is_installed

needs_text = pytest.mark.skipif(not is_installed(), reason="the extra text is not installed")
TEXTS = ["Hanna Berg left Bonn.", "", " \n", "😀 Peter\n\nÄrzte in Bonn? Peter!", "x\u2028Peter\r\nBonn"]


@pytest.fixture(scope="module")
def served(english: Path) -> Iterator[Served]:
    with serving("--model", english) as served:
        yield served


@pytest.fixture(scope="module")
def several(model: Path, other: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A server with three models, and the last one, which stores thresholds."""
    from tagger.model_dir.store import save_thresholds

    strict = write_model(tmp_path_factory.mktemp("served") / "strict", language=LIGHT)
    save_thresholds(strict, {"PER": None, "": 0.5})
    with serving("--model", model, "--model", other, "--model", strict) as served:
        yield served, strict


def predicted(model: Path, documents: list[dict[str, Any]], *options: str) -> list[bytes]:
    """Return the lines that the command writes for documents."""
    stdin = "".join(json.dumps(one) + "\n" for one in documents).encode()
    result = run_tagger("predict", "--from", "jsonl", "--format", "jsonl", "--model", model, *options, stdin=stdin)
    assert result.exit_code == 0, result.errors
    return result.output.splitlines(keepends=True)


def described(served: Served, name: str) -> dict[str, Any]:
    """Return a schema of the server's own description."""
    whole = served.ask("GET", "/openapi.json").json
    return {**whole, "$ref": f"#/components/schemas/{name}"}


def test_tokens_are_tagged_as_predict_tags_them(served: Served, english: Path) -> None:
    documents: list[dict[str, Any]] = [
        {"tokens": SENTENCE},
        {"id": "a", "tokens": ["Peter"]},
        {"id": 7, "tokens": ["x", "Ärzte", "😀", "a b", "\u3000"]},
        {"tokens": []},
    ]
    expected = predicted(english, documents)
    assert [served.tag(one).body for one in documents] == expected
    record = json.loads(expected[0])
    assert record["sentences"][0]["tags"] == ["B-PER", "I-PER", "O", "B-LOC", "O"]
    assert [(span["type"], span["text"]) for span in record["spans"]] == [("PER", "Hanna Berg"), ("LOC", "Bonn")]


@needs_text
def test_text_is_tagged_as_predict_tags_it(served: Served, english: Path) -> None:
    documents = [{"text": text} for text in TEXTS]
    expected = predicted(english, documents)
    assert [served.tag(one).body for one in documents] == expected
    assert len(json.loads(expected[0])["spans"]) == 2


@needs_text
def test_many_documents_are_answered_in_order(served: Served, english: Path) -> None:
    documents = [{"id": i, "text": text} for i, text in enumerate(TEXTS)] + [{"id": "t", "tokens": SENTENCE}]
    found = served.tag({"documents": documents})
    assert found.json["documents"] == [json.loads(line) for line in predicted(english, documents)]
    assert served.tag({"documents": []}).json == {"documents": []}
    jsonschema.validate(found.json, described(served, "Records"))


def test_scores_and_thresholds(served: Served, english: Path) -> None:
    found = served.tag({"tokens": SENTENCE, "scores": True}).json
    scores = [0.9414] * 5
    assert found.pop("scores")[0] == pytest.approx(scores, abs=1e-4)
    assert found == served.tag({"tokens": SENTENCE}).json
    least = found["spans"][1]["probability"]
    (line,) = predicted(english, [{"tokens": SENTENCE}], "--min-probability", str(least))
    kept = served.tag({"tokens": SENTENCE, "min_probability": least})
    assert kept.body == line
    assert len(kept.json["spans"]) == 1
    assert kept.json["sentences"][0]["tags"] == ["O", "O", "O", "B-LOC", "O"]


def test_thresholds_that_the_model_stores_are_used(several: tuple[Served, Path]) -> None:
    served, strict = several
    asked = {"tokens": SENTENCE, "model": "strict"}
    found = served.tag(asked)
    assert [span["type"] for span in found.json["spans"]] == ["LOC"]
    assert found.body == predicted(strict, [{"tokens": SENTENCE}])[0]
    assert len(served.tag({**asked, "min_probability": 0}).json["spans"]) == 2


def test_answers_do_not_depend_on_what_is_tagged_together(served: Served) -> None:
    rng = random.Random(1)
    words = [*TAG_OF_TOKEN, "x", "of"]
    values = [{"tokens": rng.choices(words, k=rng.randint(1, 60)), "scores": True} for _ in range(12)]
    expected = [served.tag(value).body for value in values]
    clients = [Clients(served, 1, value) for value in values]
    for client in clients:
        client.wait_for(10)
    for client, body in zip(clients, expected, strict=True):
        client.end()
        assert client.lost == []
        assert set(client.answers) == {(200, body)}
    metrics = served.ask("GET", "/metrics").body.decode()
    count, total = (
        float(line.split()[-1])
        for name in ("count", "sum")
        for line in metrics.splitlines()
        if line.startswith(f"tagger_batch_requests_{name}")
    )
    assert total > count, "some requests were tagged together"


def test_models_are_described_and_chosen_by_name(several: tuple[Served, Path], other: Path) -> None:
    served, _ = several
    found = served.ask("GET", "/v1/models").json
    jsonschema.validate(found, described(served, "Models"))
    assert found["default"] == "model"
    assert [(one["name"], one["types"]) for one in found["models"]] == [
        ("model", ["LOC", "ORG", "PER"]),
        ("other", ["LOC", "NAME", "ORG"]),
        ("strict", ["LOC", "ORG", "PER"]),
    ]
    manifest = json.loads((other / "manifest.json").read_text())
    assert found["models"][1]["version"] == manifest["sha256"]
    assert served.tag({"tokens": ["Peter"]}).json["spans"][0]["type"] == "PER"
    assert served.tag({"tokens": ["Peter"], "model": "other"}).json["spans"][0]["type"] == "NAME"
    unknown = served.tag({"tokens": ["Peter"], "model": "fourth"})
    assert unknown.status == 404
    assert "'fourth'" in unknown.json["error"]["message"]


def test_every_answer_is_as_described(served: Served) -> None:
    schema = described(served, "Record")
    for value in ({"tokens": SENTENCE}, {"tokens": SENTENCE, "scores": True, "id": 3}, {"tokens": []}):
        answer = served.tag(value)
        jsonschema.validate(answer.json, schema)
        jsonschema.validate(value, described(served, "One"))
    error = served.tag({"tokens": 1})
    jsonschema.validate(error.json, described(served, "Error"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"tokens": 1}, described(served, "One"))
    described_paths = set(served.ask("GET", "/openapi.json").json["paths"])
    assert described_paths == {"/v1/tag", "/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json", "/"}
    for path in described_paths - {"/v1/tag"}:
        assert served.ask("GET", path).status == 200, path


def test_the_documented_request_and_answer_are_as_described(served: Served) -> None:
    page = (ROOT / "docs/serving.md").read_text("utf-8")
    request, answer = map(json.loads, re.findall(r"^```json\n(.*?)^```$", page, re.DOTALL | re.MULTILINE))
    jsonschema.validate(request, described(served, "One"))
    jsonschema.validate(answer, described(served, "Record"))
    found = served.tag(request).json
    assert found["text"] == answer["text"]
    assert found["sentences"][0]["offsets"] == answer["sentences"][0]["offsets"]


def test_metrics_count_what_is_answered(served: Served) -> None:
    def value(line: str) -> float:
        found = [one for one in served.ask("GET", "/metrics").body.decode().splitlines() if one.startswith(line)]
        return float(found[0].split()[-1]) if found else 0.0

    tagged, refused = 'tagger_answers_total{endpoint="/v1/tag",status="200"}', 'tagger_answers_total{endpoint="other"'
    before = value(tagged), value("tagger_tokens_total"), value(refused)
    served.tag({"tokens": SENTENCE})
    served.ask("GET", "/../../etc/passwd")
    assert (value(tagged), value("tagger_tokens_total"), value(refused)) == (
        before[0] + 1,
        before[1] + 5,
        before[2] + 1,
    )


def test_the_process_has_no_tensorflow(served: Served) -> None:
    served.tag({"tokens": SENTENCE})
    mapped = Path(f"/proc/{served.process.pid}/maps").read_text()
    assert "onnxruntime" in mapped
    assert "tensorflow" not in mapped
